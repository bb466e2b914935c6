//! Why bytes are no key, or a signature does not hold.

use nitrotpm_digest_lanes::HashAlgorithm;

use crate::Curve;

/// Why bytes are no key, or a signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// An RSA modulus of a size that is not accepted.
    #[error("the RSA key has {bits} bits; keys of 2048 to 8192 bits are accepted, so make a larger one")]
    RsaSize {
        /// How many bits the modulus has.
        bits: usize,
    },
    /// An RSA modulus that is even, which no product of two odd primes is.
    #[error("the RSA modulus is even, so it is no RSA key; read the key again from its source")]
    RsaModulusEven,
    /// An RSA exponent that is even or below 3, or above 32 bits.
    #[error("the RSA exponent is not an odd number from 3 to 4294967295; 65537 is usual")]
    RsaExponent,
    /// A coordinate longer than the curve's.
    #[error("a coordinate of the {curve} key has {found} bytes; {expected} is the most that curve allows")]
    EcCoordinate {
        /// The curve.
        curve: Curve,
        /// The curve's size in bytes.
        expected: usize,
        /// How many bytes there were.
        found: usize,
    },
    /// Bytes that are not an uncompressed point of a supported curve.
    #[error(
        "{found} bytes starting {first:#04x} are no uncompressed point of P-256 (65 bytes) or P-384 (97 bytes), which starts 0x04"
    )]
    EcPoint {
        /// How many bytes there were.
        found: usize,
        /// The first of them, 0 where there is none.
        first: u8,
    },
    /// Bytes that are not the one DER encoding of a `SubjectPublicKeyInfo`.
    #[error("the key is not a DER SubjectPublicKeyInfo: {detail}; convert it with `openssl pkey -pubin -outform DER`")]
    Spki {
        /// What was wrong.
        detail: &'static str,
    },
    /// A well-formed key of an algorithm or curve that is not supported.
    #[error("the key is of algorithm {oid}, which is not supported; RSA and EC keys on P-256 and P-384 are")]
    KeyAlgorithm {
        /// The object identifier found, of the algorithm or of the curve.
        oid: String,
    },
    /// Text that is not one PEM block `PUBLIC KEY`.
    #[error("the key is not one PEM block \"PUBLIC KEY\": {detail}")]
    Pem {
        /// What was wrong.
        detail: &'static str,
    },
    /// A scheme for another kind of key, or a signature of another kind than the scheme.
    #[error("the key is {key}, the scheme {scheme} and the signature {signature}: they do not belong together")]
    KindMismatch {
        /// `RSA` or `EC`.
        key: &'static str,
        /// The scheme's name.
        scheme: &'static str,
        /// `RSA` or `ECDSA`.
        signature: &'static str,
    },
    /// A combination that the backend cannot compute.
    #[error("{scheme} with {hash} cannot be checked by this backend; sign with SHA-256 or SHA-384")]
    Unsupported {
        /// The scheme's name.
        scheme: &'static str,
        /// The hash.
        hash: HashAlgorithm,
    },
    /// A signature that cannot be one of this key: a wrong length, or a number outside its range.
    #[error("the signature is malformed: {detail}; it was altered or belongs to another key")]
    Malformed {
        /// What was wrong.
        detail: &'static str,
    },
    /// A well-formed signature that is not this key's over this message.
    #[error("the signature does not hold: the message, the signature or the key is not the one that was signed with")]
    Wrong,
}

impl SignatureError {
    /// Every code that [`SignatureError::code`] can return.
    pub const CODES: &'static [&'static str] = &[
        "key.rsa-size",
        "key.rsa-modulus",
        "key.rsa-exponent",
        "key.ec-coordinate",
        "key.ec-point",
        "key.spki",
        "key.algorithm",
        "key.pem",
        "signature.kind-mismatch",
        "signature.unsupported",
        "signature.malformed",
        "signature.wrong",
    ];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::RsaSize { .. } => "key.rsa-size",
            Self::RsaModulusEven => "key.rsa-modulus",
            Self::RsaExponent => "key.rsa-exponent",
            Self::EcCoordinate { .. } => "key.ec-coordinate",
            Self::EcPoint { .. } => "key.ec-point",
            Self::Spki { .. } => "key.spki",
            Self::KeyAlgorithm { .. } => "key.algorithm",
            Self::Pem { .. } => "key.pem",
            Self::KindMismatch { .. } => "signature.kind-mismatch",
            Self::Unsupported { .. } => "signature.unsupported",
            Self::Malformed { .. } => "signature.malformed",
            Self::Wrong => "signature.wrong",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_listed_code() {
        let errors = [
            SignatureError::RsaSize { bits: 1024 },
            SignatureError::RsaModulusEven,
            SignatureError::RsaExponent,
            SignatureError::EcCoordinate { curve: Curve::P256, expected: 32, found: 65 },
            SignatureError::EcPoint { found: 33, first: 2 },
            SignatureError::Spki { detail: "x" },
            SignatureError::KeyAlgorithm { oid: "1.3.101.112".to_owned() },
            SignatureError::Pem { detail: "x" },
            SignatureError::KindMismatch { key: "RSA", scheme: "ECDSA", signature: "ECDSA" },
            SignatureError::Unsupported { scheme: "ECDSA", hash: HashAlgorithm::Sha512 },
            SignatureError::Malformed { detail: "x" },
            SignatureError::Wrong,
        ];
        assert_eq!(errors.each_ref().map(SignatureError::code), SignatureError::CODES);
        for error in errors {
            let text = error.to_string();
            assert!(text.len() > 30 && !text.contains(['\n', '{', '}']), "{text}");
        }
    }
}
