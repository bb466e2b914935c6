//! Where a disk's bytes come from.

use alloc::string::String;
use core::ops::Range;

use crate::DiskError;

/// Why bytes of a disk could not be read: a file that ends, a device that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadFailure(pub String);

/// A disk image, read at any place.
pub trait Disk {
    /// How many bytes it has.
    fn size(&self) -> u64;

    /// Fills `bytes` with what is at `offset`. What is asked for lies within [`Disk::size`].
    ///
    /// # Errors
    /// [`ReadFailure`] where the bytes cannot be had.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), ReadFailure>;
}

impl Disk for &[u8] {
    fn size(&self) -> u64 {
        u64::try_from(self.len()).unwrap_or(u64::MAX)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), ReadFailure> {
        let start = usize::try_from(offset).ok();
        let found = start.and_then(|start| self.get(start..start.checked_add(bytes.len())?));
        let found = found.ok_or_else(|| ReadFailure("the image ends".into()))?;
        bytes.copy_from_slice(found);
        Ok(())
    }
}

/// A part of a disk, from which nothing outside can be read.
#[derive(Debug)]
pub(crate) struct Window<'d, D> {
    disk: &'d D,
    start: u64,
    length: u64,
}

impl<'d, D: Disk> Window<'d, D> {
    /// The bytes of `range`, which must lie on the disk. `structure` is what they are.
    pub(crate) fn new(disk: &'d D, range: Range<u64>, structure: &'static str) -> Result<Self, DiskError> {
        let length = range.end.checked_sub(range.start).filter(|_| range.end <= disk.size());
        let length = length.ok_or(DiskError::Outside { structure, offset: range.start, size: disk.size() })?;
        Ok(Self { disk, start: range.start, length })
    }

    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    /// The place on the disk of a place in the window.
    pub(crate) const fn place(&self, offset: u64) -> u64 {
        self.start.saturating_add(offset)
    }

    pub(crate) fn read(&self, offset: u64, bytes: &mut [u8], structure: &'static str) -> Result<(), DiskError> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let place = self.place(offset);
        if offset.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(DiskError::Outside { structure, offset: place, size: self.place(self.length) });
        }
        self.disk.read_at(place, bytes).map_err(|ReadFailure(reason)| DiskError::Read {
            structure,
            offset: place,
            reason,
        })
    }
}
