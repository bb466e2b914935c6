//! The header's data: which specification the log follows and which banks it has.

use crate::algorithm::{DeclaredBanks, MAX_BANKS};
use crate::reader::Reader;
use crate::{AlgorithmId, DeclaredBank, LogError};

/// Which specification a header names by its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpecIdVersion {
    /// `Spec ID Event00`: TCG PC Client Specific Implementation for Conventional BIOS; a SHA-1 log.
    Event00,
    /// `Spec ID Event02`: TCG EFI Platform Specification; a SHA-1 log.
    Event02,
    /// `Spec ID Event03`: TCG PC Client Platform Firmware Profile; a crypto-agile log.
    Event03,
}

impl SpecIdVersion {
    /// The signature's text.
    #[must_use]
    pub const fn signature(self) -> &'static str {
        match self {
            Self::Event00 => "Spec ID Event00",
            Self::Event02 => "Spec ID Event02",
            Self::Event03 => "Spec ID Event03",
        }
    }
}

/// The Spec ID event's data (TCG PC Client Platform Firmware Profile 1.06, section 10.4.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecId<'a> {
    /// The specification.
    pub version: SpecIdVersion,
    /// 0 for a client, 1 for a server.
    pub platform_class: u32,
    /// Major version of the specification.
    pub major: u8,
    /// Minor version.
    pub minor: u8,
    /// Errata level; values of the field seen are 0, 2, 105 and others.
    pub errata: u8,
    /// Size of an UINTN: 1 for 32 bits, 2 for 64 bits; other values are seen and mean nothing for the log.
    pub uintn_size: u8,
    /// What the vendor added.
    pub vendor_info: &'a [u8],
    pub(crate) declared: DeclaredBanks,
    pub(crate) declared_raw: &'a [u8],
}

/// The beginning of every Spec ID event's data; the version's two digits and a NUL follow.
const SIGNATURE: &[u8; 13] = b"Spec ID Event";

/// Whether an event's data says of itself that it is a Spec ID event.
pub(crate) fn is_spec_id(data: &[u8]) -> bool {
    data.starts_with(SIGNATURE)
}

impl<'a> SpecId<'a> {
    /// Banks in the header's order. A SHA-1 log's header declares none.
    #[must_use]
    pub fn banks(&self) -> &[DeclaredBank] {
        self.declared.as_slice()
    }

    /// Reads the data of a header event that begins at `offset` of the log.
    pub(crate) fn parse(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        let mut reader = Reader::new(data, offset, "the Spec ID event");
        let signature = reader.array::<16>()?;
        let version = match &signature {
            b"Spec ID Event00\0" => SpecIdVersion::Event00,
            b"Spec ID Event02\0" => SpecIdVersion::Event02,
            b"Spec ID Event03\0" => SpecIdVersion::Event03,
            _ => return Err(LogError::Header { offset, problem: "has a Spec ID signature that is not 00, 02 or 03" }),
        };
        let platform_class = reader.u32()?;
        let version_at = reader.offset();
        let (minor, major, errata, uintn_size) = (reader.u8()?, reader.u8()?, reader.u8()?, reader.u8()?);
        let (declared, declared_raw) = if version == SpecIdVersion::Event03 {
            if (major, minor) != (2, 0) {
                return Err(LogError::Version { offset: version_at, major, minor });
            }
            read_algorithms(&mut reader)?
        } else {
            (DeclaredBanks::default(), [].as_slice())
        };
        reader.enter("the vendor information of the Spec ID event");
        let vendor_info_size = reader.u8()?;
        let vendor_info = reader.take(vendor_info_size.into())?;
        reader.enter("the Spec ID event");
        reader.finish()?;
        Ok(Self { version, platform_class, major, minor, errata, uintn_size, vendor_info, declared, declared_raw })
    }
}

fn read_algorithms<'a>(reader: &mut Reader<'a>) -> Result<(DeclaredBanks, &'a [u8]), LogError> {
    reader.enter("the algorithms of the Spec ID event");
    let offset = reader.offset();
    let refuse = |offset, problem| Err(LogError::Algorithms { offset, problem });
    let count = reader.u32()?;
    if count == 0 {
        return refuse(offset, "declares no algorithm");
    }
    if usize::try_from(count).map_or(true, |count| count > MAX_BANKS) {
        return refuse(offset, "declares more than 16 algorithms, and no TPM has so many banks");
    }
    let raw = reader.take(u64::from(count).saturating_mul(4))?;
    let mut declared = DeclaredBanks::default();
    let mut entries = Reader::new(raw, offset.saturating_add(4), "the algorithms of the Spec ID event");
    while !entries.is_empty() {
        let offset = entries.offset();
        let (algorithm, size) = (AlgorithmId(entries.u16()?), entries.u16()?);
        if declared.size_of(algorithm).is_some() {
            return refuse(offset, "names an algorithm twice");
        }
        if size == 0 || algorithm.digest_len().is_some_and(|length| length != usize::from(size)) {
            return refuse(offset, "declares a digest size that is not the algorithm's");
        }
        if !declared.push(DeclaredBank { algorithm, size }) {
            return refuse(offset, "declares more than 16 algorithms, and no TPM has so many banks");
        }
    }
    Ok((declared, raw))
}
