//! A mismatch names the one difference that explains it.

use nitrotpm_digest_lanes::{Digest, extend, hash};
use nitrotpm_pcr::{Bank, PcrValues, reset_value};

use super::{bytes_of, parse, pcr};
use crate::writer::{LogBuilder, WrittenEvent};
use crate::{EventType, Explanation, KnownMeasurement, LogError, Rule};

const BANK: Bank = Bank::Sha384;

/// A log of PCR 4 with these measurements: events 1, 2, …
fn log(measured: &[&[u8]]) -> LogBuilder {
    let mut builder = LogBuilder::crypto_agile(&[Bank::Sha256, BANK]);
    measured.iter().for_each(|data| {
        builder.measure(4, EventType::IPL, data);
    });
    builder
}

/// What a register holds after these measurements.
fn holds(index: u8, measured: &[&[u8]]) -> Digest {
    let start = reset_value(BANK, pcr(index));
    measured.iter().fold(start, |value, data| extend(&value, &hash(BANK, &[data])).unwrap())
}

#[track_caller]
fn explained(builder: &LogBuilder, index: u8, expected: Digest) -> Explanation {
    let bytes = bytes_of(builder);
    let replayed = parse(&bytes).replay_all().unwrap();
    let mut authenticated = PcrValues::new();
    authenticated.insert(pcr(index), expected).unwrap();
    match replayed.confirm(&authenticated, [(BANK, pcr(index))]).unwrap_err() {
        LogError::Mismatch { mismatches } => replayed.explain(&mismatches)[0],
        error => panic!("{error}"),
    }
}

const ABCD: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];

#[test]
fn the_log_goes_on_longer_than_the_tpm_saw() {
    let goes_on = |fitting, first_extra| Explanation::LogGoesOn { fitting, first_extra };
    assert_eq!(explained(&log(&ABCD), 4, holds(4, &[b"a", b"b", b"c"])), goes_on(3, 4));
    assert_eq!(explained(&log(&ABCD), 4, holds(4, &[b"a"])), goes_on(1, 2));
}

#[test]
fn one_event_added_dropped_repeated_or_swapped_is_named() {
    for (held, expected) in [
        ([b"a", b"c", b"d"].as_slice(), Explanation::Extra { event: 2 }),
        (&[b"b", b"c", b"d"], Explanation::Extra { event: 1 }),
        (&[b"a", b"b", b"b", b"c", b"d"], Explanation::Repeated { event: 2 }),
        (&[b"a", b"b", b"c", b"d", b"d"], Explanation::Repeated { event: 4 }),
        (&[b"b", b"a", b"c", b"d"], Explanation::Swapped { first: 1, second: 2 }),
        (&[b"d", b"b", b"c", b"a"], Explanation::Swapped { first: 1, second: 4 }),
        (&[b"x", b"b", b"c", b"d"], Explanation::NotFound),
    ] {
        let held: alloc::vec::Vec<&[u8]> = held.iter().map(|data| data.as_slice()).collect();
        assert_eq!(explained(&log(&ABCD), 4, holds(4, &held)), expected);
    }
}

#[test]
fn a_well_known_measurement_that_is_missing_is_named() {
    let exit: [&[u8]; 2] = [b"Exit Boot Services Invocation", b"Exit Boot Services Returned with Success"];
    let missing = |what, after| Explanation::Missing { what, after };
    let separator = KnownMeasurement::Separator;
    for (held, expected) in [
        ([&ABCD[..2], &[&[0; 4]], &ABCD[2..]].concat(), missing(separator, Some(2))),
        ([&[[0; 4].as_slice()], ABCD.as_slice()].concat(), missing(separator, None)),
        ([&ABCD, &exit[..1]].concat(), missing(KnownMeasurement::Action("Exit Boot Services Invocation"), Some(4))),
        ([ABCD.as_slice(), &exit].concat(), Explanation::MissingExitBootServices { after: Some(4) }),
    ] {
        assert_eq!(explained(&log(&ABCD), 4, holds(4, &held)), expected);
    }
}

#[test]
fn a_digest_that_was_changed_is_named_with_the_rule_of_its_data() {
    let mut builder = log(&ABCD);
    builder.events_mut()[2].digests[1].1[0] ^= 1;
    let expected = Explanation::Digest { event: 2, rule: Rule::EventData };
    assert_eq!(explained(&builder, 4, holds(4, &ABCD)), expected);
}

#[test]
fn l12_another_start_is_named() {
    let mut builder = LogBuilder::crypto_agile(&[BANK]);
    builder.measure(0, EventType::SEPARATOR, &[0; 4]).measure(17, EventType::SEPARATOR, &[0; 4]);
    let mut start = [0; 48];
    start[47] = 3;
    let separator = hash(BANK, &[&[0; 4]]);
    let from_3 = extend(&Digest::new(BANK, &start).unwrap(), &separator).unwrap();
    assert_eq!(explained(&builder, 0, from_3), Explanation::Locality { locality: 3 });
    let launched = extend(&Digest::zero(BANK), &separator).unwrap();
    assert_eq!(explained(&builder, 17, launched), Explanation::DynamicLaunch);
}

#[test]
fn l12_a_no_action_event_that_was_extended_is_named() {
    let mut builder = log(&ABCD);
    builder.events_mut().insert(2, WrittenEvent::measured(4, EventType::NO_ACTION, &[BANK], b"x", b"x"));
    let held = holds(4, &[b"a", b"x", b"b", b"c", b"d"]);
    assert_eq!(explained(&builder, 4, held), Explanation::NoActionExtended { event: 2 });
}

#[test]
fn l9_a_bank_that_was_left_out_is_named() {
    assert_eq!(explained(&log(&ABCD), 4, Digest::zero(BANK)), Explanation::NothingExtended);
    assert_eq!(explained(&log(&ABCD), 5, holds(5, &[b"a"])), Explanation::NoEvents);
}

#[test]
fn the_banks_that_do_match_are_named() {
    let bytes = bytes_of(&log(&ABCD));
    let replayed = parse(&bytes).replay_all().unwrap();
    let mut authenticated = PcrValues::new();
    authenticated.insert(pcr(4), *replayed.values().get(Bank::Sha256, pcr(4)).unwrap()).unwrap();
    authenticated.insert(pcr(4), Digest::ones(BANK)).unwrap();
    let error = replayed.confirm(&authenticated, [(BANK, pcr(4)), (Bank::Sha256, pcr(4))]).unwrap_err();
    let LogError::Mismatch { mismatches } = &error else { panic!("{error}") };
    assert_eq!((mismatches.len(), mismatches[0].agreeing_banks.as_slice()), (1, [Bank::Sha256].as_slice()));
    assert!(alloc::format!("{error}").ends_with("it does match in bank sha256"), "{error}");
}

#[test]
fn the_search_ends_on_a_log_that_is_too_long_for_it() {
    let mut builder = log(&[]);
    let event = WrittenEvent::measured(4, EventType::IPL, &[BANK], b"", b"");
    builder.events_mut().resize(6_000, event);
    assert_eq!(explained(&builder, 4, Digest::ones(BANK)), Explanation::SearchEnded);
}
