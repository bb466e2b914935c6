//! Wrong usage, failures of the environment, help.

use std::process::Command;

use crate::{nitrotpm, nitrotpm_with_input, nonce};

#[test]
fn quotes_need_a_choice_about_the_nonce() {
    let arguments = "verify {boot}/secure-boot-on/evidence.json --policy {boot}/secure-boot-on/policy.toml \
                     --trust-ak {boot}/secure-boot-on/ak.pub --format json";
    let run = nitrotpm(arguments).expect(2);
    assert_eq!(run.json()["code"], "usage.nonce");
    assert!(run.stderr.contains("--no-nonce"), "{}", run.stderr);

    let result = nitrotpm(&format!("{arguments} --no-nonce")).expect(0).json();
    let warnings = result["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|warning| warning["code"] == "freshness.nonce-not-checked"));
    assert_eq!(result["claims"]["quotes"][0]["nonce_checked"], false);
}

#[test]
fn flags_that_do_not_fit_are_wrong_usage_in_json_too() {
    for arguments in [
        "verify --format json",
        "verify --frmat json",
        "no-such-command --format=json",
        "verify x --nonce zz --policy p --format json",
    ] {
        let run = nitrotpm(arguments).expect(2);
        assert!(!run.stderr.is_empty());
        if arguments.contains("--format") {
            assert_eq!(run.json()["schema"], "nitrotpm.error/1");
            assert_eq!(run.json()["code"], "usage.flags");
        }
    }
}

#[test]
fn a_policy_that_cannot_be_used_is_wrong_usage() {
    let with = |policy: &str| {
        let arguments = format!(
            "verify {{boot}}/secure-boot-on/evidence.json --policy - --trust-ak {{boot}}/secure-boot-on/ak.pub \
             --nonce {} --format json",
            nonce("secure-boot-on")
        );
        nitrotpm_with_input(&arguments, policy.as_bytes())
    };
    for (policy, code) in [
        ("schema = \"nitrotpm.policy/1\"", "policy.empty"),
        ("schema = \"nitrotpm.policy/1\"\n[require]\nquotes = true", "policy.malformed"),
        ("schema = \"nitrotpm.policy/2\"", "policy.schema"),
        ("not toml", "policy.malformed"),
    ] {
        let run = with(policy).expect(2);
        assert_eq!(run.json()["code"], code, "{policy}");
    }
    with("schema = \"nitrotpm.policy/1\"\n[require]\nquote = true").expect(0);
}

#[test]
fn a_file_that_is_not_there_is_a_failure_of_the_environment() {
    for arguments in
        ["document show /no/such/file", "eventlog replay /no/such/file", "policy lint /no/such/file", "evidence show /"]
    {
        let run = nitrotpm(&format!("{arguments} --format json")).expect(4);
        assert_eq!(run.json()["code"], "file.read", "{arguments}");
    }
}

/// `nitrotpm … | head -1` must not complain.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let status = Command::new("bash")
        .arg("-c")
        .arg("\"$1\" man --help >/dev/null; \"$1\" completions bash | true; exit \"${PIPESTATUS[0]}\"")
        .args(["bash", env!("CARGO_BIN_EXE_nitrotpm")])
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn every_command_teaches_with_an_example() {
    for command in [
        "verify",
        "document show",
        "document verify",
        "eventlog show",
        "eventlog replay",
        "quote verify",
        "evidence pack",
        "evidence show",
        "policy lint",
        "policy new",
        "policy kms",
        "predict",
        "explain",
        "eventlog diff",
        "completions",
        "man",
    ] {
        let run = nitrotpm(&format!("{command} --help")).expect(0);
        assert!(run.stdout.contains("Example"), "{command}: {}", run.stdout);
        assert_eq!(run.stderr, "");
    }
    let run = nitrotpm("--help").expect(0);
    assert!(run.stdout.contains("Exit codes"));
    nitrotpm("--version").expect(0);
    for arguments in ["--version --verbose", "--verbose -V"] {
        let shown = nitrotpm(arguments).expect(0).stdout;
        for word in [
            "nitrotpm ",
            "commit",
            "instruction sets       portable",
            "sha384 ",
            " from 1 chain",
            "ring (the first is used)",
        ] {
            assert!(shown.contains(word), "{word:?} in {shown}");
        }
    }
    nitrotpm("--verbose").expect(2);
    assert!(nitrotpm("").expect(2).stderr.contains("Usage"));
}

#[test]
fn completions_and_manual_pages_are_written() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(nitrotpm(&format!("completions {shell}")).expect(0).stdout.contains("nitrotpm"));
    }
    let dir = tempfile::tempdir().unwrap();
    nitrotpm(&format!("man {}/man1", dir.path().display())).expect(0);
    assert!(dir.path().join("man1/nitrotpm-verify.1").exists());
}

#[test]
fn lint_finds_what_is_dangerous() {
    let policy =
        |pcrs: &str| format!("schema = \"nitrotpm.policy/1\"\n[[image]]\nname = \"web\"\npcrs.sha384 = {{ {pcrs} }}\n");
    let value = "ab".repeat(48);
    let run =
        nitrotpm_with_input("policy lint - --format json", policy(&format!("4 = \"{value}\"")).as_bytes()).expect(1);
    assert_eq!(run.json()["findings"][0]["code"], "policy.pcr4-without-pcr12");
    nitrotpm_with_input("policy lint -", policy(&format!("4 = \"{value}\", 12 = \"{}\"", "00".repeat(48))).as_bytes())
        .expect(0);
}
