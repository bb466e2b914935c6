//! The UEFI structures that decide what Secure Boot lets start, and what firmware measures of them into PCR 7.
//!
//! [`SignatureFile`] reads a variable from whatever file it is kept in, [`SecureBootVariables`] holds the five that PCR 7
//! begins with, [`UefiData`] reads and writes the blob in which EC2 hands out an instance's variables.
//!
//! What is read is kept byte for byte: a measurement is over bytes, and two signature lists with the same entries in
//! another order are two measurements.
//!
//! ```
//! use nitrotpm_uefi::{SignatureDatabase, variable_data, guids};
//!
//! let empty = SignatureDatabase::parse(&[])?;
//! assert_eq!(empty.entries().count(), 0);
//! assert_eq!(variable_data(&guids::GLOBAL_VARIABLE, "SecureBoot", &[0]).len(), 53);
//! # Ok::<(), nitrotpm_uefi::UefiError>(())
//! ```
#![no_std]

extern crate alloc;

mod bytes;
mod error;
mod file;
pub mod guids;
mod secure_boot;
mod signature_list;
mod uefi_data;
mod variable;

pub use error::UefiError;
pub use file::{FileForm, SignatureFile};
pub use secure_boot::{SecureBootVariable, SecureBootVariables};
pub use signature_list::{SignatureDatabase, SignatureEntry, SignatureKind, SignatureList};
pub use uefi_data::{Authentication, UefiData, UefiDataDifference, UefiVariable};
pub use uguid::Guid;
pub use variable::{utf16, variable_data};
