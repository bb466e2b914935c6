//! Evidence of an emulated NitroTPM that booted what a real machine booted: document, quote and log, all the way to the
//! verdict, under the emulator's own root.
//!
//! The collector here is TPM commands as bytes, so that nothing of it is shared with the attester.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nitrotpm_emulator::{EmulatorError, NitroTpm};
use nitrotpm_eventlog::{EventLog, ParseOptions};
use nitrotpm_pcr::{Bank, PcrValues};
use nitrotpm_verifier::{AttestationKey, Clock, Evidence, QuoteBytes, Trust, TrustRoots, UnixTime, Verdict};

use crate::corpus;
use crate::workbench::{Case, index, only, policy};

const ENDORSEMENT: u32 = 0x4000_000b;
const NONCE: &[u8] = b"32 bytes that the verifier chose";

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap()))
}

/// One command under an empty password; the response after its header.
fn command(tpm: &NitroTpm, code: u32, handle: u32, parameters: &[u8]) -> Vec<u8> {
    let mut body = handle.to_be_bytes().to_vec();
    body.extend([0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0]);
    body.extend(parameters);
    let size = u32::try_from(10 + body.len()).unwrap().to_be_bytes();
    let command = [&[0x80, 2], &size[..], &code.to_be_bytes(), &body].concat();
    let mut response = tpm.execute(&command);
    if response[6..10] == [0, 0, 9, 0x22] {
        // TPM_RC_RETRY: the first use of such a key after a start. libtss2 sends it again, too.
        response = tpm.execute(&command);
    }
    assert_eq!(response[6..10], [0; 4], "command {code:#x}");
    response[10..].to_vec()
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    EcdsaP256,
    Rsa2048,
}

/// A restricted signing key of the endorsement hierarchy: its handle and `TPMT_PUBLIC`.
fn attestation_key(tpm: &NitroTpm, kind: Kind) -> (u32, Vec<u8>) {
    let start = |algorithm| [0, algorithm, 0, 0x0b, 0x00, 0x05, 0x00, 0x72, 0, 0, 0, 0x10];
    let template = match kind {
        Kind::EcdsaP256 => [&start(0x23)[..], &[0, 0x18, 0, 0x0b, 0, 3, 0, 0x10, 0, 0, 0, 0]].concat(),
        Kind::Rsa2048 => [&start(1)[..], &[0, 0x14, 0, 0x0b, 8, 0, 0, 0, 0, 0, 0, 0]].concat(),
    };
    let parameters = [sized(&[0; 4]), sized(&template), vec![0; 6]].concat();
    let response = command(tpm, 0x131, ENDORSEMENT, &parameters);
    let handle = u32::from_be_bytes(*response.first_chunk().unwrap());
    (handle, response[10..10 + u16_at(&response, 8)].to_vec())
}

/// All registers of some banks, in one quote.
fn quote(tpm: &NitroTpm, key: u32, banks: &[Bank]) -> QuoteBytes {
    let mut parameters = sized(NONCE);
    parameters.extend([0, 0x10]);
    parameters.extend(u32::try_from(banks.len()).unwrap().to_be_bytes());
    for bank in banks {
        parameters.extend(bank.tpm_id().to_be_bytes());
        parameters.extend([3, 0xff, 0xff, 0xff]);
    }
    let response = command(tpm, 0x158, key, &parameters);
    let parameters = usize::try_from(u32::from_be_bytes(*response.first_chunk().unwrap())).unwrap();
    let end = 6 + u16_at(&response, 4);
    QuoteBytes { attest: response[6..end].to_vec(), signature: response[end..4 + parameters].to_vec() }
}

/// Evidence of this TPM: a quote of some banks, and a document that carries the quoting key.
fn collect(tpm: &NitroTpm, kind: Kind, banks: &[Bank], with_document: bool, log: &[u8]) -> Evidence {
    let (handle, public) = attestation_key(tpm, kind);
    let mut evidence = Evidence::default();
    evidence.document = with_document.then(|| tpm.document(Some(&public), None, Some(NONCE)).unwrap());
    evidence.quotes = vec![quote(tpm, handle, banks)];
    for bank in banks {
        for (_, index, value) in tpm.pcrs(*bank).unwrap().iter() {
            evidence.pcrs.insert(index, *value).unwrap();
        }
    }
    evidence.ak_public = Some(public);
    evidence.event_log = Some(log.to_vec());
    evidence
}

fn key_of(evidence: &Evidence) -> AttestationKey {
    AttestationKey::parse(evidence.ak_public.as_ref().unwrap()).unwrap()
}

fn trust(tpm: &NitroTpm) -> Trust {
    let mut roots = TrustRoots::empty();
    roots.add_pem(tpm.root_pem().as_bytes()).unwrap();
    Trust::roots(roots)
}

fn now() -> Clock {
    Clock::Live(UnixTime::since_unix_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap()))
}

fn case(evidence: Evidence, trust: Trust, policy: String) -> Case {
    Case { evidence, trust, policy, nonce: Some(NONCE.to_vec()), clock: now(), previous: None, ima_allow_list: None }
}

fn codes(case: &Case) -> Vec<&'static str> {
    case.judge().reasons().iter().map(|reason| reason.code).collect()
}

#[track_caller]
fn affirmed(case: &Case, name: &str) {
    let result = case.judge();
    assert_eq!(result.verdict(), Verdict::Affirmed, "{name}: {}", result.to_json());
}

/// Each boot's evidence is affirmed under its own policy, and refused for the right reason where one thing is altered.
fn each_boot_verifies(boots: &[(String, Vec<u8>, PcrValues)]) {
    let mut previous: Option<(&str, String, Case)> = None;
    for (number, (name, log, pcrs)) in boots.iter().enumerate() {
        let tpm = NitroTpm::builder().boot_log(log.clone()).start().unwrap();
        let kind = if number % 2 == 0 { Kind::EcdsaP256 } else { Kind::Rsa2048 };
        let evidence = collect(&tpm, kind, &[Bank::Sha256, Bank::Sha384], true, log);
        let image = only(pcrs, |bank, pcr| bank == Bank::Sha384 && [4, 7, 11, 12].contains(&pcr));
        assert!(image.len() >= 2, "{name}");
        let text = policy("document = true\nquote = true\nevent_log = true\nmax_age_seconds = 300", &image);
        let case = case(evidence, trust(&tpm), text.clone());
        affirmed(&case, name);
        assert_eq!(case.judge().claims().ak_binding, "document", "{name}");
        // The log's own PCRs are what was signed: by the document in its bank, by the key alone, once trusted, in all.
        let pinned = Case { trust: trust(&tpm).pin(key_of(&case.evidence)), ..case.clone() };
        affirmed(&pinned, name);
        for (case, banks) in [(&case, &[Bank::Sha384][..]), (&pinned, &[Bank::Sha256, Bank::Sha384])] {
            let result = case.judge();
            for (bank, index, value) in pcrs.iter().filter(|(bank, ..)| banks.contains(bank)) {
                assert_eq!(result.pcrs().get(bank, index), Some(value), "{name} {bank} {index}");
            }
        }

        let altered = |alter: &dyn Fn(&mut Case)| {
            let mut altered = case.clone();
            alter(&mut altered);
            codes(&altered)
        };
        assert_eq!(altered(&|case| case.nonce = Some(vec![7; 32])), ["document.nonce"], "{name}");
        assert_eq!(altered(&|case| case.trust = Trust::aws()), ["document.chain-root"], "{name}");
        let later = UnixTime::since_unix_epoch(
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(400),
        );
        assert_eq!(altered(&|case| case.clock = Clock::Live(later)), ["document.stale"], "{name}");
        if let Some((other, other_policy, other_case)) = &previous {
            // Another machine's log does not explain these PCRs, nor does this one fit another machine's policy.
            let log = other_case.evidence.event_log.clone();
            let found = altered(&|case| case.evidence.event_log.clone_from(&log));
            assert!(found.contains(&"event_log.replay-mismatch"), "{name} with the log of {other}: {found:?}");
            let found = altered(&|case| case.policy.clone_from(other_policy));
            if other_policy == &text {
                assert!(found.is_empty());
            } else {
                assert!(found.iter().all(|code| *code == "pcr.mismatch") && !found.is_empty(), "{name}: {found:?}");
            }
            // Another TPM's quote is not by the key in this document.
            let quotes = other_case.evidence.quotes.clone();
            let found = altered(&|case| case.evidence.quotes.clone_from(&quotes));
            assert!(found.iter().any(|code| code.starts_with("quote.")), "{name} with quotes of {other}: {found:?}");
        }
        previous = Some((name, text, case));
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn evidence_after_each_boot_of_the_fixtures_verifies() {
    let boots: Vec<_> = ["secure-boot-off", "secure-boot-on", "tampered-command-line"]
        .into_iter()
        .map(|name| {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/boot").join(name);
            let pcrs: PcrValues = serde_json::from_slice(&fs::read(directory.join("pcrs.json")).unwrap()).unwrap();
            // PCR 10 is the kernel's, which measured after the log.
            let pcrs = only(&pcrs, |_, pcr| pcr < 16 && pcr != 10);
            (name.to_owned(), fs::read(directory.join("eventlog.bin")).unwrap(), pcrs)
        })
        .collect();
    each_boot_verifies(&boots);
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn evidence_after_each_boot_of_the_corpus_verifies() {
    let mut boots = Vec::new();
    for entry in fs::read_dir(corpus::path("boot")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if corpus::path(&format!("boot/{name}/eventlog.bin")).is_file() {
            let pcrs = serde_json::from_slice(&corpus::read(&format!("boot/{name}/boot-pcrs.json"))).unwrap();
            boots.push((name.clone(), corpus::read(&format!("boot/{name}/eventlog.bin")), pcrs));
        }
    }
    boots.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(boots.len(), 8);
    each_boot_verifies(&boots);
}

/// Why a log of other people's machines cannot be booted here.
fn why_not(name: &str, error: &EmulatorError) -> &'static str {
    match error {
        EmulatorError::BootLog { .. } => "not a log that replays",
        EmulatorError::BootLogLocality { .. } => "its TPM was started by hardware",
        other => panic!("{name}: {other}"),
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn evidence_after_other_machines_boots_verifies() {
    let manifest = String::from_utf8(corpus::read("eventlog/MANIFEST.tsv")).unwrap();
    let (mut verified, mut documents, mut not_booted) = (0, 0, BTreeMap::new());
    for line in manifest.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        // Logs of two banks and more: SHA-1 is off, as on EC2, and another one is needed.
        let banks = columns[7].strip_prefix("log:agile:").and_then(|rest| rest.split(':').next());
        if !banks.is_some_and(|banks| banks.contains(',')) {
            continue;
        }
        let name = columns[0];
        let log = corpus::read(&format!("eventlog/{name}"));
        let tpm = match NitroTpm::builder().boot_log(log.clone()).start() {
            Ok(tpm) => tpm,
            Err(error) => {
                *not_booted.entry(why_not(name, &error)).or_insert(0) += 1;
                continue;
            }
        };
        let report = tpm.boot_log_report().unwrap();
        let replayed = EventLog::parse(&log, &ParseOptions::default()).unwrap().replay_all().unwrap().values();
        let image = only(&replayed, |bank, pcr| report.banks.contains(&bank) && pcr < 16);
        // Firmware extends these on every boot: a log without them is a piece of one, and rightly refused.
        let is_whole = report.banks.iter().all(|bank| (0..8).all(|pcr| image.get(*bank, index(pcr)).is_some()));
        if report.banks.is_empty() || !is_whole {
            *not_booted.entry("a piece of a log").or_insert(0) += 1;
            continue;
        }
        // The document signs SHA-384, which most of these logs have no digests of: then it is the quote alone.
        let with_document = report.banks.contains(&Bank::Sha384);
        let evidence = collect(&tpm, Kind::EcdsaP256, &report.banks, with_document, &log);
        let pinned = trust(&tpm).pin(key_of(&evidence));
        let of_quote = case(evidence.clone(), pinned, policy("quote = true\nevent_log = true", &image));
        affirmed(&of_quote, name);
        let mut cases = vec![of_quote];
        if with_document {
            let image = only(&image, |bank, _| bank == Bank::Sha384);
            let require = "document = true\nquote = true\nevent_log = true";
            let of_document = case(evidence, trust(&tpm), policy(require, &image));
            affirmed(&of_document, name);
            cases.push(of_document);
            documents += 1;
        }
        for mut altered in cases {
            altered.nonce = Some(vec![7; 32]);
            let found = codes(&altered);
            assert!(!found.is_empty() && found.iter().all(|code| code.ends_with(".nonce")), "{name}: {found:?}");
        }
        verified += 1;
    }
    println!(
        "{verified} logs of other machines booted and verified, {documents} in documents; not booted: {not_booted:?}"
    );
    assert!(verified >= 30 && documents >= 9, "{verified} {documents}; {not_booted:?}");
}
