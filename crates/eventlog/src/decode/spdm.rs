//! `TCG_DEVICE_SECURITY_EVENT_DATA` (TCG PC Client Platform Firmware Profile 1.06, section 10.2.7): what devices say of
//! their own firmware by SPDM.

use crate::LogError;
use crate::reader::Reader;

/// A measurement that a device gave, or its certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceSecurityEvent<'a> {
    /// 1 or 2.
    pub version: u16,
    /// How the device was authenticated; version 2. 0: it was; 1: it cannot be; 0xFF: it has no SPDM.
    pub authentication: Option<u8>,
    /// 1: PCI; 2: USB.
    pub device_type: u32,
    /// The UEFI device path of the device; version 2.
    pub device_path: &'a [u8],
    /// 0: measurement block; 1: certificate chain. Version 1 has measurement blocks only.
    pub content_type: u32,
    /// The measurement block or the certificate chain, with what the version puts before it.
    pub content: &'a [u8],
    /// What the device is: for PCI, vendor, device and class.
    pub device_context: &'a [u8],
}

impl<'a> DeviceSecurityEvent<'a> {
    pub(super) fn parse(data: &'a [u8], offset: usize) -> Result<Option<Self>, LogError> {
        match data.first_chunk::<16>() {
            Some(b"SPDM Device Sec\0") => Self::parse1(data, offset).map(Some),
            Some(b"SPDM Device Sec2") => Self::parse2(data, offset).map(Some),
            _ => Ok(None),
        }
    }

    fn parse1(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        let mut reader = Reader::new(data, offset, "TCG_DEVICE_SECURITY_EVENT_DATA");
        reader.take(16)?;
        let (version, length) = (reader.u16()?, reader.u16()?);
        let (_hash, device_type) = (reader.u32()?, reader.u32()?);
        // The length counts from the start of the header: signature, four fields, measurement block.
        let content = u64::from(length).checked_sub(28).ok_or(LogError::Malformed {
            structure: "TCG_DEVICE_SECURITY_EVENT_DATA",
            offset,
            problem: "its length is below that of its header",
        })?;
        let content = reader.take(content)?;
        Ok(Self {
            version,
            authentication: None,
            device_type,
            device_path: &[],
            content_type: 0,
            content,
            device_context: reader.rest(),
        })
    }

    fn parse2(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        let mut reader = Reader::new(data, offset, "TCG_DEVICE_SECURITY_EVENT_DATA2");
        reader.take(16)?;
        let (version, authentication, _reserved) = (reader.u16()?, reader.u8()?, reader.u8()?);
        let (_length, device_type) = (reader.u32()?, reader.u32()?);
        let (content_type, content_length, _uid) = (reader.u32()?, reader.u32()?, reader.u64()?);
        let path_length = reader.u64()?;
        let device_path = reader.take(path_length)?;
        let content = reader.take(content_length.into())?;
        Ok(Self {
            version,
            authentication: Some(authentication),
            device_type,
            device_path,
            content_type,
            content,
            device_context: reader.rest(),
        })
    }
}
