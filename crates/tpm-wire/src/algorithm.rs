//! Identifiers of algorithms and curves, the unknown ones kept.

use core::fmt;

use nitrotpm_digest_lanes::HashAlgorithm;

/// A `TPM_ALG_ID`, known or not (TCG Algorithm Registry; TPM 2.0 Library Part 2, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlgorithmId(pub u16);

impl AlgorithmId {
    /// RSA.
    pub const RSA: Self = Self(0x0001);
    /// SHA-1.
    pub const SHA1: Self = Self(0x0004);
    /// AES.
    pub const AES: Self = Self(0x0006);
    /// SHA-256.
    pub const SHA256: Self = Self(0x000B);
    /// SHA-384.
    pub const SHA384: Self = Self(0x000C);
    /// SHA-512.
    pub const SHA512: Self = Self(0x000D);
    /// No algorithm.
    pub const NULL: Self = Self(0x0010);
    /// SM4.
    pub const SM4: Self = Self(0x0013);
    /// RSASSA-PKCS1-v1_5.
    pub const RSASSA: Self = Self(0x0014);
    /// RSAES-PKCS1-v1_5.
    pub const RSAES: Self = Self(0x0015);
    /// RSASSA-PSS.
    pub const RSAPSS: Self = Self(0x0016);
    /// RSAES-OAEP.
    pub const OAEP: Self = Self(0x0017);
    /// ECDSA.
    pub const ECDSA: Self = Self(0x0018);
    /// ECDH.
    pub const ECDH: Self = Self(0x0019);
    /// ECDAA.
    pub const ECDAA: Self = Self(0x001A);
    /// SM2.
    pub const SM2: Self = Self(0x001B);
    /// ECSCHNORR.
    pub const ECSCHNORR: Self = Self(0x001C);
    /// ECMQV.
    pub const ECMQV: Self = Self(0x001D);
    /// ECC.
    pub const ECC: Self = Self(0x0023);
    /// Camellia.
    pub const CAMELLIA: Self = Self(0x0026);
    /// CFB mode.
    pub const CFB: Self = Self(0x0043);

    /// The hash algorithm with this identifier, `None` where the toolkit cannot compute it.
    #[must_use]
    pub const fn hash(self) -> Option<HashAlgorithm> {
        HashAlgorithm::from_tpm_id(self.0)
    }

    /// The TCG's name without its prefix, `None` for an identifier not listed here.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::RSA => "RSA",
            Self::SHA1 => "SHA1",
            Self::AES => "AES",
            Self::SHA256 => "SHA256",
            Self::SHA384 => "SHA384",
            Self::SHA512 => "SHA512",
            Self::NULL => "NULL",
            Self::SM4 => "SM4",
            Self::RSASSA => "RSASSA",
            Self::RSAES => "RSAES",
            Self::RSAPSS => "RSAPSS",
            Self::OAEP => "OAEP",
            Self::ECDSA => "ECDSA",
            Self::ECDH => "ECDH",
            Self::ECDAA => "ECDAA",
            Self::SM2 => "SM2",
            Self::ECSCHNORR => "ECSCHNORR",
            Self::ECMQV => "ECMQV",
            Self::ECC => "ECC",
            Self::CAMELLIA => "CAMELLIA",
            Self::CFB => "CFB",
            _ => return None,
        })
    }
}

impl From<HashAlgorithm> for AlgorithmId {
    fn from(hash: HashAlgorithm) -> Self {
        Self(hash.tpm_id())
    }
}

impl fmt::Display for AlgorithmId {
    /// The name, or `algorithm 0x0012` where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "algorithm {:#06x}", self.0),
        }
    }
}

/// A `TPM_ECC_CURVE`, known or not (TCG Algorithm Registry; TPM 2.0 Library Part 2, section 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EccCurve(pub u16);

impl EccCurve {
    /// NIST P-256.
    pub const NIST_P256: Self = Self(0x0003);
    /// NIST P-384.
    pub const NIST_P384: Self = Self(0x0004);
    /// NIST P-521.
    pub const NIST_P521: Self = Self(0x0005);
}

impl fmt::Display for EccCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NIST_P256 => f.pad("P-256"),
            Self::NIST_P384 => f.pad("P-384"),
            Self::NIST_P521 => f.pad("P-521"),
            Self(other) => write!(f, "curve {other:#06x}"),
        }
    }
}
