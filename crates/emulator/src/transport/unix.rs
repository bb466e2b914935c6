//! A Unix socket that takes TPM commands one after the other: what go-tpm opens as a TPM.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::server::{Server, serve_commands};
use crate::EmulatorError;
use crate::device::SharedDevice;

/// The socket; removed when dropped.
pub(crate) struct UnixTransport {
    path: PathBuf,
    _server: Server<UnixStream>,
}

impl UnixTransport {
    pub(crate) fn start(path: &Path, device: &Arc<SharedDevice>) -> Result<Self, EmulatorError> {
        let start = || {
            remove_stale(path)?;
            let listener = UnixListener::bind(path)?;
            let device = Arc::clone(device);
            let server = Server::start(listener, move |connection| serve_commands(connection, &device))?;
            Ok(Self { path: path.to_path_buf(), _server: server })
        };
        start().map_err(|source| EmulatorError::Transport { place: path.display().to_string(), source })
    }
}

impl Drop for UnixTransport {
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
