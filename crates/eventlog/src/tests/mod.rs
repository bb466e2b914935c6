//! Tests of the whole way: written, parsed, replayed, confirmed, believed.

extern crate std;

mod batch;
mod ccel;
mod cel;
mod cel_cbor;
mod claims;
mod decoding;
mod diffing;
mod explaining;
mod ima;
mod parsing;
mod payload;
mod properties;
mod replaying;
mod secure_boot;
mod showing;

use alloc::vec::Vec;

use nitrotpm_pcr::{Bank, PcrIndex};

use crate::writer::{LogBuilder, uefi_variable};
use crate::{ConfirmedLog, EventLog, EventType, Guid, LogError, ParseOptions, guid};

const GLOBAL: Guid = crate::decode::GLOBAL_VARIABLE;
const DATABASE: Guid = crate::decode::IMAGE_SECURITY_DATABASE;
const SHIM: Guid = crate::decode::SHIM_LOCK;
const OTHER: Guid = guid!("00112233-4455-6677-8899-aabbccddeeff");

#[track_caller]
fn parse(bytes: &[u8]) -> EventLog<'_> {
    EventLog::parse(bytes, &ParseOptions::default()).unwrap()
}

#[track_caller]
fn refused(bytes: &[u8]) -> LogError {
    EventLog::parse(bytes, &ParseOptions::default()).unwrap_err()
}

fn pcr(index: u8) -> PcrIndex {
    PcrIndex::new(index).unwrap()
}

/// A log confirmed in one bank by its own values: what an attester's quote would say of a machine with this log.
#[track_caller]
fn confirmed<'a>(bytes: &'a [u8], bank: Bank, pcrs: &[u8]) -> ConfirmedLog<'a> {
    let replayed = parse(bytes).replay_all().unwrap();
    replayed.confirm(&replayed.values(), pcrs.iter().map(|index| (bank, pcr(*index)))).unwrap()
}

/// PCR 7 of a machine with Secure Boot on, as OVMF measures it.
fn secure_boot_on() -> LogBuilder {
    let mut builder = LogBuilder::crypto_agile(&[Bank::Sha256, Bank::Sha384]);
    for (guid, name, contents) in [
        (GLOBAL, "SecureBoot", [1].as_slice()),
        (GLOBAL, "PK", b"platform key"),
        (GLOBAL, "KEK", b"key exchange key"),
        (DATABASE, "db", b"allowed"),
        (DATABASE, "dbx", b"forbidden"),
    ] {
        builder.measure(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &uefi_variable(guid, name, contents));
    }
    builder.measure(7, EventType::SEPARATOR, &[0; 4]);
    builder.measure(7, EventType::EFI_VARIABLE_AUTHORITY, &uefi_variable(DATABASE, "db", b"allowed"));
    builder
}

/// The same machine with Secure Boot off.
fn secure_boot_off() -> LogBuilder {
    let mut builder = LogBuilder::crypto_agile(&[Bank::Sha256, Bank::Sha384]);
    builder.measure(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &uefi_variable(GLOBAL, "SecureBoot", &[0]));
    for (guid, name) in [(GLOBAL, "PK"), (GLOBAL, "KEK"), (DATABASE, "db"), (DATABASE, "dbx")] {
        builder.measure(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &uefi_variable(guid, name, &[]));
    }
    builder.measure(7, EventType::SEPARATOR, &[0; 4]);
    builder
}

/// A small boot with events in PCR 0, 4, 5 and 7.
fn boot() -> LogBuilder {
    let mut builder = secure_boot_on();
    builder.measure(0, EventType::S_CRTM_VERSION, b"1\0.\x000\0\0\0");
    builder.measure(4, EventType::EFI_ACTION, b"Calling EFI Application from Boot Option");
    builder.measure(0, EventType::SEPARATOR, &[0; 4]);
    builder.measure(4, EventType::SEPARATOR, &[0; 4]);
    builder.measure(5, EventType::SEPARATOR, &[0; 4]);
    builder.measure_as(4, EventType::EFI_BOOT_SERVICES_APPLICATION, b"image", &[0; 32]);
    builder.measure(5, EventType::EFI_ACTION, b"Exit Boot Services Invocation");
    builder
}

/// The log as bytes.
fn bytes_of(builder: &LogBuilder) -> Vec<u8> {
    builder.finish().unwrap()
}
