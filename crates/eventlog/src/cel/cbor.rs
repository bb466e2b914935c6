//! The CBOR encoding (TCG Canonical Event Log Format 1.1, section 5.2): deterministic CBOR (RFC 8949, section 4.2.1).
//!
//! A record is the map `{0: number, 1: PCR / 2: NV index, 3: digests, 9: content type, 10: content}`, a digest the map
//! `{0: algorithm, 1: bytes}`. A log is an array of records, or records one after the other (RFC 8742), as a log to which
//! software appends has them.

use alloc::vec::Vec;

use nitrotpm_pcr::PcrIndex;

use super::{
    CelContent, CelLog, CelRecord, CelRegister, IMA_TEMPLATE, MANAGEMENT, PC_CLIENT, SYSTEMD, event_type_by_name,
};
use crate::reader::Reader;
use crate::{AlgorithmId, EventType, LogError};

const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
/// How deep content of an unknown type may be nested.
const MAX_DEPTH: usize = 32;

/// Reads items; knows which record it is in.
struct Items<'a> {
    reader: Reader<'a>,
    record: usize,
}

/// An item's initial byte and argument: the major type, and a number, a length or a count.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Head {
    major: u8,
    argument: u64,
}

impl<'a> Items<'a> {
    const fn fault(&self, offset: usize, problem: &'static str) -> LogError {
        LogError::CelRecord { record: self.record, offset, problem }
    }

    /// Reads a head in its shortest form; lengths are always stated.
    fn head(&mut self) -> Result<Head, LogError> {
        let offset = self.reader.offset();
        let initial = self.reader.u8()?;
        let (major, info) = (initial >> 5, initial & 0x1F);
        let (argument, least) = match info {
            0..=23 => (info.into(), 0),
            24 => (self.reader.u8()?.into(), 24),
            25 => (u16::from_be_bytes(self.reader.array()?).into(), 0x100),
            26 => (u32::from_be_bytes(self.reader.array()?).into(), 0x1_0000),
            27 => (u64::from_be_bytes(self.reader.array()?), 0x1_0000_0000),
            _ => return Err(self.fault(offset, "has an item of indefinite length or of no known form")),
        };
        // For simple values and floats (major 7) the argument is a value, and not a number that has a shorter form.
        if major != 7 && argument < least {
            return Err(self.fault(offset, "has a number that is not in its shortest form"));
        }
        Ok(Head { major, argument })
    }

    fn expect(&mut self, major: u8, problem: &'static str) -> Result<u64, LogError> {
        let offset = self.reader.offset();
        let head = self.head()?;
        if head.major == major { Ok(head.argument) } else { Err(self.fault(offset, problem)) }
    }

    fn unsigned(&mut self, problem: &'static str) -> Result<u64, LogError> {
        self.expect(UNSIGNED, problem)
    }

    fn bytes(&mut self, problem: &'static str) -> Result<&'a [u8], LogError> {
        let length = self.expect(BYTES, problem)?;
        self.reader.take(length)
    }

    fn text(&mut self, problem: &'static str) -> Result<&'a str, LogError> {
        let offset = self.reader.offset();
        let length = self.expect(TEXT, problem)?;
        core::str::from_utf8(self.reader.take(length)?).map_err(|_| self.fault(offset, problem))
    }

    /// The head of a map of exactly `count` entries.
    fn map(&mut self, count: u64, problem: &'static str) -> Result<(), LogError> {
        let offset = self.reader.offset();
        if self.head()? == (Head { major: MAP, argument: count }) { Ok(()) } else { Err(self.fault(offset, problem)) }
    }

    fn key(&mut self, key: u64, problem: &'static str) -> Result<(), LogError> {
        let offset = self.reader.offset();
        if self.unsigned(problem)? == key { Ok(()) } else { Err(self.fault(offset, problem)) }
    }

    /// One whole item, whatever it is, as it stands.
    fn item(&mut self) -> Result<&'a [u8], LogError> {
        let (begin, first) = (self.reader, self.reader.offset());
        // How many items each open array, map or tag still needs.
        let mut open: Vec<u64> = Vec::new();
        loop {
            let offset = self.reader.offset();
            let head = self.head()?;
            let inside = match head.major {
                BYTES | TEXT => self.reader.take(head.argument).map(|_| 0)?,
                ARRAY => head.argument,
                MAP => head.argument.checked_mul(2).ok_or_else(|| self.fault(offset, "has a map that is too long"))?,
                6 => 1,
                _ => 0,
            };
            if inside > 0 {
                if open.len() >= MAX_DEPTH {
                    return Err(self.fault(offset, "has content that is nested too deep"));
                }
                open.push(inside);
                continue;
            }
            while let Some(left) = open.last_mut() {
                *left = left.saturating_sub(1);
                if *left > 0 {
                    break;
                }
                open.pop();
            }
            if open.is_empty() {
                let length = self.reader.offset().saturating_sub(first);
                return Ok(begin.rest().get(..length).unwrap_or_default());
            }
        }
    }

    fn record(&mut self) -> Result<CelRecord, LogError> {
        self.map(5, "is not a map of five entries")?;
        self.key(0, "does not begin with its number")?;
        let number = self.unsigned("does not begin with its number")?;
        let offset = self.reader.offset();
        let kind = self.unsigned("has no register")?;
        let index =
            u32::try_from(self.unsigned("has no register")?).map_err(|_| self.fault(offset, "has no register"))?;
        let register = match kind {
            1 => CelRegister::Pcr(
                PcrIndex::try_from(index).map_err(|_| self.fault(offset, "names a PCR that does not exist"))?,
            ),
            2 => CelRegister::NvIndex(index),
            _ => return Err(self.fault(offset, "has no register")),
        };
        self.key(3, "has no digests")?;
        let digests = self.digests()?;
        self.key(9, "has no type of content")?;
        let content_type = self.unsigned("has no type of content")?;
        self.key(10, "has no content")?;
        let content = self.content(content_type)?;
        Ok(CelRecord { number: Some(number), register, digests, content })
    }

    fn digests(&mut self) -> Result<Vec<(AlgorithmId, Vec<u8>)>, LogError> {
        let offset = self.reader.offset();
        let count = self.expect(ARRAY, "has no digests")?;
        let mut digests: Vec<(AlgorithmId, Vec<u8>)> = Vec::new();
        for _ in 0..count {
            const SHAPE: &str = "has a digest that is not an algorithm and bytes";
            let offset = self.reader.offset();
            self.map(2, SHAPE)?;
            self.key(0, SHAPE)?;
            let algorithm = u16::try_from(self.unsigned(SHAPE)?).map_err(|_| self.fault(offset, SHAPE))?;
            self.key(1, SHAPE)?;
            let bytes = self.bytes(SHAPE)?;
            let algorithm = AlgorithmId(algorithm);
            if bytes.is_empty() || algorithm.digest_len().is_some_and(|length| length != bytes.len()) {
                return Err(self.fault(offset, "has a digest that is not as long as its algorithm's"));
            }
            if digests.iter().any(|(seen, _)| *seen == algorithm) {
                return Err(self.fault(offset, "has two digests of one algorithm"));
            }
            digests.push((algorithm, bytes.to_vec()));
        }
        if digests.is_empty() { Err(self.fault(offset, "has no digests")) } else { Ok(digests) }
    }

    fn content(&mut self, content_type: u64) -> Result<CelContent, LogError> {
        const SHAPE: &str = "has content of another shape than its type";
        let offset = self.reader.offset();
        Ok(match content_type {
            MANAGEMENT => {
                let value = self.item()?;
                let kind = management_kind(value).ok_or_else(|| self.fault(offset, SHAPE))?;
                CelContent::Management { kind: Some(kind), value: value.to_vec() }
            }
            PC_CLIENT => {
                self.map(2, SHAPE)?;
                self.key(0, SHAPE)?;
                let offset = self.reader.offset();
                let event_type = match self.reader.rest().first() {
                    // A type may stand as its name.
                    Some(initial) if initial >> 5 == TEXT => event_type_by_name(self.text(SHAPE)?),
                    _ => u32::try_from(self.unsigned(SHAPE)?).ok().map(EventType),
                };
                let event_type = event_type.ok_or_else(|| self.fault(offset, "has an event type that is not known"))?;
                self.key(1, SHAPE)?;
                CelContent::PcClient { event_type, data: self.bytes(SHAPE)?.to_vec() }
            }
            IMA_TEMPLATE => {
                self.map(2, SHAPE)?;
                self.key(0, SHAPE)?;
                let name = self.text(SHAPE)?.as_bytes().to_vec();
                self.key(1, SHAPE)?;
                CelContent::ImaTemplate { name, data: self.bytes(SHAPE)?.to_vec() }
            }
            SYSTEMD => {
                let text = core::str::from_utf8(self.bytes(SHAPE)?).map_err(|_| self.fault(offset, SHAPE))?;
                CelContent::Systemd { string: text.into(), kind: None }
            }
            _ => CelContent::Cbor { content_type, value: self.item()?.to_vec() },
        })
    }
}

/// The type of a management record: its content is `{0: type}` or `{0: type, 1: data}`.
fn management_kind(item: &[u8]) -> Option<u64> {
    let mut items = Items { reader: Reader::new(item, 0, "a management record"), record: 0 };
    let head = items.head().ok()?;
    items.key(0, "").ok()?;
    (head.major == MAP && matches!(head.argument, 1 | 2)).then(|| items.unsigned("").ok())?
}

impl CelLog {
    /// Parses the CBOR encoding: an array of records, or records one after the other.
    ///
    /// # Errors
    /// [`LogError`] with the offset, for a log that is cut or goes on after its last record, CBOR that is not in its
    /// deterministic form, entries missing or out of order, algorithms that stand twice, registers that do not exist.
    pub fn parse_cbor(bytes: &[u8]) -> Result<Self, LogError> {
        let reader = Reader::new(bytes, 0, "a record of a canonical event log");
        let mut items = Items { reader, record: 0 };
        let mut records = Vec::new();
        let count = match bytes.first() {
            Some(initial) if initial >> 5 == ARRAY => Some(items.head()?.argument),
            _ => None,
        };
        // Each turn takes bytes or ends in an error: a count that lies costs nothing.
        while count.map_or(!items.reader.is_empty(), |count| u64::try_from(records.len()) != Ok(count)) {
            items.record = records.len();
            records.push(items.record()?);
        }
        items.reader.finish()?;
        Self::checked(records)
    }

    /// Writes the CBOR encoding: one array of records. Read again it gives the same records.
    ///
    /// # Errors
    /// [`LogError::Unwritable`] for a record that this encoding has no form for: without a number, of a register of
    /// confidential computing, or with content that was read from another encoding and is not known in this one.
    pub fn to_cbor(&self) -> Result<Vec<u8>, LogError> {
        let mut bytes = Vec::new();
        put_head(&mut bytes, ARRAY, u64::try_from(self.records().len()).unwrap_or(u64::MAX));
        for (position, record) in self.records().iter().enumerate() {
            put_record(&mut bytes, record).map_err(|problem| LogError::Unwritable { event: position, problem })?;
        }
        Ok(bytes)
    }
}

fn put_head(bytes: &mut Vec<u8>, major: u8, argument: u64) {
    let initial = major << 5;
    match argument {
        0..24 => bytes.extend(u8::try_from(argument).map(|short| initial | short)),
        24..0x100 => {
            bytes.push(initial | 24);
            bytes.extend(u8::try_from(argument));
        }
        0x100..0x1_0000 => {
            bytes.push(initial | 25);
            bytes.extend(u16::try_from(argument).map(u16::to_be_bytes).unwrap_or_default());
        }
        0x1_0000..0x1_0000_0000 => {
            bytes.push(initial | 26);
            bytes.extend(u32::try_from(argument).map(u32::to_be_bytes).unwrap_or_default());
        }
        _ => {
            bytes.push(initial | 27);
            bytes.extend(argument.to_be_bytes());
        }
    }
}

fn put_string(bytes: &mut Vec<u8>, major: u8, string: &[u8]) {
    put_head(bytes, major, u64::try_from(string.len()).unwrap_or(u64::MAX));
    bytes.extend_from_slice(string);
}

fn put_record(bytes: &mut Vec<u8>, record: &CelRecord) -> Result<(), &'static str> {
    put_head(bytes, MAP, 5);
    put_head(bytes, UNSIGNED, 0);
    put_head(bytes, UNSIGNED, record.number.ok_or("it has no number")?);
    let (kind, index) = match record.register {
        CelRegister::Pcr(index) => (1, index.get().into()),
        CelRegister::NvIndex(index) => (2, index.into()),
        CelRegister::ConfidentialComputing(_) => return Err("its register has no form in CBOR"),
    };
    put_head(bytes, UNSIGNED, kind);
    put_head(bytes, UNSIGNED, index);
    put_head(bytes, UNSIGNED, 3);
    put_head(bytes, ARRAY, u64::try_from(record.digests.len()).unwrap_or(u64::MAX));
    for (algorithm, digest) in &record.digests {
        put_head(bytes, MAP, 2);
        put_head(bytes, UNSIGNED, 0);
        put_head(bytes, UNSIGNED, algorithm.0.into());
        put_head(bytes, UNSIGNED, 1);
        put_string(bytes, BYTES, digest);
    }
    put_head(bytes, UNSIGNED, 9);
    match &record.content {
        CelContent::Management { kind, value } => {
            if kind.is_none() || management_kind(value) != *kind {
                return Err("its management content is of another encoding");
            }
            put_content_type(bytes, MANAGEMENT);
            bytes.extend_from_slice(value);
        }
        CelContent::PcClient { event_type, data } => {
            put_content_type(bytes, PC_CLIENT);
            put_head(bytes, MAP, 2);
            put_head(bytes, UNSIGNED, 0);
            put_head(bytes, UNSIGNED, event_type.0.into());
            put_head(bytes, UNSIGNED, 1);
            put_string(bytes, BYTES, data);
        }
        CelContent::ImaTemplate { name, data } => {
            let name = core::str::from_utf8(name).map_err(|_| "its template's name is not text")?;
            put_content_type(bytes, IMA_TEMPLATE);
            put_head(bytes, MAP, 2);
            put_head(bytes, UNSIGNED, 0);
            put_string(bytes, TEXT, name.as_bytes());
            put_head(bytes, UNSIGNED, 1);
            put_string(bytes, BYTES, data);
        }
        CelContent::Systemd { string, .. } => {
            put_content_type(bytes, SYSTEMD);
            put_string(bytes, BYTES, string.as_bytes());
        }
        CelContent::Cbor { content_type, value } => {
            put_content_type(bytes, *content_type);
            bytes.extend_from_slice(value);
        }
        CelContent::Tlv { .. } | CelContent::Json { .. } => return Err("its content is of another encoding"),
    }
    Ok(())
}

fn put_content_type(bytes: &mut Vec<u8>, content_type: u64) {
    put_head(bytes, UNSIGNED, content_type);
    put_head(bytes, UNSIGNED, 10);
}
