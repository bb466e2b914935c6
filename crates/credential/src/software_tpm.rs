//! The TPM's side of credential protection in software, for tests: independent of the code it tests, which only encrypts.

use std::sync::LazyLock;

use aes::cipher::KeyIvInit;
use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use nitrotpm_randomness::RingRandom;
use nitrotpm_signature::{Curve, PublicKey};
use nitrotpm_tpm_wire::{
    AlgorithmId, AsymmetricScheme, EccCurve, EccParameters, EccPoint, KdfScheme, ObjectAttributes, Public,
    PublicParameters, Reader, Structure, Symmetric,
};
use ring::rand::SystemRandom;
use ring::{agreement, hmac};
use rsa::sha2::Sha256;
use rsa::traits::{PublicKeyParts, RandomizedDecryptor};
use rsa::{BoxedUint, oaep};

use crate::{Credential, EndorsementKey};

/// The private part of an endorsement key.
pub(crate) enum SoftwareTpm {
    Rsa(rsa::PrivateKey),
    /// An ephemeral key of ring's serves one agreement.
    Ec(Curve, Option<agreement::EphemeralPrivateKey>),
}

/// One key for all tests: making one takes a second.
static RSA: LazyLock<rsa::PrivateKey> = LazyLock::new(|| {
    rsa::PrivateKey::new_with_exp(&mut RingRandom(&SystemRandom::new()), 2048, BoxedUint::from(65_537_u32)).unwrap()
});

impl SoftwareTpm {
    pub(crate) fn rsa() -> Self {
        Self::Rsa(RSA.clone())
    }

    pub(crate) fn ec(curve: Curve) -> Self {
        let key = agreement::EphemeralPrivateKey::generate(algorithm(curve), &SystemRandom::new()).unwrap();
        Self::Ec(curve, Some(key))
    }

    pub(crate) fn endorsement_key(&self) -> EndorsementKey {
        let key = match self {
            Self::Rsa(key) => PublicKey::rsa(&key.n().to_be_bytes(), 65_537).unwrap(),
            Self::Ec(_, key) => {
                PublicKey::from_sec1(key.as_ref().unwrap().compute_public_key().unwrap().as_ref()).unwrap()
            }
        };
        EndorsementKey::from_public_key(&key).unwrap()
    }

    /// `TPM2_ActivateCredential` for an object with this Name: the secret, or `None` where the integrity is broken.
    pub(crate) fn activate(&mut self, credential: &Credential, name: &[u8]) -> Option<Vec<u8>> {
        let endorsement_key = self.endorsement_key();
        let hash_algorithm = endorsement_key.public().name_alg.hash().unwrap();
        let transport = unsized_(&credential.encrypted_secret)?;
        let seed = match self {
            Self::Rsa(key) => oaep::DecryptingKey::<Sha256>::new_with_label(key.clone(), b"IDENTITY\0".as_slice())
                .decrypt_with_rng(&mut RingRandom(&SystemRandom::new()), transport)
                .ok()?,
            Self::Ec(curve, key) => {
                let point = EccPoint::parse(transport).ok()?;
                let peer =
                    agreement::UnparsedPublicKey::new(algorithm(*curve), [&[4][..], &point.x, &point.y].concat());
                let own = endorsement_key.public_key().to_sec1().unwrap();
                let own_x = &own[1..=curve.coordinate_len()];
                agreement::agree_ephemeral(key.take().unwrap(), &peer, |shared| {
                    // KDFe, one block.
                    let parts = [&[0, 0, 0, 1][..], shared, b"IDENTITY\0", &point.x, own_x];
                    hash(hash_algorithm, &parts).as_bytes().to_vec()
                })
                .ok()?
            }
        };
        let mut reader = Reader::new(unsized_(&credential.credential_blob)?, "TPMS_ID_OBJECT");
        let integrity = reader.sized(64).ok()?;
        let identity = reader.remaining();
        let digest_bits = u16::try_from(hash_algorithm.digest_len().strict_mul(8)).unwrap();
        let hmac_key = kdfa_one_block(hash_algorithm, &seed, b"INTEGRITY", b"", digest_bits);
        hmac::verify(&hmac_key_of(hash_algorithm, &hmac_key), &[identity, name].concat(), integrity).ok()?;
        let mut plain = identity.to_vec();
        match hash_algorithm {
            HashAlgorithm::Sha384 => {
                let key = kdfa_one_block(hash_algorithm, &seed, b"STORAGE", name, 256);
                cfb_mode::Decryptor::<aes::Aes256>::new_from_slices(&key[..32], &[0; 16]).unwrap().decrypt(&mut plain);
            }
            _ => {
                let key = kdfa_one_block(hash_algorithm, &seed, b"STORAGE", name, 128);
                cfb_mode::Decryptor::<aes::Aes128>::new_from_slices(&key[..16], &[0; 16]).unwrap().decrypt(&mut plain);
            }
        }
        unsized_(&plain).map(<[u8]>::to_vec)
    }
}

/// KDFa where one block is enough.
fn kdfa_one_block(hash: HashAlgorithm, seed: &[u8], label: &[u8], context: &[u8], bits: u16) -> Vec<u8> {
    let message = [&[0, 0, 0, 1][..], label, &[0], context, &u32::from(bits).to_be_bytes()].concat();
    hmac::sign(&hmac_key_of(hash, seed), &message).as_ref().to_vec()
}

fn hmac_key_of(hash: HashAlgorithm, key: &[u8]) -> hmac::Key {
    hmac::Key::new(if hash == HashAlgorithm::Sha384 { hmac::HMAC_SHA384 } else { hmac::HMAC_SHA256 }, key)
}

fn algorithm(curve: Curve) -> &'static agreement::Algorithm {
    match curve {
        Curve::P256 => &agreement::ECDH_P256,
        Curve::P384 => &agreement::ECDH_P384,
    }
}

/// What follows a size of two bytes, all of it.
fn unsized_(bytes: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(bytes, "TPM2B");
    let inner = reader.sized(usize::from(u16::MAX)).ok()?;
    reader.finish().ok()?;
    Some(inner)
}

/// An attestation key on P-256 with the attributes of one; `last` makes it another key.
pub(crate) fn attestation_key(last: u8) -> Public {
    Public {
        name_alg: AlgorithmId::SHA256,
        attributes: ObjectAttributes::FIXED_TPM
            .with(ObjectAttributes::FIXED_PARENT)
            .with(ObjectAttributes::SENSITIVE_DATA_ORIGIN)
            .with(ObjectAttributes::USER_WITH_AUTH)
            .with(ObjectAttributes::RESTRICTED)
            .with(ObjectAttributes::SIGN),
        auth_policy: vec![],
        parameters: PublicParameters::Ecc {
            parameters: EccParameters {
                symmetric: Symmetric::Null,
                scheme: AsymmetricScheme::Hashed { scheme: AlgorithmId::ECDSA, hash: AlgorithmId::SHA256 },
                curve: EccCurve::NIST_P256,
                kdf: KdfScheme::Null,
            },
            point: EccPoint { x: vec![7; 32], y: [vec![9; 31], vec![last]].concat() },
        },
    }
}
