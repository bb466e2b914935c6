//! TPM 2.0 structures that a verifier reads, in the form they have on the wire: big endian, byte for byte.
//!
//! Everything here is parsed and nothing is verified. What a structure holds is what somebody wrote into it; a quote
//! becomes evidence only in the crate that checks its signature.
//!
//! Every structure is a [`Structure`]: [`Structure::parse`] takes the bare structure and [`Structure::parse_tpm2b`] the
//! one with a size in front, never either. Bytes after the structure are refused, lengths are checked before anything
//! is allocated, values that are not known are kept where the layout does not hang on them, and what was parsed is
//! written back as exactly the same bytes.
//!
//! ```
//! use nitrotpm_tpm_wire::{PcrSelectionList, Structure};
//!
//! // One selection: SHA-384, three bytes of bitmap, PCR 4 and 7.
//! let bytes = [0, 0, 0, 1, 0x00, 0x0C, 3, 0x90, 0x00, 0x00];
//! let list = PcrSelectionList::parse(&bytes)?;
//! assert_eq!(list.selections[0].indices().collect::<Vec<_>>(), [4, 7]);
//! assert_eq!(list.to_bytes()?, bytes);
//!
//! let error = PcrSelectionList::parse(&bytes[..9]).unwrap_err();
//! assert_eq!((error.structure, error.offset, error.code()), ("TPMS_PCR_SELECTION", 7, "tpm.truncated"));
//! # Ok::<(), nitrotpm_tpm_wire::WireError>(())
//! ```
#![no_std]

extern crate alloc;

mod algorithm;
mod attest;
mod attributes;
mod digests;
mod error;
mod public;
mod reader;
mod selection;
mod signature;
mod structure;
#[cfg(test)]
mod tests;
mod writer;

pub use algorithm::{AlgorithmId, EccCurve};
pub use attest::{Attest, AttestationType, Attested, ClockInfo, QuoteInfo};
pub use attributes::ObjectAttributes;
pub use digests::DigestList;
pub use error::{WireError, WireErrorKind};
pub use public::{
    AsymmetricScheme, EccParameters, EccPoint, KdfScheme, Public, PublicParameters, RsaParameters, Symmetric,
};
pub use reader::Reader;
pub use selection::{PcrSelection, PcrSelectionList};
pub use signature::Signature;
pub use structure::Structure;
pub use writer::Writer;
