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
//!
//! One message at a time goes through [`hash`], [`Hasher`] and [`extend`]. Many independent ones go through a
//! [`Backends`], which works on up to sixteen of them at once with the vector instructions of the processor:
//!
//! ```
//! use nitrotpm_digest_lanes::{Backends, Digest, ExtendChain, HashAlgorithm, extend};
//!
//! let (one, two) = ([1; 48], [2; 48]);
//! let mut chains = [
//!     ExtendChain { value: [0; 48], digests: &[&one, &two] },
//!     ExtendChain { value: [0; 48], digests: &[&two] },
//! ];
//! Backends::detect().extend_many(&mut chains);
//!
//! let zero = Digest::zero(HashAlgorithm::Sha384);
//! assert_eq!(Digest::from(chains[1].value), extend(&zero, &Digest::from(two)).unwrap());
//! ```
//!
//! A [`Stream`] is a message that arrives in pieces; [`Backends::update_many`] appends to several of them side by side.
//!
//! # Layout
//! [`Platform`] names the instruction sets, one file each (`portable`, `shani`, `avx2` with `single`,
//! `avx512vl`, `avx512`), all of
//! one shape: a token that proves the instructions are there, and a kernel for each bank. The drivers (`drive`) keep a
//! kernel's lanes full, and [`Backends`] says which kernel serves how many chains. Only the files of instruction sets
//! have `unsafe` code.
#![no_std]

mod algorithm;
mod backends;
mod bank;
mod constants;
mod digest;
mod dispatch;
mod drive;
mod kernel;
mod platform;
mod portable;
mod prefetch;
mod scalar;
mod stream;

#[cfg(target_arch = "x86_64")]
#[macro_use]
mod lanes;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512vl;
#[cfg(target_arch = "x86_64")]
mod shani;
#[cfg(target_arch = "x86_64")]
mod single;

#[cfg(test)]
mod agreement;

pub use algorithm::{HashAlgorithm, UnknownAlgorithm};
pub use backends::Backends;
pub use bank::DigestBytes;
pub use digest::{AlgorithmMismatch, Digest, WrongLength};
pub use drive::{ExtendChain, Message};
pub use platform::Platform;
pub use scalar::{Hasher, extend, hash};
pub use stream::{Append, Stream};
