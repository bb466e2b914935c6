//! Killed at any moment, be it client, emulator or swtpm: what was acknowledged is there, and the next start works.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a helper of tests fails as a test does"
)]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nitrotpm_emulator::NitroTpm;
use rustix::process::{Pid, Signal, kill_process};
use support::*;

/// The indices do not count failures: being killed must not count as guessing.
const NO_DA: u32 = 0x0200_0000;
const LARGE: u32 = 0x0180_0020;
const SMALL: u32 = 0x0180_0021;
const FLEETING: u32 = 0x0180_0022;
const PERSISTENT: u32 = 0x8100_0077;

/// One command over a connection that may end at any moment.
fn ask(connection: &mut TcpStream, command: &[u8]) -> Option<Vec<u8>> {
    connection.write_all(command).ok()?;
    let mut answer = vec![0; 10];
    connection.read_exact(&mut answer).ok()?;
    let mut rest = vec![0; u32_at(&answer, 2) as usize - 10];
    connection.read_exact(&mut rest).ok()?;
    answer.extend(rest);
    Some(answer)
}

#[track_caller]
fn done(connection: &mut TcpStream, command: &[u8]) -> Vec<u8> {
    let mut answer = ask(connection, command).unwrap();
    if u32_at(&answer, 6) == 0x922 {
        answer = ask(connection, command).unwrap();
    }
    assert_eq!(u32_at(&answer, 6), 0, "command {:#x}", u32_at(command, 6));
    answer
}

fn define(index: u32, size: u16) -> Vec<u8> {
    let parameters = [sized(b"a"), sized(&public(index, size, AUTHREAD_AUTHWRITE | NO_DA))].concat();
    by_password(0x12a, &[OWNER], b"", &parameters)
}

fn write(index: u32, value: u64, offset: u16) -> Vec<u8> {
    let parameters = [sized(&value.to_be_bytes()), offset.to_be_bytes().to_vec()].concat();
    by_password(0x137, &[index, index], b"a", &parameters)
}

fn read(connection: &mut TcpStream, index: u32, offset: u16) -> u64 {
    let parameters = [[0, 8], offset.to_be_bytes()].concat();
    let answer = done(connection, &by_password(0x14e, &[index, index], b"a", &parameters));
    u64::from_be_bytes(answer[16..24].try_into().unwrap())
}

fn exists(connection: &mut TcpStream, handle: u32) -> bool {
    let code = if handle == PERSISTENT { 0x173 } else { 0x169 };
    let answer = ask(connection, &message(0x8001, code, &handle.to_be_bytes())).unwrap();
    u32_at(&answer, 6) == 0
}

/// A key on P-256 in the owner hierarchy; its handle.
fn key(connection: &mut TcpStream) -> u32 {
    let mut template = vec![0, 0x23, 0, 0x0b, 0x00, 0x03, 0x04, 0x72, 0, 0];
    template.extend([0, 0x06, 0, 0x80, 0, 0x43, 0, 0x10, 0, 0x03, 0, 0x10, 0, 0, 0, 0]);
    let parameters = [sized(&[0; 4]), sized(&template), vec![0; 6]].concat();
    u32_at(&done(connection, &by_password(0x131, &[OWNER], b"", &parameters)), 10)
}

/// What a client was told. Each change is made to `wanted` when it is sent and to `told` when it is acknowledged; what is
/// found afterwards may be either.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct State {
    large: u64,
    small: u64,
    fleeting: bool,
    persistent: bool,
}

impl State {
    fn found(connection: &mut TcpStream) -> Self {
        Self {
            large: read(connection, LARGE, 6000),
            small: read(connection, SMALL, 16),
            fleeting: exists(connection, FLEETING),
            persistent: exists(connection, PERSISTENT),
        }
    }
}

/// Changes things until the connection or the TPM ends; gives the number of acknowledged changes.
fn change(connection: &mut TcpStream, told: &mut State, wanted: &mut State, key: u32) -> u32 {
    let mut acknowledged = 0;
    for turn in 0.. {
        let command = match turn % 4 {
            0 => {
                wanted.large += 1;
                write(LARGE, wanted.large, 6000)
            }
            1 => {
                wanted.small += 1;
                write(SMALL, wanted.small, 16)
            }
            2 => {
                wanted.fleeting = !wanted.fleeting;
                if wanted.fleeting { define(FLEETING, 4000) } else { by_password(0x122, &[OWNER, FLEETING], b"", &[]) }
            }
            _ => {
                wanted.persistent = !wanted.persistent;
                let object = if wanted.persistent { key } else { PERSISTENT };
                by_password(0x120, &[OWNER, object], b"", &PERSISTENT.to_be_bytes())
            }
        };
        match ask(connection, &command) {
            None => break,
            Some(answer) => match u32_at(&answer, 6) {
                0 => {
                    *told = *wanted;
                    acknowledged += 1;
                }
                // An answer all the same: swtpm is gone.
                0x101 => break,
                // Not acknowledged, and sent again.
                0x922 => *wanted = *told,
                code => assert_eq!(code, 0, "only a dying TPM fails"),
            },
        }
    }
    acknowledged
}

struct Places {
    state: PathBuf,
    fuse: Option<PathBuf>,
    unix: PathBuf,
    pty: PathBuf,
}

impl Places {
    fn start(&self) -> (Program, TcpStream) {
        let mut arguments: Vec<&OsStr> =
            vec!["--unix".as_ref(), self.unix.as_ref(), "--pty".as_ref(), self.pty.as_ref()];
        if let Some(fuse) = &self.fuse {
            arguments.extend([OsStr::new("--fuse"), fuse.as_ref()]);
        }
        let (program, ready) = Program::start(&self.state, &arguments);
        (program, connect(&ready))
    }
}

fn connect(ready: &serde_json::Value) -> TcpStream {
    let port = u16::try_from(ready["tcp"].as_u64().unwrap()).unwrap();
    let connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_nodelay(true).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    connection
}

fn is_mounted(path: &Path) -> bool {
    fs::read_to_string("/proc/mounts").unwrap().contains(path.to_str().unwrap())
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn nothing_acknowledged_is_lost_and_nothing_stale_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let fuse = cfg!(fuse).then(|| place("tpm0"));
    let places = Places { state: place("state"), fuse, unix: place("sock"), pty: place("tty") };

    let (program, mut connection) = places.start();
    for (index, size) in [(LARGE, 8192), (SMALL, 100)] {
        done(&mut connection, &define(index, size));
        done(&mut connection, &write(index, 0, if index == LARGE { 6000 } else { 16 }));
    }
    let root = fs::read(places.state.join("root.pem")).unwrap();
    drop(program);

    let (mut told, mut wanted) = (State::default(), State::default());
    let (start, mut acknowledged) = (Instant::now(), 0);
    let mut victims = [0; 3];
    for round in 0..24u16 {
        if start.elapsed() > Duration::from_secs(20) {
            break;
        }
        let (program, mut connection) = places.start();
        let found = State::found(&mut connection);
        let unsure = told != wanted;
        assert!(found == told || found == wanted, "round {round}: {found:?}, {told:?} acknowledged, {wanted:?} sent");
        assert!(unsure || found == told);
        (told, wanted) = (found, found);

        let dice = random(2);
        let delay = Duration::from_millis(u64::from(dice[0] / 3));
        let victim = usize::from(dice[1] % 3);
        victims[victim] += 1;
        let key = key(&mut connection);
        let other_end = connection.try_clone().unwrap();
        let swtpm = children(program.0.id());
        let killer = thread::spawn(move || {
            thread::sleep(delay);
            match victim {
                0 => drop(program),
                1 => {
                    kill_process(Pid::from_raw(swtpm[0].cast_signed()).unwrap(), Signal::KILL).unwrap();
                    return Some(program);
                }
                _ => {
                    // The client is killed: its connection ends in the middle of whatever it does.
                    other_end.shutdown(Shutdown::Both).unwrap();
                    return Some(program);
                }
            }
            None
        });
        acknowledged += change(&mut connection, &mut told, &mut wanted, key);
        // Killed as well now, where it was another's turn.
        drop(killer.join().unwrap());
    }
    println!(
        "{acknowledged} changes acknowledged; killed: emulator {}, swtpm {}, client {}",
        victims[0], victims[1], victims[2]
    );
    assert!(victims.iter().sum::<u32>() >= 4 && acknowledged > 20, "{victims:?}, {acknowledged}");

    // The last one was killed, and left what a killed process leaves. The next owner clears that up.
    let builder = NitroTpm::builder().state_dir(&places.state).unix(&places.unix).pty(&places.pty);
    let builder = match &places.fuse {
        Some(fuse) => builder.fuse(fuse),
        None => builder,
    };
    let tpm = builder.start().unwrap();
    let client = Client { tpm: &tpm };
    let value = client.read(LARGE, b"a", 6008).unwrap();
    let value = u64::from_be_bytes(value[6000..].try_into().unwrap());
    assert!(value == told.large || value == wanted.large);
    assert_eq!(fs::read(places.state.join("root.pem")).unwrap(), root);
    // A file for each large index and no more.
    let large = 1 + usize::from(client.public(FLEETING).is_ok());
    assert_eq!(fs::read_dir(places.state.join("nv")).unwrap().count(), large);
    drop(tpm);
    for path in [&places.unix, &places.unix.with_extension("ctrl"), &places.pty] {
        assert!(fs::symlink_metadata(path).is_err(), "{} is left", path.display());
    }
    // The file under the mount was there before the last start, and stays; the mount does not.
    if let Some(fuse) = &places.fuse {
        assert!(!is_mounted(fuse) && fs::metadata(fuse).unwrap().is_file());
    }
}
