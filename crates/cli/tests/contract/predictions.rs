//! `nitrotpm predict`, `policy new|kms`, `eventlog diff` and `explain`.

use nitrotpm_testkit::unified_kernel_image;
use serde_json::json;

use crate::{nitrotpm, nitrotpm_with_input};

fn image(command_line: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("web.efi");
    std::fs::write(&path, unified_kernel_image("252.39", command_line)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn a_prediction_has_values_events_and_reasons_for_what_it_does_not_know() {
    let (dir, path) = image("ro");
    let log = dir.path().join("predicted.bin");
    let prediction =
        nitrotpm(&format!("predict --image {path} --format json --event-log {}", log.display())).expect(0).json();
    assert_eq!(prediction["schema"], "nitrotpm.prediction/1");
    assert_eq!(prediction["pcrs"]["sha384"]["12"], "00".repeat(48));
    let events = prediction["events"].as_array().unwrap();
    for field in ["pcr", "type", "digests", "cause"] {
        assert!(events.iter().all(|event| event.get(field).is_some()), "{field}");
    }
    // The log that is written replays to the values that are printed.
    let replay = nitrotpm(&format!("eventlog replay {} --format json", log.display())).expect(0).json();
    for pcr in ["4", "7", "11"] {
        assert_eq!(replay["pcrs"]["sha384"][pcr], prediction["pcrs"]["sha384"][pcr], "PCR {pcr}");
    }
    // AWS's form has the same values.
    let aws = nitrotpm(&format!("predict --image {path} --format aws")).expect(0).json();
    assert_eq!(aws["Measurements"]["PCR4"], prediction["pcrs"]["sha384"]["4"]);
    assert!(nitrotpm(&format!("predict --image {path} --bank sha256")).expect(0).stdout.contains("PCR 0 is not known"));
}

#[test]
fn what_is_no_image_is_not_predicted() {
    let run = nitrotpm("predict --image {boot}/secure-boot-on/ak.pub --format json").expect(3);
    assert_eq!(run.json()["code"], "predict.not-pe");
    // Secure Boot under keys that did not sign the image: firmware would not start it, so there is nothing to predict.
    let (_dir, path) = image("ro");
    let keys = "{boot}/secure-boot-on/keys";
    let run = nitrotpm(&format!(
        "predict --image {path} --pk {keys}/PK.crt --kek {keys}/KEK.crt --db {keys}/db.crt \
         --owner 11111111-2222-3333-4444-555555555555 --format json"
    ))
    .expect(1);
    assert_eq!(run.json()["code"], "predict.refused");
    nitrotpm(&format!("predict --image {path} --uefi-data x --pk y")).expect(2);
}

#[test]
fn a_policy_made_from_an_image_is_one_that_lint_passes() {
    let (_dir, path) = image("ro");
    let policy = nitrotpm(&format!("policy new --name web --image {path}")).expect(0).stdout;
    nitrotpm_with_input("policy lint -", policy.as_bytes()).expect(0);
    // PCR 4 alone is refused, unless it is wanted by name.
    let alone = format!("policy new --name web --image {path} --pcr 4");
    assert!(nitrotpm(&alone).expect(1).stderr.contains("GHSA-xrv8-2pf5-f3q7"));
    assert!(nitrotpm(&format!("{alone} --accept-danger")).expect(0).stderr.contains("accepted"));
}

/// The condition keys, operator and values are those that AWS documents.
#[test]
fn a_kms_policy_names_principal_and_conditions_as_aws_does() {
    let (_dir, path) = image("ro");
    let principal = "arn:aws:iam::111122223333:role/Web";
    let kms = format!("policy kms --name web --image {path}");
    let policy = nitrotpm(&format!("{kms} --principal {principal}")).expect(0).json();
    let prediction = nitrotpm(&format!("predict --image {path} --format json")).expect(0).json();
    let statement = &policy["Statement"][0];
    assert_eq!(policy["Version"], "2012-10-17");
    assert_eq!(statement["Principal"], json!({ "AWS": principal }));
    assert_eq!(
        statement["Condition"],
        json!({ "StringEqualsIgnoreCase": {
            "kms:RecipientAttestation:NitroTPMPCR4": prediction["pcrs"]["sha384"]["4"],
            "kms:RecipientAttestation:NitroTPMPCR12": prediction["pcrs"]["sha384"]["12"],
        } })
    );
    assert_eq!(nitrotpm(&format!("{kms} --principal *")).expect(1).json()["code"], "predict.dangerous");
}

const HONEST: &str = "{boot}/secure-boot-off/eventlog.bin";
const TAMPERED: &str = "{boot}/tampered-command-line/eventlog.bin";

#[test]
fn a_tampered_boot_differs_first_in_its_command_line() {
    let report = nitrotpm(&format!("eventlog diff {HONEST} {TAMPERED} --format json")).expect(1).json();
    assert_eq!(report["schema"], "nitrotpm.eventlog-diff/1");
    assert_eq!(report["differences"][0]["cause"], "kernel-command-line");
    let registers: Vec<_> =
        report["differences"].as_array().unwrap().iter().map(|entry| entry["pcr"].as_u64().unwrap()).collect();
    assert_eq!(registers, [9, 11, 4]);
    assert!(nitrotpm(&format!("eventlog diff {HONEST} {HONEST}")).expect(0).stdout.contains("the same"));
    nitrotpm(&format!("eventlog diff {HONEST} {{boot}}/secure-boot-off/ak.pub")).expect(3);
}

#[test]
fn a_boot_is_explained_against_a_log_and_against_values() {
    let report = nitrotpm(&format!("explain --event-log {TAMPERED} --expect {HONEST} --format json")).expect(1).json();
    assert_eq!(report["schema"], "nitrotpm.explanation/1");
    let first = &report["reasons"][0];
    assert_eq!((&first["code"], &first["cause"]), (&json!("pcr.mismatch"), &json!("kernel-command-line")));
    assert_ne!(first["expected"], first["found"]);
    nitrotpm(&format!("explain --event-log {HONEST} --expect {HONEST}")).expect(0);

    // Against values alone: PCR 10 is not in the firmware's log, so only the registers of the boot are compared.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("expected.json");
    let replay = nitrotpm(&format!("eventlog replay {HONEST} --format json")).expect(0).json();
    std::fs::write(&path, json!({ "sha384": replay["pcrs"]["sha384"] }).to_string()).unwrap();
    let expect = format!("--expect {} --format json", path.display());
    nitrotpm(&format!("explain --event-log {HONEST} {expect}")).expect(0);
    let report = nitrotpm(&format!("explain --event-log {TAMPERED} {expect}")).expect(1).json();
    let mut registers: Vec<_> =
        report["reasons"].as_array().unwrap().iter().map(|reason| reason["pcr"].as_u64().unwrap()).collect();
    registers.sort_unstable();
    assert_eq!(registers, [4, 9, 11]);
    std::fs::write(&path, "{}x").unwrap();
    assert_eq!(nitrotpm(&format!("explain --event-log {HONEST} {expect}")).expect(3).json()["code"], "pcrs.malformed");
}
