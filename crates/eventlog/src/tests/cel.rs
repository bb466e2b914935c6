//! Canonical event logs: both encodings, and their replay after the firmware's log.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use nitrotpm_digest_lanes::{Digest, extend, hash};
use nitrotpm_pcr::{Bank, PcrValues};

use super::{boot, bytes_of, parse, pcr};
use crate::cel::{CelContent, CelLog, CelRegister};
use crate::{AlgorithmId, EventType, Explanation, LogError};

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [[kind].as_slice(), &u32::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

fn digests(hashed: &[u8]) -> Vec<u8> {
    let one = |id, bank| tlv(id, hash(bank, &[hashed]).as_bytes());
    tlv(3, &[one(0x0B, Bank::Sha256), one(0x0C, Bank::Sha384)].concat())
}

fn record(number: u64, pcr: u8, hashed: &[u8], content: &[u8]) -> Vec<u8> {
    [tlv(0, &number.to_be_bytes()), tlv(1, &[pcr]), digests(hashed), content.to_vec()].concat()
}

fn pc_client(event_type: EventType, data: &[u8]) -> Vec<u8> {
    tlv(5, &[tlv(0, &event_type.0.to_be_bytes()), tlv(1, data)].concat())
}

fn tlv_log() -> Vec<u8> {
    [
        record(0, 4, &[0; 4], &pc_client(EventType::SEPARATOR, &[0; 4])),
        record(1, 10, b"template", &tlv(7, &[tlv(0, b"ima-ng"), tlv(1, b"template")].concat())),
        record(2, 13, &tlv(80, b"launch"), &tlv(80, b"launch")),
        record(3, 11, b"enter-initrd", &tlv(9, b"enter-initrd\0")),
        record(4, 11, b"x", &tlv(4, b"management")),
    ]
    .concat()
}

#[test]
fn tlv_records_are_read_and_checked() {
    let bytes = tlv_log();
    let log = CelLog::parse(&bytes).unwrap();
    assert_eq!(
        log.records().iter().map(|record| record.number).collect::<Vec<_>>(),
        (0..5).map(Some).collect::<Vec<_>>()
    );
    let checks: Vec<_> = log.records().iter().map(|record| record.payload_check().name()).collect();
    assert_eq!(checks, ["verified", "verified", "verified", "verified", "not-checkable"]);
    let separator = CelContent::PcClient { event_type: EventType::SEPARATOR, data: vec![0; 4] };
    assert_eq!((log.records()[0].register, &log.records()[0].content), (CelRegister::Pcr(pcr(4)), &separator));
    assert_eq!(log.records()[3].content, CelContent::Systemd { string: "enter-initrd".into(), kind: None });
    assert_eq!(log.records()[0].digests[0].0, AlgorithmId(0x0B));

    let lie = record(0, 4, b"one", &pc_client(EventType::SEPARATOR, b"two"));
    assert_eq!(CelLog::parse(&lie).unwrap().records()[0].payload_check().name(), "mismatch");
}

#[test]
fn l1_l6_tlv_that_is_cut_or_breaks_a_rule_is_refused() {
    let bytes = tlv_log();
    let lengths: Vec<usize> = (0..bytes.len()).filter(|length| CelLog::parse_tlv(&bytes[..*length]).is_ok()).collect();
    assert_eq!(lengths.len(), 4, "only between two records");
    let good = record(0, 4, b"x", &tlv(4, b""));
    assert!(CelLog::parse(&good).is_ok());
    let replaced = |at: usize, value: u8| {
        let mut bad = good.clone();
        bad[at] = value;
        CelLog::parse_tlv(&bad).unwrap_err().code()
    };
    // The sequence, the register's type and number, the digests' type, an algorithm's length.
    for (at, value) in [(0, 9), (13, 9), (18, 24), (19, 9), (24, 0x0C), (24, 0x04)] {
        assert_eq!(replaced(at, value), "event_log.cel-record", "{at}");
    }
    assert_eq!(replaced(20, 0xFF), "event_log.truncated");
    for content in [tlv(5, b""), tlv(5, &[tlv(0, &[1; 4]), tlv(1, b""), tlv(2, b"")].concat())] {
        assert!(CelLog::parse(&record(0, 4, b"x", &content)).is_err());
    }
    assert_eq!(
        CelLog::parse(&record(0, 4, b"x", &tlv(5, &[tlv(1, b""), tlv(0, b"")].concat()))).unwrap_err().code(),
        "event_log.cel-record"
    );
    let twice = [tlv(0, &[0]), tlv(1, &[4]), tlv(3, &[tlv(0x0B, &[0; 32]), tlv(0x0B, &[0; 32])].concat()), tlv(4, b"")]
        .concat();
    assert_eq!(CelLog::parse(&twice).unwrap_err().code(), "event_log.cel-record");
    let none = [tlv(0, &[0]), tlv(1, &[4]), tlv(3, b""), tlv(4, b"")].concat();
    assert_eq!(CelLog::parse(&none).unwrap_err().code(), "event_log.cel-record");
    let back = [record(1, 4, b"x", &tlv(4, b"")), record(1, 4, b"x", &tlv(4, b""))].concat();
    assert_eq!(CelLog::parse(&back).unwrap_err().code(), "event_log.cel-record");
    // Some writers count for each register on its own.
    let each = [record(1, 4, b"x", &tlv(4, b"")), record(1, 5, b"x", &tlv(4, b""))].concat();
    assert!(CelLog::parse(&each).is_ok());
    assert_eq!(CelLog::parse(&[]).unwrap_err(), LogError::Empty);
}

/// A record as systemd writes it.
fn systemd(pcr: u8, string: &str) -> String {
    format!(
        r#"{{"pcr":{pcr},"digests":[{{"hashAlg":"sha256","digest":"{}"}},{{"hashAlg":"sha384","digest":"{}"}}],"content_type":"systemd","content":{{"string":"{string}","bootId":"0","timestamp":1,"eventType":"phase"}}}}"#,
        hash(Bank::Sha256, &[string.as_bytes()]),
        hash(Bank::Sha384, &[string.as_bytes()]),
    )
}

#[test]
fn json_is_read_as_an_array_as_lines_and_as_a_sequence() {
    let (first, second) = (systemd(11, "enter-initrd"), systemd(11, "leave-initrd"));
    let forms =
        [format!("[{first},{second}]"), format!("{first}\n{second}\n"), format!("\u{1e}{first}\n\u{1e}{second}\n")];
    let logs: Vec<_> = forms.iter().map(|form| CelLog::parse(form.as_bytes()).unwrap()).collect();
    assert!(logs.iter().all(|log| *log == logs[0]));
    assert_eq!(logs[0].records().len(), 2);
    let expected = CelContent::Systemd { string: "leave-initrd".into(), kind: Some("phase".into()) };
    assert_eq!((&logs[0].records()[1].content, logs[0].records()[1].payload_check().name()), (&expected, "verified"));
    let firmware = format!(
        r#"{{"recnum":7,"pcr":4,"digests":[{{"hashAlg":"sha256","digest":"{}"}}],"content_type":"pcclient_std","content":{{"event_type":"EV_SEPARATOR","event_data":"00000000"}}}}"#,
        hash(Bank::Sha256, &[&[0; 4]])
    );
    let log = CelLog::parse(firmware.as_bytes()).unwrap();
    assert_eq!((log.records()[0].number, log.records()[0].payload_check().name()), (Some(7), "verified"));
}

#[test]
fn json_that_breaks_a_rule_is_refused() {
    let good = systemd(11, "enter-initrd");
    for (from, to) in [
        (r#""pcr":11"#, r#""pcr":24"#),
        (r#""pcr":11"#, r#""pcr":11,"pcr":12"#),
        (r#""pcr":11"#, r#""pcr":11,"nv_index":1"#),
        (r#""pcr":11"#, r#""other":11"#),
        (r#""sha384""#, r#""sha256""#),
        (r#""sha384""#, r#""sha999""#),
        (r#""digest":""#, r#""digest":"0"#),
        (r#""string""#, r#""other""#),
        ("}}", "}"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        let error = CelLog::parse_json(bad.as_bytes()).unwrap_err();
        assert_eq!(error.code(), "event_log.cel-record", "{to}: {error}");
    }
    for length in 0..good.len() {
        assert!(CelLog::parse_json(&good.as_bytes()[..length]).is_err());
    }
}

#[test]
fn a_log_of_software_goes_on_where_the_firmwares_ends() {
    let bytes = bytes_of(&boot());
    let replayed = parse(&bytes).replay_all().unwrap();
    let software = CelLog::parse(format!("{}\n{}", systemd(11, "enter-initrd"), systemd(4, "x")).as_bytes()).unwrap();
    let both = replayed.clone().followed_by(&software);
    for bank in [Bank::Sha256, Bank::Sha384] {
        let before = replayed.bank(bank).unwrap().register(pcr(4)).value().unwrap();
        let after = extend(&before, &hash(bank, &[b"x"])).unwrap();
        assert_eq!(both.bank(bank).unwrap().register(pcr(4)).value(), Some(after));
        let phase = extend(&Digest::zero(bank), &hash(bank, &[b"enter-initrd"])).unwrap();
        assert_eq!(both.bank(bank).unwrap().register(pcr(11)).value(), Some(phase));
    }
    let requested = [(Bank::Sha384, pcr(11))];
    assert!(both.confirm(&both.values(), requested).is_ok());
    let mut wrong = PcrValues::new();
    wrong.insert(pcr(11), Digest::ones(Bank::Sha384)).unwrap();
    let LogError::Mismatch { mismatches } = both.confirm(&wrong, requested).unwrap_err() else { panic!() };
    assert_eq!(both.explain(&mismatches), [Explanation::NotSearched]);
}

#[test]
fn l13_a_record_without_the_banks_digest_makes_its_register_incomplete() {
    let bytes = bytes_of(&boot());
    let one_bank = systemd(11, "x")
        .replace("sha384", "sm3_256")
        .replace(&hash(Bank::Sha384, &[b"x"]).to_string(), &"00".repeat(32));
    let both = parse(&bytes).replay_all().unwrap().followed_by(&CelLog::parse(one_bank.as_bytes()).unwrap());
    assert_eq!(both.bank(Bank::Sha384).unwrap().register(pcr(11)).value(), None);
    assert!(both.bank(Bank::Sha256).unwrap().register(pcr(11)).value().is_some());
}
