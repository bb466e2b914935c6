//! The command line of `nitrotpm policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::args::{BootArgs, FormatArg, TimeArg};
use crate::input::At;
use crate::references::NamedFile;

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Make a policy from images, predictions or known good event logs
    #[command(after_help = "\
Examples:
  nitrotpm policy new --name web-41 --image web.efi > web.toml
  nitrotpm policy new --name web --prediction web-41.prediction.json \\
    --prediction web-42.prediction.json > web.toml
  nitrotpm policy new --name web --event-log web-41=eventlog.bin \\
    --require quote > web.toml

What an event log shows is what one machine measured: it is as good as that machine was. Comments in the policy say \
which PCRs were left out, and why.")]
    New {
        #[command(flatten)]
        sources: ImageSources,
        #[command(flatten)]
        required: RequiredArgs,
    },
    /// Write the AWS KMS key policy that only these images satisfy
    #[command(after_help = "\
Examples:
  nitrotpm policy kms --name web-41 --image web.efi \\
    --principal arn:aws:iam::111122223333:role/Web
  nitrotpm policy kms --policy web.toml \\
    --principal arn:aws:iam::111122223333:role/Web

One statement an image. What the policy demands beside PCRs (event log, age, instances) is nothing that KMS looks at.")]
    Kms {
        /// The images of this policy that are accepted now
        #[arg(long, value_name = "FILE", conflicts_with_all = ["images", "disk", "boot_file", "predictions", "event_logs", "pcrs", "banks"])]
        policy: Option<PathBuf>,
        #[command(flatten)]
        sources: ImageSources,
        /// The ARN of the role that may use the key, or an account id: PCRs prove code, not tenant
        #[arg(long, value_name = "ARN")]
        principal: String,
        #[command(flatten)]
        time: TimeArg,
    },
    /// Accept the old policy's images beside the new one's until a time
    #[command(after_help = "\
Example:
  nitrotpm policy merge web-41.toml web-42.toml \\
    --until 2026-12-01T00:00:00Z > rollout.toml

The stricter of each requirement holds. Comments stay.")]
    Merge {
        /// The policy that ends
        old: PathBuf,
        /// The policy that stays; - is standard input
        new: PathBuf,
        /// When the old images cease to be accepted
        #[arg(long, value_name = "RFC3339")]
        until: At,
    },
    /// Say what in a policy is dangerous or useless
    #[command(after_help = "Example:\n  nitrotpm policy lint web.toml")]
    Lint {
        /// The policy; - is standard input
        file: PathBuf,
        #[command(flatten)]
        time: TimeArg,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Write reference values as others read them
    #[command(after_help = "\
Examples:
  nitrotpm policy export --format pcrlock --prediction web-41.prediction.json \\
    --out 650-web.pcrlock
  nitrotpm policy export --format corim --policy web.toml --sign-key key.pem \\
    --signer \"web team\" --out web.corim

systemd-pcrlock lists events, so it is exported from predictions or event logs, or from a policy that names references.")]
    Export(ExportArgs),
    /// Make a policy from reference values of others
    #[command(after_help = "\
Examples:
  nitrotpm policy import --format pcrlock --name web /var/lib/pcrlock.d \\
    --pcr 4 --pcr 12 > web.toml
  nitrotpm policy import --format corim --name web --trust-key signer.pem \\
    web.corim > web.toml")]
    Import(ImportArgs),
}

/// Where reference values come from.
#[derive(Debug, Args)]
pub(crate) struct ImageSources {
    #[command(flatten)]
    pub(crate) boot: BootArgs,
    /// The name of the policy, and of the image that --image gives
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// An image by its prediction (predict --format json; repeat the flag)
    #[arg(long = "prediction", value_name = "[NAME=]FILE")]
    pub(crate) predictions: Vec<NamedFile>,
    /// An image by the event log of a boot that is known to be good (repeat the flag)
    #[arg(long = "event-log", value_name = "[NAME=]FILE")]
    pub(crate) event_logs: Vec<NamedFile>,
    #[command(flatten)]
    pub(crate) chosen: ChosenPcrs,
    /// Write what proves less than it seems to
    #[arg(long)]
    pub(crate) accept_danger: bool,
}

/// Which registers identify an image.
#[derive(Debug, Args)]
pub(crate) struct ChosenPcrs {
    /// The PCRs that identify an image (repeat the flag); 4 and 12, and 7 with Secure Boot, where none is named
    #[arg(long = "pcr", value_name = "N", value_parser = clap::value_parser!(u8).range(0..24))]
    pub(crate) pcrs: Vec<u8>,
    /// The banks (repeat the flag); sha384, the one of a NitroTPM document, where none is named
    #[arg(long = "bank", value_name = "BANK")]
    pub(crate) banks: Vec<nitrotpm_pcr::Bank>,
}

#[derive(Debug, Args)]
pub(crate) struct RequiredArgs {
    /// What evidence must have (repeat the flag); a document where nothing is named
    #[arg(long = "require", value_enum, value_name = "PART")]
    pub(crate) required: Vec<Part>,
}

/// A part of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// An AWS-signed document
    Document,
    /// A TPM quote
    Quote,
    /// An event log that replays
    EventLog,
}

/// What others read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExchangeFormat {
    /// Component files of systemd-pcrlock
    Pcrlock,
    /// A Concise Reference Integrity Manifest, in CBOR
    Corim,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The format
    #[arg(long, value_enum)]
    pub(crate) format: ExchangeFormat,
    /// The images of this policy that are accepted now
    #[arg(long, value_name = "FILE", conflicts_with_all = ["images", "disk", "boot_file", "predictions", "event_logs", "pcrs", "banks"])]
    pub(crate) policy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sources: ImageSources,
    #[command(flatten)]
    pub(crate) time: TimeArg,
    /// Sign the CoRIM with this key: P-256 or P-384, PKCS #8 in PEM or DER
    #[arg(long, value_name = "FILE", requires = "signer")]
    pub(crate) sign_key: Option<PathBuf>,
    /// Who signs
    #[arg(long, value_name = "NAME", requires = "sign_key")]
    pub(crate) signer: Option<String>,
    /// Where it goes: a file, - for standard output; for pcrlock with several images a folder of variants (NNN-NAME.pcrlock.d)
    #[arg(long, value_name = "PATH")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The format
    #[arg(long, value_enum)]
    pub(crate) format: ExchangeFormat,
    /// The files; for pcrlock also folders of variants (*.pcrlock.d) and folders of components
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The policy's name
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) chosen: ChosenPcrs,
    #[command(flatten)]
    pub(crate) required: RequiredArgs,
    /// The key that the CoRIM must be signed with: a public key in PEM or DER
    #[arg(long, value_name = "FILE")]
    pub(crate) trust_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) time: TimeArg,
}
