//! `nitrotpm uefi-data`.

use std::fmt::Write as _;
use std::path::Path;

use nitrotpm_predict::describe_signature;
use nitrotpm_uefi::{
    Authentication, SecureBootVariable, SignatureDatabase, UefiData, UefiDataDifference, UefiVariable,
};
use serde::Serialize;

use super::boot::{signature_variable, uefi_failure};
use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::input::{Shown, read};
use crate::text::{DIM, Escaped, GOOD, HEAD, NOTE, Styled, print, print_json};
use crate::uefi_data_args::UefiDataCommand;

/// Non-volatile, for boot services and run time, time-based authenticated writes (UEFI Specification 2.10, section
/// 8.2.1): what Secure Boot's variables have.
const AUTHENTICATED: u32 = 0x27;

/// A variable as it is shown.
#[derive(Serialize)]
struct Shape {
    name: String,
    vendor: String,
    attributes: u32,
    size: usize,
    /// What the variable's signature lists hold; null where it is no signature variable.
    entries: Option<Vec<Entry>>,
}

/// An entry of a signature list.
#[derive(Clone, PartialEq, Eq, Serialize)]
struct Entry {
    owner: String,
    what: String,
}

#[derive(Serialize)]
struct ShowReport {
    schema: &'static str,
    secure_boot: bool,
    variables: Vec<Shape>,
}

#[derive(Serialize)]
struct DiffReport {
    schema: &'static str,
    differences: Vec<Difference>,
}

#[derive(Serialize)]
struct Difference {
    name: String,
    vendor: String,
    change: &'static str,
    message: String,
}

pub(super) fn run(command: &UefiDataCommand) -> Result<Exit, Failure> {
    match command {
        UefiDataCommand::Show { file, format } => show(&load(file)?, format.format),
        UefiDataCommand::Diff { a, b, format } => diff(&load(a)?, &load(b)?, format.format),
        UefiDataCommand::Write { from, pk, kek, db, dbx, owner, out } => {
            let base = from.as_deref().map(load).transpose()?.unwrap_or_default();
            let mut variables = base.variables().to_vec();
            let files = [
                (SecureBootVariable::Pk, pk),
                (SecureBootVariable::Kek, kek),
                (SecureBootVariable::Db, db),
                (SecureBootVariable::Dbx, dbx),
            ];
            if files.iter().all(|(_, file)| file.is_none()) {
                return Err(Failure::usage(
                    "usage.uefi-data",
                    "nothing to write: give at least one of --pk, --kek, --db and --dbx",
                ));
            }
            for (variable, file) in files {
                if let Some(file) = file {
                    set(&mut variables, variable, signature_variable(Some(file), *owner)?);
                }
            }
            let data = UefiData::new(variables).map_err(|error| uefi_failure(out, &error))?;
            write(&data, out)
        }
    }
}

fn load(path: &Path) -> Result<UefiData, Failure> {
    UefiData::from_base64(&read(path)?).map_err(|error| uefi_failure(path, &error))
}

/// Puts a variable in the place of the one of its name, or at the end; one without content is removed.
fn set(variables: &mut Vec<UefiVariable>, variable: SecureBootVariable, data: Vec<u8>) {
    let is_it = |other: &UefiVariable| other.name == variable.name() && other.vendor == variable.vendor();
    if data.is_empty() {
        variables.retain(|other| !is_it(other));
        return;
    }
    // A time of zero lets every signed update replace it.
    let authentication = Some(Authentication { timestamp: [0; 16], digest: vec![0; 32] });
    let new = UefiVariable {
        name: variable.name().into(),
        vendor: variable.vendor(),
        attributes: AUTHENTICATED,
        data,
        authentication,
    };
    match variables.iter_mut().find(|other| is_it(other)) {
        Some(old) => *old = new,
        None => variables.push(new),
    }
}

fn write(data: &UefiData, out: &Path) -> Result<Exit, Failure> {
    let text = data.to_base64().map_err(|error| uefi_failure(out, &error))?;
    if out == Path::new("-") {
        print(&format!("{text}\n"))?;
    } else {
        // Without a newline: EC2 takes the text as it is.
        std::fs::write(out, text)
            .map_err(|error| Failure::environment("file.write", format!("cannot write {}: {error}", Shown(out))))?;
    }
    Ok(Exit::Done)
}

fn secure_boot_variable(variable: &UefiVariable) -> Option<SecureBootVariable> {
    let all = SecureBootVariable::ALL.into_iter();
    all.into_iter().find(|known| variable.name == known.name() && variable.vendor == known.vendor())
}

/// The entries of a Secure Boot variable; none where it does not hold signature lists.
fn entries(variable: &UefiVariable) -> Option<Vec<Entry>> {
    secure_boot_variable(variable)?;
    let database = SignatureDatabase::parse(&variable.data).ok()?;
    let entry = |(kind, entry)| {
        let entry: &nitrotpm_uefi::SignatureEntry = entry;
        Entry { owner: entry.owner.to_string(), what: describe_signature(kind, entry) }
    };
    Some(database.entries().map(entry).collect())
}

fn show(data: &UefiData, format: Format) -> Result<Exit, Failure> {
    let pk = data.get(&SecureBootVariable::Pk.vendor(), SecureBootVariable::Pk.name());
    let secure_boot = pk.is_some_and(|pk| !pk.data.is_empty());
    let variables: Vec<Shape> = data
        .variables()
        .iter()
        .map(|variable| Shape {
            name: variable.name.clone(),
            vendor: variable.vendor.to_string(),
            attributes: variable.attributes,
            size: variable.data.len(),
            entries: entries(variable),
        })
        .collect();
    if format == Format::Json {
        print_json(&ShowReport { schema: "nitrotpm.uefi-data/1", secure_boot, variables })?;
        return Ok(Exit::Done);
    }
    let state = if secure_boot { "PK is set: Secure Boot is on" } else { "PK is not set: Secure Boot is off" };
    let mut text = format!("{}\n", Styled(HEAD, format!("{} variables, {state}", variables.len())));
    // Writing to a String cannot fail.
    for shape in &variables {
        let facts = format!("{} attributes {:#x}, {} bytes", shape.vendor, shape.attributes, shape.size);
        let _ = writeln!(text, "  {}  {}", Escaped(&shape.name), Styled(DIM, facts));
        for entry in shape.entries.iter().flatten() {
            let _ = writeln!(text, "    {}  {}", Escaped(&entry.what), Styled(DIM, format!("owner {}", entry.owner)));
        }
    }
    print(&text)?;
    Ok(Exit::Done)
}

fn diff(a: &UefiData, b: &UefiData, format: Format) -> Result<Exit, Failure> {
    let differences: Vec<Difference> = a.differences(b).map(|difference| words(&difference)).collect();
    let exit = if differences.is_empty() { Exit::Done } else { Exit::Refused };
    match format {
        Format::Json => print_json(&DiffReport { schema: "nitrotpm.uefi-data-diff/1", differences })?,
        Format::Text if differences.is_empty() => print(&format!("{}\n", Styled(GOOD, "the same variables")))?,
        Format::Text => {
            let lines = differences.iter().map(|difference| {
                format!("{}  {}\n", Styled(NOTE, Escaped(&difference.name)), Escaped(&difference.message))
            });
            print(&lines.collect::<String>())?;
        }
    }
    Ok(exit)
}

fn words(difference: &UefiDataDifference<'_>) -> Difference {
    let (variable, change, message) = match difference {
        UefiDataDifference::Added(variable) => {
            (variable, "added", format!("is set, with {} bytes", variable.data.len()))
        }
        UefiDataDifference::Removed(variable) => (variable, "removed", "is no longer set".to_owned()),
        UefiDataDifference::Changed(before, after) => (before, "changed", changed(before, after)),
    };
    Difference { name: variable.name.clone(), vendor: variable.vendor.to_string(), change, message }
}

/// What changed in a variable: entry by entry where both hold signature lists.
fn changed(before: &UefiVariable, after: &UefiVariable) -> String {
    let mut parts = Vec::new();
    if before.attributes != after.attributes {
        parts.push(format!("attributes {:#x} became {:#x}", before.attributes, after.attributes));
    }
    if before.authentication != after.authentication && before.attributes == after.attributes {
        parts.push("the time or signer of the last update differs".into());
    }
    if before.data != after.data {
        match (entries(before), entries(after)) {
            (Some(old), Some(new)) => {
                let only = |some: &[Entry], others: &[Entry]| -> Vec<Entry> {
                    let mut others = others.to_vec();
                    let left = some.iter().filter(|entry| match others.iter().position(|other| other == *entry) {
                        Some(found) => {
                            others.swap_remove(found);
                            false
                        }
                        None => true,
                    });
                    left.cloned().collect()
                };
                // "has one certificate more": the kind of an entry is the first of its words.
                let named = |entry: &Entry, change: &str| {
                    let kinds = ["certificate", "image digest", "revoked certificate"];
                    let kind = kinds.into_iter().find(|kind| entry.what.starts_with(kind)).unwrap_or("entry");
                    let what = entry.what.strip_prefix(kind).unwrap_or(&entry.what).trim_start();
                    format!("has one {kind} {change}: {what} (owner {})", entry.owner)
                };
                let (mut removed, mut added) = (only(&old, &new), only(&new, &old));
                added.retain(|entry| {
                    let Some(found) = removed.iter().position(|other| other.what == entry.what) else { return true };
                    let before = removed.swap_remove(found);
                    parts.push(format!("the owner of {} was {} and is {}", entry.what, before.owner, entry.owner));
                    false
                });
                parts.extend(added.iter().map(|entry| named(entry, "more")));
                parts.extend(removed.iter().map(|entry| named(entry, "less")));
                if parts.is_empty() {
                    parts.push("has the same entries in another order or in other lists".into());
                }
            }
            _ => parts.push(format!("has other content: {} bytes became {}", before.data.len(), after.data.len())),
        }
    }
    parts.join("; ")
}
