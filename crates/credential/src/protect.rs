//! Credential protection: a secret that one TPM opens, for one object.

use aes::cipher::{KeyIvInit, consts::U16};
use aes::{Aes128, Aes256};
use nitrotpm_digest_lanes::HashAlgorithm;
use nitrotpm_randomness::RingRandom;
use nitrotpm_signature::{Curve, EcPublicKey, PublicKey, RsaPublicKey};
use nitrotpm_tpm_wire::{EccPoint, Structure, Writer};
use ring::rand::SecureRandom;
use ring::{agreement, hmac};
use rsa::sha2::{Sha256, Sha384, Sha512};
use rsa::traits::RandomizedEncryptor;
use rsa::{BoxedUint, oaep};
use zeroize::Zeroizing;

use crate::kdf::hmac_algorithm;
use crate::{CredentialError, EndorsementKey, EnrolmentError, kdfa, kdfe};

/// The use of a secret for credentials, in both ways to share one.
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

impl Credential {
    /// Encrypts `secret` (at most as long as the key's Name hash) so that only the TPM with this key gives it back, and
    /// only while it holds the object with this Name: `TPM2_MakeCredential` (TPM 2.0 Library Part 1, section 24; Part 3,
    /// section 12.6).
    ///
    /// # Errors
    /// [`CredentialError`]: a secret that is too long, a key that does not encrypt, no randomness.
    pub fn make(
        key: &EndorsementKey,
        name: &[u8],
        secret: &[u8],
        random: &dyn SecureRandom,
    ) -> Result<Self, CredentialError> {
        let hash = key.name_hash();
        if secret.is_empty() || secret.len() > hash.digest_len() {
            return Err(CredentialError::SecretLength { found: secret.len(), limit: hash.digest_len() });
        }
        let SharedSecret { secret: seed, encrypted } = SharedSecret::new(key.public_key(), hash, IDENTITY, random)?;
        let mut plain = Writer::new("TPM2B_DIGEST");
        plain.sized(secret);
        let mut identity = Zeroizing::new(plain.finish()?);
        let aes_key = kdfa(hash, &seed, "STORAGE", name, &[], key.aes_bits().div_ceil(8))?;
        encrypt(key.aes_bits(), &aes_key, &mut identity)?;

        let digest_len = u16::try_from(hash.digest_len()).unwrap_or(u16::MAX);
        let hmac_key = kdfa(hash, &seed, "INTEGRITY", &[], &[], digest_len)?;
        let mut integrity = hmac::Context::with_key(&hmac::Key::new(hmac_algorithm(hash)?, &hmac_key));
        integrity.update(&identity);
        integrity.update(name);

        let mut object = Writer::new("TPMS_ID_OBJECT");
        object.sized(integrity.sign().as_ref());
        object.bytes(&identity);
        Ok(Self { credential_blob: sized(&object.finish()?)?, encrypted_secret: sized(&encrypted)? })
    }
}

/// What only the two ends know, and what travels to the TPM so that it knows it too: the seed of a credential, the salt of
/// a session.
#[derive(Debug)]
pub struct SharedSecret {
    /// As long as the digest of the key's Name hash.
    pub secret: Zeroizing<Vec<u8>>,
    /// The content of a `TPM2B_ENCRYPTED_SECRET`.
    pub encrypted: Vec<u8>,
}

impl SharedSecret {
    /// Secret sharing with a decryption key of the TPM (TPM 2.0 Library Part 1, annexes B.10 and C.6). `hash` is the key's
    /// Name hash; `use_label` says what for, without its zero: `IDENTITY`, `SECRET`.
    ///
    /// # Errors
    /// [`CredentialError`]: a key that does not encrypt, no randomness.
    pub fn new(
        key: &PublicKey,
        hash: HashAlgorithm,
        use_label: &str,
        random: &dyn SecureRandom,
    ) -> Result<Self, CredentialError> {
        match key {
            PublicKey::Rsa(key) => {
                let mut secret = Zeroizing::new(vec![0; hash.digest_len()]);
                random.fill(&mut secret).map_err(|_| CredentialError::Random)?;
                let encrypted = encrypt_oaep(hash, key, use_label, &secret, random)?;
                Ok(Self { secret, encrypted })
            }
            PublicKey::Ec(key) => share_by_ecdh(hash, key, use_label, random),
        }
    }
}

fn sized(bytes: &[u8]) -> Result<Vec<u8>, CredentialError> {
    let mut writer = Writer::new("TPM2B");
    writer.sized(bytes);
    Ok(writer.finish()?)
}

/// AES in CFB mode with an initialization vector of zeros, in place: every key is used once.
fn encrypt(bits: u16, key: &[u8], bytes: &mut [u8]) -> Result<(), CredentialError> {
    fn cfb<C>(key: &[u8], bytes: &mut [u8]) -> Result<(), CredentialError>
    where
        C: aes::cipher::BlockCipherEncrypt + aes::cipher::BlockSizeUser<BlockSize = U16> + aes::cipher::KeyInit,
    {
        let cipher = cfb_mode::Encryptor::<C>::new_from_slices(key, &[0; 16]).map_err(|_| CredentialError::Cipher)?;
        cipher.encrypt(bytes);
        Ok(())
    }
    match bits {
        128 => cfb::<Aes128>(key, bytes),
        256 => cfb::<Aes256>(key, bytes),
        _ => Err(CredentialError::Cipher),
    }
}

/// RSAES-OAEP with a label and its zero.
fn encrypt_oaep(
    hash: HashAlgorithm,
    key: &RsaPublicKey,
    use_label: &str,
    secret: &[u8],
    random: &dyn SecureRandom,
) -> Result<Vec<u8>, CredentialError> {
    let refused = |_| EnrolmentError::EndorsementKey { detail: "its RSA numbers make no key that encrypts" };
    let modulus = BoxedUint::from_be_slice_vartime(key.modulus());
    let exponent = BoxedUint::from_be_slice_vartime(&key.exponent().to_be_bytes());
    let key = rsa::PublicKey::new_with_size_limits(modulus, exponent, 2048..=8192).map_err(refused)?;
    let label = [use_label.as_bytes(), &[0]].concat();
    let random = &mut RingRandom(random);
    match hash {
        HashAlgorithm::Sha256 => {
            oaep::EncryptingKey::<Sha256>::new_with_label(key, label).encrypt_with_rng(random, secret)
        }
        HashAlgorithm::Sha384 => {
            oaep::EncryptingKey::<Sha384>::new_with_label(key, label).encrypt_with_rng(random, secret)
        }
        HashAlgorithm::Sha512 => {
            oaep::EncryptingKey::<Sha512>::new_with_label(key, label).encrypt_with_rng(random, secret)
        }
        HashAlgorithm::Sha1 => return Err(EnrolmentError::Hash { hash }.into()),
    }
    .map_err(|error| match error {
        rsa::Error::Rng => CredentialError::Random,
        other => refused(other).into(),
    })
}

/// One pass of ECDH with an ephemeral key.
fn share_by_ecdh(
    hash: HashAlgorithm,
    key: &EcPublicKey,
    use_label: &str,
    random: &dyn SecureRandom,
) -> Result<SharedSecret, CredentialError> {
    let algorithm = match key.curve() {
        Curve::P256 => &agreement::ECDH_P256,
        Curve::P384 => &agreement::ECDH_P384,
    };
    let ephemeral = agreement::EphemeralPrivateKey::generate(algorithm, random).map_err(|_| CredentialError::Random)?;
    let ephemeral_public = ephemeral.compute_public_key().map_err(|_| CredentialError::Random)?;
    let ours = point(key.curve(), ephemeral_public.as_ref());
    let theirs = point(key.curve(), key.sec1());
    let digest_len = u16::try_from(hash.digest_len()).unwrap_or(u16::MAX);
    // Refuses a point beside the curve.
    let peer = agreement::UnparsedPublicKey::new(algorithm, key.sec1());
    let secret = agreement::agree_ephemeral(ephemeral, &peer, |shared_x| {
        kdfe(hash, shared_x, use_label, &ours.x, &theirs.x, digest_len)
    })
    .map_err(|_| EnrolmentError::EndorsementKey { detail: "its point does not lie on the curve" })?;
    Ok(SharedSecret { secret, encrypted: ours.to_bytes()? })
}

/// The coordinates of an uncompressed point.
fn point(curve: Curve, sec1: &[u8]) -> EccPoint {
    let (x, y) = sec1.get(1..).unwrap_or_default().split_at_checked(curve.coordinate_len()).unwrap_or_default();
    EccPoint { x: x.to_vec(), y: y.to_vec() }
}
