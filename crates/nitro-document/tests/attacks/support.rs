//! A document as AWS would make it, its parts open for one change.

use core::time::Duration;
use std::sync::OnceLock;

use nitrotpm_digest_lanes::{Digest, HashAlgorithm};
use nitrotpm_document_issuer::{DocumentContents, Envelope, Key, Payload, Pki, Profile};
use nitrotpm_freshness::{Clock, Nonce, NonceExpectation, UnixTime};
use nitrotpm_nitro_document::{
    ChainCache, DocumentError, DocumentExpectations, TrustRoots, UnverifiedDocument, VerifiedDocument,
};
use nitrotpm_pcr::{Chain, PcrIndex, PcrValues};

pub(crate) const INSTANCE: &str = "i-0123456789abcdef0";
pub(crate) const MODULE: &str = "i-0123456789abcdef0-tpm0000000000000000";
pub(crate) const REGION: &str = "eu-central-1";
/// When the document was made: 2026-06-01T12:00:00.250Z.
pub(crate) const MADE: u64 = 1_780_315_200;
pub(crate) const MADE_MILLIS: u64 = 1_780_315_200_250;
pub(crate) const NONCE: &[u8] = b"0123456789abcdef";

pub(crate) fn time(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// All 24 registers: reset values, and something in 4.
pub(crate) fn pcrs() -> PcrValues {
    let mut values = PcrValues::new();
    for index in PcrIndex::all() {
        let mut chain = Chain::new(HashAlgorithm::Sha384, index);
        if index.get() == 4 {
            chain.extend(&Digest::ones(HashAlgorithm::Sha384)).unwrap();
        }
        values.insert(index, chain.value()).unwrap();
    }
    values
}

pub(crate) fn contents() -> DocumentContents {
    DocumentContents {
        module_id: MODULE.into(),
        timestamp_millis: MADE_MILLIS,
        pcrs: pcrs(),
        public_key: Some(vec![0x04; 65]),
        user_data: None,
        nonce: Some(NONCE.to_vec()),
    }
}

pub(crate) fn profile() -> Profile {
    Profile::aws(MODULE, REGION, MADE).unwrap()
}

/// Everything that a document consists of.
pub(crate) struct Parts {
    pub(crate) pki: Pki,
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Key,
    pub(crate) contents: DocumentContents,
    /// A cache that knows the chain, where its signatures hold.
    warm: OnceLock<ChainCache>,
    roots: OnceLock<TrustRoots>,
}

impl Parts {
    /// As AWS would have it.
    pub(crate) fn aws() -> Self {
        Self::with_profile(&profile())
    }

    /// With altered certificates.
    pub(crate) fn with_profile(profile: &Profile) -> Self {
        let pki = Pki::generate(profile).unwrap();
        let (certificate, key) = pki.issue_leaf(&profile.leaf).unwrap();
        Self { pki, certificate, key, contents: contents(), warm: OnceLock::new(), roots: OnceLock::new() }
    }

    pub(crate) fn payload(&self) -> Payload {
        Payload::nitrotpm(&self.contents, &self.certificate, &self.pki.cabundle())
    }

    pub(crate) fn envelope(&self) -> Envelope {
        self.sign(&self.payload())
    }

    pub(crate) fn sign(&self, payload: &Payload) -> Envelope {
        Envelope::sign(payload.encode(), &self.key).unwrap()
    }

    /// The document as it is.
    pub(crate) fn document(&self) -> Vec<u8> {
        self.envelope().encode()
    }

    /// The document with an altered payload, signed.
    pub(crate) fn with_payload(&self, alter: impl FnOnce(&mut Payload)) -> Vec<u8> {
        let mut payload = self.payload();
        alter(&mut payload);
        self.sign(&payload).encode()
    }

    /// The document with other bytes as payload, signed.
    pub(crate) fn with_payload_bytes(&self, payload: Vec<u8>) -> Vec<u8> {
        Envelope::sign(payload, &self.key).unwrap().encode()
    }

    /// The document with an altered envelope, signed as altered.
    pub(crate) fn with_envelope(&self, alter: impl FnOnce(&mut Envelope)) -> Vec<u8> {
        let mut envelope = self.envelope();
        alter(&mut envelope);
        envelope.sign_again(&self.key).unwrap();
        envelope.encode()
    }

    pub(crate) fn roots(&self) -> TrustRoots {
        let roots = self.roots.get_or_init(|| {
            let mut roots = TrustRoots::empty();
            roots.add_pem(self.pki.root().certificate_pem().as_bytes()).unwrap();
            roots
        });
        roots.clone()
    }

    /// Verifies a document under these parts' root, a minute after it was made, nonce included.
    pub(crate) fn verify(&self, document: &[u8]) -> Result<VerifiedDocument, DocumentError> {
        self.verify_at(document, MADE + 60)
    }

    pub(crate) fn verify_at(&self, document: &[u8], seconds: u64) -> Result<VerifiedDocument, DocumentError> {
        let nonce = Nonce::new(NONCE).unwrap();
        let expectations = DocumentExpectations::new(Clock::Audit(time(seconds)), NonceExpectation::Expected(&nonce));
        let (document, roots) = (UnverifiedDocument::parse(document)?, self.roots());
        let outcome = document.verify(&roots, &expectations);
        // Whatever a cache knows, the outcome is the same.
        let cached = document.verify(&roots, &expectations.chain_cache(self.warm_cache()));
        assert_eq!(cached, outcome, "with a cache and without");
        outcome
    }

    fn warm_cache(&self) -> &ChainCache {
        self.warm.get_or_init(|| {
            let cache = ChainCache::default();
            let expectations = DocumentExpectations::new(Clock::Audit(time(MADE)), NonceExpectation::NotChecked);
            // An altered chain may be refused; its signatures hold and are remembered all the same.
            let document = UnverifiedDocument::parse(&self.document());
            let _ = document.and_then(|document| document.verify(&self.roots(), &expectations.chain_cache(&cache)));
            cache
        })
    }

    /// The twin of every attack: the document as it is verifies.
    #[track_caller]
    pub(crate) fn accepted(&self) {
        self.accepts(&self.document());
    }

    #[track_caller]
    pub(crate) fn accepts(&self, document: &[u8]) -> VerifiedDocument {
        match self.verify(document) {
            Ok(verified) => verified,
            Err(error) => panic!("refused with {}: {error}", error.code()),
        }
    }

    /// Asserts that a document is refused with a code, and gives the error for a closer look.
    #[track_caller]
    pub(crate) fn refuses(&self, document: &[u8], code: &str) -> DocumentError {
        refused(self.verify(document), code)
    }
}

#[track_caller]
pub(crate) fn refused(outcome: Result<VerifiedDocument, DocumentError>, code: &str) -> DocumentError {
    match outcome {
        Ok(_) => panic!("accepted, and {code} was due"),
        Err(error) => {
            assert_eq!(error.code(), code, "{error}");
            assert!(DocumentError::CODES.contains(&code));
            error
        }
    }
}
