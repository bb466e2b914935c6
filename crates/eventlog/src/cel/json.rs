//! The JSON encoding: an array of records, one record a line, or a sequence of RFC 7464 as systemd writes it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use nitrotpm_pcr::PcrIndex;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CelContent, CelLog, CelRecord, CelRegister, event_type_by_name};
use crate::{AlgorithmId, EventType, LogError};

/// What begins a record in a sequence of RFC 7464.
pub(super) const RECORD_SEPARATOR: u8 = 0x1E;

#[derive(Deserialize)]
struct Record {
    recnum: Option<u64>,
    pcr: Option<u32>,
    #[serde(alias = "nv_index")]
    nv: Option<u32>,
    digests: Vec<RecordDigest>,
    content_type: String,
    content: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct RecordDigest {
    #[serde(rename = "hashAlg")]
    algorithm: String,
    digest: String,
}

#[derive(Deserialize)]
struct Systemd {
    string: String,
    #[serde(rename = "eventType")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Management {
    #[serde(rename = "type")]
    kind: serde_json::Value,
}

#[derive(Deserialize)]
struct PcClient {
    event_type: serde_json::Value,
    event_data: String,
}

impl CelLog {
    /// Parses the JSON encoding.
    ///
    /// # Errors
    /// [`LogError::CelRecord`], with the offset, for a record that is no JSON of this shape, has a name twice, a
    /// register that does not exist, no digest, or two of one algorithm.
    pub fn parse_json(bytes: &[u8]) -> Result<Self, LogError> {
        let mut records = Vec::new();
        let text = bytes.trim_ascii();
        if text.first() == Some(&b'[') {
            let list: Vec<Box<RawValue>> = from_json(text, 0, 0)?;
            for record in list {
                records.push(read_record(record.get().as_bytes(), records.len(), 0)?);
            }
        } else {
            let mut offset = 0_usize;
            for piece in bytes.split_inclusive(|byte| matches!(*byte, RECORD_SEPARATOR | b'\n')) {
                let text = piece.strip_suffix(&[RECORD_SEPARATOR]).unwrap_or(piece).trim_ascii();
                if !text.is_empty() {
                    records.push(read_record(text, records.len(), offset)?);
                }
                offset = offset.saturating_add(piece.len());
            }
        }
        Self::checked(records)
    }
}

fn from_json<'a, T: Deserialize<'a>>(text: &'a [u8], record: usize, offset: usize) -> Result<T, LogError> {
    serde_json::from_slice(text).map_err(|_| LogError::CelRecord {
        record,
        offset,
        problem: "is not a JSON record of a canonical event log, each name once",
    })
}

fn read_record(text: &[u8], record: usize, offset: usize) -> Result<CelRecord, LogError> {
    let refuse = |problem| LogError::CelRecord { record, offset, problem };
    let read: Record = from_json(text, record, offset)?;
    let register = match (read.pcr, read.nv) {
        (Some(pcr), None) => {
            CelRegister::Pcr(PcrIndex::try_from(pcr).map_err(|_| refuse("names a PCR that does not exist"))?)
        }
        (None, Some(index)) => CelRegister::NvIndex(index),
        _ => return Err(refuse("needs a PCR or an NV index, and not both")),
    };
    let mut digests: Vec<(AlgorithmId, Vec<u8>)> = Vec::new();
    for digest in &read.digests {
        let algorithm = algorithm(&digest.algorithm).ok_or_else(|| refuse("has a digest of an unknown algorithm"))?;
        let bytes = hex(&digest.digest).ok_or_else(|| refuse("has a digest that is not hexadecimal"))?;
        if algorithm.digest_len() != Some(bytes.len()) {
            return Err(refuse("has a digest that is not as long as its algorithm's"));
        }
        if digests.iter().any(|(seen, _)| *seen == algorithm) {
            return Err(refuse("has two digests of one algorithm"));
        }
        digests.push((algorithm, bytes));
    }
    if digests.is_empty() {
        return Err(refuse("has no digests"));
    }
    let value = read.content.as_deref().map_or("null", RawValue::get);
    let malformed = |_| refuse("has content of another shape than its type");
    let content = match read.content_type.as_str() {
        "systemd" => {
            let Systemd { string, kind } = serde_json::from_str(value).map_err(malformed)?;
            CelContent::Systemd { string, kind }
        }
        "cel" => {
            let kind = serde_json::from_str(value).ok().and_then(|content: Management| management_kind(&content.kind));
            CelContent::Management { kind, value: value.into() }
        }
        "pcclient_std" => {
            let PcClient { event_type, event_data } = serde_json::from_str(value).map_err(malformed)?;
            let event_type = event_type_of(&event_type).ok_or_else(|| refuse("has an event type that is not known"))?;
            let data = hex(&event_data).ok_or_else(|| refuse("has event data that is not hexadecimal"))?;
            CelContent::PcClient { event_type, data }
        }
        _ => CelContent::Json { content_type: read.content_type, value: value.into() },
    };
    Ok(CelRecord { number: read.recnum, register, digests, content })
}

fn algorithm(name: &str) -> Option<AlgorithmId> {
    [0x04, 0x0B, 0x0C, 0x0D, 0x12, 0x27, 0x28, 0x29]
        .into_iter()
        .map(AlgorithmId)
        .find(|algorithm| algorithm.name() == Some(name))
}

/// A type by number or by name.
fn event_type_of(value: &serde_json::Value) -> Option<EventType> {
    if let Some(code) = value.as_u64() {
        return u32::try_from(code).ok().map(EventType);
    }
    event_type_by_name(value.as_str()?)
}

/// The type of a management record by number or by name (CEL 1.1, section 4.4).
fn management_kind(value: &serde_json::Value) -> Option<u64> {
    match value.as_str() {
        Some("cel_version") => Some(1),
        Some("firmware_end") => Some(2),
        Some("cel_timestamp") => Some(80),
        Some("state_trans") => Some(81),
        _ => value.as_u64(),
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect()
}
