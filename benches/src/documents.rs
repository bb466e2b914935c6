//! Documents to verify, and what a verifier's cache knows of their chains.

use std::time::Duration;

use nitrotpm_digest_lanes::{Digest, HashAlgorithm};
use nitrotpm_document_issuer::{Authority, Curve, DocumentContents, Envelope, Key, Payload, Pki, Profile};
use nitrotpm_freshness::{Clock, NonceExpectation, UnixTime};
use nitrotpm_nitro_document::{Backend, ChainCache, DocumentExpectations, TrustRoots, UnverifiedDocument};
use nitrotpm_pcr::{PcrIndex, PcrValues};

/// 2026-06-01T12:00:00Z.
const MADE: u64 = 1_780_315_200;

/// How much of a document's chain the cache knows when the document comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// No cache.
    Nothing,
    /// Root, region and zone: another instance was there before.
    Zone,
    /// Those and the instance: it was there before with another leaf.
    Instance,
    /// The whole chain.
    Leaf,
}

impl Known {
    /// From the least to the most.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Zone, Self::Instance, Self::Leaf];

    /// How many P-384 signatures are left to compute.
    #[must_use]
    pub const fn verifications(self) -> u32 {
        match self {
            Self::Nothing => 5,
            Self::Zone => 3,
            Self::Instance => 2,
            Self::Leaf => 1,
        }
    }

    /// For a report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "cold",
            Self::Zone => "zone known",
            Self::Instance => "instance known",
            Self::Leaf => "leaf known",
        }
    }
}

/// Documents that take turns, each of which meets a cache that knows as much as said and no more.
#[derive(Debug)]
pub struct Fleet {
    known: Known,
    backend: Backend,
    roots: TrustRoots,
    documents: Vec<Vec<u8>>,
    /// Of the smallest size: it holds the last two prefixes of authorities and the last two whole chains, so that three
    /// documents in turn never find their own leaf, nor, where they differ in it, their own instance.
    cache: ChainCache,
    next: usize,
}

impl Fleet {
    /// Makes the documents and fills the cache.
    ///
    /// # Panics
    /// Where a document cannot be made.
    #[must_use]
    pub fn new(known: Known, backend: Backend) -> Self {
        let pki = Pki::generate(&profile(0)).expect("authorities");
        let mut roots = TrustRoots::empty();
        roots.add_pem(pki.root().certificate_pem().as_bytes()).expect("a root");
        let [_, zone, instance] = pki.below() else { panic!("a region, a zone, an instance") };
        let documents = match known {
            Known::Nothing | Known::Leaf => vec![document(&pki, instance, 0)],
            Known::Instance => (0..3).map(|_| document(&pki, instance, 0)).collect(),
            Known::Zone => (0..3)
                .map(|number| {
                    let instance = zone.issue_authority(profile(number).instance).expect("an authority");
                    document(&pki, &instance, number)
                })
                .collect(),
        };
        let mut fleet = Self { known, backend, roots, documents, cache: ChainCache::new(2), next: 0 };
        // Twice around.
        for _ in 0..6 {
            fleet.verify();
        }
        fleet
    }

    /// From the next document's bytes to a verified document.
    ///
    /// # Panics
    /// Where it does not verify.
    pub fn verify(&mut self) -> usize {
        self.next = (self.next + 1) % self.documents.len();
        let clock = Clock::Audit(UnixTime::since_unix_epoch(Duration::from_secs(MADE + 60)));
        let mut expectations = DocumentExpectations::new(clock, NonceExpectation::NotChecked).backend(self.backend);
        if self.known != Known::Nothing {
            expectations = expectations.chain_cache(&self.cache);
        }
        let document = UnverifiedDocument::parse(&self.documents[self.next]).expect("a document");
        let verified = document.verify(&self.roots, &expectations).expect("it verifies");
        verified.pcrs().iter().count()
    }
}

fn module(instance: usize) -> String {
    format!("i-0123456789abcdef{instance:x}-tpm0000000000000000")
}

fn profile(instance: usize) -> Profile {
    Profile::aws(&module(instance), "eu-central-1", MADE).expect("a module's name")
}

fn document(pki: &Pki, instance: &Authority, number: usize) -> Vec<u8> {
    let mut pcrs = PcrValues::new();
    for index in PcrIndex::all() {
        pcrs.insert(index, Digest::zero(HashAlgorithm::Sha384)).expect("each once");
    }
    let contents = DocumentContents {
        module_id: module(number),
        timestamp_millis: MADE * 1000,
        pcrs,
        public_key: None,
        user_data: None,
        nonce: Some(vec![7; 32]),
    };
    let key = Key::generate(Curve::P384).expect("a key");
    let leaf = instance.issue(&profile(number).leaf, &key).expect("a leaf");
    let mut bundle = pki.cabundle();
    bundle.truncate(3);
    bundle.push(instance.certificate().to_vec());
    Envelope::sign(Payload::nitrotpm(&contents, &leaf, &bundle).encode(), &key).expect("a signature").encode()
}
