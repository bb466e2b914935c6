//! The command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use nitrotpm_credential::InstanceId;
use nitrotpm_freshness::NonceExpectation;

pub(crate) use crate::boot_args::BootArgs;
use crate::exit::Failure;
use crate::input::{At, NonceHex, PcrList, TypeName};
pub(crate) use crate::policy_args::PolicyCommand;
use crate::references::{NamedFile, ReferenceFiles};

/// Verifies, inspects and explains what a NitroTPM instance says about its boot.
#[derive(Debug, Parser)]
#[command(name = "nitrotpm", version, propagate_version = true, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Colours in text; auto is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value_t)]
    pub(crate) color: clap::ColorChoice,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  affirmed, or done
  1  refused: the evidence is authentic and does not satisfy the policy
  2  wrong usage: flags, or a policy that cannot be read or demands nothing
  3  evidence invalid: malformed, not authentic, untrusted key, stale, wrong nonce, not replaying
  4  the environment failed: a file, a disk, a stream

--version --verbose says which commit this is, and which instruction sets and signature libraries are used here.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verify evidence against a policy and say why it passed or failed
    #[command(after_help = "\
Examples:
  nitrotpm verify evidence.json --policy web.toml --nonce 8f4e…
  nitrotpm verify *.json --policy web.toml --no-nonce --format json \\
    --at 2026-02-03T11:00:00Z
  nitrotpm verify evidence.json --policy web.toml --nonce 8f4e… \\
    --reference web-42.prediction.json --superseded web-41.prediction.json

A document is trusted by its chain to AWS's root. A quote is trusted where its key is given with --trust-ak or \
--enrolment, or where the document of the same evidence carries the key and has the same PCRs.

Exit codes: 0 affirmed, 1 refused, 2 wrong usage, 3 evidence invalid, 4 a file or stream failed; of several files the \
worst.")]
    Verify(VerifyArgs),
    /// NitroTPM attestation documents
    #[command(subcommand)]
    Document(DocumentCommand),
    /// TCG event logs
    #[command(subcommand, name = "eventlog")]
    EventLog(EventLogCommand),
    /// TPM quotes
    #[command(subcommand)]
    Quote(QuoteCommand),
    /// Evidence bundles
    #[command(subcommand)]
    Evidence(EvidenceCommand),
    /// Enrol attestation keys: the verifier's side, without a TPM
    #[command(
        subcommand,
        after_help = "\
The instance asks with `nitrotpm-attester enrol request` and answers with `nitrotpm-attester enrol activate`."
    )]
    Enrol(EnrolCommand),
    /// Predict the PCRs of a boot from the files of its image
    #[command(after_help = "\
Examples:
  nitrotpm predict --image web.efi
  nitrotpm predict --image web.efi --uefi-data vars.b64 --format json
  nitrotpm predict --image systemd-bootx64.efi --image web.efi \\
    --pk PK.esl --kek KEK.esl --db db.esl --dbx dbx.esl
  nitrotpm predict --disk web.raw --bank sha256 --bank sha384
  nitrotpm predict --boot shim-grub.toml --event-log expected.bin

Images are given in the order in which they are loaded; a kernel inside a unified kernel image is not given. A PCR that \
cannot be known is named with the reason; none is guessed.")]
    Predict(PredictArgs),
    /// Say in words why a boot differs from what was expected
    #[command(after_help = "\
Examples:
  nitrotpm explain --event-log eventlog.bin --expect known-good-eventlog.bin
  nitrotpm explain --event-log eventlog.bin --expect prediction.json")]
    Explain {
        /// The boot's event log; - is standard input
        #[arg(long, value_name = "FILE")]
        event_log: PathBuf,
        /// A known good event log, a prediction (predict --format json), or PCRs: {"sha384": {"4": "HEX"}}
        #[arg(long, value_name = "[NAME=]FILE")]
        expect: NamedFile,
        #[command(flatten)]
        known: ReferenceFiles,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Appraisal policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// EC2's uefi-data: an instance's UEFI variables, Secure Boot keys among them
    #[command(subcommand, name = "uefi-data")]
    UefiData(crate::uefi_data_args::UefiDataCommand),
    /// Print a shell's completion script
    #[command(after_help = "Example:\n  nitrotpm completions bash > /etc/bash_completion.d/nitrotpm")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    #[command(after_help = "Example:\n  nitrotpm man /usr/local/share/man/man1")]
    Man {
        /// The folder; made if it is not there
        dir: PathBuf,
    },
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person
    #[default]
    Text,
    /// One JSON document
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct FormatArg {
    /// For a person, or one JSON document for a script
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct NonceArgs {
    /// The nonce that was sent, in hexadecimal; the evidence must carry exactly this one
    #[arg(long, value_name = "HEX", conflicts_with = "no_nonce")]
    pub(crate) nonce: Option<NonceHex>,
    /// Do not check a nonce: the result then says that freshness was not checked
    #[arg(long)]
    pub(crate) no_nonce: bool,
}

impl NonceArgs {
    /// The expectation, where the caller made a choice.
    pub(crate) fn expectation(&self) -> Option<NonceExpectation<'_>> {
        match (&self.nonce, self.no_nonce) {
            (Some(NonceHex(nonce)), _) => Some(NonceExpectation::Expected(nonce)),
            (None, true) => Some(NonceExpectation::NotChecked),
            (None, false) => None,
        }
    }

    /// The expectation for a quote, which nothing but its nonce makes fresh.
    pub(crate) fn for_quote(&self) -> Result<NonceExpectation<'_>, Failure> {
        self.expectation().ok_or_else(|| {
            Failure::usage(
                "usage.nonce",
                "a quote is fresh only by its nonce: give the one you sent with --nonce HEX, or choose --no-nonce",
            )
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct TimeArg {
    /// Judge as of this time instead of now, for a verdict that anyone can repeat
    #[arg(long, value_name = "RFC3339")]
    pub(crate) at: Option<At>,
}

#[derive(Debug, Args)]
pub(crate) struct RootArgs {
    /// Trust documents whose chain ends in this certificate (PEM or DER), instead of AWS's root (may be repeated)
    #[arg(long = "trust-root", value_name = "FILE")]
    pub(crate) trust_roots: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Evidence bundles; - is standard input
    #[arg(required = true)]
    pub(crate) evidence: Vec<PathBuf>,
    /// The appraisal policy
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    #[command(flatten)]
    pub(crate) nonce: NonceArgs,
    #[command(flatten)]
    pub(crate) time: TimeArg,
    #[command(flatten)]
    pub(crate) roots: RootArgs,
    /// Trust quotes by this attestation key: PEM, DER, TPM2B_PUBLIC or TPMT_PUBLIC (may be repeated)
    #[arg(long = "trust-ak", value_name = "FILE")]
    pub(crate) trust_aks: Vec<PathBuf>,
    /// Trust quotes by the attestation key of this enrolment record (may be repeated)
    #[arg(long = "enrolment", value_name = "FILE")]
    pub(crate) enrolments: Vec<PathBuf>,
    /// Demand that IMA measured no other files than these: what `sha256sum FILE...` prints, paths as IMA has them
    #[arg(long, value_name = "FILE")]
    pub(crate) ima_allow_list: Option<PathBuf>,
    /// Rely on the SHA-1 bank, and on signatures over SHA-1
    #[arg(long)]
    pub(crate) allow_sha1: bool,
    #[command(flatten)]
    pub(crate) known: ReferenceFiles,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DocumentCommand {
    /// Show a document's fields without verifying it
    #[command(after_help = "Example:\n  nitrotpm document show document.cbor")]
    Show {
        /// The document: raw COSE_Sign1; - is standard input
        file: PathBuf,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Verify a document: structure, type, chain, signature, time, nonce
    #[command(after_help = "\
Example:
  nitrotpm document verify document.cbor --nonce 8f4e…
  nitrotpm document verify document.cbor --at 2026-02-03T11:00:00Z

Without --at the clock is now; a document is valid for three hours. Without --nonce its age is bounded by that alone; \
--no-nonce says that this is meant.")]
    Verify {
        /// The document: raw COSE_Sign1; - is standard input
        file: PathBuf,
        #[command(flatten)]
        nonce: NonceArgs,
        #[command(flatten)]
        time: TimeArg,
        #[command(flatten)]
        roots: RootArgs,
        #[command(flatten)]
        format: FormatArg,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum EventLogCommand {
    /// Show every event and whether its data are proven by its digest
    #[command(after_help = "\
Examples:
  nitrotpm eventlog show /sys/kernel/security/tpm0/binary_bios_measurements
  nitrotpm eventlog show eventlog.bin --pcr 4,7-9 --details
  nitrotpm eventlog show eventlog.bin --type variable --by-pcr
  nitrotpm eventlog show eventlog.bin --format html > eventlog.html

The page is one file that needs no network; what is searched and chosen in it is kept in its address, after the #. \
On a terminal lines are cut to its width; in a pipe or a file nothing is.")]
    Show(ShowArgs),
    /// Say in words what differs between two boots
    #[command(after_help = "Example:\n  nitrotpm eventlog diff known-good.bin today.bin")]
    Diff {
        /// The first log
        a: PathBuf,
        /// The second log
        b: PathBuf,
        /// For a person, one JSON document for a script, or one page for a browser
        #[arg(long, value_enum, default_value_t)]
        format: ShowFormat,
    },
    /// Compute the PCRs that logs give, and compare them
    #[command(after_help = "\
Examples:
  nitrotpm eventlog replay eventlog.bin
  nitrotpm eventlog replay eventlog.bin --pcrs pcrs.json
  nitrotpm eventlog replay /var/lib/evidence --format json > replayed.json
  find /var/lib/evidence -name '*.bin' -print0 |
    nitrotpm eventlog replay --files-from - --null

Folders are walked to their ends, sorted by name. For a folder or a list, text has one line a file and a summary; JSON \
is one array, written as it grows. A file that cannot be read or parsed is named and the others go on; the exit code is \
that of the worst: 4 a file was not read, 3 one is no log, 1 one differs from --pcrs.")]
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Logs, and folders of logs; - is standard input
    #[arg(required_unless_present = "files_from")]
    pub(crate) files: Vec<PathBuf>,
    /// Also those that this list names, one a line; - is standard input
    #[arg(long, value_name = "LIST")]
    pub(crate) files_from: Option<PathBuf>,
    /// The list's names end with zero bytes, as `find -print0` writes them
    #[arg(long, short = '0', requires = "files_from")]
    pub(crate) null: bool,
    /// Compare with these PCRs: {"sha384": {"4": "HEX"}}; every one given must be reproduced
    #[arg(long, value_name = "FILE")]
    pub(crate) pcrs: Option<PathBuf>,
    /// Also count whose data is what its digests say, whose is not, and whose cannot be told; no part of the exit code
    #[arg(long)]
    pub(crate) check_payloads: bool,
    #[command(flatten)]
    pub(crate) format: FormatArg,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The log; - is standard input
    pub(crate) file: PathBuf,
    /// Only events of these PCRs: 4, or 4,7, or 0-7 (may be repeated)
    #[arg(long = "pcr", value_name = "N[,N|N-M]")]
    pub(crate) pcr: Vec<PcrList>,
    /// Only events of the types whose names begin so, with or without EV_ and EFI_, or have this number (may be repeated)
    #[arg(long = "type", value_name = "NAME")]
    pub(crate) types: Vec<TypeName>,
    /// Group the events by PCR, each with the value that the log replays to (text)
    #[arg(long)]
    pub(crate) by_pcr: bool,
    /// Show digests and every decoded field below each event (text)
    #[arg(long)]
    pub(crate) details: bool,
    /// Compare the replayed values with these PCRs: {"sha384": {"4": "HEX"}}
    #[arg(long, value_name = "FILE")]
    pub(crate) pcrs: Option<PathBuf>,
    /// For a person, one JSON document for a script, or one page for a browser
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: ShowFormat,
}

/// How a log is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShowFormat {
    /// For a person
    #[default]
    Text,
    /// One JSON document
    Json,
    /// One page for a browser, complete in itself
    Html,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what boots").args(["images", "disk", "boot_file"]).required(true))]
pub(crate) struct PredictArgs {
    #[command(flatten)]
    pub(crate) boot: BootArgs,
    /// The banks (repeat the flag); sha384, the one of a NitroTPM document, where none is named
    #[arg(long = "bank", value_name = "BANK")]
    pub(crate) banks: Vec<nitrotpm_pcr::Bank>,
    /// Write the predicted events as a crypto-agile event log
    #[arg(long, value_name = "FILE")]
    pub(crate) event_log: Option<PathBuf>,
    /// For a person, one JSON document, or what AWS's nitro-tpm-pcr-compute prints
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: PredictFormat,
}

/// How a prediction is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PredictFormat {
    /// For a person
    #[default]
    Text,
    /// One JSON document
    Json,
    /// What AWS's tool prints: PCR 4, 7 and 12
    Aws,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuoteCommand {
    /// Verify one quote under one attestation key
    #[command(after_help = "\
Example:
  nitrotpm quote verify --attest quote.msg --signature quote.sig --ak ak.pub \\
    --nonce 8f4e… --pcrs pcrs.json

Without --pcrs the signature and the nonce are verified, and what the quote covers is shown; no PCR value is.")]
    Verify {
        /// What was signed: TPMS_ATTEST or TPM2B_ATTEST
        #[arg(long, value_name = "FILE")]
        attest: PathBuf,
        /// The signature: TPMT_SIGNATURE
        #[arg(long, value_name = "FILE")]
        signature: PathBuf,
        /// The attestation key: PEM, DER, TPM2B_PUBLIC or TPMT_PUBLIC
        #[arg(long, value_name = "FILE")]
        ak: PathBuf,
        #[command(flatten)]
        nonce: NonceArgs,
        /// The PCR values: {"sha384": {"4": "HEX"}}; every one given must be covered by the quote
        #[arg(long, value_name = "FILE")]
        pcrs: Option<PathBuf>,
        /// Rely on the SHA-1 bank, and on signatures over SHA-1
        #[arg(long)]
        allow_sha1: bool,
        #[command(flatten)]
        format: FormatArg,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Put the parts of evidence into one bundle
    #[command(after_help = "\
Example:
  nitrotpm evidence pack --attest quote.msg --signature quote.sig --ak ak.pub \\
    --pcrs pcrs.json --event-log eventlog.bin --out evidence.json

A part that no verifier will accept is packed all the same, and named on standard error.")]
    Pack(PackArgs),
    /// Show what a bundle holds, without verifying it
    #[command(after_help = "Example:\n  nitrotpm evidence show evidence.json")]
    Show {
        /// The bundle; - is standard input
        file: PathBuf,
        #[command(flatten)]
        format: FormatArg,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PackArgs {
    /// The attestation document
    #[arg(long, value_name = "FILE")]
    pub(crate) document: Option<PathBuf>,
    /// What was signed, one for each quote: TPMS_ATTEST or TPM2B_ATTEST
    #[arg(long, value_name = "FILE")]
    pub(crate) attest: Vec<PathBuf>,
    /// The signatures, in the order of --attest: TPMT_SIGNATURE
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Vec<PathBuf>,
    /// The attestation key
    #[arg(long, value_name = "FILE")]
    pub(crate) ak: Option<PathBuf>,
    /// The endorsement key
    #[arg(long, value_name = "FILE")]
    pub(crate) ek: Option<PathBuf>,
    /// The PCR values that the quotes cover: {"sha384": {"4": "HEX"}}
    #[arg(long, value_name = "FILE")]
    pub(crate) pcrs: Option<PathBuf>,
    /// The firmware's event log
    #[arg(long, value_name = "FILE")]
    pub(crate) event_log: Option<PathBuf>,
    /// The kernel's IMA list
    #[arg(long, value_name = "FILE")]
    pub(crate) ima_log: Option<PathBuf>,
    /// Where the bundle goes; - is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EnrolCommand {
    /// Challenge the TPM whose endorsement key is trusted
    #[command(after_help = "\
Example:
  aws ec2 get-instance-tpm-ek-pub --instance-id i-0123456789abcdef0 \\
    --key-type rsa-2048 --key-format der --query KeyValue --output text > ek.b64
  nitrotpm enrol challenge --request request.json --ek ek.b64 \\
    --instance-id i-0123456789abcdef0 \\
    --pending pending.json --out challenge.json")]
    Challenge(ChallengeArgs),
    /// Check the answer to a challenge and write the record for `verify --enrolment`
    #[command(after_help = "\
Example:
  nitrotpm enrol complete --pending pending.json --answer answer.json \\
    --out record.json")]
    Complete(CompleteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ChallengeArgs {
    /// The instance's request; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) request: PathBuf,
    /// The endorsement key from a source that is trusted, such as EC2's API, never from the instance: PEM, DER,
    /// TPM2B_PUBLIC or TPMT_PUBLIC, or base64 of them
    #[arg(long, value_name = "FILE")]
    pub(crate) ek: PathBuf,
    /// The instance that the trusted source named
    #[arg(long, value_name = "ID")]
    pub(crate) instance_id: Option<InstanceId>,
    /// Where to keep what is needed to complete; the file must not exist, and is used once
    #[arg(long, value_name = "FILE")]
    pub(crate) pending: PathBuf,
    /// Where to write the challenge, for the instance
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    /// What was kept; it is removed, whether the answer is right or wrong
    #[arg(long, value_name = "FILE")]
    pub(crate) pending: PathBuf,
    /// The instance's answer; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) answer: PathBuf,
    /// Where to write the record; the file must not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}
