//! A verifier notices each lie of the device, for the reason that the fault is named after.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests fails as a test does"
)]

mod support;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nitrotpm_emulator::{DeviceClock, Fault, NitroTpm};
use nitrotpm_freshness::{Clock, Nonce, NonceExpectation, UnixTime};
use nitrotpm_nitro_document::{DocumentError, DocumentExpectations, TrustRoots, UnverifiedDocument, VerifiedDocument};
use nitrotpm_pcr::{Bank, PcrIndex};
use support::*;

const INDEX: u32 = 0x0180_0010;

/// Asks for a document; gives the contents of the index after the vendor command.
fn ask(tpm: &NitroTpm) -> Result<Vec<u8>, u32> {
    let client = Client { tpm };
    let _ = client.undefine(INDEX);
    client.define(INDEX, 8192, AUTHREAD_AUTHWRITE, b"a").unwrap();
    client.write(INDEX, b"a", &attestation(Some(b"key"), None, Some(b"nonce"))).unwrap();
    client.call(NSM, &[INDEX, INDEX], &[], vec![password(b"a")], &[])?;
    Ok(client.read(INDEX, b"a", 8192).unwrap())
}

fn verify_at(tpm: &NitroTpm, document: &[u8], seconds: u64) -> Result<VerifiedDocument, DocumentError> {
    let mut roots = TrustRoots::empty();
    roots.add_pem(tpm.root_pem().as_bytes()).unwrap();
    let nonce = Nonce::new(b"nonce").unwrap();
    let clock = Clock::Live(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
    let expectations = DocumentExpectations::new(clock, NonceExpectation::Expected(&nonce));
    UnverifiedDocument::parse(document)?.verify(&roots, &expectations.max_age(Duration::from_secs(300)))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn document(tpm: &NitroTpm) -> Vec<u8> {
    response(&ask(tpm).unwrap()).unwrap()
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn each_fault_of_a_document_has_its_reason() {
    let tpm = NitroTpm::start().unwrap();
    for (fault, reasons) in [
        (Fault::WrongSignature, &["document.signature"][..]),
        (Fault::UntrustedRoot, &["document.chain-root"]),
        (Fault::ChainBroken, &["document.chain"]),
        (Fault::Stale, &["document.stale"]),
        (Fault::Expired, &["document.certificate-expired"]),
        (Fault::Future, &["document.certificate-not-yet-valid"]),
        (Fault::WrongKind, &["document.wrong-type"]),
        (Fault::WrongNonce, &["document.nonce"]),
        (Fault::NoNonce, &["document.nonce"]),
        (Fault::DuplicateKey, &["document.duplicate-key"]),
        (Fault::Truncated, &["document.cbor"]),
    ] {
        tpm.set_faults([]);
        assert!(verify_at(&tpm, &document(&tpm), now()).is_ok());
        tpm.set_faults([fault]);
        let error = verify_at(&tpm, &document(&tpm), now()).unwrap_err();
        assert!(reasons.contains(&error.code()), "{fault}: {error}");
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn altered_registers_and_keys_are_signed_all_the_same() {
    let tpm = NitroTpm::start().unwrap();
    let extend = |number: u32, byte: u8| {
        let mut parameters = vec![0, 0, 0, 1, 0, 0x0c];
        parameters.extend([byte; 48]);
        Client { tpm: &tpm }.call(0x182, &[number], &[], vec![password(b"")], &parameters).unwrap();
    };
    extend(4, 1);
    extend(7, 2);
    let real = tpm.pcrs(Bank::Sha384).unwrap();
    let value = |number: u8| *real.get(Bank::Sha384, PcrIndex::new(number).unwrap()).unwrap();
    let told = |fault: Fault| {
        tpm.set_faults([fault]);
        verify_at(&tpm, &document(&tpm), now()).unwrap()
    };
    let of = |document: &VerifiedDocument, number: u8| {
        *document.pcrs().get(Bank::Sha384, PcrIndex::new(number).unwrap()).unwrap()
    };
    let flipped = told(Fault::PcrFlipped);
    assert_ne!(of(&flipped, 4), value(4));
    assert_eq!(of(&flipped, 7), value(7));
    let swapped = told(Fault::PcrSwapped);
    assert_eq!((of(&swapped, 4), of(&swapped, 7)), (value(7), value(4)));
    assert_eq!(told(Fault::WrongPublicKey).public_key(), Some(b"kex".as_slice()));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn an_ill_device_answers_as_told() {
    let tpm = NitroTpm::start().unwrap();
    for (fault, code) in
        [(Fault::NoVendorCommand, 0x143), (Fault::Failing, 0x101), (Fault::Retry, 0x922), (Fault::Lockout, 0x921)]
    {
        tpm.set_faults([fault]);
        assert_eq!(ask(&tpm), Err(code), "{fault}");
    }
    tpm.set_faults([Fault::BufferTooSmall]);
    assert_eq!(response(&ask(&tpm).unwrap()), Err("BufferTooSmall".into()));
    tpm.set_faults([Fault::InternalError]);
    assert_eq!(response(&ask(&tpm).unwrap()), Err("InternalError".into()));
    tpm.set_faults([Fault::Garbage]);
    assert_eq!(ask(&tpm).unwrap(), vec![0xff; 8192]);
    tpm.set_faults([Fault::Slow]);
    let start = Instant::now();
    ask(&tpm).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(2));
    tpm.set_faults([]);
    verify_at(&tpm, &document(&tpm), now()).unwrap();
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_dropped_response_ends_the_connection_and_not_the_device() {
    use std::io::{Read, Write};
    let tpm = NitroTpm::start().unwrap();
    ask(&tpm).unwrap();
    let mut body = [INDEX.to_be_bytes(), INDEX.to_be_bytes()].concat();
    body.extend([0, 0, 0, 10, 0x40, 0, 0, 9, 0, 0, 0, 0, 1, b'a']);
    let command = message(0x8002, NSM, &body);
    let send = || {
        let mut connection = std::net::TcpStream::connect(("127.0.0.1", tpm.tcp_port())).unwrap();
        connection.write_all(&command).unwrap();
        let mut answer = vec![0; 4096];
        let length = connection.read(&mut answer).unwrap();
        answer.truncate(length);
        answer
    };
    assert_eq!(u32_at(&send(), 6), 0);
    tpm.set_faults([Fault::DroppedResponse]);
    assert_eq!(send(), Vec::<u8>::new());
    tpm.set_faults([]);
    assert_eq!(u32_at(&send(), 6), 0);
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_clock_of_ones_choice_dates_the_documents() {
    let day = 1_700_000_000;
    let tpm = NitroTpm::builder().clock(DeviceClock::Fixed(day * 1000 + 437)).start().unwrap();
    let bytes = document(&tpm);
    let verified = verify_at(&tpm, &bytes, day + 10).unwrap();
    assert_eq!(verified.timestamp_millis(), day * 1000 + 437);
    assert_eq!(verify_at(&tpm, &bytes, now()).unwrap_err().code(), "document.certificate-expired");
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
#[should_panic(expected = "the response's HMAC")]
fn a_wrong_hmac_in_the_response_is_noticed_by_a_client_that_looks() {
    let tpm = NitroTpm::builder().fault(Fault::WrongHmac).start().unwrap();
    let client = Client { tpm: &tpm };
    client.define(INDEX, 8192, AUTHREAD_AUTHWRITE, b"a").unwrap();
    client.write(INDEX, b"a", &attestation(None, None, None)).unwrap();
    let mut session = client.session(Hash::Sha512, Hide::Nothing, None, None);
    let _ = client.nsm(INDEX, &mut session, b"a");
}
