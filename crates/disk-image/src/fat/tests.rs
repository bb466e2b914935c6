//! File systems with loops and lies, each beside the one without.
#![allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failure of the test")]

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use nitrotpm_testkit::fat_volume;
use proptest::prelude::*;

use crate::{DiskError, LARGEST_FILE, Volume};

const LONG: &str = "EFI/Linux/a name that is longer than one entry (41).efi";

fn content() -> Vec<u8> {
    (0..5000_u32).map(|value| value.to_le_bytes()[0] ^ value.to_le_bytes()[1]).collect()
}

fn files(bits: usize) -> Vec<u8> {
    let content = content();
    fat_volume(
        bits,
        &[
            ("EFI/BOOT/BOOTX64.EFI", &content),
            (LONG, b"long"),
            ("loader/loader.conf", b"default x\n"),
            ("EMPTY", b""),
            ("EFI/BOOT/SECOND.EFI", &content[..600]),
        ],
    )
}

fn read(volume: &[u8], path: &str) -> Result<Option<Vec<u8>>, DiskError> {
    let length = u64::try_from(volume.len()).unwrap();
    Volume::open(&volume, 0..length)?.read(path)
}

#[track_caller]
fn refused(volume: &[u8], path: &str, code: &str, fragment: &str) {
    let error = read(volume, path).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(fragment), "{error}");
}

/// Where in a volume made by the testkit the allocation table, the root directory and the first cluster are.
struct Places {
    table: usize,
    root: usize,
    data: usize,
}

fn places(volume: &[u8]) -> Places {
    let short = |offset: usize| usize::from(u16::from_le_bytes([volume[offset], volume[offset + 1]]));
    let reserved = short(14);
    let size = if short(22) == 0 { short(36) } else { short(22) };
    let root = (reserved + 2 * size) * 512;
    Places { table: reserved * 512, root, data: root + short(17) * 32 }
}

/// The place of the directory entry with this short name.
fn entry(volume: &[u8], name: &[u8; 11]) -> usize {
    let root = places(volume).root;
    root + volume[root..].chunks(32).position(|entry| entry.starts_with(name)).unwrap() * 32
}

const BOOT: &[u8; 11] = b"BOOTX64 EFI";
const PATH: &str = "EFI/BOOT/BOOTX64.EFI";

/// The first cluster of a file.
fn first(volume: &[u8], name: &[u8; 11]) -> usize {
    let place = entry(volume, name) + 26;
    usize::from(u16::from_le_bytes([volume[place], volume[place + 1]]))
}

/// What follows a cluster, in FAT16.
fn set_next(volume: &mut [u8], cluster: usize, next: u16) {
    let place = places(volume).table + 2 * cluster;
    volume[place..][..2].copy_from_slice(&next.to_le_bytes());
}

#[test]
fn files_are_read_from_the_three_kinds() {
    for bits in [12, 16, 32] {
        let volume = files(bits);
        for path in [PATH, "efi/boot/bootx64.efi", "/EFI//BOOT/BOOTX64.EFI"] {
            assert_eq!(read(&volume, path).unwrap(), Some(content()), "{bits} {path}");
        }
        assert_eq!(read(&volume, LONG).unwrap().unwrap(), b"long");
        assert_eq!(read(&volume, &LONG.to_uppercase()).unwrap().unwrap(), b"long");
        assert_eq!(read(&volume, "EFI/LINUX/F~000009").unwrap(), None);
        assert_eq!(read(&volume, "empty").unwrap().unwrap(), b"");
        for missing in ["nothing", "EFI/nothing", "nothing/at/all"] {
            assert_eq!(read(&volume, missing).unwrap(), None);
        }
        refused(&volume, "EFI/BOOT", "disk.kind", "is a directory");
        refused(&volume, "EMPTY/x", "disk.kind", "is a file");
        let length = u64::try_from(volume.len()).unwrap();
        let bytes = &volume[..];
        let mut opened = Volume::open(&bytes, 0..length).unwrap();
        for _ in 0..2 {
            let names: Vec<String> =
                opened.list("EFI/BOOT").unwrap().unwrap().iter().map(|entry| entry.name().into()).collect();
            assert_eq!(names, ["BOOTX64.EFI", "SECOND.EFI"]);
            assert_eq!(opened.read(PATH).unwrap().unwrap(), content());
        }
    }
}

#[test]
fn a_short_name_may_say_that_it_is_in_lower_case() {
    let mut volume = files(16);
    let place = entry(&volume, BOOT);
    volume[place + 12] = 0x18;
    let length = u64::try_from(volume.len()).unwrap();
    let bytes = &volume[..];
    let names = Volume::open(&bytes, 0..length).unwrap().list("EFI/BOOT").unwrap().unwrap();
    assert_eq!(names[0].name(), "bootx64.efi");
}

#[test]
fn first_sectors_that_lie_are_refused() {
    for (offset, value, fragment) in [
        (510, &[0][..], "55 AA"),
        (11, &[0, 0], "sectors"),
        (11, &[1, 2], "sectors"),
        (13, &[0], "power of two"),
        (13, &[3], "power of two"),
        (14, &[0, 0], "no allocation table"),
        (16, &[0], "no allocation table"),
        (16, &[255], "no allocation table"),
        (22, &[1, 0], "too small"),
        (22, &[0xFF, 0xFF], "no room"),
        (32, &[0xFF, 0xFF, 0xFF, 0xFF], "cannot be counted"),
        (32, &[1, 0, 0, 0], "no room"),
    ] {
        let mut volume = files(16);
        volume[offset..][..value.len()].copy_from_slice(value);
        refused(&volume, PATH, "disk.not-fat", fragment);
    }
    let mut other = files(32);
    other[40] = 0x81;
    refused(&other, PATH, "disk.not-fat", "another allocation table");
    let volume = files(16);
    refused(&volume[..100], PATH, "disk.outside", "first sector");
    let bytes = &volume[..];
    assert_eq!(Volume::open(&bytes, 0..u64::MAX).unwrap_err().code(), "disk.outside");
    assert_eq!(Volume::open(&bytes, core::ops::Range { start: 512, end: 0 }).unwrap_err().code(), "disk.outside");
}

#[test]
fn chains_that_loop_or_leave_are_refused() {
    let twin = files(16);
    assert!(read(&twin, PATH).is_ok());
    let start = first(&twin, BOOT);
    for (next, fragment) in [
        (u16::try_from(start).unwrap(), "twice"),
        (0, "free cluster"),
        (1, "leaves the file system"),
        (0xFFF0, "leaves the file system"),
        (0xFFF7, "bad cluster"),
        (0xFFFF, "shorter than its size"),
    ] {
        let mut volume = twin.clone();
        set_next(&mut volume, start + 1, next);
        refused(&volume, PATH, "disk.fat", fragment);
    }
    // A first cluster that is none.
    for cluster in [[0, 0], [1, 0], [0xFF, 0xFF]] {
        let mut volume = twin.clone();
        let place = entry(&volume, BOOT) + 26;
        volume[place..][..2].copy_from_slice(&cluster);
        refused(&volume, PATH, "disk.fat", "leaves the file system");
    }
}

#[test]
fn a_directory_that_loops_is_refused() {
    let mut volume = files(16);
    let directory = first(&volume, b"BOOT       ");
    set_next(&mut volume, directory, u16::try_from(directory).unwrap());
    refused(&volume, PATH, "disk.fat", "loop");
    // A directory that is its own parent shares clusters with itself under another entry.
    let mut volume = files(16);
    let parent = first(&volume, b"EFI        ");
    let place = entry(&volume, b"BOOT       ") + 26;
    volume[place..][..2].copy_from_slice(&u16::try_from(parent).unwrap().to_le_bytes());
    refused(&volume, "EFI/BOOT/BOOT", "disk.fat", "another file's");
}

#[test]
fn files_that_share_clusters_are_refused() {
    let mut volume = files(16);
    let shared = first(&volume, BOOT) + 1;
    let place = entry(&volume, b"SECOND  EFI") + 26;
    volume[place..][..2].copy_from_slice(&u16::try_from(shared).unwrap().to_le_bytes());
    // Each alone is a file; together they are not.
    assert!(read(&volume, "EFI/BOOT/SECOND.EFI").is_ok());
    let length = u64::try_from(volume.len()).unwrap();
    let bytes = &volume[..];
    let mut opened = Volume::open(&bytes, 0..length).unwrap();
    assert!(opened.read(PATH).is_ok());
    assert_eq!(opened.read("EFI/BOOT/SECOND.EFI").unwrap_err().code(), "disk.fat");
}

#[test]
fn sizes_that_lie_are_refused() {
    let twin = files(16);
    let place = entry(&twin, BOOT) + 28;
    for (size, code, fragment) in [
        (5121_u32, "disk.fat", "shorter than its size"),
        (LARGEST_FILE, "disk.fat", "shorter than its size"),
        (LARGEST_FILE + 1, "disk.too-large", "268435456"),
        (u32::MAX, "disk.too-large", "are not read"),
    ] {
        let mut volume = twin.clone();
        volume[place..][..4].copy_from_slice(&size.to_le_bytes());
        refused(&volume, PATH, code, fragment);
    }
    let mut volume = twin.clone();
    volume[place..][..4].copy_from_slice(&5120_u32.to_le_bytes());
    assert_eq!(read(&volume, PATH).unwrap().unwrap().len(), 5120);
    let mut volume = twin;
    let place = entry(&volume, b"BOOT       ") + 28;
    volume[place] = 1;
    refused(&volume, PATH, "disk.fat", "has a size");
}

#[test]
fn one_name_stands_once() {
    let mut volume = files(16);
    let place = entry(&volume, b"SECOND  EFI");
    volume[place..][..11].copy_from_slice(BOOT);
    refused(&volume, PATH, "disk.two-of-one-name", "twice");
}

/// A long name that does not belong to its entry is no name; the short one is.
#[test]
fn broken_long_names_are_ignored() {
    for offset in [0, 13] {
        let mut volume = files(16);
        let short = entry(&volume, b"F~000001   ");
        assert!(read(&volume, LONG).unwrap().is_some());
        volume[short - 32 + offset] ^= 2;
        assert_eq!(read(&volume, LONG).unwrap(), None);
        assert_eq!(read(&volume, "EFI/F~000002/F~000001").unwrap().unwrap(), b"long");
    }
}

#[test]
fn a_cut_file_system_is_refused() {
    let volume = files(16);
    let places = places(&volume);
    for length in [0, 511, 512, places.table + 10, places.root, places.data, places.data + 512] {
        assert!(read(&volume[..length], PATH).is_err(), "{length}");
    }
}

/// mformat takes the rest of the disk for the partition, and such disks boot; what is beyond the partition is not read.
#[test]
fn a_file_system_may_claim_more_than_its_partition() {
    let mut volume = files(16);
    let end = volume.len() - 40 * 512;
    assert_eq!(read(&volume[..end], PATH).unwrap(), Some(content()));
    let place = entry(&volume, BOOT) + 26;
    let last = (end - places(&volume).data) / 512 + 1;
    volume[place..][..2].copy_from_slice(&u16::try_from(last).unwrap().to_le_bytes());
    (last..last + 10).for_each(|cluster| set_next(&mut volume, cluster, u16::try_from(cluster + 1).unwrap()));
    assert!(read(&volume, PATH).is_ok());
    refused(&volume[..end], PATH, "disk.fat", "beyond the partition");
}

proptest! {
    /// Any altered bytes of the structures end: refused, or read within bounds.
    #[test]
    fn altered_file_systems_end(bits in prop_oneof![Just(12_usize), Just(16), Just(32)], changes in proptest::collection::vec((0_usize..6000, any::<u8>()), 1..12)) {
        let mut volume = files(bits);
        let places = places(&volume);
        for (offset, value) in changes {
            // The first sector, the table, the directories.
            let place = match offset % 3 { 0 => offset / 3 % 64, 1 => places.table + offset % 96, _ => places.root + offset };
            if let Some(byte) = volume.get_mut(place) {
                *byte = value;
            }
        }
        for path in [PATH, LONG, "loader/loader.conf", "EFI/BOOT/SECOND.EFI"] {
            let _ = read(&volume, path);
        }
    }

    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 512..2048)) {
        let mut bytes = bytes;
        bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
        bytes[11..17].copy_from_slice(&[0, 2, 1, 1, 0, 1]);
        let _ = read(&bytes, PATH);
    }
}
