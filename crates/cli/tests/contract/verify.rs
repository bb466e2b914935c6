//! `nitrotpm verify`.

use crate::{boots, nitrotpm, nitrotpm_with_input, nonce};

/// The arguments that affirm a boot of the fixtures.
fn affirm(boot: &str) -> String {
    format!("verify {{boot}}/{boot}/evidence.json {}", with(boot))
}

/// The same without the evidence.
fn with(boot: &str) -> String {
    format!("--policy {{boot}}/{boot}/policy.toml --trust-ak {{boot}}/{boot}/ak.pub --nonce {}", nonce(boot))
}

/// The tampered boot against the policy of its honest twin.
fn tampered() -> String {
    let boot = "tampered-command-line";
    format!(
        "verify {{boot}}/{boot}/evidence.json --policy {{boot}}/secure-boot-off/policy.toml \
         --trust-ak {{boot}}/{boot}/ak.pub --nonce {}",
        nonce(boot)
    )
}

#[test]
fn a_good_boot_is_affirmed() {
    for boot in ["secure-boot-off", "secure-boot-on"] {
        let run = nitrotpm(&affirm(boot)).expect(0);
        assert!(run.stdout.starts_with("affirmed"), "{}", run.stdout);
        assert_eq!(run.stderr, "", "a run that has nothing to complain of is quiet");
        assert!(!run.stdout.contains('\u{1b}'), "no colour in a pipe");

        let run = nitrotpm(&format!("{} --format json", affirm(boot))).expect(0);
        let result = run.json();
        assert_eq!(result["schema"], "nitrotpm.result/1");
        assert_eq!(result["verdict"], "affirmed");
        assert_eq!(result["reasons"], serde_json::json!([]));
        assert_eq!(result["claims"]["ak_binding"], "pinned");
        assert_eq!(result["claims"]["secure_boot"], if boot == "secure-boot-on" { "enabled" } else { "disabled" });
        assert_eq!(result["pcrs"]["sha384"]["4"].as_str().unwrap().len(), 96);
        assert_eq!(result["evidence_sha256"].as_str().unwrap().len(), 64);
        assert_eq!(result["policy_sha256"].as_str().unwrap().len(), 64);
        let checks = result["checks"].as_array().unwrap();
        assert!(checks.iter().all(|check| check["outcome"] != "fail"));
        assert!(checks.iter().any(|check| check["id"] == "quote.signature" && check["outcome"] == "pass"));
        assert!(checks.iter().any(|check| check["id"] == "event_log.replay" && check["outcome"] == "pass"));
    }
}

#[test]
fn a_tampered_boot_is_refused_with_the_registers_that_differ() {
    let result = nitrotpm(&format!("{} --format json", tampered())).expect(1).json();
    assert_eq!(result["verdict"], "refused");
    let reasons = result["reasons"].as_array().unwrap();
    let registers: Vec<_> = reasons.iter().map(|reason| reason["pcr"].as_u64().unwrap()).collect();
    assert_eq!(registers, [4, 9, 11]);
    for reason in reasons {
        assert_eq!(reason["code"], "pcr.mismatch");
        assert_eq!(reason["bank"], "sha384");
        assert_ne!(reason["expected"], reason["found"]);
    }
}

#[test]
fn evidence_that_is_not_authentic_is_invalid() {
    let off = affirm("secure-boot-off");
    let other_nonce = off.replace(&nonce("secure-boot-off"), &nonce("secure-boot-on"));
    let other_key = off.replace("secure-boot-off/ak.pub", "secure-boot-on/ak.pub");
    for (arguments, code) in [(other_nonce, "quote.nonce"), (other_key, "quote.key-untrusted")] {
        let result = nitrotpm(&format!("{arguments} --format json")).expect(3).json();
        assert_eq!(result["verdict"], "invalid");
        assert_eq!(result["reasons"][0]["code"], code);
        assert_eq!(result["pcrs"], serde_json::json!({}));
        assert_eq!(result["checks"].as_array().unwrap().last().unwrap()["outcome"], "fail");
    }
    let run = nitrotpm_with_input(&format!("verify - {} --format json", with("secure-boot-off")), b"{").expect(3);
    assert_eq!(run.json()["reasons"][0]["code"], "evidence.malformed");
}

#[test]
fn the_same_inputs_and_time_give_the_same_bytes() {
    let arguments = format!("{} --at 2026-11-24T12:00:00Z --format json", tampered());
    let (first, second) = (nitrotpm(&arguments).expect(1), nitrotpm(&arguments).expect(1));
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(first.json()["at"], "2026-11-24T12:00:00Z");
    assert_eq!(first.json()["time_mode"], "audit");
}

#[test]
fn evidence_comes_from_standard_input_too() {
    let evidence = std::fs::read(boots().join("secure-boot-on/evidence.json")).unwrap();
    nitrotpm_with_input(&format!("verify - {}", with("secure-boot-on")), &evidence).expect(0);
}

#[test]
fn several_files_give_an_array_in_order_and_the_worst_exit_code() {
    let with = with("secure-boot-off");
    let files = "{boot}/secure-boot-off/evidence.json {boot}/secure-boot-on/evidence.json";
    let results = nitrotpm(&format!("verify {files} {with} --format json")).expect(3).json();
    assert_eq!(results[0]["verdict"], "affirmed");
    assert_eq!(results[1]["verdict"], "invalid");

    let run = nitrotpm(&format!("verify {files} {{boot}}/none.json {with} --format json")).expect(4);
    assert_eq!(run.json()[2]["code"], "file.read");
    assert!(run.stderr.contains("none.json"));
}

/// A PEM key carries no TPM attributes: it can be pinned, and the result says that they are unknown.
#[test]
fn a_key_pinned_as_der_is_used_and_its_attributes_are_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let area = std::fs::read(boots().join("secure-boot-on/ak.pub")).unwrap();
    let key = nitrotpm_quote::AttestationKey::parse(&area).unwrap();
    let der = dir.path().join("ak.der");
    std::fs::write(&der, key.public_key().to_spki_der()).unwrap();
    let arguments = affirm("secure-boot-on").replace("{boot}/secure-boot-on/ak.pub", der.to_str().unwrap());
    let result = nitrotpm(&format!("{arguments} --format json")).expect(0).json();
    assert_eq!(result["claims"]["ak_attributes"], "unknown");
    let warnings = result["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|warning| warning["code"] == "quote.key-attributes-unknown"));
}

/// An enrolment record vouches for its key, and for no endorsement key but its own.
#[test]
fn an_enrolment_record_vouches_for_its_pair_of_keys() {
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read(boots().join(name)).unwrap();
    let record = |ek: &str| {
        let json = serde_json::json!({
            "schema": "nitrotpm.enrolment/1",
            "ak_public": base64(&read("secure-boot-on/ak.pub")),
            "ek_public": base64(&read(ek)),
            "instance_id": "i-0123456789abcdef0",
        });
        let path = dir.path().join("record.json");
        std::fs::write(&path, json.to_string()).unwrap();
        affirm("secure-boot-on").replace(
            "--trust-ak {boot}/secure-boot-on/ak.pub",
            &format!("--format json --enrolment {}", path.to_str().unwrap()),
        )
    };
    let result = nitrotpm(&record("secure-boot-on/ek.pub")).expect(0).json();
    assert_eq!(result["claims"]["ak_binding"], "enrolled");
    assert_eq!(result["claims"]["instance_id"], "i-0123456789abcdef0");
    let result = nitrotpm(&record("secure-boot-off/ek.pub")).expect(3).json();
    assert_eq!(result["reasons"][0]["code"], "enrolment.ek-mismatch");
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What is packed from the parts is, byte for byte, what the fixtures' own script wrote.
#[test]
fn packing_the_parts_gives_the_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("evidence.json");
    let boot = "{boot}/secure-boot-on";
    nitrotpm(&format!(
        "evidence pack --ak {boot}/ak.pub --ek {boot}/ek.pub --pcrs {boot}/pcrs.json --event-log {boot}/eventlog.bin \
         --ima-log {boot}/ima.bin --attest {boot}/quote-rsa-all.msg --signature {boot}/quote-rsa-all.sig \
         --attest {boot}/quote-rsa-sha384.msg --signature {boot}/quote-rsa-sha384.sig --out {}",
        out.display()
    ))
    .expect(0);
    let packed = std::fs::read(&out).unwrap();
    assert_eq!(packed, std::fs::read(boots().join("secure-boot-on/evidence.json")).unwrap());

    let shown = nitrotpm(&format!("evidence show {} --format json", out.display())).expect(0).json();
    assert_eq!(shown["unverified"]["quotes"].as_array().unwrap().len(), 2);
    assert!(shown.get("verdict").is_none());
    nitrotpm(&format!("evidence show {}", out.display())).expect(0);
}
