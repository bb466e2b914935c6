//! Many documents in a row and many clients at once leave nothing behind: no handle, session, index, memory or file.
//!
//! The whole of it, 1,000 documents and eight clients for a minute, runs where NITROTPM_SOAK is set, as CI does; without it,
//! a tenth of that.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a helper of tests fails as a test does"
)]

mod support;

use std::fmt;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nitrotpm_emulator::NitroTpm;
use support::*;

/// A document as AWS's client asks for one, in a session of its own; how long the vendor command took.
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

/// What a process holds.
#[derive(Clone, Copy)]
struct Held {
    kibibytes: u64,
    files: usize,
    threads: u64,
}

impl Held {
    fn by(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let files = fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
        Self { kibibytes: field("VmRSS:"), files, threads: field("Threads:") }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB, {} files, {} threads", self.kibibytes, self.files, self.threads)
    }
}

struct Subject<'a> {
    program: &'a Program,
    swtpm: u32,
    port: u16,
    state: &'a Path,
}

impl Subject<'_> {
    fn connect(&self) -> Connected<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Connected::to(stream)
    }

    /// Nothing is left in the TPM; what both processes hold, once no client is connected any more.
    fn held(&self, title: &str) -> [Held; 2] {
        let connection = self.connect();
        let client = Client { tpm: &connection };
        for kind in [0x01, 0x81, 0x02, 0x03, 0x80] {
            assert_eq!(handles(&client, kind), 0, "{title}: handles of kind {kind:#x}");
        }
        assert_eq!(fs::read_dir(self.state.join("nv")).unwrap().count(), 0, "{title}: large indices on disk");
        drop(connection);
        // The emulator notices by and by that its clients have left.
        let mut last = Held::by(self.program.0.id());
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(50));
            let now = Held::by(self.program.0.id());
            if (now.files, now.threads) == (last.files, last.threads) {
                break;
            }
            last = now;
        }
        let held = [Held::by(self.program.0.id()), Held::by(self.swtpm)];
        println!("{title}: emulator {}; swtpm {}", held[0], held[1]);
        held
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn documents_in_a_row_and_clients_at_once_leave_nothing() {
    let soak = std::env::var_os("NITROTPM_SOAK").is_some_and(|value| !value.is_empty() && value != "0");
    let (in_a_row, at_once) = if soak { (1000, Duration::from_secs(60)) } else { (100, Duration::from_secs(5)) };
    let state = tempfile::tempdir().unwrap();
    let (program, ready) = Program::start(state.path(), &[]);
    let swtpm = children(program.0.id())[0];
    let port = u16::try_from(ready["tcp"].as_u64().unwrap()).unwrap();
    let subject = Subject { program: &program, swtpm, port, state: state.path() };

    // Threads, buffers and the certificates of the hour are made once.
    thread::scope(|scope| {
        for number in 0..8 {
            let subject = &subject;
            scope.spawn(move || {
                let connection = subject.connect();
                one_document(&Client { tpm: &connection }, 0x0180_0000 + number, b"warm up");
            });
        }
    });
    let before = subject.held("before");

    let start = Instant::now();
    let mut times: Vec<Duration> = (0..in_a_row)
        .map(|turn: u32| {
            // A client comes and goes for each.
            let connection = subject.connect();
            one_document(&Client { tpm: &connection }, 0x0180_0000, &turn.to_be_bytes())
        })
        .collect();
    times.sort_unstable();
    println!(
        "{in_a_row} documents in {:.1} s, {:.1} ms each; vendor command {:.1} ms (median), {:.1} ms (worst)",
        start.elapsed().as_secs_f64(),
        start.elapsed().as_secs_f64() * 1000.0 / f64::from(in_a_row),
        times[times.len() / 2].as_secs_f64() * 1000.0,
        times.last().unwrap().as_secs_f64() * 1000.0,
    );
    let between = subject.held("after documents in a row");

    let start = Instant::now();
    let counts: Vec<u32> = thread::scope(|scope| {
        let clients: Vec<_> = (0..8u32)
            .map(|number| {
                let subject = &subject;
                scope.spawn(move || {
                    let connection = subject.connect();
                    let client = Client { tpm: &connection };
                    let mut turn = 0u32;
                    while start.elapsed() < at_once {
                        let nonce = [number.to_be_bytes(), turn.to_be_bytes()].concat();
                        one_document(&client, 0x0180_0000 + number, &nonce);
                        turn += 1;
                    }
                    turn
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    println!("eight clients for {at_once:?}: {counts:?} documents");
    // None is kept waiting by the others for good.
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    let after = subject.held("after clients at once");

    for (one, other) in [(before, between), (between, after)] {
        for (one, other) in one.iter().zip(&other) {
            assert_eq!((one.files, one.threads), (other.files, other.threads), "files and threads");
            assert!(other.kibibytes < one.kibibytes + 4096, "{one} became {other}");
            assert!(other.kibibytes < 50 * 1024, "{other}");
        }
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_tpm_in_a_test_leaves_no_file_thread_or_directory() {
    let held = || Held::by(std::process::id());
    // This runs alone in its process only by chance: the other test opens files too, and closes them.
    let before = held();
    for _ in 0..20 {
        let tpm = NitroTpm::start().unwrap();
        one_document(&Client { tpm: &tpm }, 0x0180_0000, b"a nonce");
        let directory = tpm.directory().to_path_buf();
        drop(tpm);
        assert!(!directory.exists());
    }
    let after = held();
    assert!(after.files < before.files + 20 && after.threads < before.threads + 20, "{before} became {after}");
}
