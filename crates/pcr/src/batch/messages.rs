//! Messages that are hashed in several banks: listed and put in order once.

use alloc::vec::Vec;

use nitrotpm_digest_lanes::{Backends, DigestBytes, HashAlgorithm, Message};

use super::order::longest_first;
use super::{DigestPlaces, place, recycled};

/// One message in a [`Batch`](super::Batch). Of use only with the batch it came from, until that is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(usize);

/// A message and a bit for each bank that it is hashed in.
#[derive(Clone, Copy, Debug)]
struct Listed<'d> {
    bytes: &'d [u8],
    banks: u8,
}

/// The messages of a batch.
#[derive(Debug, Default)]
pub(super) struct Messages<'d> {
    list: Vec<Listed<'d>>,
    /// How many of them were hashed already.
    done: usize,
    /// The others, longest first.
    order: Vec<u32>,
    /// The banks that any of the others is hashed in.
    banks: u8,
}

/// The digests of the messages in one bank, each in its message's place. Those of messages that are not hashed in this
/// bank are zero.
#[derive(Debug)]
pub(super) struct Hashed<B>(Vec<B>);

const fn bit(bank: HashAlgorithm) -> u8 {
    match bank {
        HashAlgorithm::Sha1 => 1,
        HashAlgorithm::Sha256 => 2,
        HashAlgorithm::Sha384 => 4,
        HashAlgorithm::Sha512 => 8,
    }
}

impl<'d> Messages<'d> {
    #[inline]
    pub(super) fn add(&mut self, banks: impl IntoIterator<Item = HashAlgorithm>, bytes: &'d [u8]) -> MessageId {
        let banks = banks.into_iter().fold(0, |banks, bank| banks | bit(bank));
        self.list.push(Listed { bytes, banks });
        self.banks |= banks;
        MessageId(self.list.len().saturating_sub(1))
    }

    /// Puts those in order that were not hashed yet.
    pub(super) fn begin(&mut self) -> &Self {
        // By blocks of 64 bytes, padding and length included, so that messages of one class end together.
        let waiting = self.list.iter().skip(self.done);
        longest_first(&mut self.order, waiting.map(|message| message.bytes.len().saturating_add(8) / 64));
        self
    }

    /// Hashes those in one bank that were not hashed yet.
    pub(super) fn hash<'m, B: DigestBytes>(
        &'m self,
        jobs: &mut Vec<Message<'d, B>>,
        hashed: &mut Hashed<B>,
        backends: &Backends,
    ) {
        let wanted = bit(B::ALGORITHM);
        if self.banks & wanted == 0 {
            return;
        }
        let waiting = || {
            let places = self.order.iter().map(|number| place(*number, self.done));
            places.filter_map(|place| Some((place, self.list.get(place)?))).filter(|(_, m)| m.banks & wanted != 0)
        };
        jobs.clear();
        jobs.extend(waiting().map(|(_, message)| Message::new(message.bytes)));
        backends.hash_many(jobs);
        hashed.0.resize(self.list.len(), Message::new(&[]).digest);
        for ((place, _), job) in waiting().zip(jobs) {
            if let Some(digest) = hashed.0.get_mut(place) {
                *digest = job.digest;
            }
        }
    }

    /// Notes that all were hashed.
    pub(super) fn end(&mut self) {
        self.done = self.list.len();
        self.banks = 0;
    }

    /// The place of a message that was hashed in this bank.
    #[inline]
    pub(super) fn place(&self, message: MessageId, bank: HashAlgorithm) -> Option<usize> {
        let listed = self.list.get(message.0).filter(|_| message.0 < self.done)?;
        (listed.banks & bit(bank) != 0).then_some(message.0)
    }

    /// The place of a message that was hashed in every bank that has a place, one at least.
    #[inline]
    pub(super) fn place_in_all(&self, message: MessageId, places: &DigestPlaces) -> Option<usize> {
        let banks = places.iter().fold(0, |banks, (bank, _)| banks | bit(bank));
        let listed = self.list.get(message.0).filter(|_| message.0 < self.done)?;
        (banks != 0 && banks & !listed.banks == 0).then_some(message.0)
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.done = 0;
        self.banks = 0;
    }

    /// Where the list stands and how long it may grow without moving.
    #[cfg(test)]
    pub(super) fn memory(&self) -> (usize, usize) {
        (self.list.as_ptr().addr(), self.list.capacity())
    }

    /// Empty, for messages that live at another time, in the same memory.
    pub(super) fn reuse<'e>(self) -> Messages<'e> {
        Messages { list: recycled(self.list), done: 0, order: self.order, banks: 0 }
    }
}

impl<B> Default for Hashed<B> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<B: DigestBytes> Hashed<B> {
    /// Whether the digest stands where `places` say; `true` for a bank without one.
    #[inline]
    pub(super) fn is_among(&self, place: usize, digests: &[u8], places: &DigestPlaces) -> bool {
        let Some(at) = places.of(B::ALGORITHM) else { return true };
        let found = digests.get(at..at.saturating_add(B::ALGORITHM.digest_len())).and_then(B::from_slice);
        found.is_some() && found == self.0.get(place)
    }
}

impl<B> Hashed<B> {
    #[inline]
    pub(super) fn digest(&self, place: usize) -> Option<&B> {
        self.0.get(place)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> (usize, usize) {
        (self.0.as_ptr().addr(), self.0.capacity())
    }
}
