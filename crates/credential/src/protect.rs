//! Credential protection: a secret that one TPM opens, for one object.

use std::fmt;

use aes::cipher::{KeyIvInit, consts::U16};
use aes::{Aes128, Aes256};
use nitrotpm_digest_lanes::HashAlgorithm;
use nitrotpm_signature::{Curve, EcPublicKey, PublicKey, RsaPublicKey};
use nitrotpm_tpm_wire::{EccPoint, Structure, Writer};
use ring::rand::SecureRandom;
use ring::{agreement, hmac};
use rsa::sha2::{Sha256, Sha384, Sha512};
use rsa::traits::RandomizedEncryptor;
use rsa::{BoxedUint, oaep};
use zeroize::Zeroizing;

use crate::kdf::hmac_algorithm;
use crate::{EnrolmentError, kdfa, kdfe};

/// The use of a seed for credentials, in both ways to share one.
const IDENTITY: &str = "IDENTITY";

/// What `TPM2_MakeCredential` gives: a secret encrypted to an endorsement key and bound to an object's Name.
///
/// Both parts have their size in front, as `TPM2_ActivateCredential` takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// `TPM2B_ID_OBJECT`: the integrity HMAC and the encrypted secret.
    pub credential_blob: Vec<u8>,
    /// `TPM2B_ENCRYPTED_SECRET`: the seed, as RSA-OAEP ciphertext or as an ephemeral ECC point.
    pub encrypted_secret: Vec<u8>,
}

/// How a key protects credentials: all that its public area says about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protector<'a> {
    pub(crate) key: &'a PublicKey,
    /// The algorithm of the key's Name: also of the HMAC, of the derivations and of OAEP.
    pub(crate) hash: HashAlgorithm,
    /// Of the AES key: 128 or 256.
    pub(crate) aes_bits: u16,
}

/// What only the two ends know, and what travels to the TPM so that it knows it too.
pub(crate) struct SharedSeed {
    pub(crate) seed: Zeroizing<Vec<u8>>,
    /// The content of a `TPM2B_ENCRYPTED_SECRET`.
    pub(crate) transport: Vec<u8>,
}

impl Protector<'_> {
    /// `TPM2_MakeCredential` (TPM 2.0 Library Part 1, section 24; Part 3, section 12.6) for an object's Name.
    pub(crate) fn make_credential(
        &self,
        name: &[u8],
        secret: &[u8],
        random: &dyn SecureRandom,
    ) -> Result<Credential, EnrolmentError> {
        let SharedSeed { seed, transport } = self.share_seed(random)?;
        let mut plain = Writer::new("TPM2B_DIGEST");
        plain.sized(secret);
        let mut identity = Zeroizing::new(plain.finish()?);
        let aes_key = kdfa(self.hash, &seed, "STORAGE", name, &[], self.aes_bits.div_ceil(8))?;
        encrypt(self.aes_bits, &aes_key, &mut identity)?;

        let digest_len = u16::try_from(self.hash.digest_len()).unwrap_or(u16::MAX);
        let hmac_key = kdfa(self.hash, &seed, "INTEGRITY", &[], &[], digest_len)?;
        let mut integrity = hmac::Context::with_key(&hmac::Key::new(hmac_algorithm(self.hash)?, &hmac_key));
        integrity.update(&identity);
        integrity.update(name);

        let mut object = Writer::new("TPMS_ID_OBJECT");
        object.sized(integrity.sign().as_ref());
        object.bytes(&identity);
        Ok(Credential { credential_blob: sized(&object.finish()?)?, encrypted_secret: sized(&transport)? })
    }

    /// Secret sharing (TPM 2.0 Library Part 1, annexes B.10 and C.6).
    fn share_seed(&self, random: &dyn SecureRandom) -> Result<SharedSeed, EnrolmentError> {
        match self.key {
            PublicKey::Rsa(key) => {
                let mut seed = Zeroizing::new(vec![0; self.hash.digest_len()]);
                random.fill(&mut seed).map_err(|_| EnrolmentError::Random)?;
                let transport = encrypt_oaep(self.hash, key, &seed, random)?;
                Ok(SharedSeed { seed, transport })
            }
            PublicKey::Ec(key) => share_by_ecdh(self.hash, key, random),
        }
    }
}

fn sized(bytes: &[u8]) -> Result<Vec<u8>, EnrolmentError> {
    let mut writer = Writer::new("TPM2B");
    writer.sized(bytes);
    Ok(writer.finish()?)
}

/// AES in CFB mode with an initialization vector of zeros, in place: every key is used once.
fn encrypt(bits: u16, key: &[u8], bytes: &mut [u8]) -> Result<(), EnrolmentError> {
    fn cfb<C>(key: &[u8], bytes: &mut [u8]) -> Result<(), EnrolmentError>
    where
        C: aes::cipher::BlockCipherEncrypt + aes::cipher::BlockSizeUser<BlockSize = U16> + aes::cipher::KeyInit,
    {
        let cipher = cfb_mode::Encryptor::<C>::new_from_slices(key, &[0; 16]).map_err(|_| EnrolmentError::Cipher)?;
        cipher.encrypt(bytes);
        Ok(())
    }
    match bits {
        128 => cfb::<Aes128>(key, bytes),
        256 => cfb::<Aes256>(key, bytes),
        _ => Err(EnrolmentError::Cipher),
    }
}

/// RSAES-OAEP with the label `IDENTITY` and its zero.
fn encrypt_oaep(
    hash: HashAlgorithm,
    key: &RsaPublicKey,
    seed: &[u8],
    random: &dyn SecureRandom,
) -> Result<Vec<u8>, EnrolmentError> {
    let refused = |_| EnrolmentError::EndorsementKey { detail: "its RSA numbers make no key that encrypts" };
    let modulus = BoxedUint::from_be_slice_vartime(key.modulus());
    let exponent = BoxedUint::from_be_slice_vartime(&key.exponent().to_be_bytes());
    let key = rsa::PublicKey::new_with_size_limits(modulus, exponent, 2048..=8192).map_err(refused)?;
    let label = [IDENTITY.as_bytes(), &[0]].concat();
    let random = &mut OaepRandom(random);
    match hash {
        HashAlgorithm::Sha256 => {
            oaep::EncryptingKey::<Sha256>::new_with_label(key, label).encrypt_with_rng(random, seed)
        }
        HashAlgorithm::Sha384 => {
            oaep::EncryptingKey::<Sha384>::new_with_label(key, label).encrypt_with_rng(random, seed)
        }
        HashAlgorithm::Sha512 => {
            oaep::EncryptingKey::<Sha512>::new_with_label(key, label).encrypt_with_rng(random, seed)
        }
        HashAlgorithm::Sha1 => return Err(EnrolmentError::Hash { hash }),
    }
    .map_err(|error| match error {
        rsa::Error::Rng => EnrolmentError::Random,
        other => refused(other),
    })
}

/// One pass of ECDH with an ephemeral key.
fn share_by_ecdh(
    hash: HashAlgorithm,
    key: &EcPublicKey,
    random: &dyn SecureRandom,
) -> Result<SharedSeed, EnrolmentError> {
    let algorithm = match key.curve() {
        Curve::P256 => &agreement::ECDH_P256,
        Curve::P384 => &agreement::ECDH_P384,
    };
    let ephemeral = agreement::EphemeralPrivateKey::generate(algorithm, random).map_err(|_| EnrolmentError::Random)?;
    let ephemeral_public = ephemeral.compute_public_key().map_err(|_| EnrolmentError::Random)?;
    let ours = point(key.curve(), ephemeral_public.as_ref());
    let theirs = point(key.curve(), key.sec1());
    let digest_len = u16::try_from(hash.digest_len()).unwrap_or(u16::MAX);
    // Refuses a point beside the curve.
    let peer = agreement::UnparsedPublicKey::new(algorithm, key.sec1());
    let seed = agreement::agree_ephemeral(ephemeral, &peer, |shared_x| {
        kdfe(hash, shared_x, IDENTITY, &ours.x, &theirs.x, digest_len)
    })
    .map_err(|_| EnrolmentError::EndorsementKey { detail: "its point does not lie on the curve" })?;
    Ok(SharedSeed { seed, transport: ours.to_bytes()? })
}

/// The coordinates of an uncompressed point.
fn point(curve: Curve, sec1: &[u8]) -> EccPoint {
    let (x, y) = sec1.get(1..).unwrap_or_default().split_at_checked(curve.coordinate_len()).unwrap_or_default();
    EccPoint { x: x.to_vec(), y: y.to_vec() }
}

/// ring's randomness for the `rsa` crate.
pub(crate) struct OaepRandom<'a>(pub(crate) &'a dyn SecureRandom);

/// The system gave no randomness.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no randomness")
    }
}

impl std::error::Error for NoRandomness {}

impl rsa::rand_core::TryRng for OaepRandom<'_> {
    type Error = NoRandomness;

    fn try_next_u32(&mut self) -> Result<u32, NoRandomness> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, NoRandomness> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        self.0.fill(bytes).map_err(|_| NoRandomness)
    }
}

impl rsa::rand_core::TryCryptoRng for OaepRandom<'_> {}
