//! Canonical event logs in CBOR.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use nitrotpm_digest_lanes::{extend, hash};
use nitrotpm_pcr::Bank;
use proptest::prelude::*;

use super::{boot, bytes_of, parse, pcr};
use crate::cel::{CelContent, CelLog, CelRegister};
use crate::{AlgorithmId, EventType, LogError};

/// A record written out by hand: number, PCR, one digest of SHA-256, then what is given.
fn record(number: u8, pcr: u8, digest: &[u8], content_type: u8, content: &[u8]) -> Vec<u8> {
    // {0: number, 1: pcr, 3: [{0: 11, 1: digest}], 9: type, 10: content}
    let content_type = if content_type < 24 { vec![content_type] } else { vec![0x18, content_type] };
    [&[0xA5, 0, number, 1, pcr, 3, 0x81, 0xA2, 0, 0x0B, 1, 0x58, 0x20], digest, &[9], &content_type, &[10], content]
        .concat()
}

fn sha256(data: &[u8]) -> Vec<u8> {
    hash(Bank::Sha256, &[data]).as_bytes().to_vec()
}

/// `{0: EV_SEPARATOR, 1: h'00000000'}`
const SEPARATOR: &[u8] = &[0xA2, 0, 4, 1, 0x44, 0, 0, 0, 0];

fn records() -> Vec<Vec<u8>> {
    vec![
        // {0: 1, 1: {0: 1, 1: 1}}: version 1.1.
        record(0, 4, &[0; 32], 4, &[0xA2, 0, 1, 1, 0xA2, 0, 1, 1, 1]),
        record(1, 4, &sha256(&[0; 4]), 5, SEPARATOR),
        // {0: "ima-ng", 1: 'template'}
        record(0, 10, &sha256(b"template"), 7, b"\xA2\x00\x66ima-ng\x01\x48template"),
        record(0, 11, &sha256(b"enter-initrd"), 9, b"\x4Center-initrd"),
        // 200: [1, {"a": null}]
        record(0, 13, &sha256(b"x"), 200, b"\x82\x01\xA1\x61a\xF6"),
    ]
}

fn array(records: &[Vec<u8>]) -> Vec<u8> {
    [&[0x80 | u8::try_from(records.len()).unwrap()][..], &records.concat()].concat()
}

#[test]
fn cbor_is_read_as_an_array_and_as_a_sequence() {
    let log = CelLog::parse(&array(&records())).unwrap();
    assert_eq!(log, CelLog::parse(&records().concat()).unwrap());
    let contents: Vec<_> = log.records().iter().map(|record| record.content.clone()).collect();
    assert_eq!(
        contents,
        [
            CelContent::Management { kind: Some(1), value: vec![0xA2, 0, 1, 1, 0xA2, 0, 1, 1, 1] },
            CelContent::PcClient { event_type: EventType::SEPARATOR, data: vec![0; 4] },
            CelContent::ImaTemplate { name: b"ima-ng".to_vec(), data: b"template".to_vec() },
            CelContent::Systemd { string: "enter-initrd".into(), kind: None },
            CelContent::Cbor { content_type: 200, value: b"\x82\x01\xA1\x61a\xF6".to_vec() },
        ]
    );
    let second = &log.records()[1];
    assert_eq!((second.number, second.register), (Some(1), CelRegister::Pcr(pcr(4))));
    assert_eq!(second.digests, [(AlgorithmId(0x0B), sha256(&[0; 4]))]);
    let checks: Vec<_> = log.records().iter().map(|record| record.payload_check().name()).collect();
    assert_eq!(checks, ["not-checkable", "verified", "verified", "verified", "not-checkable"]);
    assert_eq!(log.to_cbor().unwrap(), array(&records()));

    // A type by its name, and an index of non-volatile memory.
    let named = record(0, 4, &sha256(&[0; 4]), 5, b"\xA2\x00\x6CEV_SEPARATOR\x01\x44\0\0\0\0");
    assert_eq!(CelLog::parse(&named).unwrap().records()[0].content, contents[1]);
    let mut indexed = record(0, 4, &[7; 32], 9, b"\x41x");
    indexed.splice(3..5, [2, 0x1A, 0x01, 0xC0, 0x00, 0x02]);
    assert_eq!(CelLog::parse(&indexed).unwrap().records()[0].register, CelRegister::NvIndex(0x01C0_0002));
}

#[test]
fn l1_l6_cbor_that_is_cut_or_breaks_a_rule_is_refused() {
    let whole = array(&records());
    for length in 0..whole.len() {
        assert!(CelLog::parse_cbor(&whole[..length]).is_err(), "{length}");
    }
    let sequence = records().concat();
    let between: Vec<_> = (1..sequence.len()).filter(|length| CelLog::parse(&sequence[..*length]).is_ok()).collect();
    assert_eq!(between.len(), 4, "only between two records");
    let longer = [&whole[..], &[0]].concat();
    assert_eq!(CelLog::parse(&longer).unwrap_err().code(), "event_log.trailing-bytes");

    let good = record(0, 4, &[7; 32], 5, SEPARATOR);
    assert!(CelLog::parse(&good).is_ok());
    for (at, bytes, what) in [
        (0, &[0xA4][..], "four entries"),
        (0, &[0xBF], "a map of indefinite length"),
        (1, &[1], "another first key"),
        (2, &[0x20], "a negative number"),
        (2, &[0x18, 0], "a number that has a shorter form"),
        (3, &[3], "no register"),
        (4, &[24], "a head that is cut: 24 is not a number but a length"),
        (4, &[0x18, 24], "PCR 24"),
        (5, &[4], "no digests"),
        (6, &[0x80], "no digest"),
        (7, &[0xA1], "half a digest"),
        (9, &[0x0C], "a digest of another length"),
        (9, &[0x1A, 0, 1, 0, 0], "an algorithm of more than 16 bits"),
        (11, &[0x78], "text for bytes"),
        (45, &[8], "no type of content"),
        (47, &[11], "no content"),
        (48, &[0xA1], "half an event"),
    ] {
        let mut bad = good.clone();
        bad.splice(at..=at, bytes.iter().copied());
        let error = CelLog::parse_cbor(&bad).unwrap_err();
        assert!(matches!(error.code(), "event_log.cel-record" | "event_log.truncated"), "{what}: {error}");
        assert!(error.offset().unwrap() <= bad.len(), "{what}: {error}");
    }
    // Lengths and counts of 2^64 - 1.
    for at in [0, 6, 7, 11, 48] {
        let mut bad = good.clone();
        bad.splice(at..=at, [good[at] & 0xE0 | 27].into_iter().chain([0xFF; 8]));
        assert!(CelLog::parse_cbor(&bad).is_err(), "{at}");
    }
    let twice = b"\xA2\0\x0B\x01\x58\x20";
    let mut digests = good.clone();
    digests.splice(6..7, [0x82].into_iter().chain(*twice).chain([7; 32]));
    assert!(CelLog::parse(&digests).unwrap_err().to_string().contains("two digests"), "L5");
    for unknown in [[0x81_u8; 100].as_slice(), &[0xC1; 100], &[0x5F], &[0xFF], &[0x1C]] {
        assert!(CelLog::parse(&record(0, 4, &[7; 32], 200, unknown)).is_err());
    }
    assert_eq!(CelLog::parse(&[0x80]).unwrap_err(), LogError::Empty);
    let back = [record(1, 4, &[7; 32], 5, SEPARATOR), record(1, 4, &[7; 32], 5, SEPARATOR)].concat();
    assert_eq!(CelLog::parse(&back).unwrap_err().code(), "event_log.cel-record");
}

/// In each encoding: what is not measured is not extended, and all else is.
#[test]
fn l12_records_about_the_log_itself_are_not_extended() {
    let bytes = bytes_of(&boot());
    let replayed = parse(&bytes).replay_all().unwrap();
    let tlv =
        |kind: u8, value: &[u8]| [&[kind][..], &u32::try_from(value.len()).unwrap().to_be_bytes(), value].concat();
    let in_tlv = |content: &[u8]| {
        let digests = tlv(3, &tlv(0x0B, &[7; 32]));
        CelLog::parse(&[tlv(0, &[0]), tlv(1, &[4]), digests, content.to_vec()].concat()).unwrap()
    };
    let in_json = |content: &str| {
        let digest = "07".repeat(32);
        let record = alloc::format!(
            r#"{{"recnum":0,"pcr":4,"digests":[{{"hashAlg":"sha256","digest":"{digest}"}}],{content}}}"#
        );
        CelLog::parse(record.as_bytes()).unwrap()
    };
    let in_cbor =
        |content_type: u8, content: &[u8]| CelLog::parse(&record(0, 4, &[7; 32], content_type, content)).unwrap();
    let not_measured = [
        in_cbor(4, &[0xA1, 0, 2]),
        in_cbor(5, &[0xA2, 0, 3, 1, 0x40]),
        in_tlv(&tlv(4, &tlv(1, &[1, 0]))),
        in_tlv(&tlv(4, &tlv(2, b""))),
        in_tlv(&tlv(5, &[tlv(0, &[3]), tlv(1, b"")].concat())),
        in_json(r#""content_type":"cel","content":{"type":"firmware_end"}"#),
        in_json(r#""content_type":"cel","content":{"type":1,"data":{"major":1,"minor":1}}"#),
        in_json(r#""content_type":"pcclient_std","content":{"event_type":"EV_NO_ACTION","event_data":""}"#),
    ];
    let measured = [
        in_cbor(4, &[0xA2, 0, 0x18, 81, 1, 2]),
        in_cbor(5, SEPARATOR),
        in_tlv(&tlv(4, &tlv(80, &[1]))),
        in_tlv(&tlv(4, b"no shape that is known")),
        in_json(r#""content_type":"cel","content":{"type":"state_trans","data":"kexec"}"#),
    ];
    let before = replayed.bank(Bank::Sha256).unwrap().register(pcr(4)).value().unwrap();
    let seventh = nitrotpm_digest_lanes::Digest::new(Bank::Sha256, &[7; 32]).unwrap();
    let value = |log: &CelLog| replayed.clone().followed_by(log).bank(Bank::Sha256).unwrap().register(pcr(4)).value();
    for log in &not_measured {
        assert_eq!(value(log), Some(before), "{log:?}");
    }
    for log in &measured {
        assert_eq!(value(log), extend(&before, &seventh).ok(), "{log:?}");
    }
}

#[test]
fn what_other_encodings_alone_know_is_not_written() {
    let systemd = r#"{"pcr":11,"digests":[{"hashAlg":"sha256","digest":"DIGEST"}],"content_type":"systemd","content":{"string":"x"}}"#
        .replace("DIGEST", &"07".repeat(32));
    let problem = |log: CelLog| log.to_cbor().unwrap_err().to_string();
    assert!(problem(CelLog::parse(systemd.as_bytes()).unwrap()).contains("no number"));
    let numbered = systemd.replacen('{', r#"{"recnum":0,"#, 1);
    let written = CelLog::parse(numbered.as_bytes()).unwrap().to_cbor().unwrap();
    assert_eq!(written, array(&[record(0, 11, &[7; 32], 9, b"\x41x")]));
    let other = numbered.replace("systemd", "other");
    assert!(problem(CelLog::parse(other.as_bytes()).unwrap()).contains("another encoding"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn parsing_cbor_undoes_writing_it(
        number in any::<u64>(), index in 0..24_u8, digest in proptest::collection::vec(any::<u8>(), 32),
        event_type in any::<u32>(), data in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut log = CelLog::parse(&record(0, index, &digest, 5, SEPARATOR)).unwrap().records()[0].clone();
        log.number = Some(number);
        log.content = CelContent::PcClient { event_type: EventType(event_type), data };
        let log = CelLog::from_records(vec![log]).unwrap();
        let bytes = log.to_cbor().unwrap();
        prop_assert_eq!(CelLog::parse(&bytes).unwrap(), log);
    }

    #[test]
    fn random_cbor_never_panics_and_is_written_as_it_was_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(log) = CelLog::parse_cbor(&bytes) {
            prop_assert!(log.to_cbor().is_ok());
        }
    }
}
