//! Keys that sign certificates and documents.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, SignatureAlgorithm};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
};

use crate::IssuerError;

/// A curve, and the hash that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// P-256 with SHA-256: AWS uses it nowhere in this PKI.
    P256,
    /// P-384 with SHA-384.
    P384,
}

impl Curve {
    fn algorithms(self) -> (&'static SignatureAlgorithm, &'static EcdsaSigningAlgorithm) {
        match self {
            Self::P256 => (&PKCS_ECDSA_P256_SHA256, &ECDSA_P256_SHA256_FIXED_SIGNING),
            Self::P384 => (&PKCS_ECDSA_P384_SHA384, &ECDSA_P384_SHA384_FIXED_SIGNING),
        }
    }
}

/// A private key with its public half.
pub struct Key {
    /// Signs certificates (signatures in DER).
    pub(crate) pair: KeyPair,
    /// The same key; signs documents (r and s, one after the other).
    signer: EcdsaKeyPair,
}

impl core::fmt::Debug for Key {
    /// The public half only.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Key").field("public", &self.pair.public_key_raw()).finish_non_exhaustive()
    }
}

impl Key {
    /// Makes a new key from the operating system's random bytes.
    ///
    /// # Errors
    /// [`IssuerError::Crypto`] where there are none.
    pub fn generate(curve: Curve) -> Result<Self, IssuerError> {
        let (_, signing) = curve.algorithms();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(signing, &SystemRandom::new())
            .map_err(|_| IssuerError::Crypto("the operating system gave no random bytes".into()))?;
        Self::from_pkcs8(curve, pkcs8.as_ref())
    }

    /// Takes a key that was kept, PKCS #8 in DER.
    ///
    /// # Errors
    /// [`IssuerError::Crypto`] where it is no key of that curve.
    pub fn from_pkcs8(curve: Curve, pkcs8: &[u8]) -> Result<Self, IssuerError> {
        let (certificates, signing) = curve.algorithms();
        let signer = EcdsaKeyPair::from_pkcs8(signing, pkcs8, &SystemRandom::new())
            .map_err(|error| IssuerError::Crypto(error.to_string()))?;
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.into(), certificates)
            .map_err(|error| IssuerError::Crypto(error.to_string()))?;
        Ok(Self { pair, signer })
    }

    /// The key as PKCS #8 in DER: a secret.
    #[must_use]
    pub fn to_pkcs8(&self) -> Vec<u8> {
        self.pair.serialize_der()
    }

    /// The public key as an uncompressed point: 0x04, x, y.
    #[must_use]
    pub fn public_point(&self) -> &[u8] {
        self.pair.public_key_raw()
    }

    /// Signs a message with ECDSA and the curve's hash: r and s one after the other, 96 bytes for P-384 (RFC 9053,
    /// section 2.1).
    ///
    /// # Errors
    /// [`IssuerError::Crypto`] where there are no random bytes.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, IssuerError> {
        self.signer
            .sign(&SystemRandom::new(), message)
            .map(|signature| signature.as_ref().to_vec())
            .map_err(|_| IssuerError::Crypto("the operating system gave no random bytes".into()))
    }
}

/// Random bytes for serial numbers and names.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], IssuerError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| IssuerError::Crypto("the operating system gave no random bytes".into()))?;
    Ok(bytes)
}
