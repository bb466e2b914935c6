//! One message of SHA-384 or SHA-512 alone.
//!
//! Its blocks depend on each other, but their schedules do not: those of four blocks are computed side by side in vectors,
//! while the rounds of the four before them run in the scalar unit, with the instructions of BMI that leave their operand
//! alone.
#![allow(unsafe_code, reason = "vector loads, and calls that need the instruction set")]
// Integers are reinterpreted as the signed ones that the intrinsics take; indices are constants, or below the lengths that
// the loops name.
#![allow(clippy::as_conversions, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::arch::asm;
use core::arch::x86_64::*;

use crate::kernel::{Kernel, Rows, shared_steps};
use crate::portable::Portable;

cpufeatures::new!(detected, "avx2", "bmi1", "bmi2");

/// Exists only where the processor has AVX2, BMI1 and BMI2.
#[derive(Clone, Copy)]
pub(crate) struct Single(());

impl Single {
    pub(crate) fn new() -> Option<Self> {
        detected::get().then_some(Self(()))
    }
}

/// Blocks whose schedules are computed together.
const GROUP: usize = 4 * 128;
/// Fewer groups are not worth the first schedule, beside which no rounds run.
const LEAST_GROUPS: usize = 4;

/// A word of the schedules of four blocks.
type Row = [u64; 4];
/// The schedules of four blocks.
type Schedules = [Row; 80];

static ROUNDS: [[u64; 16]; 5] = crate::constants::ROUND_SHA512;

/// Keeps the compiler from changing the order of additions.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn apart(mut v: u64) -> u64 {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(reg) v, options(pure, nomem, nostack, preserves_flags)) };
    v
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn load(row: &Row) -> __m256i {
    // SAFETY: a row has 32 bytes; the load asks for no alignment.
    unsafe { _mm256_loadu_si256(row.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn store(row: &mut Row, v: __m256i) {
    // SAFETY: a row has 32 bytes, and every bit pattern is an integer.
    unsafe { _mm256_storeu_si256(row.as_mut_ptr().cast(), v) };
}

macro_rules! ror {
    ($v:expr, $n:literal) => {
        _mm256_or_si256(_mm256_srli_epi64::<$n>($v), _mm256_slli_epi64::<{ 64 - $n }>($v))
    };
}

/// One word of the schedules (FIPS 180-4, section 6.4.2) from the sixteen before it, the `i`-th of `words`; with its
/// round constant it goes to `inputs`.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn word(words: &mut [Row], inputs: &mut [Row], constants: &[u64], i: usize) {
    let (early, late) = (load(&words[i + 1]), load(&words[i + 14]));
    let byte = _mm256_broadcastsi128_si256(_mm_set_epi8(8, 15, 14, 13, 12, 11, 10, 9, 0, 7, 6, 5, 4, 3, 2, 1));
    let early_ror8 = _mm256_shuffle_epi8(early, byte);
    let small0 = _mm256_xor_si256(_mm256_xor_si256(ror!(early, 1), early_ror8), _mm256_srli_epi64::<7>(early));
    let small1 = _mm256_xor_si256(_mm256_xor_si256(ror!(late, 19), ror!(late, 61)), _mm256_srli_epi64::<6>(late));
    let w = _mm256_add_epi64(_mm256_add_epi64(load(&words[i]), small0), _mm256_add_epi64(load(&words[i + 9]), small1));
    store(&mut words[i + 16], w);
    store(&mut inputs[i], _mm256_add_epi64(w, _mm256_set1_epi64x(constants[i] as i64)));
}

/// Four words of each of four blocks, from word `t` on, `t` being at most 12.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn first_words(words: &mut [Row], inputs: &mut [Row], constants: &[u64], group: &[u8; GROUP], t: usize) {
    let swap = _mm256_broadcastsi128_si256(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    let mut r = [_mm256_setzero_si256(); 4];
    for (block, r) in r.iter_mut().enumerate() {
        let bytes = &group[block * 128 + t * 8..][..32];
        // SAFETY: the slice has 32 bytes; the load asks for no alignment.
        *r = _mm256_shuffle_epi8(unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }, swap);
    }
    let (p0, p1) = (_mm256_unpacklo_epi64(r[0], r[1]), _mm256_unpackhi_epi64(r[0], r[1]));
    let (p2, p3) = (_mm256_unpacklo_epi64(r[2], r[3]), _mm256_unpackhi_epi64(r[2], r[3]));
    let w = [
        _mm256_permute2x128_si256::<0x20>(p0, p2),
        _mm256_permute2x128_si256::<0x20>(p1, p3),
        _mm256_permute2x128_si256::<0x31>(p0, p2),
        _mm256_permute2x128_si256::<0x31>(p1, p3),
    ];
    for i in 0..4 {
        store(&mut words[i], w[i]);
        store(&mut inputs[i], _mm256_add_epi64(w[i], _mm256_set1_epi64x(constants[i] as i64)));
    }
}

macro_rules! round {
    ($input:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        let early = apart($h.wrapping_add($input));
        let early = apart(early.wrapping_add($g & !$e));
        let early = apart(early.wrapping_add($e & $f));
        let sum = early.wrapping_add($e.rotate_right(14) ^ $e.rotate_right(18) ^ $e.rotate_right(41));
        $d = $d.wrapping_add(sum);
        // The difference of the first two is that of the last two in the next round: the compiler computes it once.
        let majority = $b ^ (($a ^ $b) & ($b ^ $c));
        let sum0 = $a.rotate_right(28) ^ $a.rotate_right(34) ^ $a.rotate_right(39);
        $h = apart(sum.wrapping_add(majority)).wrapping_add(sum0);
    };
}

macro_rules! four_rounds {
    (
        $rows:ident $block:ident $i:literal,
        $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident
    ) => {
        round!($rows[$i][$block], $a $b $c $d $e $f $g $h);
        round!($rows[$i + 1][$block], $h $a $b $c $d $e $f $g);
        round!($rows[$i + 2][$block], $g $h $a $b $c $d $e $f);
        round!($rows[$i + 3][$block], $f $g $h $a $b $c $d $e);
    };
}

/// Compresses the four blocks whose schedules are `now`, and computes those of the group after them into `next`.
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn four_blocks(
    state: &mut [u64; 8],
    now: &Schedules,
    words: &mut Schedules,
    next: &mut Schedules,
    group: &[u8; GROUP],
) {
    let constants = ROUNDS.as_flattened();
    for block in 0..4 {
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
        for part in 0..5 {
            let rows = &now[part * 16..part * 16 + 16];
            // Of the 80 words that are computed beside 320 rounds, these 16 rounds see the next four.
            let t = block * 20 + part * 4;
            let (inputs, constants) = (&mut next[t..t + 4], &constants[t..t + 4]);
            if t < 16 {
                first_words(&mut words[t..t + 4], inputs, constants, group, t);
                four_rounds!(rows block 0, a b c d e f g h);
                four_rounds!(rows block 4, e f g h a b c d);
                four_rounds!(rows block 8, a b c d e f g h);
                four_rounds!(rows block 12, e f g h a b c d);
            } else {
                let words = &mut words[t - 16..t + 4];
                word(words, inputs, constants, 0);
                four_rounds!(rows block 0, a b c d e f g h);
                word(words, inputs, constants, 1);
                four_rounds!(rows block 4, e f g h a b c d);
                word(words, inputs, constants, 2);
                four_rounds!(rows block 8, a b c d e f g h);
                word(words, inputs, constants, 3);
                four_rounds!(rows block 12, e f g h a b c d);
            }
        }
        for (word, more) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *word = word.wrapping_add(more);
        }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn groups(state: &mut [u64; 8], groups: &[[u8; GROUP]]) {
    let [first, others @ ..] = groups else { return };
    let mut words = [[0; 4]; 80];
    let (mut one, mut two) = (words, words);
    let (mut now, mut next) = (&mut one, &mut two);
    let constants = ROUNDS.as_flattened();
    for t in (0..16).step_by(4) {
        first_words(&mut words[t..t + 4], &mut now[t..t + 4], &constants[t..t + 4], first, t);
    }
    for t in 16..80 {
        word(&mut words[t - 16..t + 1], &mut now[t..t + 1], &constants[t..t + 1], 0);
    }
    // Beside the last group the first one's schedules are computed again, for nothing.
    for group in others.iter().chain([first]) {
        four_blocks(state, now, &mut words, next, group);
        (now, next) = (next, now);
    }
}

macro_rules! kernel {
    ($length:literal) => {
        impl Kernel<[u8; $length], 1> for Single {
            type Registers = Rows<u64, 1>;

            fn extend(self, registers: &mut Self::Registers, digests: &[&[&[u8; $length]]; 1], steps: usize) {
                // A block or two: nothing to compute beforehand.
                Kernel::<[u8; $length], 1>::extend(Portable, registers, digests, steps);
            }

            fn compress(self, registers: &mut Self::Registers, blocks: &[&[u8]; 1], count: usize) {
                let bytes = shared_steps(blocks, count.saturating_mul(128));
                let [blocks] = blocks;
                let (many, mut rest) = blocks[..bytes].as_chunks::<GROUP>();
                if many.len() >= LEAST_GROUPS {
                    let [state] = &mut registers.0;
                    // SAFETY: a value of this type is made only after the processor said that it has the instructions.
                    unsafe { groups(state, many) };
                } else {
                    rest = &blocks[..bytes];
                }
                Kernel::<[u8; $length], 1>::compress(Portable, registers, &[rest], rest.len() / 128);
            }
        }
    };
}

kernel!(48);
kernel!(64);
