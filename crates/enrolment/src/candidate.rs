//! An attestation key that asks to be enrolled.

use nitrotpm_digest_lanes::HashAlgorithm;
use nitrotpm_signature::PublicKey;
use nitrotpm_tpm_wire::{AlgorithmId, AsymmetricScheme, ObjectAttributes, Public};

use crate::EnrolmentError;
use crate::endorsement::{name_hash, parse_public, public_key};

/// An attestation key whose public area is fit to be enrolled. In which TPM it lives, if in any, is what enrolment finds
/// out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateKey {
    public: Public,
    key: PublicKey,
    name: Vec<u8>,
}

impl CandidateKey {
    /// What makes a key sign nothing but what its TPM made, and stay in it.
    const REQUIRED: ObjectAttributes = ObjectAttributes::FIXED_TPM
        .with(ObjectAttributes::FIXED_PARENT)
        .with(ObjectAttributes::SENSITIVE_DATA_ORIGIN)
        .with(ObjectAttributes::RESTRICTED)
        .with(ObjectAttributes::SIGN);
    /// What it must not do as well.
    const FORBIDDEN: [ObjectAttributes; 2] = [ObjectAttributes::DECRYPT, ObjectAttributes::X509_SIGN];

    /// Reads a `TPM2B_PUBLIC` or `TPMT_PUBLIC`; a PEM or DER key has no attributes and cannot be enrolled.
    ///
    /// # Errors
    /// [`EnrolmentError`] where the bytes are something else, or the key is not fit.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnrolmentError> {
        if matches!(bytes, [b'-' | 0x30, ..]) {
            return Err(EnrolmentError::NoAttributes);
        }
        Self::from_public(parse_public(bytes)?)
    }

    /// Takes a public area.
    ///
    /// # Errors
    /// [`EnrolmentError::KeyAttributes`] names the attributes that are missing or too many;
    /// [`EnrolmentError::KeyScheme`] is for a key that does not fix a signature scheme with SHA-256 or better.
    pub fn from_public(public: Public) -> Result<Self, EnrolmentError> {
        let missing = Self::REQUIRED.without(public.attributes);
        if missing.0 != 0 {
            return Err(EnrolmentError::KeyAttributes { wrong: missing, missing: true });
        }
        if let Some(&wrong) = Self::FORBIDDEN.iter().find(|wrong| public.attributes.contains(**wrong)) {
            return Err(EnrolmentError::KeyAttributes { wrong, missing: false });
        }
        let scheme = public.scheme();
        match scheme {
            AsymmetricScheme::Hashed {
                scheme: AlgorithmId::RSASSA | AlgorithmId::RSAPSS | AlgorithmId::ECDSA,
                hash,
            } if hash.hash().is_some_and(|hash| hash != HashAlgorithm::Sha1) => {}
            _ => return Err(EnrolmentError::KeyScheme { found: scheme.scheme() }),
        }
        name_hash(&public)?;
        let key = public_key(&public)?;
        let name = public.name().ok_or(EnrolmentError::NameAlgorithm { found: public.name_alg })?;
        Ok(Self { public, key, name })
    }

    /// The public area.
    #[must_use]
    pub const fn public(&self) -> &Public {
        &self.public
    }

    /// The key in it.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// The key's Name: what a credential is bound to.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }
}
