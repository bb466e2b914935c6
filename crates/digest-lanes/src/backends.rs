//! Which instruction set serves how many chains.

use core::sync::atomic::{AtomicU8, Ordering};

use crate::bank::DigestBytes;
use crate::drive::{ExtendChain, Extending, Hashing, MOST_LANES, Message};
use crate::{HashAlgorithm, Platform};

/// For each algorithm and each number of chains the instruction set that is fastest.
///
/// A value: a caller makes one with [`detect`](Self::detect), or forces a set with [`forced`](Self::forced), and hands
/// it on. Both give the same digests, bit for bit; they differ in time only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backends {
    /// By algorithm, then by the number of chains less one. The last entry serves all larger numbers.
    choice: [[Platform; MOST_LANES]; 4],
}

/// The rows of a table: from this number of chains on, this set. Measured with `cargo run --release -p benches --bin
/// tune`; what was measured where is told in `docs/performance.md`.
type Measured = [&'static [(usize, Platform)]; 4];

use Platform::{Avx2, Avx512, Avx512Vl, Portable, ShaNi};

/// Intel, from Sapphire Rapids on. A vector of 512 bits costs 1.4 times one of 256.
const INTEL: Measured = [
    &[(1, Portable), (1, ShaNi), (5, Avx2), (3, Avx512Vl), (9, Avx512)],
    &[(1, Portable), (3, Avx2), (1, ShaNi), (5, Avx512Vl), (10, Avx512)],
    &[(1, Portable), (2, Avx2), (1, Avx512Vl), (5, Avx512)],
    &[(1, Portable), (2, Avx2), (1, Avx512Vl), (5, Avx512)],
];

/// AMD. Four interleaved chains of SHA instructions beat vectors of 256 bits, as was measured on Zen 3. The rows of
/// AVX-512 come from a prototype's measurements on Zen 4, where a vector of 512 bits costs what two of 256 cost.
const AMD: Measured = [
    &[(1, Portable), (5, Avx2), (1, ShaNi), (5, Avx512Vl), (9, Avx512)],
    &[(1, Portable), (3, Avx2), (3, Avx512Vl), (9, Avx512), (1, ShaNi)],
    &[(1, Portable), (1, Avx2), (1, Avx512Vl), (5, Avx512)],
    &[(1, Portable), (1, Avx2), (1, Avx512Vl), (5, Avx512)],
];

impl Backends {
    /// The best for this processor.
    ///
    /// Asks the processor once and remembers the answer.
    #[must_use]
    pub fn detect() -> Self {
        Self::from_table(if is_amd() { &AMD } else { &INTEL })
    }

    /// What each maker's processors get, as far as this one has the sets: one machine tests both tables.
    #[cfg(test)]
    pub(crate) fn of_each_table() -> [Self; 2] {
        [Self::from_table(&INTEL), Self::from_table(&AMD)]
    }

    /// One instruction set for everything it has code for, and portable code for the rest; `None` where the processor
    /// lacks it.
    #[must_use]
    pub fn forced(platform: Platform) -> Option<Self> {
        if !platform.is_available() {
            return None;
        }
        Some(Self {
            choice: HashAlgorithm::ALL
                .map(|algorithm| [if platform.lanes(algorithm).is_some() { platform } else { Portable }; MOST_LANES]),
        })
    }

    /// Portable code for everything.
    #[must_use]
    pub const fn portable() -> Self {
        Self { choice: [[Portable; MOST_LANES]; 4] }
    }

    /// A later row of the table wins where the processor has its set.
    fn from_table(table: &Measured) -> Self {
        let mut choice = [[Portable; MOST_LANES]; 4];
        for (choice, rows) in choice.iter_mut().zip(table) {
            for (from, platform) in rows.iter().filter(|(_, platform)| platform.is_available()) {
                choice.iter_mut().skip(from.saturating_sub(1)).for_each(|place| *place = *platform);
            }
        }
        Self { choice }
    }

    /// The set that works on this number of chains or messages.
    #[must_use]
    pub fn choose(&self, algorithm: HashAlgorithm, chains: usize) -> Platform {
        let row = self.row(algorithm);
        row.get(chains.saturating_sub(1)).or(row.last()).copied().unwrap_or(Portable)
    }

    /// The smallest number of chains from which on to `chains` the choice does not change.
    pub(crate) fn least(&self, algorithm: HashAlgorithm, chains: usize) -> usize {
        let chosen = self.choose(algorithm, chains);
        let same = self.row(algorithm).iter().take(chains).rev();
        let same = same.take_while(|platform| **platform == chosen).count();
        chains.min(MOST_LANES).saturating_sub(same).saturating_add(1)
    }

    fn row(&self, algorithm: HashAlgorithm) -> &[Platform; MOST_LANES] {
        let [sha1, sha256, sha384, sha512] = &self.choice;
        match algorithm {
            HashAlgorithm::Sha1 => sha1,
            HashAlgorithm::Sha256 => sha256,
            HashAlgorithm::Sha384 => sha384,
            HashAlgorithm::Sha512 => sha512,
        }
    }

    /// Extends every chain's digests into its value, in order: `value = H(value ‖ digest)` (TPM 2.0 Library Part 1,
    /// section 17.2).
    ///
    /// The chains are independent of each other. They are taken up in the order given: the longest first keeps the
    /// lanes full to the end. Afterwards no chain has digests left.
    pub fn extend_many<B: DigestBytes>(&self, chains: &mut [ExtendChain<'_, B>]) {
        let mut work = Extending::new(chains);
        loop {
            let unfinished = work.unfinished();
            if unfinished == 0 {
                return;
            }
            B::extend_on(self.choose(B::ALGORITHM, unfinished), &mut work, self.least(B::ALGORITHM, unfinished));
        }
    }

    /// Hashes every message and writes its digest into it.
    ///
    /// Messages may be of any lengths. They are taken up in the order given: the longest first is best.
    pub fn hash_many<B: DigestBytes>(&self, messages: &mut [Message<'_, B>]) {
        if messages.is_empty() {
            return;
        }
        let mut work = Hashing::new(messages);
        loop {
            let unfinished = work.unfinished();
            if unfinished == 0 {
                return;
            }
            B::hash_on(self.choose(B::ALGORITHM, unfinished), &mut work, self.least(B::ALGORITHM, unfinished));
        }
    }
}

impl Default for Backends {
    /// What [`detect`](Self::detect) gives.
    fn default() -> Self {
        Self::detect()
    }
}

/// Whether AMD (or Hygon) made the processor.
#[cfg(target_arch = "x86_64")]
fn is_amd() -> bool {
    // A virtual machine asks its host at each `cpuid`, which takes as long as hundreds of extends.
    static ANSWER: AtomicU8 = AtomicU8::new(0);
    match ANSWER.load(Ordering::Relaxed) {
        0 => {
            let vendor = core::arch::x86_64::__cpuid(0);
            let amd = matches!(&vendor.ebx.to_le_bytes(), b"Auth" | b"Hygo");
            ANSWER.store(if amd { 2 } else { 1 }, Ordering::Relaxed);
            amd
        }
        answer => answer == 2,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn is_amd() -> bool {
    false
}
