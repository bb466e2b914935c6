//! A signature as a TPM makes it.

use alloc::vec::Vec;

use crate::{AlgorithmId, Reader, Structure, WireError, WireErrorKind, Writer};

/// `TPMT_SIGNATURE`: scheme, hash, and the bytes (TPM 2.0 Library Part 2, section 11.3). Other schemes than these three
/// are an error that names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// `TPM_ALG_RSASSA`.
    Rsassa {
        /// The hash of the message.
        hash: AlgorithmId,
        /// The signature, at most 1,024 bytes.
        signature: Vec<u8>,
    },
    /// `TPM_ALG_RSAPSS`.
    Rsapss {
        /// The hash of the message.
        hash: AlgorithmId,
        /// The signature, at most 1,024 bytes.
        signature: Vec<u8>,
    },
    /// `TPM_ALG_ECDSA`.
    Ecdsa {
        /// The hash of the message.
        hash: AlgorithmId,
        /// r, at most 80 bytes; a TPM may leave out zeros in front.
        r: Vec<u8>,
        /// s, likewise.
        s: Vec<u8>,
    },
}

/// 8,192 bits: more than any TPM's RSA.
pub(crate) const RSA_LIMIT: usize = 1024;
/// 638 bits, the largest curve of the registry.
pub(crate) const ECC_LIMIT: usize = 80;

impl Signature {
    /// The scheme's identifier.
    #[must_use]
    pub const fn scheme(&self) -> AlgorithmId {
        match self {
            Self::Rsassa { .. } => AlgorithmId::RSASSA,
            Self::Rsapss { .. } => AlgorithmId::RSAPSS,
            Self::Ecdsa { .. } => AlgorithmId::ECDSA,
        }
    }

    /// The hash of the message.
    #[must_use]
    pub const fn hash(&self) -> AlgorithmId {
        match self {
            Self::Rsassa { hash, .. } | Self::Rsapss { hash, .. } | Self::Ecdsa { hash, .. } => *hash,
        }
    }
}

impl Structure for Signature {
    const NAME: &'static str = "TPMT_SIGNATURE";

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let start = reader.offset();
        match reader.algorithm()? {
            AlgorithmId::RSASSA => {
                Ok(Self::Rsassa { hash: reader.algorithm()?, signature: reader.sized(RSA_LIMIT)?.to_vec() })
            }
            AlgorithmId::RSAPSS => {
                Ok(Self::Rsapss { hash: reader.algorithm()?, signature: reader.sized(RSA_LIMIT)?.to_vec() })
            }
            AlgorithmId::ECDSA => Ok(Self::Ecdsa {
                hash: reader.algorithm()?,
                r: reader.sized(ECC_LIMIT)?.to_vec(),
                s: reader.sized(ECC_LIMIT)?.to_vec(),
            }),
            id => Err(reader.error_at(start, WireErrorKind::Algorithm { field: "sigAlg", id })),
        }
    }

    fn write(&self, writer: &mut Writer) {
        writer.algorithm(self.scheme());
        writer.algorithm(self.hash());
        match self {
            Self::Rsassa { signature, .. } | Self::Rsapss { signature, .. } => writer.sized(signature),
            Self::Ecdsa { r, s, .. } => {
                writer.sized(r);
                writer.sized(s);
            }
        }
    }
}
