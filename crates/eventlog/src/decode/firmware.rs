//! What firmware measures of itself: blobs, handoff tables, POST codes, and what it says of its platform.

use uguid::Guid;

use crate::LogError;
use crate::reader::Reader;
use crate::text::{Text, without_nul};

/// `UEFI_PLATFORM_FIRMWARE_BLOB` and `UEFI_PLATFORM_FIRMWARE_BLOB2` (TCG PC Client Platform Firmware Profile 1.06,
/// section 10.2.7): where the code stood whose digest the event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FirmwareBlob<'a> {
    /// What it is; only the second version has it.
    pub description: Option<Text<'a>>,
    /// The address of the first byte.
    pub base: u64,
    /// The length in bytes.
    pub length: u64,
}

impl<'a> FirmwareBlob<'a> {
    pub(super) fn parse(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        let mut reader = Reader::new(data, offset, "UEFI_PLATFORM_FIRMWARE_BLOB");
        let (base, length) = (reader.u64()?, reader.u64()?);
        reader.finish()?;
        Ok(Self { description: None, base, length })
    }

    pub(super) fn parse2(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        let mut reader = Reader::new(data, offset, "UEFI_PLATFORM_FIRMWARE_BLOB2");
        let description = Some(read_description(&mut reader)?);
        let (base, length) = (reader.u64()?, reader.u64()?);
        reader.finish()?;
        Ok(Self { description, base, length })
    }
}

/// A text with its length in one byte.
fn read_description<'a>(reader: &mut Reader<'a>) -> Result<Text<'a>, LogError> {
    let length = reader.u8()?;
    Ok(Text::utf8(without_nul(reader.take(length.into())?)))
}

/// `UEFI_HANDOFF_TABLE_POINTERS` and its second version (section 10.2.8): tables that the firmware hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandoffTables<'a> {
    /// What they are; only the second version has it.
    pub description: Option<Text<'a>>,
    tables: &'a [u8],
}

impl<'a> HandoffTables<'a> {
    /// The tables: the vendor's GUID and the address.
    pub fn tables(&self) -> impl Iterator<Item = (Guid, u64)> + 'a {
        self.tables.as_chunks::<24>().0.iter().filter_map(|table| {
            let (guid, address) = table.split_first_chunk::<16>()?;
            Some((Guid::from_bytes(*guid), u64::from_le_bytes(*address.first_chunk()?)))
        })
    }

    fn read(mut reader: Reader<'a>, description: Option<Text<'a>>) -> Result<Self, LogError> {
        let count = reader.u64()?;
        let tables = reader.take(count.saturating_mul(24))?;
        reader.finish()?;
        Ok(Self { description, tables })
    }

    pub(super) fn parse(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        Self::read(Reader::new(data, offset, "UEFI_HANDOFF_TABLE_POINTERS"), None)
    }

    pub(super) fn parse2(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        let mut reader = Reader::new(data, offset, "UEFI_HANDOFF_TABLE_POINTERS2");
        let description = read_description(&mut reader)?;
        Self::read(reader, Some(description))
    }
}

/// How a reference measurement or a platform certificate can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Locator<'a> {
    /// 0: the data itself; 1: a URI; 2: a device path; 3: a UEFI variable.
    pub kind: u32,
    /// The locator.
    pub data: &'a [u8],
}

/// The SP 800-155 events (section 10.4.5.2), in the three versions: who made the platform, and where its reference
/// measurements are. It is information and no measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlatformId<'a> {
    /// 1, 2 or 3.
    pub version: u8,
    /// The platform's maker, as an IANA enterprise number.
    pub vendor_id: u32,
    /// The reference manifest's id.
    pub manifest: Guid,
    /// Maker of the platform, its model and version, maker of the firmware; from version 2 on.
    pub platform: Option<[Text<'a>; 4]>,
    /// The maker of the firmware, as an IANA enterprise number, and its version; from version 2 on.
    pub firmware: Option<(u32, Text<'a>)>,
    /// Where the reference measurements and the platform's certificate are; version 3.
    pub locators: Option<[Locator<'a>; 2]>,
}

impl<'a> PlatformId<'a> {
    /// Reads the event where the data has its signature.
    pub(super) fn parse(data: &'a [u8], offset: usize) -> Result<Option<Self>, LogError> {
        let mut reader = Reader::new(data, offset, "the SP 800-155 event");
        let version = match data.first_chunk::<16>() {
            Some(b"SP800-155 Event\0") => 1,
            Some(b"SP800-155 Event2") => 2,
            Some(b"SP800-155 Event3") => 3,
            _ => return Ok(None),
        };
        reader.take(16)?;
        let (vendor_id, manifest) = (reader.u32()?, Guid::from_bytes(reader.array()?));
        let mut found = Self { version, vendor_id, manifest, platform: None, firmware: None, locators: None };
        if version >= 2 {
            let mut text = || read_description(&mut reader);
            found.platform = Some([text()?, text()?, text()?, text()?]);
            let id = reader.u32()?;
            found.firmware = Some((id, read_description(&mut reader)?));
        }
        if version == 3 {
            let mut locator = || {
                let (kind, length) = (reader.u32()?, reader.u32()?);
                Ok::<_, LogError>(Locator { kind, data: reader.take(length.into())? })
            };
            found.locators = Some([locator()?, locator()?]);
            // Some firmware counts padding in: zeros say nothing.
            if reader.rest().iter().any(|byte| *byte != 0) {
                reader.finish()?;
            }
        }
        Ok(Some(found))
    }
}

/// The H-CRTM component event (section 10.4.5.4): one of the parts whose digests make up the H-CRTM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HcrtmComponent<'a> {
    /// What it is.
    pub description: Text<'a>,
    /// 0: a digest; bit 7 set: a raw measurement.
    pub format: u8,
    /// The measurement.
    pub measurement: &'a [u8],
}

impl<'a> HcrtmComponent<'a> {
    pub(super) fn parse(data: &'a [u8], offset: usize) -> Result<Option<Self>, LogError> {
        let mut reader = Reader::new(data, offset, "the H-CRTM component event");
        if !data.starts_with(b"H-CRTM CompMeas\0") {
            return Ok(None);
        }
        reader.take(16)?;
        let description = read_description(&mut reader)?;
        let (format, length) = (reader.u8()?, reader.u8()?);
        let measurement = reader.take(length.into())?;
        reader.finish()?;
        Ok(Some(Self { description, format, measurement }))
    }
}
