//! Enrolment records: an attestation key that was proved to live in the TPM of an endorsement key.

use nitrotpm_nitro_document::is_instance_id;
use nitrotpm_quote::{AttestationKey, QuoteError, parse_public_key};
use nitrotpm_signature::PublicKey;
use serde::{Deserialize, Serialize};

use crate::evidence::{Bytes, escape};

/// The schema of an enrolment record.
pub const ENROLMENT_SCHEMA: &str = "nitrotpm.enrolment/1";

/// Why a file is not an enrolment record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolmentError {
    /// Not JSON of the schema.
    #[error("the enrolment record is not well-formed: {message}")]
    Malformed {
        /// What the reader said.
        message: String,
    },
    /// The attestation key is not one.
    #[error("the enrolment record's attestation key: {0}")]
    Key(QuoteError),
    /// The endorsement key cannot be read.
    #[error("the enrolment record's endorsement key: {0}")]
    EndorsementKey(QuoteError),
    /// The attestation key has no TPM attributes, so nothing can have been activated for it.
    #[error(
        "the enrolment record's attestation key carries no TPM attributes; it must be a TPM2B_PUBLIC or TPMT_PUBLIC"
    )]
    KeyWithoutAttributes,
}

impl EnrolmentError {
    /// Every code that [`Self::code`] can return.
    pub const CODES: &'static [&'static str] =
        &["enrolment.endorsement-key", "enrolment.key", "enrolment.key-without-attributes", "enrolment.malformed"];

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "enrolment.malformed",
            Self::Key(_) => "enrolment.key",
            Self::EndorsementKey(_) => "enrolment.endorsement-key",
            Self::KeyWithoutAttributes => "enrolment.key-without-attributes",
        }
    }
}

/// One enrolled pair: the endorsement key and the attestation key in one object, so that no two components can look at
/// two different pairs.
#[derive(Clone, Debug)]
pub struct Enrolment {
    ak: AttestationKey,
    ek: PublicKey,
    instance_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    ek_public: Bytes,
    ak_public: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrolled_at: Option<String>,
}

impl Enrolment {
    /// The largest record that is read, in bytes.
    pub const MAX_LEN: usize = 64 << 10;

    /// Reads a record: `{"schema": "nitrotpm.enrolment/1", "ek_public": b64, "ak_public": b64, "instance_id": text,
    /// "enrolled_at": text}`, the last two optional; the keys as `TPM2B_PUBLIC` or `TPMT_PUBLIC`, the endorsement key
    /// also as DER.
    ///
    /// # Errors
    /// [`EnrolmentError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, EnrolmentError> {
        let malformed = |message: String| EnrolmentError::Malformed { message };
        if bytes.len() > Self::MAX_LEN {
            return Err(malformed(format!("{} bytes; at most {} are read", bytes.len(), Self::MAX_LEN)));
        }
        let file: File = serde_json::from_slice(bytes).map_err(|error| malformed(escape(&error.to_string())))?;
        if file.schema != ENROLMENT_SCHEMA {
            return Err(malformed(format!("the schema is \"{}\", not \"{ENROLMENT_SCHEMA}\"", escape(&file.schema))));
        }
        if let Some(id) = file.instance_id.as_deref().filter(|id| !is_instance_id(id)) {
            return Err(malformed(format!("\"{}\" is not an instance id", escape(id))));
        }
        let ak = AttestationKey::parse(&file.ak_public.into_inner()).map_err(EnrolmentError::Key)?;
        if ak.attributes().is_none() {
            return Err(EnrolmentError::KeyWithoutAttributes);
        }
        let ek = parse_public_key(&file.ek_public.into_inner()).map_err(EnrolmentError::EndorsementKey)?;
        Ok(Self { ak, ek, instance_id: file.instance_id })
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
