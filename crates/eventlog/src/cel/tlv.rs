//! The TLV encoding: type in one byte, length in four, big endian.

use alloc::vec::Vec;

use nitrotpm_pcr::PcrIndex;

use super::{CelContent, CelLog, CelRecord, CelRegister, IMA_TEMPLATE, MANAGEMENT, PC_CLIENT, SYSTEMD};
use crate::reader::Reader;
use crate::{AlgorithmId, EventType, LogError};

const SEQUENCE: u8 = 0;
const PCR: u8 = 1;
const NV_INDEX: u8 = 2;
const DIGESTS: u8 = 3;
/// Google's type for the register of a confidential machine.
const CONFIDENTIAL_COMPUTING: u8 = 108;

/// One field.
struct Field<'a> {
    kind: u8,
    offset: usize,
    value: &'a [u8],
    value_offset: usize,
}

fn read<'a>(reader: &mut Reader<'a>) -> Result<Field<'a>, LogError> {
    let offset = reader.offset();
    let kind = reader.u8()?;
    let length = u32::from_be_bytes(reader.array()?);
    let value_offset = reader.offset();
    Ok(Field { kind, offset, value: reader.take(length.into())?, value_offset })
}

/// A number in one to eight bytes: writers differ.
fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 8 {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| sum.checked_mul(256)?.checked_add((*byte).into()))
}

impl CelLog {
    /// Parses the TLV encoding.
    ///
    /// # Errors
    /// [`LogError`] with the offset, for a log that is cut, fields out of order, numbers too long, algorithms that stand
    /// twice, registers that do not exist, nested fields that leave bytes over.
    pub fn parse_tlv(bytes: &[u8]) -> Result<Self, LogError> {
        let mut reader = Reader::new(bytes, 0, "a record of a canonical event log");
        let mut records = Vec::new();
        while !reader.is_empty() {
            records.push(read_record(&mut reader, records.len())?);
        }
        Self::checked(records)
    }
}

fn read_record(reader: &mut Reader<'_>, record: usize) -> Result<CelRecord, LogError> {
    let refuse = |offset, problem| LogError::CelRecord { record, offset, problem };
    let sequence = read(reader)?;
    let count = (sequence.kind == SEQUENCE).then(|| number(sequence.value)).flatten();
    let count = count.ok_or_else(|| refuse(sequence.offset, "does not begin with its number"))?;
    let register = read(reader)?;
    let value = number(register.value).and_then(|value| u32::try_from(value).ok());
    let value = value.ok_or_else(|| refuse(register.offset, "has no register"))?;
    let register = match register.kind {
        PCR => CelRegister::Pcr(
            PcrIndex::try_from(value).map_err(|_| refuse(register.offset, "names a PCR that does not exist"))?,
        ),
        NV_INDEX => CelRegister::NvIndex(value),
        CONFIDENTIAL_COMPUTING => CelRegister::ConfidentialComputing(value),
        _ => return Err(refuse(register.offset, "has no register")),
    };
    let digests = read(reader)?;
    if digests.kind != DIGESTS {
        return Err(refuse(digests.offset, "has no digests"));
    }
    let digests = read_digests(&digests, record)?;
    let content = read(reader)?;
    let content = read_content(&content)
        .map_err(|error| error.unwrap_or(refuse(content.offset, "has content of another shape than its type")))?;
    Ok(CelRecord { number: Some(count), register, digests, content })
}

fn read_digests(field: &Field<'_>, record: usize) -> Result<Vec<(AlgorithmId, Vec<u8>)>, LogError> {
    let mut reader = Reader::new(field.value, field.value_offset, "the digests of a canonical event log");
    let mut digests: Vec<(AlgorithmId, Vec<u8>)> = Vec::new();
    while !reader.is_empty() {
        let digest = read(&mut reader)?;
        let refuse = |problem| Err(LogError::CelRecord { record, offset: digest.offset, problem });
        let algorithm = AlgorithmId(digest.kind.into());
        if algorithm.digest_len().is_some_and(|length| length != digest.value.len()) {
            return refuse("has a digest that is not as long as its algorithm's");
        }
        if digests.iter().any(|(seen, _)| *seen == algorithm) {
            return refuse("has two digests of one algorithm");
        }
        digests.push((algorithm, digest.value.to_vec()));
    }
    if digests.is_empty() {
        return Err(LogError::CelRecord { record, offset: field.offset, problem: "has no digests" });
    }
    Ok(digests)
}

/// Two nested fields, of types 0 and 1, and nothing else.
fn read_pair<'a>(field: &Field<'a>) -> Result<(&'a [u8], &'a [u8]), Option<LogError>> {
    let mut reader = Reader::new(field.value, field.value_offset, "the content of a canonical event log");
    let (first, second) = (read(&mut reader)?, read(&mut reader)?);
    reader.finish()?;
    if (first.kind, second.kind) == (0, 1) { Ok((first.value, second.value)) } else { Err(None) }
}

/// `None` for content of another shape than its type prescribes.
fn read_content(field: &Field<'_>) -> Result<CelContent, Option<LogError>> {
    Ok(match field.kind.into() {
        // One nested field, whose type is that of the management record.
        MANAGEMENT => {
            let mut reader = Reader::new(field.value, field.value_offset, "a management record");
            let kind = read(&mut reader).ok().filter(|_| reader.is_empty()).map(|inner| inner.kind.into());
            CelContent::Management { kind, value: field.value.to_vec() }
        }
        PC_CLIENT => {
            let (event_type, data) = read_pair(field)?;
            let event_type = number(event_type).and_then(|code| u32::try_from(code).ok()).ok_or(None)?;
            CelContent::PcClient { event_type: EventType(event_type), data: data.to_vec() }
        }
        IMA_TEMPLATE => {
            let (name, data) = read_pair(field)?;
            CelContent::ImaTemplate { name: name.to_vec(), data: data.to_vec() }
        }
        SYSTEMD => {
            let text = core::str::from_utf8(field.value).map_err(|_| None)?;
            CelContent::Systemd { string: text.trim_end_matches('\0').into(), kind: None }
        }
        _ => CelContent::Tlv { content_type: field.kind, value: field.value.to_vec() },
    })
}
