//! `UEFI_IMAGE_LOAD_EVENT` (TCG PC Client Platform Firmware Profile 1.06, section 10.2.3).

use super::device_path::DevicePath;
use crate::LogError;
use crate::reader::Reader;

/// A UEFI image that was loaded. None of this is covered by the event's digest, which is that of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageLoad<'a> {
    /// Where in memory the image was loaded.
    pub location: u64,
    /// Its length in memory, in bytes.
    pub length: u64,
    /// The address it was linked for.
    pub link_time_address: u64,
    /// Where it came from: a UEFI device path.
    pub device_path: &'a [u8],
    /// Bytes that follow and belong to nothing: none by the specification; shim leaves eight or nine.
    pub trailing: &'a [u8],
}

impl<'a> ImageLoad<'a> {
    /// The device path.
    ///
    /// # Errors
    /// [`LogError`] with the offset in the path.
    pub fn path(&self) -> Result<DevicePath<'a>, LogError> {
        DevicePath::parse(self.device_path)
    }

    /// Reads the data of an event that stands at `offset` of the log.
    pub(crate) fn parse(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        let mut reader = Reader::new(data, offset, "UEFI_IMAGE_LOAD_EVENT");
        let (location, length, link_time_address) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let path_length = reader.u64()?;
        reader.enter("the device path in UEFI_IMAGE_LOAD_EVENT");
        let device_path = reader.take(path_length)?;
        Ok(Self { location, length, link_time_address, device_path, trailing: reader.rest() })
    }
}
