//! Enrolment of attestation keys: the verifier's side of `TPM2_ActivateCredential`, without a TPM and without its
//! libraries.
//!
//! A quote says what a TPM measured; whose TPM, only an enrolment can say. The verifier learns the endorsement key of an
//! instance from a source it trusts (for EC2 the API's `GetInstanceTpmEkPub`), encrypts a secret to it *together with
//! the Name of an attestation key*, and the TPM gives the secret back only where it holds both keys. Who knows the
//! secret, has shown that the attestation key, with exactly these attributes, lives in the TPM with that endorsement
//! key (TPM 2.0 Library Part 1, section 24 "Credential Protection").
//!
//! ```text
//! attester                          verifier
//! EnrolmentRequest  ───────────▶  challenge(endorsement key it trusts)
//!                   ◀───────────    Challenge          PendingEnrolment (stays, used once)
//! EnrolmentAnswer   ───────────▶                       complete(self, answer)
//!                                                      EnrolmentRecord: what verification trusts from now on
//! ```
//!
//! Each arrow is a JSON document of its own schema. [`PendingEnrolment::complete`] consumes its value: one attempt a
//! challenge. Who stores it between the two steps must remove it before the attempt, not after.
//!
//! ```
//! use nitrotpm_credential::{CredentialError, EndorsementKey, EnrolmentRequest};
//! use ring::rand::SystemRandom;
//!
//! fn challenge(request: &str, from_ec2: &[u8]) -> Result<(String, String), CredentialError> {
//!     let request = EnrolmentRequest::from_json(request)?;
//!     let trusted = EndorsementKey::parse(from_ec2)?;
//!     let instance_id = "i-0123456789abcdef0".parse()?;
//!     let (pending, challenge) = request.challenge(&trusted, Some(instance_id), &SystemRandom::new())?;
//!     Ok((pending.to_json()?, challenge.to_json()?))
//! }
//! # assert!(challenge("{}", b"").is_err());
//! ```

mod enrolment;
#[cfg(test)]
mod enrolment_tests;
mod error;
mod kdf;
mod protect;
#[cfg(test)]
mod software_tpm;

pub use enrolment::{Challenge, EnrolmentAnswer, EnrolmentRequest, PendingEnrolment};
pub use error::CredentialError;
pub use kdf::{kdfa, kdfe};
pub use nitrotpm_enrolment::{
    CandidateKey, EndorsementKey, EndorsementTemplate, EnrolmentError, EnrolmentRecord, InstanceId, RecordError,
};
pub use protect::{Credential, SharedSecret};
