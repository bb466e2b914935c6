//! The attack ledger's section P: mistakes in policies, and what evidence gets out of them.

use nitrotpm_pcr::{Bank, Digest, PcrValues};
use nitrotpm_verifier::{Outcome, Policy, PolicyError};

use crate::workbench::{BANKS, Boot, Case, Workbench, changed, image, index, only, outcome, policy, warnings};

const SHA384: Bank = Bank::Sha384;

#[track_caller]
fn unreadable(text: &str, code: &str) -> PolicyError {
    let error = Policy::from_toml(text.as_bytes()).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(PolicyError::CODES.contains(&code));
    error
}

/// A quote and a log, judged by these registers of the machine.
fn pinning(bench: &Workbench, pcrs: &[u8]) -> Case {
    let image = only(&bench.pcrs, |bank, pcr| bank == SHA384 && pcrs.contains(&pcr));
    bench.pinned().with(|case| case.policy = policy("quote = true", &image))
}

#[test]
fn p1_a_policy_without_pcr12_lets_a_command_line_be_appended_and_says_so() {
    // Without Secure Boot, somebody who can write to the boot partition appends init=/bin/sh (GHSA-xrv8-2pf5-f3q7).
    let honest = Workbench::with_boot(Boot::new(false, &BANKS));
    let appended = Workbench::with_boot(Boot::new(false, &BANKS).with_appended_command_line());
    let weak = pinning(&honest, &[4]);
    assert!(warnings(&weak.accept()).contains(&"policy.pcr4-without-pcr12"));
    let strong = pinning(&honest, &[4, 12]);
    assert!(warnings(&strong.accept()).is_empty());
    // The attack gets past the first policy, with the warning, and not past the second.
    let attack = |twin: &Case| appended.pinned().with(|case| case.policy.clone_from(&twin.policy));
    assert!(warnings(&attack(&weak).accept()).contains(&"policy.pcr4-without-pcr12"));
    let result = attack(&strong).refuse("pcr.mismatch");
    assert_eq!(result.reasons()[0].pcr, Some(12));
    // With Secure Boot demanded there is nothing to warn of.
    let bench = Workbench::new();
    assert!(!warnings(&pinning(&bench, &[4, 7]).accept()).contains(&"policy.pcr4-without-pcr12"));
}

#[test]
fn p2_a_policy_that_demands_nothing_is_an_error() {
    let schema = "schema = \"nitrotpm.policy/1\"\n";
    for (text, code) in [
        ("", "policy.malformed"),
        ("{}", "policy.malformed"),
        (schema, "policy.empty"),
        (&format!("{schema}name = \"x\"\n[require]\n"), "policy.empty"),
        (&format!("{schema}[require]\nquote = false\n"), "policy.empty"),
        (&format!("{schema}image = []\n"), "policy.empty"),
        (&format!("{schema}[require]\nmax_age_seconds = 300\n"), "policy.empty"),
        (&format!("{schema}[require]\ninstance_ids = [\"i-0123456789abcdef0\"]\n"), "policy.empty"),
        (&format!("{schema}[[image]]\nname = \"x\"\npcrs = {{}}\n"), "policy.image-without-pcrs"),
        (&format!("{schema}[[image]]\nname = \"x\"\npcrs.sha384 = {{}}\n"), "policy.image-without-pcrs"),
        (&format!("{schema}[[image]]\nname = \"x\"\n"), "policy.malformed"),
        (&format!("{schema}[require]\nqoute = true\n"), "policy.malformed"),
        (&format!("{schema}requires.quote = true\n"), "policy.malformed"),
    ] {
        unreadable(text, code);
    }
    let bench = Workbench::new();
    let twin = bench.pinned().with(|case| case.policy = format!("{schema}[require]\nquote = true\n"));
    // The verdict says which rules ran and which were not asked for.
    let result = twin.accept();
    assert_eq!(outcome(&result, "policy.quote"), Some(Outcome::Pass));
    for id in ["policy.document", "policy.event_log", "policy.secure_boot", "policy.instance", "policy.image"] {
        assert_eq!(outcome(&result, id), Some(Outcome::NotApplicable), "{id}");
    }
    let full = bench.pinned().accept();
    for id in ["policy.quote", "policy.event_log", "policy.image"] {
        assert_eq!(outcome(&full, id), Some(Outcome::Pass), "{id}");
    }
}

/// Values without their keys are no second way to write a policy or evidence: which is which would hang on the order in a
/// source, and keys that nobody knows could not be refused.
#[test]
fn p2_values_without_their_keys_are_errors() {
    let schema = "schema = \"nitrotpm.policy/1\"\n";
    let good = format!("{schema}[require]\nquote = true\n");
    assert!(Policy::from_toml(good.as_bytes()).is_ok());
    let value = "ab".repeat(48);
    for text in [
        format!("{schema}require = [false, true]\n"),
        format!("{schema}image = [[\"x\", {{ sha384 = {{ 4 = \"{value}\" }} }}]]\n"),
        format!("{schema}require.quote = true\nrevocations = [[], true]\n"),
    ] {
        unreadable(&text, "policy.malformed");
    }

    let bench = Workbench::new();
    let twin = bench.pinned();
    twin.accept();
    let json: serde_json::Value = serde_json::from_slice(&twin.evidence.to_json()).unwrap();
    let fields = ["schema", "document", "ak_public", "ek_public", "quotes", "pcrs", "event_log", "ima_log"];
    let whole: Vec<_> = fields.iter().map(|field| json.get(field).cloned().unwrap_or_default()).collect();
    let mut quotes = json.clone();
    for quote in quotes["quotes"].as_array_mut().unwrap() {
        *quote = serde_json::json!([quote["attest"], quote["signature"]]);
    }
    for (what, evidence) in [("whole", serde_json::json!(whole)), ("quotes", quotes)] {
        let result = twin.judge_bytes(evidence.to_string().as_bytes());
        let codes: Vec<_> = result.reasons().iter().map(|reason| reason.code).collect();
        assert_eq!(codes, ["evidence.malformed"], "{what}");
    }
}

#[test]
fn p3_registers_that_tell_nothing_of_the_image_are_warned_of() {
    let bench = Workbench::new();
    assert!(warnings(&pinning(&bench, &[4, 7, 12]).accept()).is_empty());
    assert_eq!(warnings(&pinning(&bench, &[0]).accept()), ["policy.platform-pcrs-only"]);
    let both = warnings(&pinning(&bench, &[0, 1]).accept());
    assert_eq!(both, ["policy.platform-pcrs-only", "policy.unstable-pcr"]);
    // PCR 7 of every machine whose Secure Boot is off.
    let off = Workbench::with_boot(Boot::new(false, &BANKS));
    let pcr7 = warnings(&pinning(&off, &[7]).accept());
    let constant = off.pcrs.get(SHA384, index(7)).unwrap().to_string().starts_with("98441c7f7625d100");
    assert!(constant, "the workbench measures Secure Boot off as EC2 does");
    assert_eq!(pcr7, ["policy.pcr7-secure-boot-off"]);
}

#[test]
fn p3_registers_that_software_resets_are_an_error() {
    let bench = Workbench::new();
    for pcr in [16, 23] {
        let text = pinning(&bench, &[4, pcr]).policy;
        let error = unreadable(&text, "policy.resettable-pcr");
        assert!(error.to_string().contains(&format!("PCR {pcr}")), "{error}");
    }
    pinning(&bench, &[4, 12, 17]).accept();
}

#[test]
fn p4_zeros_are_expected_by_name_only_and_never_of_firmware() {
    let bench = Workbench::new();
    let twin = pinning(&bench, &[4, 12]);
    assert!(bench.pcrs.get(SHA384, index(12)).unwrap().is_zero());
    twin.accept();
    for pcr in 0..8 {
        let zero = changed(&bench.image_pcrs(), SHA384, pcr, Some(Digest::zero(SHA384)));
        unreadable(&policy("quote = true", &zero), "policy.zero-pcr");
    }
    // Registers all zero, as of a machine in debug mode: no match for an image that does not name zeros.
    let zeros: PcrValues =
        (0..24).fold(PcrValues::new(), |zeros, pcr| changed(&zeros, SHA384, pcr, Some(Digest::zero(SHA384))));
    let debug = twin.with(|case| {
        case.evidence.quotes = vec![bench.quote_of(&zeros, |_| ())];
        case.evidence.pcrs = zeros;
        case.evidence.event_log = None;
    });
    let result = debug.refuse("pcr.mismatch");
    assert_eq!(result.reasons().iter().map(|reason| reason.pcr).collect::<Vec<_>>(), [Some(4)]);
    // And a register that the image does not name is no zero.
    let appended = Workbench::with_boot(Boot::new(true, &BANKS).with_appended_command_line());
    appended.pinned().with(|case| case.policy.clone_from(&twin.policy)).refuse("pcr.mismatch");
}

#[test]
fn p5_images_are_matched_as_a_whole() {
    // PCR 4 of one accepted image and PCR 12 of another.
    let (a, b) = (Workbench::new(), Workbench::with_boot(Boot::new(false, &BANKS).with_appended_command_line()));
    let seven = |bench: &Workbench| *bench.pcrs.get(SHA384, index(7)).unwrap();
    let twelve = |bench: &Workbench| *bench.pcrs.get(SHA384, index(12)).unwrap();
    assert!(seven(&a) != seven(&b) && twelve(&a) != twelve(&b));
    let of = |bench: &Workbench| only(&bench.pcrs, |bank, pcr| bank == SHA384 && [7, 12].contains(&pcr));
    let text = format!("{}{}", policy("quote = true", &of(&a)), image("the other", "", &of(&b)));
    let judged = |bench: &Workbench| bench.pinned().with(|case| case.policy.clone_from(&text));
    assert_eq!(judged(&a).accept().image().unwrap().name, "the image");
    assert_eq!(judged(&b).accept().image().unwrap().name, "the other");
    let mixed = Workbench::with_boot(Boot::new(true, &BANKS).with_appended_command_line());
    assert!(seven(&mixed) == seven(&a) && twelve(&mixed) == twelve(&b));
    let result = judged(&mixed).refuse("pcr.mismatch");
    let [reason] = result.reasons() else { panic!("{}", result.to_json()) };
    // The nearest image is the one that is explained, with what was expected and found.
    assert_eq!((reason.pcr, reason.bank, reason.image.as_deref()), (Some(12), Some("sha384"), Some("the image")));
    assert_eq!(reason.expected, Some(twelve(&a).to_string()));
    assert_eq!(reason.found, Some(twelve(&b).to_string()));
}

#[test]
fn p6_where_reference_values_come_from_is_in_the_verdict() {
    let bench = Workbench::new();
    let from = |provenance: &str| {
        let text = policy("quote = true", &bench.image_pcrs());
        let text = text.replace("name = \"the image\"", &format!("name = \"the image\"\n{provenance}"));
        bench.pinned().with(|case| case.policy = text)
    };
    for (line, name, warned) in [
        ("", "unstated", false),
        ("provenance = \"predicted\"", "predicted", false),
        ("provenance = \"captured\"", "captured", true),
    ] {
        let result = from(line).accept();
        assert_eq!(result.image().unwrap().provenance, name);
        assert_eq!(warnings(&result).contains(&"image.captured"), warned);
    }
    unreadable(&from("provenance = \"trusted\"").policy, "policy.malformed");
}

#[test]
fn p7_an_altered_policy_is_another_one_in_the_verdict() {
    let bench = Workbench::new();
    let twin = bench.pinned();
    let digest = |case: &Case| {
        let result: serde_json::Value = serde_json::from_str(&case.judge().to_json()).unwrap();
        result["policy_sha256"].as_str().unwrap().to_owned()
    };
    let altered = twin.with(|case| case.policy = case.policy.replace("event_log = true\n", ""));
    altered.accept();
    assert_ne!(digest(&twin), digest(&altered));
    assert_eq!(digest(&twin), digest(&twin.clone()));
}

#[test]
fn p8_an_image_that_was_good_is_refused() {
    let bench = Workbench::new();
    let pcrs = bench.image_pcrs();
    let elsewhere = changed(&pcrs, SHA384, 4, Some(nitrotpm_digest_lanes::hash(SHA384, &[b"another image"])));
    let text = |require: &str, ours: &str| {
        let ours = image("ours", ours, &pcrs);
        format!(
            "schema = \"nitrotpm.policy/1\"\n[require]\nquote = true\n{require}\n{ours}{}",
            image("newer", "build = 9", &elsewhere)
        )
    };
    let judged = |require: &str, ours: &str| bench.pinned().with(|case| case.policy = text(require, ours));
    let result = judged("", "build = 7").accept();
    assert_eq!(result.image().unwrap().build, Some(7));
    judged("minimum_build = 7", "build = 7").accept();
    let result = judged("minimum_build = 8", "build = 7").refuse("image.build-too-old");
    assert_eq!(result.reasons()[0].image.as_deref(), Some("ours"));
    let result = judged("", "build = 7\nrevoked = \"CVE-2026-1\"").refuse("image.revoked");
    assert!(result.reasons()[0].message.contains("CVE-2026-1"));
    // Under another name the revoked values stay revoked.
    let again = image("ours again", "build = 7", &pcrs);
    let twice = judged("", "build = 7\nrevoked = \"CVE-2026-1\"").with(|case| case.policy.push_str(&again));
    twice.refuse("image.revoked");
    unreadable(&text("minimum_build = 8", ""), "policy.build-missing");
    unreadable(&text("minimum_build = 10", "build = 7"), "policy.nothing-acceptable");
}

#[test]
fn p9_a_policy_is_data_and_bounded() {
    let bench = Workbench::new();
    let good = bench.pinned().policy;
    assert!(Policy::from_toml(good.as_bytes()).is_ok());
    for script in ["rego = \"allow = true\"", "script = \"while true\"", "include = \"/etc/passwd\""] {
        unreadable(&format!("{script}\n{good}"), "policy.malformed");
    }
    unreadable(&format!("{good}#{}", " ".repeat(Policy::MAX_LEN)), "policy.too-large");
    unreadable(&format!("{good}{}", image("the image", "", &bench.image_pcrs())), "policy.duplicate-image");
    unreadable(&good.replace("quote = true", "quote = true\nquote = true"), "policy.malformed");
    // Deep nesting ends in an error, not in a stack that overflows.
    unreadable(&format!("{good}\nx = {}", "[".repeat(200_000)), "policy.malformed");
}
