//! Boot logs end up in the PCRs.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use nitrotpm_emulator::{EmulatorError, NitroTpm};
use nitrotpm_eventlog::writer::LogBuilder;
use nitrotpm_eventlog::{EventLog, EventType, ParseOptions};
use nitrotpm_pcr::{Bank, PcrValues};

fn replay(log: &[u8]) -> PcrValues {
    EventLog::parse(log, &ParseOptions::default()).unwrap().replay_all().unwrap().values()
}

fn boot(banks: &[Bank], locality: Option<u8>) -> Vec<u8> {
    let mut builder = LogBuilder::crypto_agile(banks);
    if let Some(locality) = locality {
        builder.startup_locality(locality);
    }
    builder.measure(0, EventType::S_CRTM_VERSION, b"version");
    for pcr in 0..8 {
        builder.measure(pcr, EventType::SEPARATOR, &[0; 4]);
    }
    builder.measure(4, EventType::EFI_BOOT_SERVICES_APPLICATION, b"an image");
    builder.finish().unwrap()
}

#[track_caller]
fn has(tpm: &NitroTpm, expected: &PcrValues, bank: Bank) {
    let found = tpm.pcrs(bank).unwrap();
    let expected: Vec<_> = expected.iter().filter(|(of, ..)| *of == bank).collect();
    assert_eq!(expected.len(), 8);
    for (_, index, value) in expected {
        assert_eq!(found.get(bank, index), Some(value), "{bank} {index}");
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_log_is_in_the_pcrs_after_a_start_and_after_a_reset() {
    for locality in [None, Some(0), Some(3)] {
        let log = boot(&[Bank::Sha256, Bank::Sha384, Bank::Sha512], locality);
        let tpm = NitroTpm::builder().boot_log(log.clone()).start().unwrap();
        for _ in 0..2 {
            for bank in [Bank::Sha256, Bank::Sha384, Bank::Sha512] {
                has(&tpm, &replay(&log), bank);
            }
            tpm.reset().unwrap();
        }
        assert_eq!(tpm.boot_log_report().unwrap().extended, 10);
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn banks_that_differ_are_reported() {
    let log = boot(&[Bank::Sha1, Bank::Sha256], None);
    let tpm = NitroTpm::builder().boot_log(log.clone()).start().unwrap();
    has(&tpm, &replay(&log), Bank::Sha256);
    let report = tpm.boot_log_report().unwrap();
    assert_eq!(report.banks, [Bank::Sha256]);
    assert_eq!(report.banks_switched_off, [Bank::Sha1]);
    assert_eq!(report.banks_without_digests, [Bank::Sha384, Bank::Sha512]);
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_log_that_is_none_or_cannot_be_repeated_is_refused() {
    let log = boot(&[Bank::Sha384], None);
    let cut = log.get(..log.len().saturating_sub(1)).unwrap();
    let refused = NitroTpm::builder().boot_log(cut).start();
    assert!(matches!(refused, Err(EmulatorError::BootLog { .. })), "{refused:?}");
    let hardware = boot(&[Bank::Sha384], Some(4));
    let refused = NitroTpm::builder().boot_log(hardware).start();
    assert!(matches!(refused, Err(EmulatorError::BootLogLocality { locality: 4 })), "{refused:?}");
    assert!(NitroTpm::builder().boot_log(log).start().is_ok());
}
