//! `UEFI_GPT_DATA` (TCG PC Client Platform Firmware Profile 1.06, section 10.2.5).

use uguid::Guid;

use crate::LogError;
use crate::reader::Reader;
use crate::text::Text;

/// A partition table as it was measured: the header, and the entries in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gpt<'a> {
    /// The `EFI_PARTITION_TABLE_HEADER`, 92 bytes.
    pub header: &'a [u8; 92],
    /// Length of one entry in bytes: 128 as a rule.
    pub entry_size: u32,
    entries: &'a [u8],
    count: u64,
}

impl<'a> Gpt<'a> {
    /// How many partitions are in use.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The GUID of the disk.
    #[must_use]
    pub fn disk(&self) -> Guid {
        let guid = self.header.get(56..72).and_then(<[u8]>::first_chunk);
        Guid::from_bytes(guid.copied().unwrap_or_default())
    }

    /// The partitions in use.
    pub fn partitions(&self) -> impl Iterator<Item = GptPartition<'a>> + 'a {
        self.entries().filter_map(|entry| {
            let mut reader = Reader::new(entry, 0, "EFI_PARTITION_ENTRY");
            let (partition_type, unique) =
                (Guid::from_bytes(reader.array().ok()?), Guid::from_bytes(reader.array().ok()?));
            let (first_block, last_block, attributes) = (reader.u64().ok()?, reader.u64().ok()?, reader.u64().ok()?);
            let name = reader.take(72).ok()?;
            let end = name.as_chunks::<2>().0.iter().position(|unit| *unit == [0, 0]).unwrap_or(36);
            let name = Text::utf16(name.get(..end.saturating_mul(2)).unwrap_or(name));
            Some(GptPartition { partition_type, unique, first_block, last_block, attributes, name })
        })
    }

    /// The entries in use, each [`Gpt::entry_size`] long.
    #[must_use]
    pub fn entries(&self) -> GptPartitions<'a> {
        GptPartitions { entries: self.entries, size: usize::try_from(self.entry_size).unwrap_or(usize::MAX) }
    }

    /// Reads the data of an event that stands at `offset` of the log.
    pub(crate) fn parse(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        let mut reader = Reader::new(data, offset, "the header in UEFI_GPT_DATA");
        let malformed = |offset, problem| LogError::Malformed { structure: "UEFI_GPT_DATA", offset, problem };
        let header_offset = reader.offset();
        let header: &[u8; 92] =
            reader.take(92)?.first_chunk().ok_or_else(|| malformed(header_offset, "the header is too short"))?;
        if !header.starts_with(b"EFI PART") {
            return Err(malformed(header_offset, "the header does not begin with \"EFI PART\""));
        }
        let [.., a, b, c, d, _, _, _, _] = header;
        let entry_size = u32::from_le_bytes([*a, *b, *c, *d]);
        if entry_size < 128 {
            return Err(malformed(header_offset, "the size of a partition entry is below 128"));
        }
        reader.enter("the partitions in UEFI_GPT_DATA");
        let count = reader.u64()?;
        let entries = reader.take(count.saturating_mul(entry_size.into()))?;
        reader.enter("UEFI_GPT_DATA");
        reader.finish()?;
        Ok(Self { header, entry_size, entries, count })
    }
}

/// A partition (UEFI 2.10, section 5.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GptPartition<'a> {
    /// What it is for.
    pub partition_type: Guid,
    /// Its own GUID.
    pub unique: Guid,
    /// The first block.
    pub first_block: u64,
    /// The last block.
    pub last_block: u64,
    /// Attributes.
    pub attributes: u64,
    /// Its name.
    pub name: Text<'a>,
}

/// The partition entries of a table, as bytes.
#[derive(Clone, Copy, Debug)]
pub struct GptPartitions<'a> {
    entries: &'a [u8],
    size: usize,
}

impl<'a> Iterator for GptPartitions<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (entry, rest) = self.entries.split_at_checked(self.size)?;
        self.entries = rest;
        Some(entry)
    }
}
