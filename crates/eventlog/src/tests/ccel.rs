//! Logs of confidential machines.

use alloc::vec::Vec;

use nitrotpm_digest_lanes::{Digest, extend, hash};
use nitrotpm_pcr::{Bank, PcrValues};

use super::{bytes_of, parse, pcr};
use crate::writer::LogBuilder;
use crate::{CcelTable, EventType, LogError, SecureBootState};

fn table() -> Vec<u8> {
    let mut table = b"CCEL\x38\0\0\0\x01\0OEM ID  TABLE".to_vec();
    table.resize(36, 0);
    table.extend([2, 0, 0, 0]);
    table.extend(65_536_u64.to_le_bytes());
    table.extend(0x7F_0000_u64.to_le_bytes());
    let sum = table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    table[9] = sum.wrapping_neg();
    table
}

#[test]
fn the_acpi_table_is_read_and_checked() {
    let good = table();
    let read = CcelTable::parse(&good).unwrap();
    assert_eq!((read.cc_type, read.cc_subtype, read.log_length, read.log_address), (2, 0, 65_536, 0x7F_0000));
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        assert!(CcelTable::parse(&bad).is_err(), "{at}");
        assert_eq!(CcelTable::parse(&good[..at]).unwrap_err().code(), "event_log.truncated");
    }
    assert_eq!(CcelTable::parse(&[good.as_slice(), &[0]].concat()).unwrap_err().code(), "event_log.trailing-bytes");
}

fn rtmr(measured: &[&[u8]]) -> Digest {
    measured
        .iter()
        .fold(Digest::zero(Bank::Sha384), |value, data| extend(&value, &hash(Bank::Sha384, &[data])).unwrap())
}

#[test]
fn l10_every_rtmr_given_must_match() {
    let mut builder = LogBuilder::ccel(&[Bank::Sha384]);
    builder.measure(1, EventType::SEPARATOR, &[0; 4]).measure(2, EventType::IPL, b"a");
    builder.record(2, EventType::NO_ACTION, &[hash(Bank::Sha384, &[b"x"])], b"x");
    let bytes = bytes_of(&builder);
    let replayed = parse(&bytes).replay_all().unwrap();
    let (first, second, untouched) = (rtmr(&[&[0; 4]]), rtmr(&[b"a"]), rtmr(&[]));
    let confirmed = replayed.confirm_rtmrs(&[(0, first), (1, second), (3, untouched)]).unwrap();
    assert_eq!(confirmed.confirmed().len(), 3);
    assert_eq!(confirmed.events_of(pcr(2)).count(), 1);
    // The registers of a TPM are not those of TDX: no claim crosses over.
    assert!(matches!(confirmed.secure_boot(), SecureBootState::Unknown { .. }));

    let error = replayed.confirm_rtmrs(&[(0, first), (1, first)]).unwrap_err();
    assert!(matches!(&error, LogError::Mismatch { mismatches } if mismatches[0].pcr == pcr(2)), "{error}");
    for wrong in [[(4, first)].as_slice(), &[(255, first)], &[(0, first), (0, first)]] {
        assert_eq!(replayed.confirm_rtmrs(wrong).unwrap_err().code(), "event_log.not-authenticated");
    }
    assert_eq!(replayed.confirm_rtmrs(&[]).unwrap_err(), LogError::NothingRequested);
}

#[test]
fn the_log_of_a_tpm_is_never_compared_with_rtmrs() {
    let bytes = bytes_of(LogBuilder::crypto_agile(&[Bank::Sha384]).measure(1, EventType::SEPARATOR, &[0; 4]));
    let replayed = parse(&bytes).replay_all().unwrap();
    assert_eq!(replayed.confirm_rtmrs(&[(0, rtmr(&[&[0; 4]]))]).unwrap_err().code(), "event_log.format");
    let mut values = PcrValues::new();
    values.insert(pcr(1), rtmr(&[&[0; 4]])).unwrap();
    assert!(replayed.confirm(&values, [(Bank::Sha384, pcr(1))]).is_ok());
}
