//! `enrol request`, `challenge`, `activate`, `complete`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use nitrotpm_attester::AttesterError;
use nitrotpm_credential::{
    CandidateKey, Challenge, EndorsementKey, EnrolmentAnswer, EnrolmentRequest, InstanceId, PendingEnrolment,
};
use nitrotpm_freshness::UnixTime;
use ring::rand::SystemRandom;

use super::keys::read_key;
use super::{EndorsementKeyType, TpmArguments, files};

/// Four steps, on two machines: the instance requests, the verifier challenges, the instance activates, the verifier
/// completes.
#[derive(Debug, Subcommand)]
pub(super) enum EnrolCommand {
    /// On the instance: ask for a key to be enrolled
    Request {
        /// The key file, made with `key create`
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Which endorsement key; the verifier fetches the same type
        #[arg(long, value_enum, default_value = "rsa2048")]
        ek: EndorsementKeyType,
        /// Where to write the request
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// On the verifier's side, without a TPM: challenge the TPM whose endorsement key is trusted
    Challenge {
        /// The request
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// The endorsement key from a source that is trusted, such as `aws ec2 get-instance-tpm-ek-pub` (decoded): PEM, DER,
        /// TPM2B_PUBLIC or TPMT_PUBLIC
        #[arg(long, value_name = "FILE")]
        ek: PathBuf,
        /// The instance that the trusted source named
        #[arg(long, value_name = "ID")]
        instance_id: Option<InstanceId>,
        /// Where to keep what is needed to complete; the file must not exist, and is used once
        #[arg(long, value_name = "FILE")]
        pending: PathBuf,
        /// Where to write the challenge, for the instance
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// On the instance: have the TPM open the challenge
    Activate {
        /// The key file that was requested
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The challenge
        #[arg(long, value_name = "FILE")]
        challenge: PathBuf,
        /// Where to write the answer, for the verifier; the file must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// On the verifier's side, without a TPM: check the answer and write the record for `nitrotpm verify --enrolment`
    Complete {
        /// What was kept; it is removed, whether the answer is right or wrong
        #[arg(long, value_name = "FILE")]
        pending: PathBuf,
        /// The answer
        #[arg(long, value_name = "FILE")]
        answer: PathBuf,
        /// Where to write the record; the file must not exist
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

impl EnrolCommand {
    pub(super) fn run(self, tpm: &TpmArguments) -> Result<String, AttesterError> {
        match self {
            Self::Request { key, ek, out } => {
                let candidate = CandidateKey::from_public(read_key(&key)?.public().clone())?;
                let endorsement_key = tpm.open()?.endorsement_key(ek.into())?;
                files::write(&out, EnrolmentRequest::new(endorsement_key, candidate).to_json()?.as_bytes())?;
            }
            Self::Challenge { request, ek, instance_id, pending, out } => {
                let request = EnrolmentRequest::from_json(&files::read_text(&request)?)?;
                let trusted = EndorsementKey::parse(&files::read(&ek)?)?;
                let (kept, challenge) = request.challenge(&trusted, instance_id, &SystemRandom::new())?;
                files::write_new(&pending, kept.to_json()?.as_bytes())?;
                files::write(&out, challenge.to_json()?.as_bytes())?;
            }
            Self::Activate { key, challenge, out } => {
                let key = read_key(&key)?;
                let challenge = Challenge::from_json(&files::read_text(&challenge)?)?;
                let answer = tpm.open()?.activate(&key, &challenge)?;
                files::write_new(&out, answer.to_json()?.as_bytes())?;
            }
            Self::Complete { pending, answer, out } => {
                // The answer is read first: a name mistyped should not use the challenge up.
                let answer = EnrolmentAnswer::from_json(&files::read_text(&answer)?)?;
                let kept = files::take(&pending)?;
                let kept = String::from_utf8(kept)
                    .map_err(|error| AttesterError::Malformed { document: "the file", detail: error.to_string() })?;
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map(UnixTime::since_unix_epoch);
                let record = PendingEnrolment::from_json(&kept)?.complete(&answer, now.ok())?;
                files::write_new(&out, record.to_json()?.as_bytes())?;
            }
        }
        Ok(String::new())
    }
}
