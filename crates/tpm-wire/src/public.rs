//! The public area of a key.

use alloc::vec::Vec;

use nitrotpm_digest_lanes::hash;

use crate::signature::{ECC_LIMIT, RSA_LIMIT};
use crate::{AlgorithmId, EccCurve, ObjectAttributes, Reader, Structure, WireError, WireErrorKind, Writer};

/// `TPMT_SYM_DEF_OBJECT`: the cipher with which a key protects its children (TPM 2.0 Library Part 2, section 11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symmetric {
    /// `TPM_ALG_NULL`: the key has no children.
    Null,
    /// A block cipher.
    Cipher {
        /// AES, SM4 or Camellia.
        algorithm: AlgorithmId,
        /// The size of its keys.
        key_bits: u16,
        /// The mode, usually CFB.
        mode: AlgorithmId,
    },
}

impl Structure for Symmetric {
    const NAME: &'static str = "TPMT_SYM_DEF_OBJECT";

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let start = reader.offset();
        match reader.algorithm()? {
            AlgorithmId::NULL => Ok(Self::Null),
            algorithm @ (AlgorithmId::AES | AlgorithmId::SM4 | AlgorithmId::CAMELLIA) => {
                Ok(Self::Cipher { algorithm, key_bits: reader.u16()?, mode: reader.algorithm()? })
            }
            id => Err(reader.error_at(start, WireErrorKind::Algorithm { field: "symmetric", id })),
        }
    }

    fn write(&self, writer: &mut Writer) {
        match *self {
            Self::Null => writer.algorithm(AlgorithmId::NULL),
            Self::Cipher { algorithm, key_bits, mode } => {
                writer.algorithm(algorithm);
                writer.u16(key_bits);
                writer.algorithm(mode);
            }
        }
    }
}

/// `TPMT_RSA_SCHEME` or `TPMT_ECC_SCHEME`: the scheme that a key fixes (TPM 2.0 Library Part 2, section 11.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsymmetricScheme {
    /// `TPM_ALG_NULL`: each use names its scheme.
    Null,
    /// A scheme without parameters: RSAES.
    Bare {
        /// The scheme.
        scheme: AlgorithmId,
    },
    /// A scheme with a hash.
    Hashed {
        /// RSASSA, RSAPSS, OAEP, ECDSA, ECDH, SM2, ECSCHNORR or ECMQV.
        scheme: AlgorithmId,
        /// Its hash.
        hash: AlgorithmId,
    },
    /// ECDAA.
    Ecdaa {
        /// Its hash.
        hash: AlgorithmId,
        /// Its counter.
        count: u16,
    },
}

impl AsymmetricScheme {
    /// The scheme's identifier.
    #[must_use]
    pub const fn scheme(self) -> AlgorithmId {
        match self {
            Self::Null => AlgorithmId::NULL,
            Self::Bare { scheme } | Self::Hashed { scheme, .. } => scheme,
            Self::Ecdaa { .. } => AlgorithmId::ECDAA,
        }
    }
}

impl Structure for AsymmetricScheme {
    const NAME: &'static str = "TPMT_ASYM_SCHEME";

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let start = reader.offset();
        match reader.algorithm()? {
            AlgorithmId::NULL => Ok(Self::Null),
            scheme @ AlgorithmId::RSAES => Ok(Self::Bare { scheme }),
            AlgorithmId::ECDAA => Ok(Self::Ecdaa { hash: reader.algorithm()?, count: reader.u16()? }),
            scheme @ (AlgorithmId::RSASSA
            | AlgorithmId::RSAPSS
            | AlgorithmId::OAEP
            | AlgorithmId::ECDSA
            | AlgorithmId::ECDH
            | AlgorithmId::SM2
            | AlgorithmId::ECSCHNORR
            | AlgorithmId::ECMQV) => Ok(Self::Hashed { scheme, hash: reader.algorithm()? }),
            id => Err(reader.error_at(start, WireErrorKind::Algorithm { field: "scheme", id })),
        }
    }

    fn write(&self, writer: &mut Writer) {
        writer.algorithm(self.scheme());
        match *self {
            Self::Null | Self::Bare { .. } => {}
            Self::Hashed { hash, .. } => writer.algorithm(hash),
            Self::Ecdaa { hash, count } => {
                writer.algorithm(hash);
                writer.u16(count);
            }
        }
    }
}

/// `TPMT_KDF_SCHEME` (TPM 2.0 Library Part 2, section 11.2). TPMs write `TPM_ALG_NULL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KdfScheme {
    /// `TPM_ALG_NULL`.
    Null,
    /// A key derivation function with its hash.
    Hashed {
        /// MGF1 or one of the KDFs of SP 800-56A and SP 800-108: identifiers 0x0007 and 0x0020 to 0x0022.
        scheme: AlgorithmId,
        /// Its hash.
        hash: AlgorithmId,
    },
}

impl Structure for KdfScheme {
    const NAME: &'static str = "TPMT_KDF_SCHEME";

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let start = reader.offset();
        match reader.algorithm()? {
            AlgorithmId::NULL => Ok(Self::Null),
            scheme @ AlgorithmId(0x0007 | 0x0020..=0x0022) => Ok(Self::Hashed { scheme, hash: reader.algorithm()? }),
            id => Err(reader.error_at(start, WireErrorKind::Algorithm { field: "kdf", id })),
        }
    }

    fn write(&self, writer: &mut Writer) {
        match *self {
            Self::Null => writer.algorithm(AlgorithmId::NULL),
            Self::Hashed { scheme, hash } => {
                writer.algorithm(scheme);
                writer.algorithm(hash);
            }
        }
    }
}

/// `TPMS_RSA_PARMS` (TPM 2.0 Library Part 2, section 12.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RsaParameters {
    /// The cipher for children.
    pub symmetric: Symmetric,
    /// The scheme that the key fixes.
    pub scheme: AsymmetricScheme,
    /// The size of the modulus.
    pub key_bits: u16,
    /// The exponent as written: 0 stands for 65,537.
    pub exponent: u32,
}

impl Structure for RsaParameters {
    const NAME: &'static str = "TPMS_RSA_PARMS";

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            symmetric: reader.structure()?,
            scheme: reader.structure()?,
            key_bits: reader.u16()?,
            exponent: reader.u32()?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        self.symmetric.write(writer);
        self.scheme.write(writer);
        writer.u16(self.key_bits);
        writer.u32(self.exponent);
    }
}

/// `TPMS_ECC_PARMS` (TPM 2.0 Library Part 2, section 12.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EccParameters {
    /// The cipher for children.
    pub symmetric: Symmetric,
    /// The scheme that the key fixes.
    pub scheme: AsymmetricScheme,
    /// The curve.
    pub curve: EccCurve,
    /// The key derivation function.
    pub kdf: KdfScheme,
}

impl Structure for EccParameters {
    const NAME: &'static str = "TPMS_ECC_PARMS";

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self {
            symmetric: reader.structure()?,
            scheme: reader.structure()?,
            curve: EccCurve(reader.u16()?),
            kdf: reader.structure()?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        self.symmetric.write(writer);
        self.scheme.write(writer);
        writer.u16(self.curve.0);
        self.kdf.write(writer);
    }
}

/// `TPMS_ECC_POINT`: coordinates of at most 80 bytes each (TPM 2.0 Library Part 2, section 11.2). A TPM may leave out
/// zeros in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EccPoint {
    /// x
    pub x: Vec<u8>,
    /// y
    pub y: Vec<u8>,
}

impl Structure for EccPoint {
    const NAME: &'static str = "TPMS_ECC_POINT";

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self { x: reader.sized(ECC_LIMIT)?.to_vec(), y: reader.sized(ECC_LIMIT)?.to_vec() })
    }

    fn write(&self, writer: &mut Writer) {
        writer.sized(&self.x);
        writer.sized(&self.y);
    }
}

/// The parts of a public area that hang on the key's type: parameters and unique value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicParameters {
    /// `TPM_ALG_RSA`.
    Rsa {
        /// The parameters.
        parameters: RsaParameters,
        /// The modulus, at most 1,024 bytes.
        modulus: Vec<u8>,
    },
    /// `TPM_ALG_ECC`.
    Ecc {
        /// The parameters.
        parameters: EccParameters,
        /// The public point.
        point: EccPoint,
    },
}

/// `TPMT_PUBLIC`: the public area of an RSA or ECC key (TPM 2.0 Library Part 2, section 12.2). Other types of objects
/// are an error that names them. With its size in front it is a `TPM2B_PUBLIC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    /// The algorithm of the key's Name.
    pub name_alg: AlgorithmId,
    /// What the key may do.
    pub attributes: ObjectAttributes,
    /// The digest of the policy that authorizes uses; at most 64 bytes, empty for none.
    pub auth_policy: Vec<u8>,
    /// Type, parameters and unique value.
    pub parameters: PublicParameters,
}

impl Public {
    /// The type: [`AlgorithmId::RSA`] or [`AlgorithmId::ECC`].
    #[must_use]
    pub const fn key_type(&self) -> AlgorithmId {
        match &self.parameters {
            PublicParameters::Rsa { .. } => AlgorithmId::RSA,
            PublicParameters::Ecc { .. } => AlgorithmId::ECC,
        }
    }

    /// The scheme that the key fixes, [`AsymmetricScheme::Null`] where it fixes none.
    #[must_use]
    pub const fn scheme(&self) -> AsymmetricScheme {
        match &self.parameters {
            PublicParameters::Rsa { parameters, .. } => parameters.scheme,
            PublicParameters::Ecc { parameters, .. } => parameters.scheme,
        }
    }

    /// The key's Name: the algorithm's identifier, then the digest of the public area (TPM 2.0 Library Part 1, section
    /// 16 "Names"). `None` where the algorithm is not one of SHA-1, SHA-256, SHA-384, SHA-512, or where the area cannot
    /// be written.
    #[must_use]
    pub fn name(&self) -> Option<Vec<u8>> {
        let digest = hash(self.name_alg.hash()?, &[&self.to_bytes().ok()?]);
        Some([&self.name_alg.0.to_be_bytes(), digest.as_bytes()].concat())
    }
}

impl Structure for Public {
    const NAME: &'static str = "TPMT_PUBLIC";

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let start = reader.offset();
        let key_type = reader.algorithm()?;
        if !matches!(key_type, AlgorithmId::RSA | AlgorithmId::ECC) {
            return Err(reader.error_at(start, WireErrorKind::Algorithm { field: "type", id: key_type }));
        }
        Ok(Self {
            name_alg: reader.algorithm()?,
            attributes: ObjectAttributes(reader.u32()?),
            auth_policy: reader.sized(64)?.to_vec(),
            parameters: if key_type == AlgorithmId::RSA {
                PublicParameters::Rsa { parameters: reader.structure()?, modulus: reader.sized(RSA_LIMIT)?.to_vec() }
            } else {
                PublicParameters::Ecc { parameters: reader.structure()?, point: reader.structure()? }
            },
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.algorithm(self.key_type());
        writer.algorithm(self.name_alg);
        writer.u32(self.attributes.0);
        writer.sized(&self.auth_policy);
        match &self.parameters {
            PublicParameters::Rsa { parameters, modulus } => {
                parameters.write(writer);
                writer.sized(modulus);
            }
            PublicParameters::Ecc { parameters, point } => {
                parameters.write(writer);
                point.write(writer);
            }
        }
    }
}
