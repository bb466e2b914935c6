//! Documents, evidence, policies, enrolment records, answers of KMS.

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use nitrotpm_document_issuer::{DocumentContents, Issuer};
use nitrotpm_freshness::{Clock, Nonce, NonceExpectation, UnixTime};
use nitrotpm_kms_recipient::{Envelope, RecipientKey};
use nitrotpm_nitro_document::{ChainCache, DocumentExpectations, TrustRoots, UnverifiedDocument};
use nitrotpm_pcr::{Bank, Digest, PcrIndex, PcrValues};
use nitrotpm_verifier::{
    AttestationKey, Enrolment, Evidence, Policy, QuoteBytes, Request, Trust, Verdict, lint, verify,
};
use ring::rand::SystemRandom;

use crate::check::{Choices, bounded, shown, shown_in_lines};
use crate::seeds::fixture;

/// When the documents made here were made: 2026-02-03.
const MADE: u64 = 1_770_113_522;

fn made() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(MADE))
}

/// The folder in which a run keeps what has to be the same for its seeds and its fuzzing: the issuer's root.
fn issuer_folder() -> Option<String> {
    std::env::var("NITROTPM_FUZZ_ISSUER").ok()
}

/// A document as a NitroTPM would make it, and the root of its chain. Made once, then kept in a file: signatures are not
/// deterministic, and a run is to be repeatable.
static DOCUMENT: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let folder = issuer_folder();
    let kept = |name: &str| folder.as_ref().and_then(|folder| fs::read(Path::new(folder).join(name)).ok());
    if let (Some(document), Some(root)) = (kept("document.cbor"), kept("root.der")) {
        return (document, root);
    }
    let mut issuer = Issuer::new("us-east-1", MADE).expect("an issuer");
    let mut pcrs = PcrValues::new();
    for index in PcrIndex::all() {
        pcrs.insert(index, Digest::zero(Bank::Sha384)).expect("each once");
    }
    let contents = DocumentContents {
        module_id: "i-0123456789abcdef0-tpm0000000000000000".into(),
        timestamp_millis: MADE * 1000,
        pcrs,
        public_key: None,
        user_data: Some(b"user data".to_vec()),
        nonce: Some(b"sixteen bytes or more".to_vec()),
    };
    let made = (issuer.issue(&contents).expect("a document"), issuer.root_der().to_vec());
    if let Some(folder) = folder {
        let keep = |name: &str, bytes: &[u8]| fs::write(Path::new(&folder).join(name), bytes);
        keep("document.cbor", &made.0).and_then(|()| keep("root.der", &made.1)).expect("the issuer's folder is there");
    }
    made
});

static ROOTS: LazyLock<TrustRoots> = LazyLock::new(|| {
    let mut roots = TrustRoots::aws();
    roots.add_der(&DOCUMENT.1).expect("the issuer's root");
    roots
});

static CACHE: LazyLock<ChainCache> = LazyLock::new(|| ChainCache::new(64));

/// A document: its form, then the whole way to a verified one. What is verified was signed as it stands.
pub(crate) fn document(data: &[u8]) {
    let document = match bounded(data, 16, || UnverifiedDocument::parse(data)) {
        Ok(document) => document,
        Err(error) => return shown(error),
    };
    let fields = document.unverified_fields();
    assert!(!fields.pcrs.is_empty());
    let clock = Clock::Live(made());
    let expectations = DocumentExpectations::new(clock, NonceExpectation::NotChecked);
    let fresh = document.verify(&ROOTS, &expectations);
    let cached = document.verify(&ROOTS, &expectations.chain_cache(&CACHE));
    match (fresh, cached) {
        (Ok(fresh), Ok(cached)) => {
            assert_eq!(fresh.pcrs(), cached.pcrs());
            shown(fresh.module_id());
            fresh.certificates().iter().for_each(|certificate| shown(&certificate.subject));
        }
        (Err(fresh), Err(cached)) => {
            shown(&fresh);
            assert_eq!(fresh.code(), cached.code(), "a cache changes no answer");
        }
        (fresh, cached) => panic!("a cache changes no answer: {fresh:?} and {cached:?}"),
    }
}

/// A file of trust roots.
pub(crate) fn trust_roots(data: &[u8]) {
    let mut roots = TrustRoots::empty();
    if let Err(error) = bounded(data, 32, || roots.add_pem(data)) {
        shown(error);
        assert!(roots.is_empty(), "all of a file, or nothing");
    }
    if let Err(error) = TrustRoots::empty().add_der(data) {
        shown(error);
    }
}

/// A bundle in JSON: what is read and written is read again as the same.
pub(crate) fn evidence(data: &[u8]) {
    match bounded(data, 16, || Evidence::from_json(data)) {
        Ok(evidence) => {
            let written = evidence.to_json();
            assert_eq!(Evidence::from_json(&written).as_ref().ok(), Some(&evidence));
        }
        Err(error) => shown(error),
    }
    if let Ok(values) = serde_json::from_slice::<PcrValues>(data) {
        assert_eq!(values.iter().count(), values.len());
    }
    let request = Request::new(NonceExpectation::NotChecked, Clock::Live(made()));
    let result = verify(data, &BOOT.policy, &Trust::aws(), &request);
    assert_ne!(result.verdict(), Verdict::Affirmed, "nobody vouches for its key");
    use_result(&result);
}

fn use_result(result: &nitrotpm_verifier::AttestationResult) {
    let json = result.to_json();
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    assert_eq!(result.reasons().is_empty(), result.verdict() == Verdict::Affirmed);
    for reason in result.reasons() {
        shown(&reason.message);
    }
    result.warnings().iter().for_each(|warning| shown(&warning.message));
}

/// The boot in `fixtures`, its key, its nonce and a policy that accepts it.
struct Boot {
    evidence: Evidence,
    policy: Policy,
    key: AttestationKey,
    nonce: Nonce,
}

static BOOT: LazyLock<Boot> = LazyLock::new(|| {
    let read = |name: &str| fixture(&format!("boot/secure-boot-on/{name}"));
    let nonce = hex::decode(String::from_utf8_lossy(&read("nonce.hex")).trim()).expect("hexadecimal");
    Boot {
        evidence: Evidence::from_json(&read("evidence.json")).expect("evidence"),
        policy: Policy::from_toml(&read("policy.toml")).expect("a policy"),
        key: AttestationKey::parse(&read("ak.pub")).expect("a key"),
        nonce: Nonce::new(&nonce).expect("a nonce"),
    }
});

static TRUST: LazyLock<Trust> =
    LazyLock::new(|| Trust::roots(ROOTS.clone()).pin(BOOT.key.clone()).chain_cache(Arc::new(ChainCache::new(64))));

/// The whole way: a real boot's evidence with any of its parts replaced. What is affirmed has the real boot's quotes.
pub(crate) fn verification(data: &[u8]) {
    let mut choices = Choices(data);
    let which = choices.byte();
    let mut evidence = BOOT.evidence.clone();
    let mut replaced = |bit: u8| (which >> bit & 1 == 1).then(|| choices.part().to_vec());
    if let Some(document) = replaced(0) {
        evidence.document = Some(document);
    }
    if let Some(key) = replaced(1) {
        evidence.ak_public = Some(key);
    }
    if let Some(attest) = replaced(2) {
        evidence.quotes.iter_mut().take(1).for_each(|quote| quote.attest.clone_from(&attest));
    }
    if let Some(signature) = replaced(3) {
        evidence.quotes.iter_mut().take(1).for_each(|quote| quote.signature.clone_from(&signature));
    }
    if let Some(attest) = replaced(4) {
        let signature = evidence.quotes.first().map(|quote| quote.signature.clone()).unwrap_or_default();
        evidence.quotes.push(QuoteBytes { attest, signature });
    }
    if let Some(log) = replaced(5) {
        evidence.event_log = Some(log);
    }
    if let Some(log) = replaced(6) {
        evidence.ima_log = Some(log);
    }
    let bytes = evidence.to_json();
    let request = Request::new(NonceExpectation::Expected(&BOOT.nonce), Clock::Live(made()));
    let result = verify(&bytes, &BOOT.policy, &TRUST, &request);
    use_result(&result);
    if result.verdict() == Verdict::Affirmed {
        let attests =
            |evidence: &Evidence| evidence.quotes.iter().map(|quote| quote.attest.clone()).collect::<Vec<_>>();
        // A quote may come in its sized form.
        let bare = |mut bytes: Vec<u8>| if bytes.starts_with(&[0xFF]) { bytes } else { bytes.split_off(2) };
        let found: Vec<_> = attests(&evidence).into_iter().map(bare).collect();
        let real: Vec<_> = attests(&BOOT.evidence).into_iter().map(bare).collect();
        assert!(
            found.iter().all(|attest| real.contains(attest)),
            "affirmed with a quote that the boot's TPM did not make"
        );
    }
}

/// A policy, and what the lint says of it.
pub(crate) fn policy(data: &[u8]) {
    match bounded(data, 512, || Policy::from_toml(data)) {
        Ok(policy) => {
            let require = policy.require();
            let demands = require.document || require.quote || require.event_log || require.secure_boot;
            assert!(demands || !policy.images().is_empty(), "a policy demands something");
            lint(&policy).iter().for_each(|warning| shown(&warning.message));
        }
        Err(error) => shown_in_lines(error),
    }
}

/// Enrolment records and the messages that make one.
pub(crate) fn enrolment(data: &[u8]) {
    match bounded(data, 64, || Enrolment::from_json(data)) {
        Ok(enrolment) => assert!(enrolment.attestation_key().attributes().is_some()),
        Err(error) => shown(error),
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    match nitrotpm_credential::EnrolmentRecord::from_json(text) {
        Ok(record) => {
            let written = record.to_json().expect("what was read can be written");
            assert!(nitrotpm_credential::EnrolmentRecord::from_json(&written).is_ok());
            assert!(Enrolment::from_json(written.as_bytes()).is_ok(), "the verifier reads what enrolment writes");
        }
        Err(error) => shown(error),
    }
    for result in [
        nitrotpm_credential::EnrolmentRequest::from_json(text).map(drop),
        nitrotpm_credential::Challenge::from_json(text).map(drop),
        nitrotpm_credential::EnrolmentAnswer::from_json(text).map(drop),
    ] {
        if let Err(error) = result {
            shown(error);
        }
    }
}

static RECIPIENT: LazyLock<RecipientKey> =
    LazyLock::new(|| RecipientKey::from_pkcs8(&fixture("kms-recipient/key.pkcs8.der")).expect("a key"));

/// An answer of KMS.
pub(crate) fn kms(data: &[u8]) {
    match bounded(data, 16, || Envelope::parse(data)) {
        Ok(envelope) => match envelope.open(&RECIPIENT, &SystemRandom::new()) {
            Ok(plaintext) => assert!(plaintext.len() < data.len()),
            Err(error) => shown(error),
        },
        Err(error) => shown(error),
    }
    if let Err(error) = RecipientKey::from_pkcs8(data) {
        shown(error);
    }
}

/// Seeds of the document target.
pub(crate) fn document_seed() -> Vec<u8> {
    DOCUMENT.0.clone()
}

/// The parts of the boot in `fixtures`, each replacing itself.
pub(crate) fn verification_seeds() -> Vec<Vec<u8>> {
    let evidence = &BOOT.evidence;
    let quote = evidence.quotes.first().expect("a quote");
    [
        (0, Some(&DOCUMENT.0)),
        (1, evidence.ak_public.as_ref()),
        (2, Some(&quote.attest)),
        (3, Some(&quote.signature)),
        (4, Some(&quote.attest)),
        (5, evidence.event_log.as_ref()),
        (6, evidence.ima_log.as_ref()),
    ]
    .into_iter()
    .filter_map(|(bit, part)| Some([&[1 << bit][..], &crate::check::part(part?)].concat()))
    .collect()
}
