//! Asks for memory before it is needed.
#![allow(unsafe_code, reason = "the instruction takes a pointer")]

/// Brings the cache lines at both ends of `bytes` near. Lanes read from as many places as there are lanes, in no order
/// that the processor could guess, and a step is too long for it to look ahead.
#[inline]
pub(crate) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for end in [bytes.first(), bytes.last()].into_iter().flatten() {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction reads nothing into a register, changes nothing and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(end).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
