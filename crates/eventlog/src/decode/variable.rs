//! `UEFI_VARIABLE_DATA` (TCG PC Client Platform Firmware Profile 1.06, section 10.2.6).

use uguid::{Guid, guid};

use super::load_option::LoadOption;
use super::signature_list::{SignatureEntry, SignatureLists, SignatureType};
use crate::LogError;
use crate::reader::Reader;
use crate::text::Text;

/// `EFI_GLOBAL_VARIABLE`: SecureBoot, PK, KEK, boot options.
pub(crate) const GLOBAL_VARIABLE: Guid = guid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`: db, dbx, dbt, dbr.
pub(crate) const IMAGE_SECURITY_DATABASE: Guid = guid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f");
/// shim's own variables.
pub(crate) const SHIM_LOCK: Guid = guid!("605dab50-e046-4300-abb6-3dd810dd8b23");

/// A UEFI variable as it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UefiVariable<'a> {
    /// The namespace of the name.
    pub guid: Guid,
    /// The name: UCS-2 without a terminating NUL.
    pub name: Text<'a>,
    /// The contents.
    pub data: &'a [u8],
    /// Bytes that follow and belong to nothing: none by the specification; shim measures up to eight, left over from
    /// the alignment of the structure in C.
    pub trailing: &'a [u8],
}

impl<'a> UefiVariable<'a> {
    /// Whether it is the variable of this namespace and name.
    #[must_use]
    pub fn is(&self, guid: Guid, name: &str) -> bool {
        self.guid == guid && self.name.is(name)
    }

    /// What the contents of a whole variable are, by its name. An authority event has one entry of a variable instead:
    /// see [`UefiVariable::authority_entry`].
    ///
    /// # Errors
    /// [`LogError`] with the offset in the contents, where they are not of the shape that the name prescribes.
    pub fn contents(&self) -> Result<VariableContents<'a>, LogError> {
        let lists = [
            (GLOBAL_VARIABLE, "PK"),
            (GLOBAL_VARIABLE, "KEK"),
            (IMAGE_SECURITY_DATABASE, "db"),
            (IMAGE_SECURITY_DATABASE, "dbx"),
            (IMAGE_SECURITY_DATABASE, "dbt"),
            (IMAGE_SECURITY_DATABASE, "dbr"),
            (SHIM_LOCK, "MokList"),
            (SHIM_LOCK, "MokListRT"),
            (SHIM_LOCK, "MokListX"),
            (SHIM_LOCK, "MokListXRT"),
        ];
        let flags = ["SecureBoot", "SetupMode", "AuditMode", "DeployedMode", "VendorKeys"];
        if lists.iter().any(|(guid, name)| self.is(*guid, name)) {
            return SignatureLists::parse(self.data).map(VariableContents::SignatureLists);
        }
        if self.guid == SHIM_LOCK && self.name.is("SbatLevel") {
            return Ok(VariableContents::Text(Text::utf8(crate::text::without_nul(self.data))));
        }
        if self.guid != GLOBAL_VARIABLE {
            return Ok(VariableContents::Raw(self.data));
        }
        match self.data {
            [flag] if flags.iter().any(|name| self.name.is(name)) => Ok(VariableContents::Flag(*flag)),
            _ if self.name.is("BootOrder") => match self.data.as_chunks::<2>() {
                (order, []) => Ok(VariableContents::BootOrder(order)),
                _ => Err(LogError::Malformed {
                    structure: "the variable BootOrder",
                    offset: 0,
                    problem: "its length is odd",
                }),
            },
            _ if self.is_boot_option() => LoadOption::parse(self.data).map(VariableContents::LoadOption),
            _ => Ok(VariableContents::Raw(self.data)),
        }
    }

    /// Whether the name is `Boot` and four hexadecimal digits.
    fn is_boot_option(&self) -> bool {
        let mut characters = self.name.chars();
        let boot = "Boot".chars().all(|character| characters.next() == Some(character));
        let mut digits = 0_u32;
        boot && characters.all(|character| {
            digits = digits.saturating_add(1);
            character.is_ascii_hexdigit()
        }) && digits == 4
    }

    /// The contents as an authority event has them: one entry of db, the owner before it. Old versions of shim leave
    /// the owner out: whatever is a certificate then has the type of one and a nil owner.
    #[must_use]
    pub fn authority_entry(&self) -> Option<SignatureEntry<'a>> {
        let certificate = |owner, data: &'a [u8]| SignatureEntry { kind: SignatureType::X509, owner, data };
        // A certificate is a DER sequence with a length of two bytes.
        match self.data {
            [0x30, 0x82, ..] => Some(certificate(Guid::ZERO, self.data)),
            _ => match self.data.split_first_chunk::<16>() {
                Some((owner, data @ [0x30, 0x82, ..])) => Some(certificate(Guid::from_bytes(*owner), data)),
                Some((owner, data)) if data.len() == 32 => {
                    Some(SignatureEntry { kind: SignatureType::SHA256, owner: Guid::from_bytes(*owner), data })
                }
                _ => None,
            },
        }
    }

    /// Reads the data of an event that stands at `offset` of the log.
    pub(crate) fn parse(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        let mut reader = Reader::new(data, offset, "UEFI_VARIABLE_DATA");
        let guid = Guid::from_bytes(reader.array()?);
        let (name_characters, data_length) = (reader.u64()?, reader.u64()?);
        reader.enter("the name in UEFI_VARIABLE_DATA");
        // A count near the end of u64 must stay too large: the reader refuses what is not there.
        let name = Text::utf16(reader.take(name_characters.saturating_mul(2))?);
        reader.enter("the contents in UEFI_VARIABLE_DATA");
        let data = reader.take(data_length)?;
        Ok(Self { guid, name, data, trailing: reader.rest() })
    }
}

/// The contents of a variable, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VariableContents<'a> {
    /// PK, KEK, db, dbx, shim's lists.
    SignatureLists(SignatureLists<'a>),
    /// `Boot####`.
    LoadOption(LoadOption<'a>),
    /// `BootOrder`: numbers of boot options, little endian.
    BootOrder(&'a [[u8; 2]]),
    /// SecureBoot, SetupMode, …: one byte.
    Flag(u8),
    /// shim's `SbatLevel`.
    Text(Text<'a>),
    /// Anything else.
    Raw(&'a [u8]),
}
