//! The first sector: where things are.

use core::ops::Range;

use crate::bytes::{array, u16_at, u32_at};
use crate::disk::Window;
use crate::{Disk, DiskError};

/// How wide an entry of the allocation table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Twelve,
    Sixteen,
    ThirtyTwo,
}

/// Where the root directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// These bytes of the volume (FAT12 and FAT16).
    Fixed(Range<u64>),
    /// A chain (FAT32).
    Cluster(u32),
}

/// The places of a volume, relative to its beginning.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    width: Width,
    table: u64,
    data: u64,
    cluster_size: u32,
    clusters: u32,
    root: Root,
}

impl Layout {
    pub(crate) fn read<D: Disk>(window: &Window<'_, D>) -> Result<Self, DiskError> {
        let mut sector = [0; 512];
        window.read(0, &mut sector, "the file system's first sector")?;
        Self::parse(&sector).map_err(|what| DiskError::NotFat { offset: window.place(0), what })
    }

    /// Which of the three kinds it is follows EDK II: FAT32 where the 16-bit size of the table is zero, however few
    /// clusters there are ("FatPkg/EnhancedFatDxe", `FatOpenDevice`). A file system may claim to be larger than its
    /// partition, as mformat makes them on a disk, and boots: what is read of it lies in the partition.
    fn parse(sector: &[u8; 512]) -> Result<Self, &'static str> {
        if array(sector, 510) != [0x55, 0xAA] {
            return Err("its first sector does not end in 55 AA");
        }
        let sector_size = u64::from(u16_at(sector, 11));
        let [sectors_per_cluster, low, high, tables] = array(sector, 13);
        let reserved = u64::from(u16::from_le_bytes([low, high]));
        if !matches!(sector_size, 512 | 1024 | 2048 | 4096) {
            return Err("its sectors do not have 512, 1024, 2048 or 4096 bytes");
        }
        if !sectors_per_cluster.is_power_of_two() {
            return Err("its clusters are not a power of two of sectors");
        }
        if reserved == 0 || !(1..=4).contains(&tables) {
            return Err("it has no allocation table");
        }
        let root_entries = u64::from(u16_at(sector, 17));
        let sectors = match u16_at(sector, 19) {
            0 => u64::from(u32_at(sector, 32)),
            few => u64::from(few),
        };
        let is_32 = u16_at(sector, 22) == 0;
        let table_sectors = if is_32 { u64::from(u32_at(sector, 36)) } else { u64::from(u16_at(sector, 22)) };
        if is_32 && u16_at(sector, 40) & 0x80 != 0 && u16_at(sector, 40) & 0x0F != 0 {
            return Err("it uses another allocation table than the first, which firmware does not");
        }
        // No product here leaves u64: 16-bit sizes times 32-bit counts.
        let bytes = |sectors: u64| sectors.saturating_mul(sector_size);
        let root = reserved.saturating_add(table_sectors.saturating_mul(tables.into()));
        let data = root.saturating_add(root_entries.saturating_mul(32).div_ceil(sector_size));
        let cluster = u64::from(sectors_per_cluster);
        let clusters = sectors.checked_sub(data).and_then(|data| data.checked_div(cluster)).unwrap_or(0);
        let Some(clusters) = u32::try_from(clusters).ok().filter(|clusters| (1..0x0FFF_FFF5).contains(clusters)) else {
            return Err("its allocation tables leave no room for a cluster, or its clusters cannot be counted");
        };
        let width = match clusters {
            _ if is_32 => Width::ThirtyTwo,
            ..4085 => Width::Twelve,
            4085..65525 => Width::Sixteen,
            _ => return Err("it has too many clusters for FAT16"),
        };
        // Two entries come before that of the first cluster.
        let entries = u64::from(clusters).saturating_add(2);
        let needed = match width {
            Width::Twelve => entries.saturating_mul(3).div_ceil(2),
            Width::Sixteen => entries.saturating_mul(2),
            Width::ThirtyTwo => entries.saturating_mul(4),
        };
        if bytes(table_sectors) < needed {
            return Err("its allocation table is too small for its clusters");
        }
        let root = if is_32 {
            Root::Cluster(u32_at(sector, 44))
        } else {
            Root::Fixed(bytes(root)..bytes(root).saturating_add(root_entries.saturating_mul(32)))
        };
        let cluster_size = u32::try_from(bytes(cluster)).unwrap_or(u32::MAX);
        Ok(Self { width, table: bytes(reserved), data: bytes(data), cluster_size, clusters, root })
    }

    pub(crate) const fn width(&self) -> Width {
        self.width
    }

    pub(crate) const fn root(&self) -> &Root {
        &self.root
    }

    /// In bytes: at most 128 sectors of 4,096.
    pub(crate) const fn cluster_size(&self) -> u32 {
        self.cluster_size
    }

    /// The clusters' numbers: they begin with 2.
    pub(crate) const fn numbers(&self) -> Range<u32> {
        2..self.clusters.saturating_add(2)
    }

    /// Where a cluster is.
    pub(crate) fn place(&self, cluster: u32) -> u64 {
        let before = u64::from(cluster.saturating_sub(2));
        self.data.saturating_add(before.saturating_mul(self.cluster_size.into()))
    }

    /// Where the allocation table begins.
    pub(crate) const fn table(&self) -> u64 {
        self.table
    }
}
