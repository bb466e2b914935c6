//! What can be wrong with a disk image.

use alloc::string::String;

/// Why a disk image cannot be read as firmware would read it. Offsets count bytes from the beginning of the disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The bytes could not be had.
    #[error("{structure} at offset {offset} could not be read: {reason}")]
    Read {
        /// What was read.
        structure: &'static str,
        /// Where.
        offset: u64,
        /// Why not.
        reason: String,
    },
    /// Something lies outside the disk or the partition.
    #[error("{structure} at offset {offset} goes beyond offset {size}, where its container ends; the image is cut")]
    Outside {
        /// What was looked for.
        structure: &'static str,
        /// Where.
        offset: u64,
        /// Where the disk or the partition ends.
        size: u64,
    },
    /// No GUID partition table.
    #[error(
        "there is no GUID partition table: no \"EFI PART\" at offset 512 or 4096; give a raw disk image, convert others \
         with `qemu-img convert -O raw`"
    )]
    NotGpt,
    /// A partition table that contradicts itself.
    #[error(
        "the partition table's header at offset {offset}: {what}; repair it with `sgdisk --verify` and write it anew"
    )]
    GptHeader {
        /// Where the header is.
        offset: u64,
        /// The contradiction.
        what: &'static str,
    },
    /// A partition that contradicts the table or another partition.
    #[error("partition {number}: {what}; repair it with `sgdisk --verify` and write the table anew")]
    Partition {
        /// Its number, from 1.
        number: u32,
        /// The contradiction.
        what: &'static str,
    },
    /// A partition without a FAT file system.
    #[error("the file system at offset {offset} is not FAT: {what}; format the EFI system partition with mkfs.fat")]
    NotFat {
        /// Where it begins.
        offset: u64,
        /// What speaks against it.
        what: &'static str,
    },
    /// A FAT file system that contradicts itself.
    #[error(
        "FAT file system, {path}: {what} at offset {offset}; check the file system with fsck.fat and build the image anew"
    )]
    Fat {
        /// The file or directory.
        path: String,
        /// The contradiction.
        what: &'static str,
        /// Where.
        offset: u64,
    },
    /// A file that nobody boots.
    #[error("FAT file system, {path} has {size} bytes; more than {limit} are not read")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Two names of one directory that firmware takes for one.
    #[error("FAT file system, {path} is there twice; which one is used is not defined, remove one")]
    TwoOfOneName {
        /// The name.
        path: String,
    },
    /// A directory where a file should be, or the other way round.
    #[error("FAT file system, {path} is {found}, and {wanted} is needed")]
    Kind {
        /// The path.
        path: String,
        /// What is there.
        found: &'static str,
        /// What should be.
        wanted: &'static str,
    },
}

impl DiskError {
    /// Every code that [`DiskError::code`] can return.
    pub const CODES: &'static [&'static str] = &[
        "disk.read",
        "disk.outside",
        "disk.not-gpt",
        "disk.gpt-header",
        "disk.partition",
        "disk.not-fat",
        "disk.fat",
        "disk.too-large",
        "disk.two-of-one-name",
        "disk.kind",
    ];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "disk.read",
            Self::Outside { .. } => "disk.outside",
            Self::NotGpt => "disk.not-gpt",
            Self::GptHeader { .. } => "disk.gpt-header",
            Self::Partition { .. } => "disk.partition",
            Self::NotFat { .. } => "disk.not-fat",
            Self::Fat { .. } => "disk.fat",
            Self::TooLarge { .. } => "disk.too-large",
            Self::TwoOfOneName { .. } => "disk.two-of-one-name",
            Self::Kind { .. } => "disk.kind",
        }
    }
}
