//! Which files are read: those named, those in folders, and those of a list; one after the other, never all at once.

use std::ffi::OsString;
use std::fs::{File, FileType, ReadDir};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::exit::Failure;
use crate::input::{Shown, take_standard_input};

/// A folder's names are sorted where it has at most so many, and else in portions of as many: what is held in memory
/// stays bounded.
const PORTION: usize = 65_536;

/// The longest name that a list may have: Linux opens no path of more than 4,096 bytes.
const LONGEST_NAME: u64 = 4096;

/// The files, in order.
pub(super) struct Paths {
    named: std::vec::IntoIter<PathBuf>,
    list: Option<List>,
    /// The folders that are being walked, the innermost last.
    folders: Vec<Folder>,
}

/// What stands next.
pub(super) enum Found {
    /// A file, or what was named as one.
    File(PathBuf),
    /// Something that should be read and cannot be.
    Failed(PathBuf, Failure),
    /// Something in a folder that is no file, with the reason why it is left out.
    Skipped(String),
}

struct List {
    reader: Box<dyn BufRead + Send>,
    separator: u8,
    name: PathBuf,
}

struct Folder {
    path: PathBuf,
    /// The rest that was not read yet, until all was.
    rest: Option<ReadDir>,
    /// The last is the next.
    names: Vec<(OsString, bool)>,
}

impl Paths {
    pub(super) fn new(named: Vec<PathBuf>, list: Option<&Path>, null: bool) -> Result<Self, Failure> {
        let open = |name: &Path| -> Result<List, Failure> {
            let reader: Box<dyn BufRead + Send> = if name == Path::new("-") {
                take_standard_input()?;
                Box::new(BufReader::new(std::io::stdin()))
            } else {
                let file = File::open(name).map_err(|error| unreadable(name, &error))?;
                Box::new(BufReader::new(file))
            };
            Ok(List { reader, separator: if null { 0 } else { b'\n' }, name: name.to_owned() })
        };
        let list = list.map(open).transpose()?;
        Ok(Self { named: named.into_iter(), list, folders: Vec::new() })
    }

    /// A path that was given: a folder is walked, whether the path is a link or not.
    fn given(&mut self, path: PathBuf) -> Option<Found> {
        if path != Path::new("-") && path.is_dir() { self.enter(path) } else { Some(Found::File(path)) }
    }

    fn enter(&mut self, path: PathBuf) -> Option<Found> {
        match std::fs::read_dir(&path) {
            Ok(rest) => {
                self.folders.push(Folder { path, rest: Some(rest), names: Vec::new() });
                None
            }
            Err(error) => Some(failed(path, &error)),
        }
    }

    /// The next thing in the innermost folder; `None` where it was a folder, or the end of one.
    fn walk(&mut self) -> Option<Found> {
        let folder = self.folders.last_mut()?;
        if folder.names.is_empty()
            && let Some(rest) = &mut folder.rest
        {
            for entry in rest.by_ref().take(PORTION) {
                match entry {
                    Ok(entry) => {
                        // A link to a folder is not followed: links may go round in circles.
                        let is_folder = entry.file_type().as_ref().is_ok_and(FileType::is_dir);
                        folder.names.push((entry.file_name(), is_folder));
                    }
                    Err(error) => {
                        folder.rest = None;
                        return Some(failed(folder.path.clone(), &error));
                    }
                }
            }
            if folder.names.len() < PORTION {
                folder.rest = None;
            }
            folder.names.sort_unstable_by(|a, b| b.cmp(a));
        }
        match folder.names.pop() {
            Some((name, is_folder)) => {
                let path = folder.path.join(name);
                if is_folder { self.enter(path) } else { Some(regular(path)) }
            }
            None => {
                if folder.rest.is_none() {
                    self.folders.pop();
                }
                None
            }
        }
    }

    /// The next name of the list.
    fn listed(&mut self) -> Option<Found> {
        let list = self.list.as_mut()?;
        let mut name = Vec::new();
        let limit = LONGEST_NAME.saturating_add(2);
        let read = (&mut list.reader).take(limit).read_until(list.separator, &mut name);
        let ended = name.last() == Some(&list.separator);
        if ended {
            name.pop();
        }
        let found = match read {
            Ok(0) => None,
            Ok(read) if !ended && u64::try_from(read) == Ok(limit) => {
                let message = format!(
                    "the list {} has a name of more than {LONGEST_NAME} bytes; names are separated by line ends, or by \
                     zero bytes with --null",
                    Shown(&list.name)
                );
                Some(Found::Failed(list.name.clone(), Failure::environment("file.list", message)))
            }
            // No path has one: the list is another than was said.
            Ok(_) if name.contains(&0) => {
                let message = format!("the names in the list {} end with zero bytes: add --null", Shown(&list.name));
                Some(Found::Failed(list.name.clone(), Failure::environment("file.list", message)))
            }
            Ok(_) => return Some(Found::File(PathBuf::from(OsString::from_vec(name)))),
            Err(error) => Some(failed(list.name.clone(), &error)),
        };
        self.list = None;
        found
    }
}

/// A thing of a folder that is neither file nor folder would be waited for without end, or read without one.
fn regular(path: PathBuf) -> Found {
    // Where it cannot be looked at, opening it tells why.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        let message = if path.is_dir() {
            format!("{} is a link to a folder, which is not followed; name it to have it read", Shown(&path))
        } else {
            format!("{} is neither a file nor a folder; name it to have it read", Shown(&path))
        };
        return Found::Skipped(message);
    }
    Found::File(path)
}

fn failed(path: PathBuf, error: &std::io::Error) -> Found {
    let failure = unreadable(&path, error);
    Found::Failed(path, failure)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::environment("file.read", format!("cannot read {}: {error}", Shown(path)))
}

impl Iterator for Paths {
    type Item = Found;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let found = if !self.folders.is_empty() {
                self.walk()
            } else if let Some(path) = self.named.next() {
                self.given(path)
            } else if self.list.is_some() {
                match self.listed() {
                    Some(Found::File(path)) if path.as_os_str().is_empty() => None,
                    Some(Found::File(path)) => self.given(path),
                    other => other,
                }
            } else {
                return None;
            };
            if found.is_some() {
                return found;
            }
        }
    }
}
