//! The way to a TPM that takes commands as bytes.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::connection::PATIENCE;
use crate::{AttesterError, Connection};

/// How long swtpm may take for one command.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Larger than any response: the TPM's own limit is 4,096.
const MAX_RESPONSE: usize = 65_536;
/// Tag, size, response code.
const HEADER: usize = 10;

/// An open way to a TPM.
#[derive(Debug)]
pub(crate) struct Channel {
    connection: Connection,
    stream: Stream,
    /// Something failed midway: what comes next from the stream is not the answer to what goes in next.
    broken: bool,
}

#[derive(Debug)]
enum Stream {
    Device(File),
    Tcp(TcpStream),
}

impl Channel {
    /// Opens a device or swtpm's data port, and waits a while for one that is busy.
    pub(crate) fn open(connection: &Connection) -> Result<Self, AttesterError> {
        Ok(Self { connection: connection.clone(), stream: Stream::open(connection)?, broken: false })
    }

    /// Sends a command and receives its response, header included. After a failure it starts anew.
    pub(crate) fn transact(&mut self, command: &[u8]) -> Result<Vec<u8>, AttesterError> {
        if self.broken {
            self.stream = Stream::open(&self.connection)?;
        }
        self.broken = true;
        let response = self
            .stream
            .transact(command)
            .map_err(|detail| AttesterError::Unreachable { place: self.connection.to_string(), detail })?;
        self.broken = false;
        Ok(response)
    }
}

impl Stream {
    fn open(connection: &Connection) -> Result<Self, AttesterError> {
        let place = connection.to_string();
        match connection {
            Connection::Device(path) => Ok(Self::Device(open_device(path)?)),
            Connection::Swtpm { host, port } => connect(host, *port)
                .map(Self::Tcp)
                .map_err(|error| AttesterError::Unreachable { place, detail: error.to_string() }),
            Connection::Mssim { .. } | Connection::Tabrmd => Err(AttesterError::Connection {
                text: place,
                detail: "attestation documents are asked for over a device or swtpm",
            }),
        }
    }

    fn transact(&mut self, command: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            // A device takes a command in one write.
            Self::Device(file) => file.write_all(command),
            Self::Tcp(stream) => stream.write_all(command),
        }
        .map_err(|error| error.to_string())?;
        let mut response = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            // A device gives a response in one read or in several; none of it may stay behind.
            let count = match self {
                Self::Device(file) => file.read(&mut buffer),
                Self::Tcp(stream) => stream.read(&mut buffer),
            };
            let count = match count {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other.map_err(|error| error.to_string())?,
            };
            let (read, _) = buffer.split_at_checked(count).unwrap_or_default();
            if read.is_empty() {
                return Err("its response ends too early".to_owned());
            }
            response.extend_from_slice(read);
            let Some(size) = stated_size(&response) else { continue };
            if !(HEADER..=MAX_RESPONSE).contains(&size) {
                return Err(format!("its response states a size of {size} bytes"));
            }
            if response.len() > size {
                return Err("its response is longer than it states".to_owned());
            }
            if response.len() == size {
                return Ok(response);
            }
        }
    }
}

/// The size in a response's header, once that is there.
fn stated_size(response: &[u8]) -> Option<usize> {
    let size = response.get(2..)?.first_chunk()?;
    usize::try_from(u32::from_be_bytes(*size)).ok()
}

fn open_device(path: &Path) -> Result<File, AttesterError> {
    let place = || path.display().to_string();
    let began = Instant::now();
    loop {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => return Ok(file),
            Err(error) => match error.kind() {
                ErrorKind::ResourceBusy if began.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(20)),
                ErrorKind::ResourceBusy => return Err(AttesterError::Busy { place: place() }),
                ErrorKind::NotFound => return Err(AttesterError::NoTpm { place: place() }),
                ErrorKind::PermissionDenied => return Err(AttesterError::Permission { place: place() }),
                _ => return Err(AttesterError::Unreachable { place: place(), detail: error.to_string() }),
            },
        }
    }
}

fn connect(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::from(ErrorKind::NotFound);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(ANSWER_WITHIN))?;
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
