//! The program: files, exit codes, messages.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use nitrotpm_credential::{EndorsementKey, EnrolmentAnswer, EnrolmentRequest};
use ring::rand::SystemRandom;
use tempfile::TempDir;

use crate::software_tpm::SoftwareTpm;

pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    tcti: String,
}

impl Bench {
    fn new(software: &SoftwareTpm) -> Self {
        Self::at(software.connection().to_string())
    }

    pub(crate) fn at(tcti: String) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), tcti }
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_nitrotpm-attester"))
            .current_dir(self.folder.path())
            .env("TCTI", &self.tcti)
            .env_remove("TSS2_LOG")
            .args(line.split_whitespace())
            .output()
            .unwrap()
    }

    pub(crate) fn good(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The exit code and what is said, which must be one line.
    pub(crate) fn refused(&self, line: &str) -> (i32, String) {
        let output = self.run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(output.stdout.is_empty());
        (output.status.code().unwrap(), said)
    }

    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_key_is_enrolled_by_files() {
    let software = SoftwareTpm::start();
    let bench = Bench::new(&software);
    let shown = bench.good("key create --algorithm p384 --out ak.json --public ak.pub");
    assert!(shown.contains("restricted") && shown.contains("name       000b"), "{shown}");
    for ek in ["rsa2048", "p256", "p384"] {
        bench.good(&format!("enrol request --key ak.json --ek {ek} --out request-{ek}.json"));
    }
    // What the EC2 API would give: here the request's own, which only a test may do.
    let request: serde_json::Value =
        serde_json::from_slice(&fs::read(bench.file("request-rsa2048.json")).unwrap()).unwrap();
    use base64::Engine as _;
    let endorsement_key =
        base64::engine::general_purpose::STANDARD.decode(request["ek_public"].as_str().unwrap()).unwrap();
    // The verifier's side, which needs no TPM and is not in this program.
    let trusted = EndorsementKey::parse(&endorsement_key[2..]).unwrap();
    let read = |name: &str| fs::read_to_string(bench.file(name)).unwrap();
    let challenge = |request: &str| {
        let request = EnrolmentRequest::from_json(&read(request)).unwrap();
        request.challenge(&trusted, None, &SystemRandom::new())
    };
    let (first, first_challenge) = challenge("request-rsa2048.json").unwrap();
    let (second, second_challenge) = challenge("request-rsa2048.json").unwrap();
    fs::write(bench.file("challenge-1.json"), first_challenge.to_json().unwrap()).unwrap();
    fs::write(bench.file("challenge-2.json"), second_challenge.to_json().unwrap()).unwrap();
    assert_eq!(challenge("request-p384.json").unwrap_err().code(), "credential.ek-mismatch");

    bench.good("enrol activate --key ak.json --challenge challenge-1.json --out answer-1.json");
    let answer = EnrolmentAnswer::from_json(&read("answer-1.json")).unwrap();
    assert_eq!(second.complete(&answer, None).unwrap_err().code(), "credential.answer", "a replayed answer");
    assert!(first.complete(&answer, None).is_ok());
    // An answer is never replaced, and a challenge is for one key.
    let (code, said) = bench.refused("enrol activate --key ak.json --challenge challenge-2.json --out answer-1.json");
    assert_eq!((code, said.contains("[attester.file]")), (4, true), "{said}");
    bench.good("key create --out other.json");
    let (code, said) =
        bench.refused("enrol activate --key other.json --challenge challenge-2.json --out answer-2.json");
    assert_eq!((code, said.contains("[attester.challenge-key]")), (3, true), "{said}");
    let (code, said) = bench.refused("enrol activate --key ak.json --challenge request-p384.json --out answer-2.json");
    assert_eq!((code, said.contains("[credential.schema]")), (3, true), "{said}");
    assert!(!bench.file("answer-2.json").exists());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn evidence_is_collected_into_a_file() {
    let software = SoftwareTpm::start();
    let bench = Bench::new(&software);
    bench.good("collect --no-document --nonce 00112233445566778899aabbccddeeff --no-ima-log --out evidence.json");
    let evidence: serde_json::Value = serde_json::from_slice(&fs::read(bench.file("evidence.json")).unwrap()).unwrap();
    assert_eq!(evidence["schema"], "nitrotpm.evidence/1");
    assert!(evidence["quotes"][0]["attest"].is_string() && evidence.get("document").is_none());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn quotes_and_values_are_written_as_tpm2_tools_read_them() {
    let software = SoftwareTpm::start();
    let bench = Bench::new(&software);
    bench.good("key create --algorithm rsa2048 --out ak.json");
    let before = bench.good("pcr read sha256:16");
    let digest = "11".repeat(32);
    bench.good(&format!("pcr extend 16 sha256:{digest}"));
    assert_ne!(bench.good("pcr read sha256:16"), before);
    bench
        .good("quote --key ak.json --nonce 0011 --select sha256:16 --attest a --signature s --pcrs p.json --ak ak.pub");
    let attest = fs::read(bench.file("a")).unwrap();
    assert!(attest.starts_with(&[0xFF, 0x54, 0x43, 0x47, 0x80, 0x18]));
    assert!(fs::read(bench.file("s")).unwrap().starts_with(&[0x00, 0x14, 0x00, 0x0B]));
    let pcrs: serde_json::Value = serde_json::from_slice(&fs::read(bench.file("p.json")).unwrap()).unwrap();
    assert!(bench.good("pcr read sha256:16").contains(pcrs["sha256"]["16"].as_str().unwrap()));
    assert!(bench.good("capabilities").contains("IBM"));
    assert_eq!(bench.good("random 40").trim().len(), 80);
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn failures_are_one_sentence_that_says_what_to_do() {
    let software = SoftwareTpm::start();
    let bench = Bench::new(&software);
    let cases = [
        ("--tcti device:/nonexistent/tpm capabilities", 4, "attester.no-tpm"),
        // Port 1 of this machine: nobody listens there.
        ("--tcti swtpm:host=127.0.0.1,port=1 capabilities", 4, "attester.unreachable"),
        ("--tcti swtpm:path=/run/x capabilities", 2, "attester.connection"),
        ("quote --key missing.json --nonce 00 --attest a --signature s", 4, "attester.file"),
        ("pcr read sha256:77", 2, "attester.selection"),
    ];
    for (line, code, reason) in cases {
        let (found, said) = bench.refused(line);
        assert_eq!(found, code, "{line}: {said}");
        assert!(said.contains(&format!("[{reason}]")), "{line}: {said}");
    }
    // Wrong usage is 2, as everywhere.
    assert_eq!(bench.run("collect").status.code(), Some(2));
    assert_eq!(bench.run("quote --key k --nonce xyz --attest a --signature s").status.code(), Some(2));
    assert!(!Path::new("/nonexistent").exists());
}

/// Evidence without an event log is told as such; with one there is nothing to tell.
#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn evidence_without_an_event_log_is_told() {
    let software = SoftwareTpm::start();
    let bench = Bench::new(&software);
    let collect = |more: &str| {
        let output = bench.run(&format!("collect --no-document --no-ima-log --out evidence.json {more}"));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(collect("--event-log /dev/null"), "");
    // Where this machine has one, it is in the evidence.
    let there = Path::new(nitrotpm_attester::EVENT_LOG).exists();
    let said = collect("");
    assert_eq!(said.contains("has no event log") && said.contains("securityfs"), !there, "{said}");
}

/// `nitrotpm-attester … | head` must not complain, a full disk must, and neither is a panic.
#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is() {
    let software = SoftwareTpm::start();
    let bench = Bench::new(&software);
    let run = |line: &str| {
        let output = Command::new("bash")
            .args(["-c", line, "bash", env!("CARGO_BIN_EXE_nitrotpm-attester")])
            .env("TCTI", &bench.tcti)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run("\"$1\" pcr read | true; exit ${PIPESTATUS[0]}"), (Some(0), String::new()));
    let (code, said) = run("\"$1\" pcr read > /dev/full");
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("standard output") && said.contains("[attester.file]"), "{said}");
    // A part of a file is not the file.
    let (code, said) = run("head -c 67108865 /dev/zero | \"$1\" pcr event 16 -");
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("64 MiB"), "{said}");
    assert_eq!(run("head -c 1000 /dev/zero | \"$1\" pcr event 16 -").0, Some(0));
}

#[test]
fn what_kms_encrypted_is_opened_from_base64_or_bytes() {
    use base64::Engine as _;
    let fixture = |name: &str| {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/kms-recipient").join(name)).unwrap()
    };
    let bench = Bench { folder: tempfile::tempdir().unwrap(), tcti: "device:/nonexistent".to_owned() };
    let answer = fixture("indefinite.der");
    fs::write(bench.file("key.der"), fixture("key.pkcs8.der")).unwrap();
    fs::write(bench.file("answer.der"), &answer).unwrap();
    let base64 = base64::engine::general_purpose::STANDARD.encode(&answer);
    fs::write(bench.file("answer.b64"), format!("{base64}\n")).unwrap();
    for name in ["answer.der", "answer.b64"] {
        bench.good(&format!("decrypt-recipient --key key.der --in {name} --out plain"));
        assert_eq!(fs::read(bench.file("plain")).unwrap(), fixture("plaintext.bin"));
        fs::remove_file(bench.file("plain")).unwrap();
    }
    bench.good("recipient-key --out other.pem --public other.der");
    let (code, said) = bench.refused("decrypt-recipient --key other.pem --in answer.der --out plain");
    assert_eq!((code, said.contains("[recipient.not-opened]")), (3, true), "{said}");
    assert!(!bench.file("plain").exists());
    // A key is never overwritten.
    let (code, said) = bench.refused("recipient-key --out other.pem --public other.der");
    assert_eq!((code, said.contains("[attester.file]")), (4, true), "{said}");
    assert!(said.contains("never replaced"), "{said}");
}
