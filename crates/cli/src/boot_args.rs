//! The flags that describe a boot: `predict` and `policy` share them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct BootArgs {
    /// The images in the order in which they are loaded (repeat the flag)
    #[arg(long = "image", value_name = "FILE", conflicts_with_all = ["disk", "boot_file"])]
    pub(crate) images: Vec<PathBuf>,
    /// A raw disk image: what it boots on the first boot is found on it, and PCR 5 follows from its partition table
    #[arg(long, value_name = "FILE", conflicts_with = "boot_file")]
    pub(crate) disk: Option<PathBuf>,
    /// A description of the boot in TOML (nitrotpm.boot/1), for what flags cannot say: shim, GRUB, loader entries
    #[arg(long = "boot", value_name = "FILE")]
    pub(crate) boot_file: Option<PathBuf>,
    /// The processor, where a disk boots on both
    #[arg(long, value_enum, requires = "disk")]
    pub(crate) machine: Option<MachineName>,
    /// The profile of a unified kernel image that has several
    #[arg(long, value_name = "N")]
    pub(crate) profile: Option<u32>,
    /// A kernel command line that the boot entry passes to the unified kernel image
    #[arg(long, value_name = "TEXT")]
    pub(crate) command_line: Option<String>,
    /// A credential beside the image: NAME.efi.extra.d/*.cred (repeat the flag)
    #[arg(long = "credential", value_name = "FILE")]
    pub(crate) credentials: Vec<PathBuf>,
    /// A credential of the ESP: /loader/credentials/*.cred (repeat the flag)
    #[arg(long = "global-credential", value_name = "FILE")]
    pub(crate) global_credentials: Vec<PathBuf>,
    /// A system extension beside the image: NAME.efi.extra.d/*.raw (repeat the flag)
    #[arg(long = "sysext", value_name = "FILE")]
    pub(crate) system_extensions: Vec<PathBuf>,
    /// An addon beside the image: NAME.efi.extra.d/*.addon.efi (repeat the flag)
    #[arg(long = "addon", value_name = "FILE")]
    pub(crate) addons: Vec<PathBuf>,
    /// The owner of shim enrolled nothing: what shim measures of its state is read from shim itself
    #[arg(long)]
    pub(crate) shim_defaults: bool,
    /// A boot phase that is in PCR 11 when it is read: enter-initrd, leave-initrd, sysinit, ready (repeat the flag)
    #[arg(long = "phase", value_name = "NAME")]
    pub(crate) phases: Vec<String>,
    /// The platform key: EFI signature list, .auth, efivarfs dump, or certificate; with it Secure Boot is on
    #[arg(long, value_name = "FILE")]
    pub(crate) pk: Option<PathBuf>,
    /// The key exchange keys
    #[arg(long, value_name = "FILE")]
    pub(crate) kek: Option<PathBuf>,
    /// The allowed signatures
    #[arg(long, value_name = "FILE")]
    pub(crate) db: Option<PathBuf>,
    /// The forbidden signatures
    #[arg(long, value_name = "FILE")]
    pub(crate) dbx: Option<PathBuf>,
    /// All four as EC2's uefi-data blob
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pk", "kek", "db", "dbx"])]
    pub(crate) uefi_data: Option<PathBuf>,
    /// The owner GUID of keys that are given as certificates
    #[arg(long, value_name = "GUID")]
    pub(crate) owner: Option<nitrotpm_uefi::Guid>,
    /// systemd 261 or later extends os-separator in this image's initrd
    #[arg(long)]
    pub(crate) os_separator: bool,
}

impl BootArgs {
    /// Whether the flags say what boots.
    pub(crate) const fn is_given(&self) -> bool {
        !self.images.is_empty() || self.disk.is_some() || self.boot_file.is_some()
    }

    /// What the boot may be called: the name of the last image's, the disk's or the description's file.
    pub(crate) fn name(&self) -> Option<String> {
        let path = self.images.last().or(self.disk.as_ref()).or(self.boot_file.as_ref())?;
        Some(path.file_stem()?.to_string_lossy().into_owned())
    }
}

/// A processor that EC2 has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MachineName {
    /// Intel and AMD
    #[value(name = "x86-64")]
    X86_64,
    /// Graviton
    #[value(name = "arm64")]
    Arm64,
}
