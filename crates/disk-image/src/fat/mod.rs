//! FAT12, FAT16 and FAT32 (Microsoft, "FAT32 File System Specification" 1.03), as far as reading a file by its path
//! needs it.

mod boot_sector;
mod chain;
mod directory;
#[cfg(test)]
mod tests;

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::disk::Window;
use crate::{Disk, DiskError};
use boot_sector::Layout;
use chain::{Chains, Owner};
pub use directory::DirectoryEntry;

/// The largest file that is read, in bytes.
pub const LARGEST_FILE: u32 = 256 << 20;
/// The largest directory that is read, in bytes: the specification allows 65,536 entries of 32.
pub const LARGEST_DIRECTORY: u32 = 2 << 20;

/// The FAT file system of a partition. Paths are written with `/`; letters compare without case, as firmware does.
#[derive(Debug)]
pub struct Volume<'d, D> {
    window: Window<'d, D>,
    layout: Layout,
    chains: Chains,
}

impl<'d, D: Disk> Volume<'d, D> {
    /// Opens the file system in `range` of the disk's bytes.
    ///
    /// # Errors
    /// [`DiskError::Outside`] for a partition or a file system that goes beyond the disk, and [`DiskError::NotFat`].
    pub fn open(disk: &'d D, range: Range<u64>) -> Result<Self, DiskError> {
        let window = Window::new(disk, range, "the partition")?;
        let layout = Layout::read(&window)?;
        Ok(Self { window, layout, chains: Chains::default() })
    }

    /// The entries of a directory in their order, without `.`, `..`, volume labels and deleted ones; `None` where there
    /// is none of this name. The empty path is the root.
    ///
    /// # Errors
    /// [`DiskError::Fat`] for chains and entries that contradict each other, [`DiskError::Kind`] where the path is a file,
    /// [`DiskError::TooLarge`] and [`DiskError::TwoOfOneName`].
    pub fn list(&mut self, path: &str) -> Result<Option<Vec<DirectoryEntry>>, DiskError> {
        let mut entries = self.root()?;
        let mut walked = String::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            walked = format!("{walked}/{name}");
            let Some(entry) = find(&entries, name, &walked)? else { return Ok(None) };
            if !entry.is_directory() {
                return Err(DiskError::Kind { path: walked, found: "a file", wanted: "a directory" });
            }
            let bytes = self.directory_bytes(entry.first_cluster(), entry.owner(), &walked)?;
            entries = directory::parse(&bytes, &walked)?;
        }
        Ok(Some(entries))
    }

    /// A file's content; `None` where there is none of this name.
    ///
    /// # Errors
    /// As [`Volume::list`]; a file of more than [`LARGEST_FILE`] bytes is [`DiskError::TooLarge`].
    pub fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, DiskError> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Some(entries) = self.list(directory)? else { return Ok(None) };
        let Some(entry) = find(&entries, name, path)? else { return Ok(None) };
        if entry.is_directory() {
            return Err(DiskError::Kind { path: path.to_owned(), found: "a directory", wanted: "a file" });
        }
        self.content(entry, path).map(Some)
    }

    fn content(&mut self, entry: &DirectoryEntry, path: &str) -> Result<Vec<u8>, DiskError> {
        let size = entry.size();
        if size > LARGEST_FILE {
            return Err(DiskError::TooLarge { path: path.to_owned(), size: size.into(), limit: LARGEST_FILE.into() });
        }
        if size == 0 {
            return Ok(Vec::new());
        }
        let clusters = size.div_ceil(self.layout.cluster_size());
        let runs = self.chains.follow(
            &self.window,
            &self.layout,
            entry.first_cluster(),
            chain::Length::Clusters(clusters),
            entry.owner(),
            path,
        )?;
        self.read_runs(&runs, size, path)
    }

    fn root(&mut self) -> Result<Vec<DirectoryEntry>, DiskError> {
        const ROOT: &str = "the root directory";
        let bytes = match self.layout.root() {
            boot_sector::Root::Fixed(range) => {
                let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
                let mut bytes = vec![0; length];
                self.window.read(range.start, &mut bytes, ROOT)?;
                directory::Bytes::fixed(bytes, self.window.place(range.start))
            }
            boot_sector::Root::Cluster(first) => self.directory_bytes(*first, Owner::ROOT, ROOT)?,
        };
        directory::parse(&bytes, ROOT)
    }

    /// A directory has no size: its chain ends it.
    fn directory_bytes(&mut self, first: u32, owner: Owner, path: &str) -> Result<directory::Bytes, DiskError> {
        let most = LARGEST_DIRECTORY.checked_div(self.layout.cluster_size()).unwrap_or(0).max(1);
        let runs =
            self.chains.follow(&self.window, &self.layout, first, chain::Length::ToTheEnd { most }, owner, path)?;
        let clusters = runs.iter().map(|run| run.end.saturating_sub(run.start)).fold(0, u32::saturating_add);
        let size = clusters.saturating_mul(self.layout.cluster_size());
        let places = runs.iter().map(|run| (run.start, run.end.saturating_sub(run.start)));
        let places = places
            .map(|(start, count)| {
                let start = self.window.place(self.layout.place(start));
                (start, u64::from(count).saturating_mul(self.layout.cluster_size().into()))
            })
            .collect();
        Ok(directory::Bytes { bytes: self.read_runs(&runs, size, path)?, places })
    }

    fn read_runs(&self, runs: &[Range<u32>], size: u32, path: &str) -> Result<Vec<u8>, DiskError> {
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        let mut rest = bytes.as_mut_slice();
        for run in runs {
            let length = run.end.saturating_sub(run.start).saturating_mul(self.layout.cluster_size());
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
            let (part, after) = core::mem::take(&mut rest).split_at_mut_checked(length).unwrap_or_default();
            self.window.read(self.layout.place(run.start), part, "a file's clusters").map_err(|error| match error {
                DiskError::Outside { offset, .. } => {
                    DiskError::Fat { path: path.to_owned(), what: "its clusters go beyond the partition", offset }
                }
                other => other,
            })?;
            rest = after;
        }
        Ok(bytes)
    }
}

/// The one entry of this name.
fn find<'e>(entries: &'e [DirectoryEntry], name: &str, path: &str) -> Result<Option<&'e DirectoryEntry>, DiskError> {
    let mut found = entries.iter().filter(|entry| entry.is_called(name));
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(DiskError::TwoOfOneName { path: path.to_owned() }),
        (found, _) => Ok(found),
    }
}
