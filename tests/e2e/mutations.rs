//! One bit altered, or the end cut off, anywhere in real evidence.
//!
//! What a signature or an authenticated digest covers can not be altered without losing the verdict. The rest may: event
//! types, events' data, digests of registers and banks that nothing authenticates, the IMA list, the endorsement key.
//! Altering it may cost a claim (the state of Secure Boot becomes unknown, a register is no longer replayed) and changes
//! nothing else: ledger item L14.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nitrotpm_eventlog::{EventLog, EventType, ParseOptions};
use nitrotpm_pcr::{Bank, Digest, PcrValues};
use nitrotpm_verifier::{
    AttestationKey, AttestationResult, Evidence, Nonce, NonceExpectation, Policy, PolicyError, Request, Trust, Verdict,
    verify,
};

use crate::bundles::{audit, nitrotpm};
use crate::workbench::{Case, changed, only, policy};

const FIXTURES: [&str; 3] = ["secure-boot-off", "secure-boot-on", "tampered-command-line"];

/// Of the JSON text every so manieth byte is altered, and the text is cut at every so manieth: each byte that the text
/// encodes is altered on its own besides, and all of these numbers are prime, so that no field escapes.
const TEXT_STRIDE: usize = 13;
/// The same for the real document, whose every byte `document_corpus` alters.
const DOCUMENT_STRIDE: usize = 7;
/// A log is cut at every so manieth length; the event log's own tests cut one at every length.
const LOG_CUT_STRIDE: usize = 7;
/// Every byte and every length.
const EVERY: (usize, usize) = (1, 1);

fn fixture_file(name: &str, file: &str) -> Vec<u8> {
    let path = format!("{}/../fixtures/boot/{name}/{file}", env!("CARGO_MANIFEST_DIR"));
    fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A fixture with the policy beside it; the tampered boot has none, and gets one of its own values.
fn fixture(name: &str) -> (Vec<u8>, Case) {
    let bytes = fixture_file(name, "evidence.json");
    let evidence = Evidence::from_json(&bytes).unwrap();
    let own = only(&evidence.pcrs, |bank, pcr| bank == Bank::Sha384 && [4, 9, 11, 12].contains(&pcr));
    let own = policy("quote = true\nevent_log = true", &own);
    let stored = name != "tampered-command-line";
    let text = stored.then(|| String::from_utf8(fixture_file(name, "policy.toml")).unwrap());
    let case = Case {
        trust: Trust::aws().pin(AttestationKey::parse(&fixture_file(name, "ak.pub")).unwrap()),
        policy: text.unwrap_or(own),
        nonce: Some(hex::decode(fixture_file(name, "nonce.hex")).unwrap()),
        clock: audit(1_795_478_400),
        previous: None,
        ima_allow_list: None,
        evidence,
    };
    (bytes, case)
}

/// The positions in a log that nothing authenticated covers, by the log's own structure and the registers that are
/// signed. Only PCR 0 to 9 must replay.
fn unsigned_positions(log: &[u8], authenticated: &PcrValues) -> BTreeSet<usize> {
    let parsed = EventLog::parse(log, &ParseOptions::default()).unwrap();
    let mut unsigned = BTreeSet::new();
    for event in parsed.events() {
        let (start, data) = (event.offset(), event.data_offset());
        if event.index() == 0 && parsed.header().is_some() {
            // Of the header: platform class, errata, size of UINTN, vendor information.
            let vendor = parsed.header().unwrap().vendor_info.len();
            unsigned.extend((data + 16..data + 20).chain(data + 22..data + 24));
            unsigned.extend(data + event.data().len() - vendor..data + event.data().len());
            continue;
        }
        unsigned.extend(start + 4..start + 8);
        unsigned.extend(data..data + event.data().len());
        let must_replay = event.extends() && event.pcr().is_some_and(|pcr| pcr.get() <= 9);
        if !must_replay {
            unsigned.extend(start..start + 4);
        }
        let mut at = start + 12;
        for (algorithm, digest) in event.digests() {
            at += 2;
            let bank = algorithm.bank();
            let signed = bank.zip(event.pcr()).is_some_and(|(bank, pcr)| authenticated.get(bank, pcr).is_some());
            if !(must_replay && signed) {
                unsigned.extend(at..at + digest.len());
            }
            at += digest.len();
        }
    }
    unsigned
}

/// Evidence as it was, what the verifier said of it, and what nothing covers.
struct Subject {
    case: Case,
    policy: Policy,
    nonce: Nonce,
    original: AttestationResult,
    unsigned: BTreeSet<usize>,
    /// How many alterations were tried, and how many left the verdict.
    tried: AtomicUsize,
    affirmed: AtomicUsize,
}

impl Subject {
    fn new(case: Case) -> Self {
        let original = case.accept();
        let log = case.evidence.event_log.as_deref();
        Self {
            policy: Policy::from_toml(case.policy.as_bytes()).unwrap(),
            nonce: Nonce::new(case.nonce.as_deref().unwrap()).unwrap(),
            unsigned: log.map(|log| unsigned_positions(log, original.pcrs())).unwrap_or_default(),
            case,
            original,
            tried: AtomicUsize::new(0),
            affirmed: AtomicUsize::new(0),
        }
    }

    fn judge(&self, evidence: &[u8], policy: &Policy) -> AttestationResult {
        let request = Request::new(NonceExpectation::Expected(&self.nonce), self.case.clock);
        verify(evidence, policy, &self.case.trust, &request)
    }

    /// Altered evidence is not affirmed, or only what nothing covers was altered and no more is shown than before.
    fn holds(&self, bytes: &[u8], what: &dyn Fn() -> String) {
        self.tried.fetch_add(1, Ordering::Relaxed);
        let result = self.judge(bytes, &self.policy);
        if result.verdict() != Verdict::Affirmed {
            assert!(!result.reasons().is_empty(), "{}", what());
            return;
        }
        self.affirmed.fetch_add(1, Ordering::Relaxed);
        let (was, is) = (&self.case.evidence, Evidence::from_json(bytes).unwrap());
        let signed = |evidence: &Evidence| {
            (evidence.document.clone(), evidence.ak_public.clone(), evidence.quotes.clone(), evidence.pcrs.clone())
        };
        assert!(signed(was) == signed(&is), "{}: what is signed was altered, and the result affirmed", what());
        if let (Some(was), Some(is)) = (&was.event_log, &is.event_log) {
            if was.len() == is.len() {
                let covered = (0..was.len()).find(|at| was[*at] != is[*at] && !self.unsigned.contains(at));
                assert_eq!(covered, None, "{}: this byte of the log is covered by a signed register", what());
            } else {
                self.only_late_events_are_missing(was, is, &what());
            }
        }
        self.shows_no_more(&result, &what());
    }

    /// A log without its last events is a log; it replays where these were in no register that must.
    fn only_late_events_are_missing(&self, was: &[u8], is: &[u8], what: &str) {
        assert!(was.starts_with(is), "{what}");
        let log = EventLog::parse(was, &ParseOptions::default()).unwrap();
        for event in log.events().filter(|event| event.offset() >= is.len()) {
            let late = event.pcr().is_none_or(|pcr| pcr.get() > 9);
            assert!(late || event.event_type() == EventType::NO_ACTION, "{what}: event {}", event.index());
        }
    }

    fn shows_no_more(&self, result: &AttestationResult, what: &str) {
        let original = &self.original;
        assert_eq!(result.pcrs(), original.pcrs(), "{what}");
        assert_eq!(result.image(), original.image(), "{what}");
        let checks = |result: &AttestationResult| {
            result.checks().iter().map(|check| (check.id, check.outcome, check.quote)).collect::<Vec<_>>()
        };
        assert_eq!(checks(result), checks(original), "{what}");
        let mut claims = result.claims().clone();
        if claims.secure_boot == "unknown" {
            claims.secure_boot = original.claims().secure_boot;
        }
        if let (Some(ima), Some(before)) = (&mut claims.ima, &original.claims().ima)
            && matches!(ima.boot_aggregate, "missing" | "not-checkable")
        {
            ima.boot_aggregate = before.boot_aggregate;
        }
        for (bank, pcrs) in &claims.replayed {
            let before = &original.claims().replayed[bank];
            assert!(pcrs.iter().all(|pcr| before.contains(pcr)), "{what}: {bank} {pcrs:?}");
        }
        claims.replayed.clone_from(&original.claims().replayed);
        assert_eq!(&claims, original.claims(), "{what}");
    }

    /// Alters one bit of every `strides.0`th byte of a part, and cuts it at every `strides.1`th length.
    fn part(&self, name: &str, strides: (usize, usize), part: &[u8], replace: &dyn Fn(&mut Evidence, Vec<u8>)) {
        // The text around the part is the same each time.
        let marker = [0xA5; 48];
        let mut evidence = self.case.evidence.clone();
        replace(&mut evidence, marker.to_vec());
        let text = String::from_utf8(evidence.to_json()).unwrap();
        let (before, after) = text.split_once(&STANDARD.encode(marker)).unwrap();
        let with = |bytes: &[u8]| [before, &STANDARD.encode(bytes), after].concat().into_bytes();
        assert_eq!(Evidence::from_json(&with(part)).unwrap(), self.case.evidence, "{name}");
        in_parallel(part.len(), strides.0, &|at| {
            self.holds(&with(&flipped(part, at)), &|| format!("{name}, byte {at}"));
        });
        in_parallel(part.len(), strides.1, &|at| {
            self.holds(&with(&part[..at]), &|| format!("{name}, cut to {at} bytes"));
        });
    }

    /// Every register's value, one bit of each byte.
    fn registers(&self) {
        let values: Vec<_> = self.case.evidence.pcrs.iter().map(|(bank, pcr, value)| (bank, pcr, *value)).collect();
        in_parallel(values.len(), 1, &|place| {
            let (bank, pcr, value) = values[place];
            for at in 0..value.as_bytes().len() {
                let mut evidence = self.case.evidence.clone();
                let altered = Digest::new(bank, &flipped(value.as_bytes(), at)).unwrap();
                evidence.pcrs = changed(&evidence.pcrs, bank, pcr.get(), Some(altered));
                self.holds(&evidence.to_json(), &|| format!("PCR {pcr} of {bank}, byte {at}"));
            }
        });
    }

    /// The JSON text itself.
    fn text(&self, text: &[u8]) {
        assert_eq!(Evidence::from_json(text).unwrap(), self.case.evidence);
        in_parallel(text.len(), TEXT_STRIDE, &|at| {
            self.holds(&flipped(text, at), &|| format!("JSON, byte {at}"));
            self.holds(&text[..at], &|| format!("JSON, cut to {at} bytes"));
        });
    }

    /// How many alterations were affirmed, of how many, since the last call.
    fn counts(&self) -> (usize, usize) {
        (self.affirmed.swap(0, Ordering::Relaxed), self.tried.swap(0, Ordering::Relaxed))
    }

    #[track_caller]
    fn none_was_affirmed(&self) {
        let (affirmed, tried) = self.counts();
        assert!(affirmed == 0 && tried > 0, "{affirmed} of {tried}");
    }
}

/// The bytes with bit `at % 8` of byte `at` altered.
fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut altered = bytes.to_vec();
    altered[at] ^= 1 << (at % 8);
    altered
}

/// Every `stride`th number below `end`, spread over the processors.
fn in_parallel(end: usize, stride: usize, work: &(dyn Fn(usize) + Sync)) {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for worker in 0..workers {
            scope.spawn(move || (worker * stride..end).step_by(workers * stride).for_each(work));
        }
    });
}

#[test]
fn no_altered_byte_of_a_fixtures_signed_parts_is_affirmed() {
    for name in FIXTURES {
        let subject = Subject::new(fixture(name).1);
        let evidence = subject.case.evidence.clone();
        for (index, quote) in evidence.quotes.iter().enumerate() {
            let attest = move |evidence: &mut Evidence, bytes| evidence.quotes[index].attest = bytes;
            subject.part(&format!("{name}, quote {index}"), EVERY, &quote.attest, &attest);
            let signature = move |evidence: &mut Evidence, bytes| evidence.quotes[index].signature = bytes;
            subject.part(&format!("{name}, signature {index}"), EVERY, &quote.signature, &signature);
        }
        let key = evidence.ak_public.unwrap();
        subject.part(name, EVERY, &key, &|evidence, bytes| evidence.ak_public = Some(bytes));
        subject.registers();
        subject.none_was_affirmed();
    }
}

#[test]
fn l14_no_altered_byte_of_a_fixtures_log_shows_more_than_the_log() {
    for name in FIXTURES {
        let subject = Subject::new(fixture(name).1);
        let log = subject.case.evidence.event_log.clone().unwrap();
        // All of this is in one test or the other: what may be altered, and what may not.
        assert!(subject.unsigned.len() > 1000 && log.len() - subject.unsigned.len() > 2000, "{name}");
        subject.part(name, (1, LOG_CUT_STRIDE), &log, &|evidence, bytes| evidence.event_log = Some(bytes));
        let (affirmed, tried) = subject.counts();
        assert!(
            affirmed > 1000 && tried == log.len() + log.len().div_ceil(LOG_CUT_STRIDE),
            "{name}: {affirmed} of {tried}"
        );
    }
}

#[test]
fn altered_parts_that_nothing_covers_change_no_verdict() {
    for name in FIXTURES {
        let subject = Subject::new(fixture(name).1);
        let evidence = subject.case.evidence.clone();
        let (ima, ek) = (evidence.ima_log.unwrap(), evidence.ek_public.unwrap());
        // Without an enrolment record nothing is claimed of an endorsement key.
        subject.part(name, EVERY, &ek, &|evidence, bytes| evidence.ek_public = Some(bytes));
        let (affirmed, tried) = subject.counts();
        assert!(affirmed == tried && tried == 2 * ek.len(), "{affirmed} of {tried}");
        // Of an IMA list PCR 10 covers all but the name of the template; where that is another one, less is shown.
        subject.part(name, EVERY, &ima, &|evidence, bytes| evidence.ima_log = Some(bytes));
        let (affirmed, tried) = subject.counts();
        assert!(affirmed <= "ima-sig".len() && tried == 2 * ima.len(), "{affirmed} of {tried}");
    }
}

#[test]
fn no_altered_byte_of_a_fixtures_text_is_affirmed_where_it_counts() {
    for name in FIXTURES {
        let (bytes, case) = fixture(name);
        Subject::new(case).text(&bytes);
    }
}

#[test]
fn the_tampered_boot_is_refused_whatever_byte_is_altered() {
    // By the policy of the honest boot.
    let (bytes, tampered) = fixture("tampered-command-line");
    let honest = tampered.with(|case| case.policy = fixture("secure-boot-off").1.policy);
    honest.refuse("pcr.mismatch");
    let policy = Policy::from_toml(honest.policy.as_bytes()).unwrap();
    let subject = Subject::new(tampered);
    in_parallel(bytes.len(), TEXT_STRIDE, &|at| {
        for altered in [flipped(&bytes, at), bytes[..at].to_vec()] {
            assert_ne!(subject.judge(&altered, &policy).verdict(), Verdict::Affirmed, "byte {at}");
        }
    });
}

/// A policy is the caller's: one that was altered is another policy. It never panics; where evidence satisfies it, all
/// that it says holds, and the result names it.
#[test]
fn p7_an_altered_policy_is_an_error_or_another_policy_that_holds() {
    for name in ["secure-boot-off", "secure-boot-on"] {
        let (evidence, case) = fixture(name);
        let text = case.policy.clone().into_bytes();
        let subject = Subject::new(case);
        let (errors, affirmed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let judge = |altered: &[u8], at: usize| {
            let policy = match Policy::from_toml(altered) {
                Ok(policy) => policy,
                Err(error) => {
                    assert!(PolicyError::CODES.contains(&error.code()));
                    errors.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            };
            let result = subject.judge(&evidence, &policy);
            let json: serde_json::Value = serde_json::from_str(&result.to_json()).unwrap();
            let digest = nitrotpm_digest_lanes::hash(Bank::Sha256, &[altered]).to_string();
            assert_eq!(json["policy_sha256"], digest);
            if result.verdict() != Verdict::Affirmed {
                return;
            }
            affirmed.fetch_add(1, Ordering::Relaxed);
            let signed = |image: &nitrotpm_verifier::Image| {
                image.pcrs.iter().all(|(bank, pcr, value)| result.pcrs().get(bank, pcr) == Some(value))
            };
            assert!(policy.images().is_empty() || policy.images().iter().any(signed), "byte {at}");
            assert!(!policy.require().document && policy.require().instance_ids.is_empty(), "byte {at}");
            assert!(!policy.require().secure_boot || result.claims().secure_boot == "enabled", "byte {at}");
        };
        in_parallel(text.len(), 1, &|at| {
            judge(&flipped(&text, at), at);
            judge(&text[..at], at);
        });
        let (errors, affirmed) = (errors.into_inner(), affirmed.into_inner());
        assert!(errors > 100 && affirmed > 0 && errors + affirmed < 2 * text.len(), "{errors} {affirmed}");
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn no_altered_byte_of_a_real_nitrotpms_bundle_is_affirmed() {
    let subject = Subject::new(nitrotpm());
    let evidence = subject.case.evidence.clone();
    let document = evidence.document.unwrap();
    subject.part("document", (DOCUMENT_STRIDE, DOCUMENT_STRIDE), &document, &|evidence, bytes| {
        evidence.document = Some(bytes)
    });
    subject.part("quote", EVERY, &evidence.quotes[0].attest, &|evidence, bytes| evidence.quotes[0].attest = bytes);
    subject.part("signature", EVERY, &evidence.quotes[0].signature, &|evidence, bytes| {
        evidence.quotes[0].signature = bytes;
    });
    let key = evidence.ak_public.unwrap();
    subject.part("key", EVERY, &key, &|evidence, bytes| evidence.ak_public = Some(bytes));
    subject.registers();
    let json = subject.case.evidence.to_json();
    subject.text(&json);
    subject.none_was_affirmed();
}
