//! A raw disk image as firmware sees it before anything boots: the GUID partition table and the FAT file system of the
//! EFI system partition, read only.
//!
//! ```
//! use nitrotpm_disk_image::{DiskError, Gpt, Volume};
//!
//! /// The boot loader in a disk image that is held in memory.
//! fn boot_loader(image: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
//!     let gpt = Gpt::read(&image)?;
//!     let Some(partition) = gpt.system_partitions().next() else { return Ok(None) };
//!     Volume::open(&image, partition.bytes())?.read("EFI/BOOT/BOOTX64.EFI")
//! }
//! assert!(boot_loader(&[0; 4096]).is_err());
//! ```
//!
//! The image is hostile. What is read is bounded by what was asked for: a file by [`LARGEST_FILE`], a directory by
//! [`LARGEST_DIRECTORY`], the partition table by [`LARGEST_PARTITION_TABLE`]; nothing is read of what nobody asked for.
//! Clusters are owned by one file: a chain that loops, or that two files share, is an error. Nothing is repaired.
//!
//! The FAT crates that exist mount a file system for reading and writing and trust its chains; this one answers one
//! question about bytes that may lie.
#![no_std]

extern crate alloc;

mod bytes;
mod disk;
mod error;
mod fat;
mod gpt;
#[cfg(test)]
mod gpt_tests;

pub use disk::{Disk, ReadFailure};
pub use error::DiskError;
pub use fat::{DirectoryEntry, LARGEST_DIRECTORY, LARGEST_FILE, Volume};
pub use gpt::{EFI_SYSTEM_PARTITION, EXTENDED_BOOT_LOADER, Gpt, LARGEST_PARTITION_TABLE, Partition};
pub use uguid::Guid;
