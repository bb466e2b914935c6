//! Public keys, checked when they are made.

use core::fmt;

use x509_parser::der_parser::asn1_rs::Any;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::{SignatureError, der, pem};

/// `SEQUENCE { rsaEncryption, NULL }`, RFC 3279, section 2.3.1.
const RSA_ALGORITHM: &[u8] = &[0x30, 13, 6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1, 5, 0];
/// `SEQUENCE { id-ecPublicKey, secp256r1 }`, RFC 5480, section 2.1.1.
const P256_ALGORITHM: &[u8] =
    &[0x30, 19, 6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1, 6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7];
/// `SEQUENCE { id-ecPublicKey, secp384r1 }`.
const P384_ALGORITHM: &[u8] = &[0x30, 16, 6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1, 6, 5, 0x2B, 0x81, 4, 0, 0x22];

/// An elliptic curve of FIPS 186-5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256, secp256r1.
    P256,
    /// NIST P-384, secp384r1.
    P384,
}

impl Curve {
    /// Length of a coordinate, and of r and s of a signature, in bytes.
    #[must_use]
    pub const fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        })
    }
}

/// An RSA public key of 2048 to 8192 bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RsaPublicKey {
    // Without zeros in front, odd.
    modulus: Vec<u8>,
    exponent: u32,
}

impl RsaPublicKey {
    /// The modulus, big endian, no zeros in front: 256 to 1,024 bytes.
    #[must_use]
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The exponent: odd, 3 or more.
    #[must_use]
    pub const fn exponent(&self) -> u32 {
        self.exponent
    }
}

/// A public key on an elliptic curve.
///
/// That the point lies on the curve is checked by the backend with each signature; a point beside the curve never
/// verifies anything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EcPublicKey {
    curve: Curve,
    // 0x04, x, y: each coordinate of the curve's length.
    point: Vec<u8>,
}

impl EcPublicKey {
    /// The curve.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        self.curve
    }

    /// The uncompressed point of SEC 1, section 2.3.3: 0x04, x, y; 65 or 97 bytes.
    #[must_use]
    pub fn sec1(&self) -> &[u8] {
        &self.point
    }
}

/// A public key that can verify signatures. Two are equal when they are the same key, whatever they were read from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PublicKey {
    /// RSA.
    Rsa(RsaPublicKey),
    /// Elliptic curve.
    Ec(EcPublicKey),
}

impl PublicKey {
    /// An RSA key from its modulus (big endian, zeros in front are ignored) and exponent.
    ///
    /// # Errors
    /// [`SignatureError::RsaSize`], [`SignatureError::RsaModulusEven`], [`SignatureError::RsaExponent`].
    pub fn rsa(modulus: &[u8], exponent: u32) -> Result<Self, SignatureError> {
        let modulus = der::strip_zeros(modulus);
        let unused = modulus.first().map_or(0, |byte| byte.leading_zeros());
        let bits = modulus.len().saturating_mul(8).saturating_sub(usize::try_from(unused).unwrap_or(8));
        if !(2048..=8192).contains(&bits) {
            return Err(SignatureError::RsaSize { bits });
        }
        if modulus.last().is_none_or(|byte| byte & 1 == 0) {
            return Err(SignatureError::RsaModulusEven);
        }
        if exponent < 3 || exponent & 1 == 0 {
            return Err(SignatureError::RsaExponent);
        }
        Ok(Self::Rsa(RsaPublicKey { modulus: modulus.to_vec(), exponent }))
    }

    /// An elliptic-curve key from its coordinates, big endian. A TPM drops zeros in front of a coordinate: they are put
    /// back here.
    ///
    /// # Errors
    /// [`SignatureError::EcCoordinate`] for a coordinate longer than the curve's, or an empty one.
    pub fn ec(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, SignatureError> {
        let expected = curve.coordinate_len();
        let mut point = vec![0x04];
        for coordinate in [x, y] {
            let padding = expected
                .checked_sub(coordinate.len())
                .filter(|_| !coordinate.is_empty())
                .ok_or(SignatureError::EcCoordinate { curve, expected, found: coordinate.len() })?;
            point.extend(core::iter::repeat_n(0, padding));
            point.extend_from_slice(coordinate);
        }
        Ok(Self::Ec(EcPublicKey { curve, point }))
    }

    /// An elliptic-curve key from an uncompressed point: 65 bytes for P-256, 97 for P-384, the first 0x04. The form in
    /// which a NitroTPM attestation document carries a key.
    ///
    /// # Errors
    /// [`SignatureError::EcPoint`] for any other length or form, compressed points included.
    pub fn from_sec1(point: &[u8]) -> Result<Self, SignatureError> {
        let curve = match (point.len(), point.first()) {
            (65, Some(0x04)) => Curve::P256,
            (97, Some(0x04)) => Curve::P384,
            (found, first) => return Err(SignatureError::EcPoint { found, first: first.copied().unwrap_or(0) }),
        };
        Ok(Self::Ec(EcPublicKey { curve, point: point.to_vec() }))
    }

    /// A key from the DER of its `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7): `rsaEncryption`, or
    /// `id-ecPublicKey` with a named curve and an uncompressed point.
    ///
    /// The bytes must be the one encoding that [`PublicKey::to_spki_der`] writes: trailing bytes, other lengths and
    /// missing or odd parameters are refused.
    ///
    /// # Errors
    /// [`SignatureError::Spki`], [`SignatureError::KeyAlgorithm`], or what the constructor of the key says.
    pub fn from_spki_der(bytes: &[u8]) -> Result<Self, SignatureError> {
        let error = |detail| SignatureError::Spki { detail };
        let (rest, spki) = SubjectPublicKeyInfo::from_der(bytes).map_err(|_| error("its structure is wrong"))?;
        if !rest.is_empty() {
            return Err(error("bytes follow the structure"));
        }
        let algorithm = &spki.algorithm.algorithm;
        let key = if *algorithm == OID_PKCS1_RSAENCRYPTION {
            let parsed = spki.parsed().map_err(|_| error("the RSA key in it is malformed"))?;
            let x509_parser::public_key::PublicKey::RSA(key) = parsed else {
                return Err(error("the RSA key in it is malformed"));
            };
            let exponent = u32::try_from(key.try_exponent().map_err(|_| SignatureError::RsaExponent)?)
                .map_err(|_| SignatureError::RsaExponent)?;
            Self::rsa(key.modulus, exponent)?
        } else if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
            let curve = spki
                .algorithm
                .parameters
                .as_ref()
                .map(Any::as_oid)
                .and_then(Result::ok)
                .ok_or_else(|| error("it does not name its curve"))?;
            if curve != OID_EC_P256 && curve != OID_NIST_EC_P384 {
                return Err(SignatureError::KeyAlgorithm { oid: curve.to_id_string() });
            }
            Self::from_sec1(&spki.subject_public_key.data)?
        } else {
            return Err(SignatureError::KeyAlgorithm { oid: algorithm.to_id_string() });
        };
        // The parser is lenient about lengths, parameters, unused bits and signs; one key has one encoding.
        if key.to_spki_der() != bytes {
            return Err(error("it is not the one DER encoding of this key"));
        }
        Ok(key)
    }

    /// A key from a PEM text: exactly one block `PUBLIC KEY` (RFC 7468, section 13), and nothing but white space around.
    ///
    /// # Errors
    /// [`SignatureError::Pem`], or what [`PublicKey::from_spki_der`] says of the content.
    pub fn from_spki_pem(text: &[u8]) -> Result<Self, SignatureError> {
        Self::from_spki_der(&pem::decode(text)?)
    }

    /// The DER of the key's `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn to_spki_der(&self) -> Vec<u8> {
        let (algorithm, key) = match self {
            Self::Rsa(key) => {
                let numbers = [der::unsigned(&key.modulus), der::unsigned(&key.exponent.to_be_bytes())].concat();
                (RSA_ALGORITHM, der::element(der::SEQUENCE, &numbers))
            }
            Self::Ec(EcPublicKey { curve: Curve::P256, point }) => (P256_ALGORITHM, point.clone()),
            Self::Ec(EcPublicKey { curve: Curve::P384, point }) => (P384_ALGORITHM, point.clone()),
        };
        // The zero says that no bit of the string's last byte is unused.
        let bits = der::element(der::BIT_STRING, &[&[0], key.as_slice()].concat());
        der::element(der::SEQUENCE, &[algorithm, bits.as_slice()].concat())
    }

    /// The uncompressed point of an elliptic-curve key, `None` for RSA.
    #[must_use]
    pub fn to_sec1(&self) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(_) => None,
            Self::Ec(key) => Some(key.point.clone()),
        }
    }

    /// `RSA` or `EC`, for messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RSA",
            Self::Ec(_) => "EC",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modulus(len: usize) -> Vec<u8> {
        vec![0xC3; len]
    }

    fn rsa() -> PublicKey {
        PublicKey::rsa(&modulus(256), 65537).unwrap()
    }

    fn ec(curve: Curve) -> PublicKey {
        PublicKey::ec(curve, &vec![0x11; curve.coordinate_len()], &vec![0xA2; curve.coordinate_len()]).unwrap()
    }

    /// Every public key that is used by the tests.
    fn keys() -> [PublicKey; 3] {
        [rsa(), ec(Curve::P256), ec(Curve::P384)]
    }

    #[test]
    fn spki_round_trips_and_equal_keys_compare_equal() {
        for key in keys() {
            let again = PublicKey::from_spki_der(&key.to_spki_der()).unwrap();
            assert_eq!(again, key);
        }
        assert_eq!(PublicKey::rsa(&[vec![0, 0], modulus(256)].concat(), 65537).unwrap(), rsa());
        assert_ne!(PublicKey::rsa(&modulus(256), 3).unwrap(), rsa());
        let point = ec(Curve::P384).to_sec1().unwrap();
        assert_eq!(PublicKey::from_sec1(&point).unwrap(), ec(Curve::P384));
        assert_eq!(rsa().to_sec1(), None);
    }

    #[test]
    fn q10_coordinates_are_padded_on_the_left() {
        let y = [0xA2; 32];
        let PublicKey::Ec(short) = PublicKey::ec(Curve::P256, &[0x11; 30], &y).unwrap() else { panic!("an EC key") };
        assert_eq!(short.sec1()[..4], [4, 0, 0, 0x11]);
        assert_eq!(short.sec1().len(), 65);
        let padded = [&[0, 0][..], &[0x11; 30]].concat();
        assert_eq!(PublicKey::ec(Curve::P256, &padded, &y).unwrap(), PublicKey::Ec(short));
        // 65 and 66 bytes are what P-521 has.
        for wrong in [vec![], vec![0; 33], vec![1; 65], vec![1; 66]] {
            let found = wrong.len();
            let expected = SignatureError::EcCoordinate { curve: Curve::P256, expected: 32, found };
            assert_eq!(PublicKey::ec(Curve::P256, &wrong, &y), Err(expected.clone()));
            assert_eq!(PublicKey::ec(Curve::P256, &y, &wrong), Err(expected));
        }
    }

    #[test]
    fn rsa_keys_have_2048_to_8192_bits_and_are_odd() {
        assert!(PublicKey::rsa(&modulus(1024), 65537).is_ok());
        for (wrong, bits) in [(modulus(1025), 8200), (modulus(255), 2040), (vec![], 0), (vec![0; 300], 0)] {
            assert_eq!(PublicKey::rsa(&wrong, 65537), Err(SignatureError::RsaSize { bits }));
        }
        let mut number = modulus(256);
        number[0] = 0x7F;
        assert_eq!(PublicKey::rsa(&number, 65537), Err(SignatureError::RsaSize { bits: 2047 }));
        let mut number = modulus(256);
        number[255] = 0xC2;
        assert_eq!(PublicKey::rsa(&number, 65537), Err(SignatureError::RsaModulusEven));
        assert!(PublicKey::rsa(&modulus(256), 3).is_ok());
        for exponent in [0, 1, 2, 4, 65536] {
            assert_eq!(PublicKey::rsa(&modulus(256), exponent), Err(SignatureError::RsaExponent));
        }
    }

    #[test]
    fn points_are_uncompressed_and_of_a_known_length() {
        for (wrong, found, first) in
            [(vec![], 0, 0), (vec![4; 64], 64, 4), (vec![2; 33], 33, 2), (vec![3; 65], 65, 3), (vec![4; 133], 133, 4)]
        {
            assert_eq!(PublicKey::from_sec1(&wrong), Err(SignatureError::EcPoint { found, first }));
        }
    }

    #[test]
    fn spki_has_one_encoding() {
        for key in keys() {
            let good = key.to_spki_der();
            let trailing = [good.as_slice(), &[0]].concat();
            assert_eq!(PublicKey::from_spki_der(&trailing).unwrap_err().code(), "key.spki");
            for len in 0..good.len() {
                assert!(PublicKey::from_spki_der(&good[..len]).is_err(), "cut to {len} bytes");
            }
            // Whatever one changes, it is refused or it is another key.
            for position in 0..good.len() {
                for bit in 0..8 {
                    let mut bytes = good.clone();
                    bytes[position] ^= 1 << bit;
                    if let Ok(other) = PublicKey::from_spki_der(&bytes) {
                        assert_ne!(other, key);
                        assert_eq!(other.to_spki_der(), bytes);
                    }
                }
            }
        }
    }

    #[test]
    fn spki_without_the_rsa_parameters_is_refused() {
        let good = rsa().to_spki_der();
        let inner = good[RSA_ALGORITHM.len() + 4..].to_vec();
        let twin = der::element(der::SEQUENCE, &[RSA_ALGORITHM, &inner].concat());
        assert_eq!(twin, good);
        let bare = der::element(der::SEQUENCE, &RSA_ALGORITHM[2..13]);
        let wrong = der::element(der::SEQUENCE, &[bare, inner].concat());
        assert_eq!(PublicKey::from_spki_der(&wrong).unwrap_err().code(), "key.spki");
    }

    #[test]
    fn other_algorithms_and_curves_are_named() {
        // Ed25519, RFC 8410, and id-ecPublicKey with secp521r1.
        let ed25519 = [&[0x30, 42, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 3, 33, 0][..], &[7; 32]].concat();
        assert_eq!(
            PublicKey::from_spki_der(&ed25519),
            Err(SignatureError::KeyAlgorithm { oid: "1.3.101.112".to_owned() })
        );
        let mut other_curve = ec(Curve::P384).to_spki_der();
        other_curve[2 + P384_ALGORITHM.len() - 1] = 0x23;
        assert_eq!(
            PublicKey::from_spki_der(&other_curve),
            Err(SignatureError::KeyAlgorithm { oid: "1.3.132.0.35".to_owned() })
        );
        let mut no_curve = ec(Curve::P384).to_spki_der();
        no_curve[2 + 11] = 5;
        assert_eq!(PublicKey::from_spki_der(&no_curve).unwrap_err().code(), "key.spki");
    }

    #[test]
    fn exponents_beyond_32_bits_are_refused() {
        for (exponent, expected) in [
            (vec![0x01, 0x00, 0x01], None),
            (vec![0xFF; 4], None),
            (vec![1, 0, 0, 0, 1], Some(SignatureError::RsaExponent)),
            (vec![1; 9], Some(SignatureError::RsaExponent)),
        ] {
            let numbers = [der::unsigned(&modulus(256)), der::unsigned(&exponent)].concat();
            let key = [vec![0], der::element(der::SEQUENCE, &numbers)].concat();
            let spki = [RSA_ALGORITHM, &der::element(der::BIT_STRING, &key)].concat();
            assert_eq!(PublicKey::from_spki_der(&der::element(der::SEQUENCE, &spki)).err(), expected);
        }
    }
}
