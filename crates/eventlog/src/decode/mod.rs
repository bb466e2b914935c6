//! What an event's data says, by the event's type.
//!
//! Decoding is for people and for claims: it shows what the log's writer put there. Only
//! [`ConfirmedLog`](crate::ConfirmedLog) says what of it is proven.

mod gpt;
mod image;
mod variable;

pub use gpt::{Gpt, GptPartitions};
pub use image::ImageLoad;
pub use variable::UefiVariable;
pub(crate) use variable::{GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE, SHIM_LOCK};

use crate::text::{Text, as_utf16, without_nul};
use crate::{Event, EventType, LogError, SpecId, spec_id};

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
            EventType::NO_ACTION => decode_no_action(data, offset)?,
            EventType::SEPARATOR => Decoded::Separator(data),
            EventType::ACTION
            | EventType::EFI_ACTION
            | EventType::OMIT_BOOT_DEVICE_EVENTS
            | EventType::EFI_HCRTM_EVENT => Decoded::Text(Text::utf8(without_nul(data))),
            EventType::IPL | EventType::S_CRTM_VERSION | EventType::POST_CODE => {
                decode_text(data).map_or(Decoded::Raw(data), Decoded::Text)
            }
            EventType::EFI_VARIABLE_DRIVER_CONFIG
            | EventType::EFI_VARIABLE_BOOT
            | EventType::EFI_VARIABLE_BOOT2
            | EventType::EFI_VARIABLE_AUTHORITY => Decoded::Variable(UefiVariable::parse(data, offset)?),
            EventType::EFI_BOOT_SERVICES_APPLICATION
            | EventType::EFI_BOOT_SERVICES_DRIVER
            | EventType::EFI_RUNTIME_SERVICES_DRIVER => Decoded::ImageLoad(ImageLoad::parse(data, offset)?),
            EventType::EFI_GPT_EVENT | EventType::EFI_GPT_EVENT2 => Decoded::Gpt(Gpt::parse(data, offset)?),
            _ => Decoded::Raw(data),
        })
    }
}

/// Text, where the data reads as text: UTF-16 with a terminating NUL, or printable UTF-8 with or without one.
pub(crate) fn decode_text(data: &[u8]) -> Option<Text<'_>> {
    if let Some(text) = as_utf16(data) {
        return Some(Text::utf16(text));
    }
    let text = without_nul(data);
    let readable = !text.is_empty()
        && core::str::from_utf8(text)
            .is_ok_and(|text| text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')));
    readable.then_some(Text::utf8(text))
}

/// The signature of the event that gives the locality (TCG PC Client Platform Firmware Profile 1.06, section 10.4.5.3).
const STARTUP_LOCALITY: &[u8; 16] = b"StartupLocality\0";

fn decode_no_action(data: &[u8], offset: usize) -> Result<Decoded<'_>, LogError> {
    if spec_id::is_spec_id(data) {
        return SpecId::parse(data, offset).map(Decoded::SpecId);
    }
    Ok(startup_locality(data, offset)?.unwrap_or(Decoded::Raw(data)))
}

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
