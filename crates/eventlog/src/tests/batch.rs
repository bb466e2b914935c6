//! Many logs at once give what each gives alone, and the quick way of reading an event is the thorough one's.

use alloc::vec::Vec;

use nitrotpm_pcr::{Bank, PcrIndex};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::properties::any_log;
use super::{boot, bytes_of, parse, pcr};
use crate::reader::Reader;
use crate::writer::LogBuilder;
use crate::{BatchReplay, Event, EventLog, EventType, LogBatch, LogError, ParseOptions, PayloadCheck, Rule};

/// Everything that a replayed log says.
#[track_caller]
fn assert_is_alone(found: &BatchReplay<'_, '_>, bytes: &[u8]) {
    let alone = parse(bytes).replay_all().unwrap();
    assert_eq!(found.startup_locality(), alone.startup_locality());
    assert_eq!(found.values(), alone.values());
    let banks: Vec<_> = alone.banks().iter().map(crate::ReplayedBank::bank).collect();
    assert!(found.banks().eq(banks));
    for bank in alone.banks() {
        for pcr in PcrIndex::all() {
            assert_eq!(found.register(bank.bank(), pcr), bank.register(pcr));
        }
    }
    let checks = found.payload_checks().map(|checked| (checked.event, checked.check));
    let events = alone.log().events().filter(Event::extends);
    assert!(checks.eq(events.map(|event| (event.index(), event.payload_check()))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Sound logs and broken ones in any order, twice in the same memory.
    #[test]
    fn a_batch_gives_what_each_log_gives_alone(
        logs in vec((any_log(), any::<Option<(Index, u8)>>()), 0..8),
    ) {
        let logs: Vec<_> = logs
            .iter()
            .map(|(builder, flip)| {
                let mut bytes = builder.finish().unwrap();
                if let Some((at, value)) = flip {
                    let at = at.index(bytes.len());
                    bytes[at] ^= value;
                }
                bytes
            })
            .collect();
        let mut batch = LogBatch::new().check_payloads();
        for _ in 0..2 {
            let mut filled = batch.reuse();
            let pushed: Vec<_> = logs.iter().map(|log| filled.push(log, &ParseOptions::default())).collect();
            let sound = pushed.iter().filter(|pushed| pushed.is_ok()).count();
            prop_assert_eq!(filled.len(), sound);
            let replayed = filled.replay();
            prop_assert_eq!(replayed.logs().count(), sound);
            for (log, pushed) in logs.iter().zip(pushed) {
                match pushed {
                    Ok(place) => assert_is_alone(&replayed.log(place).unwrap(), log),
                    Err(error) => {
                        let alone =
                            EventLog::parse(log, &ParseOptions::default()).and_then(|log| log.replay_all()).unwrap_err();
                        prop_assert_eq!(error, alone);
                    }
                }
            }
            batch = filled.reuse();
        }
    }

    /// Where the quick way reads an event, the thorough one reads the same and goes on at the same place.
    #[test]
    fn the_usual_event_is_read_as_any_other(
        builder in any_log(),
        flips in vec((any::<Index>(), any::<u8>()), 0..3),
        cut in any::<Index>(),
    ) {
        let sound = builder.finish().unwrap();
        let log = parse(&sound);
        let declared = log.header().map_or(&[][..], |header| header.declared_raw);
        let mut bytes = sound.clone();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= value;
        }
        bytes.truncate(cut.index(bytes.len()).max(bytes.len() / 2));
        let offsets: Vec<_> = log.events().map(|event| event.offset()).chain(0..bytes.len().min(40)).collect();
        for offset in offsets.into_iter().filter(|offset| *offset < bytes.len()) {
            for last_register in [4, 23] {
                let begin = Reader::new(&bytes[offset..], offset, "an event");
                let (mut quick, mut thorough) = (begin, begin);
                let read = Event::read_usual(&mut quick, 7, log.declared(), declared, last_register);
                let Some(event) = read else {
                    prop_assert_eq!(quick.offset(), offset);
                    continue;
                };
                let other = Event::read_any(&mut thorough, 7, log.declared(), declared, last_register);
                prop_assert_eq!(Ok(event), other);
                prop_assert_eq!((quick.offset(), quick.rest()), (thorough.offset(), thorough.rest()));
            }
        }
    }
}

/// The property above would hold if the quick way read nothing.
#[test]
fn the_usual_event_is_read_the_quick_way() {
    let bytes = bytes_of(&boot());
    let log = parse(&bytes);
    let declared = log.header().unwrap().declared_raw;
    for event in log.events().skip(1) {
        let mut reader = Reader::new(&bytes[event.offset()..], event.offset(), "an event");
        assert_eq!(Event::read_usual(&mut reader, event.index(), log.declared(), declared, 23), Some(event));
    }
}

#[test]
fn l13_a_missing_digest_is_told_for_each_bank_and_register_of_its_log_only() {
    let whole = bytes_of(&boot());
    let mut builder = LogBuilder::crypto_agile(&[Bank::Sha256, Bank::Sha384]);
    builder.measure(4, EventType::SEPARATOR, &[0; 4]);
    builder.measure(9, EventType::SEPARATOR, &[0; 4]);
    builder.events_mut().last_mut().unwrap().digests.retain(|(id, _)| id.0 == Bank::Sha256.tpm_id());
    let lacking = bytes_of(&builder);
    let mut batch = LogBatch::new();
    let places = [&whole, &lacking, &whole, &lacking].map(|log| batch.push(log, &ParseOptions::default()).unwrap());
    let replayed = batch.replay();
    for (place, lacks) in places.into_iter().zip([false, true, false, true]) {
        let log = replayed.log(place).unwrap();
        assert!(log.register(Bank::Sha384, pcr(4)).value().is_some());
        let register = log.register(Bank::Sha384, pcr(9));
        assert_eq!(register.missing_digest(), lacks.then_some(2));
        assert_eq!(register.value().is_none(), lacks);
        assert!(log.register(Bank::Sha256, pcr(9)).value().is_some());
        let values = log.values();
        assert_eq!(values.get(Bank::Sha384, pcr(9)), None);
        assert_eq!(values.get(Bank::Sha256, pcr(9)).is_some(), lacks);
    }
}

/// A log that breaks a rule only in its replay is let go of as well as one that cannot be read.
#[test]
fn a_log_that_is_refused_leaves_the_batch_as_it_was() {
    let good = bytes_of(&boot());
    let late = bytes_of(
        LogBuilder::crypto_agile(&[Bank::Sha384]).measure(0, EventType::SEPARATOR, &[0; 4]).startup_locality(3),
    );
    let cut = &good[..good.len() - 1];
    let mut batch = LogBatch::new().check_payloads();
    let first = batch.push(&good, &ParseOptions::default()).unwrap();
    assert_eq!(batch.push(&late, &ParseOptions::default()).unwrap_err().code(), "event_log.startup-locality");
    assert_eq!(batch.push(cut, &ParseOptions::default()).unwrap_err().code(), "event_log.truncated");
    assert_eq!(batch.push(&[], &ParseOptions::default()).unwrap_err(), LogError::Empty);
    let log = parse(&good);
    let second = batch.push_log(&log).unwrap();
    let replayed = batch.replay();
    for place in [first, second] {
        assert_is_alone(&replayed.log(place).unwrap(), &good);
    }
    assert_eq!(replayed.logs().count(), 2);
}

/// Each rule that is guessed, and each that is found only after the guess failed.
#[test]
fn payloads_are_checked_in_a_batch_as_alone() {
    let utf16: Vec<u8> = ".linux\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let variable = crate::writer::uefi_variable(super::GLOBAL, "BootOrder", &[1, 0]);
    let mut builder = LogBuilder::crypto_agile(&[Bank::Sha1, Bank::Sha256, Bank::Sha384, Bank::Sha512]);
    builder.measure(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &variable);
    builder.measure_as(1, EventType::EFI_VARIABLE_BOOT, &[1, 0], &variable);
    builder.measure(1, EventType::EFI_VARIABLE_BOOT, &variable);
    builder.measure_as(8, EventType::IPL, b"linux /boot", b"grub_cmd: linux /boot\0");
    builder.measure_as(8, EventType::IPL, b"linux /boot\0", b"grub_cmd: linux /boot\0");
    builder.measure_as(11, EventType::IPL, b".linux\0", &utf16);
    builder.measure_as(8, EventType::IPL, b"other", b"grub_cmd: linux /boot\0");
    builder.measure_as(0, EventType::SEPARATOR, &[1, 0, 0, 0], &[0; 4]);
    builder.measure_as(4, EventType::EFI_BOOT_SERVICES_APPLICATION, b"image", &[0; 32]);
    let bytes = bytes_of(&builder);
    let mut batch = LogBatch::new().check_payloads();
    let place = batch.push(&bytes, &ParseOptions::default()).unwrap();
    let replayed = batch.replay();
    let log = replayed.log(place).unwrap();
    assert_is_alone(&log, &bytes);
    let rules: Vec<_> = log.payload_checks().map(|checked| checked.check.rule()).collect();
    let expected = [
        Some(Rule::EventData),
        Some(Rule::VariableData),
        Some(Rule::EventData),
        Some(Rule::TextAfterPrefix),
        Some(Rule::TextAfterPrefixWithNul),
        Some(Rule::NameInUtf8),
        None,
        None,
        None,
    ];
    assert_eq!(rules, expected);
    let checks: Vec<_> = log.payload_checks().skip(6).map(|checked| checked.check).collect();
    assert_eq!(checks, [PayloadCheck::Mismatch, PayloadCheck::NotCheckable, PayloadCheck::NotCheckable]);
}

/// What is below it, the registers and messages, has a test of its own in the crate `pcr`.
#[test]
fn a_second_batch_of_the_same_size_allocates_nothing() {
    let whole = bytes_of(&boot());
    let mut builder = LogBuilder::crypto_agile(&[Bank::Sha256, Bank::Sha384]);
    builder.measure(9, EventType::SEPARATOR, &[0; 4]);
    builder.events_mut().last_mut().unwrap().digests.retain(|(id, _)| id.0 == Bank::Sha256.tpm_id());
    let lacking = bytes_of(&builder);
    let mut batch = LogBatch::new().check_payloads();
    let mut memory = Vec::new();
    for _ in 0..3 {
        let mut filled = batch.reuse();
        for log in [&whole, &lacking, &whole] {
            filled.push(log, &ParseOptions::default()).unwrap();
        }
        assert!(filled.replay().logs().all(|log| log.payload_checks().count() > 0));
        memory.push(filled.memory());
        batch = filled.reuse();
    }
    assert_eq!(memory[0], memory[1]);
    assert_eq!(memory[1], memory[2]);
}
