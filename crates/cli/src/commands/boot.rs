//! From flags to a prediction.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use nitrotpm_boot_files::{BootFiles, BootFilesError, Machine, NamedFile, find};
use nitrotpm_disk_image::{Disk, DiskError, ReadFailure};
use nitrotpm_pcr::Bank;
use nitrotpm_predict::{ImageKind, PeImage, PredictError, Prediction, ShimDefaults};
use nitrotpm_uefi::{Guid, SecureBootVariables, SignatureFile, UefiData, UefiError};

use crate::boot_args::{BootArgs, MachineName};
use crate::boot_file::Description;
use crate::exit::{Exit, Failure};
use crate::input::{Shown, named_file, read, read_image};
use crate::text::Escaped;

/// A prediction, and what it was made for.
pub(super) struct Predicted {
    pub(super) prediction: Prediction,
    /// Each image in load order: its name, and what it is.
    pub(super) images: Vec<(String, String)>,
    pub(super) notes: Vec<String>,
}

/// The exit code that an error of a prediction has.
pub(super) fn failure(error: &PredictError) -> Failure {
    let exit = match error {
        // Firmware would refuse the image, or the policy would prove too little: the answer is no.
        PredictError::Refused { .. } | PredictError::Dangerous(_) => Exit::Refused,
        PredictError::NoImage | PredictError::NoBank | PredictError::NotPredicted { .. } => Exit::Usage,
        _ => Exit::Invalid,
    };
    Failure { exit, code: error.code(), message: error.to_string() }
}

pub(super) fn uefi_failure(path: &Path, error: &UefiError) -> Failure {
    // A certificate is right as it is, and a flag is missing.
    let (exit, advice) = match error {
        UefiError::OwnerMissing => (Exit::Usage, " with --owner"),
        _ => (Exit::Invalid, ""),
    };
    Failure { exit, code: error.code(), message: format!("{}: {error}{advice}", Shown(path)) }
}

/// Predicts the boot that the flags describe.
pub(super) fn predict(args: &BootArgs, banks: &[Bank]) -> Result<Predicted, Failure> {
    let description = args.boot_file.as_deref().map(Description::read).transpose()?;
    let variables = variables(args, description.as_ref())?;
    let mut files = match (&args.disk, &args.boot_file, &description) {
        (Some(disk), _, _) => on_disk(disk, args.machine)?,
        (_, Some(path), Some(description)) => description.files(path)?,
        _ => BootFiles { images: unnamed(&args.images)?, ..BootFiles::default() },
    };
    files.profile = args.profile.unwrap_or(files.profile);
    files.command_line = args.command_line.clone().or(files.command_line);
    for (into, paths) in [
        (&mut files.credentials, &args.credentials),
        (&mut files.global_credentials, &args.global_credentials),
        (&mut files.system_extensions, &args.system_extensions),
        (&mut files.addons, &args.addons),
    ] {
        for path in paths {
            into.push(named_file(path)?);
        }
    }
    for (kind, suffix, found) in [
        ("credentials", ".cred", &files.credentials),
        ("credentials", ".cred", &files.global_credentials),
        ("system extensions", ".raw", &files.system_extensions),
        ("addons", ".addon.efi", &files.addons),
    ] {
        check_names(kind, suffix, found)?;
    }
    let parts = files.parts().map_err(|error| failure(&error))?;
    let mut phases: Vec<&str> = args.phases.iter().map(String::as_str).collect();
    let mut boot = parts.boot(&variables);
    let defaults = if args.shim_defaults { Some(shim_defaults(parts.images())?) } else { None };
    if let Some(defaults) = &defaults {
        boot.shim = Some(defaults.state(variables.is_enabled()));
    }
    boot.os_separator = args.os_separator;
    if let Some(description) = &description {
        boot.os_separator |= description.os_separator;
        phases.splice(0..0, description.phases.iter().map(String::as_str));
    }
    boot.phases = &phases;
    let prediction = boot.predict(banks).map_err(|error| failure(&error))?;
    let images = parts.images().iter().map(|image| (image.name().to_owned(), image.kind().to_string())).collect();
    Ok(Predicted { prediction, images, notes: files.notes.clone() })
}

/// What is built into the shim among the images.
fn shim_defaults<'a>(images: &[PeImage<'a>]) -> Result<ShimDefaults<'a>, Failure> {
    let shim = images.iter().find(|image| image.kind() == ImageKind::Shim);
    let shim =
        shim.ok_or_else(|| Failure::usage("boot.shim-defaults", "--shim-defaults: none of the images is shim"))?;
    ShimDefaults::of(shim).ok_or_else(|| {
        let message = format!(
            "{} has no vendor certificate and SBAT level that can be read; give shim's variables in a description (--boot)",
            shim.name()
        );
        Failure::invalid("boot.shim-defaults", message)
    })
}

/// systemd-stub takes files by their names, each once: what it would pass over must not be predicted as measured.
fn check_names(kind: &str, suffix: &str, files: &[NamedFile]) -> Result<(), Failure> {
    for (position, (name, _)) in files.iter().enumerate() {
        let lower = name.to_ascii_lowercase();
        let taken = name.is_ascii() && !lower.starts_with('.') && lower.ends_with(suffix);
        let what = if !taken || (kind == "system extensions" && lower.ends_with(".confext.raw")) {
            format!("systemd-stub takes {kind} by names in ASCII that end in {suffix}; rename it")
        } else if files.iter().take(position).any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            "it is given twice, and a folder has a name once".to_owned()
        } else {
            continue;
        };
        return Err(Failure::usage("usage.file-name", format!("{}: {what}", Escaped(name))));
    }
    Ok(())
}

/// Files that are called by their paths.
fn unnamed(paths: &[PathBuf]) -> Result<Vec<NamedFile>, Failure> {
    paths.iter().map(|path| Ok((Shown(path).to_string(), read_image(path)?))).collect()
}

fn variables(args: &BootArgs, description: Option<&Description>) -> Result<SecureBootVariables, Failure> {
    let by_flags = [&args.uefi_data, &args.pk, &args.kek, &args.db, &args.dbx].into_iter().any(Option::is_some);
    let keys = description.filter(|_| !by_flags).map(|description| &description.secure_boot);
    let owner = match (args.owner, keys) {
        (Some(owner), _) => Some(owner),
        (None, Some(keys)) => keys.owner()?,
        (None, None) => None,
    };
    let [blob, pk, kek, db, dbx] = match keys {
        Some(keys) => [&keys.uefi_data, &keys.pk, &keys.kek, &keys.db, &keys.dbx],
        None => [&args.uefi_data, &args.pk, &args.kek, &args.db, &args.dbx],
    };
    if let Some(path) = blob {
        let data = UefiData::from_base64(&read(path)?).map_err(|error| uefi_failure(path, &error))?;
        return Ok(SecureBootVariables::from_uefi_data(&data));
    }
    Ok(SecureBootVariables {
        pk: signature_variable(pk.as_deref(), owner)?,
        kek: signature_variable(kek.as_deref(), owner)?,
        db: signature_variable(db.as_deref(), owner)?,
        dbx: signature_variable(dbx.as_deref(), owner)?,
    })
}

/// A variable's content; empty where no file is named.
pub(super) fn signature_variable(path: Option<&Path>, owner: Option<Guid>) -> Result<Vec<u8>, Failure> {
    let Some(path) = path else { return Ok(Vec::new()) };
    SignatureFile::read(&read(path)?, owner)
        .map(SignatureFile::into_content)
        .map_err(|error| uefi_failure(path, &error))
}

fn on_disk(path: &Path, machine: Option<MachineName>) -> Result<BootFiles, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::environment("file.read", format!("cannot read {}: {error}; --disk takes a file", Shown(path)))
    };
    let mut file = File::open(path).map_err(unreadable)?;
    // A block device has no size but its end.
    let size = file.seek(SeekFrom::End(0)).map_err(unreadable)?;
    let machine = machine.map(|machine| match machine {
        MachineName::X86_64 => Machine::X86_64,
        MachineName::Arm64 => Machine::Arm64,
    });
    find(&FileDisk { file, size }, machine).map_err(|error| {
        let exit = match &error {
            BootFilesError::Disk(DiskError::Read { .. }) => Exit::Environment,
            _ => Exit::Invalid,
        };
        Failure { exit, code: error.code(), message: format!("{}: {error}", Shown(path)) }
    })
}

/// A file as a disk: only what is asked for is read.
struct FileDisk {
    file: File,
    size: u64,
}

impl Disk for FileDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), ReadFailure> {
        let mut file = &self.file;
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(bytes));
        read.map_err(|error| ReadFailure(error.to_string()))
    }
}
