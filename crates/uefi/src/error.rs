//! What can be wrong with a UEFI structure.

use alloc::string::String;

/// Why bytes are not the UEFI structure they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UefiError {
    /// The bytes end inside a structure.
    #[error(
        "{structure}: at offset {offset} {needed} bytes are needed and {left} are left; the file is cut or a length in it is wrong"
    )]
    Truncated {
        /// The structure.
        structure: &'static str,
        /// Where in it.
        offset: usize,
        /// How many bytes were to come.
        needed: usize,
        /// How many came.
        left: usize,
    },
    /// Sizes of a signature list that contradict each other.
    #[error("signature list at offset {offset}: {what}; write the list again with the tool that made it")]
    ListSizes {
        /// Where the list begins.
        offset: usize,
        /// The contradiction.
        what: &'static str,
    },
    /// A file that is none of the forms in which a signature variable is kept.
    #[error(
        "the file is no signature variable: {what}; expected is an EFI signature list, an .auth update, an efivarfs \
         dump, or a certificate in DER or PEM"
    )]
    UnknownForm {
        /// What speaks against the nearest form.
        what: &'static str,
    },
    /// A certificate without an owner.
    #[error(
        "a bare certificate becomes a list entry only with its owner's GUID, which is measured with it; name the owner"
    )]
    OwnerMissing,
    /// A certificate that is not one DER value.
    #[error("the certificate is not one DER SEQUENCE of {length} bytes; export it again")]
    Certificate {
        /// How many bytes there are.
        length: usize,
    },
    /// Text that is not Base64, or PEM blocks that do not end.
    #[error("{what} is not Base64; copy the whole text again")]
    Base64 {
        /// The text.
        what: &'static str,
    },
    /// The blob does not begin with `AMZNUEFI`.
    #[error("uefi-data: the blob does not begin with AMZNUEFI; give what `aws ec2 get-instance-uefi-data` returned")]
    UefiDataMagic,
    /// The checksum does not fit.
    #[error(
        "uefi-data: the checksum is {found:#010x} and the content's is {computed:#010x}; the text was not copied as a whole"
    )]
    UefiDataChecksum {
        /// The checksum in the blob.
        found: u32,
        /// The checksum of its content.
        computed: u32,
    },
    /// A version that is not 0.
    #[error("uefi-data: version {version} is not known, only 0 is; update this program")]
    UefiDataVersion {
        /// The version.
        version: u32,
    },
    /// The compressed part cannot be expanded.
    #[error("uefi-data: the compressed part {what}; the blob is damaged")]
    UefiDataCompression {
        /// What was wrong.
        what: &'static str,
    },
    /// The content would be larger than any instance's variables.
    #[error("uefi-data: the content expands to more than {limit} bytes, which no instance's variables have")]
    UefiDataTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A name that is not UTF-8.
    #[error("uefi-data: the name of variable {index} is not UTF-8")]
    VariableName {
        /// Which variable, from 0.
        index: usize,
    },
    /// A variable that stands twice.
    #[error("uefi-data: variable {vendor}-{} is there twice; remove one", name.escape_debug())]
    DuplicateVariable {
        /// The variable's name.
        name: String,
        /// Its vendor.
        vendor: uguid::Guid,
    },
    /// Bytes after the end.
    #[error("{structure}: {left} bytes follow the end at offset {offset}")]
    Trailing {
        /// The structure.
        structure: &'static str,
        /// Where it ended.
        offset: usize,
        /// How many bytes follow.
        left: usize,
    },
}

impl UefiError {
    /// Every code that [`UefiError::code`] can return.
    pub const CODES: &'static [&'static str] = &[
        "uefi.truncated",
        "uefi.list-sizes",
        "uefi.form",
        "uefi.owner-missing",
        "uefi.certificate",
        "uefi.base64",
        "uefi-data.magic",
        "uefi-data.checksum",
        "uefi-data.version",
        "uefi-data.compression",
        "uefi-data.too-large",
        "uefi-data.name",
        "uefi-data.duplicate",
        "uefi.trailing",
    ];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "uefi.truncated",
            Self::ListSizes { .. } => "uefi.list-sizes",
            Self::UnknownForm { .. } => "uefi.form",
            Self::OwnerMissing => "uefi.owner-missing",
            Self::Certificate { .. } => "uefi.certificate",
            Self::Base64 { .. } => "uefi.base64",
            Self::UefiDataMagic => "uefi-data.magic",
            Self::UefiDataChecksum { .. } => "uefi-data.checksum",
            Self::UefiDataVersion { .. } => "uefi-data.version",
            Self::UefiDataCompression { .. } => "uefi-data.compression",
            Self::UefiDataTooLarge { .. } => "uefi-data.too-large",
            Self::VariableName { .. } => "uefi-data.name",
            Self::DuplicateVariable { .. } => "uefi-data.duplicate",
            Self::Trailing { .. } => "uefi.trailing",
        }
    }
}
