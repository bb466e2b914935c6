//! What holds for every log.

use alloc::vec::Vec;

use nitrotpm_digest_lanes::hash;
use nitrotpm_pcr::{Bank, PcrIndex, reset_value};
use proptest::collection::vec;
use proptest::prelude::*;

use super::parse;
use crate::writer::{LogBuilder, WrittenEvent};
use crate::{EventLog, EventType, Format, ParseOptions};

/// Banks in any order, at least one.
fn banks() -> impl Strategy<Value = Vec<Bank>> {
    Just(Bank::ALL.to_vec())
        .prop_shuffle()
        .prop_flat_map(|banks| (1..=banks.len()).prop_map(move |count| banks.iter().take(count).copied().collect()))
}

fn event(banks: Vec<Bank>, shuffle: bool) -> impl Strategy<Value = WrittenEvent> {
    let order = if shuffle { Just(banks).prop_shuffle().boxed() } else { Just(banks).boxed() };
    let types = prop_oneof![proptest::sample::select(EventType::NAMED), any::<u32>().prop_map(EventType)];
    (0..24_u32, types, order, vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..40)).prop_map(
        |(pcr, event_type, banks, hashed, data)| {
            // Only random data, so that no event is a header or a locality by chance.
            WrittenEvent::measured(pcr, event_type, &banks, &hashed, &data)
        },
    )
}

fn agile_log() -> impl Strategy<Value = LogBuilder> {
    banks().prop_flat_map(|banks| {
        vec(event(banks.clone(), true), 0..20).prop_map(move |events| {
            let mut builder = LogBuilder::crypto_agile(&banks);
            builder.events_mut().extend(events);
            builder
        })
    })
}

fn sha1_log() -> impl Strategy<Value = LogBuilder> {
    vec(event([Bank::Sha1].into(), false), 1..20).prop_map(|events| {
        let mut builder = LogBuilder::sha1();
        builder.events_mut().extend(events);
        builder
    })
}

fn any_log() -> impl Strategy<Value = LogBuilder> {
    prop_oneof![agile_log(), sha1_log()]
}

/// A replay written as the specification says it, register by register.
fn naive_replay(events: &[WrittenEvent], bank: Bank, index: PcrIndex) -> Vec<u8> {
    let hcrtm = events.iter().any(|event| event.pcr == 0 && event.event_type == EventType::EFI_HCRTM_EVENT);
    let mut value = reset_value(bank, index).as_bytes().to_vec();
    if hcrtm && index.get() == 0 {
        *value.last_mut().unwrap() = 4;
    }
    for event in events.iter().filter(|event| event.pcr == u32::from(index.get())) {
        if event.event_type != EventType::NO_ACTION {
            let (_, digest) = event.digests.iter().find(|(id, _)| id.0 == bank.tpm_id()).unwrap();
            value = hash(bank, &[&value, digest]).as_bytes().to_vec();
        }
    }
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn parsing_undoes_writing(builder in any_log()) {
        let bytes = builder.finish().unwrap();
        let log = parse(&bytes);
        let again = LogBuilder::from_log(&log);
        prop_assert_eq!(again.events(), builder.events());
        prop_assert_eq!(again.finish().unwrap(), bytes);
    }

    #[test]
    fn replay_equals_a_naive_model(builder in any_log()) {
        let bytes = builder.finish().unwrap();
        let log = parse(&bytes);
        let written = &builder.events()[usize::from(log.header().is_some())..];
        match log.replay_all() {
            Ok(replayed) => {
                prop_assert_eq!(replayed.banks().len(), log.banks().len());
                for bank in replayed.banks() {
                    for index in PcrIndex::all() {
                        let expected = naive_replay(written, bank.bank(), index);
                        let value = bank.register(index).value().unwrap();
                        prop_assert_eq!(value.as_bytes(), expected);
                    }
                }
            }
            // The one thing that random events can break: an H-CRTM event that is not PCR 0's first.
            Err(error) => {
                prop_assert_eq!(error.code(), "event_log.startup-locality");
                let position = written.iter().filter(|event| event.pcr == 0 && event.event_type != EventType::NO_ACTION)
                    .skip(1).position(|event| event.event_type == EventType::EFI_HCRTM_EVENT);
                prop_assert!(position.is_some());
            }
        }
    }

    #[test]
    fn cut_anywhere_a_log_is_refused_or_whole(builder in any_log(), cut in any::<proptest::sample::Index>()) {
        let bytes = builder.finish().unwrap();
        let length = cut.index(bytes.len());
        let ends: Vec<_> =
            parse(&bytes).events().map(|event| event.data_offset().saturating_add(event.data().len())).collect();
        match EventLog::parse(&bytes[..length], &ParseOptions::default()) {
            Ok(shorter) => prop_assert!(ends.contains(&length) || shorter.tail() != crate::Tail::None),
            Err(_) => prop_assert!(!ends.contains(&length)),
        }
    }

    #[test]
    fn flipped_or_random_bytes_never_panic(builder in any_log(), flips in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = builder.finish().unwrap();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= value;
        }
        use_everything(&bytes);
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        use_everything(&bytes);
        let mut headed = LogBuilder::crypto_agile(&[Bank::Sha1]).finish().unwrap();
        headed.extend(bytes);
        use_everything(&headed);
    }
}

/// Calls all that takes bytes of a log.
fn use_everything(bytes: &[u8]) {
    let Ok(log) = EventLog::parse(bytes, &ParseOptions::default()) else { return };
    assert_eq!(log.events().count(), log.event_count());
    for event in log.events() {
        let _ = alloc::format!("{event:?} {:?} {:?}", event.decode(), event.payload_check());
        event.digests().for_each(|(_, digest)| assert!(!digest.is_empty()));
    }
    let Ok(replayed) = log.replay_all() else { return };
    let values = replayed.values();
    if log.format() != Format::Ccel && !values.is_empty() {
        let confirmed = replayed.confirm(&values, values.iter().map(|(bank, index, _)| (bank, index))).unwrap();
        let _ = confirmed.secure_boot();
    }
}
