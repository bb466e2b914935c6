//! Disk images, and reference values as others write them.

use std::sync::LazyLock;

use nitrotpm_boot_files::find;
use nitrotpm_disk_image::{Gpt, Volume};
use nitrotpm_eventlog::{EventLog, ParseOptions};
use nitrotpm_explain::{Reference, compare};
use nitrotpm_freshness::{Clock, UnixTime};
use nitrotpm_pcr::{Bank, PcrIndex};
use nitrotpm_reference_values::{Image, MeasuredEvent, corim, pcrlock};
use nitrotpm_signature::PublicKey;
use nitrotpm_testkit::{SoftwareKey, disk_image, fat_volume, pe_image, sample_values, unified_kernel_image};
use nitrotpm_uefi::SecureBootVariables;

use crate::check::{bounded, bounded_beside, shown};
use crate::seeds::fixture;

/// A disk as it is, and a file system on a disk whose partition table is right.
pub(crate) fn disk(data: &[u8]) {
    boots(data);
    let mut volume = data.to_vec();
    volume.resize(volume.len().next_multiple_of(512).max(512), 0);
    boots(&disk_image(&volume));
}

fn boots(disk: &[u8]) {
    let gpt = match bounded(disk, 2, || Gpt::read(&disk)) {
        Ok(gpt) => gpt,
        Err(error) => return shown(error),
    };
    for partition in gpt.system_partitions() {
        let mut volume = match Volume::open(&disk, partition.bytes()) {
            Ok(volume) => volume,
            Err(error) => return shown(error),
        };
        for folder in ["", "EFI", "EFI/BOOT", "EFI/Linux", "loader/entries"] {
            match bounded(disk, 8, || volume.list(folder)) {
                Ok(Some(entries)) => {
                    for entry in entries.iter().filter(|entry| !entry.is_directory()) {
                        if let Ok(Some(content)) = volume.read(&format!("{folder}/{}", entry.name())) {
                            assert!(content.len() <= disk.len(), "a file is larger than its disk");
                        }
                    }
                }
                Ok(None) => {}
                Err(error) => shown(error),
            }
        }
    }
    match bounded(disk, 16, || find(&disk, None)) {
        Ok(files) => match files.parts() {
            Ok(parts) => {
                let variables = SecureBootVariables::default();
                if let Err(error) = parts.boot(&variables).predict(&[Bank::Sha384]) {
                    shown(error);
                }
            }
            Err(error) => shown(error),
        },
        Err(error) => shown(error),
    }
}

/// Disks that boot a unified kernel image, by itself and through systemd-boot with its configuration.
pub(crate) fn disk_seeds() -> Vec<Vec<u8>> {
    let image = unified_kernel_image("254", "root=/dev/vda2 ro");
    let loader = pe_image(&[(".sdmagic", b"#### LoaderInfo: systemd-boot 254 ####"), (".osrel", b"ID=debian\n")]);
    let direct = fat_volume(12, &[("EFI/BOOT/BOOTX64.EFI", &image)]);
    let menu = fat_volume(
        12,
        &[
            ("EFI/BOOT/BOOTX64.EFI", &loader),
            ("EFI/Linux/a long name.efi", &image),
            ("loader/loader.conf", b"timeout 3\ndefault *\n"),
            ("loader/entries/one.conf", b"title One\nversion 1\nlinux /vmlinuz\noptions ro\n"),
        ],
    );
    vec![disk_image(&direct), direct, menu]
}

static KEY: LazyLock<PublicKey> = LazyLock::new(|| SoftwareKey::p256().public_key());

/// A manifest: unsigned, and signed by a key that did not. What is read can be written, and is read again as the same.
pub(crate) fn manifest(data: &[u8]) {
    let clock = Clock::Live(UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_770_113_522)));
    // The library that reads manifests reserves up to a mebibyte for a list whose length is a lie, as serde allows.
    match bounded_beside(8 << 20, data, 64, || corim::read(data, corim::Trust::Unsigned, clock)) {
        Ok(images) => {
            assert!(images.iter().all(|image| !image.pcrs.is_empty()), "an image without registers");
            if let Ok(written) = corim::to_unsigned("again", &images) {
                let again = corim::read(&written, corim::Trust::Unsigned, clock).expect("what was written can be read");
                let pcrs = |images: &[Image]| images.iter().map(|image| image.pcrs.clone()).collect::<Vec<_>>();
                assert_eq!(pcrs(&again), pcrs(&images));
            }
        }
        Err(error) => shown(error),
    }
    match corim::read(data, corim::Trust::Signed(&KEY), clock) {
        Ok(_) => panic!("a manifest that the key did not sign"),
        Err(error) => shown(error),
    }
}

/// A component file of systemd-pcrlock.
pub(crate) fn component(data: &[u8]) {
    match bounded(data, 64, || pcrlock::read_component("650-uki", data)) {
        Ok(events) => assert!(events.iter().all(|event| !event.digests.is_empty())),
        Err(error) => shown(error),
    }
}

static LOG: LazyLock<Vec<u8>> = LazyLock::new(|| fixture("boot/secure-boot-off/eventlog.bin"));

/// What a boot is explained by: a prediction, values, a log. Differences are told in harmless words.
pub(crate) fn reference(data: &[u8]) {
    match bounded(data, 128, || Reference::read("reference", data)) {
        Ok(reference) => {
            let log = EventLog::parse(&LOG, &ParseOptions::default()).expect("the log of fixtures");
            match compare(&reference, &log, None, &[]) {
                Ok(differences) => differences.iter().for_each(|difference| shown(&difference.message)),
                Err(error) => shown(error),
            }
        }
        Err(error) => shown(error),
    }
}

fn image() -> Image {
    let pcrs = sample_values(&[(Bank::Sha384, &[4, 7, 11])]);
    let events = pcrs.iter().map(|(_, pcr, value)| MeasuredEvent { pcr, digests: vec![*value] }).collect();
    Image { events, ..Image::new("web-41", pcrs) }
}

/// An unsigned manifest.
pub(crate) fn manifest_seeds() -> Vec<Vec<u8>> {
    vec![corim::to_unsigned("https://example.com/web", &[image()]).expect("a manifest")]
}

/// A component.
pub(crate) fn component_seeds() -> Vec<Vec<u8>> {
    vec![pcrlock::to_component(&image()).expect("a component").into_bytes()]
}

/// A prediction, values, and a log.
pub(crate) fn reference_seeds() -> Vec<Vec<u8>> {
    let bytes = unified_kernel_image("254", "root=/dev/vda2 ro");
    let images = [nitrotpm_predict::PeImage::parse("web.efi", &bytes).expect("an image")];
    let variables = SecureBootVariables::default();
    let prediction = nitrotpm_predict::Boot::new(&variables, &images).predict(&[Bank::Sha384]).expect("a prediction");
    assert!(PcrIndex::all().any(|pcr| prediction.pcrs().get(Bank::Sha384, pcr).is_some()));
    let values = br#"{"sha384":{"4":"VALUE"}}"#.to_vec();
    let values = String::from_utf8_lossy(&values).replace("VALUE", &"5a".repeat(48)).into_bytes();
    vec![prediction.to_json().to_string().into_bytes(), values, LOG.clone()]
}
