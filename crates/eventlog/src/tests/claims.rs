//! Boot path, firmware, command lines, sections: what they say and what must not change them.

use alloc::string::ToString;
use alloc::vec::Vec;

use nitrotpm_digest_lanes::hash;
use nitrotpm_pcr::Bank;

use super::{boot, bytes_of, confirmed, parse, secure_boot_on};
use crate::writer::{LogBuilder, WrittenEvent, uefi_variable};
use crate::{
    BootPath, BootPathUnknown, EarlyApplications, EventType, OperatingSystemUnknown, PlatformSeparator, Quirk,
};

const BANKS: [Bank; 2] = [Bank::Sha256, Bank::Sha384];
const APPLICATION: EventType = EventType::EFI_BOOT_SERVICES_APPLICATION;
const CALLING: &[u8] = b"Calling EFI Application from Boot Option";
const EXIT: &[u8] = b"Exit Boot Services Invocation";

fn event(pcr: u32, event_type: EventType, hashed: &[u8], data: &[u8]) -> WrittenEvent {
    WrittenEvent::measured(pcr, event_type, &BANKS, hashed, data)
}

/// PCR 4 and 5 of a boot of one image: the header, then the events below.
fn path() -> LogBuilder {
    let mut builder = LogBuilder::crypto_agile(&BANKS);
    builder.measure(4, EventType::EFI_ACTION, CALLING);
    builder.measure(4, EventType::SEPARATOR, &[0; 4]);
    builder.measure(5, EventType::SEPARATOR, &[0; 4]);
    builder.measure_as(4, APPLICATION, b"image", &[0; 32]);
    builder.measure(5, EventType::EFI_ACTION, EXIT);
    builder.measure(5, EventType::EFI_ACTION, b"Exit Boot Services Returned with Success");
    builder
}
const CALL: usize = 1;
const SEPARATOR: usize = 2;
const IMAGE: usize = 4;
const EXITING: usize = 5;

fn with(change: impl FnOnce(&mut Vec<WrittenEvent>)) -> LogBuilder {
    let mut builder = path();
    change(builder.events_mut());
    builder
}

/// The boot path as a list of lengths: early, applications, others, late.
fn read(builder: &LogBuilder, early: EarlyApplications) -> Result<[usize; 4], BootPathUnknown> {
    let lengths = |path: BootPath<'_>| [path.early.len(), path.applications.len(), path.others.len(), path.late.len()];
    confirmed(&bytes_of(builder), Bank::Sha384, &[4, 5]).boot_path(early).map(lengths)
}

fn refused(builder: &LogBuilder) -> BootPathUnknown {
    read(builder, EarlyApplications::Refuse).unwrap_err()
}

#[test]
fn the_images_come_in_order_with_their_proven_digests() {
    let mut builder = path();
    builder.events_mut().insert(EXITING, event(4, APPLICATION, b"second", &[1; 32]));
    let bytes = bytes_of(&builder);
    let log = confirmed(&bytes, Bank::Sha384, &[4, 5]);
    let path = log.boot_path(EarlyApplications::Refuse).unwrap();
    let digests: Vec<_> = path.applications.iter().map(|image| image.proven_digest(Bank::Sha384).unwrap()).collect();
    assert_eq!(digests, [hash(Bank::Sha384, &[b"image"]), hash(Bank::Sha384, &[b"second"])]);
    // The log was confirmed in one bank: the digest of the other proves nothing.
    assert_eq!(path.applications[0].proven_digest(Bank::Sha256), None);
    assert!(path.applications[0].is_measurement_of(b"image") && !path.applications[0].is_measurement_of(b"other"));
    assert_eq!((path.attempts, path.returns), (1, 0));
    let exit = path.exit_boot_services;
    assert_eq!((exit.invocations, exit.failures, exit.succeeded), (1, 0, true));
}

#[test]
fn l18_applications_after_the_handing_over_do_not_count() {
    assert_eq!(read(&path(), EarlyApplications::Refuse), Ok([0, 1, 0, 0]));
    let late = with(|events| events.push(event(4, APPLICATION, b"late", &[0; 32])));
    assert_eq!(read(&late, EarlyApplications::Refuse), Ok([0, 1, 0, 1]));
}

#[test]
fn l18_without_a_handing_over_there_is_no_boot_path() {
    assert_eq!(refused(&with(|events| drop(events.drain(EXITING..)))), BootPathUnknown::NoExitBootServices);
    // The text beside another digest does not make one.
    let fake = with(|events| events[EXITING] = event(5, EventType::EFI_ACTION, b"x", EXIT));
    assert_eq!(refused(&fake), BootPathUnknown::NoExitBootServices);
    let only_pcr4 = confirmed(&bytes_of(&path()), Bank::Sha384, &[4]).boot_path(EarlyApplications::Refuse).unwrap_err();
    assert_eq!(only_pcr4, BootPathUnknown::NotConfirmed { pcr: 5 });
}

#[test]
fn l18_an_application_before_the_firmware_calls_one_is_an_error_unless_reported() {
    let early = with(|events| events.insert(CALL, event(4, APPLICATION, b"vendor", &[0; 32])));
    assert_eq!(refused(&early), BootPathUnknown::EarlyApplication { event: CALL });
    assert_eq!(read(&early, EarlyApplications::Report), Ok([1, 1, 0, 0]));
}

#[test]
fn l14_relabelling_never_takes_an_image_out_of_sight() {
    let builder = path();
    let honest = read(&builder, EarlyApplications::Refuse).unwrap();
    for index in 1..builder.events().len() {
        for event_type in EventType::NAMED.iter().copied().filter(|other| *other != EventType::NO_ACTION) {
            let mut relabelled = builder.clone();
            relabelled.events_mut()[index].event_type = event_type;
            let Ok([early, applications, others, late]) = read(&relabelled, EarlyApplications::Report) else {
                continue;
            };
            assert_eq!((early + applications + others, late), (honest[1], 0), "event {index} as {event_type}");
        }
    }
}

/// The order of two registers is only what the log says: an image can be called late, and not be made to vanish.
#[test]
fn l14_reordering_across_registers_hides_no_image() {
    let images = |builder: &LogBuilder| {
        let bytes = bytes_of(builder);
        let path = confirmed(&bytes, Bank::Sha384, &[4, 5]).boot_path(EarlyApplications::Refuse).unwrap();
        let digests: Vec<_> = path.images().iter().map(|image| image.proven_digest(Bank::Sha384).unwrap()).collect();
        (path.applications.len(), digests)
    };
    let honest = images(&path());
    let reordered = images(&with(|events| events.swap(IMAGE, EXITING)));
    assert_eq!((honest.0, reordered.0), (1, 0));
    assert_eq!(honest.1, reordered.1);
    assert_eq!(honest.1, [hash(Bank::Sha384, &[b"image"])]);
}

#[test]
fn l15_separators_of_pcr_4_stand_once_and_are_told_by_their_digest() {
    let separator = |hashed: &[u8], data: &[u8]| event(4, EventType::SEPARATOR, hashed, data);
    assert_eq!(refused(&with(|events| drop(events.remove(SEPARATOR)))), BootPathUnknown::NoSeparator);
    let twice = with(|events| events.insert(IMAGE, separator(&[0; 4], &[0; 4])));
    assert_eq!(refused(&twice), BootPathUnknown::SecondSeparator { event: IMAGE });
    let odd = with(|events| events[SEPARATOR] = separator(b"x", &[0; 4]));
    assert_eq!(refused(&odd), BootPathUnknown::LookAlike { event: SEPARATOR });
    let disguised = with(|events| events[IMAGE] = event(4, APPLICATION, CALLING, &[0; 32]));
    assert_eq!(refused(&disguised), BootPathUnknown::LookAlike { event: IMAGE });
    let failed = with(|events| events[SEPARATOR] = separator(&[1, 0, 0, 0], b"all is well"));
    assert_eq!(refused(&failed), BootPathUnknown::FirmwareError { event: SEPARATOR });
}

#[test]
fn several_boot_attempts_are_counted() {
    let builder = with(|events| {
        events.insert(IMAGE, event(4, EventType::EFI_ACTION, CALLING, CALLING));
        let returning = b"Returning from EFI Application from Boot Option";
        events.insert(IMAGE, event(4, EventType::EFI_ACTION, returning, returning));
    });
    let bytes = bytes_of(&builder);
    let path = confirmed(&bytes, Bank::Sha384, &[4, 5]).boot_path(EarlyApplications::Refuse).unwrap();
    assert_eq!((path.attempts, path.returns, path.applications.len()), (2, 1, 1));
}

#[test]
fn firmware_says_its_version_and_how_it_ended() {
    let bytes = bytes_of(&boot());
    let facts = confirmed(&bytes, Bank::Sha384, &[0, 4, 7]).firmware();
    assert_eq!(facts.crtm_version.unwrap().to_string(), "1.0");
    assert_eq!(facts.separators.iter().map(|(pcr, _)| pcr.get()).collect::<Vec<_>>(), [0, 4, 7]);
    assert!(facts.separators.iter().all(|(_, separator)| matches!(separator, PlatformSeparator::One { .. })));
    assert!(!facts.has_error() && facts.debug_mode.is_empty() && facts.late_in_pcr0.is_empty());
}

#[test]
fn l20_what_stands_in_pcr_0_after_its_separator_is_no_firmware_fact() {
    let mut builder = LogBuilder::crypto_agile(&BANKS);
    builder.measure(0, EventType::SEPARATOR, &[0; 4]);
    builder.measure(0, EventType::S_CRTM_VERSION, b"9\0.\x000\0\0\0");
    builder.measure(0, EventType::EFI_ACTION, b"all is well");
    let facts_of = |builder: &LogBuilder| {
        let bytes = bytes_of(builder);
        let facts = confirmed(&bytes, Bank::Sha384, &[0]).firmware();
        (facts.crtm_version.map(|version| version.to_string()), facts.late_in_pcr0)
    };
    assert_eq!(facts_of(&builder), (None, [2, 3].into()));
    builder.events_mut().swap(1, 2);
    assert_eq!(facts_of(&builder), (Some("9.0".into()), [3].into()));
}

#[test]
fn l19_an_error_separator_is_a_firmware_error_whatever_its_data_says() {
    let separators = |hashed: &[u8], data: &[u8]| {
        let mut builder = LogBuilder::crypto_agile(&BANKS);
        builder.measure_as(2, EventType::SEPARATOR, hashed, data);
        let bytes = bytes_of(&builder);
        confirmed(&bytes, Bank::Sha384, &[2]).firmware().separators[0].1
    };
    assert_eq!(separators(&[0; 4], &[0; 4]), PlatformSeparator::One { event: 1 });
    assert_eq!(separators(&[1, 0, 0, 0], &[0; 4]), PlatformSeparator::Error { event: 1 });
    assert_eq!(separators(b"x", &[0; 4]), PlatformSeparator::Missing);
}

/// PCR 8 as GRUB measures it.
fn grub(events: &[(&str, &str)]) -> LogBuilder {
    let mut builder = LogBuilder::crypto_agile(&BANKS);
    for (prefix, text) in events {
        builder.push(event(8, EventType::IPL, text.as_bytes(), alloc::format!("{prefix}{text}\0").as_bytes()));
    }
    builder
}

fn command_line(builder: &LogBuilder) -> Result<Option<alloc::string::String>, OperatingSystemUnknown> {
    let bytes = bytes_of(builder);
    let found = confirmed(&bytes, Bank::Sha384, &[8]).grub_command_line();
    found.map(|line| line.map(|line| line.text.to_string()))
}

const COMMAND: (&str, &str) = ("grub_cmd: ", "linux /vmlinuz root=/dev/dm-0 dm=1 vroot none quiet");
const LINE: (&str, &str) = ("kernel_cmdline: ", "/vmlinuz root=/dev/dm-0 \"dm=1 vroot none\" quiet");

#[test]
fn the_command_line_of_grub_is_read() {
    let builder = grub(&[("grub_cmd: ", "insmod tpm"), COMMAND, LINE]);
    assert_eq!(command_line(&builder).unwrap().unwrap(), LINE.1);
    let bytes = bytes_of(&builder);
    let commands = confirmed(&bytes, Bank::Sha384, &[8]).grub_commands().unwrap();
    assert_eq!(
        commands.iter().map(|(event, text)| (*event, text.to_string())).collect::<Vec<_>>(),
        [(1, "insmod tpm".to_string()), (2, COMMAND.1.to_string())]
    );
    assert_eq!(command_line(&grub(&[("grub_cmd: ", "insmod tpm")])), Ok(None));
}

#[test]
fn l21_two_kernel_command_lines_are_an_error() {
    let second = OperatingSystemUnknown::SecondCommandLine { event: 3 };
    assert_eq!(command_line(&grub(&[COMMAND, LINE, LINE])), Err(second));
    assert_eq!(command_line(&grub(&[COMMAND, LINE, COMMAND])), Err(second));
}

/// GRUB's prefix is not covered by the digest: a line cannot be called a command, nor a command a line.
#[test]
fn l21_prefixes_that_were_swapped_are_found() {
    let good = "/vmlinuz root=/dev/dm-0 good";
    let wrong = [
        // The shell of GRUB measures what is typed, be it a command or not.
        grub(&[("kernel_cmdline: ", good), COMMAND, ("grub_cmd: ", LINE.1)]),
        grub(&[COMMAND, ("grub_cmd: ", LINE.1)]),
        grub(&[("grub_cmd: ", "echo"), LINE]),
    ];
    for builder in wrong {
        let error = command_line(&builder).unwrap_err();
        assert!(matches!(error, OperatingSystemUnknown::Uncorroborated { .. }), "{error}");
    }
}

#[test]
fn l21_a_text_that_its_digest_does_not_prove_is_an_error() {
    let mut builder = grub(&[COMMAND, LINE]);
    builder.events_mut()[2].data = b"kernel_cmdline: /vmlinuz good\0".to_vec();
    assert_eq!(command_line(&builder), Err(OperatingSystemUnknown::NotProven { event: 2 }));
}

#[test]
fn l21_names_of_files_are_called_untrusted_and_digests_are_proven() {
    let mut builder = LogBuilder::crypto_agile(&BANKS);
    builder.measure_as(9, EventType::IPL, b"file", b"(hd0,gpt1)/grub.cfg\0");
    builder.measure_as(9, EventType::EVENT_TAG, b"initrd", b"\xec\x22\x3b\x8f\x0d\0\0\0Linux initrd\0");
    let bytes = bytes_of(&builder);
    let files = confirmed(&bytes, Bank::Sha384, &[9]).measured_files().unwrap();
    let names: Vec<_> = files.iter().map(|file| file.untrusted_name.to_string()).collect();
    assert_eq!(names, ["(hd0,gpt1)/grub.cfg", "Linux initrd"]);
    assert_eq!(files[1].confirmed.proven_digest(Bank::Sha384), Some(hash(Bank::Sha384, &[b"initrd"])));
}

/// PCR 11 as systemd-stub measures it.
fn uki(sections: &[(&str, &[u8])]) -> LogBuilder {
    let mut builder = LogBuilder::crypto_agile(&BANKS);
    for (name, contents) in sections {
        let utf16: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        builder.measure_as(11, EventType::IPL, alloc::format!("{name}\0").as_bytes(), &utf16);
        builder.measure_as(11, EventType::IPL, contents, &utf16);
    }
    builder
}

#[test]
fn sections_of_a_uki_are_named_by_their_digests() {
    let builder = uki(&[(".linux", b"kernel"), (".cmdline", b"quiet"), (".own", b"x")]);
    let read = |builder: &LogBuilder| {
        let bytes = bytes_of(builder);
        let found = confirmed(&bytes, Bank::Sha384, &[11]).uki().unwrap();
        let names: Vec<_> = found.sections.iter().map(|section| section.name.to_string()).collect();
        (names, found.following.len(), found.digest(".cmdline", Bank::Sha384))
    };
    let quiet = Some(hash(Bank::Sha384, &[b"quiet"]));
    assert_eq!(read(&builder), ([".linux", ".cmdline", ".own"].map(alloc::string::String::from).into(), 0, quiet));

    // Whatever the log says beside the digests, the known sections stay what they are.
    let mut relabelled = builder.clone();
    relabelled.events_mut().iter_mut().skip(1).for_each(|event| {
        event.data = b".other".to_vec();
        event.event_type = EventType::UNUSED;
    });
    let (names, following, digest) = read(&relabelled);
    assert_eq!((names.len(), following, digest), (2, 2, quiet));

    let mut phases = builder.clone();
    phases.measure_as(11, EventType::IPL, b"enter-initrd", b"enter-initrd");
    assert_eq!(read(&phases).1, 1);

    let mut cut = builder;
    cut.events_mut().pop();
    let bytes = bytes_of(&cut);
    let error = confirmed(&bytes, Bank::Sha384, &[11]).uki().unwrap_err();
    assert_eq!(error, OperatingSystemUnknown::NotASection { event: 5 });
}

#[test]
fn a_section_that_stands_twice_has_no_one_digest() {
    let bytes = bytes_of(&uki(&[(".linux", b"one"), (".linux", b"two")]));
    let found = confirmed(&bytes, Bank::Sha384, &[11]).uki().unwrap();
    assert_eq!((found.sections.len(), found.digest(".linux", Bank::Sha384)), (2, None));
    assert_eq!(found.sections[1].digest(Bank::Sha384), Some(hash(Bank::Sha384, &[b"two"])));
}

#[test]
fn command_lines_beside_a_uki_are_read_from_pcr_12() {
    let utf16: Vec<u8> = "init=/bin/sh".encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    let mut builder = LogBuilder::crypto_agile(&BANKS);
    builder.measure(12, EventType::IPL, &utf16);
    builder.measure(9, EventType::EVENT_TAG, &utf16);
    let bytes = bytes_of(&builder);
    let log = confirmed(&bytes, Bank::Sha384, &[9, 12]);
    assert_eq!(log.systemd_command_lines().unwrap()[0].text.to_string(), "init=/bin/sh");
    assert_eq!(log.kernel_measured_command_line("init=/bin/sh"), Ok(true));
    assert_eq!(log.kernel_measured_command_line("quiet"), Ok(false));
    builder.events_mut()[1].data = b"q\0\0\0".to_vec();
    let error = confirmed(&bytes_of(&builder), Bank::Sha384, &[12]).systemd_command_lines().unwrap_err();
    assert_eq!(error, OperatingSystemUnknown::NotProven { event: 1 });
}

#[test]
fn secure_boot_facts_list_keys_and_authorities() {
    let bytes = bytes_of(&secure_boot_on());
    let facts = confirmed(&bytes, Bank::Sha384, &[7]).secure_boot_facts().unwrap();
    assert_eq!(
        (facts.enabled, facts.db, facts.dbx),
        (true, Some(b"allowed".as_slice()), Some(b"forbidden".as_slice()))
    );
    assert_eq!(
        (facts.authorities.len(), facts.authorities[0].event, facts.authorities[0].before_separator),
        (1, 7, false)
    );
    let mut builder = secure_boot_on();
    builder.events_mut().swap(6, 7);
    let bytes = bytes_of(&builder);
    let facts = confirmed(&bytes, Bank::Sha384, &[7]).secure_boot_facts().unwrap();
    assert!(facts.authorities[0].before_separator);
}

#[test]
fn l22_quirks_are_named_and_nothing_is_repaired() {
    assert_eq!(parse(&bytes_of(&boot())).quirks(), []);
    let names = |builder: &LogBuilder| -> Vec<(&str, Option<usize>)> {
        parse(&bytes_of(builder)).quirks().iter().map(|found| (found.quirk.name(), found.event)).collect()
    };
    let variable = uefi_variable(super::GLOBAL, "SecureBoot", b"");
    let mut builder = LogBuilder::crypto_agile(&BANKS);
    builder.no_action(0, b"StartupLocality\0\x03\0\0");
    builder.push(event(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, b"", &variable));
    builder.push(event(7, EventType::EFI_VARIABLE_AUTHORITY, b"x", b"x\0"));
    builder.push(event(8, EventType::IPL, b"x\0", b"grub_cmd x\0"));
    builder.measure(12, EventType::SEPARATOR, b"WBCL");
    builder.measure(12, EventType::SEPARATOR, &[0; 4]);
    builder.push(event(5, EventType::SEPARATOR, &[1, 0, 0, 0], b"failed"));
    builder.push(WrittenEvent::measured(5, EventType::IPL, &[Bank::Sha384, Bank::Sha256], b"x", b"x"));
    builder.push(WrittenEvent::measured(5, EventType::IPL, &[Bank::Sha384], b"x", b"x"));
    builder.push(event(0, EventType::S_CRTM_VERSION, b"x", b"y"));
    builder.no_action(u32::MAX, b"");
    assert_eq!(
        names(&builder),
        [
            ("digest-order", Some(8)),
            ("fewer-digests", Some(9)),
            ("padded-startup-locality", Some(1)),
            ("variable-data-only", Some(2)),
            ("authority-without-last-byte", Some(3)),
            ("grub-text-with-nul", Some(4)),
            ("odd-separator", Some(5)),
            ("several-separators", Some(6)),
            ("error-separator-text", Some(7)),
            ("empty-secure-boot", Some(2)),
            ("crtm-version-digest", Some(10)),
            ("out-of-band-record", Some(11)),
        ]
    );
    assert_eq!(names(LogBuilder::sha1().startup_locality(0)), [("sha1-log", None), ("no-spec-id", None)]);
    let twice = [boot().events(), [event(4, EventType::EFI_ACTION, CALLING, CALLING)].as_slice()].concat();
    let mut builder = boot();
    *builder.events_mut() = twice;
    assert_eq!(parse(&bytes_of(&builder)).quirks()[0].quirk, Quirk::SeveralBootAttempts);
}
