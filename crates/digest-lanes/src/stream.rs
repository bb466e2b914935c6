//! Long messages that arrive in pieces, several of them side by side.

use core::slice::IterMut;

use crate::backends::Backends;
use crate::bank::{Bank, DigestBytes};
use crate::constants::{START_SHA1, START_SHA256, START_SHA384, START_SHA512};
use crate::drive::MOST_LANES;
use crate::kernel::{Kernel, Registers, Rows};
use crate::portable::Portable;
use crate::{Digest, HashAlgorithm};

/// The longest block.
const MOST_BLOCK: usize = 128;

/// A message that is hashed as its pieces arrive.
///
/// Like a [`Hasher`](crate::Hasher), but made for [`Backends::update_many`], which appends to several of them at once.
/// A clone goes its own way: messages that begin alike are hashed together as far as they are.
#[derive(Clone, Debug)]
pub struct Stream {
    state: State,
    /// How many bytes were appended.
    length: u64,
    /// The last of them, as far as they fill no block.
    seam: [u8; MOST_BLOCK],
    held: usize,
}

/// The state of the hash function after the last whole block.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Sha1([u32; 8]),
    Sha256([u32; 8]),
    Sha384([u64; 8]),
    Sha512([u64; 8]),
}

impl State {
    /// The state where the kernels of `B` go on from it. SHA-384 is SHA-512 from another start (FIPS 180-4, section 6.5),
    /// so that both can share the lanes of one kernel.
    fn words<B: Family>(&mut self) -> Option<&mut [B::Word; 8]> {
        B::words(self)
    }

    fn compress(&mut self, blocks: &[u8]) {
        fn one<B: Bank>(state: &mut [B::Word; 8], blocks: &[u8])
        where
            Portable: Kernel<B, 1, Registers = Rows<B::Word, 1>>,
        {
            let mut registers = Rows([*state]);
            Kernel::<B, 1>::compress(Portable, &mut registers, &[blocks], blocks.len());
            [*state] = registers.0;
        }
        match self {
            Self::Sha1(state) => one::<[u8; 20]>(state, blocks),
            Self::Sha256(state) => one::<[u8; 32]>(state, blocks),
            Self::Sha384(state) => one::<[u8; 48]>(state, blocks),
            Self::Sha512(state) => one::<[u8; 64]>(state, blocks),
        }
    }
}

/// The banks that have a compression function of their own.
pub(crate) trait Family: DigestBytes {
    fn words(state: &mut State) -> Option<&mut [Self::Word; 8]>;
}

macro_rules! family {
    ($length:literal, $($state:ident)|*) => {
        impl Family for [u8; $length] {
            fn words(state: &mut State) -> Option<&mut [Self::Word; 8]> {
                match state {
                    $(State::$state(words))|* => Some(words),
                    _ => None,
                }
            }
        }
    };
}

family!(20, Sha1);
family!(32, Sha256);
family!(64, Sha384 | Sha512);

impl Stream {
    /// Starts an empty message.
    #[must_use]
    pub const fn new(algorithm: HashAlgorithm) -> Self {
        let state = match algorithm {
            HashAlgorithm::Sha1 => State::Sha1(START_SHA1),
            HashAlgorithm::Sha256 => State::Sha256(START_SHA256),
            HashAlgorithm::Sha384 => State::Sha384(START_SHA384),
            HashAlgorithm::Sha512 => State::Sha512(START_SHA512),
        };
        Self { state, length: 0, seam: [0; MOST_BLOCK], held: 0 }
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> HashAlgorithm {
        match self.state {
            State::Sha1(_) => HashAlgorithm::Sha1,
            State::Sha256(_) => HashAlgorithm::Sha256,
            State::Sha384(_) => HashAlgorithm::Sha384,
            State::Sha512(_) => HashAlgorithm::Sha512,
        }
    }

    const fn block(&self) -> usize {
        match self.state {
            State::Sha1(_) | State::Sha256(_) => 64,
            State::Sha384(_) | State::Sha512(_) => 128,
        }
    }

    /// Appends a piece to this message alone.
    pub fn update(&mut self, piece: &[u8]) {
        let rest = self.fill_seam(piece);
        let (body, rest) = self.split(rest);
        if !body.is_empty() {
            self.state.compress(body);
        }
        self.hold(rest);
    }

    /// The digest of all that was appended.
    #[must_use]
    pub fn finish(mut self) -> Digest {
        // FIPS 180-4, section 5.1: a bit, zeros, and the length in the last 8 or 16 bytes.
        let bits = self.length.saturating_mul(8).to_be_bytes();
        let block = self.block();
        let end = self.held.saturating_add(1).saturating_add(block / 8).next_multiple_of(block);
        let mut tail = [0; 2 * MOST_BLOCK];
        for (to, byte) in tail.iter_mut().zip(self.seam.iter().take(self.held).chain(&[0x80])) {
            *to = *byte;
        }
        if let Some(blocks) = tail.get_mut(..end) {
            if let Some(field) = blocks.last_chunk_mut() {
                *field = bits;
            }
            self.state.compress(blocks);
        }
        match self.state {
            State::Sha1(words) => <[u8; 20]>::from_words(&words).to_digest(),
            State::Sha256(words) => <[u8; 32]>::from_words(&words).to_digest(),
            State::Sha384(words) => <[u8; 48]>::from_words(&words).to_digest(),
            State::Sha512(words) => <[u8; 64]>::from_words(&words).to_digest(),
        }
    }

    /// Completes the block that was begun, as far as the bytes reach, and gives back those that are left.
    fn fill_seam<'m>(&mut self, bytes: &'m [u8]) -> &'m [u8] {
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if self.held == 0 {
            return bytes;
        }
        let missing = self.block().saturating_sub(self.held).min(bytes.len());
        let (front, rest) = bytes.split_at_checked(missing).unwrap_or_default();
        self.hold(front);
        if self.held == self.block() {
            let seam = self.seam;
            self.state.compress(seam.get(..self.held).unwrap_or_default());
            self.held = 0;
        }
        rest
    }

    /// The whole blocks, and the bytes after them.
    fn split<'m>(&self, bytes: &'m [u8]) -> (&'m [u8], &'m [u8]) {
        let rest = bytes.len().checked_rem(self.block()).unwrap_or_default();
        bytes.split_at_checked(bytes.len().saturating_sub(rest)).unwrap_or_default()
    }

    /// Keeps bytes for later: with those that are held there are never more than a block.
    fn hold(&mut self, bytes: &[u8]) {
        let free = self.seam.iter_mut().skip(self.held);
        free.zip(bytes).for_each(|(to, byte)| *to = *byte);
        self.held = self.held.saturating_add(bytes.len());
    }
}

/// A message, and the piece that is to be appended to it.
#[derive(Debug)]
pub struct Append<'s, 'm> {
    /// The message.
    pub stream: &'s mut Stream,
    /// What is still to be appended. Empty once it was done.
    pub bytes: &'m [u8],
}

/// Appends while their blocks are compressed.
pub(crate) struct Streaming<'c, 's, 'm, B: Bank> {
    queue: IterMut<'c, Append<'s, 'm>>,
    queued: usize,
    next: fn(&mut IterMut<'c, Append<'s, 'm>>) -> Option<Blocks<'c, 'm, B>>,
    open: [Option<Blocks<'c, 'm, B>>; MOST_LANES],
}

/// The blocks of a message that are left, and its state where no kernel has it.
struct Blocks<'c, 'm, B: Bank> {
    state: &'c mut [B::Word; 8],
    bytes: &'m [u8],
}

impl<'c, 's, 'm, B: Family> Streaming<'c, 's, 'm, B> {
    fn new(parts: &'c mut [Append<'s, 'm>]) -> Self {
        fn blocks<'c, 'm, B: Family>(part: &'c mut Append<'_, 'm>) -> Option<Blocks<'c, 'm, B>> {
            let (bytes, rest) = part.stream.split(part.bytes);
            let state = part.stream.state.words::<B>()?;
            if bytes.is_empty() {
                return None;
            }
            part.bytes = rest;
            Some(Blocks { state, bytes })
        }
        let waits = |part: &mut Append<'_, '_>| {
            let bytes = part.stream.split(part.bytes).0;
            !bytes.is_empty() && part.stream.state.words::<B>().is_some()
        };
        let queued = parts.iter_mut().filter_map(|part| waits(part).then_some(())).count();
        Self {
            queue: parts.iter_mut(),
            queued,
            next: |queue| queue.find_map(blocks),
            open: [const { None }; MOST_LANES],
        }
    }
}

impl<B: Bank> Streaming<'_, '_, '_, B> {
    /// How many messages are not done.
    pub(crate) fn unfinished(&self) -> usize {
        self.open.iter().flatten().count().saturating_add(self.queued)
    }

    /// Compresses until fewer than `least` messages are left, but at least one block.
    pub(crate) fn run<K: Kernel<B, L>, const L: usize>(&mut self, kernel: K, least: usize) {
        let mut registers = K::Registers::zero();
        let Some((lanes, waiting)) = self.open.split_at_mut_checked(L) else { return };
        for (lane, place) in lanes.iter().enumerate() {
            if let Some(blocks) = place {
                registers.put(lane, blocks.state);
            }
        }
        // Messages that a wider kernel left come before the queue.
        let mut waiting = waiting.iter_mut().filter_map(Option::take).fuse();
        // The first turn is never left out: the caller counts on some block being done.
        let mut enough = 1;
        loop {
            let mut left = 0_usize;
            let mut filler: &[u8] = &[];
            let mut slices: [&[u8]; L] = [&[]; L];
            for ((lane, place), slice) in lanes.iter_mut().enumerate().zip(&mut slices) {
                if place.is_none() {
                    *place = waiting.next().or_else(|| {
                        self.queued = self.queued.saturating_sub(1);
                        (self.next)(&mut self.queue)
                    });
                    if let Some(blocks) = place {
                        registers.put(lane, blocks.state);
                    }
                }
                if let Some(blocks) = place {
                    left = left.saturating_add(1);
                    *slice = blocks.bytes;
                    if filler.is_empty() || blocks.bytes.len() < filler.len() {
                        filler = blocks.bytes;
                    }
                }
            }
            if left < enough {
                break;
            }
            let bytes = filler.len();
            // A lane without a message repeats another one's blocks, and its result is dropped.
            slices.iter_mut().filter(|slice| slice.is_empty()).for_each(|slice| *slice = filler);
            kernel.compress(&mut registers, &slices, bytes.checked_div(B::BLOCK).unwrap_or_default());
            for (lane, place) in lanes.iter_mut().enumerate() {
                if let Some(blocks) = place {
                    blocks.bytes = blocks.bytes.get(bytes..).unwrap_or_default();
                    if blocks.bytes.is_empty() {
                        *blocks.state = registers.take(lane);
                        *place = None;
                    }
                }
            }
            enough = least.max(1);
        }
        for (lane, place) in lanes.iter_mut().enumerate() {
            if let Some(blocks) = place {
                *blocks.state = registers.take(lane);
            }
        }
    }
}

impl Backends {
    /// Appends a piece to each of several messages.
    ///
    /// Messages of SHA-384 and SHA-512 work side by side, those of the others each with their own. Pieces may be of any
    /// lengths; they are taken up in the order given: the longest first is best. Afterwards no part has bytes left.
    pub fn update_many(&self, parts: &mut [Append<'_, '_>]) {
        for part in &mut *parts {
            part.bytes = part.stream.fill_seam(part.bytes);
        }
        self.compress_family::<[u8; 20]>(parts);
        self.compress_family::<[u8; 32]>(parts);
        self.compress_family::<[u8; 64]>(parts);
        for part in parts {
            part.stream.hold(part.bytes);
            part.bytes = &[];
        }
    }

    fn compress_family<B: Family>(&self, parts: &mut [Append<'_, '_>]) {
        let mut work = Streaming::<B>::new(parts);
        loop {
            let unfinished = work.unfinished();
            if unfinished == 0 {
                return;
            }
            B::compress_on(self.choose(B::ALGORITHM, unfinished), &mut work, self.least(B::ALGORITHM, unfinished));
        }
    }

    /// How many messages side by side keep every lane busy; more are no faster.
    #[must_use]
    pub fn lanes(&self, algorithm: HashAlgorithm) -> usize {
        self.choose(algorithm, MOST_LANES).lanes(algorithm).unwrap_or(1)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failure of the test")]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;
    use crate::{Platform, hash};

    fn painted(length: usize) -> Vec<u8> {
        (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect()
    }

    /// Every backend, forced and by table; pieces of many lengths, of four algorithms at once, in any order.
    #[test]
    fn pieces_side_by_side_agree_with_whole_messages() {
        let text = painted(3000);
        let lengths = [0, 1, 63, 64, 65, 127, 128, 129, 200, 256, 511, 640, 1025, 0, 300];
        let forced = Platform::available().filter_map(Backends::forced);
        for backends in forced.chain([Backends::detect()]) {
            for count in (0..=9).chain([16, 17, 23, 40, 70]) {
                let mut streams: Vec<Stream> =
                    (0..count).map(|number| Stream::new(HashAlgorithm::ALL[(number * 7 + number / 5) % 4])).collect();
                let mut taken: Vec<Vec<&[u8]>> = std::vec![Vec::new(); count];
                for turn in 0..5 {
                    let mut parts = Vec::new();
                    for (number, stream) in streams.iter_mut().enumerate() {
                        let length = lengths[(number * 11 + turn * 4) % lengths.len()];
                        let piece = &text[number * 3 + turn..][..length];
                        taken[number].push(piece);
                        parts.push(Append { stream, bytes: piece });
                    }
                    backends.update_many(&mut parts);
                    assert!(parts.iter().all(|part| part.bytes.is_empty()));
                }
                for (stream, pieces) in streams.into_iter().zip(taken) {
                    let algorithm = stream.algorithm();
                    assert_eq!(stream.finish(), hash(algorithm, &pieces), "{count} messages");
                }
            }
        }
    }

    #[test]
    fn messages_of_every_length_around_a_block() {
        let text = painted(600);
        for algorithm in HashAlgorithm::ALL {
            for length in 0..=400 {
                let mut stream = Stream::new(algorithm);
                let (front, back) = text[..length].split_at(length / 3);
                stream.update(front);
                let branch = stream.clone();
                stream.update(back);
                assert_eq!(stream.finish(), hash(algorithm, &[&text[..length]]), "{length} bytes");
                assert_eq!(branch.finish(), hash(algorithm, &[front]));
            }
        }
    }

    #[test]
    fn lanes_are_those_of_the_widest_choice() {
        assert_eq!(HashAlgorithm::ALL.map(|algorithm| Backends::portable().lanes(algorithm)), [1; 4]);
        for platform in Platform::available() {
            let backends = Backends::forced(platform).unwrap();
            for algorithm in HashAlgorithm::ALL {
                assert_eq!(backends.lanes(algorithm), platform.lanes(algorithm).unwrap_or(1), "{platform}");
            }
        }
    }
}
