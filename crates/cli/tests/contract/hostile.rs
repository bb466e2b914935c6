//! Logs whose strings are written by an attacker: nothing that is printed takes orders from them.

use std::fs;
use std::path::Path;

use nitrotpm_eventlog::writer::{LogBuilder, uefi_variable};
use nitrotpm_eventlog::{EventType, guid, is_hidden};
use nitrotpm_pcr::Bank;
use serde_json::Value;

use crate::nitrotpm;

/// A terminal's escape sequence, a NUL, a bidirectional override, a zero-width space, a C1 control, markup.
const HOSTILE: &str = "\u{1b}[2J\0\u{202e}gnp\u{200b}\u{9b}31m</script><b>\"\r\n\t'&";

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// A log with the text wherever a log has text, in UTF-8, UTF-16 and bytes that are neither.
fn log() -> Vec<u8> {
    let mut builder = LogBuilder::crypto_agile(&[Bank::Sha256, Bank::Sha384]);
    let global = guid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
    let bytes = [HOSTILE.as_bytes(), b"\xff\xfe\x80"].concat();
    let path = wide(HOSTILE);
    let length = u16::try_from(path.len() + 4).unwrap().to_le_bytes();
    let device_path = [&[4, 4][..], &length, &path, &[0x7F, 0xFF, 4, 0]].concat();
    let size = u64::try_from(device_path.len()).unwrap();
    let image = [[0, 0, 0, size].map(u64::to_le_bytes).concat(), device_path.clone()].concat();
    let option_length = u16::try_from(device_path.len()).unwrap().to_le_bytes();
    let option = [&1_u32.to_le_bytes()[..], &option_length, &wide(HOSTILE), &device_path].concat();
    let mut partitions = b"EFI PART\0\0\x01\0\x5c\0\0\0".to_vec();
    partitions.resize(92, 0);
    partitions.extend(1_u64.to_le_bytes());
    partitions.extend([0x28; 16].iter().chain(&[9; 16]).chain(&[0; 24]));
    let mut name = wide(HOSTILE);
    name.resize(72, 0);
    partitions.extend(name);
    for (pcr, event_type, data) in [
        (0, EventType::S_CRTM_VERSION, wide(HOSTILE)),
        (0, EventType::POST_CODE, bytes.clone()),
        (1, EventType::EFI_VARIABLE_BOOT, uefi_variable(global, HOSTILE, &bytes)),
        (1, EventType::EFI_VARIABLE_BOOT, uefi_variable(global, "Boot0001", &option)),
        (4, EventType::EFI_BOOT_SERVICES_APPLICATION, image),
        (5, EventType::EFI_GPT_EVENT, partitions),
        (7, EventType::EFI_ACTION, bytes.clone()),
        (8, EventType::IPL, [b"grub_cmd: ".as_slice(), &bytes, b"\0"].concat()),
        (8, EventType::IPL, [b"kernel_cmdline: ".as_slice(), &bytes, b"\0"].concat()),
        (9, EventType::IPL, bytes.clone()),
        (11, EventType::IPL, wide(HOSTILE)),
        (12, EventType::IPL, wide(HOSTILE)),
        (13, EventType(0x1234_5678), bytes.clone()),
    ] {
        builder.measure(pcr, event_type, &data);
    }
    builder.finish().unwrap()
}

#[track_caller]
fn harmless(text: &str) {
    let bad = text.chars().find(|character| !matches!(character, '\n') && is_hidden(*character));
    assert_eq!(bad, None, "{text:?}");
}

/// Every string of a document, at any depth.
fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            found.push(name.clone());
            strings(value, found);
        }),
        _ => {}
    }
}

#[test]
fn l8_whatever_a_log_says_is_shown_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let hostile = write("hostile.bin", &log());
    let good = Path::new("{boot}/secure-boot-off/eventlog.bin").display().to_string();
    for command in [
        format!("eventlog show {hostile}"),
        format!("eventlog diff {good} {hostile}"),
        format!("eventlog diff {hostile} {good}"),
        format!("explain --event-log {hostile} --expect {good}"),
        format!("eventlog replay {hostile}"),
    ] {
        let text = nitrotpm(&command);
        assert!(matches!(text.code, 0 | 1), "{command}: {}", text.stderr);
        harmless(&text.stdout);
        harmless(&text.stderr);
        let json = nitrotpm(&format!("{command} --format json"));
        harmless(&json.stdout);
        let mut found = Vec::new();
        strings(&json.json(), &mut found);
        found.iter().for_each(|text| harmless(text));
    }
    // The text is there, harmless: nothing was dropped.
    let shown = nitrotpm(&format!("eventlog show {hostile}")).stdout;
    assert!(shown.contains("\\u{1b}[2J\\u{0}\\u{202e}gnp"), "{shown}");
    // Names of files are somebody's text too.
    let run = nitrotpm(&format!("eventlog show {}/\u{202e}gnp.bin", folder.path().display())).expect(4);
    harmless(&run.stderr);
}

/// An allow-list of IMA's files, at the command line: honest, changed, and rubbish.
#[test]
fn an_ima_allow_list_tightens_a_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let boot = "secure-boot-on";
    let verify = format!(
        "verify {{boot}}/{boot}/evidence.json --policy {{boot}}/{boot}/policy.toml --trust-ak {{boot}}/{boot}/ak.pub \
         --nonce {} --format json",
        crate::nonce(boot)
    );
    // The boot's list has the boot aggregate alone: any list of files allows it.
    let list = write("files.txt", &format!("{}  /usr/bin/true\n", "5a".repeat(32)));
    let result = nitrotpm(&format!("{verify} --ima-allow-list {list}")).expect(0).json();
    assert_eq!(result["ima_allow_list_sha256"].as_str().unwrap().len(), 64);
    let checks = result["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["id"] == "policy.ima_allow_list" && check["outcome"] == "pass"));
    assert!(nitrotpm(&verify).expect(0).json().get("ima_allow_list_sha256").is_none());
    for (rubbish, says) in [("", "no file"), ("/usr/bin/true\n", "line 1"), ("\u{0}\u{202e}\n", "line 1")] {
        let path = write("rubbish.txt", rubbish);
        let run = nitrotpm(&format!("{verify} --ima-allow-list {path}")).expect(2);
        assert_eq!(run.json()["code"], "policy.ima-allow-list");
        assert!(run.stderr.contains(says), "{}", run.stderr);
    }
    nitrotpm(&format!("{verify} --ima-allow-list {}/none", folder.path().display())).expect(4);
}
