//! Schemes, signatures, and the library that checks them.

use nitrotpm_digest_lanes::HashAlgorithm;
use ring::signature::{self as ring_signature, UnparsedPublicKey, VerificationAlgorithm};

use crate::key::{Curve, EcPublicKey, PublicKey, RsaPublicKey};
use crate::{SignatureError, der};

/// A signature scheme with its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2), `TPM_ALG_RSASSA`.
    RsaPkcs1(HashAlgorithm),
    /// RSASSA-PSS (RFC 8017, section 8.1), `TPM_ALG_RSAPSS`. The salt is as long as the digest and MGF1 uses the same
    /// hash: what FIPS 186-5, section 5.4, allows at most and what TPMs make. Other salts are refused as wrong.
    RsaPss(HashAlgorithm),
    /// ECDSA (FIPS 186-5, section 6), `TPM_ALG_ECDSA`. The curve is the key's.
    Ecdsa(HashAlgorithm),
}

impl Scheme {
    /// The hash that the message goes through.
    #[must_use]
    pub const fn hash(self) -> HashAlgorithm {
        match self {
            Self::RsaPkcs1(hash) | Self::RsaPss(hash) | Self::Ecdsa(hash) => hash,
        }
    }

    /// `RSASSA`, `RSAPSS` or `ECDSA`: the TCG's names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaPkcs1(_) => "RSASSA",
            Self::RsaPss(_) => "RSAPSS",
            Self::Ecdsa(_) => "ECDSA",
        }
    }
}

/// The bytes of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureBytes<'a> {
    /// An RSA signature: exactly as many bytes as the modulus has.
    Rsa(&'a [u8]),
    /// The two numbers of an ECDSA signature, big endian. Each has 1 byte up to the curve's length; a TPM drops zeros in
    /// front.
    Ecdsa {
        /// r
        r: &'a [u8],
        /// s
        s: &'a [u8],
    },
}

/// The library that checks signatures. The caller holds it as a value, so that no build option of another crate can
/// change which one is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// [ring](https://docs.rs/ring). It checks RSASSA with all four hashes, RSAPSS with SHA-256, SHA-384 and SHA-512,
    /// and ECDSA on P-256 and P-384 with SHA-256 and SHA-384, in either pairing.
    #[default]
    Ring,
}

impl Backend {
    /// Checks that `signature` is `key`'s over `message`.
    ///
    /// RSASSA with SHA-1 is checked like any other: whether a SHA-1 signature proves anything is the caller's decision.
    /// ECDSA signatures are not unique: with (r, s) also (r, n - s) holds.
    ///
    /// # Errors
    /// [`SignatureError::KindMismatch`] where key, scheme and signature are of different kinds,
    /// [`SignatureError::Unsupported`] for a combination that the backend cannot compute,
    /// [`SignatureError::Malformed`] for bytes that can be no signature of this key, [`SignatureError::Wrong`] for
    /// every other signature that does not hold.
    pub fn verify(
        self,
        key: &PublicKey,
        scheme: Scheme,
        message: &[u8],
        signature: SignatureBytes<'_>,
    ) -> Result<(), SignatureError> {
        match (self, key, scheme, signature) {
            (Self::Ring, PublicKey::Rsa(key), Scheme::RsaPkcs1(_) | Scheme::RsaPss(_), SignatureBytes::Rsa(bytes)) => {
                ring_rsa(key, scheme, message, bytes)
            }
            (Self::Ring, PublicKey::Ec(key), Scheme::Ecdsa(_), SignatureBytes::Ecdsa { r, s }) => {
                ring_ecdsa(key, scheme, message, r, s)
            }
            (Self::Ring, key, scheme, signature) => Err(SignatureError::KindMismatch {
                key: key.kind(),
                scheme: scheme.name(),
                signature: match signature {
                    SignatureBytes::Rsa(_) => "RSA",
                    SignatureBytes::Ecdsa { .. } => "ECDSA",
                },
            }),
        }
    }
}

const fn unsupported(scheme: Scheme) -> SignatureError {
    SignatureError::Unsupported { scheme: scheme.name(), hash: scheme.hash() }
}

fn ring_rsa(key: &RsaPublicKey, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let parameters = match scheme {
        Scheme::RsaPkcs1(HashAlgorithm::Sha1) => &ring_signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Scheme::RsaPkcs1(HashAlgorithm::Sha256) => &ring_signature::RSA_PKCS1_2048_8192_SHA256,
        Scheme::RsaPkcs1(HashAlgorithm::Sha384) => &ring_signature::RSA_PKCS1_2048_8192_SHA384,
        Scheme::RsaPkcs1(HashAlgorithm::Sha512) => &ring_signature::RSA_PKCS1_2048_8192_SHA512,
        Scheme::RsaPss(HashAlgorithm::Sha256) => &ring_signature::RSA_PSS_2048_8192_SHA256,
        Scheme::RsaPss(HashAlgorithm::Sha384) => &ring_signature::RSA_PSS_2048_8192_SHA384,
        Scheme::RsaPss(HashAlgorithm::Sha512) => &ring_signature::RSA_PSS_2048_8192_SHA512,
        Scheme::RsaPss(HashAlgorithm::Sha1) | Scheme::Ecdsa(_) => return Err(unsupported(scheme)),
    };
    if signature.len() != key.modulus().len() {
        return Err(SignatureError::Malformed { detail: "an RSA signature is exactly as long as its key's modulus" });
    }
    let exponent = key.exponent().to_be_bytes();
    let components = ring_signature::RsaPublicKeyComponents { n: key.modulus(), e: der::strip_zeros(&exponent) };
    components.verify(parameters, message, signature).map_err(|_| SignatureError::Wrong)
}

fn ring_ecdsa(key: &EcPublicKey, scheme: Scheme, message: &[u8], r: &[u8], s: &[u8]) -> Result<(), SignatureError> {
    let algorithm: &'static dyn VerificationAlgorithm = match (key.curve(), scheme.hash()) {
        (Curve::P256, HashAlgorithm::Sha256) => &ring_signature::ECDSA_P256_SHA256_ASN1,
        (Curve::P256, HashAlgorithm::Sha384) => &ring_signature::ECDSA_P256_SHA384_ASN1,
        (Curve::P384, HashAlgorithm::Sha256) => &ring_signature::ECDSA_P384_SHA256_ASN1,
        (Curve::P384, HashAlgorithm::Sha384) => &ring_signature::ECDSA_P384_SHA384_ASN1,
        (_, HashAlgorithm::Sha1 | HashAlgorithm::Sha512) => return Err(unsupported(scheme)),
    };
    for number in [r, s] {
        if number.len() > key.curve().coordinate_len() {
            return Err(SignatureError::Malformed { detail: "r or s is longer than the curve's numbers" });
        }
        if der::strip_zeros(number).is_empty() {
            return Err(SignatureError::Malformed { detail: "r or s is zero" });
        }
    }
    // ring has the mixed pairs of curve and hash in this encoding only; one way serves all four.
    let encoded = der::element(der::SEQUENCE, &[der::unsigned(r), der::unsigned(s)].concat());
    UnparsedPublicKey::new(algorithm, key.sec1()).verify(message, &encoded).map_err(|_| SignatureError::Wrong)
}
