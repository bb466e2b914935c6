//! AWS's `nitro-tpm-attest`, unmodified, against the emulator's device-like file.
//!
//! Not run with the other tests: `tests/interop/aws-client` builds the client, which needs a newer libtss2 than Debian 12
//! has, names it in NITRO_TPM_ATTEST, and runs this.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a helper of tests fails as a test does"
)]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nitrotpm_emulator::NitroTpm;
use nitrotpm_freshness::{Clock, Nonce, NonceExpectation, UnixTime};
use nitrotpm_nitro_document::{DocumentError, DocumentExpectations, TrustRoots, UnverifiedDocument, VerifiedDocument};
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

fn verify(
    tpm: &NitroTpm,
    output: &std::process::Output,
    nonce: Option<&Nonce>,
) -> Result<VerifiedDocument, DocumentError> {
    let mut roots = TrustRoots::empty();
    roots.add_pem(tpm.root_pem().as_bytes()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let clock = Clock::Live(UnixTime::since_unix_epoch(Duration::from_secs(now)));
    let nonce = nonce.map_or(NonceExpectation::NotChecked, NonceExpectation::Expected);
    UnverifiedDocument::parse(&output.stdout)?.verify(&roots, &DocumentExpectations::new(clock, nonce))
}

#[track_caller]
fn verified(tpm: &NitroTpm, output: &std::process::Output, nonce: Option<&Nonce>) -> VerifiedDocument {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let verified = verify(tpm, output, nonce).unwrap();
    assert_eq!(verified.pcrs(), &tpm.pcrs(Bank::Sha384).unwrap());
    assert_eq!(verified.module_id(), tpm.module_id());
    verified
}

/// The client over one place: no arguments, each alone, all at their largest; after a reset; and nothing is left.
fn documents(tpm: &NitroTpm, device: &Path, place: &str) {
    // Something to tell from zero.
    let mut parameters = vec![0, 0, 0, 1, 0, 0x0c];
    parameters.extend([0x5a; 48]);
    Client { tpm }.call(0x182, &[4], &[], vec![password(b"")], &parameters).unwrap();

    let start = Instant::now();
    let none = verified(tpm, &client(device, &[]), None);
    println!("AWS's client over {place}: a document without arguments in {} ms", start.elapsed().as_millis());
    assert_eq!((none.nonce(), none.user_data(), none.public_key()), (None, None, None));

    let [nonce, user_data, public_key] = [random(1024), random(1024), random(1024)];
    let arguments: [(&str, &[u8]); 3] = [("nonce", &nonce), ("user-data", &user_data), ("public-key", &public_key)];
    for (number, (name, contents)) in arguments.iter().enumerate() {
        let one = verified(tpm, &client(device, &[(name, &contents[..20])]), None);
        let found = [one.nonce(), one.user_data(), one.public_key()];
        for (at, found) in found.into_iter().enumerate() {
            assert_eq!(found, (at == number).then_some(&contents[..20]), "{name}");
        }
    }
    let start = Instant::now();
    let output = client(device, &arguments);
    println!("AWS's client over {place}: a document with the largest arguments in {} ms", start.elapsed().as_millis());
    let all = verified(tpm, &output, Some(&Nonce::new(&nonce).unwrap()));
    assert_eq!(all.user_data(), Some(user_data.as_slice()));
    assert_eq!(all.public_key(), Some(public_key.as_slice()));
    // What was made for one nonce is not for another.
    let mut other = nonce.clone();
    other[0] ^= 1;
    let error = verify(tpm, &output, Some(&Nonce::new(&other).unwrap())).unwrap_err();
    assert_eq!(error.code(), "document.nonce");

    // A field that is too long fails, and leaves nothing in the way of the next.
    assert!(!client(device, &[("nonce", &random(1025))]).status.success());
    tpm.reset().unwrap();
    verified(tpm, &client(device, &[]), None);
    // Nothing is left: no index, no persistent key, no session.
    for kind in [0x01, 0x81, 0x02, 0x80] {
        assert_eq!(handles(&Client { tpm }, kind), 0, "{kind:#x}");
    }
}

#[test]
#[cfg_attr(not(fuse), ignore = "this machine cannot mount FUSE: /dev/fuse, and root or fuse3, are wanted")]
fn documents_over_the_device_file() {
    let places = tempfile::tempdir().unwrap();
    let device = places.path().join("tpm0");
    let tpm = NitroTpm::builder().fuse(&device).start().unwrap();
    documents(&tpm, &device, "the device-like file");
}

#[test]
fn documents_over_the_terminal() {
    let places = tempfile::tempdir().unwrap();
    let device = places.path().join("tty");
    let tpm = NitroTpm::builder().pty(&device).start().unwrap();
    documents(&tpm, &device, "a terminal");
}

#[test]
#[cfg_attr(not(fuse), ignore = "this machine cannot mount FUSE: /dev/fuse, and root or fuse3, are wanted")]
fn documents_after_a_restart() {
    let places = tempfile::tempdir().unwrap();
    let (device, state) = (places.path().join("tpm0"), places.path().join("state"));
    let start = || NitroTpm::builder().state_dir(&state).fuse(&device).start().unwrap();
    let tpm = start();
    let first = verified(&tpm, &client(&device, &[]), None);
    drop(tpm);
    let tpm = start();
    let again = verified(&tpm, &client(&device, &[]), None);
    assert_eq!(first.module_id(), again.module_id());
    assert_eq!(first.certificates()[0].sha256, again.certificates()[0].sha256);
}

/// `nitrotpm document verify --trust-root`, where the program is named.
#[test]
#[cfg_attr(not(fuse), ignore = "this machine cannot mount FUSE: /dev/fuse, and root or fuse3, are wanted")]
fn the_command_line_affirms_the_document() {
    let program = std::env::var_os("NITROTPM").expect("run this by tests/interop/aws-client");
    let places = tempfile::tempdir().unwrap();
    let device = places.path().join("tpm0");
    let log = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/boot/secure-boot-on/eventlog.bin");
    let tpm = NitroTpm::builder().fuse(&device).boot_log(std::fs::read(log).unwrap()).start().unwrap();
    let file = places.path().join("document");
    let nonce = random(32);
    std::fs::write(&file, client(&device, &[("nonce", &nonce)]).stdout).unwrap();
    let verify = |nonce: &[u8]| {
        let nonce: String = nonce.iter().map(|byte| format!("{byte:02x}")).collect();
        let output = Command::new(&program)
            .args(["document", "verify", "--format", "json", "--nonce", &nonce, "--trust-root"])
            .arg(tpm.directory().join("root.pem"))
            .arg(&file)
            .output()
            .unwrap();
        (output.status.code(), serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap())
    };
    let (code, result) = verify(&nonce);
    assert_eq!((code, result["verdict"].as_str()), (Some(0), Some("affirmed")), "{result}");
    assert_eq!(result["module_id"].as_str(), Some(tpm.module_id().as_str()));
    let pcrs = tpm.pcrs(Bank::Sha384).unwrap();
    for (_, index, value) in pcrs.iter() {
        assert_eq!(result["pcrs"]["sha384"][index.to_string()].as_str(), Some(value.to_string().as_str()));
    }
    let (code, result) = verify(&random(32));
    assert_eq!((code, result["verdict"].as_str()), (Some(3), Some("invalid")), "{result}");
}
