//! Which images the firmware ran.

use alloc::vec::Vec;

use nitrotpm_pcr::PcrIndex;

use super::marker::Marker;
use crate::{ConfirmedEvent, ConfirmedLog, EventType};

/// Why the boot path is not known. Events count from 0, the header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootPathUnknown {
    /// A register that the path needs was not compared with an authenticated value.
    #[error("PCR {pcr} was not among the PCRs that the log was compared with")]
    NotConfirmed {
        /// The register.
        pcr: u8,
    },
    /// The firmware never handed over to an operating system, as far as the log says.
    #[error(
        "PCR 5 has no \"Exit Boot Services Invocation\": the log does not say that an operating system was started"
    )]
    NoExitBootServices,
    /// An application ran before the firmware followed a boot option.
    #[error("event {event} in PCR 4 measures an application before the firmware called one from a boot option")]
    EarlyApplication {
        /// The event.
        event: usize,
    },
    /// The firmware measured that it failed.
    #[error("event {event} is the separator by which firmware says that it failed")]
    FirmwareError {
        /// The event.
        event: usize,
    },
    /// No separator ends the firmware's measurements.
    #[error("PCR 4 has no separator: where the firmware's measurements end is not known")]
    NoSeparator,
    /// A second separator.
    #[error("event {event} is a second separator in PCR 4")]
    SecondSeparator {
        /// The event.
        event: usize,
    },
    /// An event has the digest of a separator or of an action and another type, or the reverse.
    #[error("event {event} has a digest that does not belong to its type: one of the two was changed")]
    LookAlike {
        /// The event.
        event: usize,
    },
}

/// What to do with applications that run before the firmware follows a boot option: tools of the machine's maker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EarlyApplications {
    /// The boot path is unknown where there are any.
    #[default]
    Refuse,
    /// They are listed apart.
    Report,
}

/// How the firmware handed over to the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitBootServices {
    /// How often the firmware was asked to.
    pub invocations: usize,
    /// How often it did not.
    pub failures: usize,
    /// Whether it says that it did.
    pub succeeded: bool,
}

/// The images that PCR 4 proves, in order.
///
/// Proven are the digests and their order. Where an image came from, and which of the measurements are images, is what
/// the log says. Software that runs later can extend PCR 4 and lengthen the list, never change its beginning: compare
/// the whole list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BootPath<'a> {
    /// Applications before the firmware followed a boot option; empty unless they are to be reported.
    pub early: Vec<ConfirmedEvent<'a>>,
    /// Applications: boot loaders, unified kernel images, kernels.
    pub applications: Vec<ConfirmedEvent<'a>>,
    /// What else was measured into PCR 4 and is neither an application nor a known action.
    pub others: Vec<ConfirmedEvent<'a>>,
    /// What the log places after the firmware handed over: not counted as part of the boot. Nothing proves the place.
    pub late: Vec<ConfirmedEvent<'a>>,
    /// How often the firmware followed a boot option: more than once where one failed.
    pub attempts: usize,
    /// How often an application came back.
    pub returns: usize,
    /// The handing over.
    pub exit_boot_services: ExitBootServices,
}

impl<'a> BootPath<'a> {
    /// All that PCR 4 proves to have been measured beside separators and known actions, in its proven order, wherever the
    /// log places it: appraise this.
    ///
    /// Whether something came before or after the handing over is told by the order of two registers, and that is only
    /// what the log says.
    #[must_use]
    pub fn images(&self) -> Vec<ConfirmedEvent<'a>> {
        let mut images = [self.early.as_slice(), &self.applications, &self.others, &self.late].concat();
        images.sort_by_key(ConfirmedEvent::index);
        images
    }
}

impl<'a> ConfirmedLog<'a> {
    /// The boot path, from PCR 4 and the actions in PCR 5.
    ///
    /// # Errors
    /// [`BootPathUnknown`] where the log does not prove one.
    pub fn boot_path(&self, early: EarlyApplications) -> Result<BootPath<'a>, BootPathUnknown> {
        let (exit, exit_boot_services) = self.read_exit_boot_services()?;
        let mut path = BootPath {
            early: Vec::new(),
            applications: Vec::new(),
            others: Vec::new(),
            late: Vec::new(),
            attempts: 0,
            returns: 0,
            exit_boot_services,
        };
        let mut separator_seen = false;
        for confirmed in self.events_of(self.needed(4)?) {
            let event = confirmed.index();
            let event_type = confirmed.event().event_type();
            let marker = Marker::of(&confirmed);
            if let Some(marker) = marker {
                if marker == Marker::FirmwareError {
                    return Err(BootPathUnknown::FirmwareError { event });
                }
                if marker.event_type() != event_type || Marker::proven(&confirmed) != Some(marker) {
                    return Err(BootPathUnknown::LookAlike { event });
                }
            }
            match marker {
                Some(Marker::Separator) if separator_seen => return Err(BootPathUnknown::SecondSeparator { event }),
                Some(Marker::Separator) => separator_seen = true,
                Some(Marker::CallingApplication) => path.attempts = path.attempts.saturating_add(1),
                Some(Marker::ReturningFromApplication) => path.returns = path.returns.saturating_add(1),
                _ if event_type == EventType::SEPARATOR => return Err(BootPathUnknown::LookAlike { event }),
                _ if event > exit => path.late.push(confirmed),
                _ if event_type != EventType::EFI_BOOT_SERVICES_APPLICATION => path.others.push(confirmed),
                _ if path.attempts > 0 => path.applications.push(confirmed),
                _ if early == EarlyApplications::Report => path.early.push(confirmed),
                _ => return Err(BootPathUnknown::EarlyApplication { event }),
            }
        }
        if separator_seen { Ok(path) } else { Err(BootPathUnknown::NoSeparator) }
    }

    /// Where the log places the last time that the firmware was asked to hand over.
    fn read_exit_boot_services(&self) -> Result<(usize, ExitBootServices), BootPathUnknown> {
        let mut found = ExitBootServices { invocations: 0, failures: 0, succeeded: false };
        let mut last = None;
        for confirmed in self.events_of(self.needed(5)?) {
            match Marker::proven(&confirmed) {
                Some(Marker::ExitBootServices) => {
                    found.invocations = found.invocations.saturating_add(1);
                    last = Some(confirmed.index());
                }
                Some(Marker::ExitBootServicesFailed) => found.failures = found.failures.saturating_add(1),
                Some(Marker::ExitBootServicesSucceeded) => found.succeeded = true,
                Some(Marker::FirmwareError) => {
                    return Err(BootPathUnknown::FirmwareError { event: confirmed.index() });
                }
                _ => {}
            }
        }
        last.map(|last| (last, found)).ok_or(BootPathUnknown::NoExitBootServices)
    }

    fn needed(&self, pcr: u8) -> Result<PcrIndex, BootPathUnknown> {
        PcrIndex::new(pcr).filter(|pcr| self.is_confirmed(*pcr)).ok_or(BootPathUnknown::NotConfirmed { pcr })
    }
}
