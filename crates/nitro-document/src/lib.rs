//! The NitroTPM attestation document: from bytes that anybody may have written to facts that AWS signed.
//!
//! ```text
//! bytes --parse--> UnverifiedDocument --verify(roots, expectations)--> VerifiedDocument
//! ```
//!
//! Only [`VerifiedDocument`] has claims. Nothing here reads a clock, a file or the network: the trust roots, the time
//! and the nonce are arguments.
//!
//! The document is a `COSE_Sign1` structure (RFC 9052) around a CBOR map, signed by a certificate that lives three
//! hours and chains to a root that AWS publishes (EC2 user guide, "Validate a NitroTPM Attestation Document";
//! `aws-nitro-enclaves-nsm-api`, `attestation_process.md`). A Nitro *Enclaves* document has the same root, chain and
//! signature: it is told apart by type and refused ([`DocumentError::WrongType`]).
//!
//! Revocation is not checked. AWS states that CRL checking must be disabled when these documents are validated; the
//! leaf certificate lives three hours and its issuer one day.
//!
//! ```no_run
//! use nitrotpm_freshness::{Clock, NonceExpectation, UnixTime};
//! use nitrotpm_nitro_document::{DocumentError, DocumentExpectations, TrustRoots, UnverifiedDocument};
//!
//! # fn f(bytes: &[u8], now: UnixTime) -> Result<(), DocumentError> {
//! let document = UnverifiedDocument::parse(bytes)?;
//! let expectations = DocumentExpectations::new(Clock::Live(now), NonceExpectation::NotChecked);
//! let verified = document.verify(&TrustRoots::aws(), &expectations)?;
//! assert_eq!(verified.instance_id(), "i-01cfb383223e42522");
//! # Ok(())
//! # }
//! ```

mod cache;
mod cbor;
mod chain;
mod cose;
mod document;
mod ecdsa;
mod error;
mod expectations;
mod fields;
mod gate;
mod names;
mod roots;
mod time;
mod verified;

pub use cache::ChainCache;
pub use cose::MAX_DOCUMENT_LEN;
pub use document::UnverifiedDocument;
pub use error::{CborFault, CertificateId, CoseFault, DocumentError, NotNitroTpm};
pub use expectations::{CLOCK_SKEW_SECONDS, DocumentExpectations};
pub use fields::{DocumentFields, UnknownKey};
pub use names::is_instance_id;
/// The time type of certificates and clocks.
pub use nitrotpm_freshness::UnixTime;
pub use nitrotpm_signature::Backend;
pub use roots::{AWS_ROOT_SHA256, TrustRootError, TrustRoots};
pub use verified::{CertificateSummary, VerifiedDocument};
