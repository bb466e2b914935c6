//! The command line.

mod document;
mod enrol;
mod evidence;
mod files;
mod keys;
mod look;
mod nv;
mod recipient;

pub(crate) use files::print;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use clap::{Parser, Subcommand, ValueEnum};
use nitrotpm_attester::{AttesterError, Connection, KeyAlgorithm, Tpm};
use nitrotpm_credential::EndorsementTemplate;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  2  wrong usage
  3  a file or an answer is invalid, or does not belong here
  4  the environment failed: the TPM, a file, the system";

/// Makes evidence on an instance: keys, quotes, NitroTPM documents, enrolment.
#[derive(Debug, Parser)]
#[command(name = "nitrotpm-attester", version, about, arg_required_else_help = true, after_help = EXIT_CODES)]
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
    #[command(after_help = "\
Example:
  nitrotpm-attester quote --key ak.json --nonce 8f4e… --attest quote.msg \\
    --signature quote.sig")]
    Quote(evidence::QuoteArguments),
    /// Ask NitroTPM for an attestation document
    #[command(after_help = "\
Examples:
  nitrotpm-attester document --out document.cbor
  nitrotpm-attester document --nonce nonce.bin --public-key recipient.der \\
    --out document.cbor")]
    Document(document::DocumentArguments),
    /// Collect document, quote, keys, PCRs and logs in one evidence file
    #[command(after_help = "\
Examples:
  nitrotpm-attester collect --nonce 8f4e… --out evidence.json
  nitrotpm-attester collect --no-document --key ak.json --nonce 8f4e… \\
    --out evidence.json

The verifier reads it with `nitrotpm verify evidence.json --policy FILE --nonce 8f4e…`.")]
    Collect(evidence::CollectArguments),
    /// Have an attestation key enrolled
    #[command(
        subcommand,
        after_help = "\
The verifier challenges with `nitrotpm enrol challenge` and ends with `nitrotpm enrol complete`."
    )]
    Enrol(enrol::EnrolCommand),
    /// Make an RSA key to which KMS encrypts
    #[command(after_help = "\
Example:
  nitrotpm-attester recipient-key --out recipient.pem --public recipient.der")]
    RecipientKey(recipient::KeyArguments),
    /// Open what KMS encrypted to the recipient of an attestation document (CiphertextForRecipient)
    #[command(after_help = "\
Example:
  aws kms decrypt … --query CiphertextForRecipient --output text |
    nitrotpm-attester decrypt-recipient --key recipient.pem --out secret")]
    DecryptRecipient(recipient::DecryptArguments),
    /// Read, extend and measure into PCRs
    #[command(subcommand)]
    Pcr(look::PcrCommand),
    /// Look at NV indices, make and remove them
    #[command(subcommand)]
    Nv(nv::NvCommand),
    /// Clear the TPM
    #[command(after_help = "\
Example:
  nitrotpm-attester clear --yes-clear-the-tpm")]
    Clear(nv::ClearArguments),
    /// Show what the TPM is and can do
    #[command(after_help = "\
Example:
  nitrotpm-attester capabilities --format json")]
    Capabilities(look::FormatArguments),
    /// Print random bytes of the TPM in hexadecimal
    #[command(after_help = "\
Example:
  nitrotpm-attester random 32")]
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    fn leaves(command: &clap::Command, name: &str, found: &mut Vec<(String, clap::Command)>) {
        for sub in command.get_subcommands() {
            leaves(sub, &format!("{name} {}", sub.get_name()), found);
        }
        if !command.has_subcommands() {
            found.push((name.to_owned(), command.clone()));
        }
    }

    /// Each example is one that the command takes: flags that are renamed must be renamed there.
    #[test]
    fn every_command_teaches_with_an_example_that_it_understands() {
        let mut found = Vec::new();
        leaves(&Arguments::command(), "nitrotpm-attester", &mut found);
        assert!(found.len() > 15, "{}", found.len());
        for (name, command) in found {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = help.replace(" \\\n", "").replace("… --query", "").replace("8f4e…", "8f4e");
            // The digests' own form is not what is looked at.
            let examples = examples.replace(":… sha384:…", &format!(":{}", "ab".repeat(32)));
            let lines: Vec<&str> = examples.lines().filter(|line| line.contains(&name)).collect();
            assert!(help.starts_with("Example") && !lines.is_empty(), "{name}: {help}");
            assert!(help.lines().all(|line| !line.starts_with("  ") || line.chars().count() <= 80), "{name}: {help}");
            for line in lines.iter().filter(|line| line.starts_with("  ")) {
                let parsed = Arguments::command().try_get_matches_from(line.split_whitespace());
                assert!(parsed.is_ok(), "{line}: {:?}", parsed.err().map(|error| error.to_string()));
            }
        }
    }
}
