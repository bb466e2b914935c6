//! What can be wrong with a log.

use alloc::vec::Vec;

use nitrotpm_pcr::{Bank, PcrIndex};

use crate::{AlgorithmId, Format, ReplayMismatch};

/// Why a log, or a claim out of it, was refused. Offsets are in bytes from the start of the log; events count from 0,
/// the header included.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// There is no log in the bytes.
    #[error("the event log is empty; read it again to its end (the kernel reports size 0 for a log that is not empty)")]
    Empty,
    /// The log is larger than the caller accepts.
    #[error(
        "the event log has {size} bytes and at most {limit} are accepted; raise the limit if such a log is expected"
    )]
    TooLarge {
        /// Size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The bytes end inside a structure.
    #[error(
        "{structure} needs {needed} bytes at offset {offset} and {available} are left: the bytes were cut on their way, or \
         are not what they claim to be"
    )]
    Truncated {
        /// The structure.
        structure: &'static str,
        /// Where the field that does not fit begins.
        offset: usize,
        /// How many bytes the field needs.
        needed: u64,
        /// How many are left.
        available: usize,
    },
    /// Bytes are left over after a structure.
    #[error("{count} bytes at offset {offset} follow {structure} and belong to nothing")]
    TrailingBytes {
        /// The structure.
        structure: &'static str,
        /// Where the first of them stands.
        offset: usize,
        /// How many.
        count: usize,
    },
    /// A field has a value that the structure does not allow.
    #[error("{structure} at offset {offset}: {problem}")]
    Malformed {
        /// The structure.
        structure: &'static str,
        /// Where the field begins.
        offset: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The header event is not the one that the specification prescribes.
    #[error("the header event at offset {offset} {problem}; such a log is not made by firmware")]
    Header {
        /// Where the field begins.
        offset: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The log is of a version that is not known.
    #[error("the header at offset {offset} names specification version {major}.{minor}; a crypto-agile log has 2.0")]
    Version {
        /// Where the version stands.
        offset: usize,
        /// Major version.
        major: u8,
        /// Minor version.
        minor: u8,
    },
    /// The header's list of algorithms breaks a rule.
    #[error("the header's list of algorithms at offset {offset} {problem}")]
    Algorithms {
        /// Where the entry stands.
        offset: usize,
        /// The rule broken.
        problem: &'static str,
    },
    /// An event's list of digests breaks a rule.
    #[error("event {event} at offset {offset}: its list of digests {problem}")]
    Digests {
        /// The event.
        event: usize,
        /// Where the field begins.
        offset: usize,
        /// The rule broken.
        problem: &'static str,
    },
    /// An event carries a digest of an algorithm that the header does not declare.
    #[error("event {event} at offset {offset} carries a digest of {algorithm}, which the header does not declare")]
    UndeclaredAlgorithm {
        /// The event.
        event: usize,
        /// Where the algorithm stands.
        offset: usize,
        /// The algorithm.
        algorithm: AlgorithmId,
    },
    /// An event names a register that does not exist.
    #[error("event {event} at offset {offset} names register {number}, which does not exist")]
    Register {
        /// The event.
        event: usize,
        /// Where the event begins.
        offset: usize,
        /// The number found.
        number: u32,
    },
    /// The log is not of the kind that the caller asked for.
    #[error("this is a {} log: a TPM's log is compared with PCRs, a CCEL log with RTMRs", found.name())]
    WrongFormat {
        /// The format found.
        found: Format,
    },
    /// The locality at which the platform started is given in a way that the specification does not allow.
    #[error("event {event} at offset {offset}: the startup locality {problem}; PCR 0 cannot be replayed")]
    StartupLocality {
        /// The event.
        event: usize,
        /// Where the event begins.
        offset: usize,
        /// The rule broken.
        problem: &'static str,
    },
    /// A bank is to be replayed that the log has no digests of.
    #[error(
        "the event log has no digests of bank {bank}; ask for a bank that the log covers, and do not rely on PCRs of one \
         that it does not"
    )]
    BankNotInLog {
        /// The bank.
        bank: Bank,
    },
    /// An event of a register under verification lacks the digest of the bank.
    #[error(
        "event {event} at offset {offset} carries no {bank} digest, so PCR {pcr} of that bank cannot be replayed; verify \
         in a bank that every event covers"
    )]
    MissingDigest {
        /// The bank.
        bank: Bank,
        /// The register.
        pcr: PcrIndex,
        /// The event.
        event: usize,
        /// Where the event begins.
        offset: usize,
    },
    /// No register was asked for.
    #[error("no PCR was named that the event log has to replay to; such a check would prove nothing")]
    NothingRequested,
    /// A register was asked for whose value nothing authenticates.
    #[error("PCR {pcr} of bank {bank} is to be compared with the event log and no authenticated value of it was given")]
    NotAuthenticated {
        /// The bank.
        bank: Bank,
        /// The register.
        pcr: PcrIndex,
    },
    /// The log measures nothing at all.
    #[error("the event log measures nothing: none of its events extends a PCR")]
    NothingMeasured,
    /// Registers do not have the value that the log replays to.
    #[error("the event log does not replay to the authenticated PCRs: {}", Listed(mismatches))]
    Mismatch {
        /// Every register that differs, at least one.
        mismatches: Vec<ReplayMismatch>,
    },
    /// Two logs have no bank in common.
    #[error("the two event logs have no bank in common that can be compared")]
    NoCommonBank,
    /// A record of a canonical event log breaks a rule.
    #[error("record {record} of the canonical event log, at offset {offset}, {problem}")]
    CelRecord {
        /// The record, from 0.
        record: usize,
        /// Where the field, or in JSON the record, begins.
        offset: usize,
        /// The rule broken.
        problem: &'static str,
    },
    /// No beginning of an IMA list gives the authenticated value.
    #[error(
        "none of the {entries} entries that the IMA list has for PCR {pcr} ends at the authenticated value of bank {bank}: \
         the list was changed, or is of another boot"
    )]
    ImaReplay {
        /// The bank.
        bank: Bank,
        /// The register.
        pcr: PcrIndex,
        /// How many entries were tried.
        entries: usize,
    },
    /// A log that cannot be written.
    #[error("event {event} cannot be written: {problem}")]
    Unwritable {
        /// The event.
        event: usize,
        /// Why.
        problem: &'static str,
    },
}

impl LogError {
    /// Every code that [`LogError::code`] can give.
    pub const CODES: &'static [&'static str] = &[
        "event_log.empty",
        "event_log.size",
        "event_log.truncated",
        "event_log.trailing-bytes",
        "event_log.malformed",
        "event_log.header",
        "event_log.version",
        "event_log.algorithms",
        "event_log.digests",
        "event_log.undeclared-algorithm",
        "event_log.register",
        "event_log.format",
        "event_log.startup-locality",
        "event_log.bank-missing",
        "event_log.missing-digest",
        "event_log.nothing-requested",
        "event_log.not-authenticated",
        "event_log.nothing-measured",
        "event_log.replay-mismatch",
        "event_log.no-common-bank",
        "event_log.cel-record",
        "event_log.ima-replay",
        "event_log.unwritable",
    ];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "event_log.empty",
            Self::TooLarge { .. } => "event_log.size",
            Self::Truncated { .. } => "event_log.truncated",
            Self::TrailingBytes { .. } => "event_log.trailing-bytes",
            Self::Malformed { .. } => "event_log.malformed",
            Self::Header { .. } => "event_log.header",
            Self::Version { .. } => "event_log.version",
            Self::Algorithms { .. } => "event_log.algorithms",
            Self::Digests { .. } => "event_log.digests",
            Self::UndeclaredAlgorithm { .. } => "event_log.undeclared-algorithm",
            Self::Register { .. } => "event_log.register",
            Self::WrongFormat { .. } => "event_log.format",
            Self::StartupLocality { .. } => "event_log.startup-locality",
            Self::BankNotInLog { .. } => "event_log.bank-missing",
            Self::MissingDigest { .. } => "event_log.missing-digest",
            Self::NothingRequested => "event_log.nothing-requested",
            Self::NotAuthenticated { .. } => "event_log.not-authenticated",
            Self::NothingMeasured => "event_log.nothing-measured",
            Self::Mismatch { .. } => "event_log.replay-mismatch",
            Self::NoCommonBank => "event_log.no-common-bank",
            Self::CelRecord { .. } => "event_log.cel-record",
            Self::ImaReplay { .. } => "event_log.ima-replay",
            Self::Unwritable { .. } => "event_log.unwritable",
        }
    }

    /// Where in the log the fault is, where it has one place.
    #[must_use]
    pub const fn offset(&self) -> Option<usize> {
        match self {
            Self::Truncated { offset, .. }
            | Self::TrailingBytes { offset, .. }
            | Self::Malformed { offset, .. }
            | Self::Header { offset, .. }
            | Self::Version { offset, .. }
            | Self::Algorithms { offset, .. }
            | Self::Digests { offset, .. }
            | Self::UndeclaredAlgorithm { offset, .. }
            | Self::Register { offset, .. }
            | Self::StartupLocality { offset, .. }
            | Self::CelRecord { offset, .. }
            | Self::MissingDigest { offset, .. } => Some(*offset),
            _ => None,
        }
    }

    /// The event at fault, where it is one.
    #[must_use]
    pub const fn event(&self) -> Option<usize> {
        match self {
            Self::Digests { event, .. }
            | Self::UndeclaredAlgorithm { event, .. }
            | Self::Register { event, .. }
            | Self::StartupLocality { event, .. }
            | Self::MissingDigest { event, .. }
            | Self::Unwritable { event, .. } => Some(*event),
            _ => None,
        }
    }
}

/// A list in one sentence.
struct Listed<'a>(&'a [ReplayMismatch]);

impl core::fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (position, mismatch) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{mismatch}")?;
        }
        Ok(())
    }
}
