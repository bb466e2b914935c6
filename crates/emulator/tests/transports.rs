//! The device-like file, the terminal and the socket, by raw bytes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a helper of tests fails as a test does"
)]

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nitrotpm_emulator::{EmulatorError, NitroTpm};
use rustix::process::{Pid, Signal, kill_process};
use support::*;

const GET_RANDOM: [u8; 12] = [0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 8];
/// TPM_CAP_TPM_PROPERTIES, which has a long answer.
const GET_CAPABILITY: [u8; 22] = [0x80, 0x01, 0, 0, 0, 22, 0, 0, 0x01, 0x7a, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 0, 127];

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Opens a device that was just closed. A program that another test is starting at this moment has this process' files
/// until it runs, and so keeps the device open a moment longer, as it would keep /dev/tpm0.
fn open_again(path: &Path) -> File {
    let start = Instant::now();
    loop {
        match open(path) {
            Err(error) if error.raw_os_error() == Some(EBUSY) && start.elapsed() < Duration::from_secs(2) => {
                thread::sleep(Duration::from_millis(1));
            }
            opened => return opened.unwrap(),
        }
    }
}

#[track_caller]
fn errno(result: std::io::Result<impl Sized>) -> Option<i32> {
    result.err().unwrap().raw_os_error()
}

const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const E2BIG: i32 = 7;

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
#[cfg_attr(not(fuse), ignore = "this machine cannot mount FUSE: /dev/fuse, and root or fuse3, are wanted")]
fn the_file_behaves_as_the_kernels_device() {
    let places = tempfile::tempdir().unwrap();
    let path = places.path().join("tpm0");
    let tpm = NitroTpm::builder().fuse(&path).start().unwrap();
    let mut file = open(&path).unwrap();
    // One client at a time.
    assert_eq!(errno(open(&path)), Some(EBUSY));
    // Nothing to read yet: the end of the file, at once.
    let mut buffer = [0; 64];
    assert_eq!(file.read(&mut buffer).unwrap(), 0);
    // Partial reads, then the end.
    assert_eq!(file.write(&GET_RANDOM).unwrap(), 12);
    assert_eq!(file.read(&mut buffer[..10]).unwrap(), 10);
    assert_eq!(buffer[..10], [0x80, 0x01, 0, 0, 0, 20, 0, 0, 0, 0]);
    // No command while a response is unread.
    assert_eq!(errno(file.write(&GET_RANDOM)), Some(EBUSY));
    assert_eq!(file.read(&mut buffer).unwrap(), 10);
    assert_eq!(file.read(&mut buffer).unwrap(), 0);
    // Too long, too short, a size that is not there; and bytes behind a command are ignored.
    assert_eq!(errno(file.write(&[0x80; 4097])), Some(E2BIG));
    assert_eq!(errno(file.write(&GET_RANDOM[..5])), Some(EINVAL));
    assert_eq!(errno(file.write(&GET_RANDOM[..11])), Some(EINVAL));
    assert_eq!(file.write(&[&GET_RANDOM[..], &[0; 8]].concat()).unwrap(), 20);
    let mut all = Vec::new();
    file.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 20);
    // Closing forgets what was not read.
    file.write_all(&GET_CAPABILITY).unwrap();
    drop(file);
    for _ in 0..200 {
        let mut file = open_again(&path);
        assert_eq!(file.read(&mut buffer).unwrap(), 0);
        file.write_all(&GET_RANDOM).unwrap();
        assert_eq!(file.read(&mut buffer).unwrap(), 20);
    }
    drop(tpm);
    assert!(!path.exists());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
#[cfg_attr(not(fuse), ignore = "this machine cannot mount FUSE: /dev/fuse, and root or fuse3, are wanted")]
fn an_open_file_does_not_keep_the_tpm() {
    let places = tempfile::tempdir().unwrap();
    let path = places.path().join("tpm0");
    let tpm = NitroTpm::builder().fuse(&path).start().unwrap();
    let process = tpm.swtpm_process();
    let mut file = open(&path).unwrap();
    file.write_all(&GET_RANDOM).unwrap();
    let start = Instant::now();
    drop(tpm);
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(!Path::new(&format!("/proc/{process}")).exists());
    let mut buffer = [0; 64];
    let _ = file.read(&mut buffer);
    assert!(file.write(&GET_RANDOM).is_err());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
#[cfg_attr(not(fuse), ignore = "this machine cannot mount FUSE: /dev/fuse, and root or fuse3, are wanted")]
fn a_killed_emulator_leaves_no_place_that_stops_the_next() {
    let places = tempfile::tempdir().unwrap();
    let state = places.path().join("state");
    let (fuse, unix, pty) = (places.path().join("tpm0"), places.path().join("sock"), places.path().join("tty"));
    for _ in 0..3 {
        let places =
            ["--fuse".as_ref(), fuse.as_os_str(), "--unix".as_ref(), unix.as_ref(), "--pty".as_ref(), pty.as_ref()];
        let (program, ready) = Program::start(&state, &places);
        assert_eq!(ready["fuse"].as_str(), fuse.to_str());
        for name in ["root.pem", "ek-pub.der", "ek-pub.tpmt", "ek-pub-ecc-sec-p384.der"] {
            assert!(state.join(name).is_file(), "{name}");
        }
        let mut buffer = [0; 64];
        let mut file = open(&fuse).unwrap();
        file.write_all(&GET_RANDOM).unwrap();
        assert_eq!(file.read(&mut buffer).unwrap(), 20);
        drop(program); // killed
        // The client is told, and not left waiting.
        assert!(file.write(&GET_RANDOM).is_err());
    }
    let tpm = NitroTpm::builder().state_dir(&state).fuse(&fuse).unix(&unix).pty(&pty).start().unwrap();
    let mut file = open(&fuse).unwrap();
    file.write_all(&GET_RANDOM).unwrap();
    assert_eq!(file.read(&mut [0; 64]).unwrap(), 20);
    drop(file);
    drop(tpm);
    assert!(!unix.exists() && !unix.with_extension("ctrl").exists() && fs::symlink_metadata(&pty).is_err());
}

/// Nobody's user and group, who may mount by fusermount3 alone.
const NOBODY: u32 = 65534;

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
#[cfg_attr(not(fusermount), ignore = "this machine cannot mount FUSE without being root: fusermount3 is wanted")]
fn a_user_who_is_not_root_has_the_file_too() {
    let places = tempfile::tempdir().unwrap();
    let open_to_all = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    open_to_all(places.path());
    // The program may lie where only root looks.
    let program = places.path().join("nitrotpm-emulator");
    fs::copy(env!("CARGO_BIN_EXE_nitrotpm-emulator"), &program).unwrap();
    open_to_all(&program);
    let (state, fuse) = (places.path().join("state"), places.path().join("tpm0"));
    let as_nobody = |program: &Path| {
        // Whoever is not root is that already.
        if !rustix::process::geteuid().is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        let id = NOBODY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(program);
        command
    };
    for _ in 0..2 {
        let mut command = as_nobody(&program);
        command.args(["run", "--state"]).arg(&state).arg("--fuse").arg(&fuse).env("HOME", places.path());
        let (program, _) = Program::spawn(command, &state);
        // Its user opens it as any program would; root, and others, are not let in by FUSE.
        let mut reader = as_nobody(Path::new("/bin/sh"));
        reader.args(["-c", "exec 3<>\"$1\"; printf '%b' \"$2\" >&3; od -An -tx1 -N20 <&3", "sh"]).arg(&fuse);
        let command: String = GET_RANDOM.iter().map(|byte| format!("\\0{byte:03o}")).collect();
        let output = reader.arg(command).output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(answer.trim().starts_with("80 01 00 00 00 14 00 00 00 00"), "{answer} {error}");
        // Killed: the next one of the same user clears up the mount.
        drop(program);
    }
    let mut last = as_nobody(&program);
    last.args(["run", "--state"]).arg(&state).arg("--fuse").arg(&fuse);
    let (mut program, _) = Program::spawn(last, &state);
    kill_process(Pid::from_raw(program.0.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(program.0.wait().unwrap().code(), Some(0));
    assert!(!fs::read_to_string("/proc/mounts").unwrap().contains(fuse.to_str().unwrap()));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
#[cfg_attr(not(fuse), ignore = "this machine cannot mount FUSE: /dev/fuse, and root or fuse3, are wanted")]
fn a_place_in_use_is_not_taken() {
    let places = tempfile::tempdir().unwrap();
    let path = places.path().join("tpm0");
    let first = NitroTpm::builder().fuse(&path).start().unwrap();
    let second = NitroTpm::builder().fuse(&path).start();
    assert!(matches!(second, Err(EmulatorError::Transport { .. })), "{second:?}");
    let mut file = open(&path).unwrap();
    file.write_all(&GET_RANDOM).unwrap();
    assert_eq!(file.read(&mut [0; 64]).unwrap(), 20);
    drop(file);
    drop(first);
    let directory = NitroTpm::builder().fuse(places.path()).start();
    assert!(matches!(directory, Err(EmulatorError::Transport { .. })), "{directory:?}");
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn the_socket_serves_several_clients() {
    let places = tempfile::tempdir().unwrap();
    let path = places.path().join("sock");
    let tpm = NitroTpm::builder().unix(&path).start().unwrap();
    let second = NitroTpm::builder().unix(&path).start();
    assert!(matches!(second, Err(EmulatorError::Transport { .. })), "{second:?}");
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            thread::spawn(move || {
                let mut connection = UnixStream::connect(path).unwrap();
                let mut answer = [0; 20];
                for _ in 0..100 {
                    connection.write_all(&GET_RANDOM).unwrap();
                    connection.read_exact(&mut answer).unwrap();
                    assert_eq!(answer[..10], [0x80, 0x01, 0, 0, 0, 20, 0, 0, 0, 0]);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    // A size that no command has: an answer, and the end.
    let mut connection = UnixStream::connect(&path).unwrap();
    connection.write_all(&[0xff; 10]).unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, [0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x42]);
    // A client that is connected when the TPM goes is let go.
    let mut connection = UnixStream::connect(&path).unwrap();
    drop(tpm);
    let ended = connection.read(&mut [0; 1]);
    assert!(matches!(ended, Ok(0)) || ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn the_terminal_serves_one_client_after_the_other() {
    let places = tempfile::tempdir().unwrap();
    let path = places.path().join("tty");
    let tpm = NitroTpm::builder().pty(&path).start().unwrap();
    for _ in 0..3 {
        let mut terminal = open(&path).unwrap();
        terminal.write_all(&GET_RANDOM).unwrap();
        let mut answer = Vec::new();
        // Ends when nothing comes for a while.
        terminal.read_to_end(&mut answer).unwrap();
        assert_eq!(answer.len(), 20);
    }
    // A client that left half a command is forgotten.
    open(&path).unwrap().write_all(&GET_RANDOM[..7]).unwrap();
    thread::sleep(Duration::from_millis(1200));
    let mut terminal = open(&path).unwrap();
    terminal.write_all(&GET_RANDOM).unwrap();
    let mut answer = Vec::new();
    terminal.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.len(), 20);
    drop(tpm);
    assert!(fs::symlink_metadata(&path).is_err());
}
