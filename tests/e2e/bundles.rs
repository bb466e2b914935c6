//! Whole evidence of real machines: a NitroTPM of us-east-1 with its document, and our own measured boots.

use core::time::Duration;

use nitrotpm_pcr::{Bank, PcrValues};
use nitrotpm_quote::UnverifiedQuote;
use nitrotpm_signature::{Curve, PublicKey};
use nitrotpm_tpm_wire::{AlgorithmId, Signature, Structure};
use nitrotpm_verifier::{
    AttestationKey, Clock, Evidence, Nonce, Outcome, QuoteBytes, SecureBootState, Trust, UnixTime, Verdict,
};
use serde_json::Value;

use crate::corpus;
use crate::quote_peers::split_der;
use crate::workbench::{Case, only, outcome, policy, warnings};

/// 2026-02-03T11:00:00Z: 48 minutes after the document was made.
const WITHIN_THE_HOUR: u64 = 1_770_116_400;
/// 2026-11-24T00:00:00Z.
const MONTHS_LATER: u64 = 1_795_478_400;

pub(crate) fn audit(seconds: u64) -> Clock {
    Clock::Audit(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

/// The NitroTPM's document, the quote by the key that the document carries, that key, and the PCRs; no log was published
/// with them.
pub(crate) fn nitrotpm() -> Case {
    let sample: Value =
        serde_json::from_slice(&corpus::read("nitro/nitrotpm/vaportpm-quote-and-document.json")).unwrap();
    let unhex = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let numbers = &sample["ak_pubkeys"]["ecc_p256"];
    let tpm = &sample["attestation"]["tpm"]["ecc_p256"];
    let (r, s) = split_der(&unhex(&tpm["signature"]));
    let key = PublicKey::ec(Curve::P256, &unhex(&numbers["x"]), &unhex(&numbers["y"])).unwrap();
    let pcrs: PcrValues = serde_json::from_value(sample["pcrs"].clone()).unwrap();
    let mut evidence = Evidence::default();
    evidence.document = Some(unhex(&sample["attestation"]["nitro"]["document"]));
    evidence.ak_public = Some(key.to_spki_der());
    evidence.quotes = vec![QuoteBytes {
        attest: unhex(&tpm["attest_data"]),
        signature: Signature::Ecdsa { hash: AlgorithmId::SHA256, r, s }.to_bytes().unwrap(),
    }];
    let image = only(&pcrs, |_, pcr| [4, 7, 8, 9, 12].contains(&pcr));
    evidence.pcrs = pcrs;
    Case {
        evidence,
        trust: Trust::aws(),
        policy: policy("document = true\nquote = true", &image),
        nonce: Some(unhex(&sample["nonce"])),
        clock: audit(WITHIN_THE_HOUR),
        previous: None,
        ima_allow_list: None,
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn the_bundle_of_a_real_nitrotpm_is_affirmed() {
    let case = nitrotpm();
    let result = case.accept();
    let claims = result.claims();
    assert_eq!((claims.ak_binding, claims.secure_boot), ("document", "unknown"));
    assert_eq!(claims.instance_id.as_deref(), Some("i-01cfb383223e42522"));
    let document = claims.document.as_ref().unwrap();
    assert_eq!(
        (document.region.as_str(), document.timestamp, document.nonce_checked),
        ("us-east-1", 1_770_113_522_437, true)
    );
    assert_eq!(result.pcrs(), &case.evidence.pcrs);
    assert!(claims.quotes[0].nonce_checked);
    assert_eq!(result.at(), "2026-02-03T11:00:00Z");
    for id in
        ["document.chain", "document.signature", "document.nonce", "quote.signature", "quote.nonce", "quote.trust"]
    {
        assert_eq!(outcome(&result, id), Some(Outcome::Pass), "{id}");
    }
    // The key's attributes are in no part that AWS signed.
    assert!(warnings(&result).contains(&"quote.key-attributes-unknown"));
    // The key need not be named beside the document.
    case.with(|case| case.evidence.ak_public = None).accept();
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn the_bundle_of_a_real_nitrotpm_with_one_thing_wrong_is_not() {
    let twin = nitrotpm();
    twin.accept();
    twin.with(|case| case.clock = audit(MONTHS_LATER)).reject("document.certificate-expired");
    twin.with(|case| case.clock = Clock::Live(case.clock.time())).accept();
    twin.with(|case| case.nonce.as_mut().unwrap()[31] ^= 1).reject("document.nonce");
    twin.with(|case| case.nonce.as_mut().unwrap().truncate(31)).reject("document.nonce");
    // Without the document nobody vouches for the key.
    twin.with(|case| case.evidence.document = None).reject("quote.key-untrusted");
    let strict = twin.with(|case| case.policy = case.policy.replace("[require]", "[require]\nmax_age_seconds = 60"));
    strict.reject("document.stale");
    let require = "document = true\nevent_log = true";
    let image = only(&twin.evidence.pcrs, |_, pcr| pcr == 4);
    twin.with(|case| case.policy = policy(require, &image)).refuse("event_log.missing");
    let require = "document = true\ninstance_ids = [\"i-01cfb383223e42523\"]";
    twin.with(|case| case.policy = policy(require, &image)).refuse("instance.not-accepted");
    // Only the SHA-384 bank is in a document.
    let other = corpus_values("uki-nosb");
    let sha256 = only(&other, |bank, pcr| bank == Bank::Sha256 && pcr == 4);
    twin.with(|case| case.policy = policy("document = true", &sha256)).refuse("pcr.not-authenticated");
}

/// The boots of the corpus, and whether Secure Boot was on.
const BOOTS: [(&str, SecureBootState); 8] = [
    ("uki-nosb", SecureBootState::Disabled),
    ("uki-nosb-stub254", SecureBootState::Disabled),
    ("uki-signed-nosb", SecureBootState::Disabled),
    ("tamper-cmdline", SecureBootState::Disabled),
    ("uki-sb", SecureBootState::Enabled),
    ("uki-sb-stub257", SecureBootState::Enabled),
    ("sdboot-uki-sb", SecureBootState::Enabled),
    ("shim-grub-ms", SecureBootState::Enabled),
];

/// Folder of the key and name of the quote.
const QUOTES: [(&str, &str); 7] = [
    ("rsa", "quote"),
    ("rsa", "quote256"),
    ("rsa", "quoteall"),
    ("ecc", "quote"),
    ("ecc", "quote256"),
    ("ecc", "quoteall"),
    ("p384", "quote"),
];

fn file(boot: &str, name: &str) -> Vec<u8> {
    corpus::read(&format!("boot/{boot}/{name}"))
}

fn corpus_values(boot: &str) -> PcrValues {
    serde_json::from_slice(&file(boot, "pcrs.json")).unwrap()
}

fn pinned(key: &[u8]) -> Trust {
    Trust::aws().pin(AttestationKey::parse(key).unwrap())
}

/// One quote of one boot, with all that the boot left behind.
pub(crate) fn boot(boot: &str, folder: &str, quote: &str) -> Case {
    let attest = file(boot, &format!("{folder}/{quote}.msg"));
    let signature = file(boot, &format!("{folder}/{quote}.sig"));
    let selection = UnverifiedQuote::parse(&attest, &signature).unwrap().unverified_view().selection.clone();
    let key = file(boot, &format!("{folder}/ak.pub"));
    let values = corpus_values(boot);
    let selected: Vec<_> = selection.iter().collect();
    let mut evidence = Evidence::default();
    evidence.pcrs = only(&values, |bank, pcr| selected.iter().any(|(of, at)| (*of, at.get()) == (bank, pcr)));
    evidence.ak_public = Some(key.clone());
    evidence.quotes = vec![QuoteBytes { attest, signature }];
    evidence.event_log = Some(file(boot, "eventlog.bin"));
    evidence.ima_log = Some(file(boot, "ima.bin"));
    let bank = if quote == "quote256" { Bank::Sha256 } else { Bank::Sha384 };
    let image = only(&values, |of, pcr| of == bank && [4, 7, 11].contains(&pcr));
    Case {
        evidence,
        trust: pinned(&key),
        policy: policy("quote = true\nevent_log = true", &image),
        nonce: Some(file(boot, "nonce")),
        clock: audit(MONTHS_LATER),
        previous: None,
        ima_allow_list: None,
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn every_quote_of_every_boot_is_affirmed_with_its_log() {
    for (name, state) in BOOTS {
        for (folder, quote) in QUOTES {
            let case = boot(name, folder, quote);
            let result = case.accept();
            let claims = result.claims();
            assert_eq!((claims.ak_binding, claims.ak_attributes), ("pinned", Some("known")), "{name}/{folder}/{quote}");
            assert_eq!(claims.secure_boot, state.name(), "{name}");
            // Every bank that was quoted, but SHA-1, replays from PCR 0 to 9.
            let banks: Vec<&str> = match quote {
                "quote" => vec!["sha384"],
                "quote256" => vec!["sha256"],
                _ => vec!["sha256", "sha384", "sha512"],
            };
            assert_eq!(claims.replayed.keys().copied().collect::<Vec<_>>(), banks);
            assert!(claims.replayed.values().all(|pcrs| pcrs.starts_with(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])));
            assert_eq!(result.pcrs(), &only(&case.evidence.pcrs, |bank, _| bank != Bank::Sha1));
            // PCR 10 is among the quoted registers, and proves the kernel's list and its first entry.
            let ima = claims.ima.as_ref().unwrap();
            // The kernel hashed the SHA-256 bank, which the first quote does not cover.
            let aggregate = if quote == "quote" { "not-checkable" } else { "matches" };
            assert_eq!(
                (ima.boot_aggregate, ima.violations, ima.unproven),
                (aggregate, 0, 0),
                "{name}/{folder}/{quote}"
            );
            assert!(ima.entries >= 1);
            // Where Secure Boot is demanded, its state decides.
            let demanding = case.with(|case| {
                case.policy = case.policy.replace("quote = true", "quote = true\nsecure_boot = true");
            });
            match state {
                SecureBootState::Enabled => drop(demanding.accept()),
                _ => drop(demanding.refuse("secure_boot.disabled")),
            }
            // SHA-1 is a bank like the others where the caller says so.
            if quote == "quoteall" {
                let with_sha1 = case.with(|case| case.trust = case.trust.clone().allow_sha1()).accept();
                assert_eq!(with_sha1.pcrs(), &case.evidence.pcrs);
                assert_eq!(with_sha1.claims().replayed.len(), 4);
            }
        }
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn with_anything_of_another_boot_no_quote_is_affirmed() {
    for (position, (name, _)) in BOOTS.iter().enumerate() {
        let (other, _) = BOOTS[(position + 1) % BOOTS.len()];
        for (folder, quote) in QUOTES {
            let (twin, there) = (boot(name, folder, quote), boot(other, folder, quote));
            twin.accept();
            let with = |alter: fn(&mut Case, Case)| twin.with(|case| alter(case, there.clone()));
            with(|case, there| case.trust = there.trust).reject("quote.key-untrusted");
            with(|case, there| case.evidence.ak_public = there.evidence.ak_public).reject("quote.key-untrusted");
            with(|case, there| {
                case.trust = there.trust;
                case.evidence.ak_public = there.evidence.ak_public;
            })
            .reject("quote.signature");
            with(|case, there| case.nonce = there.nonce).reject("quote.nonce");
            with(|case, there| case.evidence.pcrs = there.evidence.pcrs).reject("quote.pcr-digest");
            with(|case, there| case.evidence.event_log = there.evidence.event_log).reject("event_log.replay-mismatch");
            let result = with(|case, there| case.policy = there.policy).refuse("pcr.mismatch");
            assert!(result.reasons().iter().all(|reason| reason.image.as_deref() == Some("the image")));
            assert_eq!(result.claims(), twin.judge().claims());
            let whole = with(|case, there| case.evidence = there.evidence).judge();
            assert_eq!(whole.verdict(), Verdict::Invalid);
        }
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn a_tampered_command_line_is_refused_with_the_registers_that_show_it() {
    let (honest, tampered) = (boot("uki-nosb", "ecc", "quote"), boot("tamper-cmdline", "ecc", "quote"));
    honest.accept();
    let result = tampered.with(|case| case.policy.clone_from(&honest.policy)).refuse("pcr.mismatch");
    let shown: Vec<_> = result.reasons().iter().map(|reason| reason.pcr).collect();
    assert_eq!(shown, [Some(4), Some(11)]);
    let sha384 = |boot: &str, pcr| {
        let values = corpus_values(boot);
        values.get(Bank::Sha384, crate::workbench::index(pcr)).map(ToString::to_string)
    };
    assert_eq!(result.reasons()[0].expected, sha384("uki-nosb", 4));
    assert_eq!(result.reasons()[0].found, sha384("tamper-cmdline", 4));
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn both_quotes_of_one_boot_are_one_evidence() {
    // quote256 covers PCR 0 to 15 of SHA-256, quote all of SHA-384.
    let (sha384, sha256) = (boot("uki-sb", "ecc", "quote"), boot("uki-sb", "ecc", "quote256"));
    let both = sha384.with(|case| {
        case.evidence.quotes.extend(sha256.evidence.quotes.clone());
        for (_, pcr, value) in sha256.evidence.pcrs.iter() {
            case.evidence.pcrs.insert(pcr, *value).unwrap();
        }
    });
    let result = both.accept();
    assert_eq!((result.pcrs().len(), result.claims().replayed.len()), (40, 2));
    // One of another boot does not pass beside one of this boot, though its nonce is not looked at.
    let other = boot("uki-nosb", "ecc", "quote256");
    let mixed = both.with(|case| {
        case.nonce = None;
        case.evidence.quotes[1] = other.evidence.quotes[0].clone();
    });
    assert_eq!(mixed.reject("quote.signature").reasons()[0].quote, Some(1));
    // Nonces are per challenge: this one was another's.
    let nonce = Nonce::new(&file("uki-nosb", "nonce")).unwrap();
    both.with(|case| case.nonce = Some(nonce.as_bytes().to_vec())).reject("quote.nonce");
}
