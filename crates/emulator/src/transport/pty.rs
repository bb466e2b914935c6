//! A pseudo terminal: a character device without any privilege.
//!
//! Not quite /dev/tpm0: there is no notice of opening and closing, and the kernel splits responses of more than 2,048
//! bytes, which libtss2's device TCTI cannot read. No command that attestation takes has such a response.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};

use crate::EmulatorError;
use crate::device::{Reply, SharedDevice};
use crate::wire::{self, HEADER, MAX_MESSAGE, Reader, rc};

/// How long a read of the client waits for bytes, in tenths of a second: AWS's client reads until nothing comes, and
/// there is no end of file.
const READ_WAIT: u8 = 2;

/// After this, an incomplete command is that of a client that has gone.
const INCOMPLETE: Duration = Duration::from_secs(1);

/// The terminal, and a symbolic link to it; the link is removed when dropped.
pub(crate) struct PtyTransport {
    link: PathBuf,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PtyTransport {
    pub(crate) fn start(link: &Path, device: &Arc<SharedDevice>) -> Result<Self, EmulatorError> {
        let start = || {
            let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
            grantpt(&master)?;
            unlockpt(&master)?;
            let name = ptsname(&master, Vec::new())?;
            let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
            let client_side = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
            let mut settings = tcgetattr(&client_side)?;
            settings.make_raw();
            settings.special_codes[SpecialCodeIndex::VMIN] = 0;
            settings.special_codes[SpecialCodeIndex::VTIME] = READ_WAIT;
            tcsetattr(&client_side, OptionalActions::Now, &settings)?;
            let target = name.to_str().map_err(|_| io::ErrorKind::InvalidData)?;
            // A link is an emulator's of before; anything else is not ours to replace.
            if fs::symlink_metadata(link).is_ok_and(|metadata| metadata.file_type().is_symlink()) {
                fs::remove_file(link)?;
            }
            std::os::unix::fs::symlink(target, link)?;
            let stopping = Arc::new(AtomicBool::new(false));
            let thread = thread::Builder::new().name("pty".into()).spawn({
                let (stopping, device) = (Arc::clone(&stopping), Arc::downgrade(device));
                move || serve(&master, &client_side, &stopping, &device)
            })?;
            Ok(Self { link: link.to_path_buf(), stopping, thread: Some(thread) })
        };
        start().map_err(|source: io::Error| EmulatorError::Transport { place: link.display().to_string(), source })
    }
}

impl Drop for PtyTransport {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.link);
    }
}

/// Serves the terminal. The client's side stays open here, so that the terminal outlives its clients.
fn serve(master: &OwnedFd, _client_side: &OwnedFd, stopping: &AtomicBool, device: &Weak<SharedDevice>) {
    let mut received: Vec<u8> = Vec::new();
    let mut last = Instant::now();
    let wait = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    while !stopping.load(Ordering::SeqCst) {
        let readable = poll(&mut [PollFd::new(master, PollFlags::IN)], Some(&wait)).is_ok_and(|ready| ready > 0);
        if !readable {
            if last.elapsed() > INCOMPLETE {
                received.clear();
            }
            continue;
        }
        let mut buffer = [0; MAX_MESSAGE];
        let Ok(length) = rustix::io::read(master, &mut buffer) else { return };
        received.extend_from_slice(buffer.get(..length).unwrap_or_default());
        last = Instant::now();
        while let Some(command) = next_command(&mut received) {
            let Some(device) = device.upgrade() else { return };
            let response = match command {
                Ok(command) => match device.execute(&command) {
                    Reply::Response(response) => response,
                    Reply::Dropped => continue,
                },
                Err(NoCommand) => wire::response_code(rc::COMMAND_SIZE),
            };
            let mut left = response.as_slice();
            while let Ok(written) = rustix::io::write(master, left) {
                left = left.get(written..).unwrap_or_default();
                if left.is_empty() {
                    break;
                }
            }
        }
    }
}

/// Bytes that start no command; all that was received is given up.
#[derive(Debug, PartialEq, Eq)]
struct NoCommand;

/// Takes a whole command off the front of what was received; `None` where more has to come.
fn next_command(received: &mut Vec<u8>) -> Option<Result<Vec<u8>, NoCommand>> {
    let mut header = Reader::new(received.get(..HEADER)?);
    let size = header.u16().and_then(|_| header.u32()).ok().and_then(|size| usize::try_from(size).ok())?;
    if !(HEADER..=MAX_MESSAGE).contains(&size) {
        received.clear();
        return Some(Err(NoCommand));
    }
    if received.len() < size {
        return None;
    }
    let rest = received.split_off(size);
    Some(Ok(std::mem::replace(received, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_one_by_one() {
        let command = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8];
        let mut received = command.to_vec();
        received.extend(command);
        received.extend(&command[..11]);
        assert_eq!(next_command(&mut received), Some(Ok(command.to_vec())));
        assert_eq!(next_command(&mut received), Some(Ok(command.to_vec())));
        assert_eq!(next_command(&mut received), None);
        received.push(8);
        assert_eq!(next_command(&mut received), Some(Ok(command.to_vec())));
        assert_eq!(next_command(&mut received), None);
        received.extend([0xff; 20]);
        assert_eq!(next_command(&mut received), Some(Err(NoCommand)));
        assert_eq!(next_command(&mut received), None);
    }
}
