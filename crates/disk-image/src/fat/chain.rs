//! Cluster chains: which clusters a file has, and that no other has them.

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::boot_sector::{Layout, Width};
use crate::bytes::{u16_at, u32_at};
use crate::disk::Window;
use crate::{Disk, DiskError};

/// So much of the allocation table is read at once, in bytes.
const PAGE: u64 = 4096;

/// Whose clusters: the place of the directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(pub(crate) u64);

impl Owner {
    /// The root directory, which has no entry.
    pub(crate) const ROOT: Self = Self(u64::MAX);
}

/// How long a chain is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    /// As many clusters as a file's size needs; what follows them is not looked at, as firmware does not.
    Clusters(u32),
    /// To its end, which must come within `most` clusters.
    ToTheEnd { most: u32 },
}

/// What follows a cluster.
enum Next {
    Cluster(u32),
    End,
    Free,
    Damaged,
}

/// The chains that were followed so far.
#[derive(Debug, Default)]
pub(crate) struct Chains {
    /// Runs of clusters by their first one: the one after their last, and whose they are.
    claimed: BTreeMap<u32, (u32, u64)>,
    page: Vec<u8>,
    page_place: Option<u64>,
}

impl Chains {
    /// The clusters of a chain, in runs.
    pub(crate) fn follow<D: Disk>(
        &mut self,
        window: &Window<'_, D>,
        layout: &Layout,
        first: u32,
        length: Length,
        owner: Owner,
        path: &str,
    ) -> Result<Vec<Range<u32>>, DiskError> {
        let numbers = layout.numbers();
        let wrong = |what, cluster: u32| {
            let offset = window.place(entry_place(layout, cluster));
            DiskError::Fat { path: path.to_owned(), what, offset }
        };
        let (wanted, most) = match length {
            Length::Clusters(count) => (Some(count), count),
            Length::ToTheEnd { most } => (None, most),
        };
        let mut runs: Vec<Range<u32>> = Vec::new();
        let mut count = 0_u32;
        let mut current = first;
        loop {
            if !numbers.contains(&current) {
                return Err(wrong("its chain of clusters leaves the file system", current));
            }
            if count >= numbers.end.saturating_sub(numbers.start) {
                return Err(wrong("its chain of clusters is a loop", current));
            }
            if count >= most {
                return Err(wrong("the directory has more than 2 MiB, or its chain of clusters is a loop", current));
            }
            match runs.last_mut().filter(|run| run.end == current) {
                Some(run) => run.end = current.saturating_add(1),
                None => runs.push(current..current.saturating_add(1)),
            }
            count = count.saturating_add(1);
            if wanted == Some(count) {
                break;
            }
            match self.next(window, layout, current)? {
                Next::Cluster(next) => current = next,
                Next::End if wanted.is_none() => break,
                Next::End => return Err(wrong("its chain of clusters is shorter than its size", current)),
                Next::Free => return Err(wrong("its chain of clusters runs into a free cluster", current)),
                Next::Damaged => return Err(wrong("its chain of clusters runs into a bad cluster", current)),
            }
        }
        if let Some(shared) = self.claim(&runs, owner) {
            return Err(wrong("a cluster of its chain is another file's, or comes twice in it", shared));
        }
        Ok(runs)
    }

    /// Takes the runs for their owner, or gives a cluster that is taken already.
    fn claim(&mut self, runs: &[Range<u32>], owner: Owner) -> Option<u32> {
        let mut sorted: Vec<&Range<u32>> = runs.iter().collect();
        sorted.sort_by_key(|run| run.start);
        if let Some((_, two)) = sorted.iter().zip(sorted.iter().skip(1)).find(|(one, two)| two.start < one.end) {
            return Some(two.start);
        }
        for run in &sorted {
            let before = self.claimed.range(..run.end).next_back();
            if let Some((start, (end, whose))) = before
                && *end > run.start
                && !(*whose == owner.0 && *start == run.start && *end == run.end)
            {
                return Some(run.start.max(*start));
            }
        }
        self.claimed.extend(sorted.iter().map(|run| (run.start, (run.end, owner.0))));
        None
    }

    fn next<D: Disk>(&mut self, window: &Window<'_, D>, layout: &Layout, cluster: u32) -> Result<Next, DiskError> {
        let place = entry_place(layout, cluster);
        // The entry may end in the next page: a FAT12 entry has a byte and a half.
        let entry = match layout.width() {
            Width::Twelve => {
                let pair = [self.byte(window, layout, place)?, self.byte(window, layout, place.saturating_add(1))?];
                let pair = u16::from_le_bytes(pair);
                u32::from(if cluster & 1 == 1 { pair >> 4 } else { pair & 0x0FFF })
            }
            Width::Sixteen => u32::from(u16_at(self.at(window, layout, place)?, 0)),
            Width::ThirtyTwo => u32_at(self.at(window, layout, place)?, 0) & 0x0FFF_FFFF,
        };
        let (damaged, end) = match layout.width() {
            Width::Twelve => (0x0FF7, 0x0FF8),
            Width::Sixteen => (0xFFF7, 0xFFF8),
            Width::ThirtyTwo => (0x0FFF_FFF7, 0x0FFF_FFF8),
        };
        Ok(match entry {
            0 => Next::Free,
            entry if entry >= end => Next::End,
            entry if entry == damaged => Next::Damaged,
            entry => Next::Cluster(entry),
        })
    }

    fn byte<D: Disk>(&mut self, window: &Window<'_, D>, layout: &Layout, place: u64) -> Result<u8, DiskError> {
        Ok(self.at(window, layout, place)?.first().copied().unwrap_or_default())
    }

    /// The bytes of the table from `place` to the end of its page. Pages begin where the table does, so that entries of 16
    /// and 32 bits are in one.
    fn at<D: Disk>(&mut self, window: &Window<'_, D>, layout: &Layout, place: u64) -> Result<&[u8], DiskError> {
        let within = place.saturating_sub(layout.table()).checked_rem(PAGE).unwrap_or(0);
        let start = place.saturating_sub(within);
        if self.page_place != Some(start) {
            let length = window.length().saturating_sub(start).min(PAGE);
            self.page = vec![0; usize::try_from(length).unwrap_or(0)];
            self.page_place = None;
            window.read(start, &mut self.page, "the allocation table")?;
            self.page_place = Some(start);
        }
        Ok(usize::try_from(within).ok().and_then(|within| self.page.get(within..)).unwrap_or_default())
    }
}

/// Where a cluster's entry is, relative to the volume.
fn entry_place(layout: &Layout, cluster: u32) -> u64 {
    let cluster = u64::from(cluster);
    let offset = match layout.width() {
        Width::Twelve => cluster.saturating_mul(3).div_euclid(2),
        Width::Sixteen => cluster.saturating_mul(2),
        Width::ThirtyTwo => cluster.saturating_mul(4),
    };
    layout.table().saturating_add(offset)
}
