//! The files of a boot, owned.

use nitrotpm_predict::{Boot, GrubMeasurement, LinuxEntry, PeImage, PredictError, ShimState, Sidecars};
use nitrotpm_uefi::SecureBootVariables;

/// A file: its name or path, and its content.
pub type NamedFile = (String, Vec<u8>);

/// What GRUB measures: [`GrubMeasurement`] that owns its texts and files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedGrubMeasurement {
    /// A command.
    Command(String),
    /// The kernel's command line.
    KernelCommandLine(String),
    /// A file.
    File(NamedFile),
}

impl OwnedGrubMeasurement {
    fn borrowed(&self) -> GrubMeasurement<'_> {
        match self {
            Self::Command(text) => GrubMeasurement::Command(text),
            Self::KernelCommandLine(text) => GrubMeasurement::KernelCommandLine(text),
            Self::File((name, content)) => GrubMeasurement::File { name, content },
        }
    }
}

/// What shim reads: [`ShimState`] that owns its contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedShimState {
    /// `MokListRT`
    pub mok_list: Vec<u8>,
    /// `MokListXRT`
    pub mok_list_x: Option<Vec<u8>>,
    /// `MokListTrustedRT`
    pub mok_list_trusted: Vec<u8>,
    /// `SbatLevelRT`
    pub sbat_level: Vec<u8>,
}

/// An entry's options and initrds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedLinuxEntry {
    /// The `options` lines, joined by a space.
    pub options: Option<String>,
    /// The `initrd` lines: the path as written, and the content.
    pub initrds: Vec<NamedFile>,
}

/// What boots, and with what; the fields are those of [`Boot`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootFiles {
    /// The images in load order.
    pub images: Vec<NamedFile>,
    /// The profile of a unified kernel image.
    pub profile: u32,
    /// A command line of the boot entry.
    pub command_line: Option<String>,
    /// Credentials beside the image.
    pub credentials: Vec<NamedFile>,
    /// Credentials of `/loader/credentials`.
    pub global_credentials: Vec<NamedFile>,
    /// System extensions beside the image.
    pub system_extensions: Vec<NamedFile>,
    /// Addons beside the image.
    pub addons: Vec<NamedFile>,
    /// What shim reads.
    pub shim: Option<OwnedShimState>,
    /// What GRUB measures.
    pub grub: Option<Vec<OwnedGrubMeasurement>>,
    /// An entry of type 1 for the last image.
    pub entry: Option<OwnedLinuxEntry>,
    /// The data of the event of the disk's partition table.
    pub partition_table: Option<Vec<u8>>,
    /// systemd-boot's `loader.conf`.
    pub loader_conf: Option<Vec<u8>>,
    /// Registers that depend on more than these files, with the reason.
    pub unknown: Vec<(Vec<u8>, String)>,
    /// The same for machines with Secure Boot off alone.
    pub unknown_without_keys: Vec<(Vec<u8>, String)>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl BootFiles {
    /// Reads the images' headers.
    ///
    /// # Errors
    /// What [`PeImage::parse`] says.
    pub fn parts(&self) -> Result<BootParts<'_>, PredictError> {
        self.parts_with(&self.images)
    }

    /// The same with these images, names and contents in load order, in place of its own.
    ///
    /// # Errors
    /// What [`PeImage::parse`] says.
    pub fn parts_with<'f>(&'f self, images: &'f [(String, impl AsRef<[u8]>)]) -> Result<BootParts<'f>, PredictError> {
        fn named(files: &[NamedFile]) -> Vec<(&str, &[u8])> {
            files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect()
        }
        let images =
            images.iter().map(|(name, bytes)| PeImage::parse(name, bytes.as_ref())).collect::<Result<_, _>>()?;
        let addons = self
            .addons
            .iter()
            .map(|(name, bytes)| Ok((name.as_str(), PeImage::parse(name, bytes)?)))
            .collect::<Result<_, PredictError>>()?;
        let grub = self.grub.as_ref().map(|all| all.iter().map(OwnedGrubMeasurement::borrowed).collect());
        Ok(BootParts {
            files: self,
            images,
            addons,
            credentials: named(&self.credentials),
            global_credentials: named(&self.global_credentials),
            system_extensions: named(&self.system_extensions),
            initrds: self.entry.as_ref().map(|entry| named(&entry.initrds)).unwrap_or_default(),
            grub,
            unknown_without_keys: [self.unknown.as_slice(), &self.unknown_without_keys].concat(),
        })
    }
}

/// [`BootFiles`] with its images read.
#[derive(Debug)]
pub struct BootParts<'f> {
    files: &'f BootFiles,
    images: Vec<PeImage<'f>>,
    addons: Vec<(&'f str, PeImage<'f>)>,
    credentials: Vec<(&'f str, &'f [u8])>,
    global_credentials: Vec<(&'f str, &'f [u8])>,
    system_extensions: Vec<(&'f str, &'f [u8])>,
    initrds: Vec<(&'f str, &'f [u8])>,
    grub: Option<Vec<GrubMeasurement<'f>>>,
    unknown_without_keys: Vec<(Vec<u8>, String)>,
}

impl<'f> BootParts<'f> {
    /// The images in load order.
    #[must_use]
    pub fn images(&self) -> &[PeImage<'f>] {
        &self.images
    }

    /// The boot of these files on a machine with these variables.
    #[must_use]
    pub fn boot<'p>(&'p self, variables: &'p SecureBootVariables) -> Boot<'p> {
        let files = self.files;
        let mut boot = Boot::new(variables, &self.images);
        boot.profile = files.profile;
        boot.command_line = files.command_line.as_deref();
        boot.sidecars = Sidecars {
            credentials: &self.credentials,
            global_credentials: &self.global_credentials,
            system_extensions: &self.system_extensions,
            addons: &self.addons,
        };
        boot.shim = files.shim.as_ref().map(|state| ShimState {
            mok_list: &state.mok_list,
            mok_list_x: state.mok_list_x.as_deref(),
            mok_list_trusted: &state.mok_list_trusted,
            sbat_level: &state.sbat_level,
        });
        boot.grub = self.grub.as_deref();
        boot.entry =
            files.entry.as_ref().map(|entry| LinuxEntry { options: entry.options.as_deref(), initrds: &self.initrds });
        boot.partition_table = files.partition_table.as_deref();
        boot.loader_conf = files.loader_conf.as_deref();
        boot.unknown = if variables.is_enabled() { &files.unknown } else { &self.unknown_without_keys };
        boot
    }
}
