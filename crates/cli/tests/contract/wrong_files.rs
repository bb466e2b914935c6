//! Another file than the one that is asked for, in every place where one is: what it is must be said, not only that it is
//! wrong.

use crate::{Run, boots, nitrotpm, nitrotpm_with_input, nonce};

const FILES: [(&str, &str); 9] = [
    ("{boot}/secure-boot-on/evidence.json", "it looks like evidence"),
    ("{boot}/secure-boot-on/policy.toml", "it looks like a policy"),
    ("{boot}/secure-boot-on/eventlog.bin", "it looks like an event log"),
    ("{boot}/secure-boot-on/pcrs.json", "it looks like PCR values"),
    ("{boot}/secure-boot-on/quote-rsa-all.msg", "it looks like a quote"),
    ("{boot}/secure-boot-on/quote-rsa-all.sig", "it looks like the signature of a quote"),
    ("{boot}/secure-boot-on/ima.bin", "it looks like a list of IMA"),
    ("{boot}/secure-boot-on/keys/uefi-data.aws.b64", "it looks like EC2's uefi-data"),
    ("{boot}/secure-boot-off/prediction.json", "it looks like a prediction"),
];

/// A command with one file that may be wrong, the exit code of that, and what is no wrong file for it.
const COMMANDS: [(&str, i32, &[&str]); 9] = [
    ("verify FILE --policy {boot}/secure-boot-on/policy.toml --no-nonce", 3, &["evidence"]),
    ("verify {boot}/secure-boot-on/evidence.json --policy FILE --no-nonce", 2, &["a policy"]),
    (
        "verify {boot}/secure-boot-on/evidence.json --policy {boot}/secure-boot-on/policy.toml --no-nonce --trust-ak FILE",
        2,
        &[],
    ),
    ("document verify FILE", 3, &[]),
    ("document show FILE", 3, &[]),
    ("eventlog show FILE", 3, &["an event log"]),
    ("eventlog replay FILE", 3, &["an event log"]),
    ("eventlog replay {boot}/secure-boot-on/eventlog.bin --pcrs FILE", 3, &["PCR values"]),
    ("evidence show FILE", 3, &["evidence"]),
];

#[test]
fn another_file_than_was_asked_for_is_named() {
    for (command, code, right) in COMMANDS {
        for (file, looks) in FILES {
            if right.iter().any(|right| looks.ends_with(right)) {
                continue;
            }
            let run = nitrotpm(&command.replace("FILE", file)).expect(code);
            assert!(run.stderr.contains(looks), "{command} with {file}: {}", run.stderr);
            // One of a kind: no guess beside the right one.
            assert_eq!(run.stderr.matches("looks like").count(), 1, "{command} with {file}: {}", run.stderr);
        }
        let run = nitrotpm_with_input(&command.replace("FILE", "-"), b"").expect(code);
        let empty = ["empty", "nothing in it"].iter().any(|word| run.stderr.contains(word));
        assert!(empty, "{command}: {}", run.stderr);
    }
}

/// The right file, damaged: that it looks like itself helps nobody.
#[test]
fn a_damaged_file_is_not_said_to_be_another() {
    let evidence = std::fs::read(boots().join("secure-boot-on/evidence.json")).unwrap();
    let command = "verify - --policy {boot}/secure-boot-on/policy.toml --no-nonce";
    let run = nitrotpm_with_input(command, &evidence[..300]).expect(3);
    assert_eq!(run.stderr, "");
    assert!(run.stdout.contains("nitrotpm evidence pack"), "{}", run.stdout);
}

/// JSON of another kind is told in the words of the file, not in those of the program's source.
#[test]
fn no_message_names_a_type_of_the_source() {
    let command = "verify - --policy {boot}/secure-boot-on/policy.toml --no-nonce";
    for json in ["0", "\"x\"", "[1]", "true"] {
        let run = nitrotpm_with_input(command, json.as_bytes()).expect(3);
        assert!(run.stdout.contains("expected named fields"), "{}", run.stdout);
    }
}

/// TOML's reader quotes the line with the error, which is all of a file that is none.
#[test]
fn a_message_is_as_long_as_a_person_reads() {
    for arguments in [
        "policy lint {boot}/secure-boot-on/evidence.json",
        "policy merge {boot}/secure-boot-on/evidence.json {boot}/secure-boot-on/policy.toml --until 2026-12-01T00:00:00Z",
        "predict --boot {boot}/secure-boot-on/evidence.json",
    ] {
        let Run { stderr, .. } = nitrotpm(arguments).expect(2);
        assert!(stderr.len() < 1000, "{arguments}: {} bytes", stderr.len());
        assert!(stderr.contains("line 1, column 1\n"), "{arguments}: {stderr}");
    }
}

#[test]
fn standard_input_is_read_once() {
    let evidence = std::fs::read(boots().join("secure-boot-on/evidence.json")).unwrap();
    let log = std::fs::read(boots().join("secure-boot-on/eventlog.bin")).unwrap();
    for (arguments, input) in [
        ("verify - --policy - --no-nonce", &evidence),
        ("eventlog diff - -", &log),
        ("explain --event-log - --expect -", &log),
        ("eventlog replay - --files-from -", &log),
    ] {
        let run = nitrotpm_with_input(arguments, input);
        assert_ne!(run.code, 0, "{arguments}");
        // Where the first reader is given another's file, that is told first.
        let told = run.stderr.contains("named more than once") || run.stderr.contains("it looks like evidence");
        assert!(told, "{arguments}: {}", run.stderr);
    }
    let run = nitrotpm_with_input("eventlog diff - -", &log).expect(2);
    assert!(run.stderr.contains("named more than once"), "{}", run.stderr);
    nitrotpm_with_input("eventlog diff - {boot}/secure-boot-on/eventlog.bin", &log).expect(0);
}

#[test]
fn what_is_packed_and_cannot_verify_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("evidence.json").display().to_string();
    let on = "{boot}/secure-boot-on";
    let swapped = format!(
        "evidence pack --attest {on}/quote-rsa-all.sig --signature {on}/quote-rsa-all.msg --ak {on}/policy.toml \
         --document {on}/evidence.json --event-log {on}/ima.bin --out {out}"
    );
    let run = nitrotpm(&swapped).expect(0);
    for told in ["--attest", "--ak", "--document", "--event-log"] {
        let line = run.stderr.lines().find(|line| line.starts_with(&format!("nitrotpm: {told} ")));
        assert!(line.is_some_and(|line| line.contains("looks like")), "{told}: {}", run.stderr);
    }
    let right = format!(
        "evidence pack --attest {on}/quote-rsa-all.msg --signature {on}/quote-rsa-all.sig --ak {on}/ak.pub \
         --pcrs {on}/pcrs.json --event-log {on}/eventlog.bin --ima-log {on}/ima.bin --out {out}"
    );
    assert_eq!(nitrotpm(&right).expect(0).stderr, "");
    nitrotpm(&format!(
        "verify {out} --policy {on}/policy.toml --trust-ak {on}/ak.pub --nonce {}",
        nonce("secure-boot-on")
    ))
    .expect(0);
}

/// A comparison with nothing is no success: a wrong path must not pass in a script.
#[test]
fn a_comparison_of_no_log_fails() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().display().to_string();
    for format in ["text", "json"] {
        let arguments = format!("eventlog replay {folder} --format {format}");
        nitrotpm(&arguments).expect(0);
        let run = nitrotpm(&format!("{arguments} --pcrs {{boot}}/secure-boot-on/pcrs.json")).expect(4);
        assert!(run.stderr.contains("nothing was compared"), "{}", run.stderr);
        if format == "json" {
            assert_eq!(run.json(), serde_json::json!([]));
        }
    }
    // A reader that went away before anything was read is another matter.
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_nitrotpm"))
        .args(["eventlog", "replay", "--format", "json", "--pcrs"])
        .args([boots().join("secure-boot-on/pcrs.json"), boots()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("nothing was compared"), "{output:?}");
    // So with values that name no register: they are what is wrong, not the log.
    let arguments = "eventlog replay {boot}/secure-boot-on/eventlog.bin --pcrs - --format json";
    for nothing in ["{}", "{\"sha256\": {}}"] {
        let run = nitrotpm_with_input(arguments, nothing.as_bytes()).expect(3);
        assert_eq!(run.json()["code"], "pcrs.malformed");
        assert!(run.stderr.contains("standard input names no PCR"), "{}", run.stderr);
    }
}

/// On a disk an image may have 256 MiB, and so it may as a file.
#[test]
fn an_image_may_be_as_large_as_on_a_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.efi");
    let file = std::fs::File::create(&path).unwrap();
    let predict = format!("predict --image {} --format json", path.display());
    file.set_len(150 << 20).unwrap();
    assert_eq!(nitrotpm(&predict).expect(3).json()["code"], "predict.not-pe");
    file.set_len((256 << 20) + 1).unwrap();
    let run = nitrotpm(&predict).expect(3);
    assert_eq!(run.json()["code"], "file.too-large");
    assert!(run.stderr.contains("256 MiB") && run.stderr.contains("check the path"), "{}", run.stderr);
}
