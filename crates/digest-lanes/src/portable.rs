//! One chain at a time, on the compression functions of the RustCrypto crates.

use crate::bank::Bank;
use crate::kernel::{Kernel, Rows, shared_steps};

/// Needs nothing of the processor.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// The compression function of a bank.
trait Compress: Bank {
    fn compress(state: &mut [Self::Word; 8], blocks: &[u8]);

    /// `H(register ‖ digest)`: the message is always as long, so that its padding is written here.
    fn extend(register: &mut [Self::Word; 8], digest: &Self);
}

macro_rules! compress {
    ($length:literal, $word:ty, $bits:literal, $padded:literal, $compress:path) => {
        impl Compress for [u8; $length] {
            fn compress(state: &mut [$word; 8], blocks: &[u8]) {
                $compress(state, blocks.as_chunks().0);
            }

            fn extend(register: &mut [$word; 8], digest: &Self) {
                let mut message = [0; $padded];
                let (front, back) = message.split_at_mut($length);
                front.copy_from_slice(&Self::from_words(register));
                let (measured, padding) = back.split_at_mut($length);
                measured.copy_from_slice(digest);
                padding.iter_mut().take(1).for_each(|byte| *byte = 0x80);
                if let Some(length) = padding.last_chunk_mut() {
                    *length = u64::to_be_bytes($bits);
                }
                *register = Self::START;
                $compress(register, message.as_chunks().0);
            }
        }
    };
}

fn compress_sha1(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
    if let Some(five) = state.first_chunk_mut() {
        sha1::block_api::compress(five, blocks);
    }
}

compress!(20, u32, 320, 64, compress_sha1);
compress!(32, u32, 512, 128, sha2::block_api::compress256);
compress!(48, u64, 768, 128, sha2::block_api::compress512);
compress!(64, u64, 1024, 256, sha2::block_api::compress512);

impl<B: Compress, const L: usize> Kernel<B, L> for Portable {
    type Registers = Rows<B::Word, L>;

    fn extend(self, registers: &mut Self::Registers, digests: &[&[&B]; L], steps: usize) {
        let steps = shared_steps(digests, steps);
        for (register, list) in registers.0.iter_mut().zip(digests) {
            list.iter().take(steps).for_each(|digest| B::extend(register, digest));
        }
    }

    fn compress(self, registers: &mut Self::Registers, blocks: &[&[u8]; L], count: usize) {
        let bytes = shared_steps(blocks, count.saturating_mul(B::BLOCK));
        for (state, slice) in registers.0.iter_mut().zip(blocks) {
            B::compress(state, slice.get(..bytes).unwrap_or_default());
        }
    }
}
