//! A verifier with a cache of chains gives the same results, byte for byte, as one without (attack ledger D10).

use core::time::Duration;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nitrotpm_digest_lanes::{Digest, HashAlgorithm};
use nitrotpm_document_issuer::{DocumentContents, Issuer};
use nitrotpm_pcr::{PcrIndex, PcrValues};
use nitrotpm_verifier::{
    AttestationResult, ChainCache, Clock, NonceExpectation, Policy, Request, Trust, TrustRoots, UnixTime, Verdict,
    verify,
};

const MADE: u64 = 1_780_315_200;
const REGIONS: [&str; 2] = ["eu-central-1", "us-east-1"];

fn document(issuer: &mut Issuer, instance: u8, seconds: u64) -> Vec<u8> {
    let mut pcrs = PcrValues::new();
    for index in PcrIndex::all() {
        pcrs.insert(index, Digest::new(HashAlgorithm::Sha384, &[index.get(); 48]).unwrap()).unwrap();
    }
    let contents = DocumentContents {
        module_id: format!("i-0123456789abcde{instance:02x}-tpm0000000000000000"),
        timestamp_millis: seconds * 1000,
        pcrs,
        public_key: None,
        user_data: None,
        nonce: None,
    };
    issuer.issue(&contents).unwrap()
}

fn evidence(document: &[u8]) -> Vec<u8> {
    let document = STANDARD.encode(document);
    serde_json::to_vec(&serde_json::json!({ "schema": "nitrotpm.evidence/1", "document": document })).unwrap()
}

fn judge(evidence: &[u8], policy: &Policy, trust: &Trust, seconds: u64) -> AttestationResult {
    let clock = Clock::Audit(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
    verify(evidence, policy, trust, &Request::new(NonceExpectation::NotChecked, clock))
}

/// A policy with one image of this PCR 4.
fn policy(byte: &str) -> Policy {
    let image = format!("[[image]]\nname = \"web\"\npcrs.sha384 = {{ 4 = \"{}\" }}\n", byte.repeat(48));
    Policy::from_toml(format!("schema = \"nitrotpm.policy/1\"\n{image}").as_bytes()).unwrap()
}

#[test]
fn d10_results_are_the_same_with_and_without_a_cache() {
    let mut issuers: Vec<_> = REGIONS.iter().map(|region| Issuer::new(region, MADE).unwrap()).collect();
    let mut roots = TrustRoots::empty();
    // Only the first issuer's root is trusted.
    roots.add_pem(issuers[0].root_pem().as_bytes()).unwrap();
    let without = Trust::roots(roots);
    let caches = [ChainCache::default(), ChainCache::new(2), ChainCache::new(0)].map(Arc::new);
    let policies = [policy("04"), policy("05")];
    let mut verdicts = Vec::new();
    for (instance, made) in [(1, MADE), (1, MADE + 60), (2, MADE), (1, MADE + 30)] {
        for issuer in &mut issuers {
            let mut document = document(issuer, instance, made);
            let whole = evidence(&document);
            // The last byte is one of the document's signature.
            *document.last_mut().unwrap() ^= 1;
            let forged = evidence(&document);
            // Valid; when the leaf has expired; before it was made.
            for seconds in [made + 1, made + 4 * 3600, made - 60] {
                for (evidence, policy) in
                    [&whole, &forged].into_iter().flat_map(|e| policies.iter().map(move |p| (e, p)))
                {
                    let expected = judge(evidence, policy, &without, seconds);
                    verdicts.push(expected.verdict());
                    for cache in &caches {
                        let with = without.clone().chain_cache(Arc::clone(cache));
                        for _ in 0..2 {
                            assert_eq!(judge(evidence, policy, &with, seconds).to_json(), expected.to_json());
                        }
                    }
                }
            }
        }
    }
    for verdict in [Verdict::Affirmed, Verdict::Refused, Verdict::Invalid] {
        assert!(verdicts.contains(&verdict), "{verdict:?}");
    }
    let [large, small, none] = &caches;
    // Region, zone and instance of each of three renewals, and four leaves.
    assert_eq!((large.len(), small.len(), none.len()), (3 * 3 + 4, 4, 0));
}
