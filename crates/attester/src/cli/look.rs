//! `pcr`, `capabilities`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use nitrotpm_attester::{AttesterError, all_but_sha1, parse_selection};
use nitrotpm_pcr::{Bank, Digest, PcrIndex};
use serde::Serialize;

use super::evidence::pcrs_json;
use super::{TpmArguments, files};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON document
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct FormatArguments {
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl FormatArguments {
    /// One JSON document, or what `text` makes of it.
    pub(super) fn print<T: Serialize + ?Sized>(
        &self,
        found: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<String, AttesterError> {
        match self.format {
            Format::Text => Ok(text(found)),
            Format::Json => serde_json::to_string(found)
                .map(|json| format!("{json}\n"))
                .map_err(|error| AttesterError::Malformed { document: "the answer", detail: error.to_string() }),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum PcrCommand {
    /// Print values
    #[command(after_help = "\
Example:
  nitrotpm-attester pcr read sha384:4,7,12")]
    Read {
        /// Banks and registers: sha256:0,4,7+sha384:all. Without it: all of all active banks but SHA-1
        selection: Option<String>,
        #[command(flatten)]
        format: FormatArguments,
    },
    /// Extend a register with digests that were computed elsewhere
    #[command(after_help = "\
Example:
  nitrotpm-attester pcr extend 15 sha256:… sha384:…")]
    Extend {
        /// The register
        #[arg(value_parser = parse_index)]
        index: PcrIndex,
        /// One digest for each bank: sha256:HEX. A bank that is left out is not extended and stops telling the same
        #[arg(required = true, value_parser = parse_digest)]
        digests: Vec<Digest>,
    },
    /// Extend a register in all active banks with the digests of a file
    #[command(after_help = "\
Example:
  nitrotpm-attester pcr event 15 /etc/machine-id")]
    Event {
        /// The register
        #[arg(value_parser = parse_index)]
        index: PcrIndex,
        /// The file ("-": standard input)
        file: PathBuf,
    },
}

impl PcrCommand {
    pub(super) fn run(self, tpm: &TpmArguments) -> Result<String, AttesterError> {
        match self {
            Self::Read { selection, format } => {
                let selection = selection.as_deref().map(parse_selection).transpose()?;
                let mut tpm = tpm.open()?;
                let selection = match selection {
                    Some(selection) => selection,
                    None => all_but_sha1(&mut tpm)?,
                };
                let values = tpm.read_pcrs(&selection)?.values;
                Ok(match format.format {
                    Format::Json => format!("{}\n", pcrs_json(&values)?),
                    Format::Text => values.iter().fold(String::new(), |mut text, (bank, index, value)| {
                        let _ = writeln!(text, "{:6} {:>2} {value}", bank.name(), index.get());
                        text
                    }),
                })
            }
            Self::Extend { index, digests } => {
                tpm.open()?.extend_pcr(index, &digests)?;
                Ok(String::new())
            }
            Self::Event { index, file } => {
                let data = files::read(&file)?;
                let digests = tpm.open()?.measure(index, &data)?;
                Ok(digests.iter().fold(String::new(), |mut text, digest| {
                    let _ = writeln!(text, "{}:{digest}", digest.algorithm().name());
                    text
                }))
            }
        }
    }
}

pub(super) fn capabilities(tpm: &TpmArguments, arguments: &FormatArguments) -> Result<String, AttesterError> {
    let found = tpm.open()?.capabilities()?;
    arguments.print(&found, |found| {
        let banks = found.banks.iter().map(|bank| bank.name()).collect::<Vec<_>>().join(" ");
        let document = if found.attestation_document { "listed" } else { "not listed" };
        format!(
            "manufacturer          {}\nvendor                {}\nfirmware              {}\nTPM 2.0 revision      {}\n\
             active banks          {banks}\nlargest NV index      {}\nwrong passwords       {} of {}\n\
             attestation documents {document}\n",
            found.manufacturer,
            found.vendor,
            found.firmware,
            found.revision,
            found.nv_index_max,
            found.lockout_counter,
            found.lockout_limit,
        )
    })
}

fn parse_index(text: &str) -> Result<PcrIndex, String> {
    text.parse().ok().and_then(PcrIndex::new).ok_or_else(|| "a register is a number from 0 to 23".to_owned())
}

fn parse_digest(text: &str) -> Result<Digest, String> {
    let (bank, digits) = text.split_once(':').ok_or("a digest is BANK:HEX")?;
    let bank = Bank::ALL.into_iter().find(|known| known.name() == bank).ok_or("the bank is not known")?;
    let bytes = hex::decode(digits).map_err(|_| "the digest is not hexadecimal")?;
    Digest::new(bank, &bytes).map_err(|error| error.to_string())
}
