//! What all structures can do.

use alloc::vec::Vec;

use crate::{Reader, WireError, Writer};

/// A structure of the TPM 2.0 Library, Part 2, with its form on the wire.
pub trait Structure: Sized {
    /// The TCG's name.
    const NAME: &'static str;

    /// Reads the structure's fields.
    ///
    /// # Errors
    /// [`WireError`] with the place where the bytes stop being this structure.
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError>;

    /// Writes the structure's fields, the same bytes that it was read from.
    fn write(&self, writer: &mut Writer);

    /// Parses the bare structure.
    ///
    /// # Errors
    /// [`WireError`]; bytes after the structure are one.
    fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes, Self::NAME);
        let value = Self::read(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    /// Parses the structure with its size in front: a `TPM2B_*`.
    ///
    /// # Errors
    /// [`WireError`] with offsets from the size's first byte; a size that is not that of the structure is one.
    fn parse_tpm2b(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes, Self::NAME);
        let inner = reader.sized(usize::from(u16::MAX))?;
        reader.finish()?;
        Self::parse(inner).map_err(|error| WireError { offset: error.offset.saturating_add(2), ..error })
    }

    /// The bare structure's bytes.
    ///
    /// # Errors
    /// [`WireError`] where a buffer is longer than its size field can state.
    fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::new(Self::NAME);
        self.write(&mut writer);
        writer.finish()
    }

    /// The structure's bytes with their size in front.
    ///
    /// # Errors
    /// [`WireError`] where a buffer, or the whole, is longer than its size field can state.
    fn to_tpm2b(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::new(Self::NAME);
        writer.sized(&self.to_bytes()?);
        writer.finish()
    }
}
