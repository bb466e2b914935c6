//! `key create`, `key show`.

use std::path::PathBuf;

use clap::Subcommand;
use nitrotpm_attester::{AttesterError, StoredKey};
use nitrotpm_tpm_wire::Structure as _;

use super::{Algorithm, TpmArguments, files};

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make an attestation key and keep it in a file, encrypted by the TPM
    Create {
        /// The kind of key
        #[arg(long, value_enum, default_value = "p256")]
        algorithm: Algorithm,
        /// Where to keep the key; the file must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Where to write the public part (TPM2B_PUBLIC), for the verifier
        #[arg(long, value_name = "FILE")]
        public: Option<PathBuf>,
    },
    /// Show a key's name and attributes
    Show {
        /// The key file
        key: PathBuf,
        /// Where to write the public part (TPM2B_PUBLIC), for the verifier
        #[arg(long, value_name = "FILE")]
        public: Option<PathBuf>,
    },
}

impl KeyCommand {
    pub(super) fn run(self, tpm: &TpmArguments) -> Result<String, AttesterError> {
        let (key, public) = match self {
            Self::Create { algorithm, out, public } => {
                let key = tpm.open()?.create_key(algorithm.into())?;
                files::write_new(&out, key.to_json()?.as_bytes())?;
                (key, public)
            }
            Self::Show { key, public } => (read_key(&key)?, public),
        };
        if let Some(path) = public {
            files::write(&path, &key.public().to_tpm2b()?)?;
        }
        let name = hex::encode(key.public().name().unwrap_or_default());
        let attributes = key.public().attributes.names().collect::<Vec<_>>().join(" ");
        Ok(format!("name       {name}\nattributes {attributes}\n"))
    }
}

pub(super) fn read_key(path: &std::path::Path) -> Result<StoredKey, AttesterError> {
    StoredKey::from_json(&files::read_text(path)?)
}
