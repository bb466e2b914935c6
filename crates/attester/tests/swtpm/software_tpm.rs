//! swtpm, one for each test, on ports of its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nitrotpm_attester::{Connection, Tpm};
use tempfile::TempDir;

/// A running swtpm, its state, and its ports. It ends with this value, also when a test panics.
pub(crate) struct SoftwareTpm {
    state: TempDir,
    process: Child,
    port: u16,
}

impl SoftwareTpm {
    pub(crate) fn start() -> Self {
        let state = tempfile::tempdir().unwrap();
        let (process, port) = run(state.path());
        Self { state, process, port }
    }

    /// Off and on again: PCRs start anew, keys stay.
    pub(crate) fn reboot(&mut self) {
        self.command("8001 0000000c 00000145 0000");
        self.end();
        (self.process, self.port) = run(self.state.path());
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection::Swtpm { host: "127.0.0.1".to_owned(), port: self.port }
    }

    pub(crate) fn open(&self) -> Tpm {
        Tpm::open(&self.connection()).unwrap()
    }

    /// Sends raw bytes, written in hexadecimal, and gives the response code.
    pub(crate) fn command(&self, hexadecimal: &str) -> u32 {
        let bytes = hex::decode(hexadecimal.replace(' ', "")).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut header = [0; 10];
        stream.read_exact(&mut header).unwrap();
        u32::from_be_bytes(*header[6..].first_chunk().unwrap())
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for SoftwareTpm {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts swtpm on two free ports, one after the other, as libtss2 wants them.
fn run(state: &Path) -> (Child, u16) {
    for _ in 0..20 {
        let Some(port) = free_ports() else { continue };
        let server = format!("type=tcp,port={port},bindaddr=127.0.0.1");
        let control = format!("type=tcp,port={},bindaddr=127.0.0.1", port.strict_add(1));
        let mut process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--server", &server])
            .args(["--ctrl", &control, "--tpmstate", &format!("dir={}", state.display())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            if process.try_wait().unwrap().is_some() {
                // Somebody else took a port meanwhile.
                break;
            }
            if TcpStream::connect(("127.0.0.1", port.strict_add(1))).is_ok() {
                return (process, port);
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = process.kill();
        let _ = process.wait();
    }
    panic!("swtpm did not start");
}

fn free_ports() -> Option<u16> {
    let first = TcpListener::bind("127.0.0.1:0").ok()?;
    let port = first.local_addr().ok()?.port();
    TcpListener::bind(("127.0.0.1", port.checked_add(1)?)).ok()?;
    Some(port)
}
