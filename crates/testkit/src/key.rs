//! Attestation keys in software: what a verifier must not mistake for a TPM's.

use core::fmt;

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use nitrotpm_signature::{Curve, PublicKey, Scheme};
use nitrotpm_tpm_wire::{
    AlgorithmId, AsymmetricScheme, EccCurve, EccParameters, EccPoint, KdfScheme, ObjectAttributes, Public,
    PublicParameters, RsaParameters, Signature, Symmetric,
};
use num_bigint::BigUint;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    RsaPublicKeyComponents,
};
use x509_parser::der_parser::parse_der;

const RSA_2048: &[u8] = include_bytes!("../../../fixtures/keys/attestation-rsa2048.pkcs8.der");

/// The attributes of an attestation key as tpm2-tools and the TCG's profiles make one: fixedTPM, fixedParent,
/// sensitiveDataOrigin, userWithAuth, restricted, sign.
#[must_use]
pub const fn attestation_key_attributes() -> ObjectAttributes {
    ObjectAttributes(0x0005_0072)
}

/// A key pair that signs whatever it is given.
pub struct SoftwareKey(Pair);

enum Pair {
    Ec(Curve, Box<EcdsaKeyPair>),
    Rsa(Box<RsaKeyPair>),
}

impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SoftwareKey({:?})", self.public_key())
    }
}

impl SoftwareKey {
    /// A fresh key on P-256.
    #[must_use]
    pub fn p256() -> Self {
        Self::ec(Curve::P256)
    }

    /// A fresh key on P-384.
    #[must_use]
    pub fn p384() -> Self {
        Self::ec(Curve::P384)
    }

    fn ec(curve: Curve) -> Self {
        let algorithm = match curve {
            Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        };
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("random numbers");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("the key just made");
        Self(Pair::Ec(curve, Box::new(pair)))
    }

    /// The RSA key of 2,048 bits in `fixtures/keys`: always the same one.
    #[must_use]
    pub fn rsa2048() -> Self {
        Self(Pair::Rsa(Box::new(RsaKeyPair::from_pkcs8(RSA_2048).expect("the key in fixtures/keys"))))
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        match &self.0 {
            Pair::Ec(_, pair) => PublicKey::from_sec1(pair.public_key().as_ref()),
            Pair::Rsa(pair) => {
                let numbers = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                PublicKey::rsa(&numbers.n, 65_537)
            }
        }
        .expect("a key that is accepted")
    }

    /// The scheme that an attestation key of this type usually fixes: RSASSA with SHA-256, ECDSA with the curve's hash.
    #[must_use]
    pub const fn usual_scheme(&self) -> Scheme {
        match &self.0 {
            Pair::Ec(Curve::P256, _) => Scheme::Ecdsa(HashAlgorithm::Sha256),
            Pair::Ec(Curve::P384, _) => Scheme::Ecdsa(HashAlgorithm::Sha384),
            Pair::Rsa(_) => Scheme::RsaPkcs1(HashAlgorithm::Sha256),
        }
    }

    /// A public area that claims the key for a TPM, with SHA-256 as the algorithm of its Name.
    #[must_use]
    pub fn public_area(&self, attributes: ObjectAttributes, scheme: AsymmetricScheme) -> Public {
        let parameters = match self.public_key() {
            PublicKey::Rsa(key) => PublicParameters::Rsa {
                parameters: RsaParameters { symmetric: Symmetric::Null, scheme, key_bits: 2048, exponent: 0 },
                modulus: key.modulus().to_vec(),
            },
            PublicKey::Ec(key) => {
                let coordinates = key.sec1().get(1..).unwrap_or_default();
                let (x, y) = coordinates.split_at(key.curve().coordinate_len());
                let curve = match key.curve() {
                    Curve::P256 => EccCurve::NIST_P256,
                    Curve::P384 => EccCurve::NIST_P384,
                };
                PublicParameters::Ecc {
                    parameters: EccParameters { symmetric: Symmetric::Null, scheme, curve, kdf: KdfScheme::Null },
                    point: EccPoint { x: x.to_vec(), y: y.to_vec() },
                }
            }
        };
        Public { name_alg: AlgorithmId::SHA256, attributes, auth_policy: Vec::new(), parameters }
    }

    /// The public area of a good attestation key: usual attributes, usual scheme.
    #[must_use]
    pub fn attestation_area(&self) -> Public {
        let scheme = self.usual_scheme();
        let id = match scheme {
            Scheme::Ecdsa(_) => AlgorithmId::ECDSA,
            _ => AlgorithmId::RSASSA,
        };
        let scheme = AsymmetricScheme::Hashed { scheme: id, hash: scheme.hash().into() };
        self.public_area(attestation_key_attributes(), scheme)
    }

    /// Signs a message. RSA keys sign RSASSA with any hash and RSAPSS with any but SHA-1, P-256 keys sign with SHA-256,
    /// P-384 keys with SHA-384.
    ///
    /// # Panics
    /// For any other scheme.
    #[must_use]
    pub fn sign(&self, scheme: Scheme, message: &[u8]) -> Signature {
        let random = SystemRandom::new();
        let hash_id = AlgorithmId::from(scheme.hash());
        match (&self.0, scheme) {
            (Pair::Ec(curve, pair), Scheme::Ecdsa(_)) if scheme == self.usual_scheme() => {
                let signature = pair.sign(&random, message).expect("random numbers");
                let (r, s) = signature.as_ref().split_at(curve.coordinate_len());
                Signature::Ecdsa { hash: hash_id, r: r.to_vec(), s: s.to_vec() }
            }
            (Pair::Rsa(_), Scheme::RsaPkcs1(HashAlgorithm::Sha1)) => {
                Signature::Rsassa { hash: hash_id, signature: sign_sha1(message) }
            }
            (Pair::Rsa(pair), Scheme::RsaPkcs1(_) | Scheme::RsaPss(_)) => {
                let encoding: Option<&'static dyn RsaEncoding> = match scheme {
                    Scheme::RsaPkcs1(HashAlgorithm::Sha256) => Some(&RSA_PKCS1_SHA256),
                    Scheme::RsaPkcs1(HashAlgorithm::Sha384) => Some(&RSA_PKCS1_SHA384),
                    Scheme::RsaPkcs1(HashAlgorithm::Sha512) => Some(&RSA_PKCS1_SHA512),
                    Scheme::RsaPss(HashAlgorithm::Sha256) => Some(&RSA_PSS_SHA256),
                    Scheme::RsaPss(HashAlgorithm::Sha384) => Some(&RSA_PSS_SHA384),
                    Scheme::RsaPss(HashAlgorithm::Sha512) => Some(&RSA_PSS_SHA512),
                    _ => None,
                };
                let encoding = encoding.expect("a scheme that this key signs in");
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).expect("random numbers");
                match scheme {
                    Scheme::RsaPss(_) => Signature::Rsapss { hash: hash_id, signature },
                    _ => Signature::Rsassa { hash: hash_id, signature },
                }
            }
            _ => panic!("{scheme} is no scheme that this key signs in"),
        }
    }
}

/// RSASSA with SHA-1 by hand (RFC 8017, section 8.2.1): no library in use signs with SHA-1 any more.
fn sign_sha1(message: &[u8]) -> Vec<u8> {
    const DIGEST_INFO: &[u8] = &[0x30, 33, 0x30, 9, 6, 5, 0x2B, 0x0E, 3, 2, 0x1A, 5, 0, 4, 20];
    const LEN: usize = 256;
    let digest = hash(HashAlgorithm::Sha1, &[message]);
    let tail = [&[0], DIGEST_INFO, digest.as_bytes()].concat();
    let padding = LEN.saturating_sub(2).saturating_sub(tail.len());
    let encoded = [&[0, 1], vec![0xFF; padding].as_slice(), &tail].concat();

    // PKCS #8: version, algorithm, then an octet string with the PKCS #1 key: version, n, e, d, …
    let (_, outer) = parse_der(RSA_2048).expect("PKCS #8");
    let inner = outer.as_sequence().expect("a sequence").get(2).expect("the key").as_slice().expect("its bytes");
    let (_, key) = parse_der(inner).expect("PKCS #1");
    let number = |place: usize| {
        let object = key.as_sequence().expect("a sequence").get(place).expect("a number");
        BigUint::from_bytes_be(object.as_slice().expect("its bytes"))
    };
    let signature = BigUint::from_bytes_be(&encoded).modpow(&number(3), &number(1)).to_bytes_be();
    [vec![0; LEN.saturating_sub(signature.len())], signature].concat()
}

#[cfg(test)]
mod tests {
    use nitrotpm_signature::{Backend, SignatureBytes};

    use super::*;

    #[test]
    fn what_is_signed_verifies() {
        let (p256, p384, rsa) = (SoftwareKey::p256(), SoftwareKey::p384(), SoftwareKey::rsa2048());
        let mut cases = vec![(&p256, p256.usual_scheme()), (&p384, p384.usual_scheme())];
        cases.extend(HashAlgorithm::ALL.map(|hash| (&rsa, Scheme::RsaPkcs1(hash))));
        cases.extend(HashAlgorithm::ALL.into_iter().skip(1).map(|hash| (&rsa, Scheme::RsaPss(hash))));
        for (key, scheme) in cases {
            let signature = key.sign(scheme, b"message");
            let bytes = match &signature {
                Signature::Rsassa { signature, .. } | Signature::Rsapss { signature, .. } => {
                    SignatureBytes::Rsa(signature)
                }
                Signature::Ecdsa { r, s, .. } => SignatureBytes::Ecdsa { r, s },
            };
            let verify = |message: &[u8]| Backend::default().verify(&key.public_key(), scheme, message, bytes);
            assert_eq!(verify(b"message"), Ok(()), "{scheme}");
            assert!(verify(b"massage").is_err(), "{scheme}");
        }
    }
}
