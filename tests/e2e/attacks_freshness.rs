//! The attack ledger's section F, as far as a library without a state can show it.

use nitrotpm_document_issuer::cbor;
use nitrotpm_pcr::Bank;
use nitrotpm_verifier::{
    Clock, Nonce, NonceError, NonceExpectation, Outcome, Policy, PolicyError, Request, UnixTime, Verdict, appraise,
    authenticate,
};

use crate::workbench::{Case, MADE, MADE_MILLIS, NONCE, Workbench, changed, live, outcome, policy, warnings};

/// Replaces one part of a bundle.
type Replacement = fn(&mut Case, Vec<u8>);

/// The bundle's JSON with one more field.
fn with_field(case: &Case, field: &str) -> Vec<u8> {
    let json = String::from_utf8(case.evidence.to_json()).unwrap();
    format!("{}, {field}}}", json.strip_suffix('}').unwrap()).into_bytes()
}

#[test]
fn f2_the_nonce_is_exactly_the_one_sent() {
    let bench = Workbench::new();
    let hex = hex::encode(NONCE).into_bytes();
    let others =
        [&NONCE[..31], &[&NONCE[..], &[0]].concat(), &[0; 32], hex.as_slice(), b"an old nonce of this verifier"];
    let quoted = bench.pinned();
    quoted.accept();
    let documented = bench.documented();
    documented.accept();
    for other in others {
        // Expected by the verifier.
        quoted.with(|case| case.nonce = Some(other.to_vec())).reject("quote.nonce");
        documented.with(|case| case.nonce = Some(other.to_vec())).reject("document.nonce");
        // Sent by the attester.
        quoted.with_quote(bench.quote(|quote| quote.extra_data = other.to_vec())).reject("quote.nonce");
        let document = bench.document(|payload| payload.set("nonce", cbor::bytes(other)));
        documented.with_document(document).reject("document.nonce");
    }
}

#[test]
fn f2_no_nonce_is_not_the_nonce() {
    let bench = Workbench::new();
    let (quoted, documented) = (bench.pinned(), bench.documented());
    let empty = quoted.with_quote(bench.quote(|quote| quote.extra_data = Vec::new()));
    empty.reject("quote.nonce");
    for value in [cbor::null(), cbor::bytes(&[])] {
        let document = bench.document(|payload| payload.set("nonce", value));
        documented.with_document(document).reject("document.nonce");
    }
    // An empty nonce cannot be asked for; that none is checked is said by name, and shows.
    assert_eq!(Nonce::new(&[]), Err(NonceError::Empty));
    let unchecked = empty.with(|case| case.nonce = None).accept();
    assert!(warnings(&unchecked).contains(&"freshness.nonce-not-checked"));
    assert_eq!(outcome(&unchecked, "quote.nonce"), Some(Outcome::NotApplicable));
    assert!(!unchecked.claims().quotes[0].nonce_checked);
    assert_eq!(outcome(&quoted.accept(), "quote.nonce"), Some(Outcome::Pass));
}

#[test]
fn f2_document_and_quote_each_carry_the_nonce() {
    let bench = Workbench::new();
    let twin = bench.bound();
    twin.accept();
    let old = b"an old nonce".to_vec();
    twin.with_quote(bench.quote(|quote| quote.extra_data = old.clone())).reject("quote.nonce");
    let document = bench.document(|payload| payload.set("nonce", cbor::bytes(&old)));
    twin.with_document(document).reject("document.nonce");
}

#[test]
fn f3_nothing_in_evidence_or_policy_weakens_a_check() {
    let bench = Workbench::new();
    let replay = bench.pinned().with_quote(bench.quote(|quote| quote.extra_data = b"an old nonce".to_vec()));
    replay.reject("quote.nonce");
    replay.with(|case| case.nonce = None).accept();
    // Neither a field of the evidence nor a key of the policy can say so.
    let twin = bench.pinned();
    assert_eq!(twin.judge_bytes(&twin.evidence.to_json()).verdict(), Verdict::Affirmed);
    for field in [
        "\"nonce\": null",
        "\"no_nonce\": true",
        "\"ignore_nonce\": true",
        "\"skip\": [\"quote.nonce\"]",
        "\"allow_sha1\": true",
        "\"trust_ak\": true",
        "\"quotes\": []",
    ] {
        replay.reject_bytes(&with_field(&replay, field), "evidence.malformed");
        twin.reject_bytes(&with_field(&twin, field), "evidence.malformed");
    }
    for key in ["nonce = false", "no_nonce = true", "allow_sha1 = true", "trust_document_keys = true", "skip = []"] {
        let text = policy(&format!("quote = true\n{key}"), &bench.image_pcrs());
        assert!(matches!(Policy::from_toml(text.as_bytes()), Err(PolicyError::Malformed { .. })), "{key}");
    }
    assert!(Policy::from_toml(policy("quote = true", &bench.image_pcrs()).as_bytes()).is_ok());
}

#[test]
fn f5_an_old_document_is_stale() {
    let bench = Workbench::new();
    let at = |seconds: u64, max_age: u64| {
        bench.documented().with(|case| {
            case.clock = live(MADE + seconds);
            case.policy = policy(&format!("document = true\nmax_age_seconds = {max_age}"), &bench.image_pcrs());
        })
    };
    assert_eq!(outcome(&at(300, 300).accept(), "document.age"), Some(Outcome::Pass));
    at(301, 300).reject("document.stale");
    // Without a limit of the policy, the leaf's three hours are one.
    let without = |seconds: u64| bench.documented().with(|case| case.clock = live(MADE + seconds));
    assert_eq!(outcome(&without(3 * 3600).accept(), "document.age"), Some(Outcome::NotApplicable));
    without(3 * 3600 + 1).reject("document.certificate-expired");
}

/// Who takes the steps one by one may authenticate without a greatest age, or once for several policies.
#[test]
fn f5_an_old_document_is_stale_by_hand_too() {
    let bench = Workbench::new();
    let case = bench.documented().with(|case| case.clock = live(MADE + 301));
    let appraised = |max_age: u64| {
        let policy = policy(&format!("document = true\nmax_age_seconds = {max_age}"), &bench.image_pcrs());
        let policy = Policy::from_toml(policy.as_bytes()).unwrap();
        let request = Request::new(NonceExpectation::NotChecked, case.clock);
        let replayed = authenticate(&case.evidence, &case.trust, &request, None).unwrap().replay().unwrap();
        appraise(&replayed.claims(), &policy)
    };
    let accepted = appraised(301);
    assert!(accepted.is_affirmed() && accepted.reasons().is_empty() && accepted.image().is_some());
    let refused = appraised(300);
    assert!(!refused.is_affirmed());
    let [reason] = refused.reasons() else { panic!("{:?}", refused.reasons()) };
    assert_eq!(reason.code, "document.stale");
    let failed: Vec<_> = refused.checks().iter().filter(|check| check.outcome == Outcome::Fail).collect();
    assert!(matches!(failed.as_slice(), [check] if check.id == "policy.max_age"), "{failed:?}");
}

#[test]
fn f5_a_documents_time_is_in_milliseconds_and_in_its_leafs_validity() {
    let bench = Workbench::new();
    let twin = bench.documented();
    let with =
        |millis: u64| twin.with_document(bench.document(|payload| payload.set("timestamp", cbor::unsigned(millis))));
    with(MADE_MILLIS).accept();
    for millis in [MADE, 0, u64::MAX, MADE_MILLIS * 1000, MADE_MILLIS + 7_200_000, (MADE - 4) * 1000] {
        with(millis).reject("document.timestamp");
    }
}

#[test]
fn f6_only_the_verifiers_clock_counts() {
    let bench = Workbench::new();
    let at = |clock| bench.bound().with(|case| case.clock = clock);
    at(live(MADE)).accept();
    at(live(MADE + 3 * 3600 + 1)).reject("document.certificate-expired");
    at(live(MADE - 4)).reject("document.certificate-not-yet-valid");
    // The TPM's own clock may say anything.
    let quote = bench.quote(|quote| quote.clock_info.clock = u64::MAX);
    bench.bound().with_quote(quote).accept();
    // A time that was given is told apart from now.
    let audit = at(Clock::Audit(UnixTime::since_unix_epoch(core::time::Duration::from_secs(MADE)))).accept();
    assert!(audit.to_json().contains("\"time_mode\":\"audit\""));
    assert!(at(live(MADE)).accept().to_json().contains("\"time_mode\":\"live\""));
    assert_eq!(audit.at(), "2026-06-01T12:00:00Z");
}

#[test]
fn f7_every_kind_of_error_is_a_verdict_and_none_is_affirmed() {
    let bench = Workbench::new();
    let twin = bench.bound();
    twin.accept();
    let bytes: [(&[u8], &str); 8] = [
        (b"", "evidence.malformed"),
        (b"{", "evidence.malformed"),
        (b"null", "evidence.malformed"),
        (b"[]", "evidence.malformed"),
        (b"\xFF\xFE", "evidence.malformed"),
        (b"{\"schema\":\"nitrotpm.evidence/1\"}", "evidence.nothing-signed"),
        (b"{\"schema\":\"nitrotpm.evidence/1\",\"quotes\":[]}", "evidence.nothing-signed"),
        (b"{\"schema\":\"nitrotpm.evidence/1\",\"document\":\"A===\"}", "evidence.malformed"),
    ];
    for (evidence, code) in bytes {
        twin.reject_bytes(evidence, code);
    }
    // Nesting that would overflow a parser's stack, and numbers that are none.
    twin.reject_bytes("[".repeat(100_000).as_bytes(), "evidence.malformed");
    twin.reject_bytes(&with_field(&twin, "\"pcrs\": {\"sha384\": {\"24\": \"00\"}}"), "evidence.malformed");
    // Each part in turn is nothing, and rubbish.
    for rubbish in [vec![], vec![0; 100], vec![0xFF; 5000], b"-----BEGIN PUBLIC KEY-----".to_vec()] {
        let parts: [(Replacement, &str); 5] = [
            (|case, bytes| case.evidence.document = Some(bytes), "document."),
            (|case, bytes| case.evidence.ak_public = Some(bytes), ""),
            (|case, bytes| case.evidence.quotes[0].attest = bytes, ""),
            (|case, bytes| case.evidence.quotes[0].signature = bytes, "tpm."),
            (|case, bytes| case.evidence.event_log = Some(bytes), "event_log."),
        ];
        for (replace, code) in parts {
            let result = twin.with(|case| replace(case, rubbish.clone())).judge();
            assert_eq!(result.verdict(), Verdict::Invalid, "{}", result.to_json());
            assert!(result.reasons()[0].code.starts_with(code), "{}", result.to_json());
        }
    }
}

#[test]
fn f7_a_refusal_is_never_a_verdict_of_an_earlier_run() {
    // The same trust and policy, good evidence, bad evidence, good evidence: nothing is remembered.
    let bench = Workbench::new();
    let good = bench.bound();
    let bad = good.with(|case| case.evidence.pcrs = changed(&case.evidence.pcrs, Bank::Sha384, 4, None));
    let first = good.accept().to_json();
    bad.reject("quote.pcr-missing");
    assert_eq!(good.accept().to_json(), first);
}

#[test]
fn f9_other_versions_of_a_schema_are_refused() {
    let bench = Workbench::new();
    let twin = bench.pinned();
    twin.accept();
    let json = String::from_utf8(twin.evidence.to_json()).unwrap();
    for other in ["nitrotpm.evidence/0", "nitrotpm.evidence/2", "nitrotpm.evidence/1.0", "nitrotpm.evidence", ""] {
        let evidence = json.replacen("nitrotpm.evidence/1", other, 1);
        twin.reject_bytes(evidence.as_bytes(), "evidence.schema");
        let policy = twin.policy.replace("nitrotpm.policy/1", &other.replace("evidence", "policy"));
        assert_eq!(Policy::from_toml(policy.as_bytes()).unwrap_err().code(), "policy.schema");
    }
    let without = json.replacen("\"schema\":\"nitrotpm.evidence/1\",", "", 1);
    twin.reject_bytes(without.as_bytes(), "evidence.malformed");
}

#[test]
fn f10_the_verdict_names_the_evidence_and_the_policy_that_it_is_about() {
    let bench = Workbench::new();
    let twin = bench.pinned();
    let digests = |case: &Case| {
        let result: serde_json::Value = serde_json::from_str(&case.judge().to_json()).unwrap();
        let sha256 = |bytes: &[u8]| nitrotpm_digest_lanes::hash(Bank::Sha256, &[bytes]).to_string();
        assert_eq!(result["evidence_sha256"], sha256(&case.evidence.to_json()));
        assert_eq!(result["policy_sha256"], sha256(case.policy.as_bytes()));
        (result["evidence_sha256"].clone(), result["policy_sha256"].clone())
    };
    let (evidence, policy) = digests(&twin);
    // A comment is enough to make another policy, and an unsigned byte another evidence.
    let (same, other) = digests(&twin.with(|case| case.policy.push_str("# another\n")));
    assert!(same == evidence && other != policy);
    let (other, same) = digests(&twin.with(|case| case.evidence.ima_log = Some(vec![0])));
    assert!(other != evidence && same == policy);
    // Refused and rejected results carry them too.
    digests(&twin.with(|case| case.evidence.event_log = None));
    digests(&twin.with(|case| case.evidence.quotes.clear()));
}
