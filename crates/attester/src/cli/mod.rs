//! The command line.

mod document;
mod enrol;
mod evidence;
mod files;
mod keys;
mod look;
mod nv;
mod recipient;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use clap::{Parser, Subcommand, ValueEnum};
use nitrotpm_attester::{AttesterError, Connection, KeyAlgorithm, Tpm};
use nitrotpm_credential::EndorsementTemplate;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Makes evidence on an instance: keys, quotes, NitroTPM documents, enrolment.
#[derive(Debug, Parser)]
#[command(name = "nitrotpm-attester", version, about)]
pub(crate) struct Arguments {
    #[command(flatten)]
    tpm: TpmArguments,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct TpmArguments {
    /// The TPM, as libtss2 names it: device:/dev/tpmrm0, swtpm:host=127.0.0.1,port=2321. Without it: this machine's
    #[arg(long, env = "TCTI", global = true, value_name = "CONF")]
    tcti: Option<String>,
    /// File with the password of the endorsement hierarchy, if it has one ("-": standard input)
    #[arg(long, global = true, value_name = "FILE")]
    endorsement_auth: Option<PathBuf>,
}

impl TpmArguments {
    fn connection(&self) -> Result<Connection, AttesterError> {
        self.tcti.as_deref().map_or_else(|| Ok(Connection::of_this_machine()), str::parse)
    }

    fn open(&self) -> Result<Tpm, AttesterError> {
        // From here on there may be something in the TPM.
        interrupted();
        let mut tpm = Tpm::open(&self.connection()?)?;
        if let Some(path) = &self.endorsement_auth {
            tpm.set_endorsement_auth(&files::read_password(path)?)?;
        }
        Ok(tpm)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make and show attestation keys
    #[command(subcommand)]
    Key(keys::KeyCommand),
    /// Sign PCRs with a nonce
    Quote(evidence::QuoteArguments),
    /// Ask NitroTPM for an attestation document
    Document(document::DocumentArguments),
    /// Collect document, quote, keys, PCRs and logs in one evidence file
    Collect(evidence::CollectArguments),
    /// Have an attestation key enrolled
    #[command(subcommand)]
    Enrol(enrol::EnrolCommand),
    /// Make an RSA key to which KMS encrypts
    RecipientKey(recipient::KeyArguments),
    /// Open what KMS encrypted to the recipient of an attestation document (CiphertextForRecipient)
    DecryptRecipient(recipient::DecryptArguments),
    /// Read, extend and measure into PCRs
    #[command(subcommand)]
    Pcr(look::PcrCommand),
    /// Look at NV indices, make and remove them
    #[command(subcommand)]
    Nv(nv::NvCommand),
    /// Clear the TPM
    Clear(nv::ClearArguments),
    /// Show what the TPM is and can do
    Capabilities(look::FormatArguments),
    /// Print random bytes of the TPM in hexadecimal
    Random {
        /// How many
        #[arg(value_parser = clap::value_parser!(u16).range(1..=4096))]
        count: u16,
    },
}

/// Set by the first signal to end, which ends nothing at once: what is in the TPM would stay there. The second ends the
/// program, for who does not want to wait.
fn interrupted() -> &'static AtomicBool {
    static FLAG: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Where this fails, the first signal ends the program.
            let _ = signal_hook::flag::register_conditional_default(signal, Arc::clone(&flag));
            let _ = signal_hook::flag::register(signal, Arc::clone(&flag));
        }
        flag
    });
    &FLAG
}

fn not_interrupted() -> Result<(), AttesterError> {
    if interrupted().load(Ordering::Relaxed) { Err(AttesterError::Interrupted) } else { Ok(()) }
}

impl Arguments {
    /// Does what was asked; the answer is what goes to standard output.
    pub(crate) fn run(self) -> Result<String, AttesterError> {
        let Self { tpm, command } = self;
        let output = command.run(&tpm)?;
        not_interrupted()?;
        Ok(output)
    }
}

impl Command {
    fn run(self, tpm: &TpmArguments) -> Result<String, AttesterError> {
        match self {
            Self::Key(command) => command.run(tpm),
            Self::Quote(arguments) => arguments.run(tpm),
            Self::Document(arguments) => arguments.run(tpm),
            Self::RecipientKey(arguments) => arguments.run(),
            Self::DecryptRecipient(arguments) => arguments.run(),
            Self::Collect(arguments) => arguments.run(tpm),
            Self::Enrol(command) => command.run(tpm),
            Self::Pcr(command) => command.run(tpm),
            Self::Nv(command) => command.run(tpm),
            Self::Clear(arguments) => arguments.run(tpm),
            Self::Capabilities(arguments) => look::capabilities(tpm, &arguments),
            Self::Random { count } => Ok(format!("{}\n", hex::encode(tpm.open()?.random(count.into())?))),
        }
    }
}

fn parse_handle(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0x").ok_or("a handle is written in hexadecimal, as in 0x81010001")?;
    u32::from_str_radix(digits, 16).map_err(|_| "a handle is written in hexadecimal, as in 0x81010001".to_owned())
}

/// [`KeyAlgorithm`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Algorithm {
    /// RSA-2048, RSASSA-PKCS1-v1_5 with SHA-256
    Rsa2048,
    /// RSA-2048, RSASSA-PSS with SHA-256
    #[value(name = "rsa2048-pss")]
    Rsa2048Pss,
    /// ECDSA on P-256 with SHA-256
    P256,
    /// ECDSA on P-384 with SHA-384
    P384,
}

impl From<Algorithm> for KeyAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rsa2048 => Self::Rsa2048,
            Algorithm::Rsa2048Pss => Self::Rsa2048Pss,
            Algorithm::P256 => Self::P256,
            Algorithm::P384 => Self::P384,
        }
    }
}

/// [`EndorsementTemplate`] on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum EndorsementKeyType {
    /// RSA-2048, in EC2's API rsa-2048
    Rsa2048,
    /// P-256
    P256,
    /// P-384, in EC2's API ecc-sec-p384
    P384,
}

impl From<EndorsementKeyType> for EndorsementTemplate {
    fn from(key: EndorsementKeyType) -> Self {
        match key {
            EndorsementKeyType::Rsa2048 => Self::Rsa2048,
            EndorsementKeyType::P256 => Self::P256,
            EndorsementKeyType::P384 => Self::P384,
        }
    }
}
