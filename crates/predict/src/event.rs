//! Predicted events.

use core::fmt;

use nitrotpm_pcr::{Digest, PcrIndex};

/// The type of an event (TCG PC Client Platform Firmware Profile 1.06, section 10.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventType(u32);

impl EventType {
    /// `EV_SEPARATOR`
    pub const SEPARATOR: Self = Self(0x0000_0004);
    /// `EV_EVENT_TAG`
    pub const EVENT_TAG: Self = Self(0x0000_0006);
    /// `EV_IPL`
    pub const IPL: Self = Self(0x0000_000D);
    /// `EV_EFI_VARIABLE_DRIVER_CONFIG`
    pub const VARIABLE_DRIVER_CONFIG: Self = Self(0x8000_0001);
    /// `EV_EFI_BOOT_SERVICES_APPLICATION`
    pub const BOOT_SERVICES_APPLICATION: Self = Self(0x8000_0003);
    /// `EV_EFI_ACTION`
    pub const ACTION: Self = Self(0x8000_0007);
    /// `EV_EFI_VARIABLE_AUTHORITY`
    pub const VARIABLE_AUTHORITY: Self = Self(0x8000_00E0);

    /// The number in the log.
    #[must_use]
    pub const fn code(self) -> u32 {
        self.0
    }

    /// The TCG's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SEPARATOR => "EV_SEPARATOR",
            Self::EVENT_TAG => "EV_EVENT_TAG",
            Self::IPL => "EV_IPL",
            Self::VARIABLE_DRIVER_CONFIG => "EV_EFI_VARIABLE_DRIVER_CONFIG",
            Self::BOOT_SERVICES_APPLICATION => "EV_EFI_BOOT_SERVICES_APPLICATION",
            Self::ACTION => "EV_EFI_ACTION",
            _ => "EV_EFI_VARIABLE_AUTHORITY",
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An event that the boot will measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredictedEvent {
    /// The register.
    pub pcr: PcrIndex,
    /// The type.
    pub event_type: EventType,
    /// One digest a bank, in the order of [`Prediction::banks`](crate::Prediction::banks).
    pub digests: Vec<Digest>,
    /// The event data as a log carries it. For a loaded image, whose place in memory and device path are not known, it is
    /// a `UEFI_IMAGE_LOAD_EVENT` with its length alone; empty for what userspace measures, which no log of firmware has.
    pub data: Vec<u8>,
    /// What is measured, in words.
    pub cause: String,
}
