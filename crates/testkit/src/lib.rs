//! For tests only: a software attestation key and the quotes it signs, right ones and ones with anything wrong.
//!
//! No TPM, no libtss2: what is built here is built with the same wire structures that the verifier reads, so that an
//! attack differs from its accepted twin in exactly the field that a test sets.
//!
//! ```
//! use nitrotpm_digest_lanes::HashAlgorithm;
//! use nitrotpm_signature::Scheme;
//! use nitrotpm_testkit::{QuoteBuilder, SoftwareKey, sample_values};
//!
//! let key = SoftwareKey::p256();
//! let values = sample_values(&[(HashAlgorithm::Sha384, &[4, 7])]);
//! let mut quote = QuoteBuilder::new(b"a nonce", &values);
//! quote.magic = 0;
//! let attack = quote.sign(&key, Scheme::Ecdsa(HashAlgorithm::Sha256));
//! assert_eq!(attack.attest[..4], [0; 4]);
//! ```
#![allow(clippy::expect_used, clippy::panic, reason = "for tests only: what fails here fails a test")]

mod disk;
mod image;
mod key;
mod quote;

pub use disk::{PARTITION_START, crc32, disk_image, fat_volume};
pub use image::{large_unified_kernel_image, pe_image, unified_kernel_image};
pub use key::{SoftwareKey, attestation_key_attributes};
pub use quote::{QuoteBuilder, SignedBytes, sample_values, select};
