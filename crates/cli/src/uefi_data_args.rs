//! The flags of `nitrotpm uefi-data`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::args::{Format, FormatArg};

#[derive(Debug, Subcommand)]
pub(crate) enum UefiDataCommand {
    /// Show the variables, and the certificates and digests in PK, KEK, db and dbx
    #[command(after_help = "\
Example:
  aws ec2 get-instance-uefi-data --instance-id i-… \\
    --query UefiData --output text | nitrotpm uefi-data show -")]
    Show {
        /// The blob; - is standard input
        file: PathBuf,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Say in words what differs between two blobs
    #[command(after_help = "Example:\n  nitrotpm uefi-data diff known-good.b64 today.b64")]
    Diff {
        /// The first blob
        a: PathBuf,
        /// The second blob
        b: PathBuf,
        #[command(flatten)]
        format: FormatArg,
    },
    /// Write a blob for register-image from Secure Boot keys, alone or instead of those of another blob
    #[command(after_help = "\
Example:
  nitrotpm uefi-data write --pk PK.crt --kek KEK.crt --db db.crt \\
    --owner 11111111-2222-3333-4444-555555555555 --out uefi-data.b64

Keys are EFI signature lists, .auth updates, efivarfs dumps, or certificates (with --owner).")]
    Write {
        /// Keep the other variables of this blob
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// The platform key: setting it turns Secure Boot on
        #[arg(long, value_name = "FILE")]
        pk: Option<PathBuf>,
        /// The key exchange keys
        #[arg(long, value_name = "FILE")]
        kek: Option<PathBuf>,
        /// The allowed signatures
        #[arg(long, value_name = "FILE")]
        db: Option<PathBuf>,
        /// The forbidden signatures
        #[arg(long, value_name = "FILE")]
        dbx: Option<PathBuf>,
        /// The owner GUID of keys that are given as certificates
        #[arg(long, value_name = "GUID")]
        owner: Option<nitrotpm_uefi::Guid>,
        /// Where the blob goes; - is standard output
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

impl UefiDataCommand {
    pub(crate) const fn format(&self) -> Format {
        match self {
            Self::Show { format, .. } | Self::Diff { format, .. } => format.format,
            Self::Write { .. } => Format::Text,
        }
    }
}
