//! TPM structures, quotes and keys.

use std::sync::LazyLock;

use nitrotpm_freshness::{Nonce, NonceExpectation};
use nitrotpm_pcr::{Bank, PcrValues};
use nitrotpm_quote::{AttestationKey, QuoteExpectations, UnverifiedQuote, parse_public_key};
use nitrotpm_signature::PublicKey;
use nitrotpm_testkit::{QuoteBuilder, SoftwareKey, sample_values};
use nitrotpm_tpm_wire::{Attest, DigestList, PcrSelectionList, Public, Signature, Structure};

use crate::check::{Choices, bounded, part, shown};

/// Each structure, bare and with its size in front: what is read is written back as the same bytes.
pub(crate) fn structures(data: &[u8]) {
    both_forms::<Attest>(data);
    both_forms::<Public>(data);
    both_forms::<Signature>(data);
    both_forms::<PcrSelectionList>(data);
    both_forms::<DigestList>(data);
}

fn both_forms<T: Structure>(data: &[u8]) {
    match bounded(data, 16, || T::parse(data)) {
        Ok(value) => {
            assert_eq!(value.to_bytes().as_deref(), Ok(data), "{}", T::NAME);
            if let Ok(sized) = value.to_tpm2b() {
                assert!(T::parse_tpm2b(&sized).is_ok());
            }
        }
        Err(error) => {
            shown(&error);
            assert!(error.offset <= data.len(), "{error}");
        }
    }
    match T::parse_tpm2b(data) {
        Ok(value) => assert_eq!(value.to_tpm2b().as_deref(), Ok(data), "{}", T::NAME),
        Err(error) => assert!(error.offset <= data.len(), "{error}"),
    }
}

/// Always the same one, so that a run can be repeated.
static KEY: LazyLock<SoftwareKey> = LazyLock::new(SoftwareKey::rsa2048);
const NONCE: &[u8] = b"sixteen bytes or more";

fn values() -> PcrValues {
    sample_values(&[(Bank::Sha256, &[0, 4, 7]), (Bank::Sha384, &[0, 4, 7])])
}

/// A quote: signature, then attestation. Of what is accepted, every byte of the attestation was signed.
pub(crate) fn quote(data: &[u8]) {
    let mut choices = Choices(data);
    let signature = choices.part();
    let attest = choices.0;
    match bounded(data, 16, || UnverifiedQuote::parse(attest, signature)) {
        Ok(quote) => {
            let key = AttestationKey::from_public(KEY.attestation_area()).expect("an attestation key");
            let nonce = Nonce::new(NONCE).expect("a nonce");
            let expectations = QuoteExpectations::new(NonceExpectation::Expected(&nonce));
            match quote.verify(&key, &expectations, &values()) {
                Ok(signed) => assert_eq!(signed.extra_data(), NONCE),
                Err(error) => shown(error),
            }
        }
        Err(error) => shown(error),
    }
}

/// The forms of a key's file; what is read and can be written is read again as the same.
pub(crate) fn keys(data: &[u8]) {
    match bounded(data, 32, || AttestationKey::parse(data)) {
        Ok(key) => {
            assert!(key.same_key(&AttestationKey::parse(data).expect("read before")));
            assert_eq!(parse_public_key(data).as_ref().ok(), Some(key.public_key()));
        }
        Err(error) => shown(error),
    }
    match parse_public_key(data) {
        Ok(key) => {
            let der = key.to_spki_der();
            assert_eq!(PublicKey::from_spki_der(&der).as_ref().ok(), Some(&key));
            if data.first() == Some(&0x30) {
                assert_eq!(der, data, "DER has one form");
            }
            if let Some(point) = key.to_sec1() {
                assert_eq!(PublicKey::from_sec1(&point).as_ref().ok(), Some(&key));
            }
        }
        Err(error) => shown(error),
    }
    if let Err(error) = PublicKey::from_sec1(data) {
        shown(error);
    }
    for result in [
        nitrotpm_credential::EndorsementKey::parse(data).map(drop),
        nitrotpm_credential::CandidateKey::parse(data).map(drop),
    ] {
        if let Err(error) = result {
            shown(error);
        }
    }
}

/// Seeds of the quote target.
pub(crate) fn quote_seeds() -> Vec<Vec<u8>> {
    let builder = QuoteBuilder::new(NONCE, &values());
    [SoftwareKey::p256(), SoftwareKey::p384(), SoftwareKey::rsa2048()]
        .iter()
        .map(|key| {
            let quote = builder.sign_usual(key);
            [part(&quote.signature), quote.attest].concat()
        })
        .collect()
}

/// Seeds of the structures and keys.
pub(crate) fn public_seeds() -> Vec<Vec<u8>> {
    [SoftwareKey::p256(), SoftwareKey::p384(), SoftwareKey::rsa2048()]
        .iter()
        .flat_map(|key| {
            let area = key.attestation_area();
            [area.to_bytes().expect("written"), area.to_tpm2b().expect("written"), key.public_key().to_spki_der()]
        })
        .collect()
}
