//! The attack ledger's section Q at this crate's level: each attack beside its accepted twin.

#![allow(clippy::arithmetic_side_effects, reason = "tests compute with their own numbers")]

mod keys;
mod quotes;

use nitrotpm_digest_lanes::{Digest, HashAlgorithm, hash};
use nitrotpm_freshness::{Nonce, NonceExpectation};
use nitrotpm_pcr::{PcrIndex, PcrValues};
use nitrotpm_signature::{Scheme, SignatureError};
use nitrotpm_testkit::{QuoteBuilder, SignedBytes, SoftwareKey, attestation_key_attributes, sample_values, select};
use nitrotpm_tpm_wire::{
    AlgorithmId, AsymmetricScheme, AttestationType, EccCurve, ObjectAttributes, PcrSelection, Public, PublicParameters,
    Signature, Structure, WireError,
};

use crate::{AttestationKey, KeyProblem, QuoteError, QuoteExpectations, SignedQuote, UnverifiedQuote};

const NONCE: &[u8] = b"the verifier's own nonce";
const SHA1: HashAlgorithm = HashAlgorithm::Sha1;
const SHA256: HashAlgorithm = HashAlgorithm::Sha256;
const SHA384: HashAlgorithm = HashAlgorithm::Sha384;

/// A quote with its key and claimed values; each attack changes one of them.
struct Setup {
    software: SoftwareKey,
    key: AttestationKey,
    claimed: PcrValues,
    builder: QuoteBuilder,
}

fn setup_with(software: SoftwareKey, registers: &[(HashAlgorithm, &[u8])]) -> Setup {
    let claimed = sample_values(registers);
    let builder = QuoteBuilder::new(NONCE, &claimed);
    let key = AttestationKey::from_public(software.attestation_area()).unwrap();
    Setup { software, key, claimed, builder }
}

fn setup() -> Setup {
    setup_with(SoftwareKey::p256(), &[(SHA384, &[4, 7, 12])])
}

fn verify_bytes(
    bytes: &SignedBytes,
    key: &AttestationKey,
    claimed: &PcrValues,
    allow_sha1: bool,
) -> Result<SignedQuote, QuoteError> {
    let nonce = Nonce::new(NONCE).unwrap();
    let expectations = QuoteExpectations::new(NonceExpectation::Expected(&nonce)).with_sha1(allow_sha1);
    UnverifiedQuote::parse(&bytes.attest, &bytes.signature)?.verify(key, &expectations, claimed)
}

impl Setup {
    fn signed(&self) -> SignedBytes {
        self.builder.sign_usual(&self.software)
    }

    fn verify(&self) -> Result<SignedQuote, QuoteError> {
        verify_bytes(&self.signed(), &self.key, &self.claimed, false)
    }

    #[track_caller]
    fn accepted(&self) -> SignedQuote {
        self.verify().unwrap()
    }

    #[track_caller]
    fn refused(&self, code: &str) -> QuoteError {
        let error = self.verify().unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        error
    }
}

fn index(number: u8) -> PcrIndex {
    PcrIndex::new(number).unwrap()
}
