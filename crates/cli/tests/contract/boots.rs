//! `nitrotpm predict` for boots of every kind, and `uefi-data`.

use std::fs;
use std::path::Path;

use nitrotpm_testkit::{disk_image, fat_volume, pe_image, unified_kernel_image};
use serde_json::{Value, json};

use crate::nitrotpm;

const OWNER: &str = "11111111-2222-3333-4444-555555555555";

/// Writes files and gives the folder.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, content)| fs::write(dir.path().join(name), content).unwrap());
    dir
}

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}

fn causes(prediction: &Value, pcr: u64) -> Vec<String> {
    let events = prediction["events"].as_array().unwrap().iter().filter(|event| event["pcr"] == pcr);
    events.map(|event| event["cause"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn flags_name_what_lies_beside_an_image() {
    let image = unified_kernel_image("252.39", "ro");
    let addon = pe_image(&[(".cmdline", b"debug")]);
    let newer = unified_kernel_image("257.13", "ro");
    let dir = folder(&[
        ("web.efi", &image),
        ("new.efi", &newer),
        ("a.cred", b"1"),
        ("g.cred", b"2"),
        ("x.raw", b"3"),
        ("d.addon.efi", &addon),
    ]);
    let file = |name| path(dir.path(), name);
    let predict =
        |flags: &str| nitrotpm(&format!("predict --image {} {flags} --format json", file("web.efi"))).expect(0).json();
    let plain = predict("");
    assert_eq!(plain["images"][0]["kind"], "unified kernel image, systemd-stub 252");
    let beside = predict(&format!(
        "--credential {} --global-credential {} --sysext {}",
        file("a.cred"),
        file("g.cred"),
        file("x.raw")
    ));
    assert_eq!(causes(&beside, 12).len(), 2);
    assert_eq!(causes(&beside, 13).len(), 1);
    for pcr in ["9", "12", "13"] {
        assert_ne!(beside["pcrs"]["sha384"][pcr], plain["pcrs"]["sha384"][pcr], "PCR {pcr}");
    }
    // What systemd-stub would pass over is not predicted as measured.
    for flags in ["--credential {x}", "--sysext {c}", "--addon {x}", "--credential {c} --credential {c}"] {
        let flags = flags.replace("{x}", &file("x.raw")).replace("{c}", &file("a.cred"));
        let run = nitrotpm(&format!("predict --image {} {flags} --format json", file("web.efi"))).expect(2);
        assert_eq!(run.json()["code"], "usage.file-name", "{flags}");
    }
    let line = predict("--command-line init=/bin/sh");
    assert_eq!(causes(&line, 12), ["the boot entry passes \"init=/bin/sh\""]);
    let phases = predict("--phase enter-initrd --phase leave-initrd");
    assert_eq!(causes(&phases, 11)[8..], ["boot phase enter-initrd", "boot phase leave-initrd"]);
    assert!(predict("--profile 3")["unpredictable"]["11"].as_str().unwrap().contains("profile 3"));
    let addons =
        nitrotpm(&format!("predict --image {} --addon {} --format json", file("new.efi"), file("d.addon.efi")));
    assert_eq!(causes(&addons.expect(0).json(), 12), ["addons add \"debug\""]);
}

#[test]
fn the_text_explains_each_register_in_order() {
    let dir = folder(&[("web.efi", &unified_kernel_image("252.39", "ro"))]);
    let run =
        nitrotpm(&format!("predict --image {} --bank sha256 --bank sha384", path(dir.path(), "web.efi"))).expect(0);
    let place = |text: &str| run.stdout.find(text).unwrap_or_else(|| panic!("no {text} in {}", run.stdout));
    assert!(place("systemd-stub 252") < place("PCR 4\n"));
    assert!(place("PCR 4\n") < place("firmware begins to boot"));
    assert!(place("firmware loads") < place("PCR 7\n"));
    assert!(place("PCR 8\n") < place("nothing is measured"));
    assert!(run.stdout.contains("PCR 5 is not known: it measures the disk's partition table; give the disk image"));
}

#[test]
fn a_disk_image_boots_what_is_on_it() {
    let loader = pe_image(&[(".text", b"menu"), (".sdmagic", b"#### LoaderInfo: systemd-boot 252.39 ####")]);
    let image = unified_kernel_image("252.39", "ro");
    let volume = fat_volume(16, &[("EFI/BOOT/BOOTX64.EFI", &loader), ("EFI/Linux/web-41.efi", &image)]);
    let disk = disk_image(&volume);
    let dir = folder(&[("disk", &disk), ("cut", &disk[..disk.len() / 40]), ("qcow", b"QFI\xfb\0\0\0\x03")]);
    let file = |name| path(dir.path(), name);
    let prediction = nitrotpm(&format!("predict --disk {} --format json", file("disk"))).expect(0).json();
    assert_eq!(prediction["images"][1]["name"], "EFI/Linux/web-41.efi");
    assert_eq!(prediction["notes"], json!(["systemd-boot 252 starts the entry web-41.efi"]));
    assert_eq!(causes(&prediction, 5).len(), 4);
    // The log that is written replays, with PCR 5, to what is printed.
    let log = file("log");
    nitrotpm(&format!("predict --disk {} --event-log {log}", file("disk"))).expect(0);
    let replay = nitrotpm(&format!("eventlog replay {log} --format json")).expect(0).json();
    for pcr in ["4", "5", "7", "11", "12"] {
        assert_eq!(replay["pcrs"]["sha384"][pcr], prediction["pcrs"]["sha384"][pcr], "PCR {pcr}");
    }
    for (name, code) in [("cut", "disk.outside"), ("qcow", "disk.not-gpt")] {
        assert_eq!(nitrotpm(&format!("predict --disk {} --format json", file(name))).expect(3).json()["code"], code);
    }
    assert_eq!(nitrotpm("predict --disk /no/such/disk --format json").expect(4).json()["code"], "file.read");
    nitrotpm(&format!("predict --disk {} --image x", file("disk"))).expect(2);
    let policy = nitrotpm(&format!("policy new --name web --disk {}", file("disk"))).expect(0).stdout;
    assert!(policy.contains(prediction["pcrs"]["sha384"]["12"].as_str().unwrap()));
}

#[test]
fn a_description_says_what_flags_cannot() {
    let loader = pe_image(&[(".text", b"menu"), (".sdmagic", b"#### LoaderInfo: systemd-boot 252.39 ####")]);
    let mut kernel = pe_image(&[(".text", &[0; 600])]);
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x20E..0x210].copy_from_slice(&0x400_u16.to_le_bytes());
    kernel[0x600..0x605].copy_from_slice(b"6.1.0");
    let grub = pe_image(&[(".sbat", b"sbat,1\ngrub,4,GRUB2\n"), ("mods", b"x")]);
    let entry = "schema = \"nitrotpm.boot/1\"\nimages = [\"loader.efi\", \"vmlinuz\"]\n\
                 [entry]\noptions = \"ro\"\n[[entry.initrd]]\npath = \"/web/initrd\"\nfile = \"initrd\"\n";
    let menu = "schema = \"nitrotpm.boot/1\"\nimages = [\"grub.efi\", \"vmlinuz\"]\nos_separator = true\n\
                [[grub]]\ncommand = \"linux /vmlinuz ro\"\n[[grub]]\nkernel_command_line = \"/vmlinuz ro\"\n\
                [[grub]]\nfile = \"/vmlinuz\"\ncontent = \"vmlinuz\"\n";
    let dir = folder(&[
        ("loader.efi", &loader),
        ("vmlinuz", &kernel),
        ("grub.efi", &grub),
        ("initrd", b"initrd"),
        ("entry.toml", entry.as_bytes()),
        ("grub.toml", menu.as_bytes()),
        ("bad.toml", b"schema = \"nitrotpm.boot/1\"\nimages = []\nimage = 1\n"),
        ("schema.toml", b"schema = \"nitrotpm.boot/2\"\nimages = [\"vmlinuz\"]\n"),
        ("missing.toml", b"schema = \"nitrotpm.boot/1\"\nimages = [\"nothing.efi\"]\n"),
    ]);
    let predict = |name| nitrotpm(&format!("predict --boot {} --format json", path(dir.path(), name)));
    let by_entry = predict("entry.toml").expect(0).json();
    assert_eq!(causes(&by_entry, 12), ["systemd-boot passes \"initrd=\\web\\initrd ro\""]);
    let by_grub = predict("grub.toml").expect(0).json();
    assert_eq!(causes(&by_grub, 8), ["GRUB runs \"linux /vmlinuz ro\"", "kernel command line \"/vmlinuz ro\""]);
    assert_eq!(causes(&by_grub, 9), ["GRUB reads /vmlinuz", "os-separator of systemd 261"]);
    for (name, exit, code) in [
        ("bad.toml", 2, "boot.description"),
        ("schema.toml", 2, "boot.description"),
        ("missing.toml", 4, "file.read"),
        ("vmlinuz", 2, "boot.description"),
    ] {
        assert_eq!(predict(name).expect(exit).json()["code"], code, "{name}");
    }
}

#[test]
fn uefi_data_is_shown_compared_and_written() {
    let keys = "{boot}/secure-boot-on/keys";
    let blob = format!("{keys}/uefi-data.aws.b64");
    let shown = nitrotpm(&format!("uefi-data show {blob} --format json")).expect(0).json();
    assert_eq!((&shown["schema"], &shown["secure_boot"]), (&json!("nitrotpm.uefi-data/1"), &json!(true)));
    let db = shown["variables"].as_array().unwrap().iter().find(|variable| variable["name"] == "db").unwrap();
    assert!(db["entries"][0]["what"].as_str().unwrap().contains("CN=NitroTPM toolkit fixture db"));
    nitrotpm(&format!("uefi-data diff {blob} {blob}")).expect(0);

    let dir = tempfile::tempdir().unwrap();
    let (two, other) = (path(dir.path(), "two.esl"), path(dir.path(), "other.b64"));
    // db with the key of PK behind its own: another list of the same form.
    let lists: Vec<u8> = ["db", "PK"]
        .iter()
        .flat_map(|name| {
            let bytes = fs::read(crate::boots().join(format!("secure-boot-on/keys/{name}.crt"))).unwrap();
            let owner = "9f64fb9c-5d40-4c62-a5a9-2f5a3a1c0de1".parse().unwrap();
            nitrotpm_uefi::SignatureFile::read(&bytes, Some(owner)).unwrap().into_content()
        })
        .collect();
    fs::write(&two, lists).unwrap();
    nitrotpm(&format!("uefi-data write --from {blob} --db {two} --out {other}")).expect(0);
    let report = nitrotpm(&format!("uefi-data diff {blob} {other} --format json")).expect(1).json();
    let [difference] = report["differences"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!((&difference["name"], &difference["change"]), (&json!("db"), &json!("changed")));
    let message = difference["message"].as_str().unwrap();
    assert!(message.contains("has one certificate more: \"CN=NitroTPM toolkit fixture PK\""), "{message}");

    // Keys alone give a blob that predicts like the files.
    let alone = path(dir.path(), "alone.b64");
    let files = format!("--pk {keys}/PK.crt --kek {keys}/KEK.crt --db {keys}/db.crt --owner {OWNER}");
    nitrotpm(&format!("uefi-data write {files} --out {alone}")).expect(0);
    let refused = nitrotpm("uefi-data write --out - --format").expect(2);
    assert!(refused.stdout.is_empty());
    assert!(nitrotpm("uefi-data write --out -").expect(2).stderr.contains("--pk"));
    assert_eq!(
        nitrotpm(&format!("uefi-data show {keys}/PK.crt --format json")).expect(3).json()["code"],
        "uefi.base64"
    );
    let shown = nitrotpm(&format!("uefi-data show {alone} --format json")).expect(0).json();
    assert_eq!(shown["variables"].as_array().unwrap().len(), 3);
    assert!(nitrotpm(&format!("uefi-data write --pk {keys}/PK.crt --out -")).expect(2).stderr.contains("owner"));
}

/// shim itself is needed for what is built into it; the whole way was held against boots of Debian's shim.
#[test]
fn defaults_of_shim_need_a_shim_that_has_them() {
    let shim = pe_image(&[(".sbat", b"sbat,1,SBAT Version\nshim,4,UEFI shim\n")]);
    let dir = folder(&[("web.efi", &unified_kernel_image("257.13", "ro")), ("shim.efi", &shim)]);
    let without = nitrotpm(&format!("predict --image {} --shim-defaults", path(dir.path(), "web.efi"))).expect(2);
    assert!(without.stderr.contains("none of the images is shim"), "{}", without.stderr);
    let bare = nitrotpm(&format!("predict --image {} --shim-defaults", path(dir.path(), "shim.efi"))).expect(3);
    assert!(bare.stderr.contains("vendor certificate"), "{}", bare.stderr);
}

/// Values of four banks: a person is told once what the JSON has for each.
#[test]
fn a_register_that_differs_in_every_bank_is_told_once() {
    let explain =
        "explain --event-log {boot}/tampered-command-line/eventlog.bin --expect {boot}/secure-boot-off/pcrs.json";
    let text = nitrotpm(explain).expect(1).stdout;
    let json = nitrotpm(&format!("{explain} --format json")).expect(1).json();
    let reasons = json["reasons"].as_array().unwrap();
    let of_pcr_4 = reasons.iter().filter(|reason| reason["pcr"] == 4).count();
    assert_eq!(of_pcr_4, 4);
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("PCR  4")).collect();
    let [line] = lines.as_slice() else { panic!("{text}") };
    assert!(line.contains("PCR 4 of banks sha1, sha256, sha384, sha512: the log's"), "{line}");
    // What differs is told once for each register, and no register is lost.
    let registers: std::collections::BTreeSet<_> = reasons.iter().map(|reason| reason["pcr"].as_u64()).collect();
    assert_eq!(text.lines().count(), registers.len(), "{text}");
}
