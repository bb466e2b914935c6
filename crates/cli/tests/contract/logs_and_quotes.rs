//! `nitrotpm eventlog` and `nitrotpm quote`.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{boots, nitrotpm, nonce};

/// The boot's PCRs as a file of their own, after a change.
fn pcrs(boot: &str, change: impl FnOnce(&mut Value)) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut values: Value = serde_json::from_slice(&fs::read(boots().join(boot).join("pcrs.json")).unwrap()).unwrap();
    change(&mut values);
    let path = dir.path().join("pcrs.json");
    fs::write(&path, values.to_string()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

/// The firmware's log does not cover PCR 10, which IMA extends.
fn without_pcr10(values: &mut Value) {
    for (_, bank) in values.as_object_mut().unwrap() {
        bank.as_object_mut().unwrap().remove("10");
    }
}

#[test]
fn a_log_replays_to_the_pcrs_of_its_boot() {
    let (_dir, path) = pcrs("secure-boot-on", without_pcr10);
    let replay = "eventlog replay {boot}/secure-boot-on/eventlog.bin";
    let report = nitrotpm(&format!("{replay} --pcrs {path} --format json")).expect(0).json();
    assert_eq!(report["schema"], "nitrotpm.replay/1");
    assert_eq!(report["verdict"], "affirmed");
    assert_eq!(report["reasons"], json!([]));
    assert_eq!(report["pcrs"].as_object().unwrap().len(), 4);

    let report = nitrotpm(&format!("{replay} --format json")).expect(0).json();
    assert!(report.get("verdict").is_none(), "nothing was compared");
    nitrotpm(replay).expect(0);
}

#[test]
fn a_register_that_the_log_does_not_give_is_refused_with_both_values() {
    let other = "ab".repeat(48);
    let (_dir, path) = pcrs("secure-boot-on", |values| {
        without_pcr10(values);
        values["sha384"]["4"] = json!(other);
    });
    let replay = format!("eventlog replay {{boot}}/secure-boot-on/eventlog.bin --pcrs {path}");
    let report = nitrotpm(&format!("{replay} --format json")).expect(1).json();
    assert_eq!(report["verdict"], "refused");
    let reason = &report["reasons"][0];
    assert_eq!(
        (&reason["code"], &reason["pcr"], &reason["bank"]),
        (&json!("event_log.replay-mismatch"), &json!(4), &json!("sha384"))
    );
    assert_eq!(reason["expected"], other);
    assert!(nitrotpm(&replay).expect(1).stdout.starts_with("refused"));
}

#[test]
fn several_logs_give_an_array_and_an_unreadable_one_spoils_only_itself() {
    let run = nitrotpm(
        "eventlog replay {boot}/secure-boot-on/eventlog.bin {boot}/secure-boot-on/ak.pub \
         {boot}/secure-boot-off/eventlog.bin --format json",
    )
    .expect(3);
    let reports = run.json();
    assert_eq!(reports[0]["schema"], "nitrotpm.replay/1");
    assert_eq!(reports[1]["schema"], "nitrotpm.error/1");
    assert_eq!(reports[2]["schema"], "nitrotpm.replay/1");
    assert!(run.stderr.contains("ak.pub"));
}

#[test]
fn every_event_is_shown_with_what_is_proven_of_it() {
    let report = nitrotpm("eventlog show {boot}/secure-boot-on/eventlog.bin --format json").expect(0).json();
    assert_eq!(report["schema"], "nitrotpm.eventlog/1");
    assert_eq!(report["format"], "crypto-agile");
    assert_eq!(report["banks"], json!(["sha1", "sha256", "sha384", "sha512"]));
    let events = report["events"].as_array().unwrap();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["index"], index);
        assert!(event["offset"].is_u64() && event["pcr"].is_u64() && event["type_code"].is_u64());
        assert!(event["type"].as_str().unwrap().starts_with("EV_"), "{event}");
        assert!(["verified", "mismatch", "not-checkable"].contains(&event["payload"].as_str().unwrap()));
        assert_eq!(event["rule"].is_string(), event["payload"] == "verified");
        assert!(event["decoded"].is_object());
        assert_eq!(event["digests"].as_object().unwrap().len(), if index == 0 { 1 } else { 4 });
    }
    let secure_boot = &events[4];
    assert_eq!(secure_boot["decoded"]["name"], "SecureBoot");
    assert_eq!(secure_boot["decoded"]["data"], "01");
    assert_eq!(secure_boot["decoded"]["contents"], json!({ "flag": 1 }));
    let entry = &events[7]["decoded"]["contents"]["entries"][0];
    assert_eq!((&entry["type"], &entry["subject"]), (&json!("x509"), &json!("NitroTPM toolkit fixture db")));
    assert_eq!(events[22]["decoded"]["contents"]["entries"][0], *entry, "the authority is the one entry of db");
    assert_eq!(events[10]["decoded"]["contents"], json!({ "boot_order": [1, 0, 2] }));
    assert_eq!(events[11]["decoded"]["contents"]["description"], "UEFI QEMU NVMe Ctrl boot0 1");
    assert_eq!(events[23]["decoded"]["entries"][0]["name"], "ESP");

    let text = nitrotpm("eventlog show {boot}/secure-boot-on/eventlog.bin --pcr 7").expect(0).stdout;
    assert!(text.contains("SecureBoot") && !text.contains("EV_EFI_GPT_EVENT"), "{text}");
    assert_eq!(nitrotpm("eventlog show {boot}/secure-boot-on/ak.pub").expect(3).stdout, "");
}

/// The indices of the events of a JSON document.
fn indices(arguments: &str) -> Vec<u64> {
    let report = nitrotpm(&format!("eventlog show {{boot}}/secure-boot-on/eventlog.bin --format json {arguments}"));
    let report = report.expect(0).json();
    report["events"].as_array().unwrap().iter().map(|event| event["index"].as_u64().unwrap()).collect()
}

#[test]
fn events_are_chosen_by_register_and_type_and_keep_their_index() {
    for (arguments, expected) in [
        ("--pcr 4", vec![14, 19, 24]),
        ("--pcr 4 --pcr 14", vec![14, 19, 24]),
        ("--pcr 4,9", vec![14, 19, 24, 33, 34]),
        ("--pcr 2-3,9-11 --pcr 6", vec![17, 18, 21, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34]),
        ("--type EV_EFI_ACTION", vec![14, 35, 36]),
        ("--type efi_action", vec![14, 35, 36]),
        ("--type action --type EVENT_TAG", vec![14, 33, 34, 35, 36]),
        ("--type 0x80000006", vec![23]),
        ("--type Variable --pcr 7", vec![4, 5, 6, 7, 8, 22]),
        ("--type 0x8401", vec![]),
    ] {
        assert_eq!(indices(arguments), expected, "{arguments}");
    }
    for (arguments, sentence) in [
        ("--pcr 24", "they go from 0 to 23"),
        ("--pcr 9-4", "9-4 is the wrong way round"),
        ("--pcr x", "\"x\" is no number"),
        ("--pcr 1-", "\"\" is no number"),
        ("--type EV_", "no type of event has a name that begins so"),
        ("--type nothing", "no type of event has a name that begins so"),
        ("--type 0x1ffffffff", "not a number of 32 bits"),
    ] {
        let run = nitrotpm(&format!("eventlog show {{boot}}/secure-boot-on/eventlog.bin {arguments}")).expect(2);
        assert!(run.stderr.contains(sentence), "{}", run.stderr);
    }
    for format in ["json", "html"] {
        nitrotpm(&format!("eventlog show {{boot}}/secure-boot-on/eventlog.bin --by-pcr --format {format}")).expect(2);
    }
}

#[test]
fn a_log_as_text_is_a_table_in_order_or_by_register() {
    let show = "eventlog show {boot}/secure-boot-on/eventlog.bin";
    let text = nitrotpm(show).expect(0).stdout;
    let line = text.lines().find(|line| line.starts_with(" 24 ")).unwrap();
    assert_eq!(
        line,
        " 24    4  not-checkable  EV_EFI_BOOT_SERVICES_APPLICATION  \\EFI\\BOOT\\BOOTX64.EFI on PciRoot(0x0)/\
         Pci(0x1,0x0)/NVMe(0x1,00-00-00-00-00-00-00-00)/HD(1,GPT,66666666-7777-8888-9999-aaaaaaaaaaaa,0x800,0x2f7df)"
    );
    // The columns stand below each other.
    let at = |line: &str, what: &str| line.find(what).unwrap();
    let head = text.lines().find(|line| line.contains("payload")).unwrap();
    assert_eq!((at(head, "type"), at(head, "what")), (at(line, "EV_"), at(line, "\\EFI")));
    assert!(text.contains("quirks: variable-data-only (4 events, first 10)"));
    assert!(!text.contains("of them shown") && !text.contains('\u{1b}'));

    let text = nitrotpm(&format!("{show} --by-pcr --pcr 4,5")).expect(0).stdout;
    let pcr4: Value = serde_json::from_slice(&fs::read(boots().join("secure-boot-on/pcrs.json")).unwrap()).unwrap();
    let pcr4 = pcr4["sha384"]["4"].as_str().unwrap();
    let (before, after) = text.split_once(&format!("  sha384  {pcr4}\n")).unwrap();
    assert!(before.ends_with("PCR 4  boot loader and kernel images, 3 events\n"), "{text}");
    assert!(after.starts_with(" 14  verified       EV_EFI_ACTION                     Calling"), "{text}");
    assert!(text.contains("7 of them shown") && !text.contains("PCR 7"));

    let text = nitrotpm(&format!("{show} --type ipl --pcr 11 --details")).expect(0).stdout;
    for part in ["text              .cmdline", "proven by         name-in-utf8", "sha512            "] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// On a terminal of so many columns. `script` gives one; what it prints is what the terminal would get.
fn on_a_terminal(columns: usize, arguments: &str) -> Vec<String> {
    let command = format!(
        "stty cols {columns} rows 24; exec {} eventlog show {}/secure-boot-on/eventlog.bin {arguments}",
        env!("CARGO_BIN_EXE_nitrotpm"),
        boots().display()
    );
    let mut run = Command::new("script");
    let run = run.args(["-qec", &command, "/dev/null"]).env_remove("NO_COLOR").env("TERM", "xterm");
    let output = run.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
}

/// The line without its colours.
fn plain(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap().to_owned();
    first + &parts.map(|part| part.split_once('m').unwrap().1).collect::<String>()
}

#[test]
fn lines_are_cut_to_a_terminal_and_its_colours_are_used() {
    for columns in [80, 120] {
        let lines = on_a_terminal(columns, "");
        let table: Vec<_> = lines.iter().map(|line| plain(line)).skip_while(|line| !line.contains("what")).collect();
        let events = &table[1..38];
        assert!(events.iter().all(|line| line.chars().count() <= columns), "{columns}: {events:#?}");
        let image = &events[24];
        assert!(image.contains("\\EFI\\BOOT\\BOOTX64.EFI on") && image.ends_with('…'), "{columns}: {image}");
        assert_eq!(image.chars().count(), columns, "{columns}: {image}");
        // Marks stand for words where there is no place for them.
        assert_eq!(image.contains("not-checkable"), columns == 120, "{columns}: {image}");
        assert!(lines.iter().any(|line| line.contains("\u{1b}[32m")), "{columns}: no colour");
    }
    // A value that does not fit goes on below itself, whole.
    let lines = on_a_terminal(80, "--pcr 4 --type efi_boot --details");
    let at = lines.iter().rposition(|line| line.contains("sha512")).unwrap();
    let value: String = lines[at..].iter().take_while(|line| !line.is_empty()).map(|line| plain(line)).collect();
    let value: String = value.replace("sha512", "").split_whitespace().collect();
    assert_eq!((value.len(), &value[..16]), (128, "b2c769ba598acda9"), "{value}");
    assert!(on_a_terminal(80, "--color never").iter().all(|line| !line.contains('\u{1b}')));
}

/// Colour is for a terminal, unless it is asked for; and asked for it is everywhere.
#[test]
fn colour_is_asked_for_or_left_out() {
    let show = "eventlog show {boot}/secure-boot-on/eventlog.bin --pcr 4";
    for (arguments, coloured) in
        [("", false), ("--color auto", false), ("--color never", false), ("--color always", true)]
    {
        let text = nitrotpm(&format!("{show} {arguments}")).expect(0).stdout;
        assert_eq!(text.contains("\u{1b}[1m\u{1b}[32mverified"), coloured, "{arguments}");
    }
    let diff = "eventlog diff {boot}/secure-boot-off/eventlog.bin {boot}/tampered-command-line/eventlog.bin";
    assert!(nitrotpm(&format!("--color always {diff}")).expect(1).stdout.contains('\u{1b}'));
    nitrotpm(&format!("{diff} --color purple")).expect(2);
}

#[test]
fn a_log_is_shown_with_what_was_expected_of_it() {
    let (_dir, good) = pcrs("secure-boot-on", without_pcr10);
    let show = "eventlog show {boot}/secure-boot-on/eventlog.bin --pcrs";
    let report = nitrotpm(&format!("{show} {good} --pcr 4 --format json")).expect(0).json();
    assert_eq!((&report["verdict"], &report["reasons"]), (&json!("affirmed"), &json!([])));
    assert_eq!(report["pcrs"].as_object().unwrap().len(), 4);
    assert_eq!(report["events"].as_array().unwrap().len(), 3);
    assert_eq!(report["quirks"], json!([{ "name": "variable-data-only", "event": 10, "count": 4 }]));
    assert!(nitrotpm(&format!("{show} {good}")).expect(0).stdout.contains("affirmed, all 92 PCRs are as expected"));

    let zeros = "00".repeat(48);
    let (_dir, bad) = pcrs("secure-boot-on", |values| {
        without_pcr10(values);
        values["sha384"]["4"] = json!(zeros);
    });
    let report = nitrotpm(&format!("{show} {bad} --format json")).expect(1).json();
    assert_eq!(report["verdict"], "refused");
    let reason = &report["reasons"][0];
    assert_eq!((&reason["code"], &reason["pcr"]), (&json!("event_log.replay-mismatch"), &json!(4)));
    assert!(reason["explanation"].as_str().unwrap().starts_with("nothing was extended into it"), "{reason}");
    let text = nitrotpm(&format!("{show} {bad} --by-pcr")).expect(1).stdout;
    assert!(text.contains("refused, 1 of 92 PCRs are not as expected") && text.contains("not as expected:"), "{text}");
    let page = nitrotpm(&format!("{show} {bad} --format html")).expect(1).stdout;
    assert!(page.starts_with("<!doctype html>") && page.contains("PCR 4 of sha384: nothing was extended into it"));

    // What the log cannot be compared with is no page, and no table.
    for format in ["text", "html"] {
        let run = nitrotpm(&format!("{show} {{boot}}/secure-boot-on/nonce.hex --format {format}")).expect(3);
        assert_eq!(run.stdout, "");
        let run = nitrotpm(&format!("eventlog show {{boot}}/secure-boot-on/ak.pub --format {format}")).expect(3);
        assert!(run.stdout.is_empty() && run.stderr.contains("ak.pub"), "{}", run.stderr);
    }
}

fn quote(rest: &str) -> String {
    format!(
        "quote verify --attest {{boot}}/secure-boot-on/quote-ecc-sha384.msg \
         --signature {{boot}}/secure-boot-on/quote-ecc-sha384.sig --format json {rest}"
    )
}

#[test]
fn a_quote_is_affirmed_with_the_values_that_it_covers() {
    let nonce = nonce("secure-boot-on");
    let (_dir, path) = pcrs("secure-boot-on", |values| {
        values.as_object_mut().unwrap().retain(|bank, _| bank == "sha384");
    });
    let key = "--ak {boot}/secure-boot-on/ecc-ak.pub";
    let report = nitrotpm(&quote(&format!("{key} --nonce {nonce} --pcrs {path}"))).expect(0).json();
    assert_eq!(report["verdict"], "affirmed");
    assert_eq!(report["pcrs"]["sha384"].as_object().unwrap().len(), 24);

    // Without values the signature holds and no register has one.
    let report = nitrotpm(&quote(&format!("{key} --nonce {nonce}"))).expect(0).json();
    assert_eq!(report["pcrs"], Value::Null);
    assert_eq!(report["selection"][0]["bank"], "sha384");

    for (arguments, code) in [
        (format!("{key} --nonce 00"), "quote.nonce"),
        (format!("--ak {{boot}}/secure-boot-off/ecc-ak.pub --nonce {nonce}"), "quote.signature"),
        (format!("{key} --nonce {nonce} --pcrs {{boot}}/secure-boot-on/pcrs.json"), "quote.pcr-not-covered"),
        (format!("{key} --nonce {nonce} --pcrs {{boot}}/secure-boot-off/pcrs.json"), "quote.pcr-digest"),
    ] {
        let report = nitrotpm(&quote(&arguments)).expect(3).json();
        assert_eq!(report["reasons"][0]["code"], code, "{arguments}");
        assert!(report.get("pcrs").is_none());
    }
    nitrotpm(&quote(&format!("{key} --no-nonce"))).expect(0);
    assert_eq!(nitrotpm(&quote(key)).expect(2).json()["code"], "usage.nonce");
}

/// A quote of four banks: SHA-1 takes part in the digest and is relied on only by name.
#[test]
fn sha1_is_relied_on_only_by_name() {
    let arguments = format!(
        "quote verify --attest {{boot}}/secure-boot-on/quote-rsa-all.msg --signature \
         {{boot}}/secure-boot-on/quote-rsa-all.sig --ak {{boot}}/secure-boot-on/ak.pub --nonce {} --pcrs \
         {{boot}}/secure-boot-on/pcrs.json --format json",
        nonce("secure-boot-on")
    );
    let report = nitrotpm(&arguments).expect(0).json();
    assert_eq!(report["excluded_banks"], json!(["sha1"]));
    assert!(report["pcrs"].get("sha1").is_none());
    let report = nitrotpm(&format!("{arguments} --allow-sha1")).expect(0).json();
    assert_eq!(report["pcrs"]["sha1"].as_object().unwrap().len(), 24);
}
