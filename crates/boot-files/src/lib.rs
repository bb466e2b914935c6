//! The files of a boot, and where they are found on a disk.
//!
//! [`BootFiles`] owns what a [`Boot`](nitrotpm_predict::Boot) borrows: images in load order, and what lies beside them.
//! [`find`] fills one from a disk image as firmware, systemd-boot and systemd-stub would on the first boot: the removable
//! media path of the EFI system partition, then `loader.conf`, the entries of type 1 and 2 and their order.
//!
//! ```no_run
//! use nitrotpm_boot_files::find;
//! use nitrotpm_predict::{Boot, Prediction};
//! use nitrotpm_uefi::SecureBootVariables;
//! use nitrotpm_pcr::Bank;
//!
//! fn predict(disk: &[u8]) -> Result<Prediction, Box<dyn std::error::Error>> {
//!     let variables = SecureBootVariables::default();
//!     let files = find(&disk, None)?;
//!     let parts = files.parts()?;
//!     Ok(parts.boot(&variables).predict(&[Bank::Sha384])?)
//! }
//! ```
//!
//! What depends on more than the disk is not decided here: a boot entry or a default in a UEFI variable, a key pressed in
//! a menu. What of a disk was not checked against a real boot or the loader's source is an error, or a register that is
//! said to be unknown.

mod disk;
mod entry;
mod error;
mod files;
mod menu;
#[cfg(test)]
mod tests;
mod version;

pub use disk::{Machine, find};
pub use entry::{Entry, EntryKind, LoaderConf};
pub use error::BootFilesError;
pub use files::{BootFiles, BootParts, NamedFile, OwnedGrubMeasurement, OwnedLinuxEntry, OwnedShimState};
pub use menu::choose;
pub use version::compare_versions;
