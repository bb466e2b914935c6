//! Schemes, signatures, and the library that checks them.

use core::fmt;

use nitrotpm_digest_lanes::HashAlgorithm;

use crate::key::{EcPublicKey, PublicKey, RsaPublicKey};
use crate::{SignatureError, der};

#[cfg(feature = "aws-lc")]
mod with_aws_lc;
mod with_ring;

/// A signature scheme with its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

impl fmt::Display for Scheme {
    /// `RSASSA with sha256`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {}", self.name(), self.hash())
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
///
/// Every backend computes the same combinations: RSASSA with all four hashes, RSAPSS with SHA-256, SHA-384 and SHA-512,
/// and ECDSA on P-256 and P-384 with SHA-256 and SHA-384, in either pairing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// [ring](https://docs.rs/ring): the default, whatever features are on.
    #[default]
    Ring,
    /// [aws-lc-rs](https://docs.rs/aws-lc-rs), several times as fast on P-384. It links a C library; the feature
    /// `aws-lc` adds this variant and changes nothing else.
    #[cfg(feature = "aws-lc")]
    AwsLc,
}

impl Backend {
    /// Every backend of this build, the default first.
    pub const ALL: &'static [Self] = &[
        Self::Ring,
        #[cfg(feature = "aws-lc")]
        Self::AwsLc,
    ];

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
        match (key, scheme, signature) {
            (PublicKey::Rsa(key), Scheme::RsaPkcs1(_) | Scheme::RsaPss(_), SignatureBytes::Rsa(bytes)) => {
                self.rsa(key, scheme, message, bytes)
            }
            (PublicKey::Ec(key), Scheme::Ecdsa(_), SignatureBytes::Ecdsa { r, s }) => {
                self.ecdsa(key, scheme, message, r, s)
            }
            (key, scheme, signature) => Err(SignatureError::KindMismatch {
                key: key.kind(),
                scheme: scheme.name(),
                signature: match signature {
                    SignatureBytes::Rsa(_) => "RSA",
                    SignatureBytes::Ecdsa { .. } => "ECDSA",
                },
            }),
        }
    }

    fn rsa(self, key: &RsaPublicKey, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        if matches!(scheme, Scheme::RsaPss(HashAlgorithm::Sha1) | Scheme::Ecdsa(_)) {
            return Err(unsupported(scheme));
        }
        if signature.len() != key.modulus().len() {
            return Err(SignatureError::Malformed {
                detail: "an RSA signature is exactly as long as its key's modulus",
            });
        }
        match self {
            Self::Ring => with_ring::rsa(key, scheme, message, signature),
            #[cfg(feature = "aws-lc")]
            Self::AwsLc => with_aws_lc::rsa(key, scheme, message, signature),
        }
    }

    fn ecdsa(
        self,
        key: &EcPublicKey,
        scheme: Scheme,
        message: &[u8],
        r: &[u8],
        s: &[u8],
    ) -> Result<(), SignatureError> {
        if matches!(scheme.hash(), HashAlgorithm::Sha1 | HashAlgorithm::Sha512) {
            return Err(unsupported(scheme));
        }
        for number in [r, s] {
            if number.len() > key.curve().coordinate_len() {
                return Err(SignatureError::Malformed { detail: "r or s is longer than the curve's numbers" });
            }
            if der::strip_zeros(number).is_empty() {
                return Err(SignatureError::Malformed { detail: "r or s is zero" });
            }
        }
        // The libraries have the mixed pairs of curve and hash in this encoding only; one way serves all four.
        let encoded = der::element(der::SEQUENCE, &[der::unsigned(r), der::unsigned(s)].concat());
        match self {
            Self::Ring => with_ring::ecdsa(key, scheme, message, &encoded),
            #[cfg(feature = "aws-lc")]
            Self::AwsLc => with_aws_lc::ecdsa(key, scheme, message, &encoded),
        }
    }
}

const fn unsupported(scheme: Scheme) -> SignatureError {
    SignatureError::Unsupported { scheme: scheme.name(), hash: scheme.hash() }
}

/// Checks a signature with every backend and holds each against the others.
#[cfg(test)]
#[track_caller]
pub(crate) fn verify_with_each(
    key: &PublicKey,
    scheme: Scheme,
    message: &[u8],
    signature: SignatureBytes<'_>,
) -> Result<(), SignatureError> {
    let outcome = Backend::default().verify(key, scheme, message, signature);
    for backend in Backend::ALL {
        assert_eq!(backend.verify(key, scheme, message, signature), outcome, "{backend:?}");
    }
    outcome
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;
    use crate::Curve;

    /// A fresh key, a message, and its signature.
    struct Signed {
        key: PublicKey,
        scheme: Scheme,
        r: Vec<u8>,
        s: Vec<u8>,
    }

    const MESSAGE: &[u8] = b"what was signed";

    fn signed(curve: Curve) -> Signed {
        let (algorithm, hash) = match curve {
            Curve::P256 => (&ECDSA_P256_SHA256_FIXED_SIGNING, HashAlgorithm::Sha256),
            Curve::P384 => (&ECDSA_P384_SHA384_FIXED_SIGNING, HashAlgorithm::Sha384),
        };
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        let signature = pair.sign(&random, MESSAGE).unwrap();
        let (r, s) = signature.as_ref().split_at(curve.coordinate_len());
        Signed {
            key: PublicKey::from_sec1(pair.public_key().as_ref()).unwrap(),
            scheme: Scheme::Ecdsa(hash),
            r: r.to_vec(),
            s: s.to_vec(),
        }
    }

    impl Signed {
        /// Checks the signature with r and s as given.
        fn with(&self, r: &[u8], s: &[u8]) -> Result<(), SignatureError> {
            verify_with_each(&self.key, self.scheme, MESSAGE, SignatureBytes::Ecdsa { r, s })
        }

        fn accepted(&self) {
            assert_eq!(self.with(&self.r, &self.s), Ok(()));
        }
    }

    #[test]
    fn no_feature_changes_the_default() {
        assert_eq!(Backend::default(), Backend::Ring);
        assert_eq!(Backend::ALL.first(), Some(&Backend::Ring));
        assert_eq!(Backend::ALL.len(), 1 + usize::from(cfg!(feature = "aws-lc")));
    }

    #[test]
    fn q9_r_and_s_are_neither_zero_nor_too_long_nor_the_order() {
        const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
        const P384_ORDER: &str =
            "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";
        for (curve, order) in [(Curve::P256, P256_ORDER), (Curve::P384, P384_ORDER)] {
            let signed = signed(curve);
            signed.accepted();
            let order = hex::decode(order).unwrap();
            let too_long = [&[0], signed.r.as_slice()].concat();
            for (number, code) in [
                (vec![], "signature.malformed"),
                (vec![0], "signature.malformed"),
                (vec![0; curve.coordinate_len()], "signature.malformed"),
                (too_long, "signature.malformed"),
                (order, "signature.wrong"),
                (vec![0xFF; curve.coordinate_len()], "signature.wrong"),
            ] {
                assert_eq!(signed.with(&number, &signed.s).unwrap_err().code(), code);
                assert_eq!(signed.with(&signed.r, &number).unwrap_err().code(), code);
            }
        }
    }

    #[test]
    fn a_number_without_its_zeros_in_front_is_the_same_number() {
        // About one signature in 128 has such a number: sign until there is one.
        let signed = core::iter::repeat_with(|| signed(Curve::P256))
            .take(20_000)
            .find(|signed| signed.r[0] == 0 || signed.s[0] == 0)
            .unwrap();
        signed.accepted();
        assert_eq!(signed.with(der::strip_zeros(&signed.r), der::strip_zeros(&signed.s)), Ok(()));
    }

    #[test]
    fn any_altered_bit_is_refused() {
        let signed = signed(Curve::P256);
        signed.accepted();
        for position in 0..32 {
            for bit in 0..8 {
                let (mut r, mut s) = (signed.r.clone(), signed.s.clone());
                r[position] ^= 1 << bit;
                s[position] ^= 1 << bit;
                assert!(signed.with(&r, &signed.s).is_err());
                assert!(signed.with(&signed.r, &s).is_err());
            }
        }
    }

    #[test]
    fn q8_key_scheme_and_signature_are_of_one_kind() {
        let signed = signed(Curve::P256);
        signed.accepted();
        let rsa = PublicKey::rsa(&[0xC3; 256], 65537).unwrap();
        let number = SignatureBytes::Rsa(&[1; 256]);
        let pair = SignatureBytes::Ecdsa { r: &signed.r, s: &signed.s };
        let pkcs1 = Scheme::RsaPkcs1(HashAlgorithm::Sha256);
        for (key, scheme, signature) in [
            (&signed.key, pkcs1, number),
            (&signed.key, pkcs1, pair),
            (&signed.key, signed.scheme, number),
            (&rsa, signed.scheme, pair),
            (&rsa, signed.scheme, number),
            (&rsa, pkcs1, pair),
        ] {
            let error = verify_with_each(key, scheme, MESSAGE, signature).unwrap_err();
            assert_eq!(error.code(), "signature.kind-mismatch");
        }
        assert_eq!(verify_with_each(&rsa, pkcs1, MESSAGE, number), Err(SignatureError::Wrong));
    }

    #[test]
    fn what_the_backend_cannot_compute_is_an_error_and_no_pass() {
        let signed = signed(Curve::P384);
        signed.accepted();
        let rsa = PublicKey::rsa(&[0xC3; 256], 65537).unwrap();
        for (key, scheme) in [
            (&signed.key, Scheme::Ecdsa(HashAlgorithm::Sha1)),
            (&signed.key, Scheme::Ecdsa(HashAlgorithm::Sha512)),
            (&rsa, Scheme::RsaPss(HashAlgorithm::Sha1)),
        ] {
            let signature = match key {
                PublicKey::Ec(_) => SignatureBytes::Ecdsa { r: &signed.r, s: &signed.s },
                PublicKey::Rsa(_) => SignatureBytes::Rsa(&[1; 256]),
            };
            let error = verify_with_each(key, scheme, MESSAGE, signature).unwrap_err();
            assert_eq!(error, SignatureError::Unsupported { scheme: scheme.name(), hash: scheme.hash() });
        }
    }

    #[test]
    fn q9_an_rsa_signature_is_as_long_as_its_modulus() {
        let rsa = PublicKey::rsa(&[0xC3; 256], 65537).unwrap();
        for len in [0, 1, 255, 257, 512] {
            let bytes = vec![1; len];
            for scheme in [Scheme::RsaPkcs1(HashAlgorithm::Sha1), Scheme::RsaPss(HashAlgorithm::Sha256)] {
                let error = verify_with_each(&rsa, scheme, MESSAGE, SignatureBytes::Rsa(&bytes)).unwrap_err();
                assert_eq!(error.code(), "signature.malformed");
            }
        }
    }

    #[test]
    fn a_point_beside_the_curve_verifies_nothing() {
        let signed = signed(Curve::P256);
        signed.accepted();
        let mut point = signed.key.to_sec1().unwrap();
        point[64] ^= 1;
        let other = Signed { key: PublicKey::from_sec1(&point).unwrap(), ..signed };
        assert_eq!(other.with(&other.r, &other.s), Err(SignatureError::Wrong));
    }
}
