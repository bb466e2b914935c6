//! Why no boot was found.

use nitrotpm_disk_image::DiskError;
use nitrotpm_predict::PredictError;

/// Why it cannot be said what a disk boots.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootFilesError {
    /// The disk image cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// An image on it cannot be read.
    #[error(transparent)]
    Image(#[from] PredictError),
    /// No EFI system partition.
    #[error(
        "the disk has no EFI system partition (type c12a7328-f81f-11d2-ba4b-00a0c93ec93b); firmware cannot boot it"
    )]
    NoSystemPartition,
    /// Nothing that firmware would start.
    #[error(
        "no EFI system partition has EFI/BOOT/BOOTX64.EFI or EFI/BOOT/BOOTAA64.EFI, which is what firmware starts on the \
         first boot; give the images with --image if a boot entry names another"
    )]
    NoBootLoader,
    /// More than one thing that firmware could start.
    #[error("{what}: which one starts cannot be said; {remedy}")]
    Ambiguous {
        /// What there is.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A menu whose choice cannot be said.
    #[error("what systemd-boot starts cannot be said: {reason}; give the images with --image, in load order")]
    Menu {
        /// Why not.
        reason: String,
    },
    /// A file that an entry names is not there.
    #[error("{entry} names {path}, which is not on the partition; the entry would not boot")]
    Missing {
        /// The entry.
        entry: String,
        /// The file.
        path: String,
    },
}

impl BootFilesError {
    /// The codes of this crate's own errors; those of disks and images are [`DiskError::CODES`] and
    /// [`PredictError::CODES`].
    pub const CODES: &'static [&'static str] =
        &["boot.no-system-partition", "boot.no-loader", "boot.ambiguous", "boot.menu", "boot.missing"];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Disk(error) => error.code(),
            Self::Image(error) => error.code(),
            Self::NoSystemPartition => "boot.no-system-partition",
            Self::NoBootLoader => "boot.no-loader",
            Self::Ambiguous { .. } => "boot.ambiguous",
            Self::Menu { .. } => "boot.menu",
            Self::Missing { .. } => "boot.missing",
        }
    }
}
