//! Whether Secure Boot was on.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use nitrotpm_pcr::PcrIndex;

use super::marker::Marker;
use crate::decode::{GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE, SHIM_LOCK, UefiVariable};
use crate::{ConfirmedEvent, ConfirmedLog, EventType, Rule};

/// The state of Secure Boot that PCR 7 proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureBootState {
    /// On: images that no key in db allows did not run before the operating system took over.
    Enabled,
    /// Off.
    Disabled,
    /// The log does not prove either.
    Unknown {
        /// Why not.
        reason: SecureBootUnknown,
    },
}

impl SecureBootState {
    /// The stable name: `enabled`, `disabled`, `unknown`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// Why the state of Secure Boot is not known. Events count from 0, the header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecureBootUnknown {
    /// PCR 7 was not compared with an authenticated value.
    #[error("PCR 7, which holds the Secure Boot state, was not among the PCRs that the log was compared with")]
    NotConfirmed,
    /// PCR 7 has an event of a type that has no place there.
    #[error("event {event} in PCR 7 is of a type that has no place there")]
    UnexpectedType {
        /// The event.
        event: usize,
    },
    /// PCR 7 has an action that is not known, or one that says that the platform is being debugged.
    #[error("event {event} in PCR 7 is an action that is unknown or says that the platform is in debug mode")]
    Action {
        /// The event.
        event: usize,
    },
    /// The data of an event is not that of its digest, or only a part of it is.
    #[error("the data of event {event} in PCR 7 is not proven by its digest")]
    NotProven {
        /// The event.
        event: usize,
    },
    /// The data of an event is no UEFI variable.
    #[error("the data of event {event} in PCR 7 is not a UEFI variable")]
    NotAVariable {
        /// The event.
        event: usize,
    },
    /// An event has the digest of a separator or of an action and another type, or the reverse.
    #[error("event {event} in PCR 7 has a digest that does not belong to its type: one of the two was changed")]
    LookAlike {
        /// The event.
        event: usize,
    },
    /// The firmware measured that it failed.
    #[error("event {event} in PCR 7 is the separator by which firmware says that it failed")]
    FirmwareError {
        /// The event.
        event: usize,
    },
    /// No separator ends the firmware's measurements.
    #[error("PCR 7 has no separator: where the firmware's measurements end is not known")]
    NoSeparator,
    /// A second separator.
    #[error("event {event} is a second separator in PCR 7")]
    SecondSeparator {
        /// The event.
        event: usize,
    },
    /// Configuration after the separator, which anybody could have measured.
    #[error("event {event} in PCR 7 measures a configuration variable after the separator")]
    LateVariable {
        /// The event.
        event: usize,
    },
    /// A variable was measured twice.
    #[error("event {event} in PCR 7 measures a variable a second time")]
    DuplicateVariable {
        /// The event.
        event: usize,
    },
    /// A variable of a well-known name in a namespace that is not its own.
    #[error("event {event} in PCR 7 measures a variable named as one of Secure Boot's in another namespace")]
    WrongNamespace {
        /// The event.
        event: usize,
    },
    /// An authority that is neither an entry of db nor one of shim's.
    #[error("event {event} in PCR 7 names an authority that is neither an entry of db nor one of shim's")]
    UnknownAuthority {
        /// The event.
        event: usize,
    },
    /// The variable SecureBoot was not measured.
    #[error("PCR 7 does not measure the variable SecureBoot")]
    NoVariable,
    /// The variable SecureBoot is not one byte of 0 or 1.
    #[error("event {event} measures the variable SecureBoot with a value that is not the one byte 0 or 1")]
    Value {
        /// The event.
        event: usize,
    },
    /// Secure Boot is on and a key database is missing or empty.
    #[error("Secure Boot is on and {name} is empty or was not measured")]
    NoKeys {
        /// The variable.
        name: &'static str,
    },
    /// Secure Boot is on and no key was used.
    #[error("Secure Boot is on and no authority that verified an image was measured")]
    NoAuthority,
}

/// What verified an image, as PCR 7 proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Authority<'a> {
    /// The event.
    pub event: usize,
    /// The variable that the authority is an entry of, and the entry: owner and certificate for db, text for shim's
    /// `SbatLevel`.
    pub variable: UefiVariable<'a>,
    /// Whether it was used before the separator: for an option ROM or another driver.
    pub before_separator: bool,
}

/// What PCR 7 proves of Secure Boot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecureBootFacts<'a> {
    /// Whether it was on.
    pub enabled: bool,
    /// The platform key: signature lists, or nothing where it was not measured.
    pub pk: Option<&'a [u8]>,
    /// The key exchange keys.
    pub kek: Option<&'a [u8]>,
    /// What is allowed.
    pub db: Option<&'a [u8]>,
    /// What is forbidden.
    pub dbx: Option<&'a [u8]>,
    /// What verified images, in order.
    pub authorities: Vec<Authority<'a>>,
    /// Whether the firmware says that devices could write to memory while it ran.
    pub dma_protection_disabled: bool,
}

/// The variables whose contents decide what Secure Boot allows, each with its namespace.
const KEY_VARIABLES: [(uguid::Guid, &str); 4] = [
    (GLOBAL_VARIABLE, "PK"),
    (GLOBAL_VARIABLE, "KEK"),
    (IMAGE_SECURITY_DATABASE, "db"),
    (IMAGE_SECURITY_DATABASE, "dbx"),
];
/// What firmware and shim measure as authorities, each with its namespace.
const AUTHORITIES: [(uguid::Guid, &str); 7] = [
    (IMAGE_SECURITY_DATABASE, "db"),
    (IMAGE_SECURITY_DATABASE, "vendor_db"),
    (SHIM_LOCK, "Shim"),
    (SHIM_LOCK, "SbatLevel"),
    (SHIM_LOCK, "MokList"),
    (SHIM_LOCK, "MokListRT"),
    (SHIM_LOCK, "MokListTrusted"),
];
const SECURE_BOOT: &str = "SecureBoot";

impl<'a> ConfirmedLog<'a> {
    /// The state of Secure Boot, from the events of PCR 7 and nothing else.
    ///
    /// `Enabled` and `Disabled` need all of this: only types that belong into PCR 7; data proven by its digest, name
    /// and namespace included; exactly one separator, told by its digest, with every configuration variable before it
    /// and none twice; `SecureBoot` one byte of 0 or 1. `Enabled` also needs PK, KEK and db to have contents and a key
    /// to have verified an image.
    #[must_use]
    pub fn secure_boot(&self) -> SecureBootState {
        match self.secure_boot_facts() {
            Ok(facts) if facts.enabled => SecureBootState::Enabled,
            Ok(_) => SecureBootState::Disabled,
            Err(reason) => SecureBootState::Unknown { reason },
        }
    }

    /// What PCR 7 proves of Secure Boot, by the same rules.
    ///
    /// # Errors
    /// Why the state is not known.
    pub fn secure_boot_facts(&self) -> Result<SecureBootFacts<'a>, SecureBootUnknown> {
        let pcr7 = PcrIndex::new(7).filter(|pcr| self.is_confirmed(*pcr)).ok_or(SecureBootUnknown::NotConfirmed)?;
        let mut reading = Reading::default();
        for confirmed in self.events_of(pcr7) {
            reading.take(&confirmed)?;
        }
        reading.conclude()
    }
}

#[derive(Default)]
struct Reading<'a> {
    separator_seen: bool,
    /// SecureBoot's event and contents.
    state: Option<(usize, &'a [u8])>,
    /// Which of [`KEY_VARIABLES`] were measured, and their contents.
    keys: [Option<&'a [u8]>; 4],
    /// Other variables, to find one measured twice.
    others: BTreeSet<([u8; 16], &'a [u8])>,
    authorities: Vec<Authority<'a>>,
    dma_protection_disabled: bool,
}

impl<'a> Reading<'a> {
    fn take(&mut self, confirmed: &ConfirmedEvent<'a>) -> Result<(), SecureBootUnknown> {
        let event = confirmed.event().index();
        let event_type = confirmed.event().event_type();
        match Marker::of(confirmed) {
            Some(Marker::FirmwareError) => return Err(SecureBootUnknown::FirmwareError { event }),
            Some(marker) if marker.event_type() != event_type => return Err(SecureBootUnknown::LookAlike { event }),
            // In every bank, not only in the one that told.
            Some(_) if confirmed.payload_check().rule() != Some(Rule::EventData) => {
                return Err(SecureBootUnknown::NotProven { event });
            }
            Some(Marker::Separator) if self.separator_seen => return Err(SecureBootUnknown::SecondSeparator { event }),
            Some(Marker::Separator) => {
                self.separator_seen = true;
                return Ok(());
            }
            Some(Marker::DmaProtectionDisabled) => {
                self.dma_protection_disabled = true;
                return Ok(());
            }
            Some(_) => return Err(SecureBootUnknown::Action { event }),
            None => {}
        }
        match event_type {
            EventType::SEPARATOR => Err(SecureBootUnknown::LookAlike { event }),
            EventType::EFI_ACTION => Err(SecureBootUnknown::Action { event }),
            EventType::EFI_VARIABLE_DRIVER_CONFIG => self.take_configuration(confirmed),
            EventType::EFI_VARIABLE_AUTHORITY => self.take_authority(confirmed),
            EventType::EFI_SPDM_DEVICE_POLICY | EventType::EFI_SPDM_DEVICE_AUTHORITY => take_device(confirmed),
            _ => Err(SecureBootUnknown::UnexpectedType { event }),
        }
    }

    fn take_configuration(&mut self, confirmed: &ConfirmedEvent<'a>) -> Result<(), SecureBootUnknown> {
        let event = confirmed.event().index();
        if self.separator_seen {
            return Err(SecureBootUnknown::LateVariable { event });
        }
        // A digest of the contents alone would leave the name to whoever wrote the log.
        if confirmed.payload_check().rule() != Some(Rule::EventData) {
            return Err(SecureBootUnknown::NotProven { event });
        }
        let variable =
            UefiVariable::parse(confirmed.event().data(), 0).map_err(|_| SecureBootUnknown::NotAVariable { event })?;
        let duplicate = SecureBootUnknown::DuplicateVariable { event };
        if variable.name.is(SECURE_BOOT) {
            if variable.guid != GLOBAL_VARIABLE {
                return Err(SecureBootUnknown::WrongNamespace { event });
            }
            return if self.state.replace((event, variable.data)).is_some() { Err(duplicate) } else { Ok(()) };
        }
        for ((guid, name), contents) in KEY_VARIABLES.iter().zip(&mut self.keys) {
            if variable.name.is(name) {
                if variable.guid != *guid {
                    return Err(SecureBootUnknown::WrongNamespace { event });
                }
                return if contents.replace(variable.data).is_some() { Err(duplicate) } else { Ok(()) };
            }
        }
        if self.others.insert((variable.guid.to_bytes(), variable.name.bytes())) { Ok(()) } else { Err(duplicate) }
    }

    fn take_authority(&mut self, confirmed: &ConfirmedEvent<'a>) -> Result<(), SecureBootUnknown> {
        let event = confirmed.event().index();
        if !matches!(confirmed.payload_check().rule(), Some(Rule::EventData | Rule::EventDataWithoutLastByte)) {
            return Err(SecureBootUnknown::NotProven { event });
        }
        let variable =
            UefiVariable::parse(confirmed.event().data(), 0).map_err(|_| SecureBootUnknown::NotAVariable { event })?;
        // A type proves nothing: a variable of any other name could be configuration that was called an authority.
        if !AUTHORITIES.iter().any(|(guid, name)| variable.is(*guid, name)) {
            return Err(SecureBootUnknown::UnknownAuthority { event });
        }
        let before_separator = !self.separator_seen;
        self.authorities.push(Authority { event, variable, before_separator });
        Ok(())
    }

    fn conclude(self) -> Result<SecureBootFacts<'a>, SecureBootUnknown> {
        if !self.separator_seen {
            return Err(SecureBootUnknown::NoSeparator);
        }
        let (event, value) = self.state.ok_or(SecureBootUnknown::NoVariable)?;
        let [pk, kek, db, dbx] = self.keys;
        let facts = SecureBootFacts {
            enabled: value == [1],
            pk,
            kek,
            db,
            dbx,
            authorities: self.authorities,
            dma_protection_disabled: self.dma_protection_disabled,
        };
        match value {
            [0] => Ok(facts),
            [1] => {
                for ((_, name), contents) in KEY_VARIABLES.iter().zip(self.keys).take(3) {
                    if contents.is_none_or(<[u8]>::is_empty) {
                        return Err(SecureBootUnknown::NoKeys { name });
                    }
                }
                // Only db verifies for the firmware; what shim measures comes after a db entry that verified shim.
                if facts.authorities.iter().any(|authority| authority.variable.is(IMAGE_SECURITY_DATABASE, "db")) {
                    Ok(facts)
                } else {
                    Err(SecureBootUnknown::NoAuthority)
                }
            }
            _ => Err(SecureBootUnknown::Value { event }),
        }
    }
}

/// Policy and authorities for devices' own firmware, which the profile puts into PCR 7 beside Secure Boot's: variables
/// devdb and devdbx, and nothing that was merely called so.
fn take_device(confirmed: &ConfirmedEvent<'_>) -> Result<(), SecureBootUnknown> {
    let event = confirmed.event().index();
    if confirmed.payload_check().rule() != Some(Rule::EventData) {
        return Err(SecureBootUnknown::NotProven { event });
    }
    let variable =
        UefiVariable::parse(confirmed.event().data(), 0).map_err(|_| SecureBootUnknown::NotAVariable { event })?;
    if variable.name.is("devdb") || variable.name.is("devdbx") {
        Ok(())
    } else {
        Err(SecureBootUnknown::UnknownAuthority { event })
    }
}
