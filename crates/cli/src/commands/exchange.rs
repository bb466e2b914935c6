//! `nitrotpm policy export` and `import`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use nitrotpm_pcr::{PcrIndex, PcrValues, reset_value};
use nitrotpm_reference_values::corim::{SigningKey, Trust, read as read_corim, to_signed, to_unsigned};
use nitrotpm_reference_values::pcrlock::{Component, images as pcrlock_images, to_component};
use nitrotpm_reference_values::{Image, ReferenceValueError};
use nitrotpm_signature::PublicKey;

use super::policy::{failure, load, print_policy};
use crate::exit::{Exit, Failure};
use crate::images::{check_dangers, of_policy};
use crate::input::{Shown, clock, read};
use crate::policy_args::{ChosenPcrs, ExchangeFormat, ExportArgs, ImportArgs};
use crate::text::{NOTE, Styled, complain};

pub(super) fn export(args: &ExportArgs) -> Result<Exit, Failure> {
    let images = match &args.policy {
        None => args.sources.images()?,
        Some(path) => of_policy(&load(path)?, path, clock(args.time.at))?,
    };
    if images.is_empty() {
        return Err(failure(&ReferenceValueError::NoImage));
    }
    check_dangers(&images, args.sources.accept_danger)?;
    match args.format {
        ExchangeFormat::Pcrlock if args.sign_key.is_some() => Err(Failure::usage(
            "usage.sign-key",
            "a component file of systemd-pcrlock has no signature; leave --sign-key out",
        )),
        ExchangeFormat::Pcrlock => export_pcrlock(&images, &args.out),
        ExchangeFormat::Corim => {
            let name = args.sources.name();
            let bytes = match (&args.sign_key, &args.signer) {
                (Some(path), Some(signer)) => {
                    let key = SigningKey::from_pkcs8(&read(path)?).map_err(|error| failure(&error))?;
                    to_signed(&name, &images, &key, signer)
                }
                _ => to_unsigned(&name, &images),
            };
            write(&args.out, &bytes.map_err(|error| failure(&error))?)?;
            Ok(Exit::Done)
        }
    }
}

fn export_pcrlock(images: &[Image], out: &Path) -> Result<Exit, Failure> {
    let component = |image: &Image| to_component(image).map_err(|error| failure(&error));
    if let [image] = images {
        write(out, component(image)?.as_bytes())?;
        return Ok(Exit::Done);
    }
    if out.extension().is_none_or(|extension| extension != "d") {
        return Err(Failure::usage(
            "usage.out",
            "several images are variants of one component: name a folder for them, like --out 650-web.pcrlock.d",
        ));
    }
    // All files are made before the first is written.
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for image in images {
        let name: String =
            image.name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
        let path = out.join(format!("{}.pcrlock", name.trim_start_matches('.')));
        if files.iter().any(|(other, _)| *other == path) {
            return Err(Failure::usage(
                "usage.out",
                format!("two images would be written to {}; name them apart", Shown(&path)),
            ));
        }
        files.push((path, component(image)?));
    }
    fs::create_dir_all(out)
        .map_err(|error| Failure::environment("file.write", format!("cannot make {}: {error}", Shown(out))))?;
    for (path, text) in files {
        write(&path, text.as_bytes())?;
    }
    Ok(Exit::Done)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = if path == Path::new("-") {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush())
    } else {
        fs::write(path, bytes)
    };
    written.map_err(|error| Failure::environment("file.write", format!("cannot write {}: {error}", Shown(path))))
}

pub(super) fn import(args: &ImportArgs) -> Result<Exit, Failure> {
    let images = match args.format {
        ExchangeFormat::Pcrlock if args.trust_key.is_some() => {
            return Err(Failure::usage(
                "usage.trust-key",
                "a component file of systemd-pcrlock has no signature; leave --trust-key out",
            ));
        }
        ExchangeFormat::Pcrlock => {
            let images = pcrlock_images(&components(&args.files)?).map_err(|error| failure(&error))?;
            images.into_iter().map(|image| choose(image, &args.chosen, true)).collect::<Result<Vec<_>, _>>()?
        }
        ExchangeFormat::Corim => {
            let mut images = Vec::new();
            for path in &args.files {
                images.extend(import_corim(path, args)?);
            }
            images
        }
    };
    print_policy(&args.name, &images, &args.required)
}

fn import_corim(path: &Path, args: &ImportArgs) -> Result<Vec<Image>, Failure> {
    let key = args.trust_key.as_deref().map(public_key).transpose()?;
    let trust = key.as_ref().map_or(Trust::Unsigned, Trust::Signed);
    let images = read_corim(&read(path)?, trust, clock(args.time.at)).map_err(|error| {
        let failure = failure(&error);
        Failure { message: format!("{}: {}", Shown(path), failure.message), ..failure }
    })?;
    if key.is_none() {
        complain(&format!(
            "{} {} is not signed: its values are as good as where it comes from",
            Styled(NOTE, "nitrotpm:"),
            Shown(path)
        ));
    }
    if args.chosen.pcrs.is_empty() && args.chosen.banks.is_empty() {
        return Ok(images);
    }
    images.into_iter().map(|image| choose(image, &args.chosen, false)).collect()
}

fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    let bytes = read(path)?;
    let key = if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
        PublicKey::from_spki_pem(&bytes)
    } else {
        PublicKey::from_spki_der(&bytes)
    };
    key.map_err(|error| Failure::usage("usage.key", format!("--trust-key {}: {error}", Shown(path))))
}

/// The registers and banks that were named; without names PCR 4, 7 and 12, as far as there are values.
///
/// A component file cannot say that a register is not extended: one that is named and has no record is taken as that.
fn choose(image: Image, chosen: &ChosenPcrs, unnamed_is_zero: bool) -> Result<Image, Failure> {
    let banks = chosen.banks();
    let named = chosen.named();
    let wanted: Vec<PcrIndex> =
        if named.is_empty() { [4, 7, 12].into_iter().filter_map(PcrIndex::new).collect() } else { named.clone() };
    let mut pcrs = PcrValues::new();
    let mut notes = image.notes.clone();
    for pcr in &wanted {
        for bank in &banks {
            let value = image.pcrs.get(*bank, *pcr).copied();
            let extended = image.events.iter().any(|event| event.pcr == *pcr);
            let value = match value {
                None if unnamed_is_zero && !extended && named.contains(pcr) => {
                    notes.push(format!("No record extends PCR {pcr}: taken as not extended."));
                    Some(reset_value(*bank, *pcr))
                }
                value => value,
            };
            match value {
                // Each register of a bank comes once.
                Some(value) => drop(pcrs.insert(*pcr, value)),
                None if named.contains(pcr) => {
                    return Err(Failure::usage(
                        "reference.no-value",
                        format!("image \"{}\" has no value of PCR {pcr} in bank {bank}", image.name.escape_debug()),
                    ));
                }
                None => {}
            }
        }
    }
    Ok(Image { pcrs, notes, ..image })
}

/// The components that files and folders hold.
fn components(paths: &[PathBuf]) -> Result<Vec<Component>, Failure> {
    let mut components = Vec::new();
    for path in paths {
        if !path.is_dir() {
            components.push(Component { name: name(path), variants: vec![(name(path), read(path)?)] });
        } else if is_variants(path) {
            components.push(variants(path)?);
        } else {
            for entry in entries(path)? {
                if entry.is_dir() && is_variants(&entry) {
                    components.push(variants(&entry)?);
                } else if is_component(&entry) {
                    components.push(Component { name: name(&entry), variants: vec![(name(&entry), read(&entry)?)] });
                }
            }
        }
    }
    if components.is_empty() {
        return Err(Failure::usage(
            "reference.no-image",
            "there is no *.pcrlock file and no *.pcrlock.d folder in what was named",
        ));
    }
    Ok(components)
}

fn variants(folder: &Path) -> Result<Component, Failure> {
    let files = entries(folder)?.into_iter().filter(|entry| is_component(entry));
    let variants = files.map(|file| Ok((name(&file), read(&file)?))).collect::<Result<_, Failure>>()?;
    Ok(Component { name: name(folder), variants })
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed =
        |error: std::io::Error| Failure::environment("file.read", format!("cannot read {}: {error}", Shown(folder)));
    let mut entries = fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect::<Result<Vec<_>, _>>()?;
    entries.sort();
    Ok(entries)
}

fn is_component(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|extension| extension == "pcrlock")
}

fn is_variants(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".pcrlock.d"))
}

/// The name without `.pcrlock` and `.pcrlock.d`.
fn name(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    [".pcrlock.d", ".pcrlock"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name).to_owned()
}
