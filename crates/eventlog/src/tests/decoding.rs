//! Payloads of every kind, and hostile ones.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use nitrotpm_pcr::Bank;

use super::{DATABASE, GLOBAL, OTHER, SHIM, bytes_of, parse};
use crate::writer::{LogBuilder, uefi_variable};
use crate::{
    Decoded, DevicePath, Event, EventType, LoadOption, LogError, SignatureLists, SignatureType, SipaEvents,
    UefiVariable, VariableContents,
};

/// Decodes data of a type, in an event of PCR 1.
#[track_caller]
fn with<T>(event_type: EventType, data: &[u8], look: impl FnOnce(Result<Decoded<'_>, LogError>, &Event<'_>) -> T) -> T {
    let bytes = bytes_of(LogBuilder::crypto_agile(&[Bank::Sha256]).measure(1, event_type, data));
    let event = parse(&bytes).event(1).unwrap();
    look(event.decode(), &event)
}

fn kind(event_type: EventType, data: &[u8]) -> &'static str {
    with(event_type, data, |decoded, _| decoded.map_or("error", |decoded| decoded.kind()))
}

/// The data, cut at every length, and with every length field that can be found turned to its extreme, never panics; cut,
/// it is an error or another kind.
fn hostile(event_type: EventType, data: &[u8], expected: &str) {
    assert_eq!(kind(event_type, data), expected);
    for length in 0..data.len() {
        kind(event_type, &data[..length]);
        let mut extreme = data.to_vec();
        extreme[length..].iter_mut().take(8).for_each(|byte| *byte = 0xFF);
        kind(event_type, &extreme);
    }
}

/// A signature list: type, size of the list beyond what its parts have, size of its header, size of an entry, entries.
fn list(kind: SignatureType, header: usize, entries: &[&[u8]]) -> Vec<u8> {
    let entry = entries.first().map_or(17, |entry| entry.len());
    let size = 28 + header + entries.iter().map(|entry| entry.len()).sum::<usize>();
    let mut data = kind.0.to_bytes().to_vec();
    for field in [size, header, entry] {
        data.extend(u32::try_from(field).unwrap().to_le_bytes());
    }
    data.extend(vec![0xEE; header]);
    entries.iter().for_each(|entry| data.extend_from_slice(entry));
    data
}

#[test]
fn signature_lists_give_owners_and_entries() {
    let owner = OTHER.to_bytes();
    let first = [owner.as_slice(), &[1; 32]].concat();
    let second = [owner.as_slice(), &[2; 32]].concat();
    let unknown = SignatureType(OTHER);
    let data = [
        list(SignatureType::SHA256, 4, &[&first, &second]),
        list(unknown, 0, &[&first[..20]]),
        list(SignatureType::X509, 0, &[]),
    ]
    .concat();
    let lists = SignatureLists::parse(&data).unwrap();
    let entries: Vec<_> = lists.entries().map(|entry| (entry.kind.name(), entry.owner, entry.data.len())).collect();
    assert_eq!(entries, [(Some("sha256"), OTHER, 32), (Some("sha256"), OTHER, 32), (None, OTHER, 4)]);
    assert_eq!(SignatureLists::parse(&[]).unwrap().entries().count(), 0);
}

#[test]
fn l2_signature_lists_of_impossible_sizes_are_refused() {
    let entry = [OTHER.to_bytes().as_slice(), &[1; 32]].concat();
    let good = list(SignatureType::SHA256, 0, &[&entry]);
    assert!(SignatureLists::parse(&good).is_ok());
    for (at, value) in [
        // The list: 0, below its header, one byte too small, far beyond the end.
        (16, 0),
        (16, 27),
        (16, 75),
        (16, 77),
        (16, u32::MAX),
        // Its header: more than the list has.
        (20, 49),
        (20, u32::MAX),
        // An entry: 0, an owner alone, not a part of the list.
        (24, 0),
        (24, 16),
        (24, 47),
        (24, u32::MAX),
    ] {
        let mut bad = good.clone();
        bad[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        let error = SignatureLists::parse(&bad).unwrap_err();
        assert!(matches!(error.code(), "event_log.malformed" | "event_log.truncated"), "{at} {value}: {error}");
    }
    for length in 1..good.len() {
        assert!(SignatureLists::parse(&good[..length]).is_err());
    }
}

/// The parts of a certificate up to its subject, in DER.
fn certificate(subject: &[(&[u8], &str)]) -> Vec<u8> {
    fn value(tag: u8, contents: &[u8]) -> Vec<u8> {
        let length = contents.len();
        let mut der = vec![tag];
        match u8::try_from(length) {
            Ok(short @ ..0x80) => der.push(short),
            _ => der.extend([0x82, u8::try_from(length >> 8).unwrap(), u8::try_from(length & 0xFF).unwrap()]),
        }
        der.extend_from_slice(contents);
        der
    }
    let name: Vec<u8> = subject
        .iter()
        .flat_map(|(kind, text)| value(0x31, &value(0x30, &[value(0x06, kind), value(0x0C, text.as_bytes())].concat())))
        .collect();
    let signed = [
        value(0xA0, &value(0x02, &[2])),
        value(0x02, &[1]),
        value(0x30, &[]),
        value(0x30, &[]),
        value(0x30, &[]),
        value(0x30, &name),
        value(0x30, &[0; 300]),
    ]
    .concat();
    value(0x30, &value(0x30, &signed))
}

#[test]
fn l8_subjects_of_certificates_are_shown_escaped() {
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0A];
    let subject = |names: &[(&[u8], &str)]| {
        let entry = [OTHER.to_bytes().to_vec(), certificate(names)].concat();
        let data = list(SignatureType::X509, 0, &[&entry]);
        let lists = SignatureLists::parse(&data).unwrap();
        lists.entries().next().unwrap().certificate_subject().map(|text| text.to_string())
    };
    assert_eq!(subject(&[(ORGANISATION, "Org"), (COMMON_NAME, "Key")]).as_deref(), Some("Key"));
    assert_eq!(subject(&[(ORGANISATION, "Org")]).as_deref(), Some("Org"));
    assert_eq!(subject(&[(COMMON_NAME, "\u{1b}[1m\u{202e}x")]).as_deref(), Some("\\u{1b}[1m\\u{202e}x"));
    assert_eq!(subject(&[]), None);
    // Cut anywhere, a certificate has a subject or none, and never a panic.
    let whole = certificate(&[(COMMON_NAME, "Key")]);
    for length in 17..whole.len() {
        let entry = [OTHER.to_bytes().as_slice(), &whole[..length]].concat();
        let data = list(SignatureType::X509, 0, &[&entry]);
        let _ = SignatureLists::parse(&data).unwrap().entries().next().unwrap().certificate_subject();
    }
}

fn node(node_type: u8, subtype: u8, data: &[u8]) -> Vec<u8> {
    let mut node = vec![node_type, subtype];
    node.extend(u16::try_from(data.len() + 4).unwrap().to_le_bytes());
    node.extend_from_slice(data);
    node
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn device_paths_are_written_as_text() {
    let hd = [
        1_u32.to_le_bytes().as_slice(),
        &0x800_u64.to_le_bytes(),
        &0x1000_u64.to_le_bytes(),
        &OTHER.to_bytes(),
        &[2, 2],
    ]
    .concat();
    let ethernet = [[2, 0, 0, 0, 0, 1].as_slice(), &[0; 26], &[1]].concat();
    let cases = [
        (vec![node(2, 1, b"\xd0\x41\x03\x0a\0\0\0\0"), node(1, 1, &[0, 1])], "PciRoot(0x0)/Pci(0x1,0x0)"),
        (vec![node(2, 1, b"\xd0\x41\x08\x0a\x01\0\0\0")], "PcieRoot(0x1)"),
        (vec![node(2, 1, b"\xd0\x41\x34\x12\x01\0\0\0")], "Acpi(PNP1234,0x1)"),
        (vec![node(3, 23, b"\x01\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01")], "NVMe(0x1,01-02-03-04-05-06-07-08)"),
        (vec![node(3, 18, &[1, 0, 0xFF, 0xFF, 0, 0])], "Sata(0x1,0xffff,0x0)"),
        (vec![node(3, 11, &ethernet)], "MAC(020000000001,0x1)"),
        (vec![node(3, 24, b"https://a/\x1b")], "Uri(https://a/\\u{1b})"),
        (vec![node(4, 1, &hd)], "HD(1,GPT,00112233-4455-6677-8899-aabbccddeeff,0x800,0x1000)"),
        (vec![node(4, 4, &utf16("\\EFI\\BOOT\\BOOTX64.EFI")), node(0x7F, 0xFF, &[])], "\\EFI\\BOOT\\BOOTX64.EFI"),
        (vec![node(4, 4, &utf16("\\a\u{202e}b"))], "\\a\\u{202e}b"),
        (vec![node(4, 6, &OTHER.to_bytes())], "FvFile(00112233-4455-6677-8899-aabbccddeeff)"),
        (vec![node(5, 1, b"\x02\0\0\0disk\0")], "BBS(0x2,disk)"),
        (vec![node(1, 1, &[0, 1]), node(0x7F, 1, &[]), node(1, 1, &[0, 2])], "Pci(0x1,0x0),Pci(0x2,0x0)"),
        (vec![node(9, 9, b"x"), node(3, 18, b"x")], "Path(9,9,78)/Path(3,18,78)"),
    ];
    for (nodes, text) in cases {
        let data = nodes.concat();
        assert_eq!(DevicePath::parse(&data).unwrap().to_string(), text);
        for length in 0..data.len() {
            let _ = DevicePath::parse(&data[..length]).map(|path| path.to_string());
        }
    }
    let file = [node(1, 1, &[0, 1]), node(4, 4, &utf16("\\x.efi"))].concat();
    assert!(DevicePath::parse(&file).unwrap().file().unwrap().is("\\x.efi"));
}

#[test]
fn a_node_whose_length_is_below_four_is_refused() {
    for length in 0..4 {
        let error = DevicePath::parse(&[1, 1, length, 0, 0, 0]).unwrap_err();
        assert_eq!(error.code(), "event_log.malformed");
    }
    assert!(DevicePath::parse(&[1, 1, 4, 0]).is_ok());
    assert_eq!(DevicePath::parse(&[1, 1, 5, 0]).unwrap_err().code(), "event_log.truncated");
}

#[test]
fn boot_options_and_boot_order_are_decoded() {
    let path = node(4, 4, &utf16("\\x.efi"));
    let mut option = 1_u32.to_le_bytes().to_vec();
    option.extend(u16::try_from(path.len()).unwrap().to_le_bytes());
    option.extend(utf16("Linux"));
    option.extend(&path);
    option.extend(b"optional");
    let parsed = LoadOption::parse(&option).unwrap();
    assert_eq!((parsed.attributes, parsed.description.to_string().as_str()), (1, "Linux"));
    assert_eq!((parsed.path.to_string().as_str(), parsed.optional_data), ("\\x.efi", b"optional".as_slice()));
    for length in 0..option.len() - 8 {
        assert!(LoadOption::parse(&option[..length]).is_err());
    }

    let contents = |guid, name: &str, data: &[u8]| -> String {
        let bytes = uefi_variable(guid, name, data);
        match UefiVariable::parse(&bytes, 0).unwrap().contents() {
            Ok(VariableContents::LoadOption(option)) => option.description.to_string(),
            Ok(VariableContents::BootOrder(order)) => alloc::format!("{order:?}"),
            Ok(VariableContents::Flag(flag)) => alloc::format!("flag {flag}"),
            Ok(VariableContents::Text(text)) => text.to_string(),
            Ok(VariableContents::SignatureLists(lists)) => alloc::format!("{} entries", lists.entries().count()),
            Ok(VariableContents::Raw(_)) => "raw".into(),
            Err(error) => error.code().into(),
        }
    };
    assert_eq!(contents(GLOBAL, "Boot001A", &option), "Linux");
    assert_eq!(contents(GLOBAL, "Boot001", &option), "raw");
    assert_eq!(contents(GLOBAL, "BootNext", &option), "raw");
    assert_eq!(contents(OTHER, "Boot001A", &option), "raw");
    assert_eq!(contents(GLOBAL, "BootOrder", &[1, 0, 2, 0]), "[[1, 0], [2, 0]]");
    assert_eq!(contents(GLOBAL, "BootOrder", &[1, 0, 2]), "event_log.malformed");
    assert_eq!(contents(GLOBAL, "SecureBoot", &[1]), "flag 1");
    assert_eq!(contents(GLOBAL, "SecureBoot", &[]), "raw");
    assert_eq!(contents(SHIM, "SbatLevel", b"sbat,1,2025"), "sbat,1,2025");
    assert_eq!(contents(DATABASE, "db", b""), "0 entries");
    assert_eq!(contents(DATABASE, "db", b"x"), "event_log.truncated");
}

#[test]
fn l1_variables_of_impossible_lengths_are_refused() {
    let good = uefi_variable(GLOBAL, "PK", b"contents");
    hostile(EventType::EFI_VARIABLE_DRIVER_CONFIG, &good, "variable");
    for at in [16, 24] {
        for value in [u64::MAX, u64::MAX / 2 + 1, 1 << 32, 0x7FFF_FFFF_FFFF_FFFF] {
            let mut bad = good.clone();
            bad[at..at + 8].copy_from_slice(&value.to_le_bytes());
            let error = with(EventType::EFI_VARIABLE_BOOT2, &bad, |decoded, _| decoded.unwrap_err());
            assert_eq!(error.code(), "event_log.truncated");
        }
    }
}

#[test]
fn authorities_have_one_entry_with_an_owner_or_without() {
    let der = certificate(&[(&[0x55, 0x04, 0x03], "Key")]);
    for (contents, owner) in [([OTHER.to_bytes().as_slice(), &der].concat(), OTHER), (der.clone(), crate::Guid::ZERO)] {
        let bytes = uefi_variable(DATABASE, "db", &contents);
        let variable = UefiVariable::parse(&bytes, 0).unwrap();
        let entry = variable.authority_entry().unwrap();
        assert_eq!((entry.owner, entry.certificate_subject().unwrap().to_string()), (owner, "Key".to_string()));
    }
    let bytes = uefi_variable(DATABASE, "db", b"nothing of the kind");
    assert_eq!(UefiVariable::parse(&bytes, 0).unwrap().authority_entry(), None);
}

fn gpt() -> Vec<u8> {
    let mut header = b"EFI PART\0\0\x01\0\x5c\0\0\0".to_vec();
    header.resize(56, 0);
    header.extend(OTHER.to_bytes());
    header.resize(84, 0);
    header.extend(128_u32.to_le_bytes());
    header.resize(92, 0);
    let mut entry = [GLOBAL.to_bytes(), OTHER.to_bytes()].concat();
    entry.extend([1_u64, 2, 4].iter().flat_map(|field| field.to_le_bytes()));
    entry.extend(utf16("ESP"));
    entry.resize(128, 0);
    [header, 1_u64.to_le_bytes().to_vec(), entry].concat()
}

#[test]
fn partition_tables_are_decoded_in_both_versions() {
    for event_type in [EventType::EFI_GPT_EVENT, EventType::EFI_GPT_EVENT2] {
        hostile(event_type, &gpt(), "gpt");
        with(event_type, &gpt(), |decoded, _| {
            let Ok(Decoded::Gpt(gpt)) = decoded else { panic!("{decoded:?}") };
            assert_eq!((gpt.disk(), gpt.count()), (OTHER, 1));
            let partition = gpt.partitions().next().unwrap();
            assert_eq!((partition.partition_type, partition.unique), (GLOBAL, OTHER));
            assert_eq!((partition.first_block, partition.last_block, partition.attributes), (1, 2, 4));
            assert_eq!(partition.name.to_string(), "ESP");
        });
    }
    let mut zero_sized = gpt();
    zero_sized[84..88].fill(0);
    assert_eq!(kind(EventType::EFI_GPT_EVENT, &zero_sized), "error");
}

#[test]
fn firmware_blobs_handoff_tables_and_post_codes() {
    let region = [0x1000_u64.to_le_bytes(), 0x200_u64.to_le_bytes()].concat();
    let described = [b"\x05FVMAIN".as_slice()[..6].to_vec(), region.clone()].concat();
    hostile(EventType::EFI_PLATFORM_FIRMWARE_BLOB, &region, "firmware-blob");
    hostile(EventType::EFI_PLATFORM_FIRMWARE_BLOB2, &described, "firmware-blob");
    with(EventType::EFI_PLATFORM_FIRMWARE_BLOB2, &described, |decoded, _| {
        let Ok(Decoded::FirmwareBlob(blob)) = decoded else { panic!("{decoded:?}") };
        assert_eq!((blob.description.unwrap().to_string().as_str(), blob.base, blob.length), ("FVMAI", 0x1000, 0x200));
    });
    let tables = [1_u64.to_le_bytes().as_slice(), &OTHER.to_bytes(), &0x42_u64.to_le_bytes()].concat();
    hostile(EventType::EFI_HANDOFF_TABLES, &tables, "handoff-tables");
    hostile(EventType::EFI_HANDOFF_TABLES2, &[b"\x06SMBIOS".as_slice(), &tables].concat(), "handoff-tables");
    with(EventType::EFI_HANDOFF_TABLES, &tables, |decoded, _| {
        let Ok(Decoded::HandoffTables(tables)) = decoded else { panic!("{decoded:?}") };
        assert_eq!(tables.tables().collect::<Vec<_>>(), [(OTHER, 0x42)]);
    });
    assert_eq!(kind(EventType::POST_CODE, b"ACPI DATA"), "text");
    assert_eq!(kind(EventType::POST_CODE, &region), "firmware-blob");
    assert_eq!(kind(EventType::POST_CODE2, &described), "firmware-blob");
    assert_eq!(kind(EventType::POST_CODE2, b"Embedded UEFI Driver"), "text");
    assert_eq!(kind(EventType::EFI_HCRTM_EVENT, b"HCRTM"), "text");
    assert_eq!(kind(EventType::OMIT_BOOT_DEVICE_EVENTS, b"BOOT ATTEMPTS OMITTED"), "text");
    assert_eq!(kind(EventType::S_CRTM_VERSION, &[0, 0]), "raw");
}

#[test]
fn platform_ids_of_all_three_versions_and_h_crtm_components() {
    let base = [7_u32.to_le_bytes().as_slice(), &OTHER.to_bytes()].concat();
    let text = |text: &str| [[u8::try_from(text.len() + 1).unwrap()].as_slice(), text.as_bytes(), b"\0"].concat();
    let strings =
        [text("Maker"), text("Model"), text("1"), text("Firm"), 9_u32.to_le_bytes().to_vec(), text("2.7")].concat();
    let locators = [[3_u32.to_le_bytes(), 4_u32.to_le_bytes()].concat(), b"data".to_vec(), vec![0; 8]].concat();
    let versions = [
        [b"SP800-155 Event\0".as_slice(), &base].concat(),
        [b"SP800-155 Event2".as_slice(), &base, &strings].concat(),
        [b"SP800-155 Event3".as_slice(), &base, &strings, &locators].concat(),
    ];
    for (version, data) in (1..).zip(&versions) {
        hostile(EventType::NO_ACTION, data, "platform-id");
        with(EventType::NO_ACTION, data, |decoded, _| {
            let Ok(Decoded::PlatformId(id)) = decoded else { panic!("{decoded:?}") };
            assert_eq!((id.version, id.vendor_id, id.manifest), (version, 7, OTHER));
            assert_eq!(id.platform.map(|[_, model, ..]| model.to_string()), (version > 1).then(|| "Model".into()));
            assert_eq!(id.locators.map(|[manifest, _]| manifest.data), (version > 2).then_some(b"data".as_slice()));
        });
    }
    let padded = |padding: &[u8]| kind(EventType::NO_ACTION, &[versions[2].as_slice(), padding].concat());
    assert_eq!((padded(&[0; 6]), padded(&[0, 1])), ("platform-id", "error"));

    let component = [b"H-CRTM CompMeas\0".as_slice(), b"\x04ACM\0\0\x02ab"].concat();
    hostile(EventType::NO_ACTION, &component, "h-crtm-component");
}

#[test]
fn devices_of_spdm_in_both_versions() {
    let first = [
        b"SPDM Device Sec\0".as_slice(),
        &[1, 0, 31, 0],
        &[0; 4],
        &1_u32.to_le_bytes(),
        b"abc",
        &[0, 0, 16, 0, 0x86, 0x80],
    ]
    .concat();
    let second = [
        b"SPDM Device Sec2".as_slice(),
        &[2, 0, 1, 0],
        &[0; 4],
        &1_u32.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &3_u32.to_le_bytes(),
        &[0; 8],
        &2_u64.to_le_bytes(),
        b"dpabc",
        &[0, 0],
    ]
    .concat();
    for (data, version, path, context) in [(&first, 1, b"".as_slice(), 6), (&second, 2, b"dp", 2)] {
        for event_type in [EventType::EFI_SPDM_FIRMWARE_BLOB, EventType::EFI_SPDM_FIRMWARE_CONFIG] {
            hostile(event_type, data, "device-security");
            with(event_type, data, |decoded, _| {
                let Ok(Decoded::DeviceSecurity(device)) = decoded else { panic!("{decoded:?}") };
                assert_eq!((device.version, device.device_type, device.content), (version, 1, b"abc".as_slice()));
                assert_eq!((device.device_path, device.device_context.len()), (path, context));
            });
        }
    }
    for event_type in [EventType::EFI_SPDM_DEVICE_POLICY, EventType::EFI_SPDM_DEVICE_AUTHORITY] {
        assert_eq!(kind(event_type, &uefi_variable(OTHER, "devdb", b"x")), "variable");
    }
}

fn sipa(sipa_type: u32, data: &[u8]) -> Vec<u8> {
    [sipa_type.to_le_bytes().as_slice(), &u32::try_from(data.len()).unwrap().to_le_bytes(), data].concat()
}

const CONTAINER: u32 = 0x4001_0001;

#[test]
fn windows_events_are_walked_into() {
    let module = sipa(0x4001_0003, &[sipa(0x0007_0001, b"path"), sipa(0x0007_0002, &[1; 8])].concat());
    let data = [sipa(CONTAINER, &[sipa(0x0002_0002, &[1; 8]), module].concat()), sipa(0x0005_0009, b"root")].concat();
    hostile(EventType::EVENT_TAG, &data, "windows");
    let events = SipaEvents::parse(&data).unwrap();
    let walked: Vec<_> = events.events().map(|event| (event.depth, event.sipa_type.name().unwrap())).collect();
    assert_eq!(
        walked,
        [
            (0, "TRUSTBOUNDARY"),
            (1, "BOOTCOUNTER"),
            (1, "LOADEDMODULE_AGGREGATION"),
            (2, "FILEPATH"),
            (2, "IMAGESIZE"),
            (0, "SYSTEMROOT"),
        ]
    );
}

#[test]
fn l3_windows_events_may_stand_eight_deep_and_no_deeper() {
    let nested = |depth: usize| (0..depth).fold(sipa(0x0002_0002, &[1; 8]), |inner, _| sipa(CONTAINER, &inner));
    assert_eq!(SipaEvents::parse(&nested(7)).unwrap().events().count(), 8);
    for depth in [8, 9, 100] {
        let error = SipaEvents::parse(&nested(depth)).unwrap_err();
        assert_eq!(error.code(), "event_log.malformed");
    }
}

#[test]
fn l1_windows_events_of_impossible_sizes_are_refused() {
    let mut data = sipa(CONTAINER, &sipa(0x0002_0002, &[1; 8]));
    data[12..16].copy_from_slice(&(1_u32 << 30).to_le_bytes());
    assert_eq!(SipaEvents::parse(&data).unwrap_err().code(), "event_log.truncated");
}

#[test]
fn tagged_events_of_linux_and_systemd() {
    for (tag, name) in
        [(0x8F3B_22EC, Some("Linux initrd")), (0xF5BC_582A, Some("systemd-boot loader.conf")), (0x7777_7777, None)]
    {
        let data = sipa(tag, b"name\0");
        hostile(EventType::EVENT_TAG, &data, "tagged");
        with(EventType::EVENT_TAG, &data, |decoded, _| {
            let Ok(Decoded::Tagged(tagged)) = decoded else { panic!("{decoded:?}") };
            assert_eq!((tagged.tag.name(), tagged.data), (name, b"name\0".as_slice()));
        });
    }
    assert_eq!(kind(EventType::EVENT_TAG, b"LOADED_IMAGE::LoadOptions"), "text");
}

#[test]
fn texts_of_grub_have_their_kind() {
    for (data, kind, text) in [
        (b"grub_cmd: insmod tpm\0".as_slice(), "grub_cmd", "insmod tpm"),
        (b"kernel_cmdline: /vmlinuz \x1b\0", "kernel_cmdline", "/vmlinuz \\u{1b}"),
        (b"module_cmdline: x\0", "module_cmdline", "x"),
        (b"grub_kernel_cmdline x\0", "kernel_cmdline", "x"),
    ] {
        with(EventType::IPL, data, |decoded, _| {
            let Ok(Decoded::Grub { kind: found, text: shown }) = decoded else { panic!("{decoded:?}") };
            assert_eq!((found, shown.to_string().as_str()), (kind, text));
        });
    }
    assert_eq!(kind(EventType::IPL, &utf16(".linux")), "text");
    assert_eq!(kind(EventType::IPL, b"MokList\0"), "text");
    assert_eq!(kind(EventType::IPL, b"\xff\xfe\0"), "raw");
}

#[test]
fn an_error_names_its_place_in_the_log() {
    let data = uefi_variable(GLOBAL, "PK", b"contents");
    with(EventType::EFI_VARIABLE_BOOT, &data[..data.len() - 1], |decoded, event| {
        let error = decoded.unwrap_err();
        assert_eq!(error.offset(), Some(event.data_offset() + 36), "{error}");
    });
}

#[test]
fn every_kind_has_one_line_for_a_person() {
    let order = uefi_variable(GLOBAL, "BootOrder", &[1, 0, 0, 0]);
    let tag = sipa(0x8F3B_22EC, b"Linux initrd\0");
    let windows = sipa(CONTAINER, &sipa(0x0002_0002, &[1; 8]));
    for (event_type, data, line) in [
        (EventType::SEPARATOR, [0; 4].as_slice(), "separator 00000000"),
        (EventType::SEPARATOR, b"WBCL", "separator WBCL"),
        (EventType::EFI_ACTION, b"a\x1b", "a\\u{1b}"),
        (EventType::EFI_VARIABLE_BOOT2, &order, "BootOrder = 0001 0000"),
        (EventType::EFI_GPT_EVENT, &gpt(), "disk 00112233-4455-6677-8899-aabbccddeeff, 1 partition, ESP"),
        (EventType::IPL, b"grub_cmd: x\0", "grub_cmd: x"),
        (EventType::EFI_BOOT_SERVICES_APPLICATION, &[0; 32], "image of 0 bytes, from memory"),
        (EventType::EVENT_TAG, &tag, "Linux initrd"),
        (EventType::EVENT_TAG, &windows, "2 Windows events, BOOTCOUNTER first"),
        (EventType::NO_ACTION, b"StartupLocality\0\x03", "startup locality 3"),
        (EventType::TABLE_OF_DEVICES, &[1, 2], "2 bytes, 0102"),
    ] {
        assert_eq!(with(event_type, data, |decoded, _| decoded.unwrap().to_string()), line);
    }
}
