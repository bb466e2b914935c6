//! Predicts a boot with everything that the library takes: the JSON document that `nitrotpm predict` prints.
//!
//! `fixtures/boot/matrix` uses it for boots that the flags of `nitrotpm predict` do not reach. Flags that it does not
//! know are an error; a file is named after its last path component, as it is on the ESP.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

use std::error::Error;
use std::process::ExitCode;

use nitrotpm_pcr::Bank;
use nitrotpm_predict::{Boot, GrubMeasurement, PeImage, ShimDefaults, ShimState, Sidecars};
use nitrotpm_uefi::{SecureBootVariables, SignatureFile, UefiData};

/// Everything is read once and lives until the program ends.
fn read(path: &str) -> Result<&'static [u8], Box<dyn Error>> {
    Ok(std::fs::read(path).map_err(|error| format!("{path}: {error}"))?.leak())
}

fn named(path: &str) -> Result<(&'static str, &'static [u8]), Box<dyn Error>> {
    let name = path.rsplit('/').next().unwrap_or(path);
    Ok((name.to_owned().leak(), read(path)?))
}

/// The content of a file of efivarfs, whose first four bytes are attributes.
fn variable(path: &str) -> Result<&'static [u8], Box<dyn Error>> {
    Ok(read(path)?.get(4..).ok_or("shorter than its attributes")?)
}

fn predict() -> Result<String, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut variables = SecureBootVariables::default();
    let (mut images, mut grub, mut phases): (Vec<PeImage<'_>>, Vec<_>, Vec<&str>) =
        (Vec::new(), Vec::new(), Vec::new());
    let (mut credentials, mut global, mut extensions, mut addons) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut shim = ShimState { mok_list: &[], mok_list_x: None, mok_list_trusted: &[], sbat_level: &[] };
    let (mut has_shim, mut shim_defaults) = (false, false);
    let (mut command_line, mut profile): (Option<&str>, u32) = (None, 0);
    while let Some(flag) = arguments.next() {
        if flag == "predict" {
            continue;
        }
        let value: &'static str = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?.leak();
        match flag.as_str() {
            "--image" => images.push(PeImage::parse(value, read(value)?)?),
            "--uefi-data" => variables = SecureBootVariables::from_uefi_data(&UefiData::from_base64(read(value)?)?),
            "--db" => variables.db = SignatureFile::read(read(value)?, None)?.into_content(),
            "--command-line" => command_line = Some(value),
            "--profile" => profile = value.parse()?,
            "--credential" => credentials.push(named(value)?),
            "--global-credential" => global.push(named(value)?),
            "--system-extension" => extensions.push(named(value)?),
            "--addon" => {
                let (name, bytes) = named(value)?;
                addons.push((name, PeImage::parse(name, bytes)?));
            }
            "--phase" => phases.push(value),
            "--mok-list" => {
                shim.mok_list = variable(value)?;
                has_shim = true;
            }
            "--mok-list-x" => shim.mok_list_x = Some(variable(value)?),
            "--mok-list-trusted" => shim.mok_list_trusted = variable(value)?,
            "--sbat-level" => shim.sbat_level = variable(value)?,
            "--shim-defaults" => shim_defaults = value == "yes",
            "--grub-command" => grub.push(GrubMeasurement::Command(value)),
            "--grub-kernel-command-line" => grub.push(GrubMeasurement::KernelCommandLine(value)),
            "--grub-file" => {
                let (name, path) = value.rsplit_once('=').ok_or("--grub-file NAME=FILE")?;
                grub.push(GrubMeasurement::File { name, content: read(path)? });
            }
            "--bank" | "--format" => {}
            _ => return Err(format!("there is no flag {flag}").into()),
        }
    }
    let mut boot = Boot::new(&variables, &images);
    boot.command_line = command_line;
    boot.profile = profile;
    boot.phases = &phases;
    boot.sidecars = Sidecars {
        credentials: &credentials,
        global_credentials: &global,
        system_extensions: &extensions,
        addons: &addons,
    };
    boot.shim = has_shim.then_some(shim);
    let defaults;
    if shim_defaults {
        let first = images.first().ok_or("--shim-defaults needs shim as the first image")?;
        defaults = ShimDefaults::of(first).ok_or("the first image is not a shim whose defaults can be read")?;
        boot.shim = Some(defaults.state(variables.is_enabled()));
    }
    boot.grub = (!grub.is_empty()).then_some(grub.as_slice());
    let prediction = boot.predict(&[Bank::Sha256, Bank::Sha384, Bank::Sha512])?;
    Ok(serde_json::to_string_pretty(&prediction.to_json())?)
}

fn main() -> ExitCode {
    match predict() {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
