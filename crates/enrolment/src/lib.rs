//! The keys of an enrolment, and the record that it ends with.
//!
//! An enrolment shows that an attestation key lives in the TPM with an endorsement key. How it is shown is
//! `nitrotpm-credential`'s subject, and needs a cipher and RSA encryption; what comes of it is here, and needs neither, so
//! that a verifier reads the same record that the enrolment wrote.
//!
//! ```
//! use nitrotpm_enrolment::{EnrolmentRecord, RecordError};
//!
//! fn instance(record: &str) -> Result<Option<String>, RecordError> {
//!     let record = EnrolmentRecord::from_json(record)?;
//!     Ok(record.instance_id().map(ToString::to_string))
//! }
//! # assert_eq!(instance("{}").unwrap_err().code(), "enrolment.malformed");
//! ```

mod candidate;
mod endorsement;
mod error;
mod instance_id;
mod json;
mod record;
mod template;

pub use candidate::CandidateKey;
pub use endorsement::EndorsementKey;
pub use error::EnrolmentError;
pub use instance_id::InstanceId;
pub use json::{Document, base64_bytes, hex_bytes};
pub use record::{EnrolmentRecord, RecordError};
pub use template::EndorsementTemplate;
