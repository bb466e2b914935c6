//! Which events of two lists are the same, which are versions of one thing, and which stand alone.

use alloc::vec;
use alloc::vec::Vec;

use nitrotpm_pcr::{Bank, Digest};

use super::subject::Item;
use crate::Event;

/// What tells two events apart: the digest, and for the locality, which has none, the data.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key<'a> {
    digest: Option<Digest>,
    data: &'a [u8],
}

fn key<'a>(event: &Event<'a>, bank: Bank) -> Key<'a> {
    let digest = event.digest(bank).filter(|_| event.extends());
    Key { digest, data: if digest.is_some() { &[] } else { event.data() } }
}

/// How large a table of two lists may be: both with about 2,000 events.
const MOST_CELLS: usize = 1 << 22;

/// Pairs of what differs: before, after, or both.
pub(super) fn align<'a>(
    before: &[Item<'a>],
    after: &[Item<'a>],
    bank: Bank,
) -> Vec<(Option<Item<'a>>, Option<Item<'a>>)> {
    let keys = |items: &[Item<'a>]| -> Vec<Key<'a>> { items.iter().map(|item| key(&item.event, bank)).collect() };
    let (a, b) = (keys(before), keys(after));
    let head = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let rest = a.len().min(b.len()).saturating_sub(head);
    let tail = a.iter().rev().zip(b.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    fn middle<T>(list: &[T], head: usize, tail: usize) -> &[T] {
        list.get(head..list.len().saturating_sub(tail)).unwrap_or_default()
    }
    let (before, after) = (middle(before, head, tail), middle(after, head, tail));
    let kept = common(middle(&a, head, tail), middle(&b, head, tail));

    let mut pairs = Vec::new();
    let (mut from_a, mut from_b) = (0, 0);
    for (to_a, to_b) in kept.into_iter().chain([(before.len(), after.len())]) {
        let gap = |items: &'_ [Item<'a>], from: usize, to: usize| -> Vec<Item<'a>> {
            items.get(from..to).unwrap_or_default().to_vec()
        };
        pair(&gap(before, from_a, to_a), gap(after, from_b, to_b), &mut pairs);
        (from_a, from_b) = (to_a.saturating_add(1), to_b.saturating_add(1));
    }
    pairs
}

/// Positions of a longest list of events that both have in the same order; none where the lists are too long.
fn common(a: &[Key<'_>], b: &[Key<'_>]) -> Vec<(usize, usize)> {
    let width = b.len().saturating_add(1);
    let cells = a.len().saturating_add(1).saturating_mul(width);
    if cells > MOST_CELLS {
        return Vec::new();
    }
    // lengths[i * width + j]: of what a[i..] and b[j..] have in common.
    let mut lengths = vec![0_u32; cells];
    let at = |i: usize, j: usize| i.saturating_mul(width).saturating_add(j);
    let read = |lengths: &[u32], i: usize, j: usize| lengths.get(at(i, j)).copied().unwrap_or(0);
    for (i, key_a) in a.iter().enumerate().rev() {
        for (j, key_b) in b.iter().enumerate().rev() {
            let (next_i, next_j) = (i.saturating_add(1), j.saturating_add(1));
            let length = if key_a == key_b {
                read(&lengths, next_i, next_j).saturating_add(1)
            } else {
                read(&lengths, next_i, j).max(read(&lengths, i, next_j))
            };
            if let Some(cell) = lengths.get_mut(at(i, j)) {
                *cell = length;
            }
        }
    }
    let mut kept = Vec::new();
    let (mut i, mut j) = (0_usize, 0_usize);
    while let (Some(key_a), Some(key_b)) = (a.get(i), b.get(j)) {
        let (next_i, next_j) = (i.saturating_add(1), j.saturating_add(1));
        if key_a == key_b {
            kept.push((i, j));
            (i, j) = (next_i, next_j);
        } else if read(&lengths, next_i, j) >= read(&lengths, i, next_j) {
            i = next_i;
        } else {
            j = next_j;
        }
    }
    kept
}

/// Within a gap, pairs versions of one thing; the rest stands alone.
fn pair<'a>(before: &[Item<'a>], after: Vec<Item<'a>>, pairs: &mut Vec<(Option<Item<'a>>, Option<Item<'a>>)>) {
    let mut left: Vec<Option<Item<'a>>> = after.into_iter().map(Some).collect();
    // Where the first one not yet taken stands: lists in one order are paired in one walk.
    let mut first = 0_usize;
    for item in before {
        while left.get(first).is_some_and(Option::is_none) {
            first = first.saturating_add(1);
        }
        let version = left
            .iter_mut()
            .skip(first)
            .take(MOST_LOOKED_AT)
            .find(|other| other.is_some_and(|other| item.is_same_thing(&other)))
            .and_then(Option::take);
        pairs.push((Some(*item), version));
    }
    pairs.extend(left.into_iter().flatten().map(|item| (None, Some(item))));
}

/// How far ahead a version of a thing is looked for.
const MOST_LOOKED_AT: usize = 1_000;
