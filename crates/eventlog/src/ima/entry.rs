//! One entry of a list.

use alloc::borrow::Cow;

use nitrotpm_digest_lanes::{Hasher, hash};
use nitrotpm_pcr::{Bank, Digest, PcrIndex};

use crate::LogError;
use crate::reader::Reader;
use crate::text::{Text, without_nul};

/// One measurement of a list.
///
/// Nothing of it is proven until [`ImaList::confirm`](super::ImaList::confirm).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImaEntry<'a> {
    pub(super) index: usize,
    pub(super) offset: usize,
    pub(super) pcr: PcrIndex,
    pub(super) template_hash: Cow<'a, [u8]>,
    pub(super) template: &'a [u8],
    /// What was hashed, but for the template `ima`, whose name is padded before it is hashed.
    pub(super) data: Cow<'a, [u8]>,
}

/// The digest of a file, as an entry has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileDigest<'a> {
    /// The algorithm, as the kernel names it: `sha256`, also `verity:sha256`.
    pub algorithm: &'a [u8],
    /// The digest.
    pub digest: &'a [u8],
}

/// The name of the first template: a SHA-1 digest and a name of at most 255 bytes, padded with zeros.
pub(super) const LEGACY: &[u8] = b"ima";
const LEGACY_NAME: usize = 256;

impl<'a> ImaEntry<'a> {
    /// The entry's place in the list, from 0.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Where the entry begins, in bytes from the start of the list.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The register: 10 as a rule.
    #[must_use]
    pub const fn pcr(&self) -> PcrIndex {
        self.pcr
    }

    /// The template's name: `ima-ng`, `ima-sig`, `ima-buf`, `ima-modsig`, `ima` or another.
    #[must_use]
    pub const fn template(&self) -> Text<'a> {
        Text::utf8(self.template)
    }

    /// The hash of the template data as the list has it: SHA-1 as a rule.
    #[must_use]
    pub fn template_hash(&self) -> &[u8] {
        &self.template_hash
    }

    /// The template data: fields, each with its length before it.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Whether the file was written to while it was measured: the list then has a hash of zeros, and 0xFF bytes were
    /// extended.
    #[must_use]
    pub fn is_violation(&self) -> bool {
        self.template_hash.iter().all(|byte| *byte == 0)
    }

    /// The hash of the template data, computed.
    #[must_use]
    pub fn hash_of_data(&self, bank: Bank) -> Digest {
        if self.template != LEGACY {
            return hash(bank, &[&self.data]);
        }
        // A digest of 20 bytes, the length of the name, the name: the length is not hashed, the padding is.
        let (digest, name) = self.data.split_at_checked(20).unwrap_or((&self.data, &[]));
        let name = name.get(4..).unwrap_or_default();
        let mut hasher = Hasher::new(bank);
        hasher.update(digest);
        hasher.update(name);
        hasher.update([0; LEGACY_NAME].get(name.len()..).unwrap_or_default());
        hasher.finish()
    }

    /// Whether the template hash is that of the data, or `None` where it cannot be told: a violation, or a hash that is
    /// none of ours.
    #[must_use]
    pub fn template_hash_is_right(&self) -> Option<bool> {
        let bank = Bank::ALL.into_iter().find(|bank| bank.digest_len() == self.template_hash.len())?;
        (!self.is_violation()).then(|| self.hash_of_data(bank).as_bytes() == self.template_hash.as_ref())
    }

    /// The fields of the data, without their lengths. The template `ima` has the digest alone as its first.
    pub(super) fn field(&self, position: usize) -> Option<&[u8]> {
        let mut reader = Reader::new(&self.data, 0, "the template data");
        if self.template == LEGACY {
            let digest = reader.take(20).ok()?;
            if position == 0 {
                return Some(digest);
            }
        }
        let skipped = if self.template == LEGACY { position.checked_sub(1)? } else { position };
        for _ in 0..skipped {
            let length = reader.u32().ok()?;
            reader.take(length.into()).ok()?;
        }
        let length = reader.u32().ok()?;
        reader.take(length.into()).ok()
    }

    /// Whether the template begins with a digest and a name: all of the kernel's do.
    fn has_file(&self) -> bool {
        self.template == LEGACY || self.template.starts_with(b"ima-")
    }

    /// The file's digest.
    #[must_use]
    pub fn file_digest(&self) -> Option<FileDigest<'_>> {
        let field = self.has_file().then(|| self.field(0)).flatten()?;
        if self.template == LEGACY {
            return Some(FileDigest { algorithm: b"sha1", digest: field });
        }
        // The name of the algorithm ends with a colon and a NUL.
        let end = field.windows(2).position(|pair| pair == b":\0")?;
        Some(FileDigest { algorithm: field.get(..end)?, digest: field.get(end.checked_add(2)?..)? })
    }

    /// The file's path, or what the kernel calls a buffer or a key ring.
    #[must_use]
    pub fn file_name(&self) -> Option<Text<'_>> {
        self.has_file().then(|| self.field(1)).flatten().map(|name| Text::utf8(without_nul(name)))
    }

    /// What follows digest and name: the signature of `ima-sig` and `ima-modsig`, the buffer of `ima-buf`.
    #[must_use]
    pub fn third_field(&self) -> Option<&[u8]> {
        self.has_file().then(|| self.field(2)).flatten().filter(|field| !field.is_empty())
    }
}

/// Refuses an entry whose fields reach beyond its data, or leave some of it over.
pub(super) fn check_fields(template: &[u8], data: &[u8], offset: usize) -> Result<(), LogError> {
    let mut reader = Reader::new(data, offset, "the template data of an IMA entry");
    if template == LEGACY {
        reader.take(20)?;
    }
    while !reader.is_empty() {
        let length = reader.u32()?;
        reader.take(length.into())?;
    }
    Ok(())
}
