//! The state of Secure Boot, and what must not change it.

use alloc::vec::Vec;

use nitrotpm_digest_lanes::hash;
use nitrotpm_pcr::Bank;

use super::{DATABASE, GLOBAL, OTHER, SHIM, bytes_of, confirmed, secure_boot_off, secure_boot_on};
use crate::SecureBootUnknown as Why;
use crate::writer::{LogBuilder, WrittenEvent, uefi_variable};
use crate::{EventType, Guid, SecureBootState};

const BANKS: [Bank; 2] = [Bank::Sha256, Bank::Sha384];
/// The events of [`secure_boot_on`].
const STATE: usize = 1;
const PK: usize = 2;
const DB: usize = 4;
const SEPARATOR: usize = 6;
const AUTHORITY: usize = 7;

fn state(builder: &LogBuilder) -> SecureBootState {
    confirmed(&bytes_of(builder), Bank::Sha384, &[7]).secure_boot()
}

#[track_caller]
fn unknown(builder: &LogBuilder) -> Why {
    match state(builder) {
        SecureBootState::Unknown { reason } => reason,
        known => panic!("{known:?}"),
    }
}

fn with(change: impl FnOnce(&mut Vec<WrittenEvent>)) -> LogBuilder {
    let mut builder = secure_boot_on();
    change(builder.events_mut());
    builder
}

fn variable(event_type: EventType, guid: Guid, name: &str, contents: &[u8]) -> WrittenEvent {
    let data = uefi_variable(guid, name, contents);
    WrittenEvent::measured(7, event_type, &BANKS, &data, &data)
}

fn configuration(guid: Guid, name: &str, contents: &[u8]) -> WrittenEvent {
    variable(EventType::EFI_VARIABLE_DRIVER_CONFIG, guid, name, contents)
}

fn authority(guid: Guid, name: &str) -> WrittenEvent {
    variable(EventType::EFI_VARIABLE_AUTHORITY, guid, name, b"authority")
}

fn action(text: &[u8]) -> WrittenEvent {
    WrittenEvent::measured(7, EventType::EFI_ACTION, &BANKS, text, text)
}

fn separator(data: &[u8]) -> WrittenEvent {
    WrittenEvent::measured(7, EventType::SEPARATOR, &BANKS, data, data)
}

#[test]
fn on_and_off_are_read() {
    assert_eq!(state(&secure_boot_on()), SecureBootState::Enabled);
    assert_eq!(state(&secure_boot_off()), SecureBootState::Disabled);
    assert_eq!(state(&with(|events| events[SEPARATOR] = separator(&[0xFF; 4]))), SecureBootState::Enabled);
    let mut builder = secure_boot_on();
    builder.measure(0, EventType::SEPARATOR, &[0; 4]);
    assert_eq!(state(&builder), SecureBootState::Enabled);
    let without = confirmed(&bytes_of(&builder), Bank::Sha384, &[0]).secure_boot();
    assert_eq!(without, SecureBootState::Unknown { reason: Why::NotConfirmed });
}

#[test]
fn l14_relabelling_an_event_never_turns_secure_boot_on_or_off() {
    let on = secure_boot_on();
    let off = secure_boot_off();
    // Also with something late in PCR 7 that must not be talked away.
    let mut late = secure_boot_on();
    late.push(configuration(GLOBAL, "AuditMode", &[1]));
    let mut debug = secure_boot_on();
    debug.push(action(b"UEFI Debug Mode"));
    for builder in [on, off, late, debug] {
        let honest = state(&builder);
        for index in 1..builder.clone().events_mut().len() {
            for event_type in EventType::NAMED.iter().copied().chain([EventType(0x8401)]) {
                // The replay tells whether an event was extended.
                if event_type == EventType::NO_ACTION {
                    continue;
                }
                let mut relabelled = builder.clone();
                relabelled.events_mut()[index].event_type = event_type;
                let found = state(&relabelled);
                let same_or_unknown = found == honest || matches!(found, SecureBootState::Unknown { .. });
                assert!(same_or_unknown, "event {index} as {event_type}: {honest:?} became {found:?}");
            }
        }
    }
}

#[test]
fn l14_data_that_its_digest_does_not_prove_gives_no_claim() {
    let lie = |event: usize, builder: LogBuilder, contents: &[u8]| {
        let mut builder = builder;
        let last = builder.events_mut()[event].data.len() - 1;
        builder.events_mut()[event].data.truncate(last);
        builder.events_mut()[event].data.extend_from_slice(contents);
        unknown(&builder)
    };
    assert_eq!(lie(STATE, secure_boot_off(), &[1]), Why::NotProven { event: STATE });
    assert_eq!(lie(STATE, secure_boot_on(), &[0]), Why::NotProven { event: STATE });
    // In the bank that was not confirmed, a digest may be anything: it must not help, and does not have to hurt.
    let mut builder = secure_boot_off();
    let data = uefi_variable(GLOBAL, "SecureBoot", &[1]);
    let forged = hash(Bank::Sha256, &[&data]);
    builder.events_mut()[STATE].data = data;
    builder.events_mut()[STATE].digests[0].1 = forged.as_bytes().to_vec();
    assert_eq!(unknown(&builder), Why::NotProven { event: STATE });
}

/// Firmware that hashes the contents alone leaves the name to whoever writes the log.
#[test]
fn l14_a_name_that_is_not_covered_gives_no_claim() {
    let data = uefi_variable(GLOBAL, "SecureBoot", &[1]);
    let contents_only = WrittenEvent::measured(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &BANKS, &[1], &data);
    assert_eq!(unknown(&with(|events| events[STATE] = contents_only)), Why::NotProven { event: STATE });
}

#[test]
fn l15_types_and_actions_that_have_no_place_in_pcr_7_are_errors() {
    for event_type in
        [EventType::UNUSED, EventType::IPL, EventType::ACTION, EventType::EFI_VARIABLE_BOOT, EventType(0x99)]
    {
        let event = WrittenEvent::measured(7, event_type, &BANKS, b"x", b"x");
        assert_eq!(unknown(&with(|events| events.push(event))), Why::UnexpectedType { event: 8 });
    }
    for text in [b"UEFI Debug Mode".as_slice(), b"UEFI Debug Mode\0", b"Security Level is Downgraded to 0"] {
        assert_eq!(unknown(&with(|events| events.insert(1, action(text)))), Why::Action { event: 1 });
    }
    for text in [b"DMA Protection Disabled".as_slice(), b"DMA Protection Disabled\0"] {
        assert_eq!(state(&with(|events| events.insert(1, action(text)))), SecureBootState::Enabled);
    }
}

#[test]
fn l15_look_alikes_are_told_by_their_digest_each_on_its_own() {
    for hashed in [[0; 4].as_slice(), &[0xFF; 4], b"UEFI Debug Mode", b"DMA Protection Disabled"] {
        let data = uefi_variable(OTHER, "Setup", b"x");
        let event = WrittenEvent::measured(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &BANKS, hashed, &data);
        assert_eq!(unknown(&with(|events| events.insert(1, event))), Why::LookAlike { event: 1 });
        // In one bank alone it is enough.
        let mut half = configuration(OTHER, "Setup", b"x");
        half.digests[1].1 = hash(Bank::Sha384, &[hashed]).as_bytes().to_vec();
        assert_eq!(unknown(&with(|events| events.insert(1, half))), Why::LookAlike { event: 1 });
    }
    let not_a_separator = WrittenEvent::measured(7, EventType::SEPARATOR, &BANKS, b"x", &[0; 4]);
    assert_eq!(unknown(&with(|events| events[SEPARATOR] = not_a_separator)), Why::LookAlike { event: SEPARATOR });
    let mut half = separator(&[0; 4]);
    half.digests[1].1 = hash(Bank::Sha384, &[b"x"]).as_bytes().to_vec();
    assert_eq!(unknown(&with(|events| events[SEPARATOR] = half)), Why::NotProven { event: SEPARATOR });
}

#[test]
fn l15_separators_and_variables_stand_once_and_in_order() {
    assert_eq!(unknown(&with(|events| drop(events.remove(SEPARATOR)))), Why::NoSeparator);
    assert_eq!(unknown(&with(|events| events.push(separator(&[0; 4])))), Why::SecondSeparator { event: 8 });
    assert_eq!(unknown(&with(|events| events.push(configuration(OTHER, "x", b"")))), Why::LateVariable { event: 8 });
    assert_eq!(unknown(&with(|events| events.swap(STATE, SEPARATOR))), Why::LateVariable { event: 2 });
    for (guid, name) in [(GLOBAL, "SecureBoot"), (GLOBAL, "PK"), (DATABASE, "db"), (DATABASE, "dbx")] {
        let again = configuration(guid, name, &[1]);
        assert_eq!(
            unknown(&with(|events| events.insert(SEPARATOR, again))),
            Why::DuplicateVariable { event: SEPARATOR }
        );
        let elsewhere = configuration(OTHER, name, &[1]);
        assert_eq!(unknown(&with(|events| events.insert(1, elsewhere))), Why::WrongNamespace { event: 1 });
    }
    let dbt = || configuration(DATABASE, "dbt", b"x");
    assert_eq!(state(&with(|events| events.insert(1, dbt()))), SecureBootState::Enabled);
    let twice = with(|events| {
        events.insert(1, dbt());
        events.insert(2, dbt());
    });
    assert_eq!(unknown(&twice), Why::DuplicateVariable { event: 2 });
}

#[test]
fn l16_secure_boot_is_one_byte_of_0_or_1() {
    let with_value = |value: &[u8]| with(|events| events[STATE] = configuration(GLOBAL, "SecureBoot", value));
    assert_eq!(state(&with_value(&[1])), SecureBootState::Enabled);
    assert_eq!(state(&with_value(&[0])), SecureBootState::Disabled);
    for value in [[].as_slice(), &[1, 0], &[0, 0], &[2], &[255], &[1, 1]] {
        assert_eq!(unknown(&with_value(value)), Why::Value { event: STATE });
    }
    assert_eq!(unknown(&with(|events| drop(events.remove(STATE)))), Why::NoVariable);
    assert_eq!(unknown(&with(|events| events[STATE] = configuration(OTHER, "Setup", &[1]))), Why::NoVariable);
}

#[test]
fn l16_secure_boot_on_needs_keys_and_an_authority() {
    for (index, guid, name) in [(PK, GLOBAL, "PK"), (3, GLOBAL, "KEK"), (DB, DATABASE, "db")] {
        assert_eq!(unknown(&with(|events| drop(events.remove(index)))), Why::NoKeys { name });
        assert_eq!(unknown(&with(|events| events[index] = configuration(guid, name, b""))), Why::NoKeys { name });
    }
    // An empty dbx forbids nothing, and that is allowed.
    assert_eq!(state(&with(|events| events[5] = configuration(DATABASE, "dbx", b""))), SecureBootState::Enabled);
    assert_eq!(unknown(&with(|events| drop(events.remove(AUTHORITY)))), Why::NoAuthority);
}

#[test]
fn l17_authorities_are_told_by_namespace_and_name() {
    for (guid, name) in [(SHIM, "SbatLevel"), (SHIM, "MokListTrusted"), (SHIM, "Shim"), (DATABASE, "vendor_db")] {
        assert_eq!(state(&with(|events| events.push(authority(guid, name)))), SecureBootState::Enabled);
        assert_eq!(unknown(&with(|events| events.push(authority(OTHER, name)))), Why::UnknownAuthority { event: 8 });
        // Not one of these verified an image for the firmware.
        assert_eq!(unknown(&with(|events| events[AUTHORITY] = authority(guid, name))), Why::NoAuthority);
    }
    assert_eq!(unknown(&with(|events| events.push(authority(SHIM, "Other")))), Why::UnknownAuthority { event: 8 });
    // An option ROM that was verified before the separator.
    assert_eq!(state(&with(|events| events.insert(SEPARATOR, authority(DATABASE, "db")))), SecureBootState::Enabled);
}

#[test]
fn l19_the_digest_of_an_error_separator_decides() {
    assert_eq!(
        unknown(&with(|events| events[SEPARATOR] = separator(&[1, 0, 0, 0]))),
        Why::FirmwareError { event: SEPARATOR }
    );
    for event_type in [EventType::SEPARATOR, EventType::EFI_VARIABLE_DRIVER_CONFIG, EventType::UNUSED] {
        let friendly = WrittenEvent::measured(7, event_type, &BANKS, &[1, 0, 0, 0], &[0; 4]);
        assert_eq!(unknown(&with(|events| events[SEPARATOR] = friendly)), Why::FirmwareError { event: SEPARATOR });
    }
}

#[test]
fn devices_of_spdm_are_told_by_name_too() {
    for event_type in [EventType::EFI_SPDM_DEVICE_POLICY, EventType::EFI_SPDM_DEVICE_AUTHORITY] {
        let named = |name| variable(event_type, OTHER, name, b"x");
        assert_eq!(state(&with(|events| events.insert(1, named("devdb")))), SecureBootState::Enabled);
        assert_eq!(unknown(&with(|events| events.insert(1, named("PK")))), Why::UnknownAuthority { event: 1 });
    }
}
