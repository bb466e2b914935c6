//! Disks that boot in different ways, from the table to the PCRs.

use nitrotpm_pcr::{Bank, PcrIndex};
use nitrotpm_predict::{Boot, PeImage, Prediction};
use nitrotpm_testkit::{disk_image, fat_volume, pe_image, unified_kernel_image};
use nitrotpm_uefi::SecureBootVariables;

use crate::{BootFiles, BootFilesError, Machine, find};

const BOOT: &str = "EFI/BOOT/BOOTX64.EFI";

fn disk(files: &[(&str, &[u8])]) -> Vec<u8> {
    disk_image(&fat_volume(16, files))
}

fn found(files: &[(&str, &[u8])]) -> Result<BootFiles, BootFilesError> {
    let disk = disk(files);
    find(&disk.as_slice(), None)
}

fn predict(files: &BootFiles) -> Prediction {
    let variables = SecureBootVariables::default();
    files.parts().unwrap().boot(&variables).predict(&[Bank::Sha384]).unwrap()
}

fn value(prediction: &Prediction, pcr: u8) -> Option<String> {
    prediction.pcrs().get(Bank::Sha384, PcrIndex::new(pcr).unwrap()).map(ToString::to_string)
}

#[track_caller]
fn reason(prediction: &Prediction, pcr: u8) -> String {
    let reason = prediction.unpredictable().find(|(unknown, _)| unknown.get() == pcr);
    reason.map(|(_, reason)| reason.to_owned()).unwrap_or_else(|| panic!("PCR {pcr} has a value"))
}

fn uki() -> Vec<u8> {
    unified_kernel_image("252.39", "root=/dev/vda2 ro")
}

fn systemd_boot(version: &str) -> Vec<u8> {
    pe_image(&[(".text", b"menu"), (".sdmagic", format!("#### LoaderInfo: systemd-boot {version} ####").as_bytes())])
}

fn kernel() -> Vec<u8> {
    let mut kernel = pe_image(&[(".text", &[0; 600])]);
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x20E..0x210].copy_from_slice(&0x400_u16.to_le_bytes());
    kernel[0x600..0x605].copy_from_slice(b"6.1.0");
    kernel
}

#[test]
fn a_unified_image_alone_is_the_same_as_given_by_name() {
    let image = uki();
    let found = found(&[(BOOT, &image)]).unwrap();
    let prediction = predict(&found);
    let variables = SecureBootVariables::default();
    let images = [PeImage::parse("uki", &image).unwrap()];
    let alone = Boot::new(&variables, &images).predict(&[Bank::Sha384]).unwrap();
    for pcr in [2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14] {
        assert_eq!(value(&prediction, pcr), value(&alone, pcr), "PCR {pcr}");
    }
    // Only the disk tells the partition table.
    assert!(value(&prediction, 5).is_some());
    assert!(reason(&alone, 5).contains("partition table"));
    let events: Vec<_> = prediction.events().iter().filter(|event| event.pcr.get() == 5).collect();
    let types: Vec<_> = events.iter().map(|event| event.event_type.to_string()).collect();
    assert_eq!(types, ["EV_SEPARATOR", "EV_EFI_GPT_EVENT", "EV_EFI_ACTION", "EV_EFI_ACTION"]);
}

#[test]
fn files_beside_the_image_are_found() {
    let image = uki();
    let files = found(&[
        (BOOT, &image),
        ("EFI/BOOT/BOOTX64.EFI.extra.d/a.cred", b"1"),
        ("EFI/BOOT/BOOTX64.EFI.extra.d/x.raw", b"2"),
        ("EFI/BOOT/BOOTX64.EFI.extra.d/notes.txt", b"3"),
        ("loader/credentials/g.cred", b"4"),
    ])
    .unwrap();
    assert_eq!(files.credentials, [("a.cred".to_owned(), b"1".to_vec())]);
    assert_eq!(files.system_extensions, [("x.raw".to_owned(), b"2".to_vec())]);
    assert_eq!(files.global_credentials, [("g.cred".to_owned(), b"4".to_vec())]);
    let plain = predict(&found(&[(BOOT, &image)]).unwrap());
    assert_ne!(value(&predict(&files), 12), value(&plain, 12));
    assert_ne!(value(&predict(&files), 13), value(&plain, 13));
    let addons = found(&[(BOOT, &image), ("loader/addons/a.addon.efi", b"x")]).unwrap();
    assert!(reason(&predict(&addons), 12).contains("loader/addons"));
}

#[test]
fn systemd_boot_starts_the_newest_image() {
    let loader = systemd_boot("252.39");
    let (old, new) = (unified_kernel_image("252", "old"), unified_kernel_image("252", "new"));
    let files = [(BOOT, &loader[..]), ("EFI/Linux/web-9.efi", &old), ("EFI/Linux/web-10.efi", &new)];
    let menu = found(&files).unwrap();
    assert_eq!(menu.images[1].0, "EFI/Linux/web-10.efi");
    let prediction = predict(&menu);
    assert!(prediction.events().iter().any(|event| event.cause.contains("systemd-boot passes \"new\"")));
    assert!(value(&prediction, 5).is_some());
    let pinned = [&files[..], &[("loader/loader.conf", b"default web-9.efi\n")]].concat();
    assert_eq!(found(&pinned).unwrap().images[1].0, "EFI/Linux/web-9.efi");
    // 257 measures its configuration, and 252 does not.
    let loader = systemd_boot("257.13");
    let newer = [&pinned[1..], &[(BOOT, &loader[..])]].concat();
    let prediction = predict(&found(&newer).unwrap());
    assert!(prediction.events().iter().any(|event| event.cause.contains("loader.conf")));
    let loader = systemd_boot("260");
    assert_eq!(found(&[&pinned[1..], &[(BOOT, &loader[..])]].concat()).unwrap_err().code(), "boot.menu");
}

#[test]
fn an_entry_gives_a_kernel_its_command_line_and_initrds() {
    let (loader, kernel) = (systemd_boot("252.39"), kernel());
    let entry = b"linux /vmlinuz\ninitrd /a.img\ninitrd /b.img\noptions root=/dev/vda2 ro\n";
    let files = [
        (BOOT, &loader[..]),
        ("VMLINUZ", &kernel),
        ("a.img", b"first"),
        ("b.img", b"second"),
        ("loader/entries/e.conf", entry),
    ];
    let prediction = predict(&found(&files).unwrap());
    let events: Vec<_> = prediction
        .events()
        .iter()
        .map(|event| (event.pcr.get(), event.cause.as_str()))
        .filter(|(pcr, _)| *pcr > 8)
        .collect();
    let line = "initrd=\\a.img initrd=\\b.img root=/dev/vda2 ro";
    assert_eq!(
        events,
        [
            (12, format!("systemd-boot passes \"{line}\"").as_str()),
            (9, format!("kernel command line \"{line}\"").as_str()),
            (9, "initrd of the boot entry, 11 bytes"),
        ]
    );
    let initrd = prediction.events().iter().find(|event| event.cause.starts_with("initrd of")).unwrap();
    let expected = nitrotpm_digest_lanes::hash(Bank::Sha384, &[b"firstsecond"]);
    assert_eq!(initrd.digests, [expected]);
    assert_eq!(value(&prediction, 11), Some("00".repeat(48)));
    // 257 aligns the first; how it treats the last was read in 257.13.
    for (version, known) in [("257.13", true), ("257.1", false), ("255", false)] {
        let loader = systemd_boot(version);
        let prediction = predict(&found(&[&files[1..], &[(BOOT, &loader[..])]].concat()).unwrap());
        assert_eq!(value(&prediction, 9).is_some(), known, "{version}");
        if known {
            let expected = nitrotpm_digest_lanes::hash(Bank::Sha384, &[b"first\0\0\0second"]);
            assert!(prediction.events().iter().any(|event| event.digests == [expected]));
        }
    }
    assert_eq!(found(&files[..2]).unwrap_err().code(), "boot.menu");
    let without_initrd = [&files[..3], &files[4..]].concat();
    assert_eq!(found(&without_initrd).unwrap_err().code(), "boot.missing");
}

#[test]
fn keys_and_drivers_of_systemd_boot_are_said() {
    let (loader, image) = (systemd_boot("252.39"), uki());
    let files = [(BOOT, &loader[..]), ("EFI/Linux/web.efi", &image), ("loader/keys/auto/PK.auth", b"x")];
    let menu = found(&files).unwrap();
    assert!(reason(&predict(&menu), 7).contains("enroll"));
    let off = [&files[..], &[("loader/loader.conf", b"secure-boot-enroll off\n")]].concat();
    assert!(value(&predict(&found(&off).unwrap()), 7).is_some());
    let drivers = [&files[..2], &[("EFI/systemd/drivers/x.efi", b"x")]].concat();
    assert!(reason(&predict(&found(&drivers).unwrap()), 4).contains("drivers"));
}

#[test]
fn shim_and_grub_are_recognised_and_not_guessed() {
    let shim = pe_image(&[(".sbat", b"sbat,1\nshim,4,UEFI shim\n")]);
    let grub = pe_image(&[(".sbat", b"sbat,1\ngrub,4,GRUB2\n"), ("mods", b"x")]);
    let files = [(BOOT, &shim[..]), ("EFI/BOOT/grubx64.efi", &grub)];
    let menu = found(&files).unwrap();
    assert_eq!(menu.images.len(), 2);
    let prediction = predict(&menu);
    for pcr in [4, 5, 8, 9] {
        assert!(reason(&prediction, pcr).contains("configuration"), "PCR {pcr}");
    }
    let fallback = [&files[..], &[("EFI/BOOT/fbx64.efi", &shim[..])]].concat();
    assert!(reason(&predict(&found(&fallback).unwrap()), 4).contains("fbx64"));
    assert_eq!(found(&files[..1]).unwrap_err().code(), "boot.missing");
}

#[test]
fn what_cannot_boot_or_cannot_be_told_is_an_error() {
    let image = uki();
    assert_eq!(found(&[("EFI/other.efi", &image)]).unwrap_err().code(), "boot.no-loader");
    let two = disk(&[(BOOT, &image), ("EFI/BOOT/BOOTAA64.EFI", &image)]);
    assert_eq!(find(&two.as_slice(), None).unwrap_err().code(), "boot.ambiguous");
    assert!(find(&two.as_slice(), Some(Machine::X86_64)).is_ok());
    assert_eq!(found(&[(BOOT, b"MZ")]).unwrap_err().code(), "predict.not-pe");
    let mut other = disk(&[(BOOT, &image)]);
    // The primary header's own checks fail, so nothing is taken from it.
    other[1024] ^= 1;
    assert_eq!(find(&other.as_slice(), None).unwrap_err().code(), "disk.gpt-header");
}
