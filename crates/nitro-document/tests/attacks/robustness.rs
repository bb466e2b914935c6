//! Hostile bytes: no panic, no pass.

use core::time::Duration;

use std::sync::OnceLock;

use nitrotpm_document_issuer::{Envelope, PROTECTED_HEADER, Payload, cbor};
use nitrotpm_freshness::{Clock, NonceExpectation};
use nitrotpm_nitro_document::{DocumentExpectations, TrustRoots, UnverifiedDocument};
use proptest::prelude::*;

use crate::support::{MADE, Parts, time};

#[test]
fn every_truncation_is_refused() {
    let parts = Parts::aws();
    let document = parts.document();
    parts.accepts(&document);
    for length in 0..document.len() {
        let error = UnverifiedDocument::parse(&document[..length]).unwrap_err();
        assert_eq!(error.code(), "document.cbor", "{length}: {error}");
    }
}

#[test]
fn one_altered_bit_in_any_byte_is_refused() {
    let parts = Parts::aws();
    let document = parts.document();
    parts.accepts(&document);
    for position in 0..document.len() {
        let mut altered = document.clone();
        altered[position] ^= 1 << (position % 8);
        assert!(parts.verify(&altered).is_err(), "byte {position}");
    }
}

/// One set of keys and certificates for many cases; its own document verifies.
fn fixed() -> &'static Parts {
    static PARTS: OnceLock<Parts> = OnceLock::new();
    PARTS.get_or_init(|| {
        let parts = Parts::aws();
        parts.accepted();
        parts
    })
}

fn never_verifies(bytes: &[u8]) {
    if let Ok(document) = UnverifiedDocument::parse(bytes) {
        let expectations = DocumentExpectations::new(Clock::Live(time(MADE)), NonceExpectation::NotChecked)
            .max_age(Duration::from_secs(1));
        assert!(document.verify(&TrustRoots::aws(), &expectations).is_err());
    }
}

proptest! {
    /// A certificate below the root may be anything; it is parsed before its signature is known.
    #[test]
    fn altered_certificates_never_panic_and_never_verify(
        place in 1_usize..5, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()
    ) {
        let parts = fixed();
        let mut certificates = [parts.pki.cabundle(), vec![parts.certificate.clone()]].concat();
        let certificate = &mut certificates[place];
        let at = at.index(certificate.len());
        prop_assume!(certificate[at] != byte);
        certificate[at] = byte;
        if cut {
            certificate.truncate(at + 1);
        }
        let leaf = certificates.pop().unwrap();
        let payload = Payload::nitrotpm(&parts.contents, &leaf, &certificates);
        prop_assert!(parts.verify(&parts.sign(&payload).encode()).is_err());
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        never_verifies(&bytes);
    }

    /// Behind a right beginning the parser goes deeper.
    #[test]
    fn random_payloads_never_panic(payload in proptest::collection::vec(any::<u8>(), 1..512), signature in any::<u8>()) {
        let envelope = Envelope {
            tags: Vec::new(),
            protected: PROTECTED_HEADER.to_vec(),
            unprotected: cbor::map(&[]),
            payload: [&[0xBF], payload.as_slice(), &[0xFF]].concat(),
            signature: vec![signature; 96],
        };
        never_verifies(&envelope.encode());
    }
}
