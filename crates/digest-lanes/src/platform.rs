//! The instruction sets there are code for.

use core::fmt;

use crate::HashAlgorithm;

/// An instruction set for which this crate has code.
///
/// It is a name only: what the processor has is asked with [`is_available`](Self::is_available), and
/// [`Backends::forced`](crate::Backends::forced) refuses a set that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Platform {
    /// One chain at a time, any processor. The compression functions are those of the RustCrypto crates, which use
    /// the SHA instructions or AVX2 where they find them.
    Portable,
    /// The x86 SHA instructions: 1 to 4 chains interleaved, SHA-1 and SHA-256 only.
    ShaNi,
    /// 256-bit vectors: 8 lanes of SHA-1 and SHA-256, 4 of SHA-384 and SHA-512. Of a long message of the latter that is
    /// alone, the vectors prepare four blocks at once.
    Avx2,
    /// 256-bit vectors with the instructions of AVX-512 (F and VL): as many lanes as AVX2 has.
    Avx512Vl,
    /// 512-bit vectors (AVX-512 F, BW and VL): 16 lanes of SHA-1 and SHA-256, 8 of SHA-384 and SHA-512.
    Avx512,
}

impl Platform {
    /// All of them, narrowest first.
    pub const ALL: [Self; 5] = [Self::Portable, Self::ShaNi, Self::Avx2, Self::Avx512Vl, Self::Avx512];

    /// The widest set that this processor has, and whose registers the operating system saves.
    ///
    /// Asks the processor once and remembers the answer.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().last().unwrap_or(Self::Portable)
    }

    /// The sets that this processor has, narrowest first. [`Portable`](Self::Portable) is always one of them.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|platform| platform.is_available())
    }

    /// Whether this processor has the set.
    #[must_use]
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Self::Portable => true,
            Self::ShaNi => crate::shani::ShaNi::new().is_some(),
            Self::Avx2 => crate::avx2::Avx2::new().is_some(),
            Self::Avx512Vl => crate::avx512vl::Avx512Vl::new().is_some(),
            Self::Avx512 => crate::avx512::Avx512::new().is_some(),
        };
        #[cfg(not(target_arch = "x86_64"))]
        return matches!(self, Self::Portable);
    }

    /// The most chains that one step of the set's code works on, or `None` where it has no code for the algorithm.
    #[must_use]
    pub const fn lanes(self, algorithm: HashAlgorithm) -> Option<usize> {
        let narrow = matches!(algorithm, HashAlgorithm::Sha1 | HashAlgorithm::Sha256);
        match (self, narrow) {
            (Self::Portable, _) => Some(1),
            (Self::ShaNi, true) => Some(4),
            (Self::ShaNi, false) => None,
            (Self::Avx2 | Self::Avx512Vl, true) | (Self::Avx512, false) => Some(8),
            (Self::Avx2 | Self::Avx512Vl, false) => Some(4),
            (Self::Avx512, true) => Some(16),
        }
    }

    /// The name for people and command lines: `portable`, `sha-ni`, `avx2`, `avx512vl`, `avx512`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::ShaNi => "sha-ni",
            Self::Avx2 => "avx2",
            Self::Avx512Vl => "avx512vl",
            Self::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
