//! swtpm's control protocol: `swtpm_ioctl`, unmodified, over TCP and over the Unix socket.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a helper of tests fails as a test does")]

mod support;

use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use nitrotpm_emulator::NitroTpm;
use nitrotpm_pcr::{Bank, Digest, PcrIndex};
use support::*;

const STARTUP: [u8; 12] = [0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0];
const GET_RANDOM: [u8; 12] = [0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 8];

fn ioctl(place: &[String; 2], arguments: &[&str]) -> Output {
    // A control channel that does not answer must fail this test, not hang it.
    Command::new("timeout").args(["10", "swtpm_ioctl"]).args(place).args(arguments).output().unwrap()
}

#[track_caller]
fn ok(place: &[String; 2], arguments: &[&str]) -> String {
    let output = ioctl(place, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn pcr(tpm: &NitroTpm, number: u8) -> Digest {
    *tpm.pcrs(Bank::Sha384).unwrap().get(Bank::Sha384, PcrIndex::new(number).unwrap()).unwrap()
}

fn use_it(tpm: &NitroTpm, place: &[String; 2]) {
    let code = |command: &[u8]| u32_at(&tpm.execute(command), 6);
    assert!(ok(place, &["-c"]).contains("ptm capability is"));
    assert!(ok(place, &["-g"]).contains("ptm configuration flags: 0x0"));
    assert!(ok(place, &["-e"]).contains("tpmEstablished is"));
    assert!(ok(place, &["-b", "0"]).contains("4096"));
    let info: serde_json::Value = serde_json::from_str(&ok(place, &["--info", "1"])).unwrap();
    assert!(info.pointer("/TPMSpecification/family").is_some_and(|family| family == "2.0"), "{info}");

    // A locality that extends what none below may.
    let extend_20 = {
        let mut parameters = vec![0, 0, 0, 1, 0, 0x0c];
        parameters.extend([7; 48]);
        by_password(0x182, &[20], b"", &parameters)
    };
    assert_eq!(code(&extend_20), 0x907);
    ok(place, &["-l", "2"]);
    assert_eq!(code(&extend_20), 0);
    ok(place, &["-l", "0"]);
    assert_eq!(code(&extend_20), 0x907);

    // A dynamic launch: PCR 17 goes from ones to zero and is extended.
    assert_eq!(pcr(tpm, 17).as_bytes(), [0xff; 48]);
    ok(place, &["-h", "measured"]);
    let extended = sha384(&[&[0; 48][..], &sha384(b"measured")].concat());
    assert_eq!(pcr(tpm, 17).as_bytes(), extended);

    // Sessions of before a reset are gone, and the TPM waits for its Startup.
    let client = Client { tpm };
    client.session(Hash::Sha256, Hide::Nothing, None, None);
    ok(place, &["-i"]);
    assert_eq!(code(&GET_RANDOM), 0x100);
    assert_eq!(code(&STARTUP), 0);
    assert_eq!(handles(&client, 0x02), 0);
    assert_eq!(code(&GET_RANDOM), 0);
    ok(place, &["--stop"]);
    assert_ne!(code(&GET_RANDOM), 0);
    ok(place, &["-i"]);
    assert_eq!(code(&STARTUP), 0);

    // What would take the TPM out of the emulator's hands is refused, at once, and changes nothing.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state");
    for option in ["--save", "--load"] {
        let start = Instant::now();
        std::fs::write(&file, [0; 100]).unwrap();
        assert!(!ioctl(place, &[option, "permanent", file.to_str().unwrap()]).status.success());
        assert!(start.elapsed() < Duration::from_secs(5));
        assert_eq!(code(&GET_RANDOM), 0);
    }
}

#[test]
#[cfg_attr(
    not(all(swtpm, swtpm_ioctl)),
    ignore = "swtpm or swtpm_ioctl are not there: apt-get install swtpm swtpm-tools"
)]
fn swtpm_ioctl_works_over_tcp() {
    let tpm = NitroTpm::start().unwrap();
    use_it(&tpm, &["--tcp".into(), format!("127.0.0.1:{}", tpm.tcp_port() + 1)]);
}

#[test]
#[cfg_attr(
    not(all(swtpm, swtpm_ioctl)),
    ignore = "swtpm or swtpm_ioctl are not there: apt-get install swtpm swtpm-tools"
)]
fn swtpm_ioctl_works_over_the_socket() {
    let places = tempfile::tempdir().unwrap();
    let path = places.path().join("sock");
    let tpm = NitroTpm::builder().unix(&path).start().unwrap();
    use_it(&tpm, &["--unix".into(), format!("{}.ctrl", path.display())]);
}

#[test]
#[cfg_attr(
    not(all(swtpm, swtpm_ioctl)),
    ignore = "swtpm or swtpm_ioctl are not there: apt-get install swtpm swtpm-tools"
)]
fn shutting_it_down_ends_the_program() {
    let state = tempfile::tempdir().unwrap();
    let (mut program, ready) = Program::start(state.path(), &[]);
    let port = ready["tcp"].as_u64().unwrap() + 1;
    ok(&["--tcp".into(), format!("127.0.0.1:{port}")], &["-s"]);
    let start = Instant::now();
    let status = loop {
        if let Some(status) = program.0.try_wait().unwrap() {
            break status;
        }
        assert!(start.elapsed() < Duration::from_secs(5));
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(0));

    // In a test's own process it ends the TPM, not the process.
    let tpm = NitroTpm::start().unwrap();
    assert!(!tpm.is_shut_down());
    ok(&["--tcp".into(), format!("127.0.0.1:{}", tpm.tcp_port() + 1)], &["-s"]);
    assert!(tpm.is_shut_down() && !tpm.is_running());
    assert_eq!(u32_at(&tpm.execute(&GET_RANDOM), 6), 0x101);
}
