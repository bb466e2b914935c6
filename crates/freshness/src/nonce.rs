//! The nonce that the verifier sent and wants to see again.

use alloc::vec::Vec;
use core::fmt;

use subtle::ConstantTimeEq;

/// A nonce: 1 to 1,024 bytes that the verifier chose.
///
/// 1,024 is what a NitroTPM attestation document can carry; a TPM quote carries at most 64 (the size of the largest
/// digest, TPM 2.0 Library Part 2, `TPM2B_DATA`). At least 16 random bytes make a nonce that nobody guesses.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(Vec<u8>);

impl Nonce {
    /// The longest nonce, in bytes.
    pub const MAX_LEN: usize = 1024;

    /// Takes the bytes of a nonce.
    ///
    /// # Errors
    /// [`NonceError`] for no bytes or too many.
    pub fn new(bytes: &[u8]) -> Result<Self, NonceError> {
        match bytes.len() {
            0 => Err(NonceError::Empty),
            1..=Self::MAX_LEN => Ok(Self(bytes.to_vec())),
            length => Err(NonceError::TooLong { length }),
        }
    }

    /// Reads a nonce written in hexadecimal, either case.
    ///
    /// # Errors
    /// [`NonceError`] for text that is not hexadecimal, no bytes, or too many.
    pub fn from_hex(text: &str) -> Result<Self, NonceError> {
        Self::new(&hex::decode(text).map_err(|_| NonceError::NotHex)?)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `found` is exactly this nonce: every byte, the same length, no prefix and no other encoding. The time it
    /// takes depends on the lengths only.
    #[must_use]
    pub fn matches(&self, found: &[u8]) -> bool {
        self.0.ct_eq(found).into()
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({})", hex::encode(&self.0))
    }
}

/// What the verifier demands of the nonce in the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonceExpectation<'a> {
    /// The evidence must carry exactly this nonce.
    Expected(&'a Nonce),
    /// The caller chose, by this name, not to check the nonce. Results then say that freshness was not checked.
    NotChecked,
}

/// Why bytes or text are not a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NonceError {
    /// No bytes: anybody could have sent that.
    #[error("the nonce is empty; send at least 16 random bytes, or say that no nonce is to be checked")]
    Empty,
    /// More bytes than a document can carry.
    #[error("the nonce has {length} bytes; a document carries at most 1024, a quote at most 64")]
    TooLong {
        /// How many there were.
        length: usize,
    },
    /// Not hexadecimal.
    #[error("the nonce is not hexadecimal: an even number of digits 0-9 and a-f is expected")]
    NotHex,
}
