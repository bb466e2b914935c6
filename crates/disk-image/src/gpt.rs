//! The GUID partition table (UEFI Specification 2.10, section 5.3), and what firmware measures of it.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use uguid::{Guid, guid};

use crate::bytes::{array, u32_at, u64_at};
use crate::disk::Window;
use crate::{Disk, DiskError};

/// The type of the partition that firmware boots from.
pub const EFI_SYSTEM_PARTITION: Guid = guid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// The type of the partition with more boot loader entries (Boot Loader Specification, `XBOOTLDR`).
pub const EXTENDED_BOOT_LOADER: Guid = guid!("bc13c2ff-59e6-4262-a352-b275fd6f7172");
/// No more bytes of partition entries are read: 64 times the usual 16 KiB.
pub const LARGEST_PARTITION_TABLE: usize = 1 << 20;

/// The header's fields that the specification defines; a firmware's measurement has exactly these.
const HEADER: usize = 92;
const SIGNATURE: &[u8; 8] = b"EFI PART";
const STRUCTURE: &str = "the partition table";

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// Its type.
    pub kind: Guid,
    /// Its own GUID.
    pub unique: Guid,
    /// Its name; what is not UTF-16 in it is replaced.
    pub name: String,
    first: u64,
    last: u64,
    block: u64,
    entry: Vec<u8>,
}

impl Partition {
    /// The bytes of the disk that it has.
    #[must_use]
    pub const fn bytes(&self) -> Range<u64> {
        // Within u64: the table's blocks were checked against it.
        self.first.saturating_mul(self.block)..self.last.saturating_add(1).saturating_mul(self.block)
    }
}

/// A header whose own checks hold, and its entries.
struct Table {
    header: [u8; HEADER],
    alternate: u64,
    disk: Guid,
    usable: Range<u64>,
    entry_size: usize,
    entries: Vec<u8>,
}

/// A partition table whose primary header and entries are whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpt {
    header: [u8; HEADER],
    partitions: Vec<Partition>,
    backup: Result<(), &'static str>,
}

impl Gpt {
    /// Reads the primary header and its entries, and compares the backup with them. Blocks of 512 and 4,096 bytes are
    /// tried.
    ///
    /// # Errors
    /// [`DiskError::NotGpt`], [`DiskError::GptHeader`] for a signature, size, place or CRC that does not fit, and
    /// [`DiskError::Partition`] for partitions that overlap, lie outside the usable blocks or share a GUID. Firmware would
    /// write a damaged primary table anew from the backup; that is not predicted. A damaged backup is no error, for
    /// firmware does not measure it: see [`Gpt::backup`].
    pub fn read(disk: &impl Disk) -> Result<Self, DiskError> {
        let whole = Window::new(disk, 0..disk.size(), STRUCTURE)?;
        for block in [512_u64, 4096] {
            let mut signature = [0; 8];
            match whole.read(block, &mut signature, STRUCTURE) {
                Ok(()) if signature == *SIGNATURE => {
                    check_protective_mbr(&whole)?;
                    return Self::with_blocks(&whole, block);
                }
                // A device that fails says nothing about its table; one that is too short has none.
                Err(error @ DiskError::Read { .. }) => return Err(error),
                _ => {}
            }
        }
        Err(DiskError::NotGpt)
    }

    fn with_blocks<D: Disk>(whole: &Window<'_, D>, block: u64) -> Result<Self, DiskError> {
        let table = read_table(whole, block, 1)?;
        let mut partitions: Vec<Partition> = Vec::new();
        for (number, entry) in (1..).zip(table.entries.chunks_exact(table.entry_size)) {
            let kind = Guid::from_bytes(array(entry, 0));
            if kind == Guid::ZERO {
                continue;
            }
            let units = entry.get(56..128).unwrap_or_default().chunks_exact(2);
            let units = units.map(|unit| u16::from_le_bytes(array(unit, 0))).take_while(|unit| *unit != 0);
            let partition = Partition {
                number,
                kind,
                unique: Guid::from_bytes(array(entry, 16)),
                name: char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect(),
                first: u64_at(entry, 32),
                last: u64_at(entry, 40),
                block,
                entry: entry.to_vec(),
            };
            check(&partition, &table.usable).map_err(|what| DiskError::Partition { number, what })?;
            partitions.push(partition);
        }
        check_together(&partitions)?;
        let backup = compare_backup(whole, block, &table);
        Ok(Self { header: table.header, partitions, backup })
    }

    /// The partitions in the table's order.
    #[must_use]
    pub fn partitions(&self) -> &[Partition] {
        &self.partitions
    }

    /// The EFI system partitions.
    pub fn system_partitions(&self) -> impl Iterator<Item = &Partition> + '_ {
        self.partitions.iter().filter(|partition| partition.kind == EFI_SYSTEM_PARTITION)
    }

    /// What is wrong with the backup table, if anything: firmware, or the first tool that grows a partition, writes it
    /// anew. A disk that is larger than its image has its backup in the middle.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub const fn backup(&self) -> Result<(), &'static str> {
        self.backup
    }

    /// The data of the `EV_EFI_GPT_EVENT` that firmware measures into PCR 5: `UEFI_GPT_DATA`, the primary header, the
    /// number of partitions (u64) and their entries (TCG PC Client Platform Firmware Profile 1.06, section 10.4.5).
    #[must_use]
    pub fn event_data(&self) -> Vec<u8> {
        let mut data = self.header.to_vec();
        data.extend_from_slice(&u64::try_from(self.partitions.len()).unwrap_or(u64::MAX).to_le_bytes());
        self.partitions.iter().for_each(|partition| data.extend_from_slice(&partition.entry));
        data
    }
}

/// Firmware looks for a partition table only behind a protective MBR (UEFI Specification 2.10, section 5.2.3): an entry of
/// type 0xEE that begins at block 1, not marked as bootable (EDK II, "PartitionInstallGptChildHandles").
fn check_protective_mbr<D: Disk>(whole: &Window<'_, D>) -> Result<(), DiskError> {
    let mut bytes = [0; 512];
    whole.read(0, &mut bytes, "the protective MBR")?;
    let protective = |start: usize| {
        let entry: [u8; 16] = array(&bytes, start);
        u32_at(&entry, 0) & 0xFF == 0 && u32_at(&entry, 4) & 0xFF == 0xEE && u32_at(&entry, 8) == 1
    };
    if [446, 462, 478, 494].into_iter().any(protective) {
        return Ok(());
    }
    Err(DiskError::GptHeader { offset: 0, what: "no protective MBR stands before it, so firmware does not look at it" })
}

/// Reads the table whose header is in block `place`, and holds it against its own checks.
fn read_table<D: Disk>(whole: &Window<'_, D>, block: u64, place: u64) -> Result<Table, DiskError> {
    let offset = place.saturating_mul(block);
    let wrong = |what| DiskError::GptHeader { offset, what };
    let mut bytes = vec![0; usize::try_from(block).unwrap_or(HEADER)];
    whole.read(offset, &mut bytes, STRUCTURE)?;
    if array(&bytes, 0) != *SIGNATURE {
        return Err(wrong("it does not begin with \"EFI PART\""));
    }
    let size = usize::try_from(u32_at(&bytes, 12)).unwrap_or(usize::MAX);
    let Some(sized) = bytes.get(..size).filter(|_| size >= HEADER) else {
        return Err(wrong("its size is below 92 bytes or beyond its block"));
    };
    let mut unsigned = sized.to_vec();
    unsigned.iter_mut().skip(16).take(4).for_each(|byte| *byte = 0);
    if crc32(&unsigned) != u32_at(&bytes, 16) {
        return Err(wrong("its CRC does not fit"));
    }
    if u64_at(&bytes, 24) != place {
        return Err(wrong("it says that it is in another block"));
    }
    let last_block = whole.length().checked_div(block).unwrap_or(0);
    let usable = u64_at(&bytes, 40)..u64_at(&bytes, 48).saturating_add(1);
    if usable.start < 2 || usable.start > usable.end || usable.end.checked_mul(block).is_none() {
        return Err(wrong("its usable blocks make no range"));
    }
    let (count, entry_size) = (u32_at(&bytes, 80), u32_at(&bytes, 84));
    if entry_size < 128 || !entry_size.is_power_of_two() {
        return Err(wrong("the size of its entries is not 128 times a power of two"));
    }
    let length = u64::from(count).saturating_mul(u64::from(entry_size));
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= LARGEST_PARTITION_TABLE) else {
        return Err(wrong("it has more than 1 MiB of entries"));
    };
    let first_entry = u64_at(&bytes, 72);
    if first_entry < 2 || first_entry >= last_block {
        return Err(wrong("its entries lie outside the disk"));
    }
    let mut entries = vec![0; length];
    whole.read(first_entry.saturating_mul(block), &mut entries, STRUCTURE)?;
    if crc32(&entries) != u32_at(&bytes, 88) {
        return Err(wrong("the CRC of its entries does not fit"));
    }
    Ok(Table {
        header: array(&bytes, 0),
        alternate: u64_at(&bytes, 32),
        disk: Guid::from_bytes(array(&bytes, 56)),
        usable,
        entry_size: usize::try_from(entry_size).unwrap_or(128),
        entries,
    })
}

fn check(partition: &Partition, usable: &Range<u64>) -> Result<(), &'static str> {
    if partition.first > partition.last {
        return Err("it ends before it begins");
    }
    if !usable.contains(&partition.first) || !usable.contains(&partition.last) {
        return Err("it lies outside the blocks that the table calls usable");
    }
    Ok(())
}

fn check_together(partitions: &[Partition]) -> Result<(), DiskError> {
    let wrong = |partition: &Partition, what| Err(DiskError::Partition { number: partition.number, what });
    let mut sorted: Vec<&Partition> = partitions.iter().collect();
    sorted.sort_by_key(|partition| partition.first);
    for (one, two) in sorted.iter().zip(sorted.iter().skip(1)) {
        if two.first <= one.last {
            return wrong(two, "it overlaps another partition");
        }
    }
    sorted.sort_by_key(|partition| partition.unique.to_bytes());
    for (one, two) in sorted.iter().zip(sorted.iter().skip(1)) {
        if one.unique == two.unique {
            return wrong(two, "its GUID is that of another partition");
        }
    }
    Ok(())
}

/// What is wrong with the backup.
fn compare_backup<D: Disk>(whole: &Window<'_, D>, block: u64, primary: &Table) -> Result<(), &'static str> {
    let last_block = whole.length().checked_div(block).unwrap_or(0).saturating_sub(1);
    if primary.alternate != last_block {
        return Err("the backup table is not in the disk's last block");
    }
    match read_table(whole, block, primary.alternate) {
        Err(_) => Err("the backup table is damaged"),
        Ok(backup) if backup.disk != primary.disk || backup.entries != primary.entries => {
            Err("the backup table has other partitions")
        }
        Ok(_) => Ok(()),
    }
}

/// CRC-32 as in ISO 3309.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
