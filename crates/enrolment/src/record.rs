//! What verification trusts after an enrolment.

use jiff::Timestamp;
use nitrotpm_freshness::UnixTime;
use nitrotpm_tpm_wire::Structure;
use serde::{Deserialize, Serialize};

use crate::json::{Document, base64_bytes};
use crate::{CandidateKey, EndorsementKey, EnrolmentError, InstanceId};

/// An enrolled key: this attestation key lives in the TPM with this endorsement key, and on this instance if it is named.
///
/// Both keys are one object, and it never changes: another key of the same instance is another record.
///
/// JSON: `{"schema": "nitrotpm.enrolment/1", "ek_public": b64, "ak_public": b64, "instance_id": text or absent,
/// "enrolled_at": RFC 3339 or absent}`, both keys as `TPM2B_PUBLIC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentRecord {
    endorsement_key: EndorsementKey,
    attestation_key: CandidateKey,
    instance_id: Option<InstanceId>,
    enrolled_at: Option<Timestamp>,
}

/// Why a file is not an enrolment record, in a verifier's words: it was given one to trust, and goes no further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Not JSON of the schema.
    #[error("{detail}")]
    Malformed {
        /// What is wrong and where.
        detail: String,
    },
    /// The attestation key is not one.
    #[error("the enrolment record's attestation key is not one: {detail}")]
    Key {
        /// What is wrong with it.
        detail: String,
    },
    /// The endorsement key is not one.
    #[error("the enrolment record's endorsement key is not one: {detail}")]
    EndorsementKey {
        /// What is wrong with it.
        detail: String,
    },
    /// The attestation key has no TPM attributes, so nothing can have been activated for it.
    #[error(
        "the enrolment record's attestation key carries no TPM attributes; it must be a TPM2B_PUBLIC or TPMT_PUBLIC"
    )]
    KeyWithoutAttributes,
}

impl RecordError {
    /// Every code that [`Self::code`] can return.
    pub const CODES: &'static [&'static str] =
        &["enrolment.endorsement-key", "enrolment.key", "enrolment.key-without-attributes", "enrolment.malformed"];

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "enrolment.malformed",
            Self::Key { .. } => "enrolment.key",
            Self::EndorsementKey { .. } => "enrolment.endorsement-key",
            Self::KeyWithoutAttributes => "enrolment.key-without-attributes",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordJson {
    schema: String,
    #[serde(with = "base64_bytes")]
    ek_public: Vec<u8>,
    #[serde(with = "base64_bytes")]
    ak_public: Vec<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enrolled_at: Option<String>,
}

impl Document for RecordJson {
    const DOCUMENT: &'static str = "enrolment record";
    const SCHEMA: &'static str = "nitrotpm.enrolment/1";
}

impl EnrolmentRecord {
    /// The record of an answered challenge: for the code that has seen the answer.
    ///
    /// # Errors
    /// [`EnrolmentError::Time`].
    pub fn new(
        endorsement_key: EndorsementKey,
        attestation_key: CandidateKey,
        instance_id: Option<InstanceId>,
        at: Option<UnixTime>,
    ) -> Result<Self, EnrolmentError> {
        let enrolled_at = at.map(timestamp).transpose()?;
        Ok(Self { endorsement_key, attestation_key, instance_id, enrolled_at })
    }

    /// The endorsement key.
    #[must_use]
    pub const fn endorsement_key(&self) -> &EndorsementKey {
        &self.endorsement_key
    }

    /// The attestation key.
    #[must_use]
    pub const fn attestation_key(&self) -> &CandidateKey {
        &self.attestation_key
    }

    /// The instance, where the verifier knew it.
    #[must_use]
    pub const fn instance_id(&self) -> Option<&InstanceId> {
        self.instance_id.as_ref()
    }

    /// When the challenge was answered, by the verifier's clock.
    #[must_use]
    pub const fn enrolled_at(&self) -> Option<Timestamp> {
        self.enrolled_at
    }

    /// Reads a record that this verifier, or one it trusts, has written: a record carries no signature, so its file is
    /// as trustworthy as whoever can write to it.
    ///
    /// # Errors
    /// [`RecordError`]: malformed, or keys that are not fit.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        let malformed = |error: EnrolmentError| RecordError::Malformed { detail: error.to_string() };
        let json = RecordJson::read(text).map_err(malformed)?;
        let instance_id = json.instance_id.map(|text| text.parse()).transpose().map_err(malformed)?;
        let enrolled_at = json.enrolled_at.map(|text| text.parse().map_err(|_| EnrolmentError::Time)).transpose();
        let endorsement_key = EndorsementKey::parse(&json.ek_public)
            .map_err(|error| RecordError::EndorsementKey { detail: error.to_string() })?;
        let attestation_key = CandidateKey::parse(&json.ak_public).map_err(|error| match error {
            EnrolmentError::NoAttributes => RecordError::KeyWithoutAttributes,
            other => RecordError::Key { detail: other.to_string() },
        })?;
        Ok(Self { endorsement_key, attestation_key, instance_id, enrolled_at: enrolled_at.map_err(malformed)? })
    }

    /// Writes the record.
    ///
    /// # Errors
    /// [`EnrolmentError`] where a public area is too long to be written.
    pub fn to_json(&self) -> Result<String, EnrolmentError> {
        let json = RecordJson {
            schema: RecordJson::SCHEMA.to_owned(),
            ek_public: self.endorsement_key.public().to_tpm2b()?,
            ak_public: self.attestation_key.public().to_tpm2b()?,
            instance_id: self.instance_id.as_ref().map(InstanceId::to_string),
            enrolled_at: self.enrolled_at.map(|time| time.to_string()),
        };
        Ok(json.write()?.to_string())
    }
}

fn timestamp(time: UnixTime) -> Result<Timestamp, EnrolmentError> {
    let seconds = i64::try_from(time.as_secs()).map_err(|_| EnrolmentError::Time)?;
    Timestamp::from_second(seconds).map_err(|_| EnrolmentError::Time)
}
