//! An ill swtpm, stopped or killed: each client gets its answer within a second, and nothing that was acknowledged is lost.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a helper of tests fails as a test does"
)]

mod support;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nitrotpm_emulator::{EmulatorError, NitroTpm};
use nitrotpm_pcr::Bank;
use rustix::process::{Pid, Signal, kill_process};
use support::*;

const INDEX: u32 = 0x0180_0030;
const GET_RANDOM: [u8; 12] = [0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 8];
const FAILURE: [u8; 10] = [0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x01];

fn signal(signal: Signal, process: u32) {
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), signal).unwrap();
}

/// One command; how long the answer took. The device-like file ends after each answer, the others do not.
fn ask(mut place: impl Read + Write, command: &[u8]) -> (Vec<u8>, Duration) {
    let start = Instant::now();
    place.write_all(command).unwrap();
    let mut answer = vec![0; 10];
    place.read_exact(&mut answer).unwrap();
    let mut rest = vec![0; u32_at(&answer, 2) as usize - 10];
    place.read_exact(&mut rest).unwrap();
    answer.extend(rest);
    (answer, start.elapsed())
}

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_stopped_swtpm_leaves_no_client_waiting() {
    let places = tempfile::tempdir().unwrap();
    let (state, unix) = (places.path().join("state"), places.path().join("sock"));
    let tpm = NitroTpm::builder().state_dir(&state).unix(&unix).start().unwrap();
    let client = Client { tpm: &tpm };
    client.define(INDEX, 8192, AUTHREAD_AUTHWRITE | 0x0200_0000, b"a").unwrap();
    client.write(INDEX, b"a", b"acknowledged").unwrap();
    let connect = || TcpStream::connect(("127.0.0.1", tpm.tcp_port())).unwrap();
    // A command that takes swtpm a while is no illness: making an RSA key.
    assert!(tpm.ek_public(nitrotpm_emulator::EkKind::Rsa2048).is_ok());

    signal(Signal::STOP, tpm.swtpm_process());
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(ask(connect(), &GET_RANDOM).0, FAILURE));
            scope.spawn(|| assert_eq!(ask(UnixStream::connect(&unix).unwrap(), &GET_RANDOM).0, FAILURE));
        }
        // The vendor command, and the control channel, which has an error of its own.
        scope.spawn(|| {
            let command = by_password(NSM, &[INDEX, INDEX], b"a", &[]);
            assert_eq!(ask(connect(), &command).0, FAILURE);
        });
        scope.spawn(|| {
            let mut control = TcpStream::connect(("127.0.0.1", tpm.tcp_port() + 1)).unwrap();
            control.write_all(&[0, 0, 0, 1]).unwrap();
            let mut answer = [0; 4];
            control.read_exact(&mut answer).unwrap();
            assert_ne!(answer, [0; 4]);
        });
    });
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(matches!(tpm.pcrs(Bank::Sha384), Err(EmulatorError::SwtpmLost { .. })));
    // Running again, it would answer late, and the answers would be of other commands: it is not asked any more.
    signal(Signal::CONT, tpm.swtpm_process());
    assert_eq!(ask(connect(), &GET_RANDOM).0, FAILURE);
    assert!(!tpm.is_running());
    signal(Signal::STOP, tpm.swtpm_process());
    let start = Instant::now();
    drop(tpm);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());

    let tpm = NitroTpm::builder().state_dir(&state).unix(&unix).start().unwrap();
    assert_eq!(Client { tpm: &tpm }.read(INDEX, b"a", 12).unwrap(), b"acknowledged");
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
#[cfg_attr(not(fuse), ignore = "this machine cannot mount FUSE: /dev/fuse, and root or fuse3, are wanted")]
fn a_stopped_or_killed_swtpm_is_answered_for_in_the_device_file() {
    let places = tempfile::tempdir().unwrap();
    let device = places.path().join("tpm0");
    for name in [Signal::STOP, Signal::KILL] {
        let tpm = NitroTpm::builder().fuse(&device).start().unwrap();
        let mut file = open(&device);
        assert_eq!(ask(&mut file, &GET_RANDOM).0.len(), 20);
        signal(name, tpm.swtpm_process());
        for _ in 0..2 {
            let (answer, took) = ask(&mut file, &GET_RANDOM);
            assert_eq!(answer, FAILURE, "{name:?}");
            assert!(took < Duration::from_secs(1), "{name:?}: {took:?}");
        }
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_short_stop_is_waited_for() {
    let tpm = NitroTpm::start().unwrap();
    let swtpm = tpm.swtpm_process();
    signal(Signal::STOP, swtpm);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            signal(Signal::CONT, swtpm);
        });
        assert_eq!(tpm.execute(&GET_RANDOM).len(), 20);
    });
    assert!(tpm.is_running());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn the_program_ends_and_says_why_when_swtpm_stops_answering() {
    let directory = tempfile::tempdir().unwrap();
    let (mut program, ready) = Program::start(directory.path(), &[]);
    let swtpm = children(program.0.id());
    assert_eq!(swtpm.len(), 1);
    signal(Signal::STOP, swtpm[0]);
    let port = u16::try_from(ready["tcp"].as_u64().unwrap()).unwrap();
    assert_eq!(ask(TcpStream::connect(("127.0.0.1", port)).unwrap(), &GET_RANDOM).0, FAILURE);
    let start = Instant::now();
    let ended = loop {
        if let Some(status) = program.0.try_wait().unwrap() {
            break status;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "the program goes on without its TPM");
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(ended.code(), Some(4));
    // No swtpm is left behind, stopped or not.
    assert!(!Path::new(&format!("/proc/{}", swtpm[0])).exists());
    Program::start(directory.path(), &[]);
}
