//! The recipient's key.

use std::fmt;

use nitrotpm_randomness::RingRandom;
use ring::rand::SecureRandom;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rsa::sha2::Sha256;
use rsa::traits::PublicKeyParts as _;
use rsa::{BoxedUint, PrivateKey};
use zeroize::Zeroizing;

use crate::RecipientError;

/// The RSA key of a recipient: made on the instance, for a while, and never leaving it.
///
/// Decryption is blinded. The `rsa` crate does not promise constant time (RUSTSEC-2023-0071), so do not let strangers
/// have many ciphertexts decrypted and watch the time: one key, a few answers of KMS, is what it is for.
#[derive(Clone)]
pub struct RecipientKey(PrivateKey);

impl RecipientKey {
    /// The sizes that KMS accepts.
    const BITS: std::ops::RangeInclusive<u32> = 2048..=4096;

    /// Makes a key of 2048 bits.
    ///
    /// # Errors
    /// [`RecipientError::Random`].
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, RecipientError> {
        PrivateKey::new_with_exp(&mut RingRandom(random), 2048, BoxedUint::from(65_537_u32))
            .map(Self)
            .map_err(|_| RecipientError::Random)
    }

    /// Reads a private key: PKCS#8, as PEM (`PRIVATE KEY`) or DER.
    ///
    /// # Errors
    /// [`RecipientError::Key`].
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, RecipientError> {
        let unreadable = RecipientError::Key { detail: "it is no unencrypted PKCS#8 RSA key" };
        let key = if bytes.starts_with(b"-") {
            let text = std::str::from_utf8(bytes).map_err(|_| unreadable)?;
            PrivateKey::from_pkcs8_pem(text).map_err(|_| unreadable)?
        } else {
            PrivateKey::from_pkcs8_der(bytes).map_err(|_| unreadable)?
        };
        if !Self::BITS.contains(&key.n().bit_width()) {
            return Err(RecipientError::Key { detail: "its size is not one that KMS accepts" });
        }
        Ok(Self(key))
    }

    /// The private key as PEM, to be kept where only its owner reads.
    ///
    /// # Errors
    /// [`RecipientError::Key`] where it cannot be written.
    pub fn to_pkcs8_pem(&self) -> Result<Zeroizing<String>, RecipientError> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF);
        pem.map_err(|_| RecipientError::Key { detail: "it cannot be written" })
    }

    /// The public key as DER `SubjectPublicKeyInfo`: what goes into the document's `public_key`.
    ///
    /// # Errors
    /// [`RecipientError::Key`] where it cannot be written.
    pub fn public_key_der(&self) -> Result<Vec<u8>, RecipientError> {
        let der = self.0.to_public_key().to_public_key_der();
        der.map(|der| der.as_bytes().to_vec()).map_err(|_| RecipientError::Key { detail: "it cannot be written" })
    }

    /// RSAES-OAEP with SHA-256 and no label.
    pub(crate) fn decrypt(
        &self,
        ciphertext: &[u8],
        random: &dyn SecureRandom,
    ) -> Result<Zeroizing<Vec<u8>>, RecipientError> {
        let opened = self.0.oaep_decrypt_with_rng::<Sha256, _>(&mut RingRandom(random), ciphertext);
        opened.map(Zeroizing::new).map_err(|error| match error {
            rsa::Error::Rng => RecipientError::Random,
            _ => RecipientError::NotOpened,
        })
    }
}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecipientKey({} bits)", self.0.n().bit_width())
    }
}
