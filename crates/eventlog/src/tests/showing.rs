//! Events as a person reads them: one line, and every part.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use nitrotpm_pcr::Bank;

use super::{DATABASE, GLOBAL, OTHER, bytes_of, parse};
use crate::writer::{LogBuilder, uefi_variable};
use crate::{EventType, SignatureType};

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// An event whose digest is of `hashed`: its line, and its parts as `name: value`, indented by their depth.
fn shown(pcr: u32, event_type: EventType, hashed: &[u8], data: &[u8]) -> (String, Vec<String>) {
    let bytes = bytes_of(LogBuilder::crypto_agile(&[Bank::Sha256]).measure_as(pcr, event_type, hashed, data));
    let event = parse(&bytes).event(1).unwrap();
    let mut parts = Vec::new();
    if let Ok(decoded) = event.decode() {
        decoded
            .details(&mut |part| {
                parts.push(format!("{:>1$}{2}: {3}", "", part.depth, part.name, part.value));
                Ok(())
            })
            .unwrap();
    }
    (event.summary().to_string(), parts)
}

#[test]
fn a_name_is_shown_with_what_it_is_the_name_of() {
    let section = utf16(".cmdline");
    let ipl = EventType::IPL;
    for (pcr, hashed, data, line) in [
        (11, b".cmdline\0".as_slice(), section.as_slice(), "name of section .cmdline"),
        (11, b"quiet", &section, "contents of section .cmdline"),
        (9, b"the file", b"/vmlinuz\0", "file /vmlinuz"),
        (9, b"/vmlinuz\0", b"/vmlinuz\0", "/vmlinuz"),
        (12, &utf16("quiet"), &utf16("quiet"), "command line quiet"),
        (12, b"else", &utf16("quiet"), "quiet"),
        (14, b"list", b"MokList\0", "MokList"),
        (8, b"echo", b"grub_cmd: echo\0", "grub_cmd: echo"),
    ] {
        assert_eq!(shown(pcr, ipl, hashed, data).0, line);
    }
    assert_eq!(shown(11, EventType::COMPACT_HASH, b"", &[16, 0, 0, 0]).0, "4 bytes, 10000000");
    assert_eq!(shown(1, EventType::TABLE_OF_DEVICES, b"", b"").0, "no data");
    let cut = &uefi_variable(GLOBAL, "PK", &[1; 9])[..40];
    let (line, parts) = shown(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, b"", cut);
    assert!(line.starts_with("malformed: ") && parts.is_empty(), "{line}");
}

#[test]
fn a_file_stands_before_the_way_to_it() {
    let node = |kind: u8, subtype: u8, data: &[u8]| {
        let length = u16::try_from(data.len() + 4).unwrap().to_le_bytes();
        [&[kind, subtype, length[0], length[1]], data].concat()
    };
    let image = |path: &[u8]| {
        let head = [0x1000, 0x200, 0, u64::try_from(path.len()).unwrap()].map(u64::to_le_bytes);
        [head.as_flattened(), path].concat()
    };
    let (pci, file, end) = (node(1, 1, &[0, 2]), node(4, 4, &utf16("\\EFI\\x.efi")), node(0x7F, 0xFF, &[]));
    let app = EventType::EFI_BOOT_SERVICES_APPLICATION;
    let (line, parts) = shown(4, app, b"", &image(&[pci.clone(), file.clone(), end.clone()].concat()));
    assert_eq!(line, "\\EFI\\x.efi on Pci(0x2,0x0)");
    assert_eq!(
        parts,
        ["device path: Pci(0x2,0x0)/\\EFI\\x.efi", "loaded at: 0x1000", "length: 512 bytes", "linked for: 0x0"]
    );
    assert_eq!(shown(4, app, b"", &image(&[file.clone(), end.clone()].concat())).0, "\\EFI\\x.efi");
    // Two files, or two paths, are told as they stand.
    let two = [file.clone(), file.clone(), end.clone()].concat();
    assert_eq!(shown(4, app, b"", &image(&two)).0, "\\EFI\\x.efi/\\EFI\\x.efi");
    let instances = [pci, node(0x7F, 1, &[]), file, end].concat();
    assert_eq!(shown(4, app, b"", &image(&instances)).0, "Pci(0x2,0x0),\\EFI\\x.efi");
}

#[test]
fn parts_of_variables_and_lists_are_told() {
    let mut list = SignatureType::SHA256.0.to_bytes().to_vec();
    for field in [28_u32 + 48, 0, 48] {
        list.extend(field.to_le_bytes());
    }
    list.extend([OTHER.to_bytes().as_slice(), &[0xAB; 32]].concat());
    let config = EventType::EFI_VARIABLE_DRIVER_CONFIG;
    let (line, parts) = shown(7, config, b"", &uefi_variable(DATABASE, "dbx", &list));
    assert_eq!(line, "dbx, 1 entry");
    assert_eq!(
        parts,
        [
            "variable: dbx".to_string(),
            "namespace: d719b2cb-3d3a-4596-a3bc-dad00e67656f (image security database)".into(),
            format!("sha256: {}", "ab".repeat(32)),
            " owner: 00112233-4455-6677-8899-aabbccddeeff".into(),
        ]
    );
    assert_eq!(shown(7, config, b"", &uefi_variable(DATABASE, "db", b"")).0, "db, empty");
    let order = uefi_variable(GLOBAL, "BootOrder", &[1, 0, 0, 0]);
    assert_eq!(
        shown(1, EventType::EFI_VARIABLE_BOOT2, b"", &order).1[2..],
        ["boot option: Boot0001", "boot option: Boot0000"]
    );
}

/// The locators of SP 800-155 events: a URI, a device path, a variable, or the data itself.
#[test]
fn where_reference_measurements_are_is_told() {
    let variable = [OTHER.to_bytes().as_slice(), &utf16("RIM")].concat();
    for (kind, data, told) in [
        (1_u32, b"https://example.invalid/rim".as_slice(), "https://example.invalid/rim"),
        (2, &[1, 1, 6, 0, 0, 2], "Pci(0x2,0x0)"),
        (2, &[1, 1, 9, 0], "01010900"),
        (3, &variable, "the variable RIM of 00112233-4455-6677-8899-aabbccddeeff"),
        (3, &[7; 3], "070707"),
        (0, &[1, 2], "0102"),
    ] {
        let texts = [0_u8; 4];
        let length = u32::try_from(data.len()).unwrap().to_le_bytes();
        let event = [
            b"SP800-155 Event3".as_slice(),
            &7_u32.to_le_bytes(),
            &[0; 16],
            &texts,
            &8_u32.to_le_bytes(),
            &[0],
            &kind.to_le_bytes(),
            &length,
            data,
            &[0; 8],
        ]
        .concat();
        let (_, parts) = shown(0, EventType::NO_ACTION, b"", &event);
        assert!(parts.contains(&format!("reference measurements: {told}")), "{parts:?}");
    }
}

#[test]
fn a_script_is_told_line_by_line_and_escaped() {
    let script = b"grub_cmd: menuentry x {\n  linux \x1b[2J\n}\0";
    let (line, parts) = shown(8, EventType::IPL, b"", script);
    assert_eq!(line, "grub_cmd: menuentry x {\\u{a}  linux \\u{1b}[2J\\u{a}}");
    assert_eq!(parts, ["grub_cmd: menuentry x {", ":   linux \\u{1b}[2J", ": }"]);
}

#[test]
fn details_end_when_their_reader_does() {
    let bytes = bytes_of(LogBuilder::crypto_agile(&[Bank::Sha256]).measure(1, EventType::EFI_ACTION, b"x"));
    let mut calls = 0;
    let decoded = parse(&bytes).event(0).unwrap().decode().unwrap();
    let ended = decoded.details(&mut |_| {
        calls += 1;
        Err(core::fmt::Error)
    });
    assert!(ended.is_err() && calls == 1);
}
