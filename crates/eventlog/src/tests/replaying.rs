//! From events to values, and their comparison with authenticated ones.

use alloc::string::ToString;

use nitrotpm_digest_lanes::{extend, hash};
use nitrotpm_pcr::{Bank, Digest, PcrIndex, PcrValues, reset_value};

use super::{boot, bytes_of, confirmed, parse, pcr};
use crate::writer::{LogBuilder, WrittenEvent};
use crate::{EventLog, EventType, LogError};

fn values(of: &[(u8, Digest)]) -> PcrValues {
    let mut values = PcrValues::new();
    of.iter().for_each(|(index, value)| values.insert(pcr(*index), *value).unwrap());
    values
}

#[track_caller]
fn value(bytes: &[u8], bank: Bank, index: u8) -> Digest {
    parse(bytes).replay(bank).unwrap().register(pcr(index)).value().unwrap()
}

fn separator(start: Digest) -> Digest {
    extend(&start, &hash(start.algorithm(), &[&[0; 4]])).unwrap()
}

#[test]
fn replay_extends_in_order_and_counts() {
    let bytes = bytes_of(&boot());
    let replayed = parse(&bytes).replay_all().unwrap();
    for bank in [Bank::Sha256, Bank::Sha384] {
        let register = replayed.bank(bank).unwrap().register(pcr(4));
        let first = hash(bank, &[b"Calling EFI Application from Boot Option"]);
        let after = separator(extend(&Digest::zero(bank), &first).unwrap());
        assert_eq!(register.value(), Some(extend(&after, &hash(bank, &[b"image"])).unwrap()));
        assert_eq!(register.extends(), 3);
    }
    let with_events: alloc::vec::Vec<_> =
        replayed.banks()[0].with_events().map(|(index, register)| (index.get(), register.extends())).collect();
    assert_eq!(with_events, [(0, 2), (4, 3), (5, 2), (7, 7)]);
    assert_eq!(replayed.values().len(), 8);
    assert_eq!(parse(&bytes).replay(Bank::Sha512).unwrap_err(), LogError::BankNotInLog { bank: Bank::Sha512 });
}

#[test]
fn l12_no_action_events_never_extend() {
    let mut builder = LogBuilder::crypto_agile(&[Bank::Sha384]);
    builder.measure(0, EventType::SEPARATOR, &[0; 4]);
    let twin = value(&bytes_of(&builder), Bank::Sha384, 0);
    builder.record(0, EventType::NO_ACTION, &[hash(Bank::Sha384, &[b"x"])], b"x");
    assert_eq!(value(&bytes_of(&builder), Bank::Sha384, 0), twin);
    builder.record(0, EventType::UNUSED, &[hash(Bank::Sha384, &[b"x"])], b"x");
    assert_ne!(value(&bytes_of(&builder), Bank::Sha384, 0), twin);
}

#[test]
fn l12_startup_locality_is_the_last_byte_of_pcr_0() {
    for locality in [0, 3, 4] {
        let mut builder = LogBuilder::crypto_agile(&[Bank::Sha256, Bank::Sha384]);
        builder.startup_locality(locality).measure(0, EventType::SEPARATOR, &[0; 4]);
        builder.measure(1, EventType::SEPARATOR, &[0; 4]);
        let bytes = bytes_of(&builder);
        for bank in [Bank::Sha256, Bank::Sha384] {
            let mut start = alloc::vec![0; bank.digest_len()];
            *start.last_mut().unwrap() = locality;
            assert_eq!(value(&bytes, bank, 0), separator(Digest::new(bank, &start).unwrap()));
            assert_eq!(value(&bytes, bank, 1), separator(Digest::zero(bank)));
        }
        assert_eq!(parse(&bytes).replay_all().unwrap().startup_locality(), locality);
    }
}

#[test]
fn l12_startup_locality_that_is_late_second_odd_or_elsewhere_is_refused() {
    let base = || LogBuilder::crypto_agile(&[Bank::Sha384]);
    let replay =
        |builder: &LogBuilder| parse(&bytes_of(builder)).replay_all().map(|replayed| replayed.startup_locality());
    let accepted = base().startup_locality(3).measure(0, EventType::SEPARATOR, &[0; 4]).clone();
    assert_eq!(replay(&accepted), Ok(3));
    let signature = b"StartupLocality\0";
    for refused in [
        base().measure(0, EventType::SEPARATOR, &[0; 4]).startup_locality(3),
        base().startup_locality(3).startup_locality(3),
        base().startup_locality(0).startup_locality(0),
        base().startup_locality(1),
        base().startup_locality(2),
        base().startup_locality(5),
        base().no_action(1, &[signature.as_slice(), &[3]].concat()),
        base().no_action(u32::MAX, &[signature.as_slice(), &[3]].concat()),
    ] {
        assert_eq!(replay(refused).unwrap_err().code(), "event_log.startup-locality");
    }
    for data in [signature.as_slice(), b"StartupLocality\0\x03\0x"] {
        assert_eq!(replay(base().no_action(0, data)).unwrap_err().code(), "event_log.malformed");
    }
    // coreboot pads with zeros; extends of other registers before it do no harm.
    assert_eq!(replay(base().no_action(0, b"StartupLocality\0\x03\0\0\0")), Ok(3));
    assert_eq!(replay(base().measure(7, EventType::SEPARATOR, &[0; 4]).startup_locality(3)), Ok(3));
}

#[test]
fn l12_an_h_crtm_event_means_locality_4() {
    let base = || LogBuilder::crypto_agile(&[Bank::Sha384]);
    let replay =
        |builder: &LogBuilder| parse(&bytes_of(builder)).replay_all().map(|replayed| replayed.startup_locality());
    let hcrtm =
        |builder: &mut LogBuilder| builder.measure_as(0, EventType::EFI_HCRTM_EVENT, b"contents", b"HCRTM").clone();
    let bytes = bytes_of(&hcrtm(&mut base()));
    let mut start = [0; 48];
    start[47] = 4;
    let start = Digest::new(Bank::Sha384, &start).unwrap();
    assert_eq!(value(&bytes, Bank::Sha384, 0), extend(&start, &hash(Bank::Sha384, &[b"contents"])).unwrap());
    assert_eq!(replay(&hcrtm(base().startup_locality(4))), Ok(4));
    for refused in [
        hcrtm(base().startup_locality(3)),
        hcrtm(base().startup_locality(0)),
        hcrtm(base().measure(0, EventType::S_CRTM_VERSION, b"1")),
    ] {
        assert_eq!(replay(&refused).unwrap_err().code(), "event_log.startup-locality");
    }
}

#[test]
fn l12_dynamic_launch_registers_start_at_ones() {
    let mut builder = LogBuilder::crypto_agile(&[Bank::Sha384]);
    builder.measure(17, EventType::SEPARATOR, &[0; 4]).measure(16, EventType::SEPARATOR, &[0; 4]);
    let bytes = bytes_of(&builder);
    assert_eq!(value(&bytes, Bank::Sha384, 17), separator(Digest::ones(Bank::Sha384)));
    assert_eq!(value(&bytes, Bank::Sha384, 16), separator(Digest::zero(Bank::Sha384)));
}

#[test]
fn l10_every_requested_register_of_every_bank_must_match() {
    let bytes = bytes_of(&boot());
    let replayed = parse(&bytes).replay_all().unwrap();
    let good = replayed.values();
    let requested =
        || [Bank::Sha256, Bank::Sha384].into_iter().flat_map(|bank| [0, 4, 7].map(|index| (bank, pcr(index))));
    assert!(replayed.confirm(&good, requested()).is_ok());

    let mut wrong = PcrValues::new();
    for (bank, index, value) in good.iter() {
        let value = if (bank, index.get()) == (Bank::Sha384, 4) { Digest::ones(bank) } else { *value };
        wrong.insert(index, value).unwrap();
    }
    let error = replayed.confirm(&wrong, requested()).unwrap_err();
    let LogError::Mismatch { mismatches } = &error else { panic!("{error}") };
    assert_eq!(mismatches.len(), 1);
    assert_eq!((mismatches[0].bank, mismatches[0].pcr.get(), mismatches[0].events), (Bank::Sha384, 4, 3));
    assert_eq!(mismatches[0].expected, Digest::ones(Bank::Sha384));
    assert_eq!(Some(&mismatches[0].replayed), good.get(Bank::Sha384, pcr(4)));
    assert!(error.to_string().contains("PCR 4 of bank sha384"));
    assert!(replayed.confirm(&wrong, [(Bank::Sha256, pcr(4))]).is_ok());
}

#[test]
fn l11_a_register_without_events_passes_only_with_its_reset_value() {
    let bytes = bytes_of(&boot());
    let replayed = parse(&bytes).replay_all().unwrap();
    for index in [12, 17] {
        let requested = [(Bank::Sha384, pcr(index))];
        let reset = reset_value(Bank::Sha384, pcr(index));
        assert!(replayed.confirm(&values(&[(index, reset)]), requested).is_ok());
        let error = replayed.confirm(&values(&[(index, separator(reset))]), requested).unwrap_err();
        assert!(matches!(&error, LogError::Mismatch { mismatches } if mismatches[0].events == 0), "{error}");
    }
}

#[test]
fn l9_a_bank_that_the_log_does_not_cover_is_an_error() {
    let bytes = bytes_of(&boot());
    let replayed = parse(&bytes).replay_all().unwrap();
    let sha1 = values(&[(7, Digest::zero(Bank::Sha1))]);
    let error = replayed.confirm(&sha1, [(Bank::Sha1, pcr(7))]).unwrap_err();
    assert_eq!(error, LogError::BankNotInLog { bank: Bank::Sha1 });
}

#[test]
fn a_register_that_nothing_authenticates_is_never_matched() {
    let bytes = bytes_of(&boot());
    let replayed = parse(&bytes).replay_all().unwrap();
    let only_pcr4 = values(&[(4, value(&bytes, Bank::Sha384, 4))]);
    assert!(replayed.confirm(&only_pcr4, [(Bank::Sha384, pcr(4))]).is_ok());
    let error = replayed.confirm(&only_pcr4, [(Bank::Sha384, pcr(4)), (Bank::Sha384, pcr(7))]).unwrap_err();
    assert_eq!(error, LogError::NotAuthenticated { bank: Bank::Sha384, pcr: pcr(7) });
    let none: [(Bank, PcrIndex); 0] = [];
    assert_eq!(replayed.confirm(&only_pcr4, none).unwrap_err(), LogError::NothingRequested);
}

#[test]
fn l13_an_event_without_the_banks_digest_is_an_error_for_its_register() {
    let mut builder = boot();
    builder.push(WrittenEvent::measured(5, EventType::EFI_ACTION, &[Bank::Sha256], b"late", b"late"));
    let bytes = bytes_of(&builder);
    let replayed = parse(&bytes).replay_all().unwrap();
    let register = replayed.bank(Bank::Sha384).unwrap().register(pcr(5));
    assert_eq!((register.value(), register.missing_digest(), register.extends()), (None, Some(15), 2));
    assert!(replayed.values().get(Bank::Sha384, pcr(5)).is_none());

    let mut authenticated = replayed.values();
    authenticated.insert(pcr(5), value(&bytes_of(&boot()), Bank::Sha384, 5)).unwrap();
    let error = replayed.confirm(&authenticated, [(Bank::Sha384, pcr(5))]).unwrap_err();
    let offset = parse(&bytes).event(15).unwrap().offset();
    assert_eq!(error, LogError::MissingDigest { bank: Bank::Sha384, pcr: pcr(5), event: 15, offset });
    assert!(replayed.confirm(&authenticated, [(Bank::Sha256, pcr(5)), (Bank::Sha384, pcr(7))]).is_ok());
}

#[test]
fn l24_a_log_that_measures_nothing_confirms_nothing() {
    let builder = LogBuilder::crypto_agile(&[Bank::Sha384]);
    let bytes = bytes_of(&builder);
    let replayed = parse(&bytes).replay_all().unwrap();
    let zero = values(&[(4, Digest::zero(Bank::Sha384))]);
    assert_eq!(replayed.confirm(&zero, [(Bank::Sha384, pcr(4))]).unwrap_err(), LogError::NothingMeasured);
    let mut builder = builder;
    let bytes = bytes_of(builder.measure(0, EventType::SEPARATOR, &[0; 4]));
    assert!(parse(&bytes).replay_all().unwrap().confirm(&zero, [(Bank::Sha384, pcr(4))]).is_ok());
}

#[test]
fn a_ccel_log_is_never_compared_with_pcrs() {
    let bytes = bytes_of(LogBuilder::ccel(&[Bank::Sha384]).measure(1, EventType::SEPARATOR, &[0; 4]));
    let replayed = parse(&bytes).replay_all().unwrap();
    let error = replayed.confirm(&replayed.values(), [(Bank::Sha384, pcr(1))]).unwrap_err();
    assert_eq!(error.code(), "event_log.format");
    assert_eq!(value(&bytes, Bank::Sha384, 1), separator(Digest::zero(Bank::Sha384)));
}

#[test]
fn events_of_a_register_that_was_not_confirmed_are_not_given() {
    let bytes = bytes_of(&boot());
    let log = confirmed(&bytes, Bank::Sha384, &[4]);
    assert_eq!(log.events_of(pcr(4)).count(), 3);
    assert_eq!(log.events_of(pcr(7)).count(), 0);
    assert_eq!(log.confirmed(), [(Bank::Sha384, pcr(4))]);
    let _: &EventLog<'_> = log.log();
}
