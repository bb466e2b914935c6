//! Formats, tails and what a parser has to refuse.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use nitrotpm_pcr::{Bank, Digest};

use super::{boot, bytes_of, parse, refused, secure_boot_on};
use crate::writer::{LogBuilder, WrittenEvent, spec_id_event_03};
use crate::{
    AlgorithmId, DeclaredBank, Decoded, EventLog, EventType, Format, LogError, ParseOptions, Register, Source, Tail,
};

const SHA256: DeclaredBank = DeclaredBank { algorithm: AlgorithmId(0x000B), size: 32 };
const SM3: DeclaredBank = DeclaredBank { algorithm: AlgorithmId::SM3_256, size: 32 };
const UNKNOWN: DeclaredBank = DeclaredBank { algorithm: AlgorithmId(0x7777), size: 5 };

/// The byte at `offset` of the header event's data.
const fn in_header(offset: usize) -> usize {
    32 + offset
}

fn declaring(declared: &[DeclaredBank]) -> Vec<u8> {
    bytes_of(&LogBuilder::with_header(&[Bank::Sha256], spec_id_event_03(declared, b"vendor")))
}

#[test]
fn a_crypto_agile_log_gives_its_parts() {
    let bytes = bytes_of(&boot());
    let log = parse(&bytes);
    assert_eq!(log.format(), Format::CryptoAgile);
    assert_eq!(
        log.banks().iter().map(|bank| (bank.algorithm.0, bank.size)).collect::<Vec<_>>(),
        [(0xB, 32), (0xC, 48)]
    );
    assert_eq!(log.event_count(), 15);
    assert_eq!(log.events().count(), 15);
    assert_eq!(log.tail(), Tail::None);
    let header = log.events().next().unwrap();
    assert_eq!((header.index(), header.offset(), header.event_type()), (0, 0, EventType::NO_ACTION));
    assert!(matches!(header.decode().unwrap(), Decoded::SpecId(spec) if spec.banks() == log.banks()));
    let second = log.event(1).unwrap();
    assert_eq!((second.index(), second.pcr().unwrap().get()), (1, 7));
    assert_eq!(second.digests().map(|(id, bytes)| (id.0, bytes.len())).collect::<Vec<_>>(), [(0xB, 32), (0xC, 48)]);
    assert_eq!(&bytes[second.data_offset()..][..second.data().len()], second.data());
    assert!(log.events().zip(log.events().skip(1)).all(|(a, b)| a.data_offset() + a.data().len() == b.offset()));
}

#[test]
fn a_sha1_log_may_have_a_header_or_none() {
    for header in [None, Some(b"Spec ID Event00\0"), Some(b"Spec ID Event02\0")] {
        let mut builder = match header {
            None => LogBuilder::sha1(),
            Some(signature) => {
                LogBuilder::sha1_with_header([signature.as_slice(), &[0, 0, 0, 0, 2, 1, 0, 2, 0]].concat())
            }
        };
        builder.measure(0, EventType::S_CRTM_VERSION, b"v").measure(0, EventType::SEPARATOR, &[0; 4]);
        let bytes = bytes_of(&builder);
        let log = parse(&bytes);
        assert_eq!((log.format(), log.header().is_some()), (Format::Sha1, header.is_some()));
        assert_eq!(log.known_banks().collect::<Vec<_>>(), [Bank::Sha1]);
        assert_eq!(log.event_count(), 2 + usize::from(header.is_some()));
        assert_eq!(log.events().last().unwrap().digest(Bank::Sha1).unwrap().as_bytes().len(), 20);
    }
}

/// go-attestation pull request 208: a log may begin with StartupLocality and have no Spec ID.
#[test]
fn a_first_event_that_is_no_spec_id_begins_a_sha1_log() {
    let mut builder = LogBuilder::sha1();
    builder.startup_locality(3);
    let bytes = bytes_of(&builder);
    let log = parse(&bytes);
    assert_eq!((log.format(), log.event_count()), (Format::Sha1, 1));
    assert_eq!(log.events().next().unwrap().decode().unwrap(), Decoded::StartupLocality { locality: 3, padding: 0 });
}

#[test]
fn a_ccel_log_is_told_by_the_register_of_its_header() {
    let mut builder = LogBuilder::ccel(&[Bank::Sha384]);
    builder.measure(4, EventType::SEPARATOR, &[0; 4]);
    let bytes = bytes_of(&builder);
    assert_eq!(parse(&bytes).format(), Format::Ccel);
    let refuse =
        |bytes: &[u8], source| EventLog::parse(bytes, &ParseOptions::default().with_source(source)).unwrap_err();
    assert_eq!(refuse(&bytes, Source::Tpm).code(), "event_log.header");

    builder.measure(5, EventType::SEPARATOR, &[0; 4]);
    assert_eq!(refused(&bytes_of(&builder)).code(), "event_log.register");

    // Some firmware puts it in register 0: then only the caller can know.
    let mut builder = LogBuilder::crypto_agile(&[Bank::Sha384]);
    builder.measure(4, EventType::SEPARATOR, &[0; 4]);
    let bytes = bytes_of(&builder);
    let options = ParseOptions::default().with_source(Source::Ccel);
    assert_eq!(EventLog::parse(&bytes, &options).unwrap().format(), Format::Ccel);
    assert_eq!(parse(&bytes).format(), Format::CryptoAgile);
    assert_eq!(refuse(&bytes_of(LogBuilder::sha1().startup_locality(0)), Source::Ccel).code(), "event_log.header");
}

#[test]
fn tails_of_ones_and_zeros_are_named_and_nothing_else_is_accepted() {
    let bytes = bytes_of(&boot());
    let offset = bytes.len();
    let with = |tail: &[u8]| [bytes.as_slice(), tail].concat();
    for (tail, expected) in [
        (vec![0xFF; 8], Tail::Ones { offset, length: 8 }),
        (vec![0xFF; 4096], Tail::Ones { offset, length: 4096 }),
        (vec![0; 16], Tail::Zeros { offset, length: 16 }),
        (vec![0; 4096], Tail::Zeros { offset, length: 4096 }),
    ] {
        let bytes = with(&tail);
        let log = parse(&bytes);
        assert_eq!((log.tail(), log.event_count()), (expected, 15));
    }
    for tail in [vec![0xFF; 7], vec![0; 15], vec![0xAA; 64], [vec![0; 64], vec![1]].concat()] {
        let error = refused(&with(&tail));
        assert!(error.offset().unwrap() >= offset, "{error}");
    }
    // A SHA-1 event of 32 zero bytes would be a whole one: fewer are none.
    let bytes = bytes_of(LogBuilder::sha1().measure(0, EventType::SEPARATOR, &[0; 4]));
    assert_eq!(parse(&[bytes.as_slice(), &[0; 32]].concat()).tail(), Tail::Zeros { offset: bytes.len(), length: 32 });
    assert_eq!(refused(&[bytes.as_slice(), &[0; 31]].concat()).code(), "event_log.truncated");
}

/// Ones after it tell an event of zeros from padding; a log is written without them.
#[test]
fn a_last_event_of_zeros_is_not_written_as_padding() {
    let zero = Digest::zero(Bank::Sha1);
    let mut builder = LogBuilder::sha1();
    builder.measure(4, EventType::SEPARATOR, &[0; 4]).record(0, EventType(0), &[zero], &[]);
    let error = builder.finish().unwrap_err();
    assert_eq!((error.code(), error.event()), ("event_log.unwritable", Some(1)));
    // With anything after it, even an event that differs in its last byte of data, it is one like any other.
    builder.record(0, EventType(0), &[zero], &[1]);
    assert_eq!(parse(&bytes_of(&builder)).event_count(), 3);

    let bytes = [bytes_of(LogBuilder::sha1().measure(4, EventType::SEPARATOR, &[0; 4])), vec![0; 32], vec![0xFF; 8]];
    let bytes = bytes.concat();
    let log = parse(&bytes);
    assert_eq!((log.event_count(), log.tail().name()), (2, "ones"));
    assert_eq!(LogBuilder::from_log(&log).finish().unwrap_err().code(), "event_log.unwritable");
}

#[test]
fn out_of_band_records_belong_to_no_register() {
    let mut builder = boot();
    builder.no_action(u32::MAX, b"of Windows");
    let bytes = bytes_of(&builder);
    let record = parse(&bytes).out_of_band().next().unwrap();
    assert_eq!((record.register(), record.pcr(), record.extends()), (Register::OutOfBand, None, false));

    builder.measure(u32::MAX, EventType::EVENT_TAG, b"of nobody");
    let error = refused(&bytes_of(&builder));
    assert_eq!((error.code(), error.event()), ("event_log.register", Some(16)));
}

#[test]
fn digests_may_come_in_any_order_and_be_fewer_than_declared() {
    let mut builder = boot();
    let mut event = WrittenEvent::measured(5, EventType::EFI_ACTION, &[Bank::Sha384, Bank::Sha256], b"x", b"x");
    builder.push(event.clone());
    event.digests.truncate(1);
    builder.push(event);
    let bytes = bytes_of(&builder);
    let events: Vec<_> = parse(&bytes).events().skip(15).collect();
    assert_eq!(events[0].digest(Bank::Sha256), Some(nitrotpm_digest_lanes::hash(Bank::Sha256, &[b"x"])));
    assert_eq!(events[0].digest(Bank::Sha384), events[1].digest(Bank::Sha384));
    assert_eq!((events[0].digests().count(), events[1].digests().count()), (2, 1));
    assert_eq!(events[1].digest(Bank::Sha256), None);
}

#[test]
fn unknown_types_are_kept() {
    let mut builder = boot();
    builder.measure(2, EventType(0x8401), b"\x01TSME");
    let bytes = bytes_of(&builder);
    let event = parse(&bytes).events().last().unwrap();
    assert_eq!((event.event_type().name(), event.event_type().to_string().as_str()), (None, "EV_0x00008401"));
    assert_eq!(event.decode().unwrap(), Decoded::Raw(b"\x01TSME"));
}

#[test]
fn l1_lengths_beyond_the_log_are_refused_before_anything_is_allocated() {
    let good = bytes_of(LogBuilder::crypto_agile(&[Bank::Sha256]).measure(0, EventType::SEPARATOR, &[0; 4]));
    assert_eq!(parse(&good).event_count(), 2);
    let patched = |offset: usize, bytes: &[u8]| {
        let mut log = good.clone();
        log[offset..][..bytes.len()].copy_from_slice(bytes);
        refused(&log)
    };
    let second = parse(&good).event(1).unwrap();
    let event_size = patched(second.data_offset() - 4, &[0xFF; 4]);
    assert!(matches!(event_size, LogError::Truncated { needed: 0xFFFF_FFFF, available: 4, .. }), "{event_size}");
    assert_eq!(event_size.offset(), Some(second.data_offset()));
    assert_eq!(patched(28, &[0xFF; 4]).code(), "event_log.truncated");
    assert_eq!(patched(in_header(24), &[0xFF; 4]).code(), "event_log.algorithms");
    assert_eq!(patched(second.offset() + 8, &[0xFF; 4]).code(), "event_log.digests");
    assert_eq!(patched(second.offset() + 8, &[0; 4]).code(), "event_log.digests");
    // The vendor information that reaches beyond the header event.
    assert_eq!(patched(in_header(32), &[0xFF]).code(), "event_log.truncated");
}

#[test]
fn l4_registers_that_do_not_exist_are_refused() {
    for (register, accepted) in [(0, true), (23, true), (24, false), (255, false), (256, false), (u32::MAX, false)] {
        let bytes =
            bytes_of(LogBuilder::crypto_agile(&[Bank::Sha256]).measure(register, EventType::SEPARATOR, &[0; 4]));
        let parsed = EventLog::parse(&bytes, &ParseOptions::default());
        assert_eq!(parsed.is_ok(), accepted, "register {register}");
        if let Err(error) = parsed {
            let expected = LogError::Register { event: 1, offset: 65 + 4, number: register };
            assert_eq!((error.code(), error.event()), (expected.code(), Some(1)));
        }
    }
}

#[test]
fn l5_unknown_algorithms_are_kept_where_declared_and_refused_where_not() {
    let header = spec_id_event_03(&[SHA256, UNKNOWN, SM3], &[]);
    let mut builder = LogBuilder::with_header(&[Bank::Sha256], header);
    let mut event = WrittenEvent::measured(0, EventType::SEPARATOR, &[Bank::Sha256], &[0; 4], &[0; 4]);
    event.digests.insert(0, (UNKNOWN.algorithm, b"12345".to_vec()));
    event.digests.push((SM3.algorithm, vec![7; 32]));
    builder.push(event.clone());
    let bytes = bytes_of(&builder);
    let log = parse(&bytes);
    assert_eq!(log.known_banks().collect::<Vec<_>>(), [Bank::Sha256]);
    let parsed = log.event(1).unwrap();
    assert_eq!(parsed.digests().next().unwrap(), (UNKNOWN.algorithm, b"12345".as_slice()));
    assert_eq!(parsed.digests().count(), 3);
    assert_eq!(parsed.known_digests().count(), 1);
    assert_eq!(parsed.payload_check().name(), "verified");
    assert_eq!(log.replay(Bank::Sha1).unwrap_err().code(), "event_log.bank-missing");

    event.digests[0].0 = AlgorithmId(0x7778);
    builder.events_mut()[1] = event;
    let error = refused(&bytes_of(&builder));
    assert_eq!((error.code(), error.event()), ("event_log.undeclared-algorithm", Some(1)));
}

#[test]
fn l5_a_list_of_algorithms_that_breaks_a_rule_is_refused() {
    assert_eq!(parse(&declaring(&[SHA256, SM3])).banks().len(), 2);
    let wrong = DeclaredBank { size: 20, ..SHA256 };
    let wrong_sm3 = DeclaredBank { size: 20, ..SM3 };
    let nothing = DeclaredBank { size: 0, ..UNKNOWN };
    let many: Vec<_> = (0..17).map(|id| DeclaredBank { algorithm: AlgorithmId(0x5000 + id), size: 20 }).collect();
    assert_eq!(parse(&declaring(&many[..16])).banks().len(), 16);
    for declared in [[SHA256, SHA256].as_slice(), &[wrong], &[wrong_sm3], &[nothing], &[], &many] {
        assert_eq!(refused(&declaring(declared)).code(), "event_log.algorithms", "{declared:?}");
    }
}

#[test]
fn l5_a_list_of_digests_that_breaks_a_rule_is_refused() {
    let good = WrittenEvent::measured(0, EventType::SEPARATOR, &[Bank::Sha256, Bank::Sha384], &[0; 4], &[0; 4]);
    let written =
        |event: &WrittenEvent| bytes_of(LogBuilder::crypto_agile(&[Bank::Sha256, Bank::Sha384]).push(event.clone()));
    assert_eq!(parse(&written(&good)).event_count(), 2);
    let twice = WrittenEvent { digests: vec![good.digests[0].clone(), good.digests[0].clone()], ..good.clone() };
    let many = WrittenEvent { digests: vec![good.digests[0].clone(); 3], ..good.clone() };
    let none = WrittenEvent { digests: vec![], ..good };
    for event in [twice, many, none] {
        let error = refused(&written(&event));
        assert_eq!((error.code(), error.event()), ("event_log.digests", Some(1)));
    }
}

#[test]
fn l6_truncated_log_is_an_error_at_every_byte() {
    for builder in [boot(), LogBuilder::sha1().measure(0, EventType::SEPARATOR, &[0; 4]).clone()] {
        let bytes = bytes_of(&builder);
        let log = parse(&bytes);
        let whole: Vec<_> = log.events().map(|event| event.data_offset() + event.data().len()).collect();
        for length in 0..bytes.len() {
            match EventLog::parse(&bytes[..length], &ParseOptions::default()) {
                // A log that ends between two events is a whole log: the replay finds what is missing.
                Ok(shorter) => {
                    assert!(whole.contains(&length), "cut at {length}");
                    assert_eq!(shorter.tail(), Tail::None);
                }
                Err(error) => {
                    assert!(!whole.contains(&length), "cut at {length}: {error}");
                    let expected = if length == 0 { "event_log.empty" } else { "event_log.truncated" };
                    assert_eq!(error.code(), expected, "cut at {length}");
                }
            }
        }
    }
}

#[test]
fn l7_the_header_event_is_as_prescribed_or_refused() {
    let good = bytes_of(&boot());
    let header = |change: &dyn Fn(&mut WrittenEvent)| {
        let mut builder = boot();
        change(&mut builder.events_mut()[0]);
        refused(&bytes_of(&builder))
    };
    assert_eq!(parse(&good).event_count(), 15);
    for error in [
        header(&|event| event.event_type = EventType::UNUSED),
        header(&|event| event.pcr = 2),
        header(&|event| event.pcr = u32::MAX),
        header(&|event| event.digests[0].1[19] = 1),
        header(&|event| event.data[14] = b'4'),
    ] {
        assert_eq!(error.code(), "event_log.header", "{error}");
    }
    for (offset, value) in [(20, 1), (21, 1), (21, 3)] {
        assert_eq!(header(&|event| event.data[offset] = value).code(), "event_log.version");
    }
    // Class, errata and UINTN size are reported, not judged.
    for offset in [16, 22, 23] {
        let mut builder = boot();
        builder.events_mut()[0].data[offset] = 105;
        assert_eq!(parse(&bytes_of(&builder)).event_count(), 15);
    }
    let error = header(&|event| event.data.push(0));
    assert_eq!((error.code(), error.offset()), ("event_log.trailing-bytes", Some(in_header(37))));

    let mut builder = boot();
    let second = builder.events_mut()[0].data.clone();
    builder.no_action(0, &second);
    let error = refused(&bytes_of(&builder));
    assert_eq!(error.code(), "event_log.header");
}

#[test]
fn l24_an_empty_log_is_an_error() {
    assert_eq!(refused(&[]), LogError::Empty);
    assert_eq!(refused(&[0xFF; 4096]).code(), "event_log.register");
    assert_eq!(refused(&[0; 31]).code(), "event_log.truncated");
    // Zeros are the tail of a log, not a log.
    assert_eq!(refused(&[0; 4096]), LogError::Empty);
}

#[test]
fn a_log_over_the_limit_is_refused() {
    let bytes = bytes_of(&boot());
    let limited = |limit| EventLog::parse(&bytes, &ParseOptions::default().with_max_size(limit));
    assert!(limited(bytes.len()).is_ok());
    assert_eq!(limited(bytes.len() - 1).unwrap_err().code(), "event_log.size");
}

#[test]
fn a_million_tiny_events_take_linear_time() {
    let tiny = WrittenEvent::measured(23, EventType::UNUSED, &[Bank::Sha1], b"", b"");
    let mut one = LogBuilder::crypto_agile(&[Bank::Sha1]);
    let header = bytes_of(&one).len();
    let event = bytes_of(one.push(tiny)).split_off(header);
    let mut bytes = bytes_of(&LogBuilder::crypto_agile(&[Bank::Sha1]));
    for _ in 0..1_000_000 {
        bytes.extend_from_slice(&event);
    }
    // Zeros that are no tail, because a byte follows that is none.
    bytes.extend_from_slice(&[0; 1_000_000]);
    bytes.push(1);
    let error = refused(&bytes);
    assert_eq!((error.code(), error.event()), ("event_log.digests", Some(1_000_001)));
    bytes.truncate(bytes.len() - 1);
    let log = parse(&bytes);
    assert_eq!((log.event_count(), log.tail().name()), (1_000_001, "zeros"));
}

#[test]
fn every_code_is_listed_once_and_every_error_has_one() {
    let mut codes = LogError::CODES.to_vec();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), LogError::CODES.len());
    assert!(codes.iter().all(|code| code.starts_with("event_log.")));
    for error in [LogError::Empty, LogError::NothingRequested, LogError::NothingMeasured, refused(&[1])] {
        assert!(codes.contains(&error.code()));
    }
}

#[test]
fn secure_boot_logs_are_written_as_measured() {
    let bytes = bytes_of(&secure_boot_on());
    let Decoded::Variable(variable) = parse(&bytes).event(1).unwrap().decode().unwrap() else { panic!("no variable") };
    assert_eq!((variable.name.to_string().as_str(), variable.data), ("SecureBoot", [1].as_slice()));
    assert_eq!(variable.guid.to_string(), "8be4df61-93ca-11d2-aa0d-00e098032b8c");
}
