//! Many documents, many clients, and being killed in the middle: nothing leaks, nothing acknowledged is lost.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a helper of tests fails as a test does"
)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nitrotpm_emulator::NitroTpm;
use support::*;

fn handles(client: &Client<'_>, first: u32) -> u32 {
    let parameters: Vec<u8> = [1, first, 254].iter().flat_map(|field| field.to_be_bytes()).collect();
    u32_at(&client.call(0x17a, &[], &[], vec![], &parameters).unwrap(), 5)
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A document as AWS's client asks for one, in a session of its own.
fn one_document(client: &Client<'_>, index: u32, nonce: &[u8]) -> Duration {
    let auth = random(64);
    client.define(index, 8192, AUTHREAD_AUTHWRITE, &auth).unwrap();
    client.write(index, &auth, &attestation(None, None, Some(nonce))).unwrap();
    let mut session = client.session(Hash::Sha512, Hide::Nothing, None, None);
    let start = Instant::now();
    client.nsm(index, &mut session, &auth).unwrap();
    let took = start.elapsed();
    client.flush(session.handle);
    let document = response(&client.read(index, &auth, 8192).unwrap()).unwrap();
    assert!(document.windows(nonce.len()).any(|window| window == nonce));
    client.undefine(index).unwrap();
    took
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn eight_clients_and_hundreds_of_documents_leave_nothing() {
    let tpm = NitroTpm::start().unwrap();
    one_document(&Client { tpm: &tpm }, 0x0180_0000, b"warm up");
    let files = open_files();
    let times: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> = (0..8u32)
            .map(|number| {
                let tpm = &tpm;
                scope.spawn(move || {
                    let client = Client { tpm };
                    (0..25u32)
                        .map(|turn| {
                            one_document(
                                &client,
                                0x0180_0000 + number,
                                &[number.to_be_bytes(), turn.to_be_bytes()].concat(),
                            )
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(times.len(), 200);
    let client = Client { tpm: &tpm };
    for first in [0x0100_0000, 0x8100_0000, 0x0200_0000, 0x8000_0000] {
        assert_eq!(handles(&client, first), 0, "{first:#x}");
    }
    assert_eq!(fs::read_dir(tpm.directory().join("nv")).unwrap().count(), 0);
    // Other tests of this file open files too: a leak of one a document would show.
    assert!(open_files() < files + 100);
}

/// A program that does not outlive a test that fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_program(state: &std::path::Path) -> (Running, u16) {
    let child = Command::new(env!("CARGO_BIN_EXE_nitrotpm-emulator"))
        .args(["run", "--state"])
        .arg(state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Running(child);
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let log = fs::read_to_string(state.join("swtpm.log")).unwrap_or_default();
    assert!(!line.is_empty(), "the program did not start; swtpm says: {log}");
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    (child, u16::try_from(ready["tcp"].as_u64().unwrap()).unwrap())
}

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

fn by_password(code: u32, handles: &[u32], auth: &[u8], parameters: &[u8]) -> Vec<u8> {
    let mut body: Vec<u8> = handles.iter().flat_map(|handle| handle.to_be_bytes()).collect();
    body.extend((9 + auth.len() as u32).to_be_bytes());
    body.extend(PASSWORD.to_be_bytes());
    body.extend([0, 0, 0]);
    body.extend(sized(auth));
    body.extend(parameters);
    message(0x8002, code, &body)
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    const INDEX: u32 = 0x0180_0020;
    let state = tempfile::tempdir().unwrap();
    let mut written = 0u64;
    for round in 0..6u32 {
        let (child, port) = start_program(state.path());
        let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        if round == 0 {
            let mut parameters = sized(b"a");
            // NO_DA: being killed must not count as guessing.
            parameters.extend(sized(&public(INDEX, 8192, AUTHREAD_AUTHWRITE | 0x0200_0000)));
            let answer = ask(&mut connection, &by_password(0x12a, &[OWNER], b"", &parameters)).unwrap();
            assert_eq!(u32_at(&answer, 6), 0);
            written = 1;
            let mut parameters = sized(&written.to_be_bytes());
            parameters.extend([0x1f, 0]);
            let answer = ask(&mut connection, &by_password(0x137, &[INDEX, INDEX], b"a", &parameters)).unwrap();
            assert_eq!(u32_at(&answer, 6), 0);
        } else {
            let answer = ask(&mut connection, &by_password(0x14e, &[INDEX, INDEX], b"a", &[0, 8, 0x1f, 0])).unwrap();
            assert_eq!(u32_at(&answer, 6), 0);
            let found = u64::from_be_bytes(answer[16..24].try_into().unwrap());
            // The last one sent may or may not have been executed.
            assert!(found == written || found == written + 1, "{found} after {written}");
            written = found;
        }
        let killer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(u64::from(20 + 23 * round)));
            drop(child);
        });
        loop {
            let mut parameters = sized(&(written + 1).to_be_bytes());
            parameters.extend([0x1f, 0]);
            match ask(&mut connection, &by_password(0x137, &[INDEX, INDEX], b"a", &parameters)) {
                Some(answer) if u32_at(&answer, 6) == 0 => written += 1,
                Some(answer) => assert_eq!(u32_at(&answer, 6), 0x101, "only a dying TPM fails"),
                None => break,
            }
        }
        killer.join().unwrap();
    }
    assert!(written > 1);
}
