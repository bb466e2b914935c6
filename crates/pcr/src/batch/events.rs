//! Events that have a digest of each bank, which nearly all have: noted once and not bank by bank.

use alloc::vec::Vec;

use nitrotpm_digest_lanes::{DigestBytes, HashAlgorithm, WrongLength};

use super::{BatchError, REGISTERS, bit, recycled};
use crate::PcrIndex;

/// Where the digest of each bank stands among the digests of an event: the same in all events of a log but few.
///
/// ```
/// use nitrotpm_pcr::{Bank, DigestPlaces};
///
/// // A TCG event has an identifier of two bytes before each digest.
/// let places = DigestPlaces::default().with(Bank::Sha1, 2).with(Bank::Sha256, 24);
/// assert_eq!(places.of(Bank::Sha256), Some(24));
/// assert_eq!(places.of(Bank::Sha384), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestPlaces {
    sha1: Option<usize>,
    sha256: Option<usize>,
    sha384: Option<usize>,
    sha512: Option<usize>,
    /// Where the last of them ends, and whose it is.
    end: usize,
    last: Option<HashAlgorithm>,
}

impl DigestPlaces {
    /// The same, with the digest of a bank `at` bytes behind the first byte.
    #[must_use]
    pub fn with(mut self, bank: HashAlgorithm, at: usize) -> Self {
        *match bank {
            HashAlgorithm::Sha1 => &mut self.sha1,
            HashAlgorithm::Sha256 => &mut self.sha256,
            HashAlgorithm::Sha384 => &mut self.sha384,
            HashAlgorithm::Sha512 => &mut self.sha512,
        } = Some(at);
        let ends = self.iter().map(|(bank, at)| (at.saturating_add(bank.digest_len()), bank));
        (self.end, self.last) = ends.max_by_key(|(end, _)| *end).map_or((0, None), |(end, bank)| (end, Some(bank)));
        self
    }

    /// Where the digest of a bank begins, in bytes; `None` for a bank without one.
    #[must_use]
    pub const fn of(&self, bank: HashAlgorithm) -> Option<usize> {
        match bank {
            HashAlgorithm::Sha1 => self.sha1,
            HashAlgorithm::Sha256 => self.sha256,
            HashAlgorithm::Sha384 => self.sha384,
            HashAlgorithm::Sha512 => self.sha512,
        }
    }

    /// The banks that have a place, and where their digests begin, in bytes.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (HashAlgorithm, usize)> + use<> {
        let places = *self;
        HashAlgorithm::ALL.iter().filter_map(move |bank| Some((*bank, places.of(*bank)?)))
    }
}

/// The digests of events, by register, each event's in one piece.
#[derive(Debug, Default)]
pub(super) struct WholeEvents<'d> {
    lists: [Vec<&'d [u8]>; REGISTERS],
    /// A bit for each register that has some.
    touched: u32,
    pub(super) places: DigestPlaces,
}

impl<'d> WholeEvents<'d> {
    /// Forgets everything.
    pub(super) fn begin(&mut self) {
        if self.touched != 0 {
            self.lists.iter_mut().for_each(Vec::clear);
            self.touched = 0;
        }
        self.places = DigestPlaces::default();
    }

    #[inline]
    pub(super) fn push(&mut self, index: PcrIndex, digests: &'d [u8]) -> Result<(), BatchError> {
        if digests.len() < self.places.end {
            return Err(self.too_short(index, digests.len()));
        }
        if let Some(list) = self.lists.get_mut(usize::from(index)) {
            list.push(digests);
            self.touched |= bit(index);
        }
        Ok(())
    }

    /// What is wrong with digests that end before the last place does.
    #[cold]
    fn too_short(&self, index: PcrIndex, length: usize) -> BatchError {
        let algorithm = self.places.last.unwrap_or(HashAlgorithm::Sha1);
        let found = length.saturating_sub(self.places.of(algorithm).unwrap_or_default());
        BatchError::DigestLength { index, cause: WrongLength { algorithm, found } }
    }

    #[inline]
    pub(super) fn has(&self, index: PcrIndex) -> bool {
        self.touched & bit(index) != 0
    }

    /// The registers that have events, where those have digests of this bank.
    #[inline]
    pub(super) fn touched_in(&self, bank: HashAlgorithm) -> u32 {
        if self.places.of(bank).is_some() { self.touched } else { 0 }
    }

    /// The digests of one register in the bank `B`; none where the events have none.
    #[inline]
    pub(super) fn digests<B: DigestBytes>(&self, index: PcrIndex) -> impl Iterator<Item = &'d B> {
        let at = self.places.of(B::ALGORITHM);
        let list = at.and_then(|_| self.lists.get(usize::from(index))).map(Vec::as_slice).unwrap_or_default();
        let from = at.unwrap_or_default();
        let to = from.saturating_add(B::ALGORITHM.digest_len());
        // Every event was seen to be as long as the places reach: none falls out here.
        list.iter().filter_map(move |bytes| B::from_slice(bytes.get(from..to)?))
    }

    /// Forgets the events of one register.
    pub(super) fn forget(&mut self, index: PcrIndex) {
        if let Some(list) = self.lists.get_mut(usize::from(index)) {
            list.clear();
            self.touched &= !bit(index);
        }
    }

    /// Where the longest list stands and how long it may grow without moving.
    #[cfg(test)]
    pub(super) fn memory(&self) -> (usize, usize) {
        let list = self.lists.iter().max_by_key(|list| list.capacity());
        list.map_or((0, 0), |list| (list.as_ptr().addr(), list.capacity()))
    }

    /// Empty, for events that live at another time, in the same memory.
    pub(super) fn reuse<'e>(mut self) -> WholeEvents<'e> {
        self.begin();
        WholeEvents { lists: self.lists.map(recycled), touched: 0, places: DigestPlaces::default() }
    }
}
