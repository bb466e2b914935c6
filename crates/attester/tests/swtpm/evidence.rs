//! Keys, quotes, PCRs and the evidence file.

use std::fs;
use std::sync::atomic::AtomicBool;

use nitrotpm_attester::{
    Collection, DocumentOptions, DocumentRequest, KeyAlgorithm, LogFile, Protection, StoredKey, all_but_sha1,
    parse_selection, request_document,
};
use nitrotpm_credential::EndorsementTemplate;
use nitrotpm_freshness::{Nonce, NonceExpectation};
use nitrotpm_pcr::{Bank, Digest, PcrIndex, PcrValues};
use nitrotpm_quote::{AttestationKey, QuoteExpectations, UnverifiedQuote};
use nitrotpm_tpm_wire::ObjectAttributes;

use ring::rand::SystemRandom;

use crate::software_tpm::SoftwareTpm;

/// Verifies as a verifier does, and gives the code where it refuses.
fn verify(
    key: &StoredKey,
    attest: &[u8],
    signature: &[u8],
    nonce: &[u8],
    pcrs: &PcrValues,
) -> Result<(), &'static str> {
    let nonce = Nonce::new(nonce).unwrap();
    let key = AttestationKey::from_public(key.public().clone()).map_err(|error| error.code())?;
    let quote = UnverifiedQuote::parse(attest, signature).map_err(|error| error.code())?;
    let expectations = QuoteExpectations::new(NonceExpectation::Expected(&nonce));
    let signed = quote.verify(&key, &expectations, pcrs).map_err(|error| error.code())?;
    assert_eq!(signed.values(), pcrs);
    Ok(())
}

fn index(number: u8) -> PcrIndex {
    PcrIndex::new(number).unwrap()
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn keys_of_each_algorithm_quote_and_their_quotes_verify() {
    let software = SoftwareTpm::start();
    let mut tpm = software.open();
    let selection = all_but_sha1(&mut tpm).unwrap();
    for algorithm in KeyAlgorithm::ALL {
        let key = tpm.create_key(algorithm).unwrap();
        let key = StoredKey::from_json(&key.to_json().unwrap()).unwrap();
        let pcrs = tpm.read_pcrs(&selection).unwrap().values;
        assert_eq!(pcrs.len(), 72, "24 registers of three banks");
        let quote = tpm.quote(&key, b"nonce", &selection).unwrap();
        let verified = |nonce| verify(&key, &quote.attest, &quote.signature, nonce, &pcrs);
        assert_eq!(verified(b"nonce"), Ok(()), "{}", algorithm.name());
        assert_eq!(verified(b"other"), Err("quote.nonce"), "{}", algorithm.name());
        let attributes = key.public().attributes;
        assert!(attributes.contains(ObjectAttributes::RESTRICTED) && attributes.contains(ObjectAttributes::SIGN));
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_key_survives_a_reboot_and_belongs_to_one_tpm() {
    let mut software = SoftwareTpm::start();
    let selection = parse_selection("sha256:0").unwrap();
    let key = software.open().create_key(KeyAlgorithm::P256).unwrap();
    software.reboot();
    assert!(software.open().quote(&key, b"nonce", &selection).is_ok());

    let other = SoftwareTpm::start();
    let error = other.open().quote(&key, b"nonce", &selection).unwrap_err();
    assert_eq!(error.code(), "attester.foreign-key");
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn nothing_stays_loaded_after_success_or_failure() {
    let software = SoftwareTpm::start();
    let mut tpm = software.open();
    let selection = parse_selection("sha256:0").unwrap();
    let key = tpm.create_key(KeyAlgorithm::P256).unwrap();
    let foreign = SoftwareTpm::start().open().create_key(KeyAlgorithm::P256).unwrap();
    // swtpm has three places for objects: one that stays is noticed within three rounds.
    for _ in 0..8 {
        assert_eq!(tpm.quote(&foreign, b"nonce", &selection).unwrap_err().code(), "attester.foreign-key");
        assert!(tpm.quote(&key, b"nonce", &selection).is_ok());
        assert!(tpm.endorsement_key(EndorsementTemplate::P256).is_ok());
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn endorsement_keys_are_what_their_templates_say() {
    let software = SoftwareTpm::start();
    let mut tpm = software.open();
    for template in EndorsementTemplate::ALL {
        let key = tpm.endorsement_key(template).unwrap();
        // A verifier that has the bare key puts together the same public area that the TPM has.
        assert_eq!(key.template(), Some(template));
        assert_eq!(tpm.endorsement_key(template).unwrap(), key);
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn registers_are_read_extended_and_measured_into() {
    let software = SoftwareTpm::start();
    let mut tpm = software.open();
    let selection = parse_selection("sha256:7,16+sha384:16").unwrap();
    let before = tpm.read_pcrs(&selection).unwrap();
    assert_eq!(before.values.get(Bank::Sha256, index(16)), Some(&Digest::zero(Bank::Sha256)));

    let measured = Digest::new(Bank::Sha256, &[7; 32]).unwrap();
    tpm.extend_pcr(index(7), &[measured]).unwrap();
    let digests = tpm.measure(index(16), b"an event").unwrap();
    assert_eq!(digests.len(), tpm.active_banks().unwrap().len());
    let after = tpm.read_pcrs(&selection).unwrap();
    assert_ne!(after.update_counter, before.update_counter);
    for (bank, number, digest) in [
        (Bank::Sha256, 7, measured),
        (Bank::Sha384, 16, digests.into_iter().find(|one| one.algorithm() == Bank::Sha384).unwrap()),
    ] {
        let mut chain = nitrotpm_pcr::Chain::new(bank, index(number));
        chain.extend(&digest).unwrap();
        assert_eq!(after.values.get(bank, index(number)), Some(&chain.value()));
    }
}

fn collection(key: &StoredKey) -> Collection<'_> {
    Collection {
        key,
        nonce: b"nonce",
        endorsement_key: Some(EndorsementTemplate::P256),
        event_log: LogFile::LeftOut,
        ima_log: LogFile::LeftOut,
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn evidence_is_one_file_whose_quote_verifies() {
    let software = SoftwareTpm::start();
    let mut tpm = software.open();
    let key = tpm.create_key(KeyAlgorithm::P384).unwrap();
    drop(tpm);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    fs::write(&log, b"a log").unwrap();
    let collection = Collection { event_log: LogFile::Given(log), ..collection(&key) };
    let evidence = collection.collect(&|| Ok(software.open()), &mut || Ok(Some(b"a document".to_vec()))).unwrap();
    assert_eq!(verify(&key, &evidence.quote.attest, &evidence.quote.signature, b"nonce", &evidence.pcrs), Ok(()));

    let json: serde_json::Value = serde_json::from_str(&evidence.to_json().unwrap()).unwrap();
    let mut fields: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["ak_public", "document", "ek_public", "event_log", "pcrs", "quotes", "schema"]);
    assert_eq!(json["schema"], "nitrotpm.evidence/1");
    assert_eq!(json["event_log"], "YSBsb2c=");
    assert_eq!(json["pcrs"]["sha384"].as_object().unwrap().len(), 24);
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn evidence_is_collected_again_while_registers_move() {
    let software = SoftwareTpm::start();
    let mut tpm = software.open();
    let key = tpm.create_key(KeyAlgorithm::P256).unwrap();
    drop(tpm);
    let collect = |until: u32| {
        let mut calls = 0_u32;
        collection(&key).collect(&|| Ok(software.open()), &mut || {
            calls = calls.saturating_add(1);
            if calls <= until {
                software.open().measure(index(10), b"a file was opened").unwrap();
            }
            Ok(Some(calls.to_be_bytes().to_vec()))
        })
    };
    let evidence = collect(3).unwrap();
    assert_eq!(evidence.document, Some(4_u32.to_be_bytes().to_vec()));
    assert_eq!(verify(&key, &evidence.quote.attest, &evidence.quote.signature, b"nonce", &evidence.pcrs), Ok(()));
    let error = collect(u32::MAX).unwrap_err();
    assert_eq!(error.code(), "attester.pcrs-moving");
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_log_that_was_asked_for_must_be_there() {
    let software = SoftwareTpm::start();
    let mut tpm = software.open();
    let key = tpm.create_key(KeyAlgorithm::P256).unwrap();
    drop(tpm);
    let missing = || "/nonexistent/log".into();
    let given = Collection { event_log: LogFile::Given(missing()), ..collection(&key) };
    assert_eq!(given.collect(&|| Ok(software.open()), &mut || Ok(None)).unwrap_err().code(), "attester.file");
    let usual = Collection { event_log: LogFile::OfThisMachine("/nonexistent/log"), ..collection(&key) };
    assert_eq!(usual.collect(&|| Ok(software.open()), &mut || Ok(None)).unwrap().event_log, None);
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn nonces_longer_than_a_quote_carries_are_refused() {
    let software = SoftwareTpm::start();
    let mut tpm = software.open();
    let key = tpm.create_key(KeyAlgorithm::P256).unwrap();
    let selection = parse_selection("sha256:0").unwrap();
    assert!(tpm.quote(&key, &[7; 64], &selection).is_ok());
    assert_eq!(tpm.quote(&key, &[7; 65], &selection).unwrap_err().code(), "attester.nonce-length");
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn the_endorsement_password_is_asked_for_and_taken() {
    let software = SoftwareTpm::start();
    // TPM2_HierarchyChangeAuth of the endorsement hierarchy to "pw".
    let changed = software.command("8002 0000001f 00000129 4000000b 00000009 40000009 0000 00 0000 0002 7077");
    assert_eq!(changed, 0);
    let mut tpm = software.open();
    let error = tpm.create_key(KeyAlgorithm::P256).unwrap_err();
    assert_eq!(error.code(), "attester.authorization");
    assert!(error.to_string().contains("--endorsement-auth"), "{error}");
    tpm.set_endorsement_auth(b"pw").unwrap();
    let key = tpm.create_key(KeyAlgorithm::P256).unwrap();
    assert!(tpm.quote(&key, b"nonce", &parse_selection("sha256:0").unwrap()).is_ok());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn capabilities_are_those_of_swtpm() {
    let software = SoftwareTpm::start();
    let found = software.open().capabilities().unwrap();
    assert_eq!(found.manufacturer, "IBM");
    assert_eq!(found.nv_index_max, 2048);
    assert!(found.banks.contains(&Bank::Sha384));
    assert!(!found.attestation_document, "swtpm alone signs no documents");
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_tpm_without_documents_says_so_and_keeps_nothing() {
    let software = SoftwareTpm::start();
    let interrupted = AtomicBool::new(false);
    let options = DocumentOptions { owner_auth: b"", protection: Protection::Salted, interrupted: &interrupted };
    let ask = |request: &DocumentRequest<'_>| {
        request_document(&software.connection(), request, &options, &SystemRandom::new()).map_err(|error| error.code())
    };
    assert_eq!(ask(&DocumentRequest::default()), Err("attester.no-documents"));
    let long = [0; 1025];
    assert_eq!(
        ask(&DocumentRequest { nonce: Some(&long), ..DocumentRequest::default() }),
        Err("attester.field-length")
    );
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_tpm_that_dies_under_its_user_is_an_error_and_no_panic() {
    let mut software = SoftwareTpm::start();
    let mut tpm = software.open();
    let key = tpm.create_key(KeyAlgorithm::P256).unwrap();
    software.end();
    let error = tpm.quote(&key, b"nonce", &parse_selection("sha256:0").unwrap()).unwrap_err();
    assert_eq!(error.code(), "attester.unreachable", "{error}");
    drop(tpm);
}
