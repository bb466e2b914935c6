//! Every event log of the corpus: its values, its verdict, and the boots that were measured for it.

use nitrotpm_eventlog::{
    Decoded, EventLog, EventType, Explanation, Format, LogError, ParseOptions, PayloadCheck, SecureBootState, Source,
    Tail,
};
use nitrotpm_pcr::{Bank, PcrIndex, PcrValues};

use crate::corpus;

/// One line of the manifest.
struct Entry {
    path: String,
    kind: String,
    expected: String,
    pcrs_file: String,
}

fn manifest() -> Vec<Entry> {
    let text = String::from_utf8(corpus::read("eventlog/MANIFEST.tsv")).unwrap();
    let mut lines = text.lines();
    let columns: Vec<_> = lines.next().unwrap().split('\t').collect();
    let column = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let (path, kind, expected, pcrs) =
        (column("path"), column("kind"), column("expected_outcome"), column("pcrs_file"));
    lines
        .map(|line| {
            let fields: Vec<_> = line.split('\t').collect();
            let field = |column: usize| fields[column].to_owned();
            Entry { path: field(path), kind: field(kind), expected: field(expected), pcrs_file: field(pcrs) }
        })
        .collect()
}

fn read_pcrs(name: &str) -> PcrValues {
    serde_json::from_slice(&corpus::read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Logs that are no TPM's and do not say so: their header event stands in register 0.
const CCEL_WITHOUT_A_MARK: &[&str] = &["eventlog/trustee/deps/eventlog/test_data/CCEL_data"];

fn parse<'a>(name: &str, bytes: &'a [u8]) -> Result<EventLog<'a>, LogError> {
    let source = if CCEL_WITHOUT_A_MARK.contains(&name) { Source::Ccel } else { Source::Any };
    EventLog::parse(bytes, &ParseOptions::default().with_source(source))
}

/// Logs of Windows, whose events after the firmware's carry one of two digests.
const WINDOWS_IN_ONE_BANK: &[&str] =
    &["eventlog/immune-guard-oss/apisrv/pkg/eventlog/testdata/tpm2_windows_lenovo_yogax1v2"];

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn every_log_with_recorded_pcrs_replays_to_them_in_every_bank() {
    let mut compared = 0;
    let mut logs = 0;
    for entry in manifest() {
        let name = format!("eventlog/{}", entry.path);
        if entry.pcrs_file == "-" || entry.expected.starts_with("A must error") {
            continue;
        }
        let bytes = corpus::read(&name);
        let log = parse(&name, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let replayed = log.replay_all().unwrap_or_else(|error| panic!("{name}: {error}"));
        for (bank, index, expected) in read_pcrs(&format!("eventlog/{}", entry.pcrs_file)).iter() {
            let register = replayed.bank(bank).unwrap_or_else(|| panic!("{name}: no bank {bank}")).register(index);
            assert_eq!(register.partial_value(), *expected, "{name}: PCR {index} of {bank}");
            // The recorded values leave out what has no digest in the bank; a verdict never does.
            let complete = register.value().is_some();
            assert!(complete || WINDOWS_IN_ONE_BANK.contains(&name.as_str()), "{name}: PCR {index} of {bank}");
            compared += 1;
        }
        logs += 1;
    }
    assert!(logs >= 60 && compared >= 900, "{logs} logs and {compared} values were compared");
}

/// The manifest's kind says which logs there are, how many events each has and in which banks.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn every_log_has_the_recorded_banks_and_number_of_events() {
    let mut logs = 0;
    for entry in manifest() {
        let Some(kind) = entry.kind.strip_prefix("log:") else { continue };
        if entry.expected.starts_with("A must error") {
            continue;
        }
        let name = format!("eventlog/{}", entry.path);
        let bytes = corpus::read(&name);
        let log = parse(&name, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let layout = if log.format() == Format::Sha1 { "sha1" } else { "agile" };
        let banks: Vec<_> = log.banks().iter().map(|bank| bank.algorithm.to_string()).collect();
        // The manifest does not count records that belong to no register.
        let count = log.event_count() - log.out_of_band().count();
        assert_eq!(format!("{layout}:{}:{count}ev", banks.join(",")), kind, "{name}");
        logs += 1;
    }
    assert!(logs >= 60, "{logs} logs");
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn l1_l24_what_the_manifest_calls_bad_is_refused() {
    for (name, code) in [
        ("derived/inline/event_size_too_large.sha1log.bin", "event_log.register"),
        ("derived/inline/specid_invalid_version_1_2.bin", "event_log.version"),
        ("derived/inline/specid_malicious_numalgs_ffffffff.bin", "event_log.algorithms"),
        ("keylime/test/data/create-mb-policy/binary_bios_measurements-bogus", "event_log.register"),
        ("keylime/test/data/create-mb-policy/binary_bios_measurements-empty", "event_log.empty"),
    ] {
        let bytes = corpus::read(&format!("eventlog/{name}"));
        assert_eq!(parse(name, &bytes).unwrap_err().code(), code, "{name}");
    }
    let zero_size = corpus::read("eventlog/derived/inline/event_size_zero.sha1log.bin");
    let log = parse("", &zero_size).unwrap();
    assert_eq!((log.event_count(), log.events().next().unwrap().data()), (1, [].as_slice()));
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn tails_and_records_of_no_register_are_named() {
    for (name, tail) in [
        ("trustee/deps/eventlog/test_data/CCEL_AAEL_alibabacloud", Tail::Ones { offset: 11_707, length: 8 }),
        ("trustee/deps/eventlog/test_data/CCEL_data", Tail::Zeros { offset: 9_822, length: 1_038_754 }),
        ("go-eventlog/testdata/eventlogs/ccel/cos-113-intel-tdx.bin", Tail::Ones { offset: 18_101, length: 244_043 }),
        ("go-eventlog/testdata/eventlogs/tpm/rhel8-uefi.bin", Tail::None),
    ] {
        let name = format!("eventlog/{name}");
        let bytes = corpus::read(&name);
        assert_eq!(parse(&name, &bytes).unwrap().tail(), tail, "{name}");
    }
    let bytes = corpus::read("eventlog/immune-guard-oss/apisrv/pkg/eventlog/testdata/windows_event_log");
    assert_eq!(parse("", &bytes).unwrap().out_of_band().count(), 1);
}

const BOOTS: [&str; 8] = [
    "sdboot-uki-sb",
    "shim-grub-ms",
    "tamper-cmdline",
    "uki-nosb",
    "uki-nosb-stub254",
    "uki-sb",
    "uki-sb-stub257",
    "uki-signed-nosb",
];

/// The log of a boot, and the registers that its TPM had, without those that later software extends.
fn boot(name: &str) -> (Vec<u8>, PcrValues) {
    (corpus::read(&format!("boot/{name}/eventlog.bin")), read_pcrs(&format!("boot/{name}/boot-pcrs.json")))
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn every_measured_boot_replays_to_its_pcrs_in_four_banks() {
    for name in BOOTS {
        let (bytes, pcrs) = boot(name);
        let replayed = parse(name, &bytes).unwrap().replay_all().unwrap();
        assert_eq!(pcrs.banks().collect::<Vec<_>>(), Bank::ALL, "{name}");
        let confirmed = replayed.confirm(&pcrs, pcrs.iter().map(|(bank, index, _)| (bank, index)));
        let confirmed = confirmed.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(confirmed.confirmed().len(), pcrs.len(), "{name}");
        let secure_boot = if name.contains("nosb") || name == "tamper-cmdline" {
            SecureBootState::Disabled
        } else {
            SecureBootState::Enabled
        };
        assert_eq!(confirmed.secure_boot(), secure_boot, "{name}");
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn l24_the_log_of_another_boot_does_not_replay() {
    let (honest, _) = boot("uki-nosb");
    let (_, pcrs) = boot("tamper-cmdline");
    let replayed = parse("", &honest).unwrap().replay_all().unwrap();
    let sha384 = || PcrIndex::all().filter(|index| index.get() != 10).map(|index| (Bank::Sha384, index));
    let error = replayed.confirm(&pcrs, sha384()).unwrap_err();
    let LogError::Mismatch { mismatches } = error else { panic!("{error}") };
    let registers: Vec<_> = mismatches.iter().map(|mismatch| mismatch.pcr.get()).collect();
    assert_eq!(registers, [4, 9, 11], "another command line changes these");
    let others = sha384().filter(|(_, index)| !registers.contains(&index.get()));
    assert!(replayed.confirm(&pcrs, others).is_ok());
}

/// What is recomputed over the corpus, by type: a change of a rule shows here.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn payload_checks_over_the_corpus() {
    let mut separators = (0, 0);
    let mut actions = (0, 0);
    let mut images = 0;
    for entry in manifest().iter().filter(|entry| entry.kind.starts_with("log:")) {
        let name = format!("eventlog/{}", entry.path);
        let bytes = corpus::read(&name);
        let Ok(log) = parse(&name, &bytes) else { continue };
        for event in log.events() {
            let check = event.payload_check();
            let verified = matches!(check, PayloadCheck::Verified(_));
            match event.event_type() {
                EventType::SEPARATOR if verified => separators.0 += 1,
                EventType::SEPARATOR => separators.1 += 1,
                EventType::EFI_ACTION | EventType::ACTION if verified => actions.0 += 1,
                EventType::EFI_ACTION | EventType::ACTION => actions.1 += 1,
                EventType::EFI_BOOT_SERVICES_APPLICATION => {
                    images += 1;
                    assert_eq!(check, PayloadCheck::NotCheckable, "{name}: {event:?}");
                }
                EventType::EFI_VARIABLE_DRIVER_CONFIG
                | EventType::EFI_VARIABLE_AUTHORITY
                | EventType::EFI_VARIABLE_BOOT
                | EventType::EFI_GPT_EVENT => assert!(verified, "{name}: {event:?}"),
                _ => {}
            }
        }
    }
    assert!(separators.0 > 400 && actions.0 > 100 && images > 100, "{separators:?} {actions:?} {images}");
    assert_eq!((separators.1, actions.1), (0, 0));
}

/// Every event's data has the shape of its type, or is named here.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn every_payload_of_the_corpus_decodes() {
    let mut failures = Vec::new();
    let boots = BOOTS.map(|name| format!("boot/{name}/eventlog.bin"));
    let logs = manifest().into_iter().filter(|entry| entry.kind.starts_with("log:"));
    for name in logs.map(|entry| format!("eventlog/{}", entry.path)).chain(boots) {
        let bytes = corpus::read(&name);
        let Ok(log) = parse(&name, &bytes) else { continue };
        for event in log.events() {
            match event.decode() {
                Ok(Decoded::Raw(_)) => {}
                Ok(decoded) => assert!(!decoded.kind().is_empty()),
                Err(error) => failures.push(format!("{name}: event {} {}: {error}", event.index(), event.event_type())),
            }
        }
    }
    assert_eq!(failures, Vec::<String>::new());
}

/// Secure Boot, where a log's source says what it was, or a person read it in the log.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn secure_boot_states_of_the_corpus() {
    for (name, state) in [
        ("go-eventlog/testdata/eventlogs/tpm/cos-85-amd-sev.bin", "enabled"),
        ("go-eventlog/testdata/eventlogs/tpm/cos-101-amd-sev.bin", "enabled"),
        ("go-eventlog/testdata/eventlogs/tpm/rhel8-uefi.bin", "enabled"),
        ("go-attestation/attest/testdata/sb_cert_eventlog", "enabled"),
        ("derived/go-attestation/windows_gcp_shielded_vm.log.bin", "enabled"),
        ("go-eventlog/testdata/eventlogs/tpm/ubuntu-1804-amd-sev.bin", "disabled"),
        ("go-eventlog/testdata/eventlogs/tpm/ubuntu-2104-no-dbx.bin", "disabled"),
        ("go-attestation/attest/testdata/ubuntu_2104_shielded_vm_no_secure_boot_eventlog", "disabled"),
        ("keylime/test/data/create-mb-policy/binary_bios_measurements", "disabled"),
        ("go-eventlog/testdata/eventlogs/tpm/glinux-alex.bin", "disabled"),
        // The variable has no contents.
        ("go-eventlog/testdata/eventlogs/tpm/arch-linux-workstation.bin", "unknown"),
        ("go-attestation/attest/testdata/crypto_agile_eventlog", "unknown"),
        // "Security Level is Downgraded to 0".
        ("derived/immune/test.evidence.json.event_log.0.bin", "unknown"),
        // No variable was measured into PCR 7.
        ("derived/immune/IMN-SUPERMICRO-no-epp.evidence.json.event_log_z.0.bin", "unknown"),
    ] {
        let bytes = corpus::read(&format!("eventlog/{name}"));
        let replayed = parse(name, &bytes).unwrap().replay_all().unwrap();
        let values = replayed.values();
        let confirmed = replayed.confirm(&values, values.iter().map(|(bank, index, _)| (bank, index))).unwrap();
        assert_eq!(confirmed.secure_boot().name(), state, "{name}: {:?}", confirmed.secure_boot());
    }
}

/// Logs with the PCRs that their TPM quoted: which registers differ, and what explains it.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn l9_l10_quoted_pcrs_match_or_the_mismatch_is_explained() {
    for (name, bank, differing) in [
        ("DESKTOP-MIMU51J-EPP-ESET.evidence.json.event_log_z.0.bin", Bank::Sha256, [].as_slice()),
        ("IMN-DELL-WBCL-BootCtrs.evidence.json.event_log_z.0.bin", Bank::Sha256, &[]),
        ("IMN-SUPERMICRO-no-epp.evidence.json.event_log_z.0.bin", Bank::Sha256, &[]),
        // The firmware does not extend this bank as its log says.
        ("IMN-SUPERMICRO-no-epp.evidence.json.event_log_z.0.bin", Bank::Sha1, &[0, 1, 2, 3, 4, 5, 6, 7]),
        ("good-1.evidence.json.event_log.0.bin", Bank::Sha256, &[]),
        ("failed-1.evidence.json.event_log.0.bin", Bank::Sha256, &[0]),
        ("failed-2.evidence.json.event_log.0.bin", Bank::Sha256, &[0]),
        ("ludmilla.evidence.json.event_log.0.bin", Bank::Sha1, &[]),
    ] {
        let name = format!("eventlog/derived/immune/{name}");
        let bytes = corpus::read(&name);
        let quoted: serde_json::Value = serde_json::from_slice(&corpus::read(&format!("{name}.quoted.json"))).unwrap();
        let quoted: PcrValues = serde_json::from_value(quoted["pcrs"].clone()).unwrap();
        let replayed = parse(&name, &bytes).unwrap().replay_all().unwrap();
        let firmware: Vec<_> = (0..8).map(|index| (bank, PcrIndex::new(index).unwrap())).collect();
        match replayed.confirm(&quoted, firmware) {
            Ok(_) => assert!(differing.is_empty(), "{name}"),
            Err(LogError::Mismatch { mismatches }) => {
                let found: Vec<_> = mismatches.iter().map(|mismatch| mismatch.pcr.get()).collect();
                assert_eq!(found, differing, "{name}");
                // What these machines extended is of more than one difference to their logs.
                let explained = replayed.explain(&mismatches);
                assert!(explained.iter().all(|explained| *explained == Explanation::NotFound), "{name}: {explained:?}");
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// One flipped bit in the log of a real boot: it never panics, and no claim of a confirmed log changes from one
/// certainty to another.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn l14_no_flipped_bit_changes_what_a_confirmed_log_says() {
    for (name, honest) in [("uki-nosb", SecureBootState::Disabled), ("uki-sb", SecureBootState::Enabled)] {
        let (bytes, pcrs) = boot(name);
        let requested: Vec<_> =
            pcrs.iter().filter(|(bank, ..)| *bank == Bank::Sha384).map(|(bank, index, _)| (bank, index)).collect();
        let images = |bytes: &[u8]| -> Option<(SecureBootState, Vec<String>)> {
            let replayed = parse(name, bytes).ok()?.replay_all().ok()?;
            let confirmed = replayed.confirm(&pcrs, requested.iter().copied()).ok()?;
            let path = confirmed.boot_path(nitrotpm_eventlog::EarlyApplications::Report).ok();
            let images = path.map(|path| path.images()).unwrap_or_default();
            let digests = images.iter().filter_map(|image| image.proven_digest(Bank::Sha384)).map(|d| d.to_string());
            Some((confirmed.secure_boot(), digests.collect()))
        };
        let expected = images(&bytes).unwrap();
        assert_eq!(expected.0, honest);
        let (mut refused, mut unchanged, mut unknown) = (0, 0, 0);
        // Every fifth byte, and with it every bit: all of them would take half a minute.
        for at in (0..bytes.len()).step_by(5) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            match images(&flipped) {
                None => refused += 1,
                Some((state, found)) => {
                    assert!(found.is_empty() || found == expected.1, "{name}: byte {at}");
                    match state {
                        SecureBootState::Unknown { .. } => unknown += 1,
                        known => assert_eq!(known, honest, "{name}: byte {at}"),
                    }
                    unchanged += 1;
                }
            }
        }
        assert!(refused > 400 && unchanged > 400 && unknown > 60, "{name}: {refused} {unchanged} {unknown}");
    }
}
