//! The stock swtpm as a child process, and its data and control channels.
//!
//! Both channels are socket pairs made before the child starts: nobody else can reach this TPM, there is no socket file
//! to go stale, and no moment to wait for. When this process ends, however it ends, the kernel closes its ends, and
//! swtpm, which serves one connection only, ends too. One that was just answering does not notice (swtpm 0.7.1), so the kernel
//! is asked to kill it as well when the thread ends that started it.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::EmulatorError;
use crate::wire::{HEADER, Put, Reader};

/// Longer than any command takes: making an RSA key of 3,072 bits takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a swtpm that has not answered is looked at: has it ended, was it stopped?
const LOOK: Duration = Duration::from_millis(100);

/// How often in a row it may be found stopped. No client waits a second for a TPM that cannot answer.
const STOPPED_LOOKS: u32 = 5;

/// The most that is read of a state blob. libtpms' own limit for its NV memory is 128 KiB.
const MAX_BLOB: usize = 1 << 20;

/// Moves the two sockets, given as standard input and output, to the numbers that swtpm accepts (it refuses 0 to 2), and
/// has swtpm killed when its parent thread ends, where util-linux' setpriv is there to arrange that.
const START: &str = "exec 3<&0 4>&1 0</dev/null 1>&2; \
     setpriv --pdeathsig KILL true && exec setpriv --pdeathsig KILL \"$@\"; exec \"$@\"";

/// Which part of the TPM's state.
#[derive(Clone, Copy)]
pub(crate) enum Blob {
    /// NV indices, hierarchy authorizations.
    Permanent,
    /// Sessions, loaded objects, PCRs.
    Volatile,
}

/// Commands of the control channel (swtpm's `tpm_ioctl.h`).
pub(crate) mod control {
    pub(crate) const GET_CAPABILITY: u32 = 0x01;
    pub(crate) const INIT: u32 = 0x02;
    pub(crate) const SHUTDOWN: u32 = 0x03;
    pub(crate) const GET_ESTABLISHED: u32 = 0x04;
    pub(crate) const SET_LOCALITY: u32 = 0x05;
    pub(crate) const HASH_START: u32 = 0x06;
    pub(crate) const HASH_DATA: u32 = 0x07;
    pub(crate) const HASH_END: u32 = 0x08;
    pub(crate) const CANCEL: u32 = 0x09;
    pub(crate) const STORE_VOLATILE: u32 = 0x0a;
    pub(crate) const RESET_ESTABLISHED: u32 = 0x0b;
    pub(crate) const GET_STATE_BLOB: u32 = 0x0c;
    pub(crate) const STOP: u32 = 0x0e;
    pub(crate) const GET_CONFIG: u32 = 0x0f;
    pub(crate) const SET_BUFFER_SIZE: u32 = 0x11;
    pub(crate) const GET_INFO: u32 = 0x12;
}

#[derive(Clone, Copy)]
enum Channel {
    Data,
    Control,
}

/// A running swtpm.
pub(crate) struct Swtpm {
    child: Child,
    data: UnixStream,
    control: UnixStream,
    lost: bool,
    /// The thread that started swtpm, and that it does not outlive. It ends when the sender is dropped.
    keeper: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Swtpm {
    /// Starts swtpm on the state in `directory`. The TPM is not initialised yet: see [`Swtpm::init`].
    pub(crate) fn spawn(program: &OsStr, directory: &Path, log: &Path) -> Result<Self, EmulatorError> {
        let missing = |source| EmulatorError::SwtpmMissing { source };
        let (data, data_of_child) = UnixStream::pair().map_err(missing)?;
        let (control, control_of_child) = UnixStream::pair().map_err(missing)?;
        for channel in [&data, &control] {
            channel.set_read_timeout(Some(LOOK)).map_err(missing)?;
            channel.set_write_timeout(Some(PATIENCE)).map_err(missing)?;
        }
        let argument = |prefix: &str, path: &Path| {
            let mut text = std::ffi::OsString::from(prefix);
            text.push(path);
            text
        };
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", START, "sh"])
            .arg(program)
            .args(["socket", "--tpm2", "--fd", "3", "--ctrl", "type=unixio,clientfd=4"])
            .args(["--locality", "allow-set-locality"])
            .arg("--tpmstate")
            .arg(argument("dir=", directory))
            .arg("--log")
            .arg(argument("file=", log))
            .stdin(Stdio::from(OwnedFd::from(data_of_child)))
            .stdout(Stdio::from(OwnedFd::from(control_of_child)))
            .stderr(Stdio::null())
            // In a group of its own: Ctrl-C at a terminal is the emulator's to handle, which shuts the TPM down first.
            .process_group(0);
        let (give, take) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        let keeper = thread::Builder::new().name("keeper".into()).spawn(move || {
            let started = command.spawn();
            // The command holds the child's ends of the channels: without them, swtpm's end is ours to notice.
            drop(command);
            let _ = give.send(started);
            let _ = stopped.recv();
        });
        let keeper = keeper.map_err(missing)?;
        let child = take.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).map_err(missing)?;
        Ok(Self { child, data, control, lost: false, keeper: Some((stop, keeper)) })
    }

    /// Whether swtpm is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        !self.lost && matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a command, whose size field must be right, and gives the response.
    pub(crate) fn transact(&mut self, command: &[u8]) -> Result<Vec<u8>, EmulatorError> {
        self.guarded("a TPM command", |swtpm| {
            swtpm.data.write_all(command)?;
            let mut response = vec![0; HEADER];
            swtpm.receive(Channel::Data, &mut response)?;
            let mut header = Reader::new(&response);
            let size = header.u16().and_then(|_| header.u32()).ok().and_then(|size| usize::try_from(size).ok());
            let rest = size.and_then(|size| size.checked_sub(HEADER)).filter(|rest| *rest <= 1 << 16);
            let mut body = vec![0; rest.ok_or(io::ErrorKind::InvalidData)?];
            swtpm.receive(Channel::Data, &mut body)?;
            response.append(&mut body);
            Ok(response)
        })
    }

    /// Sends a control command and gives its answer, whatever its length: swtpm sends each in one piece.
    pub(crate) fn control(&mut self, request: &[u8]) -> Result<Vec<u8>, EmulatorError> {
        self.guarded("a control command", |swtpm| {
            swtpm.control.write_all(request)?;
            let mut answer = vec![0; 1 << 13];
            let length = swtpm.receive_some(Channel::Control, &mut answer)?;
            answer.truncate(length);
            if length < 4 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
        })
    }

    /// Sends a control command that answers nothing but a result, which must be success.
    pub(crate) fn control_ok(&mut self, code: u32, argument: &[u8], doing: &'static str) -> Result<(), EmulatorError> {
        let mut request = code.to_be_bytes().to_vec();
        request.put(argument);
        match Reader::new(&self.control(&request)?).u32() {
            Ok(0) => Ok(()),
            Ok(code) => Err(EmulatorError::Tpm { doing, code }),
            Err(_) => Err(EmulatorError::SwtpmAnswer { doing }),
        }
    }

    /// Power on, or a reset: `_TPM_Init`. What follows must be TPM2_Startup.
    pub(crate) fn init(&mut self) -> Result<(), EmulatorError> {
        self.control_ok(control::INIT, &0u32.to_be_bytes(), "initialise")
    }

    /// The locality of the commands that follow.
    pub(crate) fn set_locality(&mut self, locality: u8) -> Result<(), EmulatorError> {
        self.control_ok(control::SET_LOCALITY, &[locality], "set the locality")
    }

    /// A copy of the TPM's state, marshalled by libtpms.
    pub(crate) fn state_blob(&mut self, blob: Blob) -> Result<Vec<u8>, EmulatorError> {
        let doing = "read its state";
        self.guarded(doing, |swtpm| {
            let kind: u32 = match blob {
                Blob::Permanent => 1,
                Blob::Volatile => 2,
            };
            let mut state = Vec::new();
            loop {
                let mut request = control::GET_STATE_BLOB.to_be_bytes().to_vec();
                request.put_u32(1); // decrypted, which is how it is kept without --key
                request.put_u32(kind);
                request.put_u32(u32::try_from(state.len()).map_err(|_| io::ErrorKind::InvalidData)?);
                swtpm.control.write_all(&request)?;
                let mut header = [0; 16];
                swtpm.receive(Channel::Control, &mut header)?;
                let mut fields = Reader::new(&header);
                let mut field = || fields.u32().ok().and_then(|value| usize::try_from(value).ok());
                let (Some(result), Some(_), Some(total), Some(length)) = (field(), field(), field(), field()) else {
                    return Err(io::ErrorKind::InvalidData.into());
                };
                if result != 0 || total > MAX_BLOB || length > MAX_BLOB {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                let mut part = vec![0; length];
                swtpm.receive(Channel::Control, &mut part)?;
                state.append(&mut part);
                if state.len() >= total || length == 0 {
                    return Ok(state);
                }
            }
        })
    }

    /// Fills `buffer` from a channel.
    fn receive(&mut self, channel: Channel, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let length = self.receive_some(channel, buffer)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer = buffer.get_mut(length..).unwrap_or_default();
        }
        Ok(())
    }

    /// Waits for bytes as long as swtpm may still send some: not once it has ended or was stopped (SIGSTOP, a debugger).
    fn receive_some(&mut self, channel: Channel, buffer: &mut [u8]) -> io::Result<usize> {
        let patience = Instant::now();
        let mut stopped: u32 = 0;
        loop {
            let read = match channel {
                Channel::Data => self.data.read(buffer),
                Channel::Control => self.control.read(buffer),
            };
            match read {
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                read => return read,
            }
            if !matches!(self.child.try_wait(), Ok(None)) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            stopped = if self.is_stopped() { stopped.saturating_add(1) } else { 0 };
            if stopped >= STOPPED_LOOKS || patience.elapsed() > PATIENCE {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// Whether the process was stopped (proc(5): the state behind the name, which stands in parentheses).
    fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|after_name| after_name.starts_with(['T', 't']))
    }

    /// Runs one exchange. After a failure the channels may be out of step, so nothing more is sent on them.
    fn guarded<T>(
        &mut self,
        doing: &'static str,
        exchange: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> Result<T, EmulatorError> {
        if self.lost {
            return Err(EmulatorError::SwtpmLost { doing, source: io::ErrorKind::NotConnected.into() });
        }
        exchange(self).map_err(|source| {
            self.lost = true;
            EmulatorError::SwtpmLost { doing, source }
        })
    }

    /// Sends nothing more. What swtpm acknowledged is on its disk.
    pub(crate) const fn give_up(&mut self) {
        self.lost = true;
    }

    /// The process, for tests that kill it.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Swtpm {
    /// Closing the data channel ends swtpm. It is waited for, so that the next start finds its lock free.
    fn drop(&mut self) {
        let _ = self.data.shutdown(std::net::Shutdown::Both);
        let _ = self.control.shutdown(std::net::Shutdown::Both);
        let patience = Instant::now();
        // One that does not answer any more does not end by itself.
        while !self.lost && patience.elapsed() < Duration::from_secs(2) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        // Does nothing to a child that has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some((stop, keeper)) = self.keeper.take() {
            drop(stop);
            let _ = keeper.join();
        }
    }
}
