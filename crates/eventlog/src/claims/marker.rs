//! Events that a digest identifies by itself.

use crate::payload::ERROR_SEPARATOR;
use crate::{ConfirmedEvent, EventType};

/// What a digest says by itself, whatever type and data stand beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// The end of what the firmware measures before it starts a boot loader.
    Separator,
    /// The same, from a firmware that failed.
    FirmwareError,
    DebugMode,
    DmaProtectionDisabled,
    CallingApplication,
    ReturningFromApplication,
    ExitBootServices,
    ExitBootServicesSucceeded,
    ExitBootServicesFailed,
}

/// Texts of the TCG PC Client Platform Firmware Profile 1.06, section 10.4.4.
const CANDIDATES: [(&[u8], Marker); 12] = [
    (&ERROR_SEPARATOR, Marker::FirmwareError),
    (&[0; 4], Marker::Separator),
    (&[0xFF; 4], Marker::Separator),
    (b"UEFI Debug Mode", Marker::DebugMode),
    (b"UEFI Debug Mode\0", Marker::DebugMode),
    (b"DMA Protection Disabled", Marker::DmaProtectionDisabled),
    (b"DMA Protection Disabled\0", Marker::DmaProtectionDisabled),
    (b"Calling EFI Application from Boot Option", Marker::CallingApplication),
    (b"Returning from EFI Application from Boot Option", Marker::ReturningFromApplication),
    (b"Exit Boot Services Invocation", Marker::ExitBootServices),
    (b"Exit Boot Services Returned with Success", Marker::ExitBootServicesSucceeded),
    (b"Exit Boot Services Returned with Failure", Marker::ExitBootServicesFailed),
];

impl Marker {
    /// Each candidate on its own, against each of the event's digests, proven or not.
    pub(super) fn of(confirmed: &ConfirmedEvent<'_>) -> Option<Self> {
        CANDIDATES.into_iter().find(|(data, _)| confirmed.resembles(data)).map(|(_, marker)| marker)
    }

    /// The same, where every proven digest says so.
    pub(super) fn proven(confirmed: &ConfirmedEvent<'_>) -> Option<Self> {
        CANDIDATES.into_iter().find(|(data, _)| confirmed.is_measurement_of(data)).map(|(_, marker)| marker)
    }

    /// The type that such an event has.
    pub(super) const fn event_type(self) -> EventType {
        match self {
            Self::Separator | Self::FirmwareError => EventType::SEPARATOR,
            _ => EventType::EFI_ACTION,
        }
    }
}
