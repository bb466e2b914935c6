//! From a disk image to the files that boot.

use nitrotpm_disk_image::{Disk, DiskError, EXTENDED_BOOT_LOADER, Gpt, Partition, Volume};
use nitrotpm_predict::{ImageKind, PeImage};

use crate::entry::without_counter;
use crate::files::{NamedFile, OwnedLinuxEntry};
use crate::{BootFiles, BootFilesError, Entry, EntryKind, LoaderConf, choose};

/// No menu has more entries.
const MOST_ENTRIES: usize = 256;

/// The processor that boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// x86-64.
    X86_64,
    /// 64-bit Arm.
    Arm64,
}

impl Machine {
    /// UEFI's short name, as it ends file names and stands in entries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x64",
            Self::Arm64 => "aa64",
        }
    }

    /// What firmware starts from a disk without a boot entry (UEFI Specification 2.10, section 3.5.1.1).
    const fn removable_path(self) -> &'static str {
        match self {
            Self::X86_64 => "EFI/BOOT/BOOTX64.EFI",
            Self::Arm64 => "EFI/BOOT/BOOTAA64.EFI",
        }
    }
}

/// Finds what a disk boots on the first boot of a machine, whose variables name no boot entry.
///
/// Without `machine` the disk has to have a boot loader for one processor alone.
///
/// # Errors
/// [`BootFilesError`]: a disk that cannot be read, nothing to start, or a choice that cannot be said.
pub fn find<D: Disk>(disk: &D, machine: Option<Machine>) -> Result<BootFiles, BootFilesError> {
    let gpt = Gpt::read(disk)?;
    let mut notes = Vec::new();
    if let Err(what) = gpt.backup() {
        notes.push(format!(
            "{what}: PCR 5 is predicted for the table as it is, and changes when a tool writes the table anew"
        ));
    }
    let (mut volume, machine, loader) = system_partition(disk, &gpt, machine)?;
    let mut files = BootFiles { partition_table: Some(gpt.event_data()), notes, ..BootFiles::default() };
    let path = machine.removable_path();
    let kind = PeImage::parse(path, &loader)?.kind();
    files.images.push((path.to_owned(), loader));
    match kind {
        ImageKind::UnifiedKernel(version) => beside(&mut volume, path, version, &mut files)?,
        ImageKind::SystemdBoot(version) => {
            if gpt.partitions().iter().any(|partition| partition.kind == EXTENDED_BOOT_LOADER) {
                let reason = "the disk has an XBOOTLDR partition, whose entries are not read".into();
                return Err(BootFilesError::Menu { reason });
            }
            systemd_boot(&mut volume, machine, version, &mut files)?;
        }
        ImageKind::Shim => shim(&mut volume, machine, &mut files)?,
        ImageKind::Grub => grub(&mut files),
        // What it starts is its own matter: the prediction says so.
        _ => {}
    }
    Ok(files)
}

/// The one partition that firmware can boot, the machine, and the boot loader.
fn system_partition<'d, D: Disk>(
    disk: &'d D,
    gpt: &Gpt,
    machine: Option<Machine>,
) -> Result<(Volume<'d, D>, Machine, Vec<u8>), BootFilesError> {
    let partitions: Vec<&Partition> = gpt.system_partitions().collect();
    if partitions.is_empty() {
        return Err(BootFilesError::NoSystemPartition);
    }
    let machines: &[Machine] = match machine {
        Some(Machine::X86_64) => &[Machine::X86_64],
        Some(Machine::Arm64) => &[Machine::Arm64],
        None => &[Machine::X86_64, Machine::Arm64],
    };
    let mut found: Option<(Volume<'d, D>, Machine, Vec<u8>)> = None;
    for partition in partitions {
        for machine in machines {
            // Opened for each: a file that is looked for must not be in the way of the next.
            let mut volume = Volume::open(disk, partition.bytes())?;
            let Some(loader) = volume.read(machine.removable_path())? else { continue };
            if let Some((_, other, _)) = &found {
                let (what, remedy) = if *other == *machine {
                    ("two EFI system partitions have a boot loader", "leave one")
                } else {
                    ("there are boot loaders for x86-64 and for arm64", "say which with --machine")
                };
                return Err(BootFilesError::Ambiguous { what: what.into(), remedy });
            }
            found = Some((volume, *machine, loader));
        }
    }
    found.ok_or(BootFilesError::NoBootLoader)
}

/// The files that systemd-stub finds beside its image, and in `/loader`.
fn beside<D: Disk>(
    volume: &mut Volume<'_, D>,
    image: &str,
    version: Option<u32>,
    files: &mut BootFiles,
) -> Result<(), BootFilesError> {
    // Since some version after 254 the folder's name has no boot counter.
    let (directory, name) = image.rsplit_once('/').unwrap_or(("", image));
    let (plain, counter) = without_counter(name, ".efi");
    let strips = version.is_some_and(|version| version >= 257);
    if counter.is_some() && matches!(version, Some(255 | 256)) {
        let reason = format!("in which folder systemd-stub looks beside {image} was not checked for its version");
        files.unknown.push((vec![4, 7, 9, 12, 13], reason));
    }
    let extra = format!("{directory}/{}.extra.d", if strips { plain.as_str() } else { name });
    for name in names(volume, &extra)? {
        let lower = name.to_ascii_lowercase();
        let content = |volume: &mut Volume<'_, D>| required(volume, &extra, &format!("{extra}/{name}"));
        if lower.ends_with(".addon.efi") {
            files.addons.push((name.clone(), content(volume)?));
        } else if !name.is_ascii() {
            // The stub packs ASCII names alone.
        } else if lower.ends_with(".cred") {
            files.credentials.push((name.clone(), content(volume)?));
        } else if lower.ends_with(".confext.raw") && version.is_none_or(|version| version >= 256) {
            let reason =
                format!("what systemd-stub makes of the configuration extension {name} was not checked by a boot");
            files.unknown.push((vec![9, 12], reason));
        } else if lower.ends_with(".raw") {
            files.system_extensions.push((name.clone(), content(volume)?));
        }
    }
    for name in names(volume, "loader/credentials")? {
        if name.is_ascii() && name.to_ascii_lowercase().ends_with(".cred") {
            let content = required(volume, "loader/credentials", &format!("loader/credentials/{name}"))?;
            files.global_credentials.push((name, content));
        }
    }
    for (folder, what) in [("loader/addons", "addons"), ("loader/extensions", "extensions")] {
        if !names(volume, folder)?.is_empty() {
            files.unknown.push((
                vec![4, 7, 9, 12, 13],
                format!("what systemd-stub makes of {what} in {folder} was not checked"),
            ));
        }
    }
    Ok(())
}

/// The names of a folder's files that do not begin with a dot; none where there is no folder.
fn names<D: Disk>(volume: &mut Volume<'_, D>, folder: &str) -> Result<Vec<String>, DiskError> {
    let entries = volume.list(folder)?.unwrap_or_default();
    let files = entries.iter().filter(|entry| !entry.is_directory() && !entry.name().starts_with('.'));
    Ok(files.map(|entry| entry.name().to_owned()).collect())
}

/// A file that `whose` names.
fn required<D: Disk>(volume: &mut Volume<'_, D>, whose: &str, path: &str) -> Result<Vec<u8>, BootFilesError> {
    let path = path.replace('\\', "/");
    volume.read(&path)?.ok_or_else(|| BootFilesError::Missing { entry: whose.to_owned(), path })
}

fn systemd_boot<D: Disk>(
    volume: &mut Volume<'_, D>,
    machine: Machine,
    version: u32,
    files: &mut BootFiles,
) -> Result<(), BootFilesError> {
    files.loader_conf = volume.read("loader/loader.conf")?;
    let conf = files.loader_conf.as_deref().map(text).transpose()?.map(LoaderConf::parse).unwrap_or_default();
    let mut entries = type_2(volume)?;
    entries.extend(type_1(volume, machine)?);
    let entry = choose(entries, &conf, version)?;
    files.notes.push(format!("systemd-boot {version} starts the entry {}", entry.id));
    others(volume, &conf, files)?;
    match entry.kind {
        EntryKind::Unified { file, profile } => {
            let path = format!("EFI/Linux/{file}");
            let image = required(volume, &entry.id, &path)?;
            let stub = match PeImage::parse(&path, &image)?.kind() {
                ImageKind::UnifiedKernel(stub) => stub,
                _ => None,
            };
            files.images.push((path.clone(), image));
            files.profile = profile;
            if profile > 0 {
                let reason = "how systemd-boot passes the number of a profile was not checked by a boot".into();
                files.unknown.push((vec![9, 12], reason));
            }
            beside(volume, &path, stub, files)?;
        }
        EntryKind::Image { path, linux, options, initrds } => {
            let image = required(volume, &entry.id, &path)?;
            let kind = PeImage::parse(&path, &image)?.kind();
            let stub = if let ImageKind::UnifiedKernel(stub) = kind { Some(stub) } else { None };
            files.images.push((path.clone(), image));
            if let Some(stub) = stub {
                let reason =
                    format!("what systemd-boot passes to a unified image by the entry {} was not checked", entry.id);
                files.unknown.push((vec![9, 12], reason));
                beside(volume, &path, stub, files)?;
            } else if linux && kind == ImageKind::Linux {
                let read = |path: &String| Ok((path.clone(), required(volume, &entry.id, path)?));
                let initrds = initrds.iter().map(read).collect::<Result<Vec<NamedFile>, BootFilesError>>()?;
                files.entry = Some(OwnedLinuxEntry { options, initrds });
            }
        }
    }
    Ok(())
}

/// What else systemd-boot does before it starts an entry.
fn others<D: Disk>(volume: &mut Volume<'_, D>, conf: &LoaderConf, files: &mut BootFiles) -> Result<(), BootFilesError> {
    let drivers = names(volume, "EFI/systemd/drivers")?;
    if drivers.iter().any(|name| name.to_ascii_lowercase().ends_with(".efi")) {
        let reason = "what is measured of the drivers in EFI/systemd/drivers was not checked".into();
        files.unknown.push((vec![2, 4, 5, 7], reason));
    }
    let keys = volume.list("loader/keys")?.unwrap_or_default();
    if keys.iter().any(|entry| entry.is_directory()) && conf.enroll.as_deref() != Some("off") {
        let reason = "systemd-boot may enroll the keys in loader/keys on a machine that has none, and reboot; give \
                      them with --pk, --kek, --db and --dbx, or say \"secure-boot-enroll off\" in loader.conf";
        files.unknown_without_keys.push((vec![4, 5, 7, 12], reason.into()));
    }
    Ok(())
}

/// The entries of unified kernel images. Images are read one at a time.
fn type_2<D: Disk>(volume: &mut Volume<'_, D>) -> Result<Vec<Entry>, BootFilesError> {
    let mut entries = Vec::new();
    for file in listed(volume, "EFI/Linux", ".efi")? {
        let path = format!("EFI/Linux/{file}");
        let bytes = required(volume, "EFI/Linux", &path)?;
        let image = PeImage::parse(&path, &bytes)?;
        let Some(release) = image.section_bytes(".osrel") else { continue };
        if image.profiles() > 1 {
            let reason =
                format!("{path} has several profiles, of which each is an entry; give it with --image and --profile");
            return Err(BootFilesError::Menu { reason });
        }
        entries.extend(Entry::unified(&file, text(release)?, 0, None));
    }
    Ok(entries)
}

/// The entries of text files whose image is there.
fn type_1<D: Disk>(volume: &mut Volume<'_, D>, machine: Machine) -> Result<Vec<Entry>, BootFilesError> {
    let mut entries = Vec::new();
    for file in listed(volume, "loader/entries", ".conf")? {
        let path = format!("loader/entries/{file}");
        let bytes = required(volume, "loader/entries", &path)?;
        let Some(entry) = Entry::parse(&file, text(&bytes)?, machine) else { continue };
        let EntryKind::Image { path: image, linux, .. } = &entry.kind else { continue };
        let image = image.replace('\\', "/");
        let own = image.trim_start_matches('/').eq_ignore_ascii_case(machine.removable_path());
        let (folder, name) = image.rsplit_once('/').unwrap_or(("", &image));
        let there = names(volume, folder)?.iter().any(|found| found.eq_ignore_ascii_case(name));
        if there && (*linux || !own) {
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// The files of a folder that systemd-boot looks at.
fn listed<D: Disk>(volume: &mut Volume<'_, D>, folder: &str, suffix: &str) -> Result<Vec<String>, BootFilesError> {
    let mut files = names(volume, folder)?;
    files.retain(|name| {
        let lower = name.to_ascii_lowercase();
        lower.ends_with(suffix) && !lower.starts_with("auto-")
    });
    if files.len() > MOST_ENTRIES {
        return Err(BootFilesError::Menu { reason: format!("{folder} has more than {MOST_ENTRIES} entries") });
    }
    Ok(files)
}

fn text(bytes: &[u8]) -> Result<&str, BootFilesError> {
    core::str::from_utf8(bytes).map_err(|_| BootFilesError::Menu { reason: "a configuration file is not UTF-8".into() })
}

/// shim starts the loader beside it, GRUB by its default name, and GRUB does what its configuration says.
fn shim<D: Disk>(volume: &mut Volume<'_, D>, machine: Machine, files: &mut BootFiles) -> Result<(), BootFilesError> {
    let next = format!("EFI/BOOT/grub{}.efi", machine.name());
    let fallback = format!("fb{}.efi", machine.name());
    if names(volume, "EFI/BOOT")?.iter().any(|name| name.eq_ignore_ascii_case(&fallback)) {
        files.unknown.push((
            vec![4, 5, 7, 8, 9],
            format!("shim starts {fallback} on the first boot, which makes a boot entry and boots again by it"),
        ));
        return Ok(());
    }
    let grub_image = required(volume, "shim", &next)?;
    files.images.push((next, grub_image));
    grub(files);
    Ok(())
}

/// GRUB's configuration is a program, and is not run here.
fn grub(files: &mut BootFiles) {
    files.unknown.push((
        vec![4, 5, 7, 8, 9],
        "which kernel GRUB starts, and what it measures, is decided by its configuration, which is not run here; describe \
         the boot with --boot"
            .into(),
    ));
}
