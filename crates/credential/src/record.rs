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
    /// The record of an answered challenge.
    pub(crate) fn new(
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
    /// [`EnrolmentError`]: malformed, or keys that are not fit.
    pub fn from_json(text: &str) -> Result<Self, EnrolmentError> {
        let json = RecordJson::read(text)?;
        Ok(Self {
            endorsement_key: EndorsementKey::parse(&json.ek_public)?,
            attestation_key: CandidateKey::parse(&json.ak_public)?,
            instance_id: json.instance_id.map(|text| text.parse()).transpose()?,
            enrolled_at: json.enrolled_at.map(|text| text.parse().map_err(|_| EnrolmentError::Time)).transpose()?,
        })
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
