//! A digest together with the algorithm that made it.

use core::fmt;

use crate::HashAlgorithm;

/// A digest of one of the four algorithms; the length always fits the algorithm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: HashAlgorithm,
    // Bytes past the digest's length are zero, so that the derived comparisons are right.
    bytes: [u8; 64],
}

impl Digest {
    /// A digest of all zero bytes: the reset value of PCR 0 to 16 and 23.
    #[must_use]
    pub const fn zero(algorithm: HashAlgorithm) -> Self {
        Self { algorithm, bytes: [0; 64] }
    }

    /// A digest of all 0xFF bytes: the reset value of PCR 17 to 22.
    #[must_use]
    pub fn ones(algorithm: HashAlgorithm) -> Self {
        let mut digest = Self::zero(algorithm);
        digest.bytes.iter_mut().take(algorithm.digest_len()).for_each(|byte| *byte = 0xFF);
        digest
    }

    /// Takes the bytes of a digest.
    ///
    /// # Errors
    /// [`WrongLength`] where `bytes` is not as long as the algorithm's digests are.
    pub fn new(algorithm: HashAlgorithm, bytes: &[u8]) -> Result<Self, WrongLength> {
        if bytes.len() != algorithm.digest_len() {
            return Err(WrongLength { algorithm, found: bytes.len() });
        }
        let mut digest = Self::zero(algorithm);
        digest.bytes.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(digest)
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The digest's bytes: 20, 32, 48 or 64 of them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        // A digest is never longer than the array: the empty slice is never returned.
        self.bytes.get(..self.algorithm.digest_len()).unwrap_or_default()
    }

    /// Whether every byte is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.bytes.iter().all(|byte| *byte == 0)
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for Digest {
    /// Lower-case hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one piece: a formatter costs more than the digits do.
        let mut text = [0; 128];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(self.as_bytes()) {
            let digit = |value: u8| b"0123456789abcdef".get(usize::from(value)).copied().unwrap_or_default();
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        let text = text.get(..self.algorithm.digest_len().saturating_mul(2)).unwrap_or_default();
        f.write_str(core::str::from_utf8(text).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.algorithm)
    }
}

/// Bytes that are not as long as a digest of the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongLength {
    /// The algorithm that was asked for.
    pub algorithm: HashAlgorithm,
    /// How many bytes there were.
    pub found: usize,
}

impl fmt::Display for WrongLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} digest has {} bytes, found {}", self.algorithm, self.algorithm.digest_len(), self.found)
    }
}

impl core::error::Error for WrongLength {}

/// Two digests of different algorithms where one PCR has only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlgorithmMismatch {
    /// The PCR's algorithm.
    pub register: HashAlgorithm,
    /// The algorithm of the digest that was to be extended into it.
    pub measured: HashAlgorithm,
}

impl fmt::Display for AlgorithmMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} digest cannot be extended into a {} register", self.measured, self.register)
    }
}

impl core::error::Error for AlgorithmMismatch {}
