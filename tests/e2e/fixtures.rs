//! The boots under `fixtures/`: that their parts are what their README says, and that each quote and log holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nitrotpm_digest_lanes::HashAlgorithm;
use nitrotpm_eventlog::{EventLog, ParseOptions};
use nitrotpm_freshness::{Nonce, NonceExpectation};
use nitrotpm_pcr::{PcrIndex, PcrValues};
use nitrotpm_quote::{AttestationKey, QuoteError, QuoteExpectations, SignedQuote, UnverifiedQuote};

const BOOTS: [&str; 3] = ["secure-boot-off", "secure-boot-on", "tampered-command-line"];

fn file(boot: &str, name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/boot").join(boot).join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(boot: &str, name: &str) -> String {
    String::from_utf8(file(boot, name)).unwrap()
}

fn pcrs(boot: &str) -> PcrValues {
    serde_json::from_slice(&file(boot, "pcrs.json")).unwrap()
}

/// Verifies a boot's quote with the key of one boot and the nonce of another, which may be the same.
fn verify(boot: &str, quote: &str, key_of: &str, nonce_of: &str) -> Result<SignedQuote, QuoteError> {
    let key = if quote.starts_with("ecc") { "ecc-ak.pub" } else { "ak.pub" };
    let key = AttestationKey::parse(&file(key_of, key)).unwrap();
    let nonce = Nonce::from_hex(&text(nonce_of, "nonce.hex")).unwrap();
    let mut expectations = QuoteExpectations::new(NonceExpectation::Expected(&nonce));
    expectations.allow_sha1 = true;
    UnverifiedQuote::parse(&file(boot, &format!("quote-{quote}.msg")), &file(boot, &format!("quote-{quote}.sig")))?
        .verify(&key, &expectations, &pcrs(boot))
}

#[test]
fn every_quote_holds_under_its_own_key_and_nonce_only() {
    for (boot, other) in BOOTS.into_iter().zip(BOOTS.into_iter().cycle().skip(1)) {
        for (quote, registers) in [("rsa-all", 96), ("rsa-sha384", 24), ("ecc-all", 96), ("ecc-sha384", 24)] {
            let signed = verify(boot, quote, boot, boot).unwrap();
            assert_eq!(signed.values().len(), registers, "{boot} {quote}");
            assert_eq!(verify(boot, quote, other, boot).unwrap_err().code(), "quote.signature", "{boot} {quote}");
            assert_eq!(verify(boot, quote, boot, other).unwrap_err().code(), "quote.nonce", "{boot} {quote}");
        }
    }
}

#[test]
fn the_log_replays_in_all_banks_and_only_for_its_own_boot() {
    let boot_registers = (0..10).chain(11..17).map(|index| PcrIndex::new(index).unwrap());
    let all: Vec<_> =
        HashAlgorithm::ALL.into_iter().flat_map(|bank| boot_registers.clone().map(move |i| (bank, i))).collect();
    for (boot, other) in BOOTS.into_iter().zip(BOOTS.into_iter().cycle().skip(1)) {
        let bytes = file(boot, "eventlog.bin");
        let replayed = EventLog::parse(&bytes, &ParseOptions::default()).unwrap().replay_all().unwrap();
        assert_eq!(replayed.confirm(&pcrs(boot), all.iter().copied()).unwrap().confirmed().len(), 64, "{boot}");
        assert!(replayed.confirm(&pcrs(other), all.iter().copied()).is_err(), "{boot} against {other}");
    }
}

#[test]
fn the_evidence_is_made_of_the_parts_beside_it() {
    for boot in BOOTS {
        let evidence: serde_json::Value = serde_json::from_slice(&file(boot, "evidence.json")).unwrap();
        let part = |value: &serde_json::Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        for (field, name) in
            [("ak_public", "ak.pub"), ("ek_public", "ek.pub"), ("event_log", "eventlog.bin"), ("ima_log", "ima.bin")]
        {
            assert_eq!(part(&evidence[field]), file(boot, name), "{boot} {field}");
        }
        for (index, name) in ["rsa-all", "rsa-sha384"].into_iter().enumerate() {
            let quote = &evidence["quotes"][index];
            assert_eq!(part(&quote["attest"]), file(boot, &format!("quote-{name}.msg")));
            assert_eq!(part(&quote["signature"]), file(boot, &format!("quote-{name}.sig")));
        }
        assert_eq!(serde_json::from_value::<PcrValues>(evidence["pcrs"].clone()).unwrap(), pcrs(boot));
    }
}

/// The attack and its twin differ in what a kernel command line reaches, and in nothing else.
#[test]
fn the_tampered_boot_differs_where_the_command_line_is_measured() {
    let (honest, tampered) = (pcrs("secure-boot-off"), pcrs("tampered-command-line"));
    let different: BTreeSet<_> = honest
        .iter()
        .filter(|(bank, index, value)| tampered.get(*bank, *index) != Some(*value))
        .map(|(_, index, _)| index.get())
        .collect();
    assert_eq!(different, BTreeSet::from([4, 9, 10, 11]));
}
