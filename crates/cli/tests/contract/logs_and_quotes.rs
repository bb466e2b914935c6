//! `nitrotpm eventlog` and `nitrotpm quote`.

use std::fs;

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

    let text = nitrotpm("eventlog show {boot}/secure-boot-on/eventlog.bin --pcr 7").expect(0).stdout;
    assert!(text.contains("SecureBoot") && !text.contains("EV_EFI_GPT_EVENT"), "{text}");
    assert_eq!(nitrotpm("eventlog show {boot}/secure-boot-on/ak.pub").expect(3).stdout, "");
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
