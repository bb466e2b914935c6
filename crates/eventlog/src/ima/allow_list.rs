//! Appraisal: which files may have which contents.

use alloc::vec::Vec;

use super::list::decode_hex;
use super::{ConfirmedIma, ImaEntry};

/// Files by exact path, each with the digests that it may have.
///
/// ```
/// use nitrotpm_eventlog::ima::AllowList;
///
/// let list: AllowList = [(b"/usr/bin/true".as_slice(), [0x5A; 32].as_slice())].into_iter().collect();
/// assert!(list.allows(b"/usr/bin/true", &[0x5A; 32]));
/// assert!(!list.allows(b"/usr/bin/true ", &[0x5A; 32]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    /// Sorted, each pair once: a look-up is a binary search.
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<P: AsRef<[u8]>, D: AsRef<[u8]>> FromIterator<(P, D)> for AllowList {
    fn from_iter<I: IntoIterator<Item = (P, D)>>(pairs: I) -> Self {
        let mut pairs: Vec<_> =
            pairs.into_iter().map(|(path, digest)| (path.as_ref().to_vec(), digest.as_ref().to_vec())).collect();
        pairs.sort_unstable();
        pairs.dedup();
        Self { pairs }
    }
}

/// Why a text is not an allow-list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the IMA allow-list {problem}")]
#[non_exhaustive]
pub struct AllowListError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl AllowList {
    /// The longest text that is read, in bytes: far above a hundred thousand files with long names.
    pub const MAX_LEN: usize = 256 << 20;

    /// Reads the text that `sha256sum` and its like print: a digest in hexadecimal, two spaces (or a space and a star),
    /// the path as IMA has it. Empty lines and those that begin with `#` are left out. A line that begins with a
    /// backslash has `\\`, `\n` and `\r` in its path, as coreutils writes such names.
    ///
    /// Digests may be of 20, 32, 48 or 64 bytes; one file may stand several times, with each digest that it may have.
    ///
    /// # Errors
    /// [`AllowListError`] for the first line that is not of this form, and for a text without any.
    pub fn parse(text: &[u8]) -> Result<Self, AllowListError> {
        if text.len() > Self::MAX_LEN {
            return Err(AllowListError { line: 1, problem: "is of a text of more than 256 MiB; split it" });
        }
        let mut pairs = Vec::new();
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let refuse = |problem| AllowListError { line: number, problem };
            let (escaped, line) = line.strip_prefix(b"\\").map_or((false, line), |rest| (true, rest));
            let space = line.iter().position(|byte| *byte == b' ');
            let (digest, path) = space
                .and_then(|space| line.split_at_checked(space))
                .ok_or_else(|| refuse("is not a digest, two spaces and a path"))?;
            let digest = decode_hex(digest)
                .filter(|digest| matches!(digest.len(), 20 | 32 | 48 | 64))
                .ok_or_else(|| refuse("does not begin with a digest in hexadecimal, of 20, 32, 48 or 64 bytes"))?;
            let path = path
                .strip_prefix(b"  ")
                .or_else(|| path.strip_prefix(b" *"))
                .filter(|path| !path.is_empty())
                .ok_or_else(|| refuse("is not a digest, two spaces and a path"))?;
            let path = if escaped { unescape(path) } else { Some(path.to_vec()) };
            let path = path.ok_or_else(|| refuse("has a backslash in its path that is neither \\\\, \\n nor \\r"))?;
            pairs.push((path, digest));
        }
        if pairs.is_empty() {
            return Err(AllowListError {
                line: 1,
                problem: "is the end of a list that names no file: it would allow none",
            });
        }
        pairs.sort_unstable();
        pairs.dedup();
        Ok(Self { pairs })
    }

    /// Whether a file may have this digest.
    #[must_use]
    pub fn allows(&self, path: &[u8], digest: &[u8]) -> bool {
        self.pairs.binary_search_by(|(p, d)| (p.as_slice(), d.as_slice()).cmp(&(path, digest))).is_ok()
    }

    /// Whether the file is in the list at all.
    #[must_use]
    pub fn names(&self, path: &[u8]) -> bool {
        let first = self.pairs.partition_point(|(p, _)| p.as_slice() < path);
        self.pairs.get(first).is_some_and(|(p, _)| p == path)
    }

    /// How many pairs of path and digest there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Compares every proven entry with the list. The boot aggregate is not a file, and is left out.
    #[must_use]
    pub fn appraise(&self, confirmed: &ConfirmedIma<'_>) -> Appraisal {
        let mut appraisal = Appraisal { files: 0, findings: Vec::new() };
        for (position, entry) in confirmed.entries().iter().enumerate() {
            match self.appraise_entry(confirmed, entry) {
                Some(kind) => appraisal.findings.push(Finding { entry: entry.index(), kind }),
                None if position == 0 && is_boot_aggregate(entry) => {}
                None => appraisal.files = appraisal.files.saturating_add(1),
            }
        }
        appraisal
    }

    fn appraise_entry(&self, confirmed: &ConfirmedIma<'_>, entry: &ImaEntry<'_>) -> Option<FindingKind> {
        if entry.is_violation() {
            return Some(FindingKind::Violation);
        }
        if !confirmed.is_proven(entry) {
            return Some(FindingKind::NotProven);
        }
        let is_first = confirmed.entries().first().is_some_and(|first| first.index() == entry.index());
        if is_first && is_boot_aggregate(entry) {
            return None;
        }
        let (Some(name), Some(digest)) = (entry.file_name(), entry.file_digest()) else {
            return Some(FindingKind::UnknownTemplate);
        };
        match (self.allows(name.bytes(), digest.digest), self.names(name.bytes())) {
            (true, _) => None,
            (false, true) => Some(FindingKind::OtherDigest),
            (false, false) => Some(FindingKind::NotListed),
        }
    }
}

/// A path as coreutils escapes it.
fn unescape(path: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = path.iter();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            byte => *byte,
        });
    }
    Some(plain)
}

fn is_boot_aggregate(entry: &ImaEntry<'_>) -> bool {
    entry.file_name().is_some_and(|name| name.is("boot_aggregate"))
}

/// What an appraisal found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appraisal {
    /// How many files were allowed.
    pub files: usize,
    /// What was not, in order.
    pub findings: Vec<Finding>,
}

/// An entry that the list does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The entry's place in the measurement list.
    pub entry: usize,
    /// Why.
    pub kind: FindingKind,
}

/// Why an entry is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// The file is not in the list.
    NotListed,
    /// The file is in the list and may not have this digest.
    OtherDigest,
    /// The file was written to while it was measured: what ran is not known.
    Violation,
    /// The entry's data is not that of its hash.
    NotProven,
    /// The template is not one that has a file.
    UnknownTemplate,
}

impl FindingKind {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotListed => "not-listed",
            Self::OtherDigest => "other-digest",
            Self::Violation => "violation",
            Self::NotProven => "not-proven",
            Self::UnknownTemplate => "unknown-template",
        }
    }
}
