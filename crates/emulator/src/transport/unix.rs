//! A Unix socket that takes TPM commands one after the other, which is what go-tpm opens as a TPM, and one for control
//! beside it, as libtss2's swtpm TCTI and `swtpm_ioctl --unix` look for it.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::server::{Server, serve_commands, serve_control};
use crate::EmulatorError;
use crate::device::SharedDevice;

/// Both sockets.
pub(crate) struct UnixTransport {
    _data: Socket,
    _control: Socket,
}

impl UnixTransport {
    pub(crate) fn start(path: &Path, device: &Arc<SharedDevice>) -> Result<Self, EmulatorError> {
        let mut control = path.as_os_str().to_os_string();
        control.push(".ctrl");
        let (for_data, for_control) = (Arc::clone(device), Arc::clone(device));
        Ok(Self {
            _data: Socket::start(path, move |connection| serve_commands(connection, &for_data))?,
            _control: Socket::start(Path::new(&control), move |connection| serve_control(connection, &for_control))?,
        })
    }
}

/// A socket; removed when dropped.
struct Socket {
    path: PathBuf,
    _server: Server<UnixStream>,
}

impl Socket {
    fn start(path: &Path, serve: impl Fn(UnixStream) + Send + Sync + 'static) -> Result<Self, EmulatorError> {
        let start = || {
            remove_stale(path)?;
            let listener = UnixListener::bind(path)?;
            Ok(Self { path: path.to_path_buf(), _server: Server::start(listener, serve)? })
        };
        start().map_err(|source| EmulatorError::Transport { place: path.display().to_string(), source })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes a socket that nobody listens at: its emulator was killed.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket && matches!(UnixStream::connect(path), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    {
        fs::remove_file(path)?;
    }
    Ok(())
}
