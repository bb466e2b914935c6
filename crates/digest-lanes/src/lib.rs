//! Hashing for the four hash banks of a TPM 2.0: SHA-1, SHA-256, SHA-384 and SHA-512.
//!
//! Every measurement of the toolkit is hashed here and nowhere else, so that a faster form of it serves everybody.
//! Signatures hash inside their own library.
//!
//! ```
//! use nitrotpm_digest_lanes::{Digest, HashAlgorithm, extend, hash};
//!
//! let separator = hash(HashAlgorithm::Sha384, &[&[0, 0, 0, 0]]);
//! let pcr = extend(&Digest::zero(HashAlgorithm::Sha384), &separator).unwrap();
//! assert!(pcr.to_string().starts_with("518923b0f955d08d"));
//! ```
#![no_std]

mod algorithm;
mod digest;
mod scalar;

pub use algorithm::{HashAlgorithm, UnknownAlgorithm};
pub use digest::{AlgorithmMismatch, Digest, WrongLength};
pub use scalar::{Hasher, extend, hash};
