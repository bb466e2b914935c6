//! `nitrotpm policy`, and what `verify` says with the policies that come of it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{boots, nitrotpm, nonce};

const HONEST: &str = "secure-boot-off";
const TAMPERED: &str = "tampered-command-line";
const ROLE: &str = "arn:aws:iam::111122223333:role/Web";

/// A folder with one file in it.
fn file(name: &str, content: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    (dir, path)
}

/// Verifies a boot of the fixtures at a fixed time.
fn verify(boot: &str, policy: &Path, more: &str) -> crate::Run {
    nitrotpm(&format!(
        "verify {{boot}}/{boot}/evidence.json --policy {} --trust-ak {{boot}}/{boot}/ak.pub --nonce {} \
         --at 2026-11-26T12:00:00Z --format json {more}",
        policy.display(),
        nonce(boot)
    ))
}

/// The policy of the image of an honest boot, as `policy new --image` makes it: the prediction is that of this image.
fn predicted() -> String {
    nitrotpm(&format!(
        "policy new --name web-41 --prediction web-41={{boot}}/{HONEST}/prediction.json --require quote --require event-log"
    ))
    .expect(0)
    .stdout
}

#[test]
fn a_policy_of_the_image_affirms_its_boot_and_refuses_the_tampered_one_with_the_cause() {
    let (_dir, path) = file("web.toml", &predicted());
    verify(HONEST, &path, "").expect(0);
    let reference = format!("--reference web-41={{boot}}/{HONEST}/prediction.json");
    let result = verify(TAMPERED, &path, &reference).expect(1).json();
    let first = &result["reasons"][0];
    assert_eq!((&first["code"], &first["cause"]), (&json!("pcr.mismatch"), &json!("kernel-command-line")));
    assert_eq!((&first["pcr"], &first["reference"]), (&json!(4), &json!("web-41")));
    assert!(first["message"].as_str().unwrap().contains("has `init=/bin/sh` added"), "{first}");
    assert!(first["check"].as_str().is_some() && first["event"].as_u64().is_some());
    let differing: Vec<_> = first["differences"].as_array().unwrap().iter().map(|entry| entry["pcr"].clone()).collect();
    assert_eq!(differing, [9, 11, 4]);
    assert_ne!(first["differences"][0]["expected"], first["differences"][0]["found"]);
    // The same by the log of the known good boot, and with the tampered image among those that are known.
    let known =
        format!("--reference {{boot}}/{HONEST}/eventlog.bin --superseded web-40={{boot}}/{TAMPERED}/prediction.json");
    let result = verify(TAMPERED, &path, &known).expect(1).json();
    let message = result["reasons"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("built for image \"web-40\", found in your references as superseded"), "{message}");
    let text = nitrotpm(&format!(
        "verify {{boot}}/{TAMPERED}/evidence.json --policy {} --trust-ak {{boot}}/{TAMPERED}/ak.pub --nonce {} {reference}",
        path.display(),
        nonce(TAMPERED)
    ));
    let text = text.expect(1).stdout;
    for said in ["init=/bin/sh", "cause     kernel-command-line, by reference \"web-41\"", "check     "] {
        assert!(text.contains(said), "{said} in {text}");
    }
}

/// References beside the policy, named by it.
#[test]
fn a_policy_names_the_reference_that_refusals_are_explained_by() {
    let policy = predicted().replace("name = \"web-41\"\nprov", "name = \"web-41\"\nreference = \"web.json\"\nprov");
    assert!(policy.contains("reference"), "{policy}");
    let (dir, path) = file("web.toml", &policy);
    // It is not there: the verdict is the same, and that is said.
    let run = verify(TAMPERED, &path, "").expect(1);
    assert!(run.stderr.contains("web.json"), "{}", run.stderr);
    assert_eq!(run.json()["reasons"][0].get("reference"), None);
    assert!(run.json()["reasons"][0]["searched"].as_str().is_some());
    std::fs::copy(boots().join(HONEST).join("prediction.json"), dir.path().join("web.json")).unwrap();
    let result = verify(TAMPERED, &path, "").expect(1).json();
    assert_eq!(result["reasons"][0]["cause"], "kernel-command-line");
    // A reference that is named on the command line must be one.
    assert_eq!(verify(TAMPERED, &path, "--reference {boot}/secure-boot-off/ak.pub").code, 3);
    assert_eq!(verify(TAMPERED, &path, "--reference nowhere").code, 4);
}

#[test]
fn a_policy_of_a_known_good_log_says_what_it_leaves_out() {
    let new = "policy new --name captured --require quote --event-log";
    let text = nitrotpm(&format!("{new} good={{boot}}/secure-boot-on/eventlog.bin")).expect(0).stdout;
    for said in [
        "# PCR 1 left out: ",
        "# PCR 11 left out: ",
        "provenance = \"captured\"",
        "pcrs.sha384.7 = ",
        "secure_boot = true",
    ] {
        assert!(text.contains(said), "{said} in {text}");
    }
    let (_dir, path) = file("good.toml", &text);
    let result = verify("secure-boot-on", &path, "").expect(0).json();
    assert_eq!(result["image"]["provenance"], "captured");
    verify(HONEST, &path, "").expect(1);
    // Secure Boot off: PCR 7 tells nothing, and the policy says so.
    let text = nitrotpm(&format!("{new} good={{boot}}/{HONEST}/eventlog.bin")).expect(0).stdout;
    assert!(text.contains("# PCR 7 is left out") && !text.contains("pcrs.sha384.7"), "{text}");
    nitrotpm(&format!("{new} {{boot}}/{HONEST}/ak.pub")).expect(3);
    assert_eq!(nitrotpm("policy new --name web").expect(2).stdout, "");
    // What cannot be predicted is not made up.
    let run = nitrotpm(&format!("policy new --prediction {{boot}}/{HONEST}/prediction.json --pcr 4 --pcr 10 --pcr 12"));
    assert!(run.expect(2).stderr.contains("IMA measures files"));
}

#[test]
fn a_rollout_accepts_the_old_image_until_its_end() {
    let new = predicted();
    let old = nitrotpm(&format!(
        "policy new --name web-40 --prediction web-40={{boot}}/{TAMPERED}/prediction.json --require quote"
    ));
    let (dir, old_path) = file("old.toml", &old.expect(0).stdout);
    let new_path = dir.path().join("new.toml");
    std::fs::write(&new_path, &new).unwrap();
    let merge =
        |until: &str| nitrotpm(&format!("policy merge {} {} --until {until}", old_path.display(), new_path.display()));
    let merged = dir.path().join("rollout.toml");
    std::fs::write(&merged, merge("2026-11-26T13:00:00Z").expect(0).stdout).unwrap();
    let result = verify(TAMPERED, &merged, "").expect(0).json();
    assert_eq!(result["image"]["name"], "web-40");
    verify(HONEST, &merged, "").expect(0);
    // From that time on it is refused, with the reason.
    std::fs::write(&merged, merge("2026-11-26T12:00:00Z").expect(0).stdout).unwrap();
    let result = verify(TAMPERED, &merged, "").expect(1).json();
    assert_eq!(result["reasons"][0]["code"], "image.expired");
    assert!(result["reasons"][0]["message"].as_str().unwrap().contains("2026-11-26T12:00:00Z"));
    verify(HONEST, &merged, "").expect(0);
    let lint = |at: &str| nitrotpm(&format!("policy lint {} --format json --at {at}", merged.display()));
    assert_eq!(lint("2026-11-26T13:00:00Z").expect(1).json()["findings"][0]["code"], "policy.image-expired");
    lint("2026-11-26T11:00:00Z").expect(0);
    merge("tomorrow").expect(2);
    // An end of all images.
    let ended = merged.with_file_name("ended.toml");
    let text =
        new.replace("provenance = \"predicted\"", "provenance = \"predicted\"\nnot_after = \"2026-01-01T00:00:00Z\"");
    std::fs::write(&ended, text).unwrap();
    for boot in [HONEST, TAMPERED] {
        assert_eq!(verify(boot, &ended, "").expect(1).json()["reasons"][0]["code"], "image.expired");
    }
    let run = nitrotpm(&format!("policy kms --policy {} --principal {ROLE}", ended.display())).expect(2);
    assert_eq!(run.json()["code"], "reference.no-image");
}

#[test]
fn lint_finds_what_is_dangerous_or_useless() {
    let image = |name: &str, more: &str, pcrs: &[(u8, String)]| {
        let mut text = format!("[[image]]\nname = \"{name}\"\n{more}\n");
        pcrs.iter().for_each(|(pcr, value)| text.push_str(&format!("pcrs.sha384.{pcr} = \"{value}\"\n")));
        text
    };
    let x = |byte: &str| byte.repeat(48);
    let off =
        "98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77af35".to_owned();
    // The value of PCR 12 with os-separator alone.
    let separated =
        "e3c46883c278dc51c82b9c643f033a641d85b0deca51d9071d0cc90ba2ed8141c69caa3adf87852076ef61835ade1a00".to_owned();
    let zero = x("00");
    let cases = [
        ("policy.pcr4-without-pcr12", "", image("a", "", &[(4, x("41"))])),
        ("policy.unstable-pcr", "", image("a", "", &[(1, x("41")), (4, x("41")), (12, zero.clone())])),
        ("policy.platform-pcrs-only", "", image("a", "", &[(0, x("41"))])),
        ("policy.pcr7-secure-boot-off", "", image("a", "", &[(4, x("41")), (7, off.clone()), (12, zero.clone())])),
        ("policy.cannot-be-met", "secure_boot = true", image("a", "", &[(4, x("41")), (7, off)])),
        ("policy.no-effect", "max_age_seconds = 9", image("a", "", &[(4, x("41")), (12, zero.clone())])),
        (
            "policy.image-unreachable",
            "minimum_build = 2",
            image("a", "build = 1", &[(4, x("41")), (12, zero.clone())])
                + &image("b", "build = 2", &[(4, x("42")), (12, zero.clone())]),
        ),
        (
            "policy.image-unreachable",
            "",
            image("a", "", &[(4, x("41")), (12, zero.clone())]) + &image("b", "", &[(4, x("41")), (12, zero.clone())]),
        ),
        (
            "policy.mixed-images",
            "",
            image("a", "", &[(4, x("41")), (9, x("01")), (12, zero.clone())])
                + &image("b", "", &[(4, x("42")), (9, x("02")), (12, zero.clone())])
                + &image("c", "", &[(4, x("41")), (9, x("02")), (12, zero.clone())]),
        ),
        (
            "policy.os-separator-mixed",
            "",
            image("a", "", &[(4, x("41")), (12, zero.clone())]) + &image("b", "", &[(4, x("41")), (12, separated)]),
        ),
        (
            "policy.bank-not-in-document",
            "document = true",
            format!("[[image]]\nname = \"a\"\npcrs.sha256.4 = \"{0}\"\npcrs.sha256.12 = \"{0}\"\n", "41".repeat(32)),
        ),
    ];
    for (code, require, images) in cases {
        let text = format!("schema = \"nitrotpm.policy/1\"\n[require]\n{require}\n{images}");
        let (_dir, path) = file("p.toml", &text);
        let found = nitrotpm(&format!("policy lint {} --format json", path.display())).expect(1).json();
        let codes: Vec<_> = found["findings"].as_array().unwrap().iter().map(|entry| entry["code"].clone()).collect();
        assert!(codes.contains(&json!(code)), "{code} in {codes:?}");
    }
    // Two images of one kind, each with its own values: nothing to say.
    let text = image("a", "", &[(4, x("41")), (9, x("01")), (12, zero.clone())])
        + &image("b", "", &[(4, x("42")), (9, x("02")), (12, zero)]);
    let (_dir, path) = file("p.toml", &format!("schema = \"nitrotpm.policy/1\"\n{text}"));
    nitrotpm(&format!("policy lint {}", path.display())).expect(0);
}

/// The grammar of the IAM JSON policy language (IAM User Guide, "Grammar of the IAM JSON policy language"), as far as a
/// key policy uses it; unknown keys are errors.
fn check_key_policy(policy: &Value) {
    let keys = |value: &Value, allowed: &[&str]| {
        let object = value.as_object().unwrap_or_else(|| panic!("{value} is no object"));
        assert!(object.keys().all(|key| allowed.contains(&key.as_str())), "{object:?}");
    };
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let texts = |value: &Value| is_text(value) || value.as_array().is_some_and(|list| list.iter().all(is_text));
    keys(policy, &["Version", "Id", "Statement"]);
    assert_eq!(policy["Version"], "2012-10-17");
    let statements = policy["Statement"].as_array().unwrap();
    let mut ids = Vec::new();
    for statement in statements {
        keys(statement, &["Sid", "Effect", "Principal", "Action", "Resource", "Condition"]);
        let id = statement["Sid"].as_str().unwrap();
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !ids.contains(&id), "{id}");
        ids.push(id);
        assert_eq!(statement["Effect"], "Allow");
        keys(&statement["Principal"], &["AWS"]);
        assert!(texts(&statement["Principal"]["AWS"]));
        let actions = statement["Action"].as_array().unwrap();
        assert!(actions.iter().all(|action| action.as_str().unwrap().starts_with("kms:")));
        assert_eq!(statement["Resource"], "*");
        keys(&statement["Condition"], &["StringEqualsIgnoreCase", "DateLessThan"]);
        for (key, value) in statement["Condition"]["StringEqualsIgnoreCase"].as_object().unwrap() {
            let number: u8 = key.strip_prefix("kms:RecipientAttestation:NitroTPMPCR").unwrap().parse().unwrap();
            assert!(number < 24, "{key}");
            let value = value.as_str().unwrap();
            assert!(value.len() == 96 && value.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{value}");
        }
        if let Some(date) = statement["Condition"].get("DateLessThan") {
            keys(date, &["aws:CurrentTime"]);
            assert!(date["aws:CurrentTime"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
        }
    }
}

#[test]
fn a_kms_policy_of_a_policy_has_a_statement_an_image() {
    let text = predicted()
        + &predicted()
            .split_once("[[image]]")
            .map(|(_, image)| {
                format!("\n[[image]]{}", image.replace("web-41", "web-40"))
                    .replace("provenance", "not_after = \"2030-01-01T00:00:00Z\"\nprovenance")
            })
            .unwrap();
    let (_dir, path) = file("web.toml", &text);
    let kms = format!("policy kms --policy {} --principal", path.display());
    let run = nitrotpm(&format!("{kms} {ROLE}")).expect(0);
    assert!(run.stderr.contains("quote, event_log"), "{}", run.stderr);
    let policy = run.json();
    check_key_policy(&policy);
    assert_eq!(policy["Statement"].as_array().unwrap().len(), 2);
    assert_eq!(policy["Statement"][1]["Condition"]["DateLessThan"]["aws:CurrentTime"], "2030-01-01T00:00:00Z");
    let prediction: Value =
        serde_json::from_slice(&std::fs::read(boots().join(HONEST).join("prediction.json")).unwrap()).unwrap();
    assert_eq!(
        policy["Statement"][0]["Condition"]["StringEqualsIgnoreCase"],
        json!({
            "kms:RecipientAttestation:NitroTPMPCR4": prediction["pcrs"]["sha384"]["4"],
            "kms:RecipientAttestation:NitroTPMPCR12": prediction["pcrs"]["sha384"]["12"],
        })
    );
    assert_eq!(nitrotpm(&format!("{kms} Web")).expect(2).json()["code"], "kms.principal");
    // What would open the key is refused, unless it is wanted by name.
    let weak: String =
        text.lines().filter(|line| !line.contains("sha384.12")).map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, weak).unwrap();
    assert_eq!(nitrotpm(&format!("{kms} {ROLE}")).expect(1).json()["code"], "predict.dangerous");
    check_key_policy(&nitrotpm(&format!("{kms} {ROLE} --accept-danger")).expect(0).json());
}

#[test]
fn reference_values_go_out_and_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let sources = format!(
        "--prediction web-41={{boot}}/{HONEST}/prediction.json --prediction web-40={{boot}}/{TAMPERED}/prediction.json"
    );
    let images = |policy: &str| {
        let lines: Vec<String> = policy
            .lines()
            .filter(|line| line.starts_with("name") || line.starts_with("pcrs"))
            .map(str::to_owned)
            .collect();
        assert!(lines.len() > 3, "{policy}");
        lines
    };
    let expected = nitrotpm(&format!("policy new --name web {sources}")).expect(0).stdout;
    let mut sorted = images(&expected);

    // systemd-pcrlock: a folder of variants, in the order of their names.
    let folder = at("650-web.pcrlock.d");
    nitrotpm(&format!("policy export --format pcrlock {sources} --out {}", at("650-web.pcrlock"))).expect(2);
    nitrotpm(&format!("policy export --format pcrlock {sources} --out {folder}")).expect(0);
    let import = format!("policy import --format pcrlock --name web --pcr 4 --pcr 12 {folder}");
    let mut read = images(&nitrotpm(&import).expect(0).stdout);
    sorted.sort();
    read.sort();
    assert_eq!(read, sorted);
    // PCR 12 has no record: whoever does not name it does not get it, and hears of it.
    let run = nitrotpm(&format!("policy import --format pcrlock --name web {folder}")).expect(0);
    assert!(run.stderr.contains("policy.pcr4-without-pcr12") && !run.stdout.contains("sha384.12"), "{}", run.stderr);

    // CoRIM, unsigned and signed.
    let (corim, signed) = (at("web.corim"), at("signed.corim"));
    nitrotpm(&format!("policy export --format corim --name web {sources} --out {corim}")).expect(0);
    let import = |file: &str, more: &str| nitrotpm(&format!("policy import --format corim --name web {file} {more}"));
    let run = import(&corim, "").expect(0);
    assert!(run.stderr.contains("not signed"), "{}", run.stderr);
    assert_eq!(images(&run.stdout), images(&expected));
    let key = nitrotpm_document_issuer::Key::generate(nitrotpm_document_issuer::Curve::P384).unwrap();
    std::fs::write(at("key.der"), key.to_pkcs8()).unwrap();
    let public = nitrotpm_signature::PublicKey::from_sec1(key.public_point()).unwrap().to_spki_der();
    std::fs::write(at("key.pub"), public).unwrap();
    let sign = format!("policy export --format corim --name web {sources} --out {signed} --sign-key {}", at("key.der"));
    nitrotpm(&sign).expect(2);
    nitrotpm(&format!("{sign} --signer team")).expect(0);
    assert_eq!(images(&import(&signed, &format!("--trust-key {}", at("key.pub"))).expect(0).stdout), images(&expected));
    import(&signed, "").expect(3);
    import(&corim, &format!("--trust-key {}", at("key.pub"))).expect(3);
    import(&at("key.pub"), "").expect(3);

    // A policy has values and no events.
    let policy = at("web.toml");
    std::fs::write(&policy, &expected).unwrap();
    let run =
        nitrotpm(&format!("policy export --format pcrlock --policy {policy} --out {}", at("x.pcrlock.d"))).expect(2);
    assert!(run.stderr.contains("--prediction"), "{}", run.stderr);
    nitrotpm(&format!("policy export --format corim --policy {policy} --out {}", at("again.corim"))).expect(0);
    assert_eq!(images(&import(&at("again.corim"), "").expect(0).stdout), images(&expected));
}

/// What cannot be written is not said to be unreadable, and a danger names the registers that were chosen.
#[test]
fn what_cannot_be_written_is_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let image = |name: &str, byte: &str, more: &str| {
        let value = byte.repeat(48);
        format!("[[image]]\nname = \"{name}\"\npcrs.sha384 = {{ 4 = \"{value}\", 12 = \"{value}\" }}\n{more}")
    };
    let policy = |more: &str| {
        let schema = "schema = \"nitrotpm.policy/1\"\n";
        let images = [image("a", "ab", ""), image("b", "cd", more)];
        format!("{schema}{}", images.concat())
    };
    let export = |text: String| {
        std::fs::write(at("policy.toml"), text).unwrap();
        nitrotpm(&format!("policy export --format corim --policy {} --out {}", at("policy.toml"), at("out.corim")))
    };
    let run = export(policy("not_after = \"2999-12-01T00:00:00Z\"\n")).expect(2);
    assert!(
        run.stderr.contains("cannot be written as a CoRIM: they cease to be accepted at different"),
        "{}",
        run.stderr
    );
    assert!(!dir.path().join("out.corim").exists());
    export(policy("")).expect(0);

    let new = "policy new --name x --prediction {boot}/secure-boot-off/prediction.json";
    let run = nitrotpm(&format!("{new} --pcr 11")).expect(1);
    assert!(run.stderr.contains("PCR 11 without PCR 12"), "{}", run.stderr);
    let run = nitrotpm(&format!("{new} --pcr 4")).expect(1);
    assert!(run.stderr.contains("PCR 4 without PCR 12"), "{}", run.stderr);
    nitrotpm(&format!("{new} --pcr 11 --pcr 12")).expect(0);
}
