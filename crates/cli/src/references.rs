//! Files with known images, by which refusals are explained.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use nitrotpm_explain::{Reference, References};
use nitrotpm_verifier::Policy;

use crate::exit::Failure;
use crate::input::{Shown, read};
use crate::kind::{Kind, hint};
use crate::text::{NOTE, Styled, complain};

/// Known images.
#[derive(Debug, Args)]
pub(crate) struct ReferenceFiles {
    /// Explain by this image: a prediction (predict --format json), a known good event log, or PCRs (may be repeated)
    #[arg(long = "reference", value_name = "[NAME=]FILE")]
    pub(crate) references: Vec<NamedFile>,
    /// The same for an image that is no longer to be booted: where it is found, that is said (may be repeated)
    #[arg(long = "superseded", value_name = "[NAME=]FILE")]
    pub(crate) superseded: Vec<NamedFile>,
}

/// A file and the name of what is in it.
#[derive(Clone, Debug)]
pub(crate) struct NamedFile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl FromStr for NamedFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=').filter(|_| !Path::new(text).exists()) {
            Some((name, file)) if !name.is_empty() && !name.contains('/') => {
                if file.is_empty() {
                    return Err("the name is followed by no file".to_owned());
                }
                Ok(Self { name: name.to_owned(), path: file.into() })
            }
            _ => Ok(Self { name: name_of(Path::new(text)), path: text.into() }),
        }
    }
}

/// The file's name without what files of its kind end with; the folder's where all files of a kind are called the same.
fn name_of(path: &Path) -> String {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = [".prediction.json", ".eventlog.bin", ".pcrlock", ".corim", ".cbor", ".json", ".bin", ".log", ".efi"]
        .iter()
        .find_map(|ending| file.strip_suffix(ending))
        .unwrap_or(&file);
    let folder = || path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    match stem {
        "prediction" | "eventlog" | "pcrs" | "binary_bios_measurements" => folder().unwrap_or_else(|| stem.to_owned()),
        stem => stem.to_owned(),
    }
}

/// Reads one; a file that is none is wrong input.
pub(crate) fn load(file: &NamedFile) -> Result<Reference, Failure> {
    let bytes = read(&file.path)?;
    Reference::read(&file.name, &bytes).map_err(|error| {
        let hint = hint(&bytes, &[Kind::Prediction, Kind::Pcrs, Kind::EventLog, Kind::Empty]);
        Failure::invalid(error.code(), format!("{}: {error}{hint}", Shown(&file.path)))
    })
}

impl ReferenceFiles {
    /// All that were given.
    pub(crate) fn load(&self) -> Result<References, Failure> {
        let mut known = References::new();
        for file in &self.references {
            known.add(load(file)?);
        }
        for file in &self.superseded {
            known.add(load(file)?.superseded(""));
        }
        Ok(known)
    }

    /// All that were given, and those that the policy names beside itself. One of the latter that cannot be read is
    /// said: a verdict does not depend on it.
    pub(crate) fn load_with(
        &self,
        policy: &Policy,
        policy_path: &Path,
        clock: nitrotpm_freshness::Clock,
    ) -> Result<References, Failure> {
        let mut known = self.load()?;
        let folder = policy_path.parent().unwrap_or_else(|| Path::new(""));
        for image in policy.images() {
            let Some(file) = &image.reference else { continue };
            match load(&NamedFile { name: image.name.clone(), path: folder.join(file) }) {
                Ok(reference) => known.add(match image.why_not_accepted(policy.require(), clock) {
                    Some(why) => reference.superseded(why),
                    None => reference,
                }),
                Err(failure) => complain(&format!(
                    "{} image \"{}\" names a reference that refusals cannot be explained by: {}",
                    Styled(NOTE, "nitrotpm:"),
                    image.name.escape_debug(),
                    failure.message
                )),
            }
        }
        Ok(known)
    }
}
