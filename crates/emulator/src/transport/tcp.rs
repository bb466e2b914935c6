//! swtpm's TCP protocol: commands on one port, control on the next. What libtss2's swtpm TCTI and `swtpm_ioctl` speak.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

use super::server::{Server, serve_commands, serve_control};
use crate::EmulatorError;
use crate::device::SharedDevice;

/// Both ports of a TPM on the loopback interface.
pub(crate) struct TcpTransport {
    port: u16,
    _data: Server<TcpStream>,
    _control: Server<TcpStream>,
}

impl TcpTransport {
    /// Offers the device on `port` and `port + 1`, or on two free ports.
    pub(crate) fn start(port: Option<u16>, device: &Arc<SharedDevice>) -> Result<Self, EmulatorError> {
        let place =
            || port.map_or_else(|| "a free TCP port".to_owned(), |port| format!("TCP port {port} and the next"));
        let start = || {
            let (port, data, control) = match port {
                Some(port) => listen(port)?,
                None => listen_anywhere()?,
            };
            let for_data = Arc::clone(device);
            let for_control = Arc::clone(device);
            Ok(Self {
                port,
                _data: Server::start(data, move |connection| serve_commands(connection, &for_data))?,
                _control: Server::start(control, move |connection| serve_control(connection, &for_control))?,
            })
        };
        start().map_err(|source| EmulatorError::Transport { place: place(), source })
    }

    /// The port of the commands.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

fn listen(port: u16) -> io::Result<(u16, TcpListener, TcpListener)> {
    let next = port.checked_add(1).ok_or(io::ErrorKind::InvalidInput)?;
    let data = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    Ok((port, data, TcpListener::bind((Ipv4Addr::LOCALHOST, next))?))
}

/// Two free ports in a row. Both stay bound from the moment they are found.
fn listen_anywhere() -> io::Result<(u16, TcpListener, TcpListener)> {
    let mut last = io::ErrorKind::AddrInUse.into();
    for _ in 0..64 {
        let data = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = data.local_addr()?.port();
        let Some(next) = port.checked_add(1) else { continue };
        match TcpListener::bind((Ipv4Addr::LOCALHOST, next)) {
            Ok(control) => return Ok((port, data, control)),
            Err(error) => last = error,
        }
    }
    Err(last)
}
