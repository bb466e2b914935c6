//! Disk images made by other people's tools: sgdisk, mkfs.fat, mtools.

use std::fs;
use std::path::Path;
use std::process::Command;

use nitrotpm_boot_files::{BootFiles, find};
use nitrotpm_disk_image::Gpt;
use nitrotpm_eventlog::{EventLog, EventType, ParseOptions};
use nitrotpm_pcr::{Bank, PcrIndex, PcrValues};
use nitrotpm_predict::Prediction;
use nitrotpm_testkit::unified_kernel_image;
use nitrotpm_uefi::{SecureBootVariables, UefiData};

const BANKS: [Bank; 3] = [Bank::Sha256, Bank::Sha384, Bank::Sha512];

#[track_caller]
fn run(command: &str) {
    let output = Command::new("bash").args(["-euo", "pipefail", "-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The disk of `fixtures/boot/make`, with another image on it: same size, same GUIDs.
fn disk(folder: &Path, format: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let disk = folder.join("disk");
    let name = disk.display();
    run(&format!(
        "truncate --size 96M {name}
         sgdisk --disk-guid 11111111-2222-3333-4444-555555555555 --new 1:2048:0 --typecode 1:ef00 \
            --partition-guid 1:66666666-7777-8888-9999-aaaaaaaaaaaa --change-name 1:ESP {name}
         {}",
        format.replace("DISK", &name.to_string())
    ));
    for (path, content) in files {
        let from = folder.join("content");
        fs::write(&from, content).unwrap();
        let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        for made in folders {
            run(&format!("mmd -D s -i {name}@@1M '::{made}' </dev/null || true"));
        }
        run(&format!("mcopy -i {name}@@1M {} '::{path}'", from.display()));
    }
    fs::read(&disk).unwrap()
}

const MFORMAT: &str = "mformat -i DISK@@1M -F -N 12345678 -v ESP ::";

fn predict(files: &BootFiles, variables: &SecureBootVariables) -> Prediction {
    files.parts().unwrap().boot(variables).predict(&BANKS).unwrap()
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/boot").join(name)).unwrap()
}

/// The partition table that a real boot measured, and its PCR 5, come out of a disk made by the same commands.
#[test]
fn pcr_5_is_that_of_a_real_boot() {
    let folder = tempfile::tempdir().unwrap();
    let image = unified_kernel_image("252.39", "quiet");
    let bytes = disk(folder.path(), MFORMAT, &[("EFI/BOOT/BOOTX64.EFI", &image)]);
    let files = find(&bytes.as_slice(), None).unwrap();
    assert!(files.notes.is_empty(), "{:?}", files.notes);
    assert_eq!(files.images, [("EFI/BOOT/BOOTX64.EFI".to_owned(), image)]);

    let real = fixture("secure-boot-off/eventlog.bin");
    let log = EventLog::parse(&real, &ParseOptions::default()).unwrap();
    let event = log.events().find(|event| event.event_type() == EventType::EFI_GPT_EVENT).unwrap();
    assert_eq!(Gpt::read(&bytes.as_slice()).unwrap().event_data(), event.data());
    let pcrs: PcrValues = serde_json::from_slice(&fixture("secure-boot-off/pcrs.json")).unwrap();
    let prediction = predict(&files, &SecureBootVariables::default());
    let register = |index| PcrIndex::new(index).unwrap();
    for bank in BANKS {
        for index in [2, 3, 5, 6, 7, 8, 12, 13, 14] {
            let found = prediction.pcrs().get(bank, register(index));
            assert_eq!(found, pcrs.get(bank, register(index)), "{bank} PCR {index}");
            assert!(found.is_some(), "{bank} PCR {index}");
        }
    }
    // The same with a byte of the table altered is no table.
    let mut altered = bytes;
    altered[1024 + 60] ^= 1;
    assert_eq!(find(&altered.as_slice(), None).unwrap_err().code(), "disk.gpt-header");
}

/// Every kind of FAT, as mkfs.fat and mtools write it, long names and folders included.
#[test]
fn file_systems_of_other_tools_are_read() {
    let long = "EFI/Linux/a rather long name, with spaces and more than 26 letters.efi";
    let image = unified_kernel_image("252.39", "quiet");
    let loader =
        nitrotpm_testkit::pe_image(&[(".text", b"menu"), (".sdmagic", b"#### LoaderInfo: systemd-boot 252.39 ####")]);
    let conf = b"default a rather*\ntimeout 3\n";
    for format in [
        MFORMAT,
        "mkfs.fat --offset 2048 -F 12 -s 128 DISK 90000",
        "mkfs.fat --offset 2048 -F 16 DISK 90000",
        "mkfs.fat --offset 2048 -F 32 -s 1 DISK 90000",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("EFI/BOOT/BOOTX64.EFI", &loader[..]),
            (long, &image),
            ("EFI/Linux/b.efi", &image),
            ("loader/loader.conf", conf),
            ("EFI/Linux/a rather long name, with spaces and more than 26 letters.efi.extra.d/x.cred", b"1"),
        ];
        let bytes = disk(folder.path(), format, &files);
        let found = find(&bytes.as_slice(), None).unwrap();
        assert_eq!(found.images[1], (long.to_owned(), image.clone()), "{format}");
        assert_eq!(found.loader_conf.as_deref(), Some(&conf[..]), "{format}");
        assert_eq!(found.credentials, [("x.cred".to_owned(), b"1".to_vec())], "{format}");
    }
}

/// What is on a disk is judged with the keys of a blob as well.
#[test]
fn an_unsigned_image_on_a_disk_is_refused_with_keys() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = disk(folder.path(), MFORMAT, &[("EFI/BOOT/BOOTX64.EFI", &unified_kernel_image("252.39", "quiet"))]);
    let keys = UefiData::from_base64(&fixture("secure-boot-on/keys/uefi-data.aws.b64")).unwrap();
    let variables = SecureBootVariables::from_uefi_data(&keys);
    let files = find(&bytes.as_slice(), None).unwrap();
    let parts = files.parts().unwrap();
    assert_eq!(parts.boot(&variables).predict(&BANKS).unwrap_err().code(), "predict.refused");
    assert!(parts.boot(&SecureBootVariables::default()).predict(&BANKS).is_ok());
}
