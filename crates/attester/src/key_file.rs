//! Keys at rest: on disk, wrapped by the TPM.

use nitrotpm_credential::CandidateKey;
use nitrotpm_tpm_wire::{
    AlgorithmId, AsymmetricScheme, EccCurve, EccParameters, EccPoint, KdfScheme, ObjectAttributes, Public,
    PublicParameters, RsaParameters, Structure, Symmetric,
};
use serde::{Deserialize, Serialize};

use crate::AttesterError;
use crate::encoding::base64_bytes;

/// The kinds of attestation keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// RSA-2048, RSASSA-PKCS1-v1_5 with SHA-256.
    Rsa2048,
    /// RSA-2048, RSASSA-PSS with SHA-256.
    Rsa2048Pss,
    /// ECDSA on P-256 with SHA-256.
    P256,
    /// ECDSA on P-384 with SHA-384.
    P384,
}

impl KeyAlgorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rsa2048, Self::Rsa2048Pss, Self::P256, Self::P384];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa2048",
            Self::Rsa2048Pss => "rsa2048-pss",
            Self::P256 => "p256",
            Self::P384 => "p384",
        }
    }

    /// The public area to give to `TPM2_Create`: a restricted signing key that never leaves its TPM. Wrong passwords
    /// elsewhere do not lock it, so that an instance can always be attested.
    #[must_use]
    pub fn template(self) -> Public {
        let attributes = ObjectAttributes::FIXED_TPM
            .with(ObjectAttributes::FIXED_PARENT)
            .with(ObjectAttributes::SENSITIVE_DATA_ORIGIN)
            .with(ObjectAttributes::USER_WITH_AUTH)
            .with(ObjectAttributes::NO_DA)
            .with(ObjectAttributes::RESTRICTED)
            .with(ObjectAttributes::SIGN);
        let rsa = |scheme| PublicParameters::Rsa {
            parameters: RsaParameters {
                symmetric: Symmetric::Null,
                scheme: AsymmetricScheme::Hashed { scheme, hash: AlgorithmId::SHA256 },
                key_bits: 2048,
                exponent: 0,
            },
            modulus: Vec::new(),
        };
        let ecc = |curve, hash| PublicParameters::Ecc {
            parameters: EccParameters {
                symmetric: Symmetric::Null,
                scheme: AsymmetricScheme::Hashed { scheme: AlgorithmId::ECDSA, hash },
                curve,
                kdf: KdfScheme::Null,
            },
            point: EccPoint { x: Vec::new(), y: Vec::new() },
        };
        let parameters = match self {
            Self::Rsa2048 => rsa(AlgorithmId::RSASSA),
            Self::Rsa2048Pss => rsa(AlgorithmId::RSAPSS),
            Self::P256 => ecc(EccCurve::NIST_P256, AlgorithmId::SHA256),
            Self::P384 => ecc(EccCurve::NIST_P384, AlgorithmId::SHA384),
        };
        Public { name_alg: AlgorithmId::SHA256, attributes, auth_policy: Vec::new(), parameters }
    }
}

/// The storage key under which attestation keys lie: made again from its seed each time, the same one until the TPM's
/// endorsement seed changes.
///
/// It is in the endorsement hierarchy, so that the owner's password is not needed and quotes show the TPM's firmware
/// version and its reset counters as they are: for keys of other hierarchies a TPM disguises them (TPM 2.0 Library
/// Part 1, section 36.7).
pub(crate) fn parent_template() -> Public {
    Public {
        name_alg: AlgorithmId::SHA256,
        attributes: ObjectAttributes::FIXED_TPM
            .with(ObjectAttributes::FIXED_PARENT)
            .with(ObjectAttributes::SENSITIVE_DATA_ORIGIN)
            .with(ObjectAttributes::USER_WITH_AUTH)
            .with(ObjectAttributes::NO_DA)
            .with(ObjectAttributes::RESTRICTED)
            .with(ObjectAttributes::DECRYPT),
        auth_policy: Vec::new(),
        parameters: PublicParameters::Ecc {
            parameters: EccParameters {
                symmetric: Symmetric::Cipher { algorithm: AlgorithmId::AES, key_bits: 128, mode: AlgorithmId::CFB },
                scheme: AsymmetricScheme::Null,
                curve: EccCurve::NIST_P256,
                kdf: KdfScheme::Null,
            },
            point: EccPoint { x: vec![0; 32], y: vec![0; 32] },
        },
    }
}

/// Where the private part of a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Private {
    /// Here, encrypted by the TPM: the content of `TPM2B_PRIVATE`.
    Wrapped(Vec<u8>),
    /// In the TPM, at this handle.
    Persistent(u32),
}

/// An attestation key: kept on disk, its private part encrypted by the TPM and useless elsewhere, or in the TPM.
///
/// JSON of one kept on disk: `{"schema": "nitrotpm.key/1", "public": b64 of TPM2B_PUBLIC, "private": b64 of the content of TPM2B_PRIVATE}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    pub(crate) public: Public,
    pub(crate) private: Private,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyJson {
    schema: String,
    #[serde(with = "base64_bytes")]
    public: Vec<u8>,
    #[serde(with = "base64_bytes")]
    private: Vec<u8>,
}

const SCHEMA: &str = "nitrotpm.key/1";

impl StoredKey {
    /// The public area.
    #[must_use]
    pub const fn public(&self) -> &Public {
        &self.public
    }

    /// The public key as DER `SubjectPublicKeyInfo`: the form in which a document carries it.
    ///
    /// # Errors
    /// [`AttesterError::Credential`] for a key that is no attestation key.
    pub fn public_key_der(&self) -> Result<Vec<u8>, AttesterError> {
        Ok(CandidateKey::from_public(self.public.clone())?.public_key().to_spki_der())
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`AttesterError::Malformed`], [`AttesterError::Wire`].
    pub fn from_json(text: &str) -> Result<Self, AttesterError> {
        let malformed = |detail| AttesterError::Malformed { document: "the key file", detail };
        let json: KeyJson = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        if json.schema != SCHEMA {
            return Err(malformed(format!("its schema is not \"{SCHEMA}\"")));
        }
        Ok(Self { public: Public::parse_tpm2b(&json.public)?, private: Private::Wrapped(json.private) })
    }

    /// Writes a key file.
    ///
    /// # Errors
    /// [`AttesterError::Malformed`] for a key that is in the TPM; [`AttesterError::Wire`] where the public area is too long
    /// to be written.
    pub fn to_json(&self) -> Result<String, AttesterError> {
        let Private::Wrapped(private) = &self.private else {
            let detail = "a persistent key stays in the TPM, name it by its handle".to_owned();
            return Err(AttesterError::Malformed { document: "the key file", detail });
        };
        let json = KeyJson { schema: SCHEMA.to_owned(), public: self.public.to_tpm2b()?, private: private.clone() };
        serde_json::to_string(&json)
            .map_err(|error| AttesterError::Malformed { document: "the key file", detail: error.to_string() })
    }
}
