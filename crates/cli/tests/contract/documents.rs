//! `nitrotpm document`, on documents of an issuer of our own.

use nitrotpm_document_issuer::{DocumentContents, Issuer};
use nitrotpm_pcr::{Bank, Digest, PcrIndex, PcrValues};

use crate::{Run, nitrotpm};

/// 2026-11-24T12:00:00Z.
const MADE: u64 = 1_795_521_600;

struct Sample {
    dir: tempfile::TempDir,
}

impl Sample {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut issuer = Issuer::new("eu-central-1", MADE).unwrap();
        let mut pcrs = PcrValues::new();
        for index in PcrIndex::all() {
            pcrs.insert(index, Digest::new(Bank::Sha384, &[index.get(); 48]).unwrap()).unwrap();
        }
        let contents = DocumentContents {
            module_id: "i-0123456789abcdef0-tpm0000000000000000".to_owned(),
            timestamp_millis: MADE * 1000 + 437,
            pcrs,
            public_key: None,
            user_data: Some(b"user data".to_vec()),
            nonce: Some(vec![7; 32]),
        };
        std::fs::write(dir.path().join("document.cbor"), issuer.issue(&contents).unwrap()).unwrap();
        std::fs::write(dir.path().join("root.pem"), issuer.root_pem()).unwrap();
        Self { dir }
    }

    fn run(&self, arguments: &str) -> Run {
        let dir = self.dir.path().to_str().unwrap();
        nitrotpm(&arguments.replace("{dir}", dir))
    }
}

const VERIFY: &str = "document verify {dir}/document.cbor --trust-root {dir}/root.pem --at 2026-11-24T12:30:00Z";

#[test]
fn a_document_is_affirmed_under_the_root_that_was_given() {
    let sample = Sample::new();
    let nonce = "07".repeat(32);
    let report = sample.run(&format!("{VERIFY} --nonce {nonce} --format json")).expect(0).json();
    assert_eq!(report["schema"], "nitrotpm.document/1");
    assert_eq!(report["verdict"], "affirmed");
    assert_eq!(report["module_id"], "i-0123456789abcdef0-tpm0000000000000000");
    assert_eq!(report["timestamp"], MADE * 1000 + 437);
    assert_eq!(report["digest"], "SHA384");
    assert_eq!(report["pcrs"]["sha384"]["23"], "17".repeat(48));
    assert_eq!(report["public_key"], serde_json::Value::Null);
    assert_eq!(report["user_data"], "757365722064617461");
    assert_eq!(report["nonce"], nonce);
    let certificates = report["certificates"].as_array().unwrap();
    assert_eq!(certificates.len(), 5);
    for field in ["subject", "not_before", "not_after", "sha256"] {
        assert!(certificates[4][field].is_string(), "{field}");
    }
    assert!(sample.run(VERIFY).expect(0).stdout.starts_with("affirmed"));
}

#[test]
fn a_document_is_invalid_without_its_root_its_time_or_its_nonce() {
    let sample = Sample::new();
    let at = "--at 2026-11-24T12:30:00Z";
    for (arguments, code) in [
        (format!("document verify {{dir}}/document.cbor {at}"), "document.chain-root"),
        (VERIFY.replace("12:30", "15:30"), "document.certificate-expired"),
        (VERIFY.replace("12:30", "11:30"), "document.certificate-not-yet-valid"),
        (format!("{VERIFY} --nonce 0707"), "document.nonce"),
    ] {
        let report = sample.run(&format!("{arguments} --format json")).expect(3).json();
        assert_eq!(report["verdict"], "invalid");
        assert_eq!(report["reasons"][0]["code"], code);
        assert!(report.get("pcrs").is_none(), "what is not authentic is not shown as fact");
    }
}

#[test]
fn showing_a_document_gives_no_verdict() {
    let sample = Sample::new();
    let report = sample.run("document show {dir}/document.cbor --format json").expect(0).json();
    assert!(report.get("verdict").is_none());
    assert_eq!(report["unverified"]["module_id"], "i-0123456789abcdef0-tpm0000000000000000");
    assert!(sample.run("document show {dir}/document.cbor").expect(0).stdout.contains("not verified"));
    let run = sample.run("document show {dir}/root.pem --format json").expect(3);
    assert_eq!(run.json()["schema"], "nitrotpm.error/1");
}

#[test]
fn a_root_that_is_none_is_wrong_usage() {
    let sample = Sample::new();
    sample.run("document verify {dir}/document.cbor --trust-root {dir}/document.cbor").expect(2);
}

/// The message that asks for PEM or DER takes both.
#[test]
fn a_root_may_be_der() {
    use base64::Engine as _;
    let sample = Sample::new();
    let pem = std::fs::read_to_string(sample.dir.path().join("root.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let mut der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let path = sample.dir.path().join("root.der");
    std::fs::write(&path, &der).unwrap();
    let verify = VERIFY.replace("root.pem", "root.der");
    sample.run(&verify).expect(0);
    der.pop();
    std::fs::write(&path, &der).unwrap();
    let run = sample.run(&format!("{verify} --format json")).expect(2);
    assert_eq!(run.json()["code"], "usage.trust-root");
}

/// `--nonce` and `--no-nonce` are those of the other verifications.
#[test]
fn that_no_nonce_is_checked_may_be_said() {
    let sample = Sample::new();
    let report = |more: &str| sample.run(&format!("{VERIFY} --format json {more}"));
    assert_eq!(report("--no-nonce").expect(0).stdout, report("").expect(0).stdout);
    assert_eq!(report("--no-nonce").json()["nonce_checked"], false);
    report("--no-nonce --nonce 00").expect(2);
}
