//! What the firmware says of itself.

use alloc::vec::Vec;

use nitrotpm_pcr::PcrIndex;

use super::marker::Marker;
use crate::decode::decode_text;
use crate::text::Text;
use crate::{ConfirmedLog, EventType, Rule};

/// How the firmware ended its measurements into one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlatformSeparator {
    /// One separator, with the event.
    One {
        /// The event.
        event: usize,
    },
    /// None at all.
    Missing,
    /// More than one.
    Several {
        /// How many.
        count: usize,
    },
    /// The firmware says that it failed: told by the digest, whatever the data says.
    Error {
        /// The event.
        event: usize,
    },
}

/// What the firmware says of itself, from the registers that were confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FirmwareFacts<'a> {
    /// The version of the code that starts first, where its text is proven and stands before PCR 0's separator.
    pub crtm_version: Option<Text<'a>>,
    /// For each confirmed register of 0 to 7: its separator.
    pub separators: Vec<(PcrIndex, PlatformSeparator)>,
    /// Events that say that the platform is in debug mode.
    pub debug_mode: Vec<usize>,
    /// Events that say that devices could write to memory.
    pub dma_protection_disabled: Vec<usize>,
    /// Events in PCR 0 after its separator: whoever wrote them, it was not the firmware before it started a boot
    /// loader.
    pub late_in_pcr0: Vec<usize>,
}

impl FirmwareFacts<'_> {
    /// Whether the firmware says of any register that it failed.
    #[must_use]
    pub fn has_error(&self) -> bool {
        self.separators.iter().any(|(_, separator)| matches!(separator, PlatformSeparator::Error { .. }))
    }
}

impl<'a> ConfirmedLog<'a> {
    /// What the firmware says of itself. Only confirmed registers count: an empty list says nothing of the others.
    #[must_use]
    pub fn firmware(&self) -> FirmwareFacts<'a> {
        let mut facts = FirmwareFacts {
            crtm_version: None,
            separators: Vec::new(),
            debug_mode: Vec::new(),
            dma_protection_disabled: Vec::new(),
            late_in_pcr0: Vec::new(),
        };
        for pcr in PcrIndex::all().take(8).filter(|pcr| self.is_confirmed(*pcr)) {
            let mut separator = PlatformSeparator::Missing;
            for confirmed in self.events_of(pcr) {
                let event = confirmed.index();
                match Marker::of(&confirmed) {
                    Some(Marker::FirmwareError) => separator = PlatformSeparator::Error { event },
                    Some(Marker::Separator) => {
                        separator = match separator {
                            PlatformSeparator::Missing => PlatformSeparator::One { event },
                            PlatformSeparator::One { .. } => PlatformSeparator::Several { count: 2 },
                            PlatformSeparator::Several { count } => {
                                PlatformSeparator::Several { count: count.saturating_add(1) }
                            }
                            error @ PlatformSeparator::Error { .. } => error,
                        };
                    }
                    Some(Marker::DebugMode) => facts.debug_mode.push(event),
                    Some(Marker::DmaProtectionDisabled) => facts.dma_protection_disabled.push(event),
                    _ if pcr.get() == 0 && separator != PlatformSeparator::Missing => facts.late_in_pcr0.push(event),
                    _ if pcr.get() == 0 && confirmed.event().event_type() == EventType::S_CRTM_VERSION => {
                        let proven = confirmed.payload_check().rule() == Some(Rule::EventData);
                        let version = decode_text(confirmed.event().data()).filter(|_| proven);
                        facts.crtm_version = facts.crtm_version.or(version);
                    }
                    _ => {}
                }
            }
            facts.separators.push((pcr, separator));
        }
        facts
    }
}
