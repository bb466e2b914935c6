//! A boot described in a file, `nitrotpm.boot/1`. Paths are relative to the file.

use std::path::{Path, PathBuf};

use nitrotpm_boot_files::{BootFiles, NamedFile, OwnedGrubMeasurement, OwnedLinuxEntry, OwnedShimState};
use nitrotpm_uefi::{Guid, SignatureFile};
use serde::Deserialize;

use crate::exit::Failure;
use crate::input::{Shown, named_file, read, read_image};
use crate::kind::hint;
use crate::text::escaped_lines;

/// The description.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    schema: String,
    images: Vec<PathBuf>,
    #[serde(default)]
    pub(crate) profile: u32,
    command_line: Option<String>,
    #[serde(default)]
    credentials: Vec<PathBuf>,
    #[serde(default)]
    global_credentials: Vec<PathBuf>,
    #[serde(default)]
    system_extensions: Vec<PathBuf>,
    #[serde(default)]
    addons: Vec<PathBuf>,
    #[serde(default)]
    pub(crate) phases: Vec<String>,
    #[serde(default)]
    pub(crate) os_separator: bool,
    #[serde(default)]
    pub(crate) secure_boot: Keys,
    shim: Option<Shim>,
    grub: Option<Vec<Grub>>,
    entry: Option<Entry>,
}

/// Where the Secure Boot variables are.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    pub(crate) pk: Option<PathBuf>,
    pub(crate) kek: Option<PathBuf>,
    pub(crate) db: Option<PathBuf>,
    pub(crate) dbx: Option<PathBuf>,
    pub(crate) uefi_data: Option<PathBuf>,
    owner: Option<String>,
}

/// shim's variables, as contents or efivarfs dumps.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shim {
    mok_list: PathBuf,
    mok_list_x: Option<PathBuf>,
    mok_list_trusted: PathBuf,
    sbat_level: PathBuf,
}

/// One of the things that GRUB measures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, untagged)]
enum Grub {
    Command { command: String },
    KernelCommandLine { kernel_command_line: String },
    File { file: String, content: PathBuf },
}

/// A type-1 entry of systemd-boot.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    options: Option<String>,
    #[serde(default)]
    initrd: Vec<Initrd>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Initrd {
    /// As the entry has it.
    path: String,
    file: PathBuf,
}

impl Description {
    /// Reads a description.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let wrong = |what: &str| Failure::usage("boot.description", format!("{}: {what}", Shown(path)));
        let bytes = read(path)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| wrong(&format!("is not a description in TOML{}", hint(&bytes, &[]))))?;
        let description: Self = toml::from_str(text)
            .map_err(|error| wrong(&format!("{}{}", escaped_lines(&error.to_string()), hint(&bytes, &[]))))?;
        if description.schema != "nitrotpm.boot/1" {
            return Err(wrong("schema is not \"nitrotpm.boot/1\""));
        }
        let mut description = description;
        description.secure_boot.locate(path);
        Ok(description)
    }

    /// Reads the files that it names.
    pub(crate) fn files(&self, path: &Path) -> Result<BootFiles, Failure> {
        let named = |paths: &[PathBuf]| -> Result<Vec<NamedFile>, Failure> {
            paths.iter().map(|file| named_file(&beside(path, file))).collect()
        };
        let image = |file: &PathBuf| -> Result<NamedFile, Failure> {
            Ok((Shown(file).to_string(), read_image(&beside(path, file))?))
        };
        let grub = |measurement: &Grub| -> Result<OwnedGrubMeasurement, Failure> {
            Ok(match measurement {
                Grub::Command { command } => OwnedGrubMeasurement::Command(command.clone()),
                Grub::KernelCommandLine { kernel_command_line } => {
                    OwnedGrubMeasurement::KernelCommandLine(kernel_command_line.clone())
                }
                Grub::File { file, content } => {
                    OwnedGrubMeasurement::File((file.clone(), read_image(&beside(path, content))?))
                }
            })
        };
        let entry = |entry: &Entry| -> Result<OwnedLinuxEntry, Failure> {
            let initrd = |initrd: &Initrd| Ok((initrd.path.clone(), read_image(&beside(path, &initrd.file))?));
            let initrds = entry.initrd.iter().map(initrd).collect::<Result<_, Failure>>()?;
            Ok(OwnedLinuxEntry { options: entry.options.clone(), initrds })
        };
        Ok(BootFiles {
            images: self.images.iter().map(image).collect::<Result<_, _>>()?,
            profile: self.profile,
            command_line: self.command_line.clone(),
            credentials: named(&self.credentials)?,
            global_credentials: named(&self.global_credentials)?,
            system_extensions: named(&self.system_extensions)?,
            addons: named(&self.addons)?,
            shim: self.shim.as_ref().map(|shim| shim.state(path)).transpose()?,
            grub: self.grub.as_ref().map(|all| all.iter().map(grub).collect::<Result<_, _>>()).transpose()?,
            entry: self.entry.as_ref().map(entry).transpose()?,
            ..BootFiles::default()
        })
    }
}

impl Keys {
    /// Makes the paths relative to nothing but the working directory.
    fn locate(&mut self, description: &Path) {
        let all = [&mut self.pk, &mut self.kek, &mut self.db, &mut self.dbx, &mut self.uefi_data];
        all.into_iter().flatten().for_each(|path| *path = beside(description, path));
    }

    pub(crate) fn owner(&self) -> Result<Option<Guid>, Failure> {
        let parse = |text: &String| {
            text.parse().map_err(|_| Failure::usage("boot.description", "secure_boot.owner is not a GUID"))
        };
        self.owner.as_ref().map(parse).transpose()
    }
}

impl Shim {
    fn state(&self, description: &Path) -> Result<OwnedShimState, Failure> {
        let lists = |file: &PathBuf| {
            let path = beside(description, file);
            SignatureFile::read(&read(&path)?, None)
                .map(SignatureFile::into_content)
                .map_err(|error| Failure::invalid(error.code(), format!("{}: {error}", Shown(&path))))
        };
        // A dump of efivarfs has four bytes of attributes in front.
        let sbat_level = read(&beside(description, &self.sbat_level))?;
        let sbat_level = match sbat_level.split_first_chunk::<4>() {
            Some((_, content)) if content.starts_with(b"sbat,") => content.to_vec(),
            _ => sbat_level,
        };
        let trusted = read(&beside(description, &self.mok_list_trusted))?;
        let mok_list_trusted = match trusted.as_slice() {
            [_, _, _, _, content] => vec![*content],
            _ => trusted,
        };
        Ok(OwnedShimState {
            mok_list: lists(&self.mok_list)?,
            mok_list_x: self.mok_list_x.as_ref().map(lists).transpose()?,
            mok_list_trusted,
            sbat_level,
        })
    }
}

/// A path of the description.
fn beside(description: &Path, path: &Path) -> PathBuf {
    description.parent().map_or_else(|| path.to_owned(), |folder| folder.join(path))
}
