//! The verifier's side of an enrolment, by files. The TPM's side is played by who knows the secret; the whole way with a
//! TPM is `docs/examples/enrol-without-aws`.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nitrotpm_credential::{CandidateKey, EndorsementKey, EnrolmentRequest};
use nitrotpm_testkit::SoftwareKey;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Run, nitrotpm};

struct Bench {
    folder: TempDir,
    ek: SoftwareKey,
}

impl Bench {
    /// A request and the endorsement key that it names, in files.
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap(), ek: SoftwareKey::p384() };
        let ek = EndorsementKey::from_public_key(&bench.ek.public_key()).unwrap();
        let ak = CandidateKey::from_public(SoftwareKey::p256().attestation_area()).unwrap();
        fs::write(bench.file("request.json"), EnrolmentRequest::new(ek, ak).to_json().unwrap()).unwrap();
        fs::write(bench.file("ek.der"), bench.ek.public_key().to_spki_der()).unwrap();
        bench
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a line in which `@name` stands for a file of this bench.
    fn run(&self, line: &str) -> Run {
        nitrotpm(&line.replace('@', &format!("{}/", self.folder.path().display())))
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.file(name)).unwrap()).unwrap()
    }

    /// A challenge whose secret is known, in place of the one that only a TPM would open.
    fn challenge(&self, pending: &str, secret: &[u8]) {
        self.run(&format!(
            "enrol challenge --request @request.json --ek @ek.der --instance-id i-0123456789abcdef0 --pending @{pending} \
             --out @challenge.json"
        ))
        .expect(0);
        let mut kept = self.json(pending);
        kept["answer_sha256"] = sha256(secret).into();
        fs::write(self.file(pending), kept.to_string()).unwrap();
    }

    fn answer(&self, name: &str, secret: &[u8]) {
        let answer = json!({"schema": "nitrotpm.enrolment-answer/1", "secret": STANDARD.encode(secret)});
        fs::write(self.file(name), answer.to_string()).unwrap();
    }
}

fn sha256(bytes: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn e3_a_challenge_is_used_once_whatever_the_answer() {
    let bench = Bench::new();
    bench.challenge("pending.json", b"the secret");
    assert_eq!(bench.json("challenge.json")["schema"], "nitrotpm.enrolment-challenge/1");
    #[cfg(unix)]
    assert_eq!(mode(&bench.file("pending.json")), 0o600);
    bench.answer("wrong.json", b"another secret");
    bench.answer("right.json", b"the secret");
    let complete = |answer: &str| {
        bench.run(&format!("enrol complete --pending @pending.json --answer @{answer} --out @record.json"))
    };
    // A name mistyped uses nothing up; a wrong answer does, also for the right one that comes after it.
    let run = complete("missing.json").expect(4);
    assert!(run.stderr.contains("missing.json"), "{}", run.stderr);
    let run = complete("wrong.json").expect(3);
    assert!(run.stderr.contains("make a new one"), "{}", run.stderr);
    let run = complete("right.json").expect(4);
    assert!(run.stderr.contains("challenge again"), "{}", run.stderr);
    assert!(!bench.file("record.json").exists());

    bench.challenge("pending.json", b"the secret");
    complete("right.json").expect(0);
    let record = bench.json("record.json");
    assert_eq!(
        (&record["schema"], &record["instance_id"]),
        (&json!("nitrotpm.enrolment/1"), &json!("i-0123456789abcdef0"))
    );
    assert!(record["enrolled_at"].is_string());
    let mut left: Vec<_> = fs::read_dir(bench.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort_unstable();
    assert_eq!(left, ["challenge.json", "ek.der", "record.json", "request.json", "right.json", "wrong.json"]);

    // A record is never replaced, and the challenge is then still good for another name.
    bench.challenge("pending.json", b"the secret");
    let run = complete("right.json").expect(4);
    assert!(run.stderr.contains("never replaced"), "{}", run.stderr);
    bench.run("enrol complete --pending @pending.json --answer @right.json --out @other.json").expect(0);
}

/// A document whose values stand in a list, in the order of the fields: the same document is accepted with their names.
#[test]
fn a_document_without_the_names_of_its_fields_is_none() {
    let bench = Bench::new();
    let challenge = |request: &str, n: u8| {
        bench.run(&format!("enrol challenge --request @{request} --ek @ek.der --pending @p{n} --out @c{n}"))
    };
    challenge("request.json", 1).expect(0);
    let request = bench.json("request.json");
    let list = json!([request["schema"], request["ek_public"], request["ak_public"]]);
    fs::write(bench.file("list.json"), list.to_string()).unwrap();
    let run = challenge("list.json", 2).expect(3);
    assert!(run.stderr.contains("it is a JSON array"), "{}", run.stderr);
}

/// What a record is not is said once.
#[test]
fn a_file_that_is_no_record_is_told_in_one_sentence() {
    let bench = Bench::new();
    fs::write(bench.file("bytes"), [0xff, 0xfe]).unwrap();
    let verify = "verify {boot}/secure-boot-on/evidence.json --policy {boot}/secure-boot-on/policy.toml --no-nonce";
    for (record, said) in [
        ("{boot}/secure-boot-on/evidence.json", "the enrolment record is malformed: it has"),
        ("@bytes", "the enrolment record is not text"),
        ("@request.json", "nitrotpm.enrolment/1"),
    ] {
        let run = bench.run(&format!("{verify} --enrolment {record}")).expect(2);
        assert!(run.stderr.contains(said), "{}", run.stderr);
        let words = run.stderr.replace("[enrolment.malformed]", "");
        assert!(words.matches("malformed").count() <= 1, "{}", run.stderr);
    }
}

#[test]
fn e1_only_the_trusted_endorsement_key_is_challenged() {
    let bench = Bench::new();
    let challenge = |request: &str, ek: &str| {
        bench.run(&format!(
            "enrol challenge --request @{request} --ek @{ek} --pending @pending.json --out @challenge.json"
        ))
    };
    fs::write(bench.file("other.der"), SoftwareKey::p384().public_key().to_spki_der()).unwrap();
    fs::write(bench.file("rubbish"), [0xFF; 70]).unwrap();
    let mut request = bench.json("request.json");
    request["more"] = 1.into();
    fs::write(bench.file("more.json"), request.to_string()).unwrap();
    for (request, ek, words) in [
        ("request.json", "other.der", "another endorsement key"),
        ("request.json", "rubbish", "rubbish"),
        ("request.json", "request.json", "request.json"),
        ("more.json", "ek.der", "malformed"),
        ("ek.der", "ek.der", "malformed"),
    ] {
        let run = challenge(request, ek).expect(3);
        assert!(run.stderr.contains(words) && run.stdout.is_empty(), "{request} {ek}: {}", run.stderr);
        assert!(!bench.file("pending.json").exists() && !bench.file("challenge.json").exists(), "{request} {ek}");
    }
    challenge("request.json", "ek.der").expect(0);
    // What is pending is never replaced: the challenge that belongs to it may be on its way.
    let run = challenge("request.json", "ek.der").expect(4);
    assert!(run.stderr.contains("never replaced"), "{}", run.stderr);
    // A challenge that cannot be written leaves nothing pending.
    bench
        .run("enrol challenge --request @request.json --ek @ek.der --pending @new.json --out @no/such/folder/challenge.json")
        .expect(4);
    assert!(!bench.file("new.json").exists());
    bench.run("enrol challenge --request @request.json --ek @ek.der --instance-id i-x --pending @n --out @c").expect(2);
}
