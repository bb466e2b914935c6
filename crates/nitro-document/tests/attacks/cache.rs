//! Chains remembered from earlier verifications (attack ledger D10).

use std::thread;

use nitrotpm_document_issuer::{CertificateTemplate, Payload, Profile};
use nitrotpm_freshness::{Clock, NonceExpectation};
use nitrotpm_nitro_document::{
    ChainCache, DocumentError, DocumentExpectations, TrustRoots, UnverifiedDocument, VerifiedDocument,
};

use crate::support::{MADE, Parts, profile, refused, time};

type Outcome = Result<VerifiedDocument, DocumentError>;

fn expectations<'a>(seconds: u64) -> DocumentExpectations<'a> {
    DocumentExpectations::new(Clock::Audit(time(seconds)), NonceExpectation::NotChecked)
}

fn with_cache(roots: &TrustRoots, document: &[u8], seconds: u64, cache: &ChainCache) -> Outcome {
    UnverifiedDocument::parse(document)?.verify(roots, &expectations(seconds).chain_cache(cache))
}

fn without(roots: &TrustRoots, document: &[u8], seconds: u64) -> Outcome {
    UnverifiedDocument::parse(document)?.verify(roots, &expectations(seconds))
}

/// A cache that knows the chain of these parts: three prefixes of authorities, and the whole.
fn warmed(parts: &Parts) -> ChainCache {
    let cache = ChainCache::default();
    with_cache(&parts.roots(), &parts.document(), MADE, &cache).unwrap();
    assert_eq!(cache.len(), 4);
    cache
}

#[test]
fn d10_a_cached_chain_beyond_its_validity_is_refused() {
    let templates: [fn(&mut Profile) -> &mut CertificateTemplate; 5] = [
        |profile| &mut profile.root,
        |profile| &mut profile.regional,
        |profile| &mut profile.zonal,
        |profile| &mut profile.instance,
        |profile| &mut profile.leaf,
    ];
    for (place, template) in templates.into_iter().enumerate() {
        let mut profile = profile();
        template(&mut profile).not_before = MADE - 1;
        template(&mut profile).not_after = MADE + 10;
        let parts = Parts::with_profile(&profile);
        let (roots, document, cache) = (parts.roots(), parts.document(), warmed(&parts));
        for (seconds, code) in
            [(MADE + 11, "document.certificate-expired"), (MADE - 2, "document.certificate-not-yet-valid")]
        {
            let error = refused(with_cache(&roots, &document, seconds, &cache), code);
            let (DocumentError::CertificateExpired { certificate, .. }
            | DocumentError::CertificateNotYetValid { certificate, .. }) = &error
            else {
                panic!("{error}")
            };
            assert_eq!(certificate.index, place);
            assert_eq!(Err(error), without(&roots, &document, seconds));
        }
        // The twin: the same cache, at a time at which the chain is valid.
        with_cache(&roots, &document, MADE + 10, &cache).unwrap();
    }
}

/// The document with one byte of a certificate altered, signed anew.
fn with_altered(parts: &Parts, place: usize, at: usize) -> Vec<u8> {
    let mut certificates = [parts.pki.cabundle(), vec![parts.certificate.clone()]].concat();
    certificates[place][at] ^= 1;
    let leaf = certificates.pop().unwrap();
    parts.sign(&Payload::nitrotpm(&parts.contents, &leaf, &certificates)).encode()
}

#[test]
fn d10_a_cached_chain_with_one_byte_changed_is_another_chain() {
    let parts = Parts::aws();
    let (roots, cache) = (parts.roots(), warmed(&parts));
    let lengths = parts.pki.cabundle().into_iter().chain([parts.certificate.clone()]).map(|der| der.len());
    for (place, length) in lengths.enumerate() {
        // A byte in each part of the certificate; the last is one of its signature.
        for at in (0..length).step_by(23).chain([length - 1]) {
            let document = with_altered(&parts, place, at);
            let outcome = with_cache(&roots, &document, MADE, &cache);
            assert!(outcome.is_err(), "byte {at} of certificate {place}");
            assert_eq!(outcome, without(&roots, &document, MADE), "byte {at} of certificate {place}");
        }
        let code = if place == 0 { "document.chain-root" } else { "document.certificate-signature" };
        refused(with_cache(&roots, &with_altered(&parts, place, length - 1), MADE, &cache), code);
    }
    // None of it was remembered, and the chain as it was still is.
    assert_eq!(cache.len(), 4);
    with_cache(&roots, &parts.document(), MADE, &cache).unwrap();
}

#[test]
fn d10_a_cache_filled_under_one_set_of_roots_opens_nothing_under_another() {
    let parts = Parts::aws();
    let (document, cache) = (parts.document(), warmed(&parts));
    for roots in [TrustRoots::empty(), TrustRoots::aws(), Parts::aws().roots()] {
        refused(with_cache(&roots, &document, MADE, &cache), "document.chain-root");
    }
    // A root of the same name and key with another serial: its chains are other chains.
    let mut template = parts.pki.root().template().clone();
    template.serial[0] ^= 1;
    let twin = parts.pki.root().issue(&template, parts.pki.root().key()).unwrap();
    let mut roots = TrustRoots::empty();
    roots.add_der(&twin).unwrap();
    refused(with_cache(&roots, &document, MADE, &cache), "document.chain-root");
    let mut bundle = parts.pki.cabundle();
    bundle[0] = twin;
    let under_twin = parts.sign(&Payload::nitrotpm(&parts.contents, &parts.certificate, &bundle)).encode();
    refused(with_cache(&parts.roots(), &under_twin, MADE, &cache), "document.chain-root");
    assert_eq!(cache.len(), 4);
    with_cache(&roots, &under_twin, MADE, &cache).unwrap();
    assert_eq!(cache.len(), 8);
}

#[test]
fn d10_a_known_chain_does_not_excuse_the_documents_own_signature_and_names() {
    let parts = Parts::aws();
    let (roots, cache) = (parts.roots(), warmed(&parts));
    let mut envelope = parts.envelope();
    with_cache(&roots, &envelope.encode(), MADE, &cache).unwrap();
    envelope.signature[95] ^= 1;
    refused(with_cache(&roots, &envelope.encode(), MADE, &cache), "document.signature");
    // Another chain's leaf signs; the certificates in the document are the known ones.
    let stranger = Parts::aws();
    let document = stranger.sign(&parts.payload()).encode();
    refused(with_cache(&roots, &document, MADE, &cache), "document.signature");
    let document = parts.with_payload(|payload| {
        payload.set("module_id", nitrotpm_document_issuer::cbor::text("i-0fedcba9876543210-tpm0000000000000000"));
    });
    refused(with_cache(&roots, &document, MADE, &cache), "document.certificate-name");
}

#[test]
fn d10_the_cache_is_bounded_and_shared_by_threads() {
    let parts = Parts::aws();
    let cache = ChainCache::new(2);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..8 {
                    let (leaf, key) = parts.pki.issue_leaf(&profile().leaf).unwrap();
                    let payload = Payload::nitrotpm(&parts.contents, &leaf, &parts.pki.cabundle());
                    let envelope = nitrotpm_document_issuer::Envelope::sign(payload.encode(), &key).unwrap();
                    with_cache(&parts.roots(), &envelope.encode(), MADE, &cache).unwrap();
                    assert!(cache.len() <= 4, "{}", cache.len());
                }
            });
        }
    });
    assert!(!cache.is_empty());
}

#[test]
fn a_signature_that_does_not_hold_is_not_remembered() {
    let parts = Parts::aws();
    let cache = ChainCache::default();
    let document = with_altered(&parts, 4, parts.certificate.len() - 1);
    for _ in 0..2 {
        refused(with_cache(&parts.roots(), &document, MADE, &cache), "document.certificate-signature");
        assert!(cache.is_empty());
    }
    with_cache(&parts.roots(), &parts.document(), MADE, &cache).unwrap();
}
