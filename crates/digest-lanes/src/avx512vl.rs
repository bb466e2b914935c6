//! 256-bit vectors with the instructions of AVX-512: 8 lanes of SHA-1 and SHA-256, 4 of SHA-384 and SHA-512.
#![allow(unsafe_code, reason = "vector loads, and calls that need the instruction set")]
// Integers are reinterpreted as the signed ones that the intrinsics take; every index is a constant.
#![allow(clippy::as_conversions, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::arch::asm;
use core::arch::x86_64::*;

use crate::kernel::{Columns, Kernel, shared_steps};
use crate::prefetch::prefetch;

cpufeatures::new!(detected, "avx2", "avx512f", "avx512vl");

/// Exists only where the processor has AVX-512 F and VL and the system saves their registers.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vl(());

impl Avx512Vl {
    pub(crate) fn new() -> Option<Self> {
        detected::get().then_some(Self(()))
    }
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512vl")]
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
    ($v:expr, $n:literal) => {
        _mm256_ror_epi32::<$n>($v)
    };
}
macro_rules! rol32 {
    ($v:expr, $n:literal) => {
        _mm256_rol_epi32::<$n>($v)
    };
}
macro_rules! xor3_32 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm256_ternarylogic_epi32::<0x96>($a, $b, $c)
    };
}
macro_rules! choose32 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm256_ternarylogic_epi32::<0xCA>($a, $b, $c)
    };
}
macro_rules! majority32 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm256_ternarylogic_epi32::<0xE8>($a, $b, $c)
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
    ($v:expr, $n:literal) => {
        _mm256_ror_epi64::<$n>($v)
    };
}
macro_rules! xor3_64 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm256_ternarylogic_epi64::<0x96>($a, $b, $c)
    };
}
macro_rules! choose64 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm256_ternarylogic_epi64::<0xCA>($a, $b, $c)
    };
}
macro_rules! majority64 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm256_ternarylogic_epi64::<0xE8>($a, $b, $c)
    };
}

columns_of_256_bits!("avx2,avx512f,avx512vl");
lane_kernels!(Avx512Vl, "avx2,avx512f,avx512vl", __m256i, 8, 4);
