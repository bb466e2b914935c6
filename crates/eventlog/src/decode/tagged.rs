//! `TCG_PCClientTaggedEvent` (TCG PC Client Platform Firmware Profile 1.06, section 10.2.9): what Linux and systemd
//! measure beside the firmware.

use crate::LogError;
use crate::reader::Reader;

/// The tag of a tagged event. Tags without a name are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTag(pub u32);

impl EventTag {
    /// Linux: the initrd. The digest is that of the initrd.
    pub const LINUX_INITRD: Self = Self(0x8F3B_22EC);
    /// Linux: `LOADED_IMAGE::LoadOptions`. The digest is that of the command line in UTF-16 with its NUL.
    pub const LINUX_LOAD_OPTIONS: Self = Self(0x8F3B_22ED);

    /// What the event is of.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            0x8F3B_22EC => Some("Linux initrd"),
            0x8F3B_22ED => Some("Linux command line"),
            0xF5BC_582A => Some("systemd-boot loader.conf"),
            0x6C46_F751 => Some("systemd-stub device tree add-on"),
            0x49DF_FE0F => Some("systemd-stub initrd add-on"),
            0xDAC0_8E1A => Some("systemd-stub microcode add-on"),
            0x13AE_D6DB => Some("systemd-stub UKI profile"),
            0xD5CB_7CBC => Some("systemd-stub SMBIOS type 1"),
            0xE0D4_7BC8 => Some("systemd-stub SMBIOS type 2"),
            0xC0B3_BD23 => Some("systemd-stub SMBIOS type 11"),
            _ => None,
        }
    }
}

/// A tagged event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaggedEvent<'a> {
    /// The tag.
    pub tag: EventTag,
    /// What stands beside it: a name as a rule.
    pub data: &'a [u8],
}

impl<'a> TaggedEvent<'a> {
    pub(super) fn parse(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        let mut reader = Reader::new(data, offset, "TCG_PCClientTaggedEvent");
        let (tag, length) = (EventTag(reader.u32()?), reader.u32()?);
        let data = reader.take(length.into())?;
        reader.finish()?;
        Ok(Self { tag, data })
    }
}
