//! The calls into aws-lc-rs: the twin of `with_ring.rs`, whose names it shares.

use aws_lc_rs::signature as library;
use nitrotpm_digest_lanes::HashAlgorithm;

use super::{Scheme, unsupported};
use crate::key::{Curve, EcPublicKey, RsaPublicKey};
use crate::{SignatureError, der};

/// An RSA signature, as long as the modulus.
pub(super) fn rsa(key: &RsaPublicKey, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let parameters = match scheme {
        Scheme::RsaPkcs1(HashAlgorithm::Sha1) => &library::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Scheme::RsaPkcs1(HashAlgorithm::Sha256) => &library::RSA_PKCS1_2048_8192_SHA256,
        Scheme::RsaPkcs1(HashAlgorithm::Sha384) => &library::RSA_PKCS1_2048_8192_SHA384,
        Scheme::RsaPkcs1(HashAlgorithm::Sha512) => &library::RSA_PKCS1_2048_8192_SHA512,
        Scheme::RsaPss(HashAlgorithm::Sha256) => &library::RSA_PSS_2048_8192_SHA256,
        Scheme::RsaPss(HashAlgorithm::Sha384) => &library::RSA_PSS_2048_8192_SHA384,
        Scheme::RsaPss(HashAlgorithm::Sha512) => &library::RSA_PSS_2048_8192_SHA512,
        Scheme::RsaPss(HashAlgorithm::Sha1) | Scheme::Ecdsa(_) => return Err(unsupported(scheme)),
    };
    let exponent = key.exponent().to_be_bytes();
    let components = library::RsaPublicKeyComponents { n: key.modulus(), e: der::strip_zeros(&exponent) };
    components.verify(parameters, message, signature).map_err(|_| SignatureError::Wrong)
}

/// An ECDSA signature, as the DER of its two numbers.
pub(super) fn ecdsa(key: &EcPublicKey, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let algorithm = match (key.curve(), scheme.hash()) {
        (Curve::P256, HashAlgorithm::Sha256) => &library::ECDSA_P256_SHA256_ASN1,
        (Curve::P256, HashAlgorithm::Sha384) => &library::ECDSA_P256_SHA384_ASN1,
        (Curve::P384, HashAlgorithm::Sha256) => &library::ECDSA_P384_SHA256_ASN1,
        (Curve::P384, HashAlgorithm::Sha384) => &library::ECDSA_P384_SHA384_ASN1,
        (_, HashAlgorithm::Sha1 | HashAlgorithm::Sha512) => return Err(unsupported(scheme)),
    };
    library::UnparsedPublicKey::new(algorithm, key.sec1()).verify(message, signature).map_err(|_| SignatureError::Wrong)
}
