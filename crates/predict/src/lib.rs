//! Reference values from an image: which events its boot will measure, why, and the PCRs that follow.
//!
//! ```no_run
//! use nitrotpm_pcr::Bank;
//! use nitrotpm_predict::{Boot, PeImage};
//! use nitrotpm_uefi::SecureBootVariables;
//!
//! let file = std::fs::read("web.efi")?;
//! let images = [PeImage::parse("web.efi", &file)?];
//! let variables = SecureBootVariables::default();
//! let prediction = Boot::new(&variables, &images).predict(&[Bank::Sha384])?;
//! for event in prediction.events() {
//!     println!("PCR {} {}: {}", event.pcr, event.event_type, event.cause);
//! }
//! for (pcr, reason) in prediction.unpredictable() {
//!     println!("PCR {pcr} is not known: {reason}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing is guessed. A PCR is either what a boot with these files measures, by rules that were seen in real boots, or
//! it has no value and a reason. An image that Secure Boot would refuse has no prediction at all.

mod authenticode;
mod boot;
#[cfg(test)]
mod boot_tests;
mod boot_uki;
mod cpio;
mod der;
mod error;
mod event;
mod loader_entry;
mod message;
mod output;
mod pe;
mod schedule;
mod secure_boot;
mod shim;
#[cfg(test)]
mod testing;
mod uki;
mod words;

pub use boot::{Boot, Prediction};
pub use error::{Danger, PredictError, Refusal};
pub use event::PredictedEvent;
pub use loader_entry::LinuxEntry;
pub use nitrotpm_eventlog::EventType;
pub use output::{Caution, ReferenceImage};
pub use pe::PeImage;
pub use secure_boot::{Decision, decide};
pub use shim::{GrubMeasurement, ShimDefaults, ShimState};
pub use uki::{ImageKind, Sidecars};
pub use words::describe_signature;
