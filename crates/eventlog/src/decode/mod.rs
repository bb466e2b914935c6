//! What an event's data says, by the event's type.
//!
//! Decoding is for people and for claims: it shows what the log's writer put there. Only
//! [`ConfirmedLog`](crate::ConfirmedLog) says what of it is proven.

mod details;
mod device_path;
mod firmware;
mod gpt;
mod image;
mod load_option;
mod signature_list;
mod spdm;
mod summary;
mod tagged;
mod variable;
mod windows;
mod x509_subject;

pub use details::Detail;
pub use device_path::{DevicePath, DevicePathNode};
pub use firmware::{FirmwareBlob, HandoffTables, HcrtmComponent, Locator, PlatformId};
pub use gpt::{Gpt, GptPartition, GptPartitions};
pub use image::ImageLoad;
pub use load_option::LoadOption;
pub use signature_list::{SignatureEntry, SignatureLists, SignatureType};
pub use spdm::DeviceSecurityEvent;
pub use summary::Summary;
pub use tagged::{EventTag, TaggedEvent};
pub(crate) use variable::{GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE, SHIM_LOCK};
pub use variable::{UefiVariable, VariableContents};
pub use windows::{SipaEvent, SipaEvents, SipaType};

use crate::payload::split_grub_prefix;
use crate::text::{Text, as_utf16, without_nul};
use crate::{Event, EventType, LogError, Register, SpecId, spec_id};

/// The data of an event, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decoded<'a> {
    /// The header's data.
    SpecId(SpecId<'a>),
    /// The locality at which the platform started.
    StartupLocality {
        /// 0, 3 or 4 where firmware follows the specification.
        locality: u8,
        /// How many zero bytes follow, which the specification does not have.
        padding: usize,
    },
    /// A separator's data: usually four zero bytes.
    Separator(&'a [u8]),
    /// A string: an action, a version, a command line, a name.
    Text(Text<'a>),
    /// A UEFI variable.
    Variable(UefiVariable<'a>),
    /// A UEFI image that was loaded; its digest is the event's digest.
    ImageLoad(ImageLoad<'a>),
    /// A partition table.
    Gpt(Gpt<'a>),
    /// A text that GRUB measured, with the kind that its prefix gives.
    Grub {
        /// `grub_cmd`, `kernel_cmdline`, `module_cmdline` or the like.
        kind: &'static str,
        /// The text after the prefix.
        text: Text<'a>,
    },
    /// Code of the platform's firmware.
    FirmwareBlob(FirmwareBlob<'a>),
    /// Tables that the firmware hands over.
    HandoffTables(HandoffTables<'a>),
    /// Who made the platform (SP 800-155).
    PlatformId(PlatformId<'a>),
    /// A part of the H-CRTM.
    HcrtmComponent(HcrtmComponent<'a>),
    /// What a device says of its own firmware (SPDM).
    DeviceSecurity(DeviceSecurityEvent<'a>),
    /// A tagged event of Linux or systemd.
    Tagged(TaggedEvent<'a>),
    /// Events of Windows.
    Windows(SipaEvents<'a>),
    /// A type whose data is not decoded, or data of no known shape.
    Raw(&'a [u8]),
}

impl Decoded<'_> {
    /// The stable name of the kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SpecId(_) => "spec-id",
            Self::StartupLocality { .. } => "startup-locality",
            Self::Separator(_) => "separator",
            Self::Text(_) => "text",
            Self::Variable(_) => "variable",
            Self::ImageLoad(_) => "image-load",
            Self::Gpt(_) => "gpt",
            Self::Grub { .. } => "grub",
            Self::FirmwareBlob(_) => "firmware-blob",
            Self::HandoffTables(_) => "handoff-tables",
            Self::PlatformId(_) => "platform-id",
            Self::HcrtmComponent(_) => "h-crtm-component",
            Self::DeviceSecurity(_) => "device-security",
            Self::Tagged(_) => "tagged",
            Self::Windows(_) => "windows",
            Self::Raw(_) => "raw",
        }
    }
}

impl<'a> Event<'a> {
    /// Decodes the data.
    ///
    /// # Errors
    /// [`LogError`] with the offset in the log where the data is not of the shape that its type prescribes. The event
    /// itself stays good: only its data is not what it should be.
    pub fn decode(&self) -> Result<Decoded<'a>, LogError> {
        let (data, offset) = (self.data(), self.data_offset());
        Ok(match self.event_type() {
            EventType::NO_ACTION => self.decode_no_action(data, offset)?,
            EventType::SEPARATOR => Decoded::Separator(data),
            EventType::ACTION
            | EventType::EFI_ACTION
            | EventType::OMIT_BOOT_DEVICE_EVENTS
            | EventType::EFI_HCRTM_EVENT => Decoded::Text(Text::utf8(without_nul(data))),
            EventType::IPL if split_grub_prefix(data).is_some() => decode_grub(data),
            EventType::POST_CODE | EventType::S_CRTM_CONTENTS if !is_readable(data) && data.len() == 16 => {
                Decoded::FirmwareBlob(FirmwareBlob::parse(data, offset)?)
            }
            EventType::POST_CODE2 => decode_post_code2(data, offset),
            EventType::EFI_PLATFORM_FIRMWARE_BLOB => Decoded::FirmwareBlob(FirmwareBlob::parse(data, offset)?),
            EventType::EFI_PLATFORM_FIRMWARE_BLOB2 => Decoded::FirmwareBlob(FirmwareBlob::parse2(data, offset)?),
            EventType::EFI_HANDOFF_TABLES => Decoded::HandoffTables(HandoffTables::parse(data, offset)?),
            EventType::EFI_HANDOFF_TABLES2 => Decoded::HandoffTables(HandoffTables::parse2(data, offset)?),
            EventType::EVENT_TAG => decode_tagged(data, offset)?,
            EventType::EFI_SPDM_FIRMWARE_BLOB | EventType::EFI_SPDM_FIRMWARE_CONFIG => {
                DeviceSecurityEvent::parse(data, offset)?.map_or(Decoded::Raw(data), Decoded::DeviceSecurity)
            }
            EventType::EFI_VARIABLE_DRIVER_CONFIG
            | EventType::EFI_VARIABLE_BOOT
            | EventType::EFI_VARIABLE_BOOT2
            | EventType::EFI_VARIABLE_AUTHORITY
            | EventType::EFI_SPDM_DEVICE_POLICY
            | EventType::EFI_SPDM_DEVICE_AUTHORITY => Decoded::Variable(UefiVariable::parse(data, offset)?),
            EventType::EFI_BOOT_SERVICES_APPLICATION
            | EventType::EFI_BOOT_SERVICES_DRIVER
            | EventType::EFI_RUNTIME_SERVICES_DRIVER => Decoded::ImageLoad(ImageLoad::parse(data, offset)?),
            EventType::EFI_GPT_EVENT | EventType::EFI_GPT_EVENT2 => Decoded::Gpt(Gpt::parse(data, offset)?),
            // Types whose data the specification leaves open: shown as text where they read as text.
            _ => decode_text(data).map_or(Decoded::Raw(data), Decoded::Text),
        })
    }

    fn decode_no_action(&self, data: &'a [u8], offset: usize) -> Result<Decoded<'a>, LogError> {
        if spec_id::is_spec_id(data) {
            return SpecId::parse(data, offset).map(Decoded::SpecId);
        }
        if let Some(locality) = startup_locality(data, offset)? {
            return Ok(locality);
        }
        if let Some(platform) = PlatformId::parse(data, offset)? {
            return Ok(Decoded::PlatformId(platform));
        }
        if let Some(component) = HcrtmComponent::parse(data, offset)? {
            return Ok(Decoded::HcrtmComponent(component));
        }
        if self.register() == Register::OutOfBand {
            return SipaEvents::parse_at(data, offset).map(Decoded::Windows);
        }
        Ok(Decoded::Raw(data))
    }
}

fn decode_grub(data: &[u8]) -> Decoded<'_> {
    match split_grub_prefix(data) {
        Some((prefix, text)) => {
            let kind = match prefix {
                b"kernel_cmdline: " | b"grub_kernel_cmdline " => "kernel_cmdline",
                b"module_cmdline: " => "module_cmdline",
                _ => "grub_cmd",
            };
            Decoded::Grub { kind, text: Text::utf8(without_nul(text)) }
        }
        None => Decoded::Raw(data),
    }
}

/// The second version of the POST code: a described blob, or text.
fn decode_post_code2(data: &[u8], offset: usize) -> Decoded<'_> {
    match FirmwareBlob::parse2(data, offset) {
        Ok(blob) => Decoded::FirmwareBlob(blob),
        Err(_) => decode_text(data).map_or(Decoded::Raw(data), Decoded::Text),
    }
}

fn decode_tagged(data: &[u8], offset: usize) -> Result<Decoded<'_>, LogError> {
    let windows = data.first_chunk().is_some_and(|tag| SipaType(u32::from_le_bytes(*tag)).is_of_windows());
    if windows {
        return SipaEvents::parse_at(data, offset).map(Decoded::Windows);
    }
    match TaggedEvent::parse(data, offset) {
        Ok(tagged) => Ok(Decoded::Tagged(tagged)),
        // Linux on TDX leaves tag and size out and writes the name alone.
        Err(error) => decode_text(data).map(Decoded::Text).ok_or(error),
    }
}

/// Whether the data is text for a person: tpm2-tools#2017 tells POST codes from blobs so.
fn is_readable(data: &[u8]) -> bool {
    !data.is_empty() && data.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
}

/// Text, where the data reads as text: UTF-16 with a terminating NUL, or printable UTF-8 with or without one.
pub(crate) fn decode_text(data: &[u8]) -> Option<Text<'_>> {
    // A small number reads as UTF-16, too: as a control character.
    if let Some(text) = as_utf16(data).map(Text::utf16) {
        return text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t' | '\r')).then_some(text);
    }
    let text = without_nul(data);
    let readable = !text.is_empty()
        && core::str::from_utf8(text)
            .is_ok_and(|text| text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')));
    readable.then_some(Text::utf8(text))
}

/// The signature of the event that gives the locality (TCG PC Client Platform Firmware Profile 1.06, section 10.4.5.3).
const STARTUP_LOCALITY: &[u8; 16] = b"StartupLocality\0";

/// The startup locality, where the data has its signature. Zero bytes after it are kept and counted: coreboot writes
/// some.
pub(crate) fn startup_locality(data: &[u8], offset: usize) -> Result<Option<Decoded<'_>>, LogError> {
    let Some(rest) = data.strip_prefix(STARTUP_LOCALITY) else { return Ok(None) };
    let malformed = |problem| LogError::Malformed { structure: "the StartupLocality event", offset, problem };
    let (locality, padding) = rest.split_first().ok_or_else(|| malformed("the locality is missing"))?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(malformed("bytes that are not zero follow the locality"));
    }
    Ok(Some(Decoded::StartupLocality { locality: *locality, padding: padding.len() }))
}
