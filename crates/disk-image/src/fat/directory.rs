//! Directory entries, with long names.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

use super::chain::Owner;
use crate::DiskError;
use crate::bytes::{array, u16_at, u32_at};

const ENTRY: usize = 32;
const DIRECTORY: u8 = 0x10;
const VOLUME_LABEL: u8 = 0x08;
const LONG_NAME: u8 = 0x0F;
/// Characters of a long name in one entry.
const PER_ENTRY: usize = 13;
/// Entries of the longest name of 255 characters.
const MOST_LONG_ENTRIES: u8 = 20;

/// A file or directory in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    name: String,
    short_name: String,
    attributes: u8,
    first_cluster: u32,
    size: u32,
    place: u64,
}

impl DirectoryEntry {
    /// The name: the long one if there is one. What is not UTF-16 in it is replaced.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a directory.
    #[must_use]
    pub const fn is_directory(&self) -> bool {
        self.attributes & DIRECTORY != 0
    }

    /// A file's size in bytes.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    pub(crate) const fn first_cluster(&self) -> u32 {
        self.first_cluster
    }

    pub(crate) const fn owner(&self) -> Owner {
        Owner(self.place)
    }

    /// Whether firmware finds it under this name: either of its names, letters without case.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let same = |own: &str| own.chars().flat_map(char::to_uppercase).eq(name.chars().flat_map(char::to_uppercase));
        same(&self.name) || same(&self.short_name)
    }
}

/// The bytes of a directory, and where on the disk they are: (place, length) of each run.
#[derive(Debug)]
pub(crate) struct Bytes {
    pub(crate) bytes: Vec<u8>,
    pub(crate) places: Vec<(u64, u64)>,
}

impl Bytes {
    pub(crate) fn fixed(bytes: Vec<u8>, place: u64) -> Self {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self { bytes, places: [(place, length)].into() }
    }

    /// Where the byte at `offset` is.
    fn place(&self, offset: usize) -> u64 {
        let mut left = u64::try_from(offset).unwrap_or(u64::MAX);
        for (place, length) in &self.places {
            match left.checked_sub(*length) {
                None => return place.saturating_add(left),
                Some(rest) => left = rest,
            }
        }
        u64::MAX
    }
}

/// A long name as far as its entries came: they stand before the entry that they name, the last part first.
#[derive(Default)]
struct LongName {
    parts: Vec<[u16; PER_ENTRY]>,
    /// The number of the part that must come next, 0 where the name is whole.
    next: u8,
    checksum: u8,
}

impl LongName {
    /// Takes one more entry; what does not continue a name begins a new one or none.
    fn add(&mut self, entry: &[u8]) {
        let [order] = array(entry, 0);
        let [checksum] = array(entry, 13);
        if order & 0x40 != 0 {
            let number = order & 0x3F;
            let valid = (1..=MOST_LONG_ENTRIES).contains(&number);
            *self = Self { parts: Vec::new(), next: if valid { number } else { 0 }, checksum };
        } else if order != self.next || checksum != self.checksum {
            *self = Self::default();
        }
        if self.next == 0 {
            *self = Self::default();
            return;
        }
        let mut part = [0; PER_ENTRY];
        let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain((28..32).step_by(2));
        part.iter_mut().zip(places).for_each(|(unit, place)| *unit = u16_at(entry, place));
        self.parts.push(part);
        self.next = self.next.saturating_sub(1);
    }

    /// The name, if it is whole and belongs to the entry with this short name.
    fn finish(&mut self, short: &[u8; 11]) -> Option<String> {
        let name = core::mem::take(self);
        let checksum = short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
        if name.parts.is_empty() || name.next != 0 || name.checksum != checksum {
            return None;
        }
        let units = name.parts.iter().rev().flatten().copied().take_while(|unit| *unit != 0);
        let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        (!text.is_empty()).then_some(text)
    }
}

/// The entries of a directory.
pub(crate) fn parse(directory: &Bytes, path: &str) -> Result<Vec<DirectoryEntry>, DiskError> {
    let mut entries = Vec::new();
    let mut long = LongName::default();
    for (index, entry) in directory.bytes.chunks_exact(ENTRY).enumerate() {
        let [first] = array(entry, 0);
        let [attributes] = array(entry, 11);
        match first {
            0 => break,
            0xE5 => {
                long = LongName::default();
                continue;
            }
            _ if attributes & 0x3F == LONG_NAME => {
                long.add(entry);
                continue;
            }
            _ => {}
        }
        let short: [u8; 11] = array(entry, 0);
        let long_name = long.finish(&short);
        if attributes & VOLUME_LABEL != 0 || first == b'.' {
            continue;
        }
        let [flags] = array(entry, 12);
        let short_name = short_name(&short, flags);
        let place = directory.place(index.saturating_mul(ENTRY));
        if attributes & DIRECTORY != 0 && u32_at(entry, 28) != 0 {
            let path = path.to_owned();
            return Err(DiskError::Fat { path, what: "a directory in it has a size", offset: place });
        }
        let first_cluster = u32::from(u16_at(entry, 20)) << 16 | u32::from(u16_at(entry, 26));
        let name = long_name.unwrap_or_else(|| short_name.clone());
        entries.push(DirectoryEntry { name, short_name, attributes, first_cluster, size: u32_at(entry, 28), place });
    }
    Ok(entries)
}

/// A short name: eight characters, three of an extension, spaces at their ends; flags say which part is in lower case.
/// Characters beyond ASCII are taken from Latin-1, as EDK II does without a table of its own.
fn short_name(bytes: &[u8; 11], flags: u8) -> String {
    let part = |bytes: &[u8], lower: bool| -> String {
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let text = text.trim_end_matches(' ');
        if lower { text.to_ascii_lowercase() } else { text.to_owned() }
    };
    let mut bytes = *bytes;
    if let [first @ 0x05, ..] = &mut bytes {
        // 0xE5 marks a deleted entry, so this stands for it.
        *first = 0xE5;
    }
    let (base, extension) = bytes.split_at(8);
    let (base, extension) = (part(base, flags & 0x08 != 0), part(extension, flags & 0x10 != 0));
    if extension.is_empty() { base } else { [base, extension].join(".") }
}
