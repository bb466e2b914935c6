//! Public keys and signature checks, behind a backend that the caller holds as a value.
//!
//! A key is checked when it is made: what a [`PublicKey`] holds has an allowed size and exactly one encoding, so that
//! equal keys compare equal however they arrived. A check is one call, [`Backend::verify`], and what the backend cannot
//! compute is an error of its own, never a pass.
//!
//! ```
//! use nitrotpm_digest_lanes::HashAlgorithm;
//! use nitrotpm_signature::{Backend, PublicKey, Scheme, SignatureBytes, SignatureError};
//!
//! let key = PublicKey::from_sec1(&[&[4][..], &[0x11; 64]].concat())?;
//! let signature = SignatureBytes::Ecdsa { r: &[1], s: &[1] };
//! let outcome = Backend::default().verify(&key, Scheme::Ecdsa(HashAlgorithm::Sha256), b"message", signature);
//! assert_eq!(outcome, Err(SignatureError::Wrong));
//! # Ok::<(), SignatureError>(())
//! ```

mod backend;
mod der;
mod error;
mod key;
mod pem;

#[cfg(test)]
mod wycheproof_tests;

pub use backend::{Backend, Scheme, SignatureBytes};
pub use error::SignatureError;
pub use key::{Curve, EcPublicKey, PublicKey, RsaPublicKey};
