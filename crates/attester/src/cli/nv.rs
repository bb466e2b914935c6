//! `nv`, `clear`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Subcommand;
use nitrotpm_attester::{AttesterError, NvPassword, Tpm};
use zeroize::Zeroizing;

use super::look::FormatArguments;
use super::{TpmArguments, files, parse_handle};

#[derive(Debug, Subcommand)]
pub(super) enum NvCommand {
    /// List the NV indices with their sizes and attributes
    #[command(after_help = "\
Example:
  nitrotpm-attester nv list")]
    List {
        #[command(flatten)]
        format: FormatArguments,
    },
    /// Read an NV index
    #[command(after_help = "\
Example:
  nitrotpm-attester nv read 0x01c00002 --out certificate.der")]
    Read {
        /// Its handle, as in 0x01c00002
        #[arg(value_parser = parse_handle)]
        index: u32,
        #[command(flatten)]
        access: AccessArguments,
        /// Where to write what is in it ("-": standard output). Without it: hexadecimal on standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Make an NV index
    #[command(after_help = "\
Example:
  nitrotpm-attester nv define 0x01800001 --size 64")]
    Define {
        /// Its handle, as in 0x01800001
        #[arg(value_parser = parse_handle)]
        index: u32,
        /// Its size in bytes
        #[arg(long, value_name = "BYTES")]
        size: u16,
        #[command(flatten)]
        access: AccessArguments,
    },
    /// Write a file to the front of an NV index
    #[command(after_help = "\
Example:
  nitrotpm-attester nv write 0x01800001 file --yes-change-the-tpm")]
    Write {
        /// Its handle
        #[arg(value_parser = parse_handle)]
        index: u32,
        /// The file ("-": standard input)
        file: PathBuf,
        #[command(flatten)]
        access: AccessArguments,
        #[command(flatten)]
        meant: MeantArgument,
    },
    /// Remove an NV index and what is in it
    #[command(after_help = "\
Example:
  nitrotpm-attester nv undefine 0x01800001 --yes-change-the-tpm")]
    Undefine {
        /// Its handle
        #[arg(value_parser = parse_handle)]
        index: u32,
        #[command(flatten)]
        owner: OwnerArgument,
        #[command(flatten)]
        meant: MeantArgument,
    },
}

/// By whose password.
#[derive(Debug, clap::Args)]
pub(super) struct AccessArguments {
    /// File with the index's own password, if it has one ("-": standard input)
    #[arg(long, value_name = "FILE")]
    auth: Option<PathBuf>,
    #[command(flatten)]
    owner: OwnerArgument,
}

#[derive(Debug, clap::Args)]
pub(super) struct OwnerArgument {
    /// File with the password of the owner hierarchy, empty if it has none ("-": standard input)
    #[arg(long, value_name = "FILE")]
    owner_auth: Option<PathBuf>,
}

/// What cannot be taken back is asked for by name.
#[derive(Debug, clap::Args)]
pub(super) struct MeantArgument {
    /// Needed: what was there before is lost
    #[arg(long, required = true)]
    yes_change_the_tpm: bool,
}

impl OwnerArgument {
    pub(super) fn set(&self, tpm: &mut Tpm) -> Result<(), AttesterError> {
        match &self.owner_auth {
            Some(path) => tpm.set_owner_auth(&files::read_password(path)?),
            None => Ok(()),
        }
    }
}

impl AccessArguments {
    fn index_password(&self) -> Result<Zeroizing<Vec<u8>>, AttesterError> {
        Ok(self.auth.as_deref().map(files::read_password).transpose()?.unwrap_or_default())
    }

    /// The owner's password where it was given and the index's was not.
    fn password<'a>(&self, of_index: &'a [u8]) -> NvPassword<'a> {
        if self.owner.owner_auth.is_some() && self.auth.is_none() {
            NvPassword::Owner
        } else {
            NvPassword::Index(of_index)
        }
    }
}

impl NvCommand {
    pub(super) fn run(self, tpm: &TpmArguments) -> Result<String, AttesterError> {
        match self {
            Self::List { format } => {
                let indices = tpm.open()?.nv_indices()?;
                format.print(&indices, |indices| {
                    indices.iter().fold(String::new(), |mut text, index| {
                        let attributes = index.attributes.join(" ");
                        let _ = writeln!(
                            text,
                            "{:#010x} {:>5} bytes  {} {attributes}",
                            index.handle, index.size, index.name_algorithm
                        );
                        text
                    })
                })
            }
            Self::Read { index, access, out } => {
                let password = access.index_password()?;
                let mut tpm = tpm.open()?;
                access.owner.set(&mut tpm)?;
                let data = tpm.nv_read(index, access.password(&password))?;
                match out {
                    Some(path) => files::write_secret(&path, &data).map(|()| String::new()),
                    None => Ok(format!("{}\n", hex::encode(data))),
                }
            }
            Self::Define { index, size, access } => {
                let password = access.index_password()?;
                let mut tpm = tpm.open()?;
                access.owner.set(&mut tpm)?;
                tpm.nv_define(index, size, &password).map(|()| String::new())
            }
            Self::Write { index, file, access, meant: _ } => {
                let (data, password) = (files::read(&file)?, access.index_password()?);
                let mut tpm = tpm.open()?;
                access.owner.set(&mut tpm)?;
                tpm.nv_write(index, access.password(&password), &data).map(|()| String::new())
            }
            Self::Undefine { index, owner, meant: _ } => {
                let mut tpm = tpm.open()?;
                owner.set(&mut tpm)?;
                tpm.nv_undefine(index).map(|()| String::new())
            }
        }
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct ClearArguments {
    /// Needed: every key of this TPM becomes useless, attestation keys and what is sealed too; the owner's NV indices and
    /// persistent keys are removed, passwords become empty
    #[arg(long, required = true)]
    yes_clear_the_tpm: bool,
    /// File with the password of the lockout hierarchy, if it has one ("-": standard input)
    #[arg(long, value_name = "FILE")]
    lockout_auth: Option<PathBuf>,
}

impl ClearArguments {
    pub(super) fn run(self, tpm: &TpmArguments) -> Result<String, AttesterError> {
        let password = self.lockout_auth.as_deref().map(files::read_password).transpose()?.unwrap_or_default();
        tpm.open()?.clear(&password).map(|()| String::new())
    }
}
