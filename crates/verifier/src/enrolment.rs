//! Enrolment records: an attestation key that was proved to live in the TPM of an endorsement key.

use nitrotpm_enrolment::EnrolmentRecord;
pub use nitrotpm_enrolment::RecordError as EnrolmentError;
use nitrotpm_quote::AttestationKey;
use nitrotpm_signature::PublicKey;

/// One enrolled pair: the endorsement key and the attestation key in one object, so that no two components can look at
/// two different pairs.
#[derive(Clone, Debug)]
pub struct Enrolment {
    ak: AttestationKey,
    ek: PublicKey,
    instance_id: Option<String>,
}

impl Enrolment {
    /// Reads a record: `{"schema": "nitrotpm.enrolment/1", "ek_public": b64, "ak_public": b64, "instance_id": text,
    /// "enrolled_at": text}`, the last two optional; the keys as `TPM2B_PUBLIC` or `TPMT_PUBLIC`, the endorsement key
    /// also as DER.
    ///
    /// # Errors
    /// [`EnrolmentError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, EnrolmentError> {
        let text = str::from_utf8(bytes).map_err(|error| EnrolmentError::Malformed {
            detail: format!("the enrolment record is not text: {error}; take it again as the tool wrote it"),
        })?;
        Self::from_record(&EnrolmentRecord::from_json(text)?)
    }

    /// Takes a record that an enrolment just ended with.
    ///
    /// # Errors
    /// [`EnrolmentError::Key`].
    pub fn from_record(record: &EnrolmentRecord) -> Result<Self, EnrolmentError> {
        let public = record.attestation_key().public().clone();
        let ak =
            AttestationKey::from_public(public).map_err(|error| EnrolmentError::Key { detail: error.to_string() })?;
        let ek = record.endorsement_key().public_key().clone();
        Ok(Self { ak, ek, instance_id: record.instance_id().map(ToString::to_string) })
    }

    /// The attestation key.
    #[must_use]
    pub const fn attestation_key(&self) -> &AttestationKey {
        &self.ak
    }

    /// The endorsement key.
    #[must_use]
    pub const fn endorsement_key(&self) -> &PublicKey {
        &self.ek
    }

    /// The instance whose endorsement key it is, if the record says.
    #[must_use]
    pub fn instance_id(&self) -> Option<&str> {
        self.instance_id.as_deref()
    }
}
