//! shim and GRUB: the state they read, and what GRUB was told to do.

/// The content of shim's variables, as Linux shows them in efivarfs after a boot.
#[derive(Clone, Copy, Debug)]
pub struct ShimState<'a> {
    /// `MokListRT`: the owner's keys, and shim's built-in vendor certificate.
    pub mok_list: &'a [u8],
    /// `MokListXRT`: what the owner and shim itself forbid. PCR 14 is known only with it; without it an image is taken
    /// as not forbidden by it.
    pub mok_list_x: Option<&'a [u8]>,
    /// `MokListTrustedRT`: one byte.
    pub mok_list_trusted: &'a [u8],
    /// `SbatLevelRT`: the text of the SBAT revocations.
    pub sbat_level: &'a [u8],
}

/// Something that GRUB measures while it runs its configuration.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum GrubMeasurement<'a> {
    /// A command, as GRUB prints it after `grub_cmd: ` (PCR 8).
    Command(&'a str),
    /// The kernel's command line, its file name first (PCR 8).
    KernelCommandLine(&'a str),
    /// A file that was read (PCR 9).
    File {
        /// The name as GRUB prints it.
        name: &'a str,
        /// The content.
        content: &'a [u8],
    },
}
