//! TCG Canonical Event Log (CEL 1.0): what software measures after the firmware, in TLV and in JSON.
//!
//! systemd writes such a log of its own extends (`/run/log/systemd/tpm2-measure.log`), Google's container launcher
//! another. A log of this kind goes on where the firmware's ends: [`ReplayedLog::followed_by`] replays both.

mod json;
mod tlv;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use nitrotpm_digest_lanes::hash;
use nitrotpm_pcr::{Bank, Digest, PcrIndex};

use crate::{AlgorithmId, EventType, LogError, PayloadCheck, ReplayedLog, Rule, payload};

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
    Management(Vec<u8>),
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
    /// The digest of one bank.
    #[must_use]
    pub fn digest(&self, bank: Bank) -> Option<Digest> {
        self.known_digests().find(|digest| digest.algorithm() == bank)
    }

    fn known_digests(&self) -> impl Iterator<Item = Digest> + '_ {
        self.digests.iter().filter_map(|(algorithm, bytes)| Digest::new(algorithm.bank()?, bytes).ok())
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
            CelContent::Management(_) | CelContent::Json { .. } => return PayloadCheck::NotCheckable,
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
    /// Parses a log in either encoding: JSON begins with `[`, `{` or the record separator of RFC 7464.
    ///
    /// # Errors
    /// See [`CelLog::parse_tlv`] and [`CelLog::parse_json`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        match bytes.trim_ascii_start() {
            // A TLV log begins with a record number, whose type is 0.
            [b'[' | b'{' | json::RECORD_SEPARATOR, ..] => Self::parse_json(bytes),
            _ => Self::parse_tlv(bytes),
        }
    }

    /// The records in order.
    #[must_use]
    pub fn records(&self) -> &[CelRecord] {
        &self.records
    }

    /// Refuses what both encodings refuse: an empty log, numbers that do not count on.
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
    /// Only records of PCRs count. The bank must be one of the firmware's log; a record without its digest makes the
    /// register incomplete in that bank.
    #[must_use]
    pub fn followed_by(mut self, log: &CelLog) -> Self {
        let first = self.log().event_count();
        for (position, record) in log.records().iter().enumerate() {
            let CelRegister::Pcr(index) = record.register else { continue };
            self.extend_later(index, first.saturating_add(position), |bank| record.digest(bank));
        }
        self
    }
}
