//! The state directory: everything that makes this TPM the same TPM after a restart.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::EmulatorError;

/// A state directory that this process alone uses. The lock is the kernel's and ends with the process, however it ends.
pub(crate) struct StateDir {
    root: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Creates the directory where needed and locks it.
    pub(crate) fn open(root: &Path) -> Result<Self, EmulatorError> {
        for directory in [root.to_path_buf(), root.join("swtpm"), root.join("nv")] {
            fs::create_dir_all(&directory).map_err(|source| EmulatorError::State { path: directory, source })?;
        }
        let path = root.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| EmulatorError::State { path: path.clone(), source })?;
        let patience = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { root: root.to_path_buf(), _lock: lock }),
                // A child that another thread is just starting shares all files until it runs its program, and so holds a
                // lock a moment longer than its owner.
                Err(fs::TryLockError::WouldBlock) if patience.elapsed() < Duration::from_millis(500) => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(fs::TryLockError::WouldBlock) => return Err(EmulatorError::StateBusy { path: root.to_path_buf() }),
                Err(fs::TryLockError::Error(source)) => return Err(EmulatorError::State { path, source }),
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The contents of a file, or `None` where there is none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, EmulatorError> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(EmulatorError::State { path, source }),
        }
    }

    /// Replaces a file as a whole: whoever reads it, also after this process was killed, sees the old or the new
    /// contents. Only the owner may read it.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), EmulatorError> {
        let path = self.path(name);
        let mut new = path.clone().into_os_string();
        new.push(".new");
        let replace = || {
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
            file.write_all(bytes)?;
            fs::rename(&new, &path)
        };
        replace().map_err(|source| EmulatorError::State { path: path.clone(), source })
    }

    /// Removes a file that may be there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), EmulatorError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(EmulatorError::State { path, source }),
            _ => Ok(()),
        }
    }

    /// The names of the files in a directory of it, sorted.
    pub(crate) fn list(&self, directory: &str) -> Result<Vec<String>, EmulatorError> {
        let path = self.path(directory);
        let read = || {
            let mut names = Vec::new();
            for entry in fs::read_dir(&path)? {
                names.extend(entry?.file_name().into_string().ok());
            }
            names.sort();
            Ok(names)
        };
        read().map_err(|source| EmulatorError::State { path: path.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_user_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let first = StateDir::open(directory.path()).unwrap();
        assert!(matches!(StateDir::open(directory.path()), Err(EmulatorError::StateBusy { .. })));
        drop(first);
        assert!(StateDir::open(directory.path()).is_ok());
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        assert_eq!(state.read("nv/a").unwrap(), None);
        state.write("nv/a", b"one").unwrap();
        state.write("nv/a", b"two").unwrap();
        assert_eq!(state.read("nv/a").unwrap().as_deref(), Some(b"two".as_slice()));
        assert_eq!(state.list("nv").unwrap(), ["a"]);
        state.remove("nv/a").unwrap();
        state.remove("nv/a").unwrap();
        assert_eq!(state.list("nv").unwrap(), Vec::<String>::new());
    }
}
