//! Chains whose signatures held before.

use core::mem;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nitrotpm_digest_lanes::{Digest, HashAlgorithm, hash};
use nitrotpm_signature::Backend;

/// Remembers chains of certificates whose signatures held, so that a fleet's verifier computes each of them once. The
/// caller owns it, bounds it, and may share it between threads; a verification that is given none computes all.
///
/// # What a hit skips
/// One thing: the arithmetic of signatures. An entry says that with this signature backend each certificate of a prefix
/// (the root and the first so many below it, byte for byte) is signed with the key in the one before it. That is a fact
/// about bytes, which neither time nor another caller's trust can change, so entries need not expire.
///
/// Everything else is checked at each use as without a cache, by both engines: that the root is one of the caller's,
/// order, profile, constraints and names, that every certificate is valid at the caller's clock; and the document's own
/// signature, time, nonce and age. The outcome, accepted or refused and for what reason, is the same with and without.
///
/// # Levels
/// A verified chain is remembered at each length. Documents of one region, of one zone (AWS: one day), of one instance
/// and of one leaf (three hours) find ever more of their chain; the longest prefix found counts. AWS makes a leaf for
/// each document, so that whole chains are remembered apart from prefixes of authorities: many documents that come once
/// do not push out the few authorities that they share.
///
/// # Bound
/// At most [`ChainCache::capacity`] prefixes of authorities and as many whole chains, about 100 bytes each. What was not
/// used for longest goes first. Only chains whose signatures hold get in.
#[derive(Debug)]
pub struct ChainCache {
    capacity: usize,
    recent: Mutex<Recent>,
}

impl ChainCache {
    /// An empty cache for this many prefixes of authorities and as many whole chains, rounded up to an even number. One
    /// of 0 remembers nothing.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.div_ceil(2).saturating_mul(2), recent: Mutex::default() }
    }

    /// The greatest number of prefixes of authorities, and of whole chains.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many prefixes and whole chains are remembered: up to twice the capacity.
    #[must_use]
    pub fn len(&self) -> usize {
        let recent = self.recent();
        recent.authorities.len().saturating_add(recent.chains.len())
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.recent() = Recent::default();
    }

    /// How many of these prefixes hold: all up to the longest that is remembered. Ordered by length, the whole chain last.
    pub(crate) fn known(&self, prefixes: &[Prefix]) -> usize {
        let Some((chain, authorities)) = prefixes.split_last() else { return 0 };
        let recent = self.recent();
        if recent.chains.contains(chain) {
            return prefixes.len();
        }
        let longest = authorities.iter().rposition(|prefix| recent.authorities.contains(prefix));
        longest.map_or(0, |place| place.saturating_add(1))
    }

    /// Remembers these prefixes, all of which hold, as the ones used last.
    pub(crate) fn remember(&self, prefixes: &[Prefix]) {
        let Some((chain, authorities)) = prefixes.split_last() else { return };
        let mut recent = self.recent();
        let half = self.capacity / 2;
        authorities.iter().for_each(|prefix| recent.authorities.insert(*prefix, half));
        recent.chains.insert(*chain, half);
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        // A thread that panicked while it held the lock can have left out entries, and cannot have made any.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ChainCache {
    /// For 4,096: the instances of a large fleet, in less than a megabyte.
    fn default() -> Self {
        Self::new(4096)
    }
}

/// The beginning of a chain, root first: each certificate's bytes, and the backend that checks signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Prefix {
    backend: Backend,
    // SHA-256 of the shorter prefix's digest and of the last certificate's; the root's own for the shortest. Every input
    // has one length, so that two lists of certificates with one digest would be a collision of SHA-256.
    digest: Digest,
}

impl Prefix {
    /// The root alone, by the SHA-256 of its DER.
    pub(crate) const fn root(backend: Backend, sha256: &Digest) -> Self {
        Self { backend, digest: *sha256 }
    }

    /// With one more certificate, by the SHA-256 of its DER.
    pub(crate) fn followed_by(&self, sha256: &Digest) -> Self {
        let digest = hash(HashAlgorithm::Sha256, &[self.digest.as_bytes(), sha256.as_bytes()]);
        Self { backend: self.backend, digest }
    }
}

#[derive(Debug, Default)]
struct Recent {
    authorities: Generations,
    chains: Generations,
}

/// A bounded set in two generations. What is used moves to the young one; when that is full it becomes the old one, and
/// what was in the old one is forgotten: no entry used among the last `half` different ones is lost.
#[derive(Debug, Default)]
struct Generations {
    young: HashSet<Prefix>,
    old: HashSet<Prefix>,
}

impl Generations {
    fn contains(&self, prefix: &Prefix) -> bool {
        self.young.contains(prefix) || self.old.contains(prefix)
    }

    fn insert(&mut self, prefix: Prefix, half: usize) {
        if half == 0 || self.young.contains(&prefix) {
            return;
        }
        if self.young.len() >= half {
            self.old = mem::take(&mut self.young);
        }
        self.old.remove(&prefix);
        self.young.insert(prefix);
    }

    fn len(&self) -> usize {
        self.young.len().saturating_add(self.old.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(number: usize) -> Digest {
        hash(HashAlgorithm::Sha256, &[&number.to_be_bytes()])
    }

    /// The prefixes of a chain of made-up certificates.
    fn prefixes(numbers: &[usize]) -> Vec<Prefix> {
        let root = Prefix::root(Backend::Ring, &certificate(numbers[0]));
        let longer = |shorter: &mut Prefix, number: &usize| {
            *shorter = shorter.followed_by(&certificate(*number));
            Some(*shorter)
        };
        numbers[1..].iter().scan(root, longer).collect()
    }

    #[test]
    fn d10_the_longest_prefix_with_the_same_root_counts() {
        let cache = ChainCache::new(16);
        assert_eq!(cache.known(&prefixes(&[0, 1, 2, 3, 4])), 0);
        cache.remember(&prefixes(&[0, 1, 2, 3, 4]));
        for (numbers, known) in [
            (&[0, 1, 2, 3, 4][..], 4),
            (&[0, 1, 2, 3, 9], 3),
            (&[0, 1, 2, 9, 4], 2),
            (&[0, 1, 9, 3, 4], 1),
            (&[0, 9, 2, 3, 4], 0),
            (&[9, 1, 2, 3, 4], 0),
            // Neither a part of the chain nor its authorities with one taken for the leaf.
            (&[1, 2, 3, 4], 0),
            (&[0, 1, 2, 3], 2),
        ] {
            assert_eq!(cache.known(&prefixes(numbers)), known, "{numbers:?}");
        }
        assert_eq!(cache.len(), 4);
        cache.clear();
        assert!(cache.is_empty());
        assert_eq!(cache.known(&prefixes(&[0, 1, 2, 3, 4])), 0);
    }

    #[test]
    fn d10_the_cache_is_bounded_and_leaves_do_not_push_out_authorities() {
        let cache = ChainCache::new(9);
        assert_eq!(cache.capacity(), 10);
        for leaf in 100..10_000 {
            cache.remember(&prefixes(&[0, 1, 2, 3, leaf]));
            assert!(cache.len() <= 3 + 10);
        }
        assert_eq!(cache.known(&prefixes(&[0, 1, 2, 3, 9_999])), 4);
        assert_eq!(cache.known(&prefixes(&[0, 1, 2, 3, 100])), 3);
        for instance in 100..10_000 {
            cache.remember(&prefixes(&[0, 1, 2, instance, 4]));
            assert!(cache.len() <= 2 * 10);
        }
        assert_eq!(cache.known(&prefixes(&[0, 1, 2, 100, 9])), 2);
        assert_eq!(cache.known(&prefixes(&[0, 1, 2, 9_999, 9])), 3);
    }

    #[test]
    fn a_cache_of_nothing_remembers_nothing() {
        let cache = ChainCache::new(0);
        cache.remember(&prefixes(&[0, 1, 2, 3, 4]));
        assert!(cache.is_empty());
        assert_eq!(cache.known(&prefixes(&[0, 1, 2, 3, 4])), 0);
    }

    #[test]
    #[cfg(feature = "aws-lc")]
    fn what_one_backend_verified_is_not_known_of_another() {
        let cache = ChainCache::default();
        let ring = prefixes(&[0, 1, 2, 3, 4]);
        let aws: Vec<_> = ring.iter().map(|prefix| Prefix { backend: Backend::AwsLc, ..*prefix }).collect();
        cache.remember(&ring);
        assert_eq!((cache.known(&ring), cache.known(&aws)), (4, 0));
    }
}
