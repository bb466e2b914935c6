//! One event of a log.

use core::fmt;

use nitrotpm_pcr::{Bank, Digest, PcrIndex};

use crate::algorithm::{DeclaredBanks, declared_size};
use crate::reader::Reader;
use crate::{AlgorithmId, EventType, LogError};

/// Which register an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Register {
    /// A PCR; in a CCEL log the measurement register: 0 is MRTD, 1 to 4 are RTMR 0 to 3.
    Pcr(PcrIndex),
    /// No register at all: a record with index 0xFFFFFFFF that Windows keeps inside its log (type `EV_NO_ACTION`).
    OutOfBand,
}

impl Register {
    /// The PCR, where it is one.
    #[must_use]
    pub const fn pcr(self) -> Option<PcrIndex> {
        match self {
            Self::Pcr(index) => Some(index),
            Self::OutOfBand => None,
        }
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pcr(index) => fmt::Display::fmt(index, f),
            Self::OutOfBand => f.write_str("-"),
        }
    }
}

/// One event, borrowed from the log.
///
/// Nothing of it is proven: type and data are whatever the log's writer chose, until a replay confirmed the register
/// and [`Event::payload_check`] the data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    index: usize,
    offset: usize,
    register: Register,
    event_type: EventType,
    digests: &'a [u8],
    declared: &'a [u8],
    data_offset: usize,
    data: &'a [u8],
}

impl<'a> Event<'a> {
    /// The event's place in the log: counts from 0 and includes the header event.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Where the event begins, in bytes from the start of the log.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The register.
    #[must_use]
    pub const fn register(&self) -> Register {
        self.register
    }

    /// The PCR, or `None` for an out-of-band record.
    #[must_use]
    pub const fn pcr(&self) -> Option<PcrIndex> {
        self.register.pcr()
    }

    /// The type.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        self.event_type
    }

    /// The data.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Where the data begins, in bytes from the start of the log.
    #[must_use]
    pub const fn data_offset(&self) -> usize {
        self.data_offset
    }

    /// The digests as they stand in the event.
    #[inline]
    pub(crate) const fn raw_digests(&self) -> &'a [u8] {
        self.digests
    }

    /// The digests in the event's own order, each algorithm once, known or not.
    #[must_use]
    pub const fn digests(&self) -> Digests<'a> {
        Digests { bytes: self.digests, declared: self.declared }
    }

    /// The digest of one bank.
    #[must_use]
    pub fn digest(&self, bank: Bank) -> Option<Digest> {
        let wanted = AlgorithmId::from(bank);
        let (_, bytes) = self.digests().find(|(algorithm, _)| *algorithm == wanted)?;
        Digest::new(bank, bytes).ok()
    }

    /// The digests that the toolkit can compute.
    pub fn known_digests(&self) -> impl Iterator<Item = Digest> + 'a {
        self.digests().filter_map(|(algorithm, bytes)| Digest::new(algorithm.bank()?, bytes).ok())
    }

    /// Whether the event was extended into its register: all are, but `EV_NO_ACTION` and out-of-band records.
    #[must_use]
    pub fn extends(&self) -> bool {
        self.event_type != EventType::NO_ACTION && self.register != Register::OutOfBand
    }

    /// Reads an event that is what nearly all are: whole, with one digest of each declared bank, in the header's order.
    ///
    /// Every other event, sound or not, is `None` and leaves the reader as it is: [`Event::read_any`] judges it. What
    /// this accepts, that accepts too, and reads as the same event; a test holds them against each other.
    #[inline(always)]
    pub(crate) fn read_usual(
        reader: &mut Reader<'a>,
        index: usize,
        banks: &DeclaredBanks,
        declared: &'a [u8],
        last_register: u32,
    ) -> Option<Self> {
        let offset = reader.offset();
        let (front, rest) = reader.rest().split_first_chunk::<12>()?;
        let ([number, event_type, count], _) = front.as_chunks::<4>() else { return None };
        let [number, event_type, count] = [number, event_type, count].map(|field| u32::from_le_bytes(*field));
        if usize::try_from(count) != Ok(banks.as_slice().len()) {
            return None;
        }
        let (digests, rest) = rest.split_at_checked(banks.length())?;
        if !banks.are_all_in_order(digests) {
            return None;
        }
        let (size, rest) = split_u32(rest)?;
        let (data, after) = rest.split_at_checked(usize::try_from(size).ok()?)?;
        let event_type = EventType(event_type);
        let register = register(number, event_type, last_register)?;
        let data_offset = offset.saturating_add(digests.len()).saturating_add(16);
        reader.go_on_at(after);
        Some(Self { index, offset, register, event_type, digests, declared, data_offset, data })
    }

    /// Reads any `TCG_PCR_EVENT2` (TCG PC Client Platform Firmware Profile 1.06, section 10.2.2), and says what is wrong
    /// with it.
    #[cold]
    #[inline(never)]
    pub(crate) fn read_any(
        reader: &mut Reader<'a>,
        index: usize,
        banks: &DeclaredBanks,
        declared: &'a [u8],
        last_register: u32,
    ) -> Result<Self, LogError> {
        let offset = reader.offset();
        reader.enter("an event");
        let (register, event_type) = (reader.u32()?, EventType(reader.u32()?));
        let register = read_register(register, event_type, index, offset, last_register)?;
        reader.enter("the digests of an event");
        let count_offset = reader.offset();
        let refuse = |offset, problem| Err(LogError::Digests { event: index, offset, problem });
        let count = reader.u32()?;
        if count == 0 {
            return refuse(count_offset, "is empty");
        }
        let count = match usize::try_from(count) {
            Ok(count) if count <= banks.as_slice().len() => count,
            _ => return refuse(count_offset, "is longer than the header's list of algorithms"),
        };
        let begin = *reader;
        let mut seen = DeclaredBanks::default();
        for _ in 0..count {
            let offset = reader.offset();
            let algorithm = AlgorithmId(reader.u16()?);
            let Some(bank) = banks.as_slice().iter().find(|bank| bank.algorithm == algorithm) else {
                return Err(LogError::UndeclaredAlgorithm { event: index, offset, algorithm });
            };
            if seen.size_of(algorithm).is_some() || !seen.push(*bank) {
                return refuse(offset, "names an algorithm twice");
            }
            reader.take(bank.size.into())?;
        }
        let digests_length = begin.rest().len().saturating_sub(reader.rest().len());
        let digests = begin.rest().get(..digests_length).unwrap_or_default();
        reader.enter("the data of an event");
        let size = reader.u32()?;
        let data_offset = reader.offset();
        let data = reader.take(size.into())?;
        Ok(Self { index, offset, register, event_type, digests, declared, data_offset, data })
    }

    /// Reads a `TCG_PCR_EVENT` (TCG PC Client Platform Firmware Profile 1.06, section 10.2.1).
    pub(crate) fn read_sha1(reader: &mut Reader<'a>, index: usize, last_register: u32) -> Result<Self, LogError> {
        let offset = reader.offset();
        reader.enter("an event");
        let (register, event_type) = (reader.u32()?, EventType(reader.u32()?));
        let register = read_register(register, event_type, index, offset, last_register)?;
        let digests = reader.take(20)?;
        reader.enter("the data of an event");
        let size = reader.u32()?;
        let data_offset = reader.offset();
        let data = reader.take(size.into())?;
        Ok(Self { index, offset, register, event_type, digests, declared: &[], data_offset, data })
    }
}

/// The index of the records that belong to no register.
const OUT_OF_BAND: u32 = u32::MAX;

fn read_register(
    number: u32,
    event_type: EventType,
    event: usize,
    offset: usize,
    last_register: u32,
) -> Result<Register, LogError> {
    register(number, event_type, last_register).ok_or(LogError::Register { event, offset, number })
}

#[inline]
fn register(number: u32, event_type: EventType, last_register: u32) -> Option<Register> {
    if number == OUT_OF_BAND && event_type == EventType::NO_ACTION {
        return Some(Register::OutOfBand);
    }
    PcrIndex::try_from(number).ok().filter(|_| number <= last_register).map(Register::Pcr)
}

/// The little-endian number at the front, and what follows it.
#[inline]
fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*number), rest))
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("index", &self.index)
            .field("offset", &self.offset)
            .field("register", &self.register)
            .field("event_type", &self.event_type)
            .field("data", &crate::escape(self.data))
            .finish_non_exhaustive()
    }
}

/// The digests of an event: algorithm and bytes.
#[derive(Clone, Copy, Debug)]
pub struct Digests<'a> {
    bytes: &'a [u8],
    /// The header's list, or empty in a SHA-1 log, where one digest stands without its algorithm.
    declared: &'a [u8],
}

impl<'a> Iterator for Digests<'a> {
    type Item = (AlgorithmId, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.declared.is_empty() {
            let digest = core::mem::take(&mut self.bytes);
            return (!digest.is_empty()).then_some((Bank::Sha1.into(), digest));
        }
        let (id, rest) = self.bytes.split_first_chunk::<2>()?;
        let algorithm = AlgorithmId(u16::from_le_bytes(*id));
        // The parser compared every algorithm with the header: the size is there, and so are the bytes.
        let (digest, rest) = rest.split_at_checked(declared_size(self.declared, algorithm)?)?;
        self.bytes = rest;
        Some((algorithm, digest))
    }
}
