//! Claims over real boots: what the sources of the logs, or the boots' own notes, say of them.

use nitrotpm_digest_lanes::hash;
use nitrotpm_eventlog::{
    BootPathUnknown, ConfirmedLog, EarlyApplications, EventLog, ParseOptions, PlatformSeparator, Quirk,
};
use nitrotpm_pcr::{Bank, PcrIndex, PcrValues};

use crate::corpus;

fn index(pcr: u8) -> PcrIndex {
    PcrIndex::new(pcr).unwrap()
}

/// A log of the corpus, confirmed by the values that it replays to.
fn by_itself(bytes: &[u8]) -> ConfirmedLog<'_> {
    let replayed = EventLog::parse(bytes, &ParseOptions::default()).unwrap().replay_all().unwrap();
    let values = replayed.values();
    replayed.confirm(&values, values.iter().map(|(bank, index, _)| (bank, index))).unwrap()
}

/// A measured boot, confirmed by its TPM's SHA-384 bank.
fn boot<'a>(name: &str, bytes: &'a [u8]) -> ConfirmedLog<'a> {
    let pcrs: PcrValues = serde_json::from_slice(&corpus::read(&format!("boot/{name}/boot-pcrs.json"))).unwrap();
    let replayed = EventLog::parse(bytes, &ParseOptions::default()).unwrap().replay_all().unwrap();
    let requested = PcrIndex::all().filter(|index| index.get() != 10).map(|index| (Bank::Sha384, index));
    replayed.confirm(&pcrs, requested).unwrap()
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn boot_paths_of_the_measured_boots() {
    for (name, images) in [
        // Without Secure Boot the kernel inside the image is loaded as a second one; GRUB's kernel counts twice.
        ("uki-nosb", 2),
        ("uki-nosb-stub254", 2),
        ("uki-signed-nosb", 2),
        ("uki-sb", 1),
        ("uki-sb-stub257", 1),
        ("sdboot-uki-sb", 2),
        ("shim-grub-ms", 4),
    ] {
        let bytes = corpus::read(&format!("boot/{name}/eventlog.bin"));
        let path = boot(name, &bytes).boot_path(EarlyApplications::Refuse).unwrap();
        assert_eq!(path.applications.len(), images, "{name}");
        assert_eq!((path.attempts, path.others.len(), path.late.len()), (1, 0, 0), "{name}");
        assert!(path.exit_boot_services.succeeded, "{name}");
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn what_the_stub_and_the_kernel_measured() {
    for (name, sections) in [
        ("uki-sb", [".linux", ".osrel", ".cmdline", ".initrd"].as_slice()),
        ("uki-sb-stub257", &[".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat"]),
    ] {
        let bytes = corpus::read(&format!("boot/{name}/eventlog.bin"));
        let log = boot(name, &bytes);
        let uki = log.uki().unwrap();
        let names: Vec<_> = uki.sections.iter().map(|section| section.name.to_string()).collect();
        assert_eq!(names, sections, "{name}");
        assert!(uki.following.is_empty(), "{name}");
        let command_line = "console=ttyS0 panic=5 quiet";
        let expected = hash(Bank::Sha384, &[command_line.as_bytes()]);
        assert_eq!(uki.digest(".cmdline", Bank::Sha384), Some(expected), "{name}");
        assert_eq!(log.kernel_measured_command_line(command_line), Ok(true), "{name}");
        assert_eq!(log.systemd_command_lines(), Ok(vec![]), "{name}");
    }
    let bytes = corpus::read("boot/sdboot-uki-sb/eventlog.bin");
    let lines = boot("sdboot-uki-sb", &bytes).systemd_command_lines().unwrap();
    let lines: Vec<_> = lines.iter().map(|line| line.text.to_string()).collect();
    assert_eq!(lines, ["console=ttyS0 panic=5 quiet"]);
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn what_shim_and_grub_measured() {
    let bytes = corpus::read("boot/shim-grub-ms/eventlog.bin");
    let log = boot("shim-grub-ms", &bytes);
    let line = log.grub_command_line().unwrap().unwrap();
    assert_eq!(line.text.to_string(), "/vmlinuz console=ttyS0 panic=5 quiet root=none");
    let names = |files: Vec<nitrotpm_eventlog::MeasuredFile<'_>>| -> Vec<_> {
        files.iter().map(|file| file.untrusted_name.to_string()).collect()
    };
    assert_eq!(names(log.shim_lists().unwrap()), ["MokList", "MokListX", "MokListTrusted"]);
    assert!(names(log.measured_files().unwrap()).iter().any(|name| name == "/initrd"));
    let facts = log.secure_boot_facts().unwrap();
    let authorities: Vec<_> = facts.authorities.iter().map(|authority| authority.variable.name.to_string()).collect();
    assert_eq!(authorities, ["db", "SbatLevel", "MokListRT"]);
}

/// The numbers that go-eventlog's own tests assert.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn boot_paths_and_command_lines_of_public_logs() {
    for (name, images, grub) in [
        ("cos-85-amd-sev.bin", Some(3), true),
        ("cos-101-amd-sev.bin", Some(4), true),
        ("rhel8-uefi.bin", Some(3), true),
        ("ubuntu-1804-amd-sev.bin", Some(2), true),
        ("glinux-alex.bin", None, false),
        ("arch-linux-workstation.bin", None, false),
        ("debian-10.bin", None, false),
    ] {
        let bytes = corpus::read(&format!("eventlog/go-eventlog/testdata/eventlogs/tpm/{name}"));
        let log = by_itself(&bytes);
        match (log.boot_path(EarlyApplications::Refuse), images) {
            (Ok(path), Some(images)) => assert_eq!(path.applications.len(), images, "{name}"),
            (Err(BootPathUnknown::NoExitBootServices), None) => {}
            (found, _) => panic!("{name}: {found:?}"),
        }
        let has_line = log.grub_command_line().is_ok_and(|line| line.is_some());
        assert_eq!(has_line, grub, "{name}: {:?}", log.grub_command_line());
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn firmware_facts_of_the_measured_boots() {
    let bytes = corpus::read("boot/uki-sb/eventlog.bin");
    let facts = boot("uki-sb", &bytes).firmware();
    assert_eq!(facts.separators.len(), 8);
    assert!(facts.separators.iter().all(|(_, separator)| matches!(separator, PlatformSeparator::One { .. })));
    assert_eq!(facts.separators[7].0, index(7));
    assert!(facts.late_in_pcr0.is_empty() && facts.debug_mode.is_empty());
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn l22_quirks_of_public_logs_are_named() {
    for (name, expected) in [
        (
            "eventlog/go-attestation/attest/testdata/short_no_action_eventlog",
            [Quirk::Sha1Log, Quirk::NoSpecId].as_slice(),
        ),
        ("eventlog/go-attestation/attest/testdata/sb_cert_eventlog", &[Quirk::AuthorityWithoutLastByte]),
        ("eventlog/go-eventlog/testdata/eventlogs/tpm/arch-linux-workstation.bin", &[Quirk::EmptySecureBoot]),
        ("eventlog/go-eventlog/testdata/eventlogs/tpm/rhel8-uefi.bin", &[Quirk::GrubTextWithNul]),
        ("eventlog/go-eventlog/testdata/eventlogs/ccel/event_log.bin", &[Quirk::SeveralSeparators, Quirk::TailOfOnes]),
        (
            "eventlog/derived/immune/IMN-SUPERMICRO-no-epp.evidence.json.event_log_z.0.bin",
            &[Quirk::FewerDigests, Quirk::OutOfBandRecord],
        ),
        ("boot/uki-sb/eventlog.bin", &[Quirk::VariableDataOnly]),
    ] {
        let bytes = corpus::read(name);
        let quirks = EventLog::parse(&bytes, &ParseOptions::default()).unwrap().quirks();
        for quirk in expected {
            assert!(quirks.iter().any(|found| found.quirk == *quirk), "{name}: {quirk:?} not in {quirks:?}");
        }
    }
}
