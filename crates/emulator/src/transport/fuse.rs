//! A file that behaves as /dev/tpm0 does, by FUSE: the root of the file system is a regular file.
//!
//! One client at a time (EBUSY for a second), a write is one command, reads drain the response and then meet the end of
//! the file, a write before that is EBUSY (Linux, `drivers/char/tpm/tpm-dev-common.c`).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    AccessFlags, BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyOpen, ReplyWrite,
    Request, Session, SessionACL, TimeOrNow, WriteFlags,
};
use rustix::mount::{UnmountFlags, unmount};

use crate::EmulatorError;
use crate::device::{Reply, SharedDevice};
use crate::wire::{HEADER, MAX_MESSAGE, Reader};

/// The name under which the mount is seen in /proc/mounts.
const SOURCE: &str = "nitrotpm";

/// A mounted file. Dropping it unmounts, also while a client has it open.
pub(crate) struct FuseTransport {
    path: PathBuf,
    created: bool,
    session: Option<BackgroundSession>,
}

impl FuseTransport {
    pub(crate) fn start(path: &Path, device: &Arc<SharedDevice>) -> Result<Self, EmulatorError> {
        let start = || {
            if let Err(error) = fs::metadata(path)
                && error.raw_os_error() == Some(rustix::io::Errno::NOTCONN.raw_os_error())
            {
                // The emulator behind this mount was killed.
                detach(path);
            }
            let created = match File::create_new(path) {
                Ok(_) => true,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
                Err(error) => return Err(error),
            };
            if is_mount(path)? {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another emulator offers its TPM there"));
            }
            if !fs::metadata(path)?.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it must be a regular file, or nothing yet"));
            }
            let mut config = Config::default();
            config.mount_options = vec![MountOption::FSName(SOURCE.to_owned()), MountOption::NoExec];
            // Whoever may open the file may use the TPM. Only root can offer it to others without further ado.
            let root = rustix::process::geteuid().is_root();
            config.acl = if root { SessionACL::All } else { SessionACL::Owner };
            let session = Session::new(TpmFile::new(device), path, &config).and_then(Session::spawn);
            match session {
                Ok(session) => Ok(Self { path: path.to_path_buf(), created, session: Some(session) }),
                Err(error) => {
                    if created {
                        let _ = fs::remove_file(path);
                    }
                    Err(error)
                }
            }
        };
        start().map_err(|source| EmulatorError::Transport { place: path.display().to_string(), source })
    }
}

impl Drop for FuseTransport {
    fn drop(&mut self) {
        // Detached, not unmounted: a client that has the file open is told so by its next call.
        detach(&self.path);
        // Its thread ends with the last client. It holds no TPM.
        drop(self.session.take());
        if self.created && !is_mount(&self.path).unwrap_or(true) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn detach(path: &Path) {
    if unmount(path, UnmountFlags::DETACH).is_err() {
        let _ = Command::new("fusermount3").args(["-u", "-q", "-z", "--"]).arg(path).output();
    }
}

/// Whether something is mounted there: it has another device number than its directory.
fn is_mount(path: &Path) -> io::Result<bool> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    Ok(fs::metadata(path)?.dev() != fs::metadata(parent)?.dev())
}

/// What a client of the file sees.
#[derive(Default)]
struct Opened {
    /// Counts the openings; the current one, if any.
    count: u64,
    current: Option<u64>,
    /// What is left of the response.
    response: Vec<u8>,
}

struct TpmFile {
    // Not owned: a client that keeps the file open must not keep the TPM.
    device: Weak<SharedDevice>,
    opened: Mutex<Opened>,
    uid: u32,
    gid: u32,
}

impl TpmFile {
    fn new(device: &Arc<SharedDevice>) -> Self {
        Self {
            device: Arc::downgrade(device),
            opened: Mutex::default(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attributes(&self) -> FileAttr {
        FileAttr {
            ino: INodeNo::ROOT,
            size: 0,
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: FileType::RegularFile,
            perm: 0o666,
            nlink: 1,
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    /// A write of the client: the number of bytes taken.
    fn command(&self, data: &[u8]) -> Result<u32, Errno> {
        let mut opened = self.opened();
        if !opened.response.is_empty() {
            return Err(Errno::EBUSY);
        }
        if data.len() > MAX_MESSAGE {
            return Err(Errno::E2BIG);
        }
        let mut header = Reader::new(data);
        let size = header.u16().and_then(|_| header.u32()).ok().and_then(|size| usize::try_from(size).ok());
        let command = size.filter(|size| *size >= HEADER).and_then(|size| data.get(..size)).ok_or(Errno::EINVAL)?;
        let device = self.device.upgrade().ok_or(Errno::ENODEV)?;
        opened.response = match device.execute(command) {
            Reply::Response(response) => response,
            Reply::Dropped => Vec::new(),
        };
        u32::try_from(data.len()).map_err(|_| Errno::E2BIG)
    }

    /// A read of the client.
    fn drain(&self, size: u32) -> Vec<u8> {
        let mut opened = self.opened();
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(opened.response.len());
        opened.response.drain(..size).collect()
    }
}

impl Filesystem for TpmFile {
    fn getattr(&self, _request: &Request, _ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&Duration::ZERO, &self.attributes());
    }

    /// Truncation when opened so, and changes of times and mode: a device takes them without a word.
    fn setattr(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        _size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.attr(&Duration::ZERO, &self.attributes());
    }

    fn open(&self, _request: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let mut opened = self.opened();
        if opened.current.is_some() {
            return reply.error(Errno::EBUSY);
        }
        opened.count = opened.count.wrapping_add(1);
        opened.current = Some(opened.count);
        opened.response.clear();
        let flags = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NONSEEKABLE | FopenFlags::FOPEN_STREAM;
        reply.opened(FileHandle(opened.count), flags);
    }

    fn read(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        reply.data(&self.drain(size));
    }

    fn write(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.command(data) {
            Ok(written) => reply.written(written),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _request: &Request, _ino: INodeNo, _fh: FileHandle, _lock_owner: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _request: &Request, _ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn access(&self, _request: &Request, _ino: INodeNo, _mask: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _request: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let mut opened = self.opened();
        if opened.current == Some(fh.0) {
            opened.current = None;
            opened.response.clear();
        }
        reply.ok();
    }
}
