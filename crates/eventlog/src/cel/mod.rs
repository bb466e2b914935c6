//! TCG Canonical Event Log (CEL 1.0 and 1.1): what software measures after the firmware, in TLV, CBOR and JSON.
//!
//! systemd writes such a log of its own extends (`/run/log/systemd/tpm2-measure.log`), Google's container launcher
//! another. A log of this kind goes on where the firmware's ends: [`ReplayedLog::followed_by`] replays both.

mod cbor;
mod json;
mod tlv;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use nitrotpm_digest_lanes::hash;
use nitrotpm_pcr::{Bank, Digest, PcrIndex};

use crate::{AlgorithmId, EventType, LogError, PayloadCheck, ReplayedLog, Rule, payload};

/// Types of content (CEL 1.1, table 2), the same numbers in TLV and in CBOR.
const MANAGEMENT: u64 = 4;
const PC_CLIENT: u64 = 5;
const IMA_TEMPLATE: u64 = 7;
const SYSTEMD: u64 = 9;
/// Types of management records that are not measured (CEL 1.1, section 4.4): the log's version, and the end of the
/// firmware's part.
const NOT_MEASURED: [u64; 2] = [1, 2];

/// Which register a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CelRegister {
    /// A PCR.
    Pcr(PcrIndex),
    /// An index in the TPM's non-volatile memory.
    NvIndex(u32),
    /// A measurement register of confidential computing: 0 is MRTD, 1 to 4 are RTMR 0 to 3.
    ConfidentialComputing(u32),
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CelContent {
    /// About the log itself.
    Management {
        /// What about: 1 the version, 2 the end of the firmware's part, 80 a time, 81 a change of the system's state.
        /// `None` where the content is not of the shape that tells.
        kind: Option<u64>,
        /// The content as its encoding has it: the TLV's value, the CBOR item, the JSON text.
        value: Vec<u8>,
    },
    /// An event as firmware has it.
    PcClient {
        /// The type.
        event_type: EventType,
        /// The data.
        data: Vec<u8>,
    },
    /// An entry of an IMA list.
    ImaTemplate {
        /// The template's name.
        name: Vec<u8>,
        /// The template data.
        data: Vec<u8>,
    },
    /// A measurement of systemd: what was hashed, and what kind it is (`phase`, `filesystem`, `volume-key`,
    /// `machine-id`).
    Systemd {
        /// The string; the digest is of it, but for secrets.
        string: String,
        /// The kind.
        kind: Option<String>,
    },
    /// Content of another type: TLV.
    Tlv {
        /// The type.
        content_type: u8,
        /// The value.
        value: Vec<u8>,
    },
    /// Content of another type: CBOR.
    Cbor {
        /// The type.
        content_type: u64,
        /// The content: one item.
        value: Vec<u8>,
    },
    /// Content of another type: JSON.
    Json {
        /// The type.
        content_type: String,
        /// The content as JSON.
        value: String,
    },
}

/// One record. Nothing of it is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CelRecord {
    /// The number that the log gives; systemd leaves it out.
    pub number: Option<u64>,
    /// The register.
    pub register: CelRegister,
    /// The digests, each algorithm once.
    pub digests: Vec<(AlgorithmId, Vec<u8>)>,
    /// What was measured.
    pub content: CelContent,
}

impl CelRecord {
    /// A record to be written. What is read is checked; what is given here is not.
    #[must_use]
    pub const fn new(
        number: Option<u64>,
        register: CelRegister,
        digests: Vec<(AlgorithmId, Vec<u8>)>,
        content: CelContent,
    ) -> Self {
        Self { number, register, digests, content }
    }

    /// The digest of one bank.
    #[must_use]
    pub fn digest(&self, bank: Bank) -> Option<Digest> {
        self.known_digests().find(|digest| digest.algorithm() == bank)
    }

    fn known_digests(&self) -> impl Iterator<Item = Digest> + '_ {
        self.digests.iter().filter_map(|(algorithm, bytes)| Digest::new(algorithm.bank()?, bytes).ok())
    }

    /// Whether the record was extended into its register: all are, but `EV_NO_ACTION` and what the log says of its own
    /// version and of the end of the firmware's part (CEL 1.1, section 4.2.3).
    #[must_use]
    pub fn extends(&self) -> bool {
        match &self.content {
            CelContent::PcClient { event_type, .. } => *event_type != EventType::NO_ACTION,
            CelContent::Management { kind, .. } => !kind.is_some_and(|kind| NOT_MEASURED.contains(&kind)),
            _ => true,
        }
    }

    /// Whether the digests are those of the content.
    #[must_use]
    pub fn payload_check(&self) -> PayloadCheck {
        let hashed: &[u8] = match &self.content {
            CelContent::PcClient { event_type, data } => {
                return payload::check(*event_type, data, || self.known_digests());
            }
            CelContent::ImaTemplate { data, .. } => data,
            CelContent::Systemd { string, .. } => string.as_bytes(),
            // The launcher hashes the whole TLV: its type and length stand before the value.
            CelContent::Tlv { content_type, value } => {
                let length = u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes();
                return self.check(&[&[*content_type], &length, value], false);
            }
            CelContent::Management { .. } | CelContent::Cbor { .. } | CelContent::Json { .. } => {
                return PayloadCheck::NotCheckable;
            }
        };
        self.check(&[hashed], false)
    }

    fn check(&self, hashed: &[&[u8]], must_hold: bool) -> PayloadCheck {
        let mut digests = self.known_digests().peekable();
        if digests.peek().is_none() {
            return PayloadCheck::NotCheckable;
        }
        match digests.all(|digest| digest == hash(digest.algorithm(), hashed)) {
            true => PayloadCheck::Verified(Rule::EventData),
            false if must_hold => PayloadCheck::Mismatch,
            false => PayloadCheck::NotCheckable,
        }
    }
}

/// A parsed log: untrusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CelLog {
    records: Vec<CelRecord>,
}

impl CelLog {
    /// Parses a log in any encoding. The first byte tells: JSON begins with `[`, `{` or the record separator of RFC
    /// 7464, CBOR with an array or a map, TLV with a record number, whose type is 0.
    ///
    /// # Errors
    /// See [`CelLog::parse_tlv`], [`CelLog::parse_cbor`] and [`CelLog::parse_json`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        match bytes.trim_ascii_start() {
            [b'[' | b'{' | json::RECORD_SEPARATOR, ..] => Self::parse_json(bytes),
            // The major types of CBOR's arrays and maps.
            [0x80..=0xBF, ..] => Self::parse_cbor(bytes),
            _ => Self::parse_tlv(bytes),
        }
    }

    /// A log of these records, to be written.
    ///
    /// # Errors
    /// [`LogError::Empty`] for none, [`LogError::CelRecord`] for numbers that do not count on.
    pub fn from_records(records: Vec<CelRecord>) -> Result<Self, LogError> {
        Self::checked(records)
    }

    /// The records in order.
    #[must_use]
    pub fn records(&self) -> &[CelRecord] {
        &self.records
    }

    /// Refuses what all encodings refuse: an empty log, numbers that do not count on.
    fn checked(records: Vec<CelRecord>) -> Result<Self, LogError> {
        if records.is_empty() {
            return Err(LogError::Empty);
        }
        // Some writers count per register, and some over all; whatever is counted, it never goes back.
        let mut last = BTreeMap::new();
        for (position, record) in records.iter().enumerate() {
            let Some(number) = record.number else { continue };
            if last.insert(record.register, number).is_some_and(|before| number <= before) {
                let problem = "has a number that is not above the one before";
                return Err(LogError::CelRecord { record: position, offset: 0, problem });
            }
        }
        Ok(Self { records })
    }
}

impl ReplayedLog<'_> {
    /// Goes on with a log of software: its records are extended after the events.
    ///
    /// Only records of PCRs count, and of these only those that were measured ([`CelRecord::extends`]). The bank must be one of the firmware's log; a record without its digest makes the
    /// register incomplete in that bank.
    #[must_use]
    pub fn followed_by(mut self, log: &CelLog) -> Self {
        let first = self.log().event_count();
        for (position, record) in log.records().iter().enumerate() {
            let CelRegister::Pcr(index) = record.register else { continue };
            if !record.extends() {
                continue;
            }
            self.extend_later(index, first.saturating_add(position), |bank| record.digest(bank));
        }
        self
    }
}

/// A type by its name.
fn event_type_by_name(name: &str) -> Option<EventType> {
    EventType::NAMED.iter().copied().find(|event_type| event_type.name() == Some(name))
}
