//! Two boots, and what differs in words.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use nitrotpm_pcr::Bank;

use super::{DATABASE, GLOBAL, OTHER, boot, bytes_of, parse};
use crate::writer::{LogBuilder, WrittenEvent, uefi_variable};
use crate::{Change, EventType, SignatureType};

const BANKS: [Bank; 2] = [Bank::Sha256, Bank::Sha384];

/// The differences: register, cause, sentence.
fn differences(before: &LogBuilder, after: &LogBuilder) -> Vec<(u8, &'static str, String)> {
    let (before, after) = (bytes_of(before), bytes_of(after));
    let diff = parse(&before).diff(&parse(&after)).unwrap();
    assert_eq!(diff.bank(), Bank::Sha384);
    diff.differences()
        .iter()
        .map(|difference| (difference.pcr().get(), difference.cause().name(), difference.to_string()))
        .collect()
}

/// The one difference between a log of these events and one where the change was made.
#[track_caller]
fn one(before: &[(u32, EventType, &[u8], &[u8])], after: &[(u32, EventType, &[u8], &[u8])]) -> (&'static str, String) {
    let build = |events: &[(u32, EventType, &[u8], &[u8])]| {
        let mut builder = LogBuilder::crypto_agile(&BANKS);
        for (pcr, event_type, hashed, data) in events {
            builder.measure_as(*pcr, *event_type, hashed, data);
        }
        builder
    };
    let found = differences(&build(before), &build(after));
    let [(_, cause, words)] = found.as_slice() else { panic!("{found:?}") };
    (cause, words.clone())
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn equal_logs_have_no_differences() {
    assert_eq!(differences(&boot(), &boot()), []);
    // The order of events of different registers is nothing that is measured.
    let mut other = boot();
    other.events_mut().swap(12, 13);
    assert_eq!(differences(&boot(), &other), []);
}

#[test]
fn secure_boot_and_its_keys_are_told_in_words() {
    let variable = |guid, name, contents: &[u8]| uefi_variable(guid, name, contents);
    let config = EventType::EFI_VARIABLE_DRIVER_CONFIG;
    let (on, off) = (variable(GLOBAL, "SecureBoot", &[1]), variable(GLOBAL, "SecureBoot", &[0]));
    assert_eq!(
        one(&[(7, config, &on, &on)], &[(7, config, &off, &off)]),
        ("secure-boot-policy", "the state of Secure Boot was on and is off".into())
    );
    // What is not proven is not told.
    assert_eq!(
        one(&[(7, config, &on, &on)], &[(7, config, b"x", &off)]).1,
        "the state of Secure Boot has other contents"
    );

    let list = |digests: &[u8]| {
        let mut data = SignatureType::SHA256.0.to_bytes().to_vec();
        let entries: Vec<u8> =
            digests.iter().flat_map(|byte| [OTHER.to_bytes().as_slice(), &[*byte; 32]].concat()).collect();
        for field in [28 + entries.len(), 0, 48] {
            data.extend(u32::try_from(field).unwrap().to_le_bytes());
        }
        data.extend(entries);
        variable(DATABASE, "dbx", &data)
    };
    let (few, many) = (list(&[1, 2]), list(&[2, 3, 4, 5, 6, 7]));
    assert_eq!(
        one(&[(7, config, &few, &few)], &[(7, config, &many, &many)]).1,
        "the variable dbx lost the sha256 entry 0101010101010101, and gained the sha256 entry 0303030303030303, \
         the sha256 entry 0404040404040404, the sha256 entry 0505050505050505, the sha256 entry 0606060606060606 and 1 more"
    );
    let turned = list(&[2, 1]);
    assert_eq!(
        one(&[(7, config, &few, &few)], &[(7, config, &turned, &turned)]).1,
        "the variable dbx has the same entries in other lists or another order"
    );
}

#[test]
fn command_lines_and_sections_are_told_in_words() {
    let names = [".linux", ".cmdline", ".initrd"].map(utf16);
    let section = |index: usize, contents: &'static [u8]| {
        let name: &'static [u8] = [b".linux\0".as_slice(), b".cmdline\0", b".initrd\0"][index];
        [(11, EventType::IPL, name, names[index].as_slice()), (11, EventType::IPL, contents, names[index].as_slice())]
    };
    let before = [section(0, b"kernel"), section(1, b"quiet"), section(2, b"initrd")].concat();
    let after = [section(0, b"kernel"), section(1, b"init=/bin/sh"), section(2, b"initrd")].concat();
    let sentence = "the kernel command line in the image (.cmdline) has other contents";
    assert_eq!(one(&before, &after), ("kernel-command-line", sentence.into()));
    let after = [section(0, b"kernel"), section(1, b"quiet"), section(2, b"other")].concat();
    assert_eq!(one(&before, &after), ("initrd", "the initrd in the image (.initrd) has other contents".into()));

    let line = |text: &str| alloc::format!("kernel_cmdline: {text}\0").into_bytes();
    let (quiet, evil) = (line("/vmlinuz quiet"), line("/vmlinuz \u{202e}evil"));
    assert_eq!(
        one(
            &[(8, EventType::IPL, b"/vmlinuz quiet", &quiet)],
            &[(8, EventType::IPL, "/vmlinuz \u{202e}evil".as_bytes(), &evil)]
        ),
        (
            "kernel-command-line",
            "the kernel command line of GRUB was \"/vmlinuz quiet\" and is \"/vmlinuz \\u{202e}evil\"".into()
        )
    );
    let beside = utf16("init=/bin/sh");
    assert_eq!(
        one(&[], &[(12, EventType::IPL, &beside, &beside)]),
        (
            "kernel-command-line",
            "a kernel command line beside the image is measured and was not: \"init=/bin/sh\"".into()
        )
    );
}

#[test]
fn boot_options_firmware_and_files_are_told_in_words() {
    let boot = EventType::EFI_VARIABLE_BOOT2;
    let order = |numbers: &[u8]| uefi_variable(GLOBAL, "BootOrder", numbers);
    let (first, second) = (order(&[1, 0, 2, 0]), order(&[2, 0, 1, 0]));
    assert_eq!(
        one(&[(1, boot, &first, &first)], &[(1, boot, &second, &second)]),
        ("boot-order", "the variable BootOrder was 0001 0002 and is 0002 0001".into())
    );
    assert_eq!(
        one(&[(0, EventType::S_CRTM_VERSION, b"1.0", b"1.0")], &[(0, EventType::S_CRTM_VERSION, b"1.1", b"1.1")]),
        ("firmware", "EV_S_CRTM_VERSION was \"1.0\" and is \"1.1\"".into())
    );
    assert_eq!(
        one(&[(9, EventType::IPL, b"one", b"/initrd\0")], &[(9, EventType::IPL, b"two", b"/initrd\0")]),
        ("initrd", "the file /initrd has other contents".into())
    );
    assert_eq!(
        one(&[(4, EventType::EFI_ACTION, b"x", b"x")], &[]),
        ("unknown", "the action \"x\" was measured and is no more".into())
    );
    let tag = b"\xed\x22\x3b\x8f\0\0\0\0";
    assert_eq!(
        one(&[(9, EventType::EVENT_TAG, b"one", tag)], &[(9, EventType::EVENT_TAG, b"two", tag)]),
        ("kernel-command-line", "the command line that the kernel was started with has other contents".into())
    );
    let located = |locality: u8| {
        let mut builder = LogBuilder::crypto_agile(&BANKS);
        builder.startup_locality(locality).measure(0, EventType::SEPARATOR, &[0; 4]);
        builder
    };
    let found = differences(&located(0), &located(3));
    assert_eq!(found, [(0, "firmware", "the locality at which the platform started was 0 and is 3".to_string())]);
}

#[test]
fn the_cause_stands_before_what_follows_from_it() {
    let with = |image: &[u8], line: &[u8]| {
        let mut builder = boot();
        builder.measure_as(4, EventType::EFI_BOOT_SERVICES_APPLICATION, image, &[0; 32]);
        builder.measure_as(11, EventType::IPL, b".cmdline\0", &utf16(".cmdline"));
        builder.measure_as(11, EventType::IPL, line, &utf16(".cmdline"));
        builder
    };
    let found = differences(&with(b"one", b"quiet"), &with(b"two", b"loud"));
    assert_eq!(
        found.iter().map(|(pcr, cause, _)| (*pcr, *cause)).collect::<Vec<_>>(),
        [(11, "kernel-command-line"), (4, "boot-image")]
    );
}

#[test]
fn an_event_in_the_middle_is_added_and_not_all_that_follow() {
    let mut after = boot();
    let event = WrittenEvent::measured(4, EventType::EFI_BOOT_SERVICES_APPLICATION, &BANKS, b"early", &[0; 32]);
    after.events_mut().insert(1, event);
    let (before, after) = (bytes_of(&boot()), bytes_of(&after));
    let diff = parse(&before).diff(&parse(&after)).unwrap();
    assert!(
        matches!(diff.differences(), [only] if matches!(only.change(), Some(Change::Added(event)) if event.index() == 1))
    );
    let back = parse(&after).diff(&parse(&before)).unwrap();
    assert!(
        matches!(back.differences(), [only] if matches!(only.change(), Some(Change::Removed(event)) if event.index() == 1))
    );
}

#[test]
fn logs_that_cannot_be_compared_are_refused() {
    let sha1 = bytes_of(LogBuilder::crypto_agile(&[Bank::Sha1]).measure(0, EventType::SEPARATOR, &[0; 4]));
    let sha384 = bytes_of(LogBuilder::crypto_agile(&[Bank::Sha384]).measure(0, EventType::SEPARATOR, &[0; 4]));
    let ccel = bytes_of(LogBuilder::ccel(&[Bank::Sha384]).measure(1, EventType::SEPARATOR, &[0; 4]));
    assert_eq!(parse(&sha1).diff(&parse(&sha384)).unwrap_err().code(), "event_log.no-common-bank");
    assert_eq!(parse(&sha384).diff(&parse(&ccel)).unwrap_err().code(), "event_log.format");
}

#[test]
fn long_logs_are_compared_in_bounded_time() {
    let long = |value: u8| {
        let mut builder = LogBuilder::crypto_agile(&[Bank::Sha384]);
        let events = (0..5_000_u32).map(|n| {
            let data = [n.to_le_bytes().as_slice(), &[value]].concat();
            WrittenEvent::measured(9, EventType::IPL, &[Bank::Sha384], &data, &data)
        });
        builder.events_mut().extend(events);
        bytes_of(&builder)
    };
    let (before, after) = (long(0), long(1));
    let diff = parse(&before).diff(&parse(&after)).unwrap();
    assert_eq!(diff.differences().len(), 5_000);
}
