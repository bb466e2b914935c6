//! Predicted events.

use nitrotpm_eventlog::EventType;
use nitrotpm_pcr::{Digest, PcrIndex};

/// An event that the boot will measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredictedEvent {
    /// The register.
    pub pcr: PcrIndex,
    /// The type.
    pub event_type: EventType,
    /// One digest a bank, in the order of [`Prediction::banks`](crate::Prediction::banks).
    pub digests: Vec<Digest>,
    /// The event data as a log carries it. For a loaded image, whose place in memory and device path are not known, it is
    /// a `UEFI_IMAGE_LOAD_EVENT` with its length alone.
    pub data: Vec<u8>,
    /// What is measured, in words.
    pub cause: String,
    /// Whether userspace extends it after the kernel started: no log of firmware has it.
    pub by_userspace: bool,
}
