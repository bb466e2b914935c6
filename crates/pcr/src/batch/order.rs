//! Longest first: what keeps the lanes full to the end.

use alloc::vec::Vec;

/// Above this number of items, a pass by classes of length is faster than sorting.
const FEW: usize = 64;

/// Places of a list, longest first; lengths from 64 on only to within a sixteenth.
///
/// Lanes end together where their lengths are alike, so that nothing is gained by a finer order.
pub(super) fn longest_first(order: &mut Vec<u32>, lengths: impl ExactSizeIterator<Item = usize> + Clone) {
    order.clear();
    order.resize(lengths.len(), 0);
    if lengths.len() <= FEW {
        let mut keys = [0_u64; FEW];
        for ((key, length), place) in keys.iter_mut().zip(lengths).zip(0..) {
            *key = (u64::try_from(class(length)).unwrap_or_default() << 32) | place;
        }
        let keys = keys.get_mut(..order.len()).unwrap_or_default();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        for (place, key) in order.iter_mut().zip(keys) {
            *place = u32::try_from(*key & 0xFFFF_FFFF).unwrap_or_default();
        }
        return;
    }
    // First how many are of each class, then where the class begins, then each to its place.
    let mut next = [0_u32; CLASSES];
    for length in lengths.clone() {
        if let Some(count) = next.get_mut(class(length)) {
            *count = count.saturating_add(1);
        }
    }
    let mut begin = 0_u32;
    for count in next.iter_mut().rev() {
        begin = begin.saturating_add(core::mem::replace(count, begin));
    }
    for (length, number) in lengths.zip(0..) {
        if let Some(next) = next.get_mut(class(length)) {
            if let Some(place) = usize::try_from(*next).ok().and_then(|place| order.get_mut(place)) {
                *place = number;
            }
            *next = next.saturating_add(1);
        }
    }
}

/// 64 lengths of their own, then 16 classes for each power of two.
const CLASSES: usize = 64 + 16 * 58;

/// The class of a length: longer is never less.
fn class(length: usize) -> usize {
    if length < 64 {
        return length;
    }
    let power = length.ilog2();
    let sixteenths = length.checked_shr(power.saturating_sub(4)).unwrap_or_default() & 15;
    let above = usize::try_from(power.saturating_sub(6)).unwrap_or_default();
    above.saturating_mul(16).saturating_add(64).saturating_add(sixteenths)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failure of the test")]
mod tests {
    use super::*;

    #[test]
    fn the_longest_come_first_and_none_is_lost() {
        for count in [0, 1, 2, 64, 65, 1000] {
            let lengths: Vec<usize> = (0..count).map(|i| (i * i * 7919 + i) % [5, 70, 100_000][i % 3]).collect();
            let mut order = Vec::new();
            longest_first(&mut order, lengths.iter().copied());
            let sorted: Vec<usize> =
                order.iter().map(|place| class(lengths[usize::try_from(*place).unwrap()])).collect();
            assert!(sorted.is_sorted_by(|a, b| a >= b), "{count}");
            order.sort_unstable();
            assert!(order.iter().copied().eq(0..u32::try_from(count).unwrap()), "{count}");
        }
        for length in (0..4096).chain([usize::MAX - 1]) {
            assert!(class(length) <= class(length + 1), "{length}");
        }
        assert!(class(usize::MAX) < CLASSES);
        assert!(class(63) < class(64) && class(64) < class(68));
    }
}
