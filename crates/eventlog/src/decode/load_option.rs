//! `EFI_LOAD_OPTION` (UEFI 2.10, section 3.1.3): what a variable `Boot####` holds.

use super::device_path::DevicePath;
use crate::LogError;
use crate::reader::Reader;
use crate::text::Text;

/// A boot option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadOption<'a> {
    /// Bit 0: active. Bit 3: hidden.
    pub attributes: u32,
    /// What a person reads in the firmware's menu.
    pub description: Text<'a>,
    /// What is loaded; several paths may follow each other.
    pub path: DevicePath<'a>,
    /// What the image is given.
    pub optional_data: &'a [u8],
}

impl<'a> LoadOption<'a> {
    /// Reads the contents of a variable `Boot####`.
    ///
    /// # Errors
    /// [`LogError`] with the offset in `data`.
    pub fn parse(data: &'a [u8]) -> Result<Self, LogError> {
        Self::parse_at(data, 0)
    }

    pub(crate) fn parse_at(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        let mut reader = Reader::new(data, offset, "EFI_LOAD_OPTION");
        let (attributes, path_length) = (reader.u32()?, reader.u16()?);
        reader.enter("the description in EFI_LOAD_OPTION");
        let begin = reader.rest();
        let mut characters = 0_usize;
        while reader.u16()? != 0 {
            characters = characters.saturating_add(1);
        }
        let description = begin.get(..characters.saturating_mul(2)).unwrap_or_default();
        reader.enter("the device path in EFI_LOAD_OPTION");
        let path_offset = reader.offset();
        let path = DevicePath::parse_at(reader.take(path_length.into())?, path_offset)?;
        Ok(Self { attributes, description: Text::utf16(description), path, optional_data: reader.rest() })
    }
}
