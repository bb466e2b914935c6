//! 256-bit vectors: 8 lanes of SHA-1 and SHA-256, 4 of SHA-384 and SHA-512.
#![allow(unsafe_code, reason = "vector loads, and calls that need the instruction set")]
// Integers are reinterpreted as the signed ones that the intrinsics take; every index is a constant.
#![allow(clippy::as_conversions, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::arch::asm;
use core::arch::x86_64::*;

use crate::kernel::{Columns, Kernel, shared_steps};
use crate::prefetch::prefetch;

cpufeatures::new!(detected, "avx2");

/// Exists only where the processor has AVX2 and the system saves its registers.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn new() -> Option<Self> {
        detected::get().then_some(Self(()))
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn apart(mut v: __m256i) -> __m256i {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(ymm_reg) v, options(pure, nomem, nostack, preserves_flags)) };
    v
}

macro_rules! set32 {
    ($word:expr) => {
        _mm256_set1_epi32($word as i32)
    };
}
macro_rules! add32 {
    ($a:expr, $b:expr) => {
        _mm256_add_epi32($a, $b)
    };
}
macro_rules! xor32 {
    ($a:expr, $b:expr) => {
        _mm256_xor_si256($a, $b)
    };
}
macro_rules! apart32 {
    ($v:expr) => {
        apart($v)
    };
}
macro_rules! shr32 {
    ($v:expr, $n:literal) => {
        _mm256_srli_epi32::<$n>($v)
    };
}
macro_rules! ror32 {
    ($v:expr, $n:literal) => {{
        let v = $v;
        _mm256_or_si256(_mm256_srli_epi32::<$n>(v), _mm256_slli_epi32::<{ 32 - $n }>(v))
    }};
}
macro_rules! rol32 {
    ($v:expr, 1) => {
        ror32!($v, 31)
    };
    ($v:expr, 5) => {
        ror32!($v, 27)
    };
    ($v:expr, 30) => {
        ror32!($v, 2)
    };
}
macro_rules! xor3_32 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm256_xor_si256(_mm256_xor_si256($a, $b), $c)
    };
}
macro_rules! choose32 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm256_xor_si256(_mm256_and_si256(_mm256_xor_si256($b, $c), $a), $c)
    };
}
// The difference of the first two is that of the last two in the next round: the compiler computes it once.
macro_rules! majority32 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm256_xor_si256($b, _mm256_and_si256(_mm256_xor_si256($a, $b), _mm256_xor_si256($b, $c)))
    };
}
macro_rules! set64 {
    ($word:expr) => {
        _mm256_set1_epi64x($word as i64)
    };
}
macro_rules! add64 {
    ($a:expr, $b:expr) => {
        _mm256_add_epi64($a, $b)
    };
}
macro_rules! apart64 {
    ($v:expr) => {
        apart($v)
    };
}
macro_rules! shr64 {
    ($v:expr, $n:literal) => {
        _mm256_srli_epi64::<$n>($v)
    };
}
macro_rules! ror64 {
    // Whole bytes: one instruction instead of three.
    ($v:expr, 8) => {
        _mm256_shuffle_epi8(
            $v,
            _mm256_broadcastsi128_si256(_mm_set_epi8(8, 15, 14, 13, 12, 11, 10, 9, 0, 7, 6, 5, 4, 3, 2, 1)),
        )
    };
    ($v:expr, $n:literal) => {{
        let v = $v;
        _mm256_or_si256(_mm256_srli_epi64::<$n>(v), _mm256_slli_epi64::<{ 64 - $n }>(v))
    }};
}
macro_rules! xor3_64 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm256_xor_si256(_mm256_xor_si256($a, $b), $c)
    };
}
macro_rules! choose64 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm256_xor_si256(_mm256_and_si256(_mm256_xor_si256($b, $c), $a), $c)
    };
}
// The difference of the first two is that of the last two in the next round: the compiler computes it once.
macro_rules! majority64 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm256_xor_si256($b, _mm256_and_si256(_mm256_xor_si256($a, $b), _mm256_xor_si256($b, $c)))
    };
}

columns_of_256_bits!("avx2");
lane_kernels!(Avx2, "avx2", __m256i, 8, 4);
