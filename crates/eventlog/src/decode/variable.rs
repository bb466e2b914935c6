//! `UEFI_VARIABLE_DATA` (TCG PC Client Platform Firmware Profile 1.06, section 10.2.6).

use uguid::{Guid, guid};

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
