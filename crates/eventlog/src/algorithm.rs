//! Hash algorithms as a log names them, known to us or not.

use core::fmt;

use nitrotpm_pcr::Bank;

/// A `TPM_ALG_ID` of a hash, as the log gives it (TCG Algorithm Registry, section 6.10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlgorithmId(pub u16);

impl AlgorithmId {
    /// SM3-256. Its digests are kept and shown; the toolkit cannot compute them.
    pub const SM3_256: Self = Self(0x0012);
    /// SHA3-256, kept and shown.
    pub const SHA3_256: Self = Self(0x0027);
    /// SHA3-384, kept and shown.
    pub const SHA3_384: Self = Self(0x0028);
    /// SHA3-512, kept and shown.
    pub const SHA3_512: Self = Self(0x0029);

    /// The bank, where the toolkit can compute this algorithm.
    #[must_use]
    pub const fn bank(self) -> Option<Bank> {
        Bank::from_tpm_id(self.0)
    }

    /// The length of a digest in bytes, where the algorithm is one of the registry.
    #[must_use]
    pub const fn digest_len(self) -> Option<usize> {
        // Bank by bank it would be looked up twice for every digest of a log.
        match self.0 {
            0x0004 => Some(20),
            0x000B | 0x0012 | 0x0027 => Some(32),
            0x000C | 0x0028 => Some(48),
            0x000D | 0x0029 => Some(64),
            _ => None,
        }
    }

    /// The name (`sha256`, `sm3_256`), where the algorithm is one of the registry.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::SM3_256 => Some("sm3_256"),
            Self::SHA3_256 => Some("sha3_256"),
            Self::SHA3_384 => Some("sha3_384"),
            Self::SHA3_512 => Some("sha3_512"),
            _ => match self.bank() {
                Some(bank) => Some(bank.name()),
                None => None,
            },
        }
    }
}

impl From<Bank> for AlgorithmId {
    fn from(bank: Bank) -> Self {
        Self(bank.tpm_id())
    }
}

impl fmt::Display for AlgorithmId {
    /// The name, or `alg-0x1234` where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "alg-{:#06x}", self.0),
        }
    }
}

/// A bank that the log's header declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeclaredBank {
    /// The algorithm.
    pub algorithm: AlgorithmId,
    /// The length of its digests in bytes, as declared; equal to the real length where the algorithm is known.
    pub size: u16,
}

impl DeclaredBank {
    /// The bank, where the toolkit can compute (and so replay) it.
    #[must_use]
    pub const fn bank(&self) -> Option<Bank> {
        self.algorithm.bank()
    }
}

/// How many banks a header may declare: a TPM has at most 16 (`HASH_COUNT` of `TPML_PCR_SELECTION`, TPM 2.0 Library
/// Part 2, section 10.9.7); a bound keeps the walk over an event's digests linear.
pub(crate) const MAX_BANKS: usize = 16;

/// The declared banks, in the header's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeclaredBanks {
    list: [DeclaredBank; MAX_BANKS],
    /// Where each begins in an event that has one digest of each, identifier first, in bytes from the first one.
    starts: [usize; MAX_BANKS],
    count: usize,
    /// What one digest of each takes in an event, in bytes, each with its identifier before it.
    length: usize,
}

impl DeclaredBanks {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[DeclaredBank] {
        self.list.get(..self.count).unwrap_or_default()
    }

    /// Adds a bank; `false` where there is no place left.
    #[must_use]
    pub(crate) fn push(&mut self, bank: DeclaredBank) -> bool {
        match self.list.get_mut(self.count).zip(self.starts.get_mut(self.count)) {
            Some((place, start)) => {
                *place = bank;
                *start = self.length;
                self.count = self.count.saturating_add(1);
                self.length = self.length.saturating_add(2).saturating_add(usize::from(bank.size));
                true
            }
            None => false,
        }
    }

    /// What one digest of each bank takes in an event, in bytes, each with its identifier before it.
    #[inline]
    pub(crate) const fn length(&self) -> usize {
        self.length
    }

    /// Whether `digests` are one digest of each bank in the header's order, and so of the right sizes, none twice.
    #[inline]
    pub(crate) fn are_all_in_order(&self, digests: &[u8]) -> bool {
        // Each identifier stands where it would if all before it are there: then their sizes are right too.
        digests.len() == self.length
            && self.as_slice().iter().zip(&self.starts).all(|(bank, start)| {
                let id = digests.get(*start..).and_then(<[u8]>::first_chunk);
                id.is_some_and(|id| u16::from_le_bytes(*id) == bank.algorithm.0)
            })
    }

    pub(crate) fn size_of(&self, algorithm: AlgorithmId) -> Option<u16> {
        self.as_slice().iter().find(|bank| bank.algorithm == algorithm).map(|bank| bank.size)
    }
}

/// The size of an algorithm in the raw list of a header that was already checked: the known length, or else the
/// declared one. `raw` holds pairs of identifier and size.
pub(crate) fn declared_size(raw: &[u8], algorithm: AlgorithmId) -> Option<usize> {
    algorithm.digest_len().or_else(|| {
        raw.as_chunks::<4>()
            .0
            .iter()
            .find(|[a, b, ..]| AlgorithmId(u16::from_le_bytes([*a, *b])) == algorithm)
            .map(|[.., c, d]| usize::from(u16::from_le_bytes([*c, *d])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_known_bank_is_its_own_and_every_length_has_a_name() {
        for id in (0..=u16::MAX).map(AlgorithmId) {
            assert_eq!(id.digest_len().is_some(), id.name().is_some(), "{id}");
            if let Some(bank) = id.bank() {
                assert_eq!(id.digest_len(), Some(bank.digest_len()));
            }
        }
        let lengths = [AlgorithmId::SM3_256, AlgorithmId::SHA3_256, AlgorithmId::SHA3_384, AlgorithmId::SHA3_512];
        assert_eq!(lengths.map(AlgorithmId::digest_len), [32, 32, 48, 64].map(Some));
    }
}
