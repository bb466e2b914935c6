//! Partition tables that lie, each beside the one that does not.
#![allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failure of the test")]

use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;

use nitrotpm_testkit::{PARTITION_START, crc32, disk_image, fat_volume};
use proptest::prelude::*;

use crate::gpt::crc32 as own_crc32;
use crate::{Disk, DiskError, EFI_SYSTEM_PARTITION, Gpt, ReadFailure};

fn disk() -> Vec<u8> {
    disk_image(&fat_volume(12, &[]))
}

/// Bytes of the primary header and of its entries replaced, the CRCs right again.
fn with(changes: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = disk();
    for (offset, value) in changes {
        bytes[*offset..][..value.len()].copy_from_slice(value);
    }
    let entries = crc32(&bytes[1024..][..128 * 128]);
    if !changes.iter().any(|(offset, _)| *offset == 512 + 88) {
        bytes[512 + 88..][..4].copy_from_slice(&entries.to_le_bytes());
    }
    bytes[512 + 16..][..4].fill(0);
    let header = crc32(&bytes[512..][..92]);
    bytes[512 + 16..][..4].copy_from_slice(&header.to_le_bytes());
    bytes
}

fn read(bytes: &[u8]) -> Result<Gpt, DiskError> {
    Gpt::read(&bytes)
}

#[track_caller]
fn refused(bytes: &[u8], code: &str, fragment: &str) {
    let error = read(bytes).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(fragment), "{error}");
}

#[test]
fn a_table_and_what_firmware_measures_of_it() {
    let bytes = disk();
    let gpt = read(&bytes).unwrap();
    let partition = gpt.system_partitions().next().unwrap();
    assert_eq!((partition.number, partition.kind, &*partition.name), (1, EFI_SYSTEM_PARTITION, "ESP"));
    let start = u64::try_from(PARTITION_START).unwrap();
    assert_eq!(partition.bytes().start, start);
    assert_eq!(gpt.backup(), Ok(()));
    let expected = [&bytes[512..604], &1_u64.to_le_bytes(), &bytes[1024..1152]].concat();
    assert_eq!(gpt.event_data(), expected);
}

#[test]
fn what_is_no_table_is_not_one() {
    refused(&[], "disk.not-gpt", "no GUID partition table");
    refused(&vec![0; 1 << 20], "disk.not-gpt", "qemu-img convert");
    refused(b"QFI\xfb", "disk.not-gpt", "raw");
    let mut bytes = disk();
    bytes[512] = 0;
    refused(&bytes, "disk.not-gpt", "EFI PART");
}

/// A disk that cannot be read is not one without a table.
#[test]
fn a_device_that_fails_is_said_to_fail() {
    struct Broken;
    impl Disk for Broken {
        fn size(&self) -> u64 {
            1 << 20
        }

        fn read_at(&self, _offset: u64, _bytes: &mut [u8]) -> Result<(), ReadFailure> {
            Err(ReadFailure("input/output error".into()))
        }
    }
    let error = Gpt::read(&Broken).unwrap_err();
    assert_eq!(error.code(), "disk.read");
    assert!(error.to_string().contains("input/output error"), "{error}");
}

#[test]
fn firmware_wants_a_protective_mbr() {
    for (offset, value) in [(450, 0x83), (446, 0x80), (454, 2)] {
        let mut bytes = disk();
        bytes[offset] = value;
        refused(&bytes, "disk.gpt-header", "protective MBR");
    }
}

#[test]
fn headers_that_lie_are_refused() {
    assert!(read(&with(&[])).is_ok());
    for (offset, value, fragment) in [
        (12, &91_u32.to_le_bytes()[..], "its size"),
        (12, &u32::MAX.to_le_bytes(), "its size"),
        (24, &2_u64.to_le_bytes(), "in another block"),
        (40, &1_u64.to_le_bytes(), "usable"),
        (40, &u64::MAX.to_le_bytes(), "usable"),
        (48, &(u64::MAX - 1).to_le_bytes(), "usable"),
        (72, &0_u64.to_le_bytes(), "outside the disk"),
        (72, &u64::MAX.to_le_bytes(), "outside the disk"),
        (80, &u32::MAX.to_le_bytes(), "more than 1 MiB"),
        (84, &0_u32.to_le_bytes(), "power of two"),
        (84, &127_u32.to_le_bytes(), "power of two"),
        (84, &(1_u32 << 31).to_le_bytes(), "more than 1 MiB"),
        (88, &[0, 0, 0, 0], "CRC of its entries"),
    ] {
        refused(&with(&[(512 + offset, value)]), "disk.gpt-header", fragment);
    }
    let mut bytes = disk();
    bytes[512 + 60] ^= 1;
    refused(&bytes, "disk.gpt-header", "its CRC");
    // The entries end with the disk.
    let bytes = disk();
    assert_eq!(read(&bytes[..4096]).unwrap_err().code(), "disk.outside");
}

#[test]
fn partitions_that_lie_are_refused() {
    let place = |first: u64, last: u64| [first.to_le_bytes(), last.to_le_bytes()].concat();
    for (first, last, fragment) in
        [(60, 50, "ends before"), (33, 50, "usable"), (40, u64::MAX, "usable"), (u64::MAX, u64::MAX, "usable")]
    {
        refused(&with(&[(1024 + 32, &place(first, last))]), "disk.partition", fragment);
    }
    let second = |unique: u8, first: u64| {
        let mut entry = vec![0x11; 16];
        entry.extend_from_slice(&[unique; 16]);
        entry.extend_from_slice(&place(first, first));
        with(&[(1024 + 32, &place(40, 50)), (1024 + 128, &entry)])
    };
    assert_eq!(read(&second(1, 51)).unwrap().partitions().len(), 2);
    refused(&second(1, 50), "disk.partition", "overlaps");
    refused(&second(0x66, 51), "disk.partition", "GUID");
}

#[test]
fn a_backup_that_is_not_right_is_said_and_changes_nothing() {
    let bytes = disk();
    let event = read(&bytes).unwrap().event_data();
    let mut longer = bytes.clone();
    longer.extend_from_slice(&[0; 4096]);
    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() = 1;
    let header = damaged.len() - 512;
    damaged[header] = 0;
    for (changed, fragment) in [(longer, "last block"), (damaged, "damaged")] {
        let gpt = read(&changed).unwrap();
        assert!(gpt.backup().unwrap_err().contains(fragment));
        assert_eq!(gpt.event_data(), event);
    }
    // Another partition in the primary alone.
    let other = with(&[(1024 + 16, &[1; 16])]);
    assert!(read(&other).unwrap().backup().unwrap_err().contains("other partitions"));
}

proptest! {
    #[test]
    fn two_ways_to_a_crc(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(own_crc32(&bytes), crc32(&bytes));
    }

    /// Whatever is altered, with right CRCs, is refused or a table that can be measured.
    #[test]
    fn altered_tables_end(changes in proptest::collection::vec((512_usize..2048, any::<u8>()), 1..6)) {
        let bytes: Vec<_> = changes.iter().map(|(offset, value)| (*offset, core::slice::from_ref(value))).collect();
        if let Ok(gpt) = read(&with(&bytes)) {
            prop_assert_eq!(gpt.event_data().len(), 100 + 128 * gpt.partitions().len());
        }
    }
}
