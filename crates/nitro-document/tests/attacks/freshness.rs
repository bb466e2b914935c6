//! Clock, nonce, timestamp, age.

use core::time::Duration;

use nitrotpm_document_issuer::cbor;
use nitrotpm_freshness::{Clock, Nonce, NonceExpectation};
use nitrotpm_nitro_document::{DocumentError, DocumentExpectations, UnverifiedDocument, VerifiedDocument};

use crate::support::{MADE, MADE_MILLIS, NONCE, Parts, refused, time};

const LEAF_FIRST: u64 = MADE - 3;
const LEAF_LAST: u64 = MADE + 3 * 3600;

fn verify(
    parts: &Parts,
    document: &[u8],
    expectations: DocumentExpectations<'_>,
) -> Result<VerifiedDocument, DocumentError> {
    UnverifiedDocument::parse(document)?.verify(&parts.roots(), &expectations)
}

fn expecting<'a>(seconds: u64, nonce: NonceExpectation<'a>) -> DocumentExpectations<'a> {
    DocumentExpectations::new(Clock::Live(time(seconds)), nonce)
}

#[test]
fn f2_the_nonce_is_compared_byte_for_byte() {
    let parts = Parts::aws();
    let document = parts.document();
    let with = |nonce: &[u8]| {
        let nonce = Nonce::new(nonce).unwrap();
        verify(&parts, &document, expecting(MADE, NonceExpectation::Expected(&nonce)))
    };
    assert!(with(NONCE).unwrap().nonce_checked());
    let prefix = &NONCE[..15];
    let padded = [NONCE, &[0]].concat();
    let upper = NONCE.to_ascii_uppercase();
    let text = NONCE.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for other in [prefix, &padded, &upper, text.as_bytes(), b"x"] {
        assert_eq!(refused(with(other), "document.nonce"), DocumentError::Nonce { present: true });
    }
}

#[test]
fn f2_a_document_without_nonce_does_not_satisfy_an_expected_one() {
    let parts = Parts::aws();
    parts.accepted();
    for document in [
        parts.with_payload(|payload| payload.set("nonce", cbor::null())),
        parts.with_payload(|payload| payload.remove("nonce")),
    ] {
        assert_eq!(parts.refuses(&document, "document.nonce"), DocumentError::Nonce { present: false });
        let unchecked = verify(&parts, &document, expecting(MADE, NonceExpectation::NotChecked)).unwrap();
        assert!(!unchecked.nonce_checked() && unchecked.nonce().is_none());
    }
    let empty = parts.with_payload(|payload| payload.set("nonce", cbor::bytes(&[])));
    parts.refuses(&empty, "document.nonce");
}

#[test]
fn f5_an_old_document_is_stale() {
    let parts = Parts::aws();
    let document = parts.document();
    let at = |seconds: u64, max_age: u64| {
        let expectations = expecting(seconds, NonceExpectation::NotChecked).max_age(Duration::from_secs(max_age));
        verify(&parts, &document, expectations)
    };
    at(MADE + 300, 300).unwrap();
    let error = refused(at(MADE + 301, 300), "document.stale");
    let (age, max_age) = (Duration::from_secs(301), Duration::from_secs(300));
    assert!(matches!(error, DocumentError::Stale { age: a, max_age: m, .. } if (a, m) == (age, max_age)), "{error}");
    at(MADE, 0).unwrap();
    refused(at(MADE + 1, 0), "document.stale");
    // No limit of its own: the leaf's three hours.
    verify(&parts, &document, expecting(LEAF_LAST, NonceExpectation::NotChecked)).unwrap();
}

#[test]
fn f5_seconds_for_milliseconds_are_refused() {
    let parts = Parts::aws();
    parts.accepted();
    let document = parts.with_payload(|payload| payload.set("timestamp", cbor::unsigned(MADE)));
    let error = parts.refuses(&document, "document.timestamp");
    assert!(error.to_string().contains("counts seconds"), "{error}");
    let micros = parts.with_payload(|payload| payload.set("timestamp", cbor::unsigned(MADE_MILLIS * 1000)));
    parts.refuses(&micros, "document.timestamp");
}

#[test]
fn f5_timestamp_zero_and_the_far_future_are_refused() {
    let parts = Parts::aws();
    parts.accepted();
    for millis in [0, 1, 999, u64::MAX, u64::MAX - 1, u64::MAX >> 1] {
        let document = parts.with_payload(|payload| payload.set("timestamp", cbor::unsigned(millis)));
        parts.refuses(&document, "document.timestamp");
    }
}

#[test]
fn f5_the_timestamp_lies_in_the_leafs_validity() {
    let parts = Parts::aws();
    let at_the_end = |millis: u64| {
        let document = parts.with_payload(|payload| payload.set("timestamp", cbor::unsigned(millis)));
        parts.verify_at(&document, LEAF_LAST)
    };
    at_the_end(LEAF_FIRST * 1000).unwrap();
    refused(at_the_end(LEAF_FIRST * 1000 - 1), "document.timestamp");
    at_the_end(LEAF_LAST * 1000 + 999).unwrap();
    refused(at_the_end(LEAF_LAST * 1000 + 1000), "document.timestamp");
}

#[test]
fn f5_a_timestamp_ahead_of_the_clock_is_refused() {
    let parts = Parts::aws();
    // A document that its certificate allows for, but from the verifier's future.
    let ahead = |seconds: u64| {
        let document = parts.with_payload(|payload| payload.set("timestamp", cbor::unsigned((MADE + seconds) * 1000)));
        parts.verify_at(&document, MADE)
    };
    ahead(0).unwrap();
    ahead(3).unwrap();
    let error = refused(ahead(4), "document.timestamp");
    assert!(error.to_string().contains("future"), "{error}");
    refused(ahead(7200), "document.timestamp");
}

#[test]
fn f6_only_the_verifiers_clock_counts() {
    let parts = Parts::aws();
    let document = parts.document();
    // The document's own time is the same throughout; the verdict follows the argument.
    parts.verify_at(&document, MADE).unwrap();
    refused(parts.verify_at(&document, LEAF_LAST + 1), "document.certificate-expired");
    refused(parts.verify_at(&document, LEAF_FIRST - 1), "document.certificate-not-yet-valid");
}

#[test]
fn d12_expired_and_not_yet_valid_are_told_apart_to_the_second() {
    let parts = Parts::aws();
    let document = parts.document();
    for seconds in [LEAF_FIRST, MADE, LEAF_LAST] {
        parts.verify_at(&document, seconds).unwrap();
    }
    let error = refused(parts.verify_at(&document, LEAF_LAST + 1), "document.certificate-expired");
    let DocumentError::CertificateExpired { certificate, not_after, at, made } = &error else { panic!("{error}") };
    assert_eq!((certificate.index, *not_after, *at, *made), (4, time(LEAF_LAST), time(LEAF_LAST + 1), time(MADE)));
    assert!(error.to_string().contains("--at 2026-06-01T12:00:00Z"), "{error}");

    let error = refused(parts.verify_at(&document, LEAF_FIRST - 1), "document.certificate-not-yet-valid");
    assert!(
        matches!(&error, DocumentError::CertificateNotYetValid { certificate, .. } if certificate.index == 4),
        "{error}"
    );
    for seconds in [0, u64::MAX] {
        assert!(parts.verify_at(&document, seconds).is_err());
    }
}

#[test]
fn d12_live_and_audit_are_different_results() {
    let parts = Parts::aws();
    let document = parts.document();
    let of = |clock| verify(&parts, &document, DocumentExpectations::new(clock, NonceExpectation::NotChecked)).unwrap();
    let (live, audit) = (of(Clock::Live(time(MADE))), of(Clock::Audit(time(MADE))));
    assert_eq!((live.clock().mode(), audit.clock().mode()), ("live", "audit"));
    assert_ne!(live, audit);
}

#[test]
fn d12_an_altered_document_is_not_authentic_before_it_is_expired() {
    let parts = Parts::aws();
    let mut envelope = parts.envelope();
    refused(parts.verify_at(&envelope.encode(), LEAF_LAST + 1), "document.certificate-expired");
    envelope.signature[95] ^= 1;
    refused(parts.verify_at(&envelope.encode(), LEAF_LAST + 1), "document.signature");
}
