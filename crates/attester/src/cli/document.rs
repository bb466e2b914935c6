//! `document`.

use std::path::PathBuf;

use clap::ValueEnum;
use nitrotpm_attester::{AttesterError, Connection, DocumentOptions, DocumentRequest, Protection, request_document};
use ring::rand::SystemRandom;
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
    /// How request and document are protected on their way; the other two are for a device that refuses the first
    #[arg(long, value_enum, default_value = "salted")]
    session: Session,
}

/// [`Protection`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Session {
    /// Encrypted, passwords kept back, every answer checked to be the TPM's
    Salted,
    /// In the clear, every answer checked
    Unsalted,
    /// In the clear, by passwords, nothing checked
    Password,
}

impl From<Session> for Protection {
    fn from(session: Session) -> Self {
        match session {
            Session::Salted => Self::Salted,
            Session::Unsalted => Self::Unsalted,
            Session::Password => Self::Password,
        }
    }
}

/// Ready to ask.
pub(super) struct Asking {
    connection: Connection,
    owner_auth: Zeroizing<Vec<u8>>,
    protection: Protection,
}

impl Asking {
    pub(super) fn new(tpm: &TpmArguments, arguments: &AskingArguments) -> Result<Self, AttesterError> {
        let owner_auth = arguments.owner_auth.as_deref().map(files::read_password).transpose()?.unwrap_or_default();
        Ok(Self { connection: tpm.connection()?, owner_auth, protection: arguments.session.into() })
    }

    pub(super) fn ask(&self, request: &DocumentRequest<'_>) -> Result<Vec<u8>, AttesterError> {
        let options = DocumentOptions {
            owner_auth: &self.owner_auth,
            protection: self.protection,
            interrupted: super::interrupted(),
        };
        request_document(&self.connection, request, &options, &SystemRandom::new())
    }
}
