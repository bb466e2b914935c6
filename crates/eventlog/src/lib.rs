//! TCG event logs: parsed without copying, checked, replayed against authenticated PCRs, and only then believed.
//!
//! A log goes one way, and each step is a type that only the step before makes:
//!
//! | type | what is known |
//! |---|---|
//! | [`EventLog`] | the bytes are a whole log; nothing in it is proven |
//! | [`ReplayedLog`] | the values that its events would give |
//! | [`ConfirmedLog`] | authenticated registers have those values: the digests and their order are proven |
//! | claims such as [`SecureBootState`] | taken from data whose digest was computed again ([`PayloadCheck::Verified`]) |
//!
//! ```
//! use nitrotpm_eventlog::{EventLog, EventType, ParseOptions, SecureBootState, writer::LogBuilder};
//! use nitrotpm_pcr::{Bank, PcrIndex};
//!
//! let mut builder = LogBuilder::crypto_agile(&[Bank::Sha384]);
//! builder.measure(7, EventType::SEPARATOR, &[0; 4]);
//! let bytes = builder.finish()?;
//!
//! let log = EventLog::parse(&bytes, &ParseOptions::default())?;
//! let replayed = log.replay_all()?;
//! // These come out of a verified quote or document; here the log stands in for it.
//! let authenticated = replayed.values();
//! let pcr7 = PcrIndex::new(7).unwrap();
//! let confirmed = replayed.confirm(&authenticated, [(Bank::Sha384, pcr7)])?;
//! assert!(matches!(confirmed.secure_boot(), SecureBootState::Unknown { .. }));
//! # Ok::<(), nitrotpm_eventlog::LogError>(())
//! ```
#![no_std]

extern crate alloc;

mod algorithm;
mod batch;
mod ccel;
pub mod cel;
mod claims;
mod confirm;
mod decode;
mod diff;
mod error;
mod event;
mod event_type;
mod explain;
pub mod ima;
mod log;
mod payload;
mod quirks;
mod reader;
mod replay;
mod spec_id;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, and that is all")]
mod tests;
mod text;
pub mod writer;

pub use algorithm::{AlgorithmId, DeclaredBank};
#[cfg(feature = "rayon")]
pub use batch::replay_parallel;
pub use batch::{BatchReplay, BatchedLog, CheckedPayload, LogBatch, ReplayedBatch};
pub use ccel::CcelTable;
pub use claims::{
    Authority, BootPath, BootPathUnknown, CommandLine, CommandLineSource, EarlyApplications, ExitBootServices,
    FirmwareFacts, MeasuredFile, OperatingSystemUnknown, PlatformSeparator, SecureBootFacts, SecureBootState,
    SecureBootUnknown, UkiMeasurements, UkiSection,
};
pub use confirm::{ConfirmedEvent, ConfirmedLog, ReplayMismatch};
pub use decode::{
    Decoded, Detail, DevicePath, DevicePathNode, DeviceSecurityEvent, EventTag, FirmwareBlob, Gpt, GptPartition,
    GptPartitions, HandoffTables, HcrtmComponent, ImageLoad, LoadOption, Locator, PlatformId, SignatureEntry,
    SignatureLists, SignatureType, SipaEvent, SipaEvents, SipaType, Summary, TaggedEvent, UefiVariable,
    VariableContents,
};
pub use diff::{Cause, Change, Difference, LogDiff};
pub use error::LogError;
pub use event::{Digests, Event, Register};
pub use event_type::EventType;
pub use explain::{Explanation, KnownMeasurement};
pub use log::{EventLog, Events, Format, ParseOptions, Source, Tail};
pub use payload::{PayloadCheck, Rule};
pub use quirks::{FoundQuirk, Quirk};
pub use replay::{ReplayedBank, ReplayedLog, ReplayedRegister};
pub use spec_id::{SpecId, SpecIdVersion};
pub use text::{Encoding, Escaped, Text, escape, escape_utf16, is_hidden};
/// A GUID in the byte order of UEFI.
pub use uguid::{Guid, guid};
