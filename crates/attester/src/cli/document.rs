//! `document`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nitrotpm_attester::{AttesterError, Connection, DocumentOptions, DocumentRequest, request_document};
use ring::rand::SystemRandom;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use zeroize::Zeroizing;

use super::{TpmArguments, files};

#[derive(Debug, clap::Args)]
pub(super) struct DocumentArguments {
    /// File with the verifier's nonce, 1 to 1024 bytes
    #[arg(long, value_name = "FILE")]
    nonce: Option<PathBuf>,
    /// File with anything, 1 to 1024 bytes
    #[arg(long, value_name = "FILE")]
    user_data: Option<PathBuf>,
    /// File with a public key, 1 to 1024 bytes; for KMS an RSA key as DER SubjectPublicKeyInfo
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// Where to write the document
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    #[command(flatten)]
    asking: AskingArguments,
}

impl DocumentArguments {
    pub(super) fn run(self, tpm: &TpmArguments) -> Result<String, AttesterError> {
        let read = |path: &Option<PathBuf>| path.as_deref().map(files::read).transpose();
        let (nonce, user_data, public_key) = (read(&self.nonce)?, read(&self.user_data)?, read(&self.public_key)?);
        let request = DocumentRequest {
            user_data: user_data.as_deref(),
            nonce: nonce.as_deref(),
            public_key: public_key.as_deref(),
        };
        files::write(&self.out, &Asking::new(tpm, &self.asking)?.ask(&request)?)?;
        Ok(String::new())
    }
}

/// How to ask for documents.
#[derive(Debug, clap::Args)]
pub(super) struct AskingArguments {
    /// File with the password of the owner hierarchy, if it has one ("-": standard input)
    #[arg(long, value_name = "FILE")]
    owner_auth: Option<PathBuf>,
    /// Ask with passwords in place of a session, for a device that refuses sessions: the answer is then not checked to be
    /// the TPM's
    #[arg(long)]
    password_session: bool,
}

/// Ready to ask: what happens to the program meanwhile is noted, so that the TPM is left clean.
pub(super) struct Asking {
    connection: Connection,
    owner_auth: Zeroizing<Vec<u8>>,
    password_session: bool,
    interrupted: Arc<AtomicBool>,
}

impl Asking {
    pub(super) fn new(tpm: &TpmArguments, arguments: &AskingArguments) -> Result<Self, AttesterError> {
        let owner_auth = arguments.owner_auth.as_deref().map(files::read_password).transpose()?.unwrap_or_default();
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Without it a signal ends the program at once, and an index stays behind.
            let _ = signal_hook::flag::register(signal, Arc::clone(&interrupted));
        }
        Ok(Self {
            connection: tpm.connection()?,
            owner_auth,
            password_session: arguments.password_session,
            interrupted,
        })
    }

    pub(super) fn ask(&self, request: &DocumentRequest<'_>) -> Result<Vec<u8>, AttesterError> {
        let options = DocumentOptions {
            owner_auth: &self.owner_auth,
            password_session: self.password_session,
            interrupted: &self.interrupted,
        };
        request_document(&self.connection, request, &options, &SystemRandom::new())
    }
}
