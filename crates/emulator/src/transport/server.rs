//! A server of byte streams: a thread accepts, a thread serves each connection, and all end with the server.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::device::{Reply, SharedDevice};
use crate::swtpm::control;
use crate::wire::{self, HEADER, MAX_MESSAGE, Reader, rc};

/// Connections at a time: a client that opens more is waiting for something that will not come.
const MAX_CONNECTIONS: usize = 256;

/// How long a client may leave an answer that fits no buffer any more.
const UNREAD: Duration = Duration::from_secs(1);

/// A connection of either kind.
pub(crate) trait Connection: Read + Write + Send + Sized + 'static {
    /// A second handle of it, with which it is ended; set up so that no write waits for good.
    fn duplicate(&self) -> io::Result<Self>;
    /// No more commands are read. The answer to one that is being executed can still be written.
    fn end(&self);
}

impl Connection for TcpStream {
    fn duplicate(&self) -> io::Result<Self> {
        self.set_nodelay(true)?;
        self.set_write_timeout(Some(UNREAD))?;
        self.try_clone()
    }
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Read);
    }
}

impl Connection for UnixStream {
    fn duplicate(&self) -> io::Result<Self> {
        self.set_write_timeout(Some(UNREAD))?;
        self.try_clone()
    }
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Read);
    }
}

/// A listener of either kind.
pub(crate) trait Listener: AsFd + Send + 'static {
    type Connection: Connection;
    fn next(&self) -> io::Result<Self::Connection>;
}

impl Listener for TcpListener {
    type Connection = TcpStream;
    fn next(&self) -> io::Result<TcpStream> {
        self.accept().map(|(stream, _)| stream)
    }
}

impl Listener for UnixListener {
    type Connection = UnixStream;
    fn next(&self) -> io::Result<UnixStream> {
        self.accept().map(|(stream, _)| stream)
    }
}

type Open<C> = Arc<Mutex<BTreeMap<u64, (C, Option<JoinHandle<()>>)>>>;

/// A running server. Dropping it lets commands end that are being executed, closes the connections and waits for the threads.
pub(crate) struct Server<C: Connection> {
    stopping: Arc<AtomicBool>,
    open: Open<C>,
    listener: OwnedFd,
    acceptor: Option<JoinHandle<()>>,
}

impl<C: Connection> Server<C> {
    /// Serves each connection to `listener` with `serve`.
    pub(crate) fn start<L>(listener: L, serve: impl Fn(C) + Send + Sync + 'static) -> io::Result<Self>
    where
        L: Listener<Connection = C>,
    {
        let stopping = Arc::new(AtomicBool::new(false));
        let open: Open<C> = Arc::default();
        let socket = listener.as_fd().try_clone_to_owned()?;
        let serve = Arc::new(serve);
        let acceptor = thread::Builder::new().name("accept".into()).spawn({
            let (stopping, open) = (Arc::clone(&stopping), Arc::clone(&open));
            move || accept(&listener, &stopping, &open, &serve)
        })?;
        Ok(Self { stopping, open, listener: socket, acceptor: Some(acceptor) })
    }
}

fn accept<L: Listener>(
    listener: &L,
    stopping: &AtomicBool,
    open: &Open<L::Connection>,
    serve: &Arc<impl Fn(L::Connection) + Send + Sync + 'static>,
) {
    let mut number: u64 = 0;
    loop {
        let accepted = listener.next();
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = accepted else {
            // Out of file descriptors, most likely: they come back when a client leaves.
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let Ok(to_close) = connection.duplicate() else { continue };
        number = number.wrapping_add(1);
        let mut connections = open.lock().unwrap_or_else(PoisonError::into_inner);
        if connections.len() >= MAX_CONNECTIONS {
            continue; // closed
        }
        let thread = thread::Builder::new().name("serve".into()).spawn({
            let (serve, open) = (Arc::clone(serve), Arc::clone(open));
            move || {
                serve(connection);
                // Removes and so closes the duplicate; not there any more when the server is being dropped.
                open.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
            }
        });
        if let Ok(thread) = thread {
            connections.insert(number, (to_close, Some(thread)));
        }
    }
}

impl<C: Connection> Drop for Server<C> {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // The thread that waits for a connection gets an error instead.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let connections = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        for (connection, thread) in connections.into_values() {
            connection.end();
            if let Some(thread) = thread {
                let _ = thread.join();
            }
        }
    }
}

/// Serves TPM commands, one after the other, until the client leaves. A size field that no command has ends the
/// connection after an answer: where the next command starts is not known.
pub(crate) fn serve_commands(mut connection: impl Connection, device: &SharedDevice) {
    let mut command = Vec::with_capacity(MAX_MESSAGE);
    loop {
        command.resize(HEADER, 0);
        if connection.read_exact(&mut command).is_err() {
            return;
        }
        let mut header = Reader::new(&command);
        let size = header.u16().and_then(|_| header.u32()).ok().and_then(|size| usize::try_from(size).ok());
        let size = size.unwrap_or_default();
        if !(HEADER..=MAX_MESSAGE).contains(&size) {
            let _ = connection.write_all(&wire::response_code(rc::COMMAND_SIZE));
            return;
        }
        command.resize(size, 0);
        let Some(body) = command.get_mut(HEADER..) else { return };
        if connection.read_exact(body).is_err() {
            return;
        }
        match device.execute(&command) {
            Reply::Response(response) => {
                if connection.write_all(&response).is_err() {
                    return;
                }
            }
            Reply::Dropped => return,
        }
    }
}

/// Serves swtpm's control protocol until the client leaves.
pub(crate) fn serve_control(mut connection: impl Connection, device: &SharedDevice) {
    loop {
        let mut request = vec![0; 4];
        if connection.read_exact(&mut request).is_err() {
            return;
        }
        let code = Reader::new(&request).u32().unwrap_or_default();
        // How much follows a code is part of the protocol; requests that are refused end the connection.
        let argument = match code {
            control::GET_CAPABILITY
            | control::GET_ESTABLISHED
            | control::HASH_START
            | control::HASH_END
            | control::CANCEL
            | control::STORE_VOLATILE
            | control::SHUTDOWN
            | control::STOP
            | control::GET_CONFIG => 0,
            control::INIT | control::SET_BUFFER_SIZE | control::HASH_DATA => 4,
            control::SET_LOCALITY | control::RESET_ESTABLISHED => 1,
            control::GET_INFO => 16, // which, from where, and four bytes to fill up
            _ => {
                let _ = connection.write_all(&device.control(&request));
                return;
            }
        };
        let mut rest = vec![0; argument];
        if connection.read_exact(&mut rest).is_err() {
            return;
        }
        request.append(&mut rest);
        if code == control::HASH_DATA {
            let length = request.last_chunk().map(|length| u32::from_be_bytes(*length));
            let length = length.and_then(|length| usize::try_from(length).ok()).filter(|length| *length <= MAX_MESSAGE);
            let Some(length) = length else { return };
            let mut data = vec![0; length];
            if connection.read_exact(&mut data).is_err() {
                return;
            }
            request.append(&mut data);
        }
        if connection.write_all(&device.control(&request)).is_err() {
            return;
        }
    }
}
