//! `enrol request`, `activate`.

use std::path::PathBuf;

use clap::Subcommand;
use nitrotpm_attester::AttesterError;
use nitrotpm_credential::{CandidateKey, Challenge, EnrolmentRequest};

use super::keys::KeyName;
use super::{EndorsementKeyType, TpmArguments, files};

/// The instance's two of four steps: it requests, the verifier challenges (`nitrotpm enrol challenge`), it activates, the
/// verifier completes (`nitrotpm enrol complete`).
#[derive(Debug, Subcommand)]
pub(super) enum EnrolCommand {
    /// Ask for a key to be enrolled
    #[command(after_help = "\
Example:
  nitrotpm-attester enrol request --key ak.json --out request.json")]
    Request {
        /// The key file, made with `key create`, or the handle of a key in the TPM
        #[arg(long, value_name = "FILE|HANDLE")]
        key: KeyName,
        /// Which endorsement key; the verifier fetches the same type
        #[arg(long, value_enum, default_value = "rsa2048")]
        ek: EndorsementKeyType,
        /// Where to write the request
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Have the TPM open the challenge
    #[command(after_help = "\
Example:
  nitrotpm-attester enrol activate --key ak.json --challenge challenge.json \\
    --out answer.json")]
    Activate {
        /// The key that was requested
        #[arg(long, value_name = "FILE|HANDLE")]
        key: KeyName,
        /// The challenge
        #[arg(long, value_name = "FILE")]
        challenge: PathBuf,
        /// Where to write the answer, for the verifier; the file must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

impl EnrolCommand {
    pub(super) fn run(self, tpm: &TpmArguments) -> Result<String, AttesterError> {
        match self {
            Self::Request { key, ek, out } => {
                let candidate = CandidateKey::from_public(key.read(tpm)?.public().clone())?;
                let endorsement_key = tpm.open()?.endorsement_key(ek.into())?;
                files::write(&out, EnrolmentRequest::new(endorsement_key, candidate).to_json()?.as_bytes())?;
            }
            Self::Activate { key, challenge, out } => {
                let key = key.read(tpm)?;
                let challenge = Challenge::from_json(&files::read_text(&challenge)?)?;
                let answer = tpm.open()?.activate(&key, &challenge)?;
                files::write_new(&out, answer.to_json()?.as_bytes())?;
            }
        }
        Ok(String::new())
    }
}
