//! One register from its reset value through its extends.

use nitrotpm_digest_lanes::{AlgorithmMismatch, Digest, HashAlgorithm, extend};

use crate::PcrIndex;

/// The value of a register before anything was extended into it: zero, but 0xFF for the dynamic-launch registers 17 to
/// 22 (TCG PC Client Platform TPM Profile, section 3.6.3).
///
/// PCR 0 of a platform started at locality 3 or 4 starts otherwise: see [`Chain::from_value`].
#[must_use]
pub fn reset_value(bank: HashAlgorithm, index: PcrIndex) -> Digest {
    if (17..=22).contains(&index.get()) { Digest::ones(bank) } else { Digest::zero(bank) }
}

/// The value of one register while digests are extended into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    value: Digest,
    extends: usize,
}

impl Chain {
    /// A register at its reset value.
    #[must_use]
    pub fn new(bank: HashAlgorithm, index: PcrIndex) -> Self {
        Self::from_value(reset_value(bank, index))
    }

    /// A register that starts at a given value.
    #[must_use]
    pub const fn from_value(value: Digest) -> Self {
        Self { value, extends: 0 }
    }

    /// A register that already has this value after this many extends, such as one of a [`Batch`](crate::Batch).
    #[must_use]
    pub const fn resume(value: Digest, extends: usize) -> Self {
        Self { value, extends }
    }

    /// Extends a digest of the same bank into the register.
    ///
    /// # Errors
    /// [`AlgorithmMismatch`] where the digest is of another bank; the register then keeps its value.
    pub fn extend(&mut self, measured: &Digest) -> Result<(), AlgorithmMismatch> {
        self.value = extend(&self.value, measured)?;
        self.extends = self.extends.saturating_add(1);
        Ok(())
    }

    /// The value now.
    #[must_use]
    pub const fn value(&self) -> Digest {
        self.value
    }

    /// How many digests were extended.
    #[must_use]
    pub const fn extends(&self) -> usize {
        self.extends
    }
}
