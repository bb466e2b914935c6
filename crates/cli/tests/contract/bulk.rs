//! `nitrotpm eventlog replay` over folders and lists.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{boots, nitrotpm, nitrotpm_with_input};

fn log(boot: &str) -> Vec<u8> {
    fs::read(boots().join(boot).join("eventlog.bin")).unwrap()
}

/// Two sound logs in folders, beside what is none.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("b/deeper")).unwrap();
    fs::write(dir.path().join("b/deeper/on.bin"), log("secure-boot-on")).unwrap();
    fs::write(dir.path().join("a.bin"), log("secure-boot-off")).unwrap();
    dir
}

fn spoil(dir: &Path) {
    fs::write(dir.join("b/cut.bin"), &log("secure-boot-on")[..1000]).unwrap();
    fs::write(dir.join("empty.bin"), []).unwrap();
    symlink(dir, dir.join("b/round")).unwrap();
}

fn replay(dir: &TempDir, rest: &str) -> String {
    format!("eventlog replay {} {rest}", dir.path().display())
}

/// The PCRs of a boot that its firmware log gives, in a file.
fn pcrs(dir: &Path, boot: &str) -> String {
    let mut values: Value = serde_json::from_slice(&fs::read(boots().join(boot).join("pcrs.json")).unwrap()).unwrap();
    for (_, bank) in values.as_object_mut().unwrap() {
        bank.as_object_mut().unwrap().remove("10");
    }
    let path = dir.join("pcrs.json");
    fs::write(&path, values.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_folder_gives_a_line_a_file_in_order_and_a_summary() {
    let dir = folder();
    let run = nitrotpm(&replay(&dir, "")).expect(0);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", run.stdout);
    assert!(lines[0].starts_with("replayed") && lines[0].contains("a.bin"));
    assert!(lines[1].contains("b/deeper/on.bin") && lines[1].contains("sha1 sha256 sha384 sha512"));
    assert!(lines[2].starts_with("2 files: 2 replayed, 0 malformed, 0 unreadable; 74 events in "), "{}", lines[2]);
    assert_eq!(run.stderr, "", "a pipe gets no progress");
}

#[test]
fn what_is_no_log_is_named_and_spoils_only_itself() {
    let dir = folder();
    spoil(dir.path());
    let run = nitrotpm(&replay(&dir, "")).expect(3);
    let words: Vec<_> = run.stdout.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(words, ["replayed", "malformed", "replayed", "malformed", "4"], "{}", run.stdout);
    assert!(run.stdout.contains("2 malformed, 0 unreadable, 1 skipped that are no files"), "{}", run.stdout);
    for name in ["b/cut.bin", "empty.bin", "b/round"] {
        assert!(run.stderr.contains(name), "{name} in {}", run.stderr);
    }
    // A file that is not there outweighs those.
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    let run = nitrotpm(&replay(&dir, "")).expect(4);
    assert!(run.stdout.contains("1 unreadable") && run.stderr.contains("dangling"));
}

#[test]
fn json_is_one_array_with_each_log_as_alone() {
    let dir = folder();
    spoil(dir.path());
    let run = nitrotpm(&replay(&dir, "--format json")).expect(3);
    let reports = run.json();
    let reports = reports.as_array().unwrap();
    let schemas: Vec<_> = reports.iter().map(|report| report["schema"].as_str().unwrap()).collect();
    let (sound, bad) = ("nitrotpm.replay/1", "nitrotpm.error/1");
    assert_eq!(schemas, [sound, bad, sound, bad]);
    assert_eq!(reports[1]["code"], "event_log.truncated");
    assert!(reports[1]["file"].as_str().unwrap().ends_with("b/cut.bin"));
    for (report, boot) in [(&reports[0], "secure-boot-off"), (&reports[2], "secure-boot-on")] {
        let alone = nitrotpm(&format!("eventlog replay {{boot}}/{boot}/eventlog.bin --format json")).expect(0).json();
        assert_eq!(report["pcrs"], alone["pcrs"]);
        assert_eq!(report["events"], 37);
    }
    assert!(run.stderr.contains("4 files: 2 replayed"), "the summary is not part of the document: {}", run.stderr);

    let empty = tempfile::tempdir().unwrap();
    let run = nitrotpm(&replay(&empty, "--format json")).expect(0);
    assert_eq!(run.json(), json!([]));
    assert!(run.stderr.starts_with("0 files"));
}

#[test]
fn each_log_is_compared_and_the_worst_decides() {
    let dir = folder();
    let other = tempfile::tempdir().unwrap();
    let expected = pcrs(other.path(), "secure-boot-on");
    let run = nitrotpm(&replay(&dir, &format!("--pcrs {expected}"))).expect(1);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("refused") && lines[0].contains("sha384 PCR 0, 4, 7"), "{}", lines[0]);
    assert!(lines[1].starts_with("affirmed"));
    assert!(lines[2].contains("2 replayed (1 affirmed, 1 refused)"));
    let reports = nitrotpm(&replay(&dir, &format!("--pcrs {expected} --format json"))).expect(1).json();
    assert_eq!((&reports[0]["verdict"], &reports[1]["verdict"]), (&json!("refused"), &json!("affirmed")));
    assert_eq!(reports[1]["reasons"], json!([]));
    fs::remove_file(dir.path().join("a.bin")).unwrap();
    nitrotpm(&replay(&dir, &format!("--pcrs {expected}"))).expect(0);
    spoil(dir.path());
    nitrotpm(&replay(&dir, &format!("--pcrs {expected}"))).expect(3);
}

#[test]
fn a_list_names_files_by_lines_or_zero_bytes() {
    let dir = folder();
    let (a, odd) = (dir.path().join("a.bin"), dir.path().join("with\nline"));
    fs::copy(&a, &odd).unwrap();
    let (a, odd) = (a.to_str().unwrap(), odd.to_str().unwrap());

    let lines = format!("{a}\n\n{}\n{a}", dir.path().join("b").display());
    let run = nitrotpm_with_input("eventlog replay --files-from -", lines.as_bytes()).expect(0);
    assert!(run.stdout.contains("3 files: 3 replayed"), "{}", run.stdout);
    let zeros = format!("{odd}\0{a}\0");
    let run = nitrotpm_with_input("eventlog replay --files-from - --null", zeros.as_bytes()).expect(0);
    assert!(run.stdout.contains("2 files: 2 replayed") && run.stdout.contains("with\\u{a}line"), "{}", run.stdout);

    // Zero bytes where lines are expected, a name without an end, and a list that is not there.
    let zeros = format!("{a}\0{a}\0");
    let run = nitrotpm_with_input("eventlog replay --files-from - --format json", zeros.as_bytes()).expect(4);
    assert_eq!(run.json()[0]["code"], "file.list");
    assert!(run.stderr.contains("add --null"), "{}", run.stderr);
    let endless = "x".repeat(10_000);
    let run = nitrotpm_with_input("eventlog replay --files-from - --format json", endless.as_bytes()).expect(4);
    assert_eq!(run.json()[0]["code"], "file.list");
    let run = nitrotpm("eventlog replay --files-from /no/such/list --format json").expect(4);
    assert_eq!(run.json()["code"], "file.read");
    nitrotpm("eventlog replay --null x").expect(2);
    nitrotpm("eventlog replay").expect(2);
}

#[test]
fn payloads_are_counted_as_eventlog_show_shows_them() {
    let dir = folder();
    let reports = nitrotpm(&replay(&dir, "--check-payloads --format json")).expect(0).json();
    for (report, boot) in [(&reports[0], "secure-boot-off"), (&reports[1], "secure-boot-on")] {
        let shown = nitrotpm(&format!("eventlog show {{boot}}/{boot}/eventlog.bin --format json")).expect(0).json();
        let events = shown["events"].as_array().unwrap().iter();
        let count = |word: &str| {
            events.clone().filter(|event| event["type"] != "EV_NO_ACTION" && event["payload"] == word).count()
        };
        let (verified, mismatch, not) = (count("verified"), count("mismatch"), count("not-checkable"));
        assert_eq!(
            report["payloads"],
            json!({"verified": verified, "mismatch": mismatch, "not_checkable": not}),
            "{boot}"
        );
        assert!(verified > 20);
    }
    assert!(nitrotpm(&replay(&dir, "")).expect(0).stdout.find("verified").is_none());
}

#[test]
fn a_reader_that_goes_away_ends_the_run_without_complaint() {
    let dir = folder();
    for number in 0..500 {
        fs::hard_link(dir.path().join("a.bin"), dir.path().join(format!("copy-{number}"))).unwrap();
    }
    let output = Command::new("bash")
        .args(["-c", "\"$1\" eventlog replay \"$2\" | head -1; exit \"${PIPESTATUS[0]}\"", "bash"])
        .args([Path::new(env!("CARGO_BIN_EXE_nitrotpm")), dir.path()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// 6,000 logs are some 70 MB: they are never all in memory. The last file is a pipe that nobody has opened yet, so that
/// the program stands still when everything before it is done.
#[test]
fn memory_does_not_grow_with_the_number_of_logs() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    fs::write(logs.join("0"), log("secure-boot-on")).unwrap();
    for number in 1..6000 {
        fs::hard_link(logs.join("0"), logs.join(number.to_string())).unwrap();
    }
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let out = dir.path().join("out.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_nitrotpm"))
        .args(["eventlog", "replay", "--check-payloads", "--format", "json"])
        .args([&logs, &pipe])
        .stdin(Stdio::null())
        .stdout(fs::File::create(&out).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Waits until the program opens the pipe for reading.
    let mut pipe = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    pipe.write_all(&log("secure-boot-off")).unwrap();
    drop(pipe);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let reports: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    assert_eq!(reports.as_array().unwrap().len(), 6001);
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 40 * 1024, "{kilobytes} kB at most");
}
