//! Does the first reason of a refusal name the true cause? Every boot that is not as expected, of fixtures/boot and of
//! the corpus, is verified against a policy of the expected one, and the table says what was answered.
//!
//! `cargo test -p e2e-tests --test score` prints it and fails below N of N; so does CI, where it counts as one test a row.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that panics fails, and that is all"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nitrotpm_verifier::{
    AttestationKey, AttestationResult, Bank, Clock, Nonce, NonceExpectation, PcrIndex, PcrValues, Policy, Reference,
    References, Request, Trust, UnixTime, Verdict, verify,
};
use serde_json::{Value, json};

/// Where a boot is.
#[derive(Clone, Copy)]
enum Place {
    Fixtures,
    Corpus,
}
use Place::{Corpus, Fixtures};

/// A boot that is not as expected, and why.
struct Row {
    place: Place,
    /// The boot whose values the policy has.
    expected: &'static str,
    /// What is known of it: `eventlog.bin`, or `prediction.json`.
    by: &'static str,
    /// The boot that is verified.
    found: &'static str,
    /// The registers that the policy pins.
    pcrs: &'static [u8],
    cause: &'static str,
    /// What the first reason must say.
    words: &'static str,
}

const ALL: &[u8] = &[4, 7, 9, 11, 12];
/// What AWS advises without Secure Boot.
const AWS: &[u8] = &[4, 12];

const fn row(
    place: Place,
    (expected, by): (&'static str, &'static str),
    found: &'static str,
    pcrs: &'static [u8],
    cause: &'static str,
    words: &'static str,
) -> Row {
    Row { place, expected, by, found, pcrs, cause, words }
}

const LOG: &str = "eventlog.bin";
const PREDICTION: &str = "prediction.json";
const LINE: &str = "kernel-command-line";
const IMAGE: &str = "boot-image";
const KEYS: &str = "secure-boot-policy";

const ROWS: &[Row] = &[
    row(Fixtures, ("secure-boot-off", LOG), "tampered-command-line", ALL, LINE, "command line"),
    row(Fixtures, ("secure-boot-off", LOG), "tampered-command-line", AWS, LINE, "command line"),
    row(Fixtures, ("secure-boot-off", PREDICTION), "tampered-command-line", ALL, LINE, "has `init=/bin/sh` added"),
    row(Fixtures, ("secure-boot-off", PREDICTION), "tampered-command-line", AWS, LINE, "has `init=/bin/sh` added"),
    row(Fixtures, ("tampered-command-line", PREDICTION), "secure-boot-off", AWS, LINE, "lacks `init=/bin/sh`"),
    row(Fixtures, ("secure-boot-on", LOG), "secure-boot-off", ALL, KEYS, "was on and is off"),
    row(Fixtures, ("secure-boot-on", LOG), "secure-boot-off", AWS, KEYS, "was on and is off"),
    row(Fixtures, ("secure-boot-on", LOG), "tampered-command-line", ALL, KEYS, "was on and is off"),
    row(Fixtures, ("secure-boot-off", LOG), "secure-boot-on", ALL, KEYS, "was off and is on"),
    row(Fixtures, ("secure-boot-off", PREDICTION), "tampered-kernel", ALL, IMAGE, "the kernel in the image"),
    row(Fixtures, ("secure-boot-off", PREDICTION), "tampered-kernel", AWS, IMAGE, "the kernel in the image"),
    // The image was predicted without the addon, and never booted without it.
    row(Fixtures, ("tampered-addon", PREDICTION), "tampered-addon", AWS, LINE, "init=/bin/sh"),
    row(Corpus, ("uki-nosb", LOG), "tamper-cmdline", ALL, LINE, "command line"),
    row(Corpus, ("uki-nosb", LOG), "tamper-cmdline", AWS, LINE, "command line"),
    row(Corpus, ("uki-nosb", LOG), "uki-signed-nosb", ALL, IMAGE, "BOOTX64.EFI has other contents"),
    row(Corpus, ("uki-nosb", LOG), "uki-nosb-stub254", ALL, IMAGE, "is measured and was not"),
    row(Corpus, ("uki-nosb", LOG), "uki-nosb-stub254", AWS, IMAGE, "is measured and was not"),
    row(Corpus, ("uki-nosb-stub254", LOG), "uki-nosb", ALL, IMAGE, "was measured and is no more"),
    row(Corpus, ("uki-sb", LOG), "uki-nosb", ALL, KEYS, "was on and is off"),
    row(Corpus, ("uki-sb", LOG), "tamper-cmdline", ALL, KEYS, "was on and is off"),
    row(Corpus, ("uki-nosb", LOG), "uki-sb", ALL, KEYS, "was off and is on"),
    row(Corpus, ("uki-sb", LOG), "uki-sb-stub257", ALL, IMAGE, "is measured and was not"),
    row(Corpus, ("uki-sb", LOG), "sdboot-uki-sb", ALL, IMAGE, "is measured and was not"),
    row(Corpus, ("uki-sb", LOG), "sdboot-uki-sb", AWS, IMAGE, "is measured and was not"),
    row(Corpus, ("sdboot-uki-sb", LOG), "uki-sb", ALL, IMAGE, "was measured and is no more"),
    row(Corpus, ("uki-sb", LOG), "shim-grub-ms", ALL, KEYS, "certificate"),
    row(Corpus, ("shim-grub-ms", LOG), "uki-sb", ALL, KEYS, "certificate"),
];

fn folder(place: Place, boot: &str) -> PathBuf {
    match place {
        Fixtures => Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/boot").join(boot),
        Corpus => Path::new(env!("NITROTPM_CORPUS_DIR")).join("boot").join(boot),
    }
}

fn read(place: Place, boot: &str, name: &str) -> Vec<u8> {
    let path = folder(place, boot).join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The SHA-384 values: the bank that a quote of each boot covers alone.
fn values(place: Place, boot: &str, by: &str) -> PcrValues {
    let json = |name: &str| serde_json::from_slice::<Value>(&read(place, boot, name)).unwrap();
    let all = match (place, by) {
        // What was predicted is what is expected, whether or not there is a boot that has it.
        (_, PREDICTION) => json(PREDICTION)["pcrs"].take(),
        (Fixtures, _) => json("evidence.json")["pcrs"].take(),
        (Corpus, _) => json("pcrs.json"),
    };
    let all: PcrValues = serde_json::from_value(all).unwrap();
    let mut values = PcrValues::new();
    for (_, pcr, value) in all.iter().filter(|(bank, _, _)| *bank == Bank::Sha384) {
        values.insert(pcr, *value).unwrap();
    }
    values
}

/// Key, nonce and evidence of a boot.
fn evidence(place: Place, boot: &str) -> (AttestationKey, Nonce, Vec<u8>) {
    let key = AttestationKey::parse(&read(place, boot, "ak.pub")).unwrap();
    if matches!(place, Fixtures) {
        let text = String::from_utf8(read(place, boot, "nonce.hex")).unwrap();
        return (key, Nonce::from_hex(text.trim()).unwrap(), read(place, boot, "evidence.json"));
    }
    let part = |name: &str| STANDARD.encode(read(place, boot, name));
    let bundle = json!({
        "schema": "nitrotpm.evidence/1",
        "ak_public": part("ak.pub"),
        "quotes": [{ "attest": part("quote.msg"), "signature": part("quote.sig") }],
        "pcrs": values(place, boot, LOG),
        "event_log": part(LOG),
    });
    (key, Nonce::new(&read(place, boot, "nonce")).unwrap(), bundle.to_string().into_bytes())
}

/// A policy that accepts the boot of these values.
fn policy(name: &str, values: &PcrValues, pcrs: &[u8]) -> Policy {
    let mut text = format!(
        "schema = \"nitrotpm.policy/1\"\n[require]\nquote = true\nevent_log = true\n[[image]]\nname = \"{name}\"\n"
    );
    for pcr in pcrs {
        let value = values.get(Bank::Sha384, PcrIndex::new(*pcr).unwrap()).unwrap();
        text.push_str(&format!("pcrs.sha384.{pcr} = \"{value}\"\n"));
    }
    Policy::from_toml(text.as_bytes()).unwrap()
}

fn judge(place: Place, boot: &str, policy: &Policy, references: &References) -> AttestationResult {
    let (key, nonce, bundle) = evidence(place, boot);
    let clock = Clock::Audit(UnixTime::since_unix_epoch(core::time::Duration::from_secs(1_780_000_000)));
    let request = Request::new(NonceExpectation::Expected(&nonce), clock).explained_by(references);
    verify(&bundle, policy, &Trust::aws().pin(key), &request)
}

/// What was answered, and whether it is right.
fn answer(row: &Row) -> Result<String, String> {
    let values = values(row.place, row.expected, row.by);
    let policy = policy(row.expected, &values, row.pcrs);
    let mut references = References::new();
    references.add(Reference::read(row.expected, &read(row.place, row.expected, row.by)).unwrap());
    // The twin: the expected boot itself is affirmed, where it was booted.
    if row.expected != row.found {
        let twin = judge(row.place, row.expected, &policy, &references);
        if twin.verdict() != Verdict::Affirmed {
            return Err(format!("the expected boot is not affirmed: {}", twin.to_json()));
        }
    }
    let result = judge(row.place, row.found, &policy, &references);
    let Some(first) = result.reasons().first() else { return Err("it was affirmed".to_owned()) };
    let said = format!(
        "{}: {}",
        first.cause.unwrap_or("no cause"),
        first.message.split(": ").skip(1).collect::<Vec<_>>().join(": ")
    );
    let is_right = result.verdict() == Verdict::Refused
        && first.code == "pcr.mismatch"
        && first.cause == Some(row.cause)
        && first.message.contains(row.words)
        && first.check.is_some()
        && !first.differences.is_empty();
    // The result's JSON says the same.
    let json: Value = serde_json::from_str(&result.to_json()).unwrap();
    if json["reasons"][0]["cause"] != json!(first.cause) {
        return Err(format!("its JSON says something else: {json}"));
    }
    if is_right { Ok(said) } else { Err(said) }
}

/// All rows, and with them every tampered boot of the fixtures: one without a row is a fault, and so is a row without a boot.
fn rows() -> &'static [Row] {
    for row in ROWS.iter().filter(|row| matches!(row.place, Fixtures)) {
        assert!(
            folder(row.place, row.found).join("evidence.json").is_file(),
            "fixtures/boot/{} is not there",
            row.found
        );
    }
    for entry in fs::read_dir(folder(Fixtures, "")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let has_row = ROWS.iter().any(|row| row.found == name);
        assert!(has_row || !name.starts_with("tampered-"), "fixtures/boot/{name} has no row in tests/score/main.rs");
    }
    ROWS
}

fn main() -> ExitCode {
    let rows = rows();
    // What follows `--` of a `cargo test` goes to this program too.
    let filters: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let began = Instant::now();
    let (mut right, mut wrong, mut skipped, mut filtered) = (0, Vec::new(), 0, 0);
    println!("\nrunning {} tests", rows.len());
    for row in rows {
        let registers: Vec<String> = row.pcrs.iter().map(u8::to_string).collect();
        let name = format!("{} ({}) <- {} PCR {}", row.expected, row.by, row.found, registers.join(","));
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter)) {
            filtered += 1;
            continue;
        }
        if matches!(row.place, Corpus) && cfg!(not(corpus)) {
            skipped += 1;
            println!("test {name:<78} ... ignored, the corpus is not there: set NITROTPM_CORPUS");
            continue;
        }
        match answer(row) {
            Ok(said) => {
                right += 1;
                println!("test {name:<78} ... ok, {said}");
            }
            Err(said) => {
                println!("test {name:<78} ... FAILED");
                wrong.push(format!("{name}: expected {} and \"{}\", found {said}", row.cause, row.words));
            }
        }
    }
    println!("\n{right} of {} boots have their true cause named first", right + wrong.len());
    if !wrong.is_empty() {
        println!("\nfailures:\n    {}", wrong.join("\n    "));
    }
    let wrong = wrong.len();
    let (word, seconds) = (if wrong == 0 { "ok" } else { "FAILED" }, began.elapsed().as_secs_f64());
    println!(
        "\ntest result: {word}. {right} passed; {wrong} failed; {skipped} ignored; 0 measured; {filtered} filtered out; \
         finished in {seconds:.2}s\n"
    );
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
