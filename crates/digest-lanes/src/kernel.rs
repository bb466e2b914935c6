//! What a kernel is: the form that every instruction set's file has.

use crate::bank::Bank;

/// `u32` or `u64`.
pub(crate) trait Word: Copy + Default {}
impl Word for u32 {}
impl Word for u64 {}

/// The working values of `L` chains or messages.
pub(crate) trait Registers<W>: Clone {
    /// All zero.
    fn zero() -> Self;

    /// Sets the words of a lane; a lane that does not exist is left out.
    fn put(&mut self, lane: usize, words: &[W; 8]);

    /// The words of a lane.
    fn take(&self, lane: usize) -> [W; 8];
}

/// One row a word, one column a lane: what vector instructions work on.
#[derive(Clone)]
#[repr(C, align(64))]
pub(crate) struct Columns<W, const L: usize>(pub(crate) [[W; L]; 8]);

impl<W: Word, const L: usize> Registers<W> for Columns<W, L> {
    fn zero() -> Self {
        Self([[W::default(); L]; 8])
    }

    fn put(&mut self, lane: usize, words: &[W; 8]) {
        for (row, word) in self.0.iter_mut().zip(words) {
            if let Some(place) = row.get_mut(lane) {
                *place = *word;
            }
        }
    }

    fn take(&self, lane: usize) -> [W; 8] {
        let mut words = [W::default(); 8];
        for (row, word) in self.0.iter().zip(&mut words) {
            *word = row.get(lane).copied().unwrap_or_default();
        }
        words
    }
}

/// One row a lane: what the SHA instructions and the portable code work on.
#[derive(Clone)]
pub(crate) struct Rows<W, const L: usize>(pub(crate) [[W; 8]; L]);

impl<W: Word, const L: usize> Registers<W> for Rows<W, L> {
    fn zero() -> Self {
        Self([[W::default(); 8]; L])
    }

    fn put(&mut self, lane: usize, words: &[W; 8]) {
        if let Some(row) = self.0.get_mut(lane) {
            *row = *words;
        }
    }

    fn take(&self, lane: usize) -> [W; 8] {
        self.0.get(lane).copied().unwrap_or([W::default(); 8])
    }
}

/// Code of one instruction set that works on `L` lanes of bank `B` at once.
///
/// A value of the implementing type is the proof that this processor has the instructions: each file makes it only
/// after it asked the processor.
pub(crate) trait Kernel<B: Bank, const L: usize>: Copy {
    /// How the lanes are laid out.
    type Registers: Registers<B::Word>;

    /// Extends the first `steps` digests of each list into its lane, fewer where a list is shorter.
    ///
    /// The registers hold digests: `register = H(register ‖ digest)` in each step.
    fn extend(self, registers: &mut Self::Registers, digests: &[&[&B]; L], steps: usize);

    /// Compresses the first `count` blocks of each slice into its lane, fewer where a slice is shorter.
    ///
    /// The registers hold states of the hash function.
    fn compress(self, registers: &mut Self::Registers, blocks: &[&[u8]; L], count: usize);
}

/// How many steps every one of `lists` has, at most `steps`.
pub(crate) fn shared_steps<T, const L: usize>(lists: &[&[T]; L], steps: usize) -> usize {
    lists.iter().fold(steps, |least, list| least.min(list.len()))
}
