//! A software TPM as a peer: raw commands over one TCP connection that stays open.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::log::{BANKS, Event};

/// A running swtpm of our own, ended with this value.
pub struct Swtpm {
    process: Child,
    state: PathBuf,
    connection: TcpStream,
}

impl Swtpm {
    /// Starts one on a free port; `None` where none is installed or it does not answer.
    #[must_use]
    pub fn start() -> Option<Self> {
        let state = std::env::temp_dir().join(format!("benches-swtpm-{}", std::process::id()));
        std::fs::create_dir_all(&state).ok()?;
        // Two ports in a row: the command port and the control port.
        let port = (0..50).find_map(|_| {
            let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
            TcpListener::bind(("127.0.0.1", port.checked_add(1)?)).ok().map(|_| port)
        })?;
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"])
            .arg(format!("dir={}", state.display()))
            .arg("--server")
            .arg(format!("type=tcp,port={port}"))
            .arg("--ctrl")
            .arg(format!("type=tcp,port={}", port + 1))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut process = process;
        let start = Instant::now();
        let connection = loop {
            if let Ok(connection) = TcpStream::connect(("127.0.0.1", port)) {
                break connection;
            }
            if start.elapsed() > Duration::from_secs(5) {
                let _ = process.kill();
                let _ = process.wait();
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        connection.set_nodelay(true).ok()?;
        let mut swtpm = Self { process, state, connection };
        // TPM2_GetRandom(8): it answers.
        swtpm.command(&[0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, 8])?;
        Some(swtpm)
    }

    /// Sends a command; the answer's code is 0, or nothing comes back.
    fn command(&mut self, bytes: &[u8]) -> Option<()> {
        self.connection.write_all(bytes).ok()?;
        let mut answer = [0; 4096];
        self.connection.read_exact(&mut answer[..10]).ok()?;
        let size = u32::from_be_bytes(answer[2..6].try_into().ok()?) as usize;
        let code = u32::from_be_bytes(answer[6..10].try_into().ok()?);
        self.connection.read_exact(answer.get_mut(10..size)?).ok()?;
        (code == 0).then_some(())
    }

    /// Extends every event with one `TPM2_PCR_Extend` for all banks; the time it took.
    pub fn replay(&mut self, events: &[Event<'_>]) -> Option<Duration> {
        let commands: Vec<Vec<u8>> = events.iter().map(|event| extend_command(event, &BANKS_OF_COMMAND)).collect();
        self.send(&commands)
    }

    /// The same in one bank, SHA-384.
    pub fn replay_one_bank(&mut self, events: &[Event<'_>]) -> Option<Duration> {
        let commands: Vec<Vec<u8>> = events.iter().map(|event| extend_command(event, &[2])).collect();
        self.send(&commands)
    }

    fn send(&mut self, commands: &[Vec<u8>]) -> Option<Duration> {
        let start = Instant::now();
        for command in commands {
            self.command(command)?;
        }
        Some(start.elapsed())
    }
}

const BANKS_OF_COMMAND: [usize; 3] = [0, 1, 2];

/// `TPM2_PCR_Extend` (TPM 2.0 Library Part 3, section 22.2) with an empty password.
fn extend_command(event: &Event<'_>, banks: &[usize]) -> Vec<u8> {
    let mut command = vec![0x80, 0x02, 0, 0, 0, 0, 0, 0, 0x01, 0x82];
    command.extend(u32::from(event.index.get()).to_be_bytes());
    command.extend([0, 0, 0, 9, 0x40, 0, 0, 0x09, 0, 0, 0, 0, 0]);
    command.extend((banks.len() as u32).to_be_bytes());
    for bank in banks {
        command.extend(BANKS[*bank].tpm_id().to_be_bytes());
        command.extend(event.digests[*bank]);
    }
    let size = (command.len() as u32).to_be_bytes();
    command[2..6].copy_from_slice(&size);
    command
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.state);
    }
}
