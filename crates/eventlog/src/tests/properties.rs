//! What holds for every log.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use nitrotpm_digest_lanes::hash;
use nitrotpm_pcr::{Bank, PcrIndex, reset_value};
use proptest::collection::vec;
use proptest::prelude::*;

use super::parse;
use crate::writer::{LogBuilder, WrittenEvent};
use crate::{Decoded, EarlyApplications, EventLog, EventType, Format, ParseOptions, VariableContents};

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

pub(super) fn any_log() -> impl Strategy<Value = LogBuilder> {
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
        event.digests().for_each(|(_, digest)| assert!(!digest.is_empty()));
        let _ = alloc::format!("{event:?} {:?}", event.payload_check());
        assert!(!event.summary().to_string().chars().any(crate::text::is_hidden));
        if let Ok(decoded) = event.decode() {
            use_decoded(decoded);
        }
    }
    let _ = log.quirks();
    let own = log.diff(&log);
    assert!(own.is_err() || own.unwrap().differences().is_empty());
    let Ok(replayed) = log.replay_all() else { return };
    let values = replayed.values();
    if log.format() == Format::Ccel || values.is_empty() {
        return;
    }
    let confirmed = replayed.confirm(&values, values.iter().map(|(bank, index, _)| (bank, index))).unwrap();
    let _ = (confirmed.secure_boot_facts(), confirmed.boot_path(EarlyApplications::Report), confirmed.firmware());
    let _ = (confirmed.grub_command_line(), confirmed.grub_commands(), confirmed.systemd_command_lines());
    let _ = (confirmed.uki(), confirmed.measured_files(), confirmed.shim_lists());
}

/// Walks into what was decoded and shows it: nothing shown has a character that is more than text.
fn use_decoded(decoded: Decoded<'_>) {
    let summary = decoded.to_string();
    assert!(!summary.chars().any(crate::text::is_hidden), "{summary:?}");
    let details = decoded.details(&mut |detail| {
        let shown = alloc::format!("{} {}", detail.name, detail.value);
        assert!(!shown.chars().any(crate::text::is_hidden), "{shown:?}");
        Ok(())
    });
    assert!(details.is_ok());
    let shown = match decoded {
        Decoded::Variable(variable) => {
            let entry = variable.authority_entry().and_then(|entry| entry.certificate_subject());
            let contents = match variable.contents() {
                Ok(VariableContents::SignatureLists(lists)) => lists
                    .entries()
                    .filter_map(|entry| entry.certificate_subject())
                    .map(|name| name.to_string())
                    .collect(),
                Ok(VariableContents::LoadOption(option)) => alloc::format!("{} {}", option.description, option.path),
                Ok(VariableContents::Text(text)) => text.to_string(),
                _ => String::new(),
            };
            alloc::format!("{} {contents} {}", variable.name, entry.map(|name| name.to_string()).unwrap_or_default())
        }
        Decoded::ImageLoad(image) => image.path().map(|path| path.to_string()).unwrap_or_default(),
        Decoded::Gpt(gpt) => gpt.partitions().map(|partition| partition.name.to_string()).collect(),
        Decoded::Windows(events) => alloc::format!("{}", events.events().count()),
        Decoded::Text(text) | Decoded::Grub { text, .. } => text.to_string(),
        Decoded::HandoffTables(tables) => alloc::format!("{}", tables.tables().count()),
        other => other.kind().to_string(),
    };
    assert!(!shown.chars().any(crate::text::is_hidden), "{shown:?}");
}

/// Data that begins as its type prescribes and goes on at random.
fn shaped() -> impl Strategy<Value = (EventType, Vec<u8>)> {
    let random = || vec(any::<u8>(), 0..120);
    let variable = (random(), 0..10_u64, 0..60_u64).prop_map(|(tail, name, data)| {
        let guid = crate::decode::GLOBAL_VARIABLE.to_bytes();
        [guid.as_slice(), &name.to_le_bytes(), &data.to_le_bytes(), &tail].concat()
    });
    let named = (proptest::sample::select(["db", "dbx", "Boot0001", "BootOrder", "SbatLevel"].as_slice()), random())
        .prop_map(|(name, contents)| {
            let guid = if name.starts_with('d') { super::DATABASE } else { super::GLOBAL };
            crate::writer::uefi_variable(guid, name, &contents)
        });
    let image =
        (random(), 0..100_u64).prop_map(|(tail, path)| [[0; 24].as_slice(), &path.to_le_bytes(), &tail].concat());
    let tagged = (0_u32..0x10, 0..60_u32, random()).prop_map(|(family, size, tail)| {
        [(0x4000_0001 | (family << 16)).to_le_bytes().as_slice(), &size.to_le_bytes(), &tail].concat()
    });
    let text = "[ -~\u{80}-\u{10ffff}]{0,30}\u{0}?".prop_map(String::into_bytes);
    prop_oneof![
        variable.prop_map(|data| (EventType::EFI_VARIABLE_BOOT, data)),
        named.prop_map(|data| (EventType::EFI_VARIABLE_DRIVER_CONFIG, data)),
        image.prop_map(|data| (EventType::EFI_BOOT_SERVICES_APPLICATION, data)),
        tagged.prop_map(|data| (EventType::EVENT_TAG, data)),
        text.prop_map(|data| (EventType::IPL, data)),
        (proptest::sample::select(EventType::NAMED), random()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn l8_shaped_payloads_never_panic_and_are_always_escaped(
        events in vec((0..24_u32, shaped(), any::<bool>()), 1..8),
    ) {
        let mut builder = LogBuilder::crypto_agile(&[Bank::Sha256]);
        for (pcr, (event_type, data), proven) in events {
            builder.measure_as(pcr, event_type, if proven { &data } else { b"other" }, &data);
        }
        use_everything(&builder.finish().unwrap());
    }

    #[test]
    fn other_lists_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = (crate::ima::ImaList::parse_binary(&bytes), crate::ima::ImaList::parse_ascii(&bytes));
        let _ = (crate::cel::CelLog::parse_tlv(&bytes), crate::cel::CelLog::parse_json(&bytes));
        let _ = (crate::SignatureLists::parse(&bytes), crate::DevicePath::parse(&bytes).map(|path| path.to_string()));
        let _ = (crate::LoadOption::parse(&bytes), crate::SipaEvents::parse(&bytes), crate::CcelTable::parse(&bytes));
    }
}
