//! Keeps the lanes of a kernel full.
//!
//! A kernel works on its lanes in step, as far as the shortest of them reaches. Then the lanes that are done are
//! emptied and filled again from the queue. When the queue is empty and few lanes are left, the driver returns with
//! everything in a state from which a narrower kernel can go on.

use core::slice::IterMut;

use crate::bank::{Bank, DigestBytes};
use crate::kernel::{Kernel, Registers};
use crate::prefetch::prefetch;

/// The most lanes a kernel has.
pub(crate) const MOST_LANES: usize = 16;

/// Room for the end of a message, its padding and its length (two of the longest blocks), or for a short message as a
/// whole: it is then compressed in one go instead of two, and most of the data of events is short.
const TAIL: usize = 512;

/// The longest padding: a length field that does not fit into the block any more. As many zeros are written in any case,
/// since a number that is known beforehand takes fewer instructions.
const MOST_PADDING: usize = 144;

/// A register and the digests that are still to be extended into it.
#[derive(Clone, Copy, Debug)]
pub struct ExtendChain<'d, B> {
    /// The register's value.
    pub value: B,
    /// What is to be extended, in order. Empty once it was done.
    pub digests: &'d [&'d B],
}

/// A message and its digest.
#[derive(Clone, Copy, Debug)]
pub struct Message<'m, B> {
    /// The message.
    pub bytes: &'m [u8],
    /// The digest, once it was computed.
    pub digest: B,
}

impl<'m, B: DigestBytes> Message<'m, B> {
    /// A message that was not hashed yet; its digest is all zero.
    #[must_use]
    pub fn new(bytes: &'m [u8]) -> Self {
        Self { bytes, digest: B::from_words(&[B::Word::default(); 8]) }
    }
}

/// Chains while they are extended.
pub(crate) struct Extending<'c, 'd, B> {
    queue: IterMut<'c, ExtendChain<'d, B>>,
    open: [Option<&'c mut ExtendChain<'d, B>>; MOST_LANES],
}

impl<'c, 'd, B: Bank> Extending<'c, 'd, B> {
    pub(crate) fn new(chains: &'c mut [ExtendChain<'d, B>]) -> Self {
        Self { queue: chains.iter_mut(), open: [const { None }; MOST_LANES] }
    }

    /// How many chains are not done, counting those at the end of the queue that have nothing to do.
    pub(crate) fn unfinished(&self) -> usize {
        self.open.iter().flatten().count().saturating_add(self.queue.len())
    }

    /// Extends until fewer than `least` chains are left, but at least one step.
    pub(crate) fn run<K: Kernel<B, L>, const L: usize>(&mut self, kernel: K, least: usize) {
        let mut registers = K::Registers::zero();
        let Some((lanes, waiting)) = self.open.split_at_mut_checked(L) else { return };
        for (lane, place) in lanes.iter().enumerate() {
            if let Some(chain) = place {
                registers.put(lane, &chain.value.to_words());
            }
        }
        // Chains that a wider kernel left come before the queue.
        let mut waiting = waiting.iter_mut().filter_map(Option::take).fuse();
        // The first turn is never left out: the caller counts on some step being done.
        let mut enough = 1;
        loop {
            let mut left = 0_usize;
            let mut steps = usize::MAX;
            // A lane without a chain repeats another one's digests, and its result is dropped.
            let mut filler: &[&B] = &[];
            let mut lists: [Option<&[&B]>; L] = [None; L];
            for ((lane, place), list) in lanes.iter_mut().enumerate().zip(&mut lists) {
                if place.is_none() {
                    *place = waiting.next().or_else(|| self.queue.find(|chain| !chain.digests.is_empty()));
                    if let Some(chain) = place {
                        registers.put(lane, &chain.value.to_words());
                    }
                }
                if let Some(chain) = place {
                    left = left.saturating_add(1);
                    *list = Some(chain.digests);
                    if chain.digests.len() < steps {
                        steps = chain.digests.len();
                        filler = chain.digests;
                    }
                }
            }
            if left < enough {
                break;
            }
            kernel.extend(&mut registers, &lists.map(|list| list.unwrap_or(filler)), steps);
            for (lane, place) in lanes.iter_mut().enumerate() {
                if let Some(chain) = place {
                    chain.digests = chain.digests.get(steps..).unwrap_or_default();
                    if chain.digests.is_empty() {
                        chain.value = B::from_words(&registers.take(lane));
                        *place = None;
                    }
                }
            }
            enough = least.max(1);
        }
        for (lane, place) in lanes.iter_mut().enumerate() {
            if let Some(chain) = place {
                chain.value = B::from_words(&registers.take(lane));
            }
        }
    }
}

/// Copies a short slice to another of its length. Pieces of fixed lengths, which may overlap, are a few instructions each;
/// a call of the library's copying takes longer than that.
#[inline]
fn copy(from: &[u8], to: &mut [u8]) {
    if let (Some(last), true) = (from.last_chunk::<64>(), from.len() == to.len()) {
        for (from, to) in from.as_chunks::<64>().0.iter().zip(to.as_chunks_mut::<64>().0) {
            *to = *from;
        }
        if let Some(to) = to.last_chunk_mut() {
            *to = *last;
        }
    } else if !(copy_ends::<32>(from, to) || copy_ends::<16>(from, to) || copy_ends::<8>(from, to)) {
        from.iter().zip(to).for_each(|(from, to)| *to = *from);
    }
}

/// Copies the first and the last `N` bytes, where they are all there is.
#[inline]
fn copy_ends<const N: usize>(from: &[u8], to: &mut [u8]) -> bool {
    let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else { return false };
    if let Some(to) = to.first_chunk_mut() {
        *to = *first;
    }
    if let Some(to) = to.last_chunk_mut() {
        *to = *last;
    }
    true
}

/// The length of a message with its padding (FIPS 180-4, section 5.1: a bit, zeros, and the length in the last 8 or 16
/// bytes of a block).
fn padded<B: Bank>(length: usize) -> usize {
    length.saturating_add(B::BLOCK / 8).saturating_add(1).next_multiple_of(B::BLOCK)
}

/// Messages while they are hashed.
pub(crate) struct Hashing<'c, 'm, B: Bank> {
    queue: IterMut<'c, Message<'m, B>>,
    open: [Slot<'c, 'm, B>; MOST_LANES],
}

/// Room for a message whose digest is not known yet. It is filled in place: it is large.
struct Slot<'c, 'm, B: Bank> {
    message: Option<&'c mut Message<'m, B>>,
    /// The full blocks that are left of the message itself.
    body: &'m [u8],
    /// The blocks after them: the message's last bytes, padding, length. From `tail_at` to `tail_end` they are left.
    tail: [u8; TAIL + MOST_PADDING],
    tail_at: usize,
    tail_end: usize,
    /// The state after the blocks that are done, while no kernel has it.
    state: [B::Word; 8],
}

impl<'c, 'm, B: Bank> Slot<'c, 'm, B> {
    fn empty() -> Self {
        Self { message: None, body: &[], tail: [0; TAIL + MOST_PADDING], tail_at: 0, tail_end: 0, state: B::START }
    }

    fn fill(&mut self, message: &'c mut Message<'m, B>) {
        let bytes = message.bytes;
        let rest = if padded::<B>(bytes.len()) <= TAIL {
            bytes.len()
        } else {
            bytes.len().checked_rem(B::BLOCK).unwrap_or_default()
        };
        let (body, end) = bytes.split_at_checked(bytes.len().saturating_sub(rest)).unwrap_or_default();
        let tail_end = padded::<B>(rest);
        // No slice is as long as 2^61 bytes.
        let bits = u64::try_from(bytes.len()).unwrap_or(u64::MAX).saturating_mul(8);
        if let Some((text, after)) = self.tail.split_at_mut_checked(rest) {
            copy(end, text);
            if let Some(padding) = after.first_chunk_mut::<MOST_PADDING>() {
                *padding = [0; MOST_PADDING];
                padding[0] = 0x80;
            }
        }
        if let Some(field) = self.tail.get_mut(..tail_end).and_then(|tail| tail.last_chunk_mut::<8>()) {
            *field = bits.to_be_bytes();
        }
        self.body = body;
        self.tail_at = 0;
        self.tail_end = tail_end;
        self.message = Some(message);
    }

    /// Takes over the message of another slot in the middle of its work.
    fn take_over(&mut self, other: &mut Self) {
        self.message = other.message.take();
        (self.body, self.tail, self.state) = (other.body, other.tail, other.state);
        (self.tail_at, self.tail_end) = (other.tail_at, other.tail_end);
    }

    /// What is to be compressed next; nothing where the slot is empty.
    fn blocks(&self) -> &[u8] {
        match &self.message {
            None => &[],
            Some(_) if self.body.is_empty() => self.tail.get(self.tail_at..self.tail_end).unwrap_or_default(),
            Some(_) => self.body,
        }
    }

    fn advance(&mut self, bytes: usize) {
        if self.body.is_empty() {
            self.tail_at = self.tail_at.saturating_add(bytes);
        } else {
            self.body = self.body.get(bytes..).unwrap_or_default();
        }
    }

    fn is_done(&self) -> bool {
        self.body.is_empty() && self.tail_at >= self.tail_end
    }
}

impl<'c, 'm, B: Bank> Hashing<'c, 'm, B> {
    pub(crate) fn new(messages: &'c mut [Message<'m, B>]) -> Self {
        Self { queue: messages.iter_mut(), open: core::array::from_fn(|_| Slot::empty()) }
    }

    /// How many messages are not done.
    pub(crate) fn unfinished(&self) -> usize {
        self.open.iter().filter(|slot| slot.message.is_some()).count().saturating_add(self.queue.len())
    }

    /// Hashes until fewer than `least` messages are left, but at least one block.
    pub(crate) fn run<K: Kernel<B, L>, const L: usize>(&mut self, kernel: K, least: usize) {
        let mut registers = K::Registers::zero();
        let Some((lanes, waiting)) = self.open.split_at_mut_checked(L) else { return };
        let mut waiting = waiting.iter_mut().filter(|slot| slot.message.is_some()).peekable();
        for (lane, slot) in lanes.iter_mut().enumerate() {
            if slot.message.is_none()
                && let Some(other) = waiting.next()
            {
                slot.take_over(other);
            }
            registers.put(lane, &slot.state);
        }
        let mut enough = 1;
        loop {
            if waiting.peek().is_none() && lanes.iter().all(|slot| slot.message.is_none()) {
                hash_alike::<B, K, L>(kernel, lanes, &mut self.queue);
            }
            let mut left = 0_usize;
            for (lane, slot) in lanes.iter_mut().enumerate() {
                if slot.message.is_none() {
                    if let Some(other) = waiting.next() {
                        slot.take_over(other);
                        registers.put(lane, &slot.state);
                    } else if let Some(message) = self.queue.next() {
                        slot.fill(message);
                        // By the time that this many slots were filled again, the message is there.
                        if let Some(later) = self.queue.as_slice().get(L) {
                            prefetch(later.bytes);
                        }
                        registers.put(lane, &B::START);
                    } else {
                        continue;
                    }
                }
                left = left.saturating_add(1);
            }
            if left < enough {
                break;
            }
            let mut filler: &[u8] = &[];
            let mut slices: [&[u8]; L] = [&[]; L];
            for (slot, slice) in lanes.iter().zip(&mut slices) {
                *slice = slot.blocks();
                if !slice.is_empty() && (filler.is_empty() || slice.len() < filler.len()) {
                    filler = slice;
                }
            }
            let bytes = filler.len();
            slices.iter_mut().filter(|slice| slice.is_empty()).for_each(|slice| *slice = filler);
            kernel.compress(&mut registers, &slices, bytes.checked_div(B::BLOCK).unwrap_or_default());
            for (lane, slot) in lanes.iter_mut().enumerate() {
                if slot.message.is_some() {
                    slot.advance(bytes);
                    if slot.is_done()
                        && let Some(message) = slot.message.take()
                    {
                        message.digest = B::from_words(&registers.take(lane));
                    }
                }
            }
            enough = least.max(1);
        }
        for (lane, slot) in lanes.iter_mut().enumerate() {
            slot.state = registers.take(lane);
        }
    }
}

/// Hashes messages from the front of the queue, one a slot, as long as they are short and have the same number of blocks:
/// nothing is kept from one turn to the next then. Most of the data of events is so, once it is in order.
fn hash_alike<'c, 'm, B: Bank, K: Kernel<B, L>, const L: usize>(
    kernel: K,
    slots: &mut [Slot<'c, 'm, B>],
    queue: &mut IterMut<'c, Message<'m, B>>,
) {
    let mut start = K::Registers::zero();
    (0..L).for_each(|lane| start.put(lane, &B::START));
    while let Some(length) = shared_short_length(queue.as_slice().get(..L)) {
        for slot in slots.iter_mut() {
            if let Some(message) = queue.next() {
                slot.fill(message);
            }
            if let Some(later) = queue.as_slice().get(L) {
                prefetch(later.bytes);
            }
        }
        let mut blocks: [&[u8]; L] = [&[]; L];
        for (blocks, slot) in blocks.iter_mut().zip(slots.iter()) {
            *blocks = slot.tail.get(..length).unwrap_or_default();
        }
        let mut registers = start.clone();
        kernel.compress(&mut registers, &blocks, length.checked_div(B::BLOCK).unwrap_or_default());
        for (lane, slot) in slots.iter_mut().enumerate() {
            if let Some(message) = slot.message.take() {
                message.digest = B::from_words(&registers.take(lane));
            }
        }
    }
}

/// The length of each of some messages with its padding, where all have the same and a slot's tail has room for it.
fn shared_short_length<B: Bank>(messages: Option<&[Message<'_, B>]>) -> Option<usize> {
    let (first, others) = messages?.split_first()?;
    let length = padded::<B>(first.bytes.len());
    (length <= TAIL && others.iter().all(|message| padded::<B>(message.bytes.len()) == length)).then_some(length)
}
