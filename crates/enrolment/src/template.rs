//! The TCG's templates for endorsement keys.

use nitrotpm_signature::{Curve, PublicKey};
use nitrotpm_tpm_wire::{
    AlgorithmId, AsymmetricScheme, EccCurve, EccParameters, EccPoint, KdfScheme, ObjectAttributes, Public,
    PublicParameters, RsaParameters, Symmetric,
};

/// A template of the TCG EK Credential Profile (version 2.5, annex B): what a TPM makes its endorsement key from, so
/// that the same key comes out each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndorsementTemplate {
    /// L-1: RSA-2048, SHA-256, AES-128. EC2 calls it `rsa-2048`.
    Rsa2048,
    /// L-2: ECC P-256, SHA-256, AES-128.
    P256,
    /// H-3: ECC P-384, SHA-384, AES-256. EC2 calls its key `ecc-sec-p384`.
    P384,
}

/// `PolicyA`: `TPM2_PolicySecret` with the endorsement hierarchy's authorization, by SHA-256.
const POLICY_A: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xB3, 0xF8, 0x1A, 0x90, 0xCC, 0x8D, 0x46, 0xA5, 0xD7, 0x24, 0xFD, 0x52, 0xD7,
    0x6E, 0x06, 0x52, 0x0B, 0x64, 0xF2, 0xA1, 0xDA, 0x1B, 0x33, 0x14, 0x69, 0xAA,
];
/// `PolicyB`: `PolicyA` or an authorization kept in an NV index, by SHA-384.
const POLICY_B: [u8; 48] = [
    0xB2, 0x6E, 0x7D, 0x28, 0xD1, 0x1A, 0x50, 0xBC, 0x53, 0xD8, 0x82, 0xBC, 0xF5, 0xFD, 0x3A, 0x1A, 0x07, 0x41, 0x48,
    0xBB, 0x35, 0xD3, 0xB4, 0xE4, 0xCB, 0x1C, 0x0A, 0xD9, 0xBD, 0xE4, 0x19, 0xCA, 0xCB, 0x47, 0xBA, 0x09, 0x69, 0x96,
    0x46, 0x15, 0x0F, 0x9F, 0xC0, 0x00, 0xF3, 0xF8, 0x0E, 0x12,
];

impl EndorsementTemplate {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rsa2048, Self::P256, Self::P384];

    /// The template whose keys look like this one, `None` where there is none: RSA keys of other sizes.
    #[must_use]
    pub fn of(key: &PublicKey) -> Option<Self> {
        match key {
            PublicKey::Rsa(key) if key.modulus().len() == 256 && key.exponent() == 65_537 => Some(Self::Rsa2048),
            PublicKey::Ec(key) => Some(match key.curve() {
                Curve::P256 => Self::P256,
                Curve::P384 => Self::P384,
            }),
            _ => None,
        }
    }

    /// The public area to give to `TPM2_CreatePrimary` in the endorsement hierarchy.
    #[must_use]
    pub fn public(self) -> Public {
        match self {
            Self::Rsa2048 => self.with_unique(&[0; 256], &[]),
            Self::P256 => self.with_unique(&[0; 32], &[0; 32]),
            Self::P384 => self.with_unique(&[], &[]),
        }
    }

    /// The public area of the key that came out: `first` is the modulus, or x, with y in `second`.
    pub(crate) fn with_unique(self, first: &[u8], second: &[u8]) -> Public {
        let attributes = ObjectAttributes::FIXED_TPM
            .with(ObjectAttributes::FIXED_PARENT)
            .with(ObjectAttributes::SENSITIVE_DATA_ORIGIN)
            .with(ObjectAttributes::ADMIN_WITH_POLICY)
            .with(ObjectAttributes::RESTRICTED)
            .with(ObjectAttributes::DECRYPT);
        let aes = |key_bits| Symmetric::Cipher { algorithm: AlgorithmId::AES, key_bits, mode: AlgorithmId::CFB };
        let ecc = |curve, key_bits| PublicParameters::Ecc {
            parameters: EccParameters {
                symmetric: aes(key_bits),
                scheme: AsymmetricScheme::Null,
                curve,
                kdf: KdfScheme::Null,
            },
            point: EccPoint { x: first.to_vec(), y: second.to_vec() },
        };
        let low = |parameters| Public {
            name_alg: AlgorithmId::SHA256,
            attributes,
            auth_policy: POLICY_A.to_vec(),
            parameters,
        };
        match self {
            Self::Rsa2048 => low(PublicParameters::Rsa {
                parameters: RsaParameters {
                    symmetric: aes(128),
                    scheme: AsymmetricScheme::Null,
                    key_bits: 2048,
                    exponent: 0,
                },
                modulus: first.to_vec(),
            }),
            Self::P256 => low(ecc(EccCurve::NIST_P256, 128)),
            Self::P384 => Public {
                name_alg: AlgorithmId::SHA384,
                attributes: attributes.with(ObjectAttributes::USER_WITH_AUTH),
                auth_policy: POLICY_B.to_vec(),
                parameters: ecc(EccCurve::NIST_P384, 256),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use nitrotpm_tpm_wire::Structure;

    use super::*;

    #[test]
    fn templates_have_the_attributes_of_the_profile() {
        let attributes = EndorsementTemplate::ALL.map(|template| template.public().attributes.0);
        assert_eq!(attributes, [0x0003_00B2, 0x0003_00B2, 0x0003_00F2]);
        let lengths = EndorsementTemplate::ALL.map(|template| template.public().to_bytes().unwrap().len());
        assert_eq!(lengths, [314, 122, 74]);
    }
}
