//! Disk images that no machine boots: a GUID partition table, and a FAT file system with the files that a test gives.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "for tests only: what overflows or is out of range fails a test"
)]

const SECTOR: usize = 512;
/// Where the partition of [`disk_image`] begins, in bytes.
pub const PARTITION_START: usize = 40 * SECTOR;

fn u16_of(value: usize) -> [u8; 2] {
    u16::try_from(value).expect("small numbers").to_le_bytes()
}

fn u32_of(value: usize) -> [u8; 4] {
    u32::try_from(value).expect("small numbers").to_le_bytes()
}

/// A FAT file system of 12, 16 or 32 bits with these files, one sector a cluster. Directories of the paths are made;
/// names that do not fit into 8.3 get a long name.
#[must_use]
pub fn fat_volume(bits: usize, files: &[(&str, &[u8])]) -> Vec<u8> {
    let used: usize = files.iter().map(|(_, content)| content.len().div_ceil(SECTOR) + 2).sum();
    // The number of clusters tells FAT12 from FAT16.
    let clusters = used + if bits == 12 { 100 } else { 4200 };
    let (reserved, root_entries) = if bits == 32 { (32, 0) } else { (1, 64) };
    let table = ((clusters + 2) * bits).div_ceil(8).div_ceil(SECTOR);
    let root_sectors = root_entries * 32 / SECTOR;
    let sectors = reserved + 2 * table + root_sectors + clusters;

    let mut volume = Fat { next: vec![0, 0], data: Vec::new(), short: 0 };
    let mut root = volume.directory("", files);
    let root_cluster = if bits == 32 { volume.store(&root) } else { 0 };
    assert!(volume.next.len() <= clusters + 2, "the volume is full");

    let mut bytes = vec![0; sectors * SECTOR];
    let mut put = |offset: usize, value: &[u8]| bytes[offset..][..value.len()].copy_from_slice(value);
    put(0, &[0xEB, 0x58, 0x90]);
    put(11, &u16_of(SECTOR));
    put(13, &[1]);
    put(14, &u16_of(reserved));
    put(16, &[2]);
    put(17, &u16_of(root_entries));
    put(32, &u32_of(sectors));
    if bits == 32 {
        put(36, &u32_of(table));
        put(44, &u32_of(root_cluster));
    } else {
        put(22, &u16_of(table));
    }
    put(510, &[0x55, 0xAA]);
    let entries = pack(bits, &volume.next);
    put(reserved * SECTOR, &entries);
    put((reserved + table) * SECTOR, &entries);
    if bits != 32 {
        root.truncate(root_entries * 32);
        put((reserved + 2 * table) * SECTOR, &root);
    }
    put((reserved + 2 * table + root_sectors) * SECTOR, &volume.data);
    bytes
}

/// The allocation table's bytes.
fn pack(bits: usize, next: &[usize]) -> Vec<u8> {
    let mut bytes = vec![0; (next.len() * bits).div_ceil(8) + 1];
    for (cluster, value) in next.iter().enumerate() {
        for bit in 0..bits {
            let place = cluster * bits + bit;
            bytes[place / 8] |= u8::from(value >> bit & 1 == 1) << (place % 8);
        }
    }
    bytes
}

/// A file system as it grows.
struct Fat {
    next: Vec<usize>,
    data: Vec<u8>,
    short: usize,
}

impl Fat {
    /// Stores bytes in new clusters and gives the first one.
    fn store(&mut self, bytes: &[u8]) -> usize {
        let first = self.next.len();
        let count = bytes.len().div_ceil(SECTOR).max(1);
        self.next.extend((1..count).map(|index| first + index));
        self.next.push(0x0FFF_FFFF);
        self.data.extend_from_slice(bytes);
        self.data.resize((self.next.len() - 2) * SECTOR, 0);
        first
    }

    /// The bytes of the directory `path` with those files that are below it.
    fn directory(&mut self, path: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut entries = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for (name, content) in files {
            let Some(below) = name.strip_prefix(path) else { continue };
            match below.split_once('/') {
                None => {
                    let first = if content.is_empty() { 0 } else { self.store(content) };
                    self.entry(&mut entries, below, 0x20, first, content.len());
                }
                Some((child, _)) if !seen.contains(&child) => {
                    seen.push(child);
                    let inside = self.directory(&format!("{path}{child}/"), files);
                    let dots = [short_entry(b".          ", 0x10, 0, 0), short_entry(b"..         ", 0x10, 0, 0)];
                    let first = self.store(&[dots.concat(), inside].concat());
                    self.entry(&mut entries, child, 0x10, first, 0);
                }
                Some(_) => {}
            }
        }
        entries
    }

    fn entry(&mut self, entries: &mut Vec<u8>, name: &str, attributes: u8, first: usize, size: usize) {
        let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let mut short = *b"           ";
        if base.len() <= 8 && extension.len() <= 3 && plain(base) && plain(extension) {
            short[..base.len()].copy_from_slice(base.as_bytes());
            short[8..][..extension.len()].copy_from_slice(extension.as_bytes());
        } else {
            self.short += 1;
            short[..8].copy_from_slice(format!("F~{:06}", self.short).as_bytes());
            let checksum = short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
            let mut units: Vec<u16> = name.encode_utf16().collect();
            if !units.len().is_multiple_of(13) {
                units.push(0);
            }
            units.resize(units.len().next_multiple_of(13), 0xFFFF);
            let parts: Vec<&[u16]> = units.chunks(13).collect();
            for (index, part) in parts.iter().enumerate().rev() {
                let last = if index + 1 == parts.len() { 0x40 } else { 0 };
                let mut entry = [0; 32];
                entry[0] = u8::try_from(index + 1).expect("short names") | last;
                entry[11] = 0x0F;
                entry[13] = checksum;
                let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain((28..32).step_by(2));
                places.zip(*part).for_each(|(place, unit)| entry[place..][..2].copy_from_slice(&unit.to_le_bytes()));
                entries.extend_from_slice(&entry);
            }
        }
        entries.extend_from_slice(&short_entry(&short, attributes, first, size));
    }
}

fn short_entry(name: &[u8; 11], attributes: u8, first: usize, size: usize) -> [u8; 32] {
    let mut entry = [0; 32];
    entry[..11].copy_from_slice(name);
    entry[11] = attributes;
    let first = u32_of(first);
    entry[20..22].copy_from_slice(&first[2..]);
    entry[26..28].copy_from_slice(&first[..2]);
    entry[28..].copy_from_slice(&u32_of(size));
    entry
}

/// A disk with a GUID partition table and one EFI system partition of these bytes.
#[must_use]
pub fn disk_image(volume: &[u8]) -> Vec<u8> {
    assert_eq!(volume.len() % SECTOR, 0, "whole sectors");
    let first = PARTITION_START / SECTOR;
    let last = first + volume.len() / SECTOR - 1;
    let end = last + 34;
    let mut bytes = vec![0; (end + 1) * SECTOR];
    bytes[450] = 0xEE;
    bytes[454..458].copy_from_slice(&u32_of(1));
    bytes[458..462].copy_from_slice(&u32_of(end));
    bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
    bytes[PARTITION_START..][..volume.len()].copy_from_slice(volume);

    let mut entries = vec![0; 128 * 128];
    let long = |value: usize| u64::try_from(value).expect("small numbers").to_le_bytes();
    // C12A7328-F81F-11D2-BA4B-00A0C93EC93B
    entries[..16].copy_from_slice(&[
        0x28, 0x73, 0x2A, 0xC1, 0x1F, 0xF8, 0xD2, 0x11, 0xBA, 0x4B, 0x00, 0xA0, 0xC9, 0x3E, 0xC9, 0x3B,
    ]);
    entries[16..32].copy_from_slice(&[0x66; 16]);
    entries[32..40].copy_from_slice(&long(first));
    entries[40..48].copy_from_slice(&long(last));
    entries[56..62].copy_from_slice(b"E\0S\0P\0");
    bytes[2 * SECTOR..][..entries.len()].copy_from_slice(&entries);
    bytes[(end - 32) * SECTOR..][..entries.len()].copy_from_slice(&entries);

    for (here, other, table) in [(1, end, 2), (end, 1, end - 32)] {
        let mut header = [0; 92];
        header[..8].copy_from_slice(b"EFI PART");
        header[10] = 1;
        header[12] = 92;
        header[24..32].copy_from_slice(&long(here));
        header[32..40].copy_from_slice(&long(other));
        header[40..48].copy_from_slice(&long(34));
        header[48..56].copy_from_slice(&long(last));
        header[56..72].copy_from_slice(&[0x77; 16]);
        header[72..80].copy_from_slice(&long(table));
        header[80] = 128;
        header[84] = 128;
        header[88..].copy_from_slice(&crc32(&entries).to_le_bytes());
        let crc = crc32(&header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        bytes[here * SECTOR..][..92].copy_from_slice(&header);
    }
    bytes
}

/// CRC-32 as in ISO 3309, by a table.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    let entry =
        |index: u32| (0..8).fold(index, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 });
    let table: Vec<u32> = (0..256).map(entry).collect();
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        table[usize::try_from((crc ^ u32::from(*byte)) & 0xFF).expect("a byte")] ^ (crc >> 8)
    })
}
