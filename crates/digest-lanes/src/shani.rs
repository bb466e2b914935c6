//! The SHA instructions: 1 to 4 chains of SHA-1 or SHA-256 with their instructions interleaved, since each waits
//! longer for its result than it keeps the unit busy.
#![allow(unsafe_code, reason = "vector loads, and calls that need the instruction set")]
// Integers are reinterpreted as the signed ones that the intrinsics take; every index is below `N` or a constant.
#![allow(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::needless_range_loop
)]

use core::arch::x86_64::*;

use crate::constants::{PADDING_SHA256, ROUND_SHA256, START_SHA1, START_SHA256};
use crate::kernel::{Kernel, Rows, shared_steps};

cpufeatures::new!(detected, "sha", "sse2", "ssse3", "sse4.1", "avx");

/// Exists only where the processor has the SHA instructions, and AVX for their three-operand neighbours.
#[derive(Clone, Copy)]
pub(crate) struct ShaNi(());

impl ShaNi {
    pub(crate) fn new() -> Option<Self> {
        detected::get().then_some(Self(()))
    }
}

static ROUNDS: [[u32; 16]; 4] = ROUND_SHA256;

/// The halves of N states: `(a, b, e, f)` and `(c, d, g, h)`, the first word in the highest place.
type State256<const N: usize> = ([__m128i; N], [__m128i; N]);

/// Four constants of group `g`.
#[inline]
#[target_feature(enable = "sha,sse4.1,avx")]
fn group(table: &'static [[u32; 16]; 4], g: usize) -> __m128i {
    // SAFETY: `g` is below 16: sixteen groups of four words are the table.
    unsafe { _mm_loadu_si128(table.as_ptr().cast::<__m128i>().add(g & 15)) }
}

#[inline]
#[target_feature(enable = "sha,sse4.1,avx")]
fn swap32(v: __m128i) -> __m128i {
    _mm_shuffle_epi8(v, _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3))
}

/// Words `a` to `h`, four a vector, as the rounds want them.
#[inline]
#[target_feature(enable = "sha,sse4.1,avx")]
fn to_rounds(low: __m128i, high: __m128i) -> (__m128i, __m128i) {
    let badc = _mm_shuffle_epi32::<0xB1>(low);
    let hgfe = _mm_shuffle_epi32::<0x1B>(high);
    (_mm_alignr_epi8::<8>(badc, hgfe), _mm_blend_epi16::<0xF0>(hgfe, badc))
}

/// The reverse of [`to_rounds`].
#[inline]
#[target_feature(enable = "sha,sse4.1,avx")]
fn from_rounds(abef: __m128i, cdgh: __m128i) -> (__m128i, __m128i) {
    let feba = _mm_shuffle_epi32::<0x1B>(abef);
    let dchg = _mm_shuffle_epi32::<0xB1>(cdgh);
    (_mm_blend_epi16::<0xF0>(feba, dchg), _mm_alignr_epi8::<8>(dchg, feba))
}

#[inline]
#[target_feature(enable = "sha,sse4.1,avx")]
fn start_sha256<const N: usize>() -> State256<N> {
    let [a, b, c, d, e, f, g, h] = START_SHA256.map(|word| word as i32);
    ([_mm_set_epi32(a, b, e, f); N], [_mm_set_epi32(c, d, g, h); N])
}

/// The compression function over one block of each chain (FIPS 180-4, section 6.2.2).
#[inline]
#[target_feature(enable = "sha,sse4.1,avx")]
fn compress_sha256<const N: usize>(start: State256<N>, mut m: [[__m128i; N]; 4]) -> State256<N> {
    let (mut s0, mut s1) = start;
    macro_rules! rounds {
        ($($g:literal)*) => { $(
            let k = group(&ROUNDS, $g);
            for i in 0..N {
                let x = _mm_add_epi32(m[$g % 4][i], k);
                s1[i] = _mm_sha256rnds2_epu32(s1[i], s0[i], x);
                s0[i] = _mm_sha256rnds2_epu32(s0[i], s1[i], _mm_shuffle_epi32::<0x0E>(x));
                if $g >= 3 && $g < 15 {
                    let between = _mm_alignr_epi8::<4>(m[$g % 4][i], m[($g + 3) % 4][i]);
                    m[($g + 1) % 4][i] = _mm_sha256msg2_epu32(_mm_add_epi32(m[($g + 1) % 4][i], between), m[$g % 4][i]);
                }
                if $g >= 1 && $g < 13 {
                    m[($g + 3) % 4][i] = _mm_sha256msg1_epu32(m[($g + 3) % 4][i], m[$g % 4][i]);
                }
            }
        )* };
    }
    rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    for i in 0..N {
        s0[i] = _mm_add_epi32(s0[i], start.0[i]);
        s1[i] = _mm_add_epi32(s1[i], start.1[i]);
    }
    (s0, s1)
}

/// The same for the block that is the padding of an extend.
#[inline]
#[target_feature(enable = "sha,sse4.1,avx")]
fn compress_padding_sha256<const N: usize>(start: State256<N>) -> State256<N> {
    let (mut s0, mut s1) = start;
    macro_rules! rounds {
        ($($g:literal)*) => { $(
            let x = group(&PADDING_SHA256, $g);
            let y = _mm_shuffle_epi32::<0x0E>(x);
            for i in 0..N {
                s1[i] = _mm_sha256rnds2_epu32(s1[i], s0[i], x);
            }
            for i in 0..N {
                s0[i] = _mm_sha256rnds2_epu32(s0[i], s1[i], y);
            }
        )* };
    }
    rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    for i in 0..N {
        s0[i] = _mm_add_epi32(s0[i], start.0[i]);
        s1[i] = _mm_add_epi32(s1[i], start.1[i]);
    }
    (s0, s1)
}

/// `(a, b, c, d)` and `e` of N states, the first word in the highest place.
type State1<const N: usize> = ([__m128i; N], [__m128i; N]);

#[inline]
#[target_feature(enable = "sha,sse4.1,avx")]
fn start_sha1<const N: usize>() -> State1<N> {
    let [a, b, c, d, e, ..] = START_SHA1.map(|word| word as i32);
    ([_mm_set_epi32(a, b, c, d); N], [_mm_set_epi32(e, 0, 0, 0); N])
}

/// The compression function over one block of each chain (FIPS 180-4, section 6.1.2).
#[inline]
#[target_feature(enable = "sha,sse4.1,avx")]
fn compress_sha1<const N: usize>(start: State1<N>, mut m: [[__m128i; N]; 4]) -> State1<N> {
    let (mut abcd, mut e0) = start;
    let mut e1 = abcd;
    for i in 0..N {
        e0[i] = _mm_add_epi32(e0[i], m[0][i]);
        abcd[i] = _mm_sha1rnds4_epu32::<0>(abcd[i], e0[i]);
    }
    macro_rules! rounds {
        ($function:literal: $($g:literal)*) => { $(
            for i in 0..N {
                if $g % 2 == 1 {
                    e1[i] = _mm_sha1nexte_epu32(e1[i], m[$g % 4][i]);
                    e0[i] = abcd[i];
                } else {
                    e0[i] = _mm_sha1nexte_epu32(e0[i], m[$g % 4][i]);
                    e1[i] = abcd[i];
                }
                if $g >= 3 && $g < 19 {
                    m[($g + 1) % 4][i] = _mm_sha1msg2_epu32(m[($g + 1) % 4][i], m[$g % 4][i]);
                }
                abcd[i] = _mm_sha1rnds4_epu32::<$function>(abcd[i], if $g % 2 == 1 { e1[i] } else { e0[i] });
                if $g >= 1 && $g < 17 {
                    m[($g + 3) % 4][i] = _mm_sha1msg1_epu32(m[($g + 3) % 4][i], m[$g % 4][i]);
                }
                if $g >= 2 && $g < 18 {
                    m[($g + 2) % 4][i] = _mm_xor_si128(m[($g + 2) % 4][i], m[$g % 4][i]);
                }
            }
        )* };
    }
    rounds!(0: 1 2 3 4);
    rounds!(1: 5 6 7 8 9);
    rounds!(2: 10 11 12 13 14);
    rounds!(3: 15 16 17 18 19);
    for i in 0..N {
        abcd[i] = _mm_add_epi32(abcd[i], start.0[i]);
        e0[i] = _mm_sha1nexte_epu32(e0[i], start.1[i]);
    }
    (abcd, e0)
}

#[inline]
#[target_feature(enable = "sha,sse4.1,avx")]
fn load_row<const N: usize>(registers: &Rows<u32, N>, i: usize) -> (__m128i, __m128i) {
    let row = registers.0[i].as_ptr().cast::<__m128i>();
    // SAFETY: a row has eight words: two vectors.
    unsafe { (_mm_loadu_si128(row), _mm_loadu_si128(row.add(1))) }
}

#[inline]
#[target_feature(enable = "sha,sse4.1,avx")]
fn store_row<const N: usize>(registers: &mut Rows<u32, N>, i: usize, low: __m128i, high: __m128i) {
    let row = registers.0[i].as_mut_ptr().cast::<__m128i>();
    // SAFETY: a row has eight words: two vectors, and every bit pattern is an integer.
    unsafe {
        _mm_storeu_si128(row, low);
        _mm_storeu_si128(row.add(1), high);
    }
}

/// Four vectors of the block at `block`, each word in its own byte order.
///
/// # Safety
/// `block` points to 64 bytes.
#[inline]
#[target_feature(enable = "sha,sse4.1,avx")]
unsafe fn load_block(block: *const u8) -> [__m128i; 4] {
    let block = block.cast::<__m128i>();
    // SAFETY: the caller's promise.
    unsafe {
        [
            _mm_loadu_si128(block),
            _mm_loadu_si128(block.add(1)),
            _mm_loadu_si128(block.add(2)),
            _mm_loadu_si128(block.add(3)),
        ]
    }
}

#[target_feature(enable = "sha,sse4.1,avx")]
fn extend_sha256<const N: usize>(registers: &mut Rows<u32, N>, digests: &[&[&[u8; 32]]; N], steps: usize) {
    let steps = shared_steps(digests, steps);
    let zero = _mm_setzero_si128();
    let (mut low, mut high) = ([zero; N], [zero; N]);
    for i in 0..N {
        (low[i], high[i]) = load_row(registers, i);
    }
    for step in 0..steps {
        let mut m = [low, high, [zero; N], [zero; N]];
        for i in 0..N {
            // SAFETY: `step` is below `steps`, and no list is shorter than that.
            let digest = unsafe { digests[i].get_unchecked(step) }.as_ptr().cast::<__m128i>();
            // SAFETY: a digest has 32 bytes.
            let (front, back) = unsafe { (_mm_loadu_si128(digest), _mm_loadu_si128(digest.add(1))) };
            (m[2][i], m[3][i]) = (swap32(front), swap32(back));
        }
        let (s0, s1) = compress_padding_sha256(compress_sha256(start_sha256(), m));
        for i in 0..N {
            (low[i], high[i]) = from_rounds(s0[i], s1[i]);
        }
    }
    for i in 0..N {
        store_row(registers, i, low[i], high[i]);
    }
}

#[target_feature(enable = "sha,sse4.1,avx")]
fn blocks_sha256<const N: usize>(registers: &mut Rows<u32, N>, blocks: &[&[u8]; N], count: usize) {
    let count = shared_steps(blocks, count.saturating_mul(64)) / 64;
    let zero = _mm_setzero_si128();
    let mut state = ([zero; N], [zero; N]);
    for i in 0..N {
        let (low, high) = load_row(registers, i);
        (state.0[i], state.1[i]) = to_rounds(low, high);
    }
    for step in 0..count {
        let mut m = [[zero; N]; 4];
        for i in 0..N {
            // SAFETY: no slice has fewer than `count` blocks, and `step` is below `count`.
            let block = unsafe { load_block(blocks[i].as_ptr().add(step * 64)) };
            for j in 0..4 {
                m[j][i] = swap32(block[j]);
            }
        }
        state = compress_sha256(state, m);
    }
    for i in 0..N {
        let (low, high) = from_rounds(state.0[i], state.1[i]);
        store_row(registers, i, low, high);
    }
}

/// All sixteen bytes in reverse: the words in their own byte order, the first in the highest place.
#[inline]
#[target_feature(enable = "sha,sse4.1,avx")]
fn reverse(v: __m128i) -> __m128i {
    _mm_shuffle_epi8(v, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
}

#[target_feature(enable = "sha,sse4.1,avx")]
fn extend_sha1<const N: usize>(registers: &mut Rows<u32, N>, digests: &[&[&[u8; 20]]; N], steps: usize) {
    let steps = shared_steps(digests, steps);
    let zero = _mm_setzero_si128();
    let (mut abcd, mut e) = ([zero; N], [zero; N]);
    for i in 0..N {
        let (low, high) = load_row(registers, i);
        (abcd[i], e[i]) = (_mm_shuffle_epi32::<0x1B>(low), _mm_slli_si128::<12>(high));
    }
    for step in 0..steps {
        let mut m = [abcd, [zero; N], [zero; N], [_mm_set_epi32(0, 0, 0, 320); N]];
        for i in 0..N {
            // SAFETY: `step` is below `steps`, and no list is shorter than that.
            let digest = unsafe { digests[i].get_unchecked(step) };
            // SAFETY: the first 16 of 20 bytes.
            let four = reverse(unsafe { _mm_loadu_si128(digest.as_ptr().cast()) });
            let fifth = i32::from_be_bytes([digest[16], digest[17], digest[18], digest[19]]);
            m[1][i] = _mm_blend_epi16::<0x3F>(e[i], _mm_srli_si128::<4>(four));
            m[2][i] = _mm_or_si128(_mm_slli_si128::<12>(four), _mm_set_epi32(0, fifth, i32::MIN, 0));
        }
        (abcd, e) = compress_sha1(start_sha1(), m);
    }
    for i in 0..N {
        store_row(registers, i, _mm_shuffle_epi32::<0x1B>(abcd[i]), _mm_srli_si128::<12>(e[i]));
    }
}

#[target_feature(enable = "sha,sse4.1,avx")]
fn blocks_sha1<const N: usize>(registers: &mut Rows<u32, N>, blocks: &[&[u8]; N], count: usize) {
    let count = shared_steps(blocks, count.saturating_mul(64)) / 64;
    let zero = _mm_setzero_si128();
    let mut state = ([zero; N], [zero; N]);
    for i in 0..N {
        let (low, high) = load_row(registers, i);
        (state.0[i], state.1[i]) = (_mm_shuffle_epi32::<0x1B>(low), _mm_slli_si128::<12>(high));
    }
    for step in 0..count {
        let mut m = [[zero; N]; 4];
        for i in 0..N {
            // SAFETY: no slice has fewer than `count` blocks, and `step` is below `count`.
            let block = unsafe { load_block(blocks[i].as_ptr().add(step * 64)) };
            for j in 0..4 {
                m[j][i] = reverse(block[j]);
            }
        }
        state = compress_sha1(state, m);
    }
    for i in 0..N {
        store_row(registers, i, _mm_shuffle_epi32::<0x1B>(state.0[i]), _mm_srli_si128::<12>(state.1[i]));
    }
}

macro_rules! kernel {
    ($length:literal, $extend:ident, $blocks:ident) => {
        impl<const N: usize> Kernel<[u8; $length], N> for ShaNi {
            type Registers = Rows<u32, N>;

            fn extend(self, registers: &mut Self::Registers, digests: &[&[&[u8; $length]]; N], steps: usize) {
                // SAFETY: a value of this type is made only after the processor said that it has the instructions.
                unsafe { $extend(registers, digests, steps) }
            }

            fn compress(self, registers: &mut Self::Registers, blocks: &[&[u8]; N], count: usize) {
                // SAFETY: as above.
                unsafe { $blocks(registers, blocks, count) }
            }
        }
    };
}

kernel!(20, extend_sha1, blocks_sha1);
kernel!(32, extend_sha256, blocks_sha256);
