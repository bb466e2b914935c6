//! `key create`, `show`, `list`, `remove`, and how commands name a key.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Subcommand;
use nitrotpm_attester::{AttesterError, StoredKey};
use nitrotpm_tpm_wire::{PublicParameters, Structure as _};
use serde::Serialize;

use super::look::FormatArguments;
use super::nv::OwnerArgument;
use super::{Algorithm, TpmArguments, files, parse_handle};

/// A key file, or the handle of a key in the TPM.
#[derive(Clone, Debug)]
pub(super) enum KeyName {
    File(PathBuf),
    Handle(u32),
}

impl FromStr for KeyName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("0x") { parse_handle(text).map(Self::Handle) } else { Ok(Self::File(text.into())) }
    }
}

impl KeyName {
    pub(super) fn read(&self, tpm: &TpmArguments) -> Result<StoredKey, AttesterError> {
        match self {
            Self::File(path) => StoredKey::from_json(&files::read_text(path)?),
            Self::Handle(handle) => tpm.open()?.persistent_key(*handle),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make an attestation key and keep it in a file, encrypted by the TPM, or in the TPM
    #[command(after_help = "\
Examples:
  nitrotpm-attester key create --out ak.json --public ak.pub
  nitrotpm-attester key create --persistent 0x81010001")]
    Create {
        /// The kind of key
        #[arg(long, value_enum, default_value = "p256")]
        algorithm: Algorithm,
        /// Where to keep the key; the file must not exist
        #[arg(long, value_name = "FILE", required_unless_present = "persistent")]
        out: Option<PathBuf>,
        /// Keep the key in the TPM, at this handle, as in 0x81010001
        #[arg(long, value_name = "HANDLE", value_parser = parse_handle, conflicts_with = "out")]
        persistent: Option<u32>,
        #[command(flatten)]
        owner: OwnerArgument,
        /// Where to write the public part (TPM2B_PUBLIC), for the verifier
        #[arg(long, value_name = "FILE")]
        public: Option<PathBuf>,
    },
    /// Show a key's name and attributes
    #[command(after_help = "\
Example:
  nitrotpm-attester key show ak.json --public ak.pub")]
    Show {
        /// The key file, or the handle of a key in the TPM
        #[arg(value_name = "FILE|HANDLE")]
        key: KeyName,
        /// Where to write the public part (TPM2B_PUBLIC), for the verifier
        #[arg(long, value_name = "FILE")]
        public: Option<PathBuf>,
    },
    /// List the keys that stay in the TPM, whatever they are for
    #[command(after_help = "\
Example:
  nitrotpm-attester key list")]
    List {
        #[command(flatten)]
        format: FormatArguments,
    },
    /// Remove a key from the TPM; there is no copy
    #[command(after_help = "\
Example:
  nitrotpm-attester key remove 0x81010001")]
    Remove {
        /// Its handle, as in 0x81010001
        #[arg(value_parser = parse_handle)]
        handle: u32,
        #[command(flatten)]
        owner: OwnerArgument,
    },
}

/// A key in the TPM, for a person who wants to look.
#[derive(Serialize)]
struct Listed {
    handle: String,
    /// `rsa2048`, `p256` or another curve's name; absent for what is neither RSA nor ECC.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    attributes: Vec<&'static str>,
}

impl KeyCommand {
    pub(super) fn run(self, tpm: &TpmArguments) -> Result<String, AttesterError> {
        let (key, public) = match self {
            Self::Create { algorithm, out, persistent, owner, public } => {
                let mut tpm = tpm.open()?;
                owner.set(&mut tpm)?;
                let mut key = tpm.create_key(algorithm.into())?;
                if let Some(handle) = persistent {
                    key = tpm.make_persistent(&key, handle)?;
                }
                if let Some(path) = out {
                    files::write_new(&path, key.to_json()?.as_bytes())?;
                }
                (key, public)
            }
            Self::Show { key, public } => (key.read(tpm)?, public),
            Self::List { format } => return list(tpm, &format),
            Self::Remove { handle, owner } => {
                let mut tpm = tpm.open()?;
                owner.set(&mut tpm)?;
                return tpm.remove_persistent(handle).map(|()| String::new());
            }
        };
        if let Some(path) = public {
            files::write(&path, &key.public().to_tpm2b()?)?;
        }
        let name = hex::encode(key.public().name().unwrap_or_default());
        let attributes = key.public().attributes.names().collect::<Vec<_>>().join(" ");
        Ok(format!("name       {name}\nattributes {attributes}\n"))
    }
}

fn list(tpm: &TpmArguments, format: &FormatArguments) -> Result<String, AttesterError> {
    let mut tpm = tpm.open()?;
    let mut listed = Vec::new();
    for handle in tpm.persistent_handles()? {
        let handle_text = format!("{handle:#010x}");
        listed.push(match tpm.persistent_key(handle) {
            Ok(key) => Listed {
                handle: handle_text,
                kind: Some(match &key.public().parameters {
                    PublicParameters::Rsa { parameters, .. } => format!("rsa{}", parameters.key_bits),
                    PublicParameters::Ecc { parameters, .. } => parameters.curve.to_string(),
                }),
                name: key.public().name().map(hex::encode),
                attributes: key.public().attributes.names().collect(),
            },
            // A symmetric key, a sealed secret: there, and nothing of it is known here.
            Err(AttesterError::Wire(_)) => {
                Listed { handle: handle_text, kind: None, name: None, attributes: Vec::new() }
            }
            Err(error) => return Err(error),
        });
    }
    format.print(listed.as_slice(), |listed| {
        listed.iter().fold(String::new(), |mut text, key| {
            let kind = key.kind.as_deref().unwrap_or("neither RSA nor ECC");
            let _ = writeln!(text, "{}  {kind}  {}", key.handle, key.attributes.join(" "));
            text
        })
    })
}
