//! AWS's `nitro-tpm-attest`, unmodified, against the emulator's device-like file.
//!
//! Not run with the other tests: `tests/interop/aws-client` builds the client, which needs a newer libtss2 than Debian 12
//! has, names it in NITRO_TPM_ATTEST, and runs this.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a helper of tests fails as a test does"
)]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nitrotpm_emulator::NitroTpm;
use nitrotpm_freshness::{Clock, Nonce, NonceExpectation, UnixTime};
use nitrotpm_nitro_document::{DocumentExpectations, TrustRoots, UnverifiedDocument, VerifiedDocument};
use nitrotpm_pcr::Bank;
use support::*;

fn client(device: &Path, arguments: &[(&str, &[u8])]) -> std::process::Output {
    let program = std::env::var_os("NITRO_TPM_ATTEST").expect("run this by tests/interop/aws-client");
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.env("TPM_DEVICE", device);
    for (name, contents) in arguments {
        let file = directory.path().join(name);
        std::fs::write(&file, contents).unwrap();
        command.arg(format!("--{name}")).arg(file);
    }
    command.output().unwrap()
}

#[track_caller]
fn verified(tpm: &NitroTpm, output: &std::process::Output, nonce: Option<&Nonce>) -> VerifiedDocument {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut roots = TrustRoots::empty();
    roots.add_pem(tpm.root_pem().as_bytes()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let clock = Clock::Live(UnixTime::since_unix_epoch(Duration::from_secs(now)));
    let nonce = nonce.map_or(NonceExpectation::NotChecked, NonceExpectation::Expected);
    let document = UnverifiedDocument::parse(&output.stdout).unwrap();
    let verified = document.verify(&roots, &DocumentExpectations::new(clock, nonce)).unwrap();
    assert_eq!(verified.pcrs(), &tpm.pcrs(Bank::Sha384).unwrap());
    assert_eq!(verified.module_id(), tpm.module_id());
    verified
}

#[test]
fn documents_with_arguments_at_their_largest_and_with_none() {
    let places = tempfile::tempdir().unwrap();
    let device = places.path().join("tpm0");
    let tpm = NitroTpm::builder().fuse(&device).start().unwrap();
    // Something to tell from zero.
    let mut parameters = vec![0, 0, 0, 1, 0, 0x0c];
    parameters.extend([0x5a; 48]);
    Client { tpm: &tpm }.call(0x182, &[4], &[], vec![password(b"")], &parameters).unwrap();

    let none = verified(&tpm, &client(&device, &[]), None);
    assert_eq!((none.nonce(), none.user_data(), none.public_key()), (None, None, None));

    let [nonce, user_data, public_key] = [random(1024), random(1024), random(1024)];
    let arguments: [(&str, &[u8]); 3] = [("nonce", &nonce), ("user-data", &user_data), ("public-key", &public_key)];
    let start = Instant::now();
    let output = client(&device, &arguments);
    println!("a whole document in {} ms", start.elapsed().as_millis());
    let all = verified(&tpm, &output, Some(&Nonce::new(&nonce).unwrap()));
    assert_eq!(all.user_data(), Some(user_data.as_slice()));
    assert_eq!(all.public_key(), Some(public_key.as_slice()));

    // Nothing is left: no index, no persistent key, no session.
    for kind in [0x01, 0x81, 0x02, 0x80] {
        assert_eq!(handles(&Client { tpm: &tpm }, kind), 0, "{kind:#x}");
    }
}

#[test]
fn documents_after_a_reset_and_after_a_restart() {
    let places = tempfile::tempdir().unwrap();
    let (device, state) = (places.path().join("tpm0"), places.path().join("state"));
    let start = || NitroTpm::builder().state_dir(&state).fuse(&device).start().unwrap();
    let tpm = start();
    let first = verified(&tpm, &client(&device, &[]), None);
    tpm.reset().unwrap();
    verified(&tpm, &client(&device, &[]), None);
    drop(tpm);
    let tpm = start();
    let again = verified(&tpm, &client(&device, &[]), None);
    assert_eq!(first.module_id(), again.module_id());
    assert_eq!(first.certificates()[0].sha256, again.certificates()[0].sha256);
}

#[test]
fn a_field_that_is_too_long_fails() {
    let places = tempfile::tempdir().unwrap();
    let device = places.path().join("tpm0");
    let tpm = NitroTpm::builder().fuse(&device).start().unwrap();
    let nonce = random(1025);
    assert!(!client(&device, &[("nonce", &nonce)]).status.success());
    verified(&tpm, &client(&device, &[("nonce", &nonce[..1024])]), Some(&Nonce::new(&nonce[..1024]).unwrap()));
}

#[test]
fn documents_over_the_terminal() {
    let places = tempfile::tempdir().unwrap();
    let device = places.path().join("tty");
    let tpm = NitroTpm::builder().pty(&device).start().unwrap();
    verified(&tpm, &client(&device, &[]), None);
}
