//! Files in and out.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nitrotpm_attester::AttesterError;
use zeroize::Zeroizing;

/// Bounds what is read: no file of ours is as large.
const MAX_LEN: u64 = 64 * 1024 * 1024;

/// Reads a file, or standard input for `-`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, AttesterError> {
    let failed = |source| AttesterError::File { path: path.to_owned(), action: "read", source };
    let mut bytes = Vec::new();
    // One more than is taken, so that a longer file is an error and not a part of itself.
    let limit = MAX_LEN.saturating_add(1);
    if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    }
    .map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_LEN) {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 64 MiB")));
    }
    Ok(bytes)
}

/// Reads a password, without a newline at its end.
pub(super) fn read_password(path: &Path) -> Result<Zeroizing<Vec<u8>>, AttesterError> {
    let mut password = Zeroizing::new(read(path)?);
    if password.last() == Some(&b'\n') {
        password.pop();
    }
    Ok(password)
}

/// Reads a text.
pub(super) fn read_text(path: &Path) -> Result<String, AttesterError> {
    String::from_utf8(read(path)?)
        .map_err(|error| AttesterError::Malformed { document: "the file", detail: error.to_string() })
}

/// Writes to standard output. A reader that went away (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), AttesterError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(AttesterError::File { path: "-".into(), action: "written", source })
        }
        _ => Ok(()),
    }
}

/// Says on standard error what should be known and is no failure.
pub(super) fn note(message: &str) {
    // Nobody is left to tell where standard error is closed.
    let _ = writeln!(io::stderr().lock(), "nitrotpm-attester: {message}");
}

/// Writes a file, or standard output for `-`.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), AttesterError> {
    let failed = |source| AttesterError::File { path: path.to_owned(), action: "written", source };
    if path == Path::new("-") {
        let mut out = io::stdout().lock();
        return out.write_all(bytes).and_then(|()| out.flush()).map_err(failed);
    }
    fs::write(path, bytes).map_err(failed)
}

/// Writes a file that its owner alone reads, or standard output for `-`.
pub(super) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), AttesterError> {
    if path == Path::new("-") {
        return write(path, bytes);
    }
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|source| AttesterError::File { path: path.to_owned(), action: "written", source })
}

/// Writes a file that must not exist yet, readable by its owner alone: keys, and records that never change.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), AttesterError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(|source| AttesterError::File { path: path.to_owned(), action: "written", source })
}
