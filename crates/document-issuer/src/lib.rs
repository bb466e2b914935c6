//! What the Nitro hypervisor does, with keys of one's own: NitroTPM attestation documents that differ from AWS's in
//! nothing but the root they chain to.
//!
//! Three layers, each usable alone, so that a test can break one thing and leave the rest as AWS has it:
//!
//! 1. [`Profile`] and [`Pki`]: the five certificates, from templates that can be altered before they are signed;
//! 2. [`Payload`]: the CBOR map, entry by entry;
//! 3. [`Envelope`]: the `COSE_Sign1` around it, signed by a [`Key`].
//!
//! [`Issuer`] puts them together. It reads no clock: a document's time is in its contents. What it makes is trusted
//! nowhere until someone adds [`Issuer::root_pem`] to their trust roots.
//!
//! ```
//! use nitrotpm_document_issuer::{DocumentContents, Issuer};
//! use nitrotpm_pcr::{Bank, Digest, PcrIndex, PcrValues};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut pcrs = PcrValues::new();
//! for index in PcrIndex::all() {
//!     pcrs.insert(index, Digest::zero(Bank::Sha384))?;
//! }
//! let mut issuer = Issuer::new("us-east-1", 1_770_113_522)?;
//! let document = issuer.issue(&DocumentContents {
//!     module_id: "i-0123456789abcdef0-tpm0000000000000000".into(),
//!     timestamp_millis: 1_770_113_522_437,
//!     pcrs,
//!     public_key: None,
//!     user_data: None,
//!     nonce: Some(b"sixteen bytes or more".to_vec()),
//! })?;
//! assert!(document.starts_with(&[0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0]));
//! # Ok(())
//! # }
//! ```

pub mod cbor;

mod certificate;
mod der;
mod envelope;
mod error;
mod issuer;
mod key;
mod payload;
mod pki;

pub use certificate::{Authority, CertificateTemplate, Extension, NamePart};
pub use envelope::{Envelope, PROTECTED_HEADER};
pub use error::IssuerError;
pub use issuer::{DocumentContents, Issuer};
pub use key::{Curve, Key};
pub use payload::{MapForm, Payload};
pub use pki::{Pki, Profile};
