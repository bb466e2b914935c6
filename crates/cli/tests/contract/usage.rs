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

/// The first line of clap's message names nothing where several arguments are missing.
#[test]
fn wrong_usage_as_json_says_what_is_missing() {
    let message = nitrotpm("verify --format json").expect(2).json()["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "the following required arguments were not provided: --policy <FILE> <EVIDENCE>...");
    let message = nitrotpm("verfy --format json").expect(2).json()["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "unrecognized subcommand 'verfy' tip: a similar subcommand exists: 'verify'");
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
        // A person looks the code up, too.
        assert!(run.stderr.ends_with(" [file.read]\n"), "{}", run.stderr);
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

/// Examples are pasted, so that no line of one may be broken on a terminal of 80 columns; and help that is written in
/// lines of its own is broken twice.
#[test]
fn no_line_of_help_is_broken_twice() {
    for command in COMMANDS {
        let help = nitrotpm(&format!("{command} --help")).expect(0).stdout;
        let after = help.find("\nExample").map_or("", |at| &help[at..]);
        for example in after.lines().filter(|line| line.starts_with("  ")) {
            assert!(example.chars().count() <= 80, "{command}: {example}");
        }
        let lines: Vec<&str> = after.lines().collect();
        for pair in lines.windows(2) {
            // The width is 100 where there is no terminal: a short line before another is one that was broken by hand.
            let prose = |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.starts_with("Example");
            let word = pair[1].split(' ').next().unwrap().len();
            assert!(
                !prose(pair[0]) || !prose(pair[1]) || pair[0].chars().count() + word + 1 > 100,
                "{command}: {:?} before {:?}",
                pair[0],
                pair[1]
            );
        }
    }
}

/// The code of a script that has read no further than the help of its command.
#[test]
fn the_help_of_verify_has_the_exit_codes() {
    assert!(
        nitrotpm("verify --help").expect(0).stdout.contains("0 affirmed, 1 refused, 2 wrong usage, 3 evidence invalid")
    );
}

const COMMANDS: [&str; 25] = [
    "verify",
    "document show",
    "document verify",
    "eventlog show",
    "eventlog replay",
    "quote verify",
    "evidence pack",
    "evidence show",
    "enrol challenge",
    "enrol complete",
    "policy lint",
    "policy new",
    "policy kms",
    "policy merge",
    "policy export",
    "policy import",
    "uefi-data show",
    "uefi-data diff",
    "uefi-data write",
    "predict",
    "explain",
    "eventlog diff",
    "completions",
    "man",
    "",
];

#[test]
fn every_command_teaches_with_an_example() {
    for command in COMMANDS.into_iter().filter(|command| !command.is_empty()) {
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
