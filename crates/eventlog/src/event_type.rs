//! The type of an event.

use core::fmt;

/// The type of an event, as the log gives it. Types without a name are kept.
///
/// Names are those of the TCG PC Client Platform Firmware Profile 1.06, section 10.4.1. A type is never covered by a
/// digest: whoever writes the log chooses it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(pub u32);

macro_rules! event_types {
    ($($name:ident = $code:literal,)*) => {
        impl EventType {
            $(#[doc = concat!("`EV_", stringify!($name), "`, ", stringify!($code), ".")]
            pub const $name: Self = Self($code);)*

            /// Every type that has a name.
            pub const NAMED: &'static [Self] = &[$(Self::$name),*];

            /// The name, such as `EV_SEPARATOR`.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(concat!("EV_", stringify!($name))),)*
                    _ => None,
                }
            }
        }
    };
}

event_types! {
    PREBOOT_CERT = 0x00,
    POST_CODE = 0x01,
    UNUSED = 0x02,
    NO_ACTION = 0x03,
    SEPARATOR = 0x04,
    ACTION = 0x05,
    EVENT_TAG = 0x06,
    S_CRTM_CONTENTS = 0x07,
    S_CRTM_VERSION = 0x08,
    CPU_MICROCODE = 0x09,
    PLATFORM_CONFIG_FLAGS = 0x0A,
    TABLE_OF_DEVICES = 0x0B,
    COMPACT_HASH = 0x0C,
    IPL = 0x0D,
    IPL_PARTITION_DATA = 0x0E,
    NONHOST_CODE = 0x0F,
    NONHOST_CONFIG = 0x10,
    NONHOST_INFO = 0x11,
    OMIT_BOOT_DEVICE_EVENTS = 0x12,
    POST_CODE2 = 0x13,
    EFI_VARIABLE_DRIVER_CONFIG = 0x8000_0001,
    EFI_VARIABLE_BOOT = 0x8000_0002,
    EFI_BOOT_SERVICES_APPLICATION = 0x8000_0003,
    EFI_BOOT_SERVICES_DRIVER = 0x8000_0004,
    EFI_RUNTIME_SERVICES_DRIVER = 0x8000_0005,
    EFI_GPT_EVENT = 0x8000_0006,
    EFI_ACTION = 0x8000_0007,
    EFI_PLATFORM_FIRMWARE_BLOB = 0x8000_0008,
    EFI_HANDOFF_TABLES = 0x8000_0009,
    EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000_000A,
    EFI_HANDOFF_TABLES2 = 0x8000_000B,
    EFI_VARIABLE_BOOT2 = 0x8000_000C,
    EFI_GPT_EVENT2 = 0x8000_000D,
    EFI_HCRTM_EVENT = 0x8000_0010,
    EFI_VARIABLE_AUTHORITY = 0x8000_00E0,
    EFI_SPDM_FIRMWARE_BLOB = 0x8000_00E1,
    EFI_SPDM_FIRMWARE_CONFIG = 0x8000_00E2,
    EFI_SPDM_DEVICE_POLICY = 0x8000_00E3,
    EFI_SPDM_DEVICE_AUTHORITY = 0x8000_00E4,
}

impl fmt::Display for EventType {
    /// The name, or `EV_0x00008401` where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "EV_{:#010x}", self.0),
        }
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
