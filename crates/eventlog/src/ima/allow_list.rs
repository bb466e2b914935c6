//! Appraisal: which files may have which contents.

use alloc::vec::Vec;

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
#[derive(Clone, Debug, Default)]
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

impl AllowList {
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
