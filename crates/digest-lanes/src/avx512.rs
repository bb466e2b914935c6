//! 512-bit vectors: 16 lanes of SHA-1 and SHA-256, 8 of SHA-384 and SHA-512.
#![allow(unsafe_code, reason = "vector loads, and calls that need the instruction set")]
// Integers are reinterpreted as the signed ones that the intrinsics take; every index is a constant.
#![allow(clippy::as_conversions, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::arch::asm;
use core::arch::x86_64::*;

use crate::kernel::{Columns, Kernel, shared_steps};
use crate::prefetch::prefetch;

cpufeatures::new!(detected, "avx2", "avx512f", "avx512bw", "avx512vl");

/// Exists only where the processor has AVX-512 F, BW and VL and the system saves their registers.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn new() -> Option<Self> {
        detected::get().then_some(Self(()))
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn apart(mut v: __m512i) -> __m512i {
    // SAFETY: no instruction at all.
    unsafe { asm!("/* {0} */", inout(zmm_reg) v, options(pure, nomem, nostack, preserves_flags)) };
    v
}

macro_rules! set32 {
    ($word:expr) => {
        _mm512_set1_epi32($word as i32)
    };
}
macro_rules! add32 {
    ($a:expr, $b:expr) => {
        _mm512_add_epi32($a, $b)
    };
}
macro_rules! xor32 {
    ($a:expr, $b:expr) => {
        _mm512_xor_si512($a, $b)
    };
}
macro_rules! apart32 {
    ($v:expr) => {
        apart($v)
    };
}
macro_rules! ror32 {
    ($v:expr, $n:literal) => {
        _mm512_ror_epi32::<$n>($v)
    };
}
macro_rules! rol32 {
    ($v:expr, $n:literal) => {
        _mm512_rol_epi32::<$n>($v)
    };
}
macro_rules! shr32 {
    ($v:expr, $n:literal) => {
        _mm512_srli_epi32::<$n>($v)
    };
}
macro_rules! xor3_32 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm512_ternarylogic_epi32::<0x96>($a, $b, $c)
    };
}
macro_rules! choose32 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm512_ternarylogic_epi32::<0xCA>($a, $b, $c)
    };
}
macro_rules! majority32 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm512_ternarylogic_epi32::<0xE8>($a, $b, $c)
    };
}
macro_rules! set64 {
    ($word:expr) => {
        _mm512_set1_epi64($word as i64)
    };
}
macro_rules! add64 {
    ($a:expr, $b:expr) => {
        _mm512_add_epi64($a, $b)
    };
}
macro_rules! apart64 {
    ($v:expr) => {
        apart($v)
    };
}
macro_rules! ror64 {
    ($v:expr, $n:literal) => {
        _mm512_ror_epi64::<$n>($v)
    };
}
macro_rules! shr64 {
    ($v:expr, $n:literal) => {
        _mm512_srli_epi64::<$n>($v)
    };
}
macro_rules! xor3_64 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm512_ternarylogic_epi64::<0x96>($a, $b, $c)
    };
}
macro_rules! choose64 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm512_ternarylogic_epi64::<0xCA>($a, $b, $c)
    };
}
macro_rules! majority64 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm512_ternarylogic_epi64::<0xE8>($a, $b, $c)
    };
}

/// Sixteen rows of `mask`'s 32-bit words to eight columns.
///
/// # Safety
/// Each row points to as many words as `mask` has bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn transpose32(rows: &[*const u8; 16], mask: __mmask8) -> [__m512i; 8] {
    let swap = _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    let mut r = [_mm512_setzero_si512(); 8];
    let (front, back) = rows.split_at(8);
    for ((to, low), high) in r.iter_mut().zip(front).zip(back) {
        // SAFETY: the mask leaves the bytes after the row's end alone.
        let low = unsafe { _mm256_maskz_loadu_epi32(mask, low.cast()) };
        // SAFETY: as above.
        let high = unsafe { _mm256_maskz_loadu_epi32(mask, high.cast()) };
        *to = _mm512_shuffle_epi8(_mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high), swap);
    }
    // Pairs of rows, then fours; each quarter of `q` then holds one word of four rows.
    let (p0, p1) = (_mm512_unpacklo_epi32(r[0], r[1]), _mm512_unpackhi_epi32(r[0], r[1]));
    let (p2, p3) = (_mm512_unpacklo_epi32(r[2], r[3]), _mm512_unpackhi_epi32(r[2], r[3]));
    let (p4, p5) = (_mm512_unpacklo_epi32(r[4], r[5]), _mm512_unpackhi_epi32(r[4], r[5]));
    let (p6, p7) = (_mm512_unpacklo_epi32(r[6], r[7]), _mm512_unpackhi_epi32(r[6], r[7]));
    let (q0, q1) = (_mm512_unpacklo_epi64(p0, p2), _mm512_unpackhi_epi64(p0, p2));
    let (q2, q3) = (_mm512_unpacklo_epi64(p1, p3), _mm512_unpackhi_epi64(p1, p3));
    let (q4, q5) = (_mm512_unpacklo_epi64(p4, p6), _mm512_unpackhi_epi64(p4, p6));
    let (q6, q7) = (_mm512_unpacklo_epi64(p5, p7), _mm512_unpackhi_epi64(p5, p7));
    let low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
    let high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    [
        _mm512_permutex2var_epi64(q0, low, q4),
        _mm512_permutex2var_epi64(q1, low, q5),
        _mm512_permutex2var_epi64(q2, low, q6),
        _mm512_permutex2var_epi64(q3, low, q7),
        _mm512_permutex2var_epi64(q0, high, q4),
        _mm512_permutex2var_epi64(q1, high, q5),
        _mm512_permutex2var_epi64(q2, high, q6),
        _mm512_permutex2var_epi64(q3, high, q7),
    ]
}

/// Eight rows of `mask`'s 64-bit words to eight columns.
///
/// # Safety
/// Each row points to as many words as `mask` has bits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn transpose64(rows: &[*const u8; 8], mask: __mmask8) -> [__m512i; 8] {
    let swap = _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    let mut r = [_mm512_setzero_si512(); 8];
    for (to, row) in r.iter_mut().zip(rows) {
        // SAFETY: the mask leaves the bytes after the row's end alone.
        *to = _mm512_shuffle_epi8(unsafe { _mm512_maskz_loadu_epi64(mask, row.cast()) }, swap);
    }
    let even = [
        _mm512_unpacklo_epi64(r[0], r[1]),
        _mm512_unpacklo_epi64(r[2], r[3]),
        _mm512_unpacklo_epi64(r[4], r[5]),
        _mm512_unpacklo_epi64(r[6], r[7]),
    ];
    let odd = [
        _mm512_unpackhi_epi64(r[0], r[1]),
        _mm512_unpackhi_epi64(r[2], r[3]),
        _mm512_unpackhi_epi64(r[4], r[5]),
        _mm512_unpackhi_epi64(r[6], r[7]),
    ];
    let [w0, w2, w4, w6] = quarters(even);
    let [w1, w3, w5, w7] = quarters(odd);
    [w0, w1, w2, w3, w4, w5, w6, w7]
}

/// A transpose of 128-bit quarters.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn quarters(r: [__m512i; 4]) -> [__m512i; 4] {
    let (p0, p1) = (_mm512_shuffle_i64x2::<0x88>(r[0], r[1]), _mm512_shuffle_i64x2::<0xDD>(r[0], r[1]));
    let (p2, p3) = (_mm512_shuffle_i64x2::<0x88>(r[2], r[3]), _mm512_shuffle_i64x2::<0xDD>(r[2], r[3]));
    [
        _mm512_shuffle_i64x2::<0x88>(p0, p2),
        _mm512_shuffle_i64x2::<0x88>(p1, p3),
        _mm512_shuffle_i64x2::<0xDD>(p0, p2),
        _mm512_shuffle_i64x2::<0xDD>(p1, p3),
    ]
}

/// # Safety
/// Each row points to 20 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn columns_20(rows: &[*const u8; 16]) -> [__m512i; 5] {
    // SAFETY: five words a row.
    let [w0, w1, w2, w3, w4, ..] = unsafe { transpose32(rows, 0x1F) };
    [w0, w1, w2, w3, w4]
}

/// # Safety
/// Each row points to 32 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn columns_32(rows: &[*const u8; 16]) -> [__m512i; 8] {
    // SAFETY: eight words a row.
    unsafe { transpose32(rows, 0xFF) }
}

/// # Safety
/// Each row points to 48 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn columns_48(rows: &[*const u8; 8]) -> [__m512i; 6] {
    // SAFETY: six words a row.
    let [w0, w1, w2, w3, w4, w5, ..] = unsafe { transpose64(rows, 0x3F) };
    [w0, w1, w2, w3, w4, w5]
}

/// # Safety
/// Each row points to 64 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn columns_64(rows: &[*const u8; 8]) -> [__m512i; 8] {
    // SAFETY: eight words a row.
    unsafe { transpose64(rows, 0xFF) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load<W, const L: usize>(registers: &Columns<W, L>) -> [__m512i; 8] {
    const { assert!(size_of::<[W; L]>() == 64) };
    let mut state = [_mm512_setzero_si512(); 8];
    for (to, row) in state.iter_mut().zip(&registers.0) {
        // SAFETY: a row has 64 bytes, as was asserted.
        *to = unsafe { _mm512_loadu_si512(row.as_ptr().cast()) };
    }
    state
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn store<W, const L: usize>(registers: &mut Columns<W, L>, state: [__m512i; 8]) {
    const { assert!(size_of::<[W; L]>() == 64) };
    for (row, from) in registers.0.iter_mut().zip(state) {
        // SAFETY: a row has 64 bytes, as was asserted, and every bit pattern is an integer.
        unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), from) };
    }
}

lane_kernels!(Avx512, "avx512f,avx512bw,avx512vl", __m512i, 16, 8);
