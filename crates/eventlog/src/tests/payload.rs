//! The payload check: three answers, and which part of the data they prove.

use nitrotpm_pcr::Bank;

use super::{GLOBAL, bytes_of, parse};
use crate::writer::{LogBuilder, WrittenEvent, uefi_variable};
use crate::{EventType, PayloadCheck, Rule};

const BANKS: [Bank; 2] = [Bank::Sha256, Bank::Sha384];

/// The check of an event with digests of `hashed` and the data `data`.
fn check(event_type: EventType, hashed: &[u8], data: &[u8]) -> PayloadCheck {
    let mut builder = LogBuilder::crypto_agile(&BANKS);
    builder.measure_as(8, event_type, hashed, data);
    parse(&bytes_of(&builder)).event(1).unwrap().payload_check()
}

#[test]
fn each_rule_holds_for_its_types_and_names_what_it_covers() {
    let variable = uefi_variable(GLOBAL, "Boot0001", b"option");
    let utf16 = b".\0l\0i\0n\0u\0x\0\0\0";
    type Case<'a> = (EventType, &'a [u8], &'a [u8], Rule, &'a [u8]);
    let cases: [Case<'_>; 9] = [
        (EventType::SEPARATOR, &[0; 4], &[0; 4], Rule::EventData, &[0; 4]),
        (EventType::SEPARATOR, b"WBCL", b"WBCL", Rule::EventData, b"WBCL"),
        (EventType::EFI_ACTION, b"text", b"text", Rule::EventData, b"text"),
        (EventType::EFI_VARIABLE_BOOT, b"option", &variable, Rule::VariableData, b"option"),
        (EventType::EFI_VARIABLE_BOOT, &variable, &variable, Rule::EventData, &variable),
        (
            EventType::EFI_VARIABLE_AUTHORITY,
            b"certificate",
            b"certificate\0",
            Rule::EventDataWithoutLastByte,
            b"certificate",
        ),
        (EventType::IPL, b"insmod tpm", b"grub_cmd: insmod tpm\0", Rule::TextAfterPrefix, b"insmod tpm"),
        (EventType::IPL, b"set pager=1\0", b"grub_cmd set pager=1\0", Rule::TextAfterPrefixWithNul, b"set pager=1\0"),
        (EventType::IPL, b".linux\0", utf16, Rule::NameInUtf8, b".\0l\0i\0n\0u\0x\0"),
    ];
    for (event_type, hashed, data, rule, covered) in cases {
        assert_eq!(check(event_type, hashed, data), PayloadCheck::Verified(rule));
        assert_eq!(rule.covered(data), Some(covered));
    }
    // A rule of one type is none of another's.
    assert_eq!(check(EventType::EFI_VARIABLE_BOOT2, b"option", &variable), PayloadCheck::Mismatch);
    assert_eq!(check(EventType::EFI_VARIABLE_DRIVER_CONFIG, b"x", b"x\0"), PayloadCheck::Mismatch);
    assert_eq!(check(EventType::SEPARATOR, b".linux\0", utf16), PayloadCheck::Mismatch);
}

#[test]
fn a_digest_of_something_that_is_not_in_the_log_is_not_checkable() {
    for event_type in [
        EventType::EFI_BOOT_SERVICES_APPLICATION,
        EventType::EFI_PLATFORM_FIRMWARE_BLOB,
        EventType::S_CRTM_CONTENTS,
        EventType::EVENT_TAG,
        EventType::IPL,
        EventType(0x8401),
    ] {
        assert_eq!(check(event_type, b"image", b"about the image"), PayloadCheck::NotCheckable);
    }
    for event_type in [EventType::SEPARATOR, EventType::EFI_ACTION, EventType::EFI_GPT_EVENT, EventType::EFI_GPT_EVENT2]
    {
        assert_eq!(check(event_type, b"one", b"two"), PayloadCheck::Mismatch);
    }
    assert_eq!(check(EventType::IPL, b"one", b"kernel_cmdline: two\0"), PayloadCheck::Mismatch);
    assert_eq!(check(EventType::NO_ACTION, b"x", b"x"), PayloadCheck::NotCheckable);
}

#[test]
fn l19_an_error_separator_proves_nothing_of_its_data() {
    assert_eq!(check(EventType::SEPARATOR, &[1, 0, 0, 0], b"friendly"), PayloadCheck::NotCheckable);
    assert_eq!(check(EventType::SEPARATOR, &[1, 0, 0, 0], &[1, 0, 0, 0]), PayloadCheck::Verified(Rule::EventData));
    assert_eq!(check(EventType::SEPARATOR, &[2, 0, 0, 0], b"friendly"), PayloadCheck::Mismatch);
}

#[test]
fn l14_one_rule_must_hold_in_every_bank_that_the_event_carries() {
    let mut event = WrittenEvent::measured(5, EventType::EFI_ACTION, &BANKS, b"x", b"x");
    let other = WrittenEvent::measured(5, EventType::EFI_ACTION, &BANKS, b"y", b"y");
    let checks = |event: &WrittenEvent| {
        let bytes = bytes_of(LogBuilder::crypto_agile(&BANKS).push(event.clone()));
        let event = parse(&bytes).event(1).unwrap();
        [event.payload_check(), event.payload_check_in(Bank::Sha256), event.payload_check_in(Bank::Sha384)]
    };
    let good = PayloadCheck::Verified(Rule::EventData);
    assert_eq!(checks(&event), [good; 3]);
    event.digests[1] = other.digests[1].clone();
    assert_eq!(checks(&event), [PayloadCheck::Mismatch, good, PayloadCheck::Mismatch]);
    event.digests.truncate(1);
    assert_eq!(checks(&event), [good, good, PayloadCheck::NotCheckable]);
}
