//! Enrolment against the TPM's own check, and each attack beside its twin.

use nitrotpm_attester::{KeyAlgorithm, StoredKey, Tpm};
use nitrotpm_credential::{
    CandidateKey, Challenge, EndorsementKey, EndorsementTemplate, EnrolmentRecord, EnrolmentRequest, PendingEnrolment,
};
use nitrotpm_tpm_wire::{ObjectAttributes, Public, Structure as _};
use ring::rand::SystemRandom;

use crate::software_tpm::SoftwareTpm;

fn challenge(endorsement_key: &EndorsementKey, key: &StoredKey) -> (PendingEnrolment, Challenge) {
    let candidate = CandidateKey::from_public(key.public().clone()).unwrap();
    let request = EnrolmentRequest::new(endorsement_key.clone(), candidate);
    request.challenge(endorsement_key, None, &SystemRandom::new()).unwrap()
}

/// A challenge that claims to be for another key: the Name beside the credential is only a hint.
fn renamed(challenge: &Challenge, key: &StoredKey) -> Challenge {
    let json = challenge.to_json().unwrap();
    let name = hex::encode(key.public().name().unwrap());
    Challenge::from_json(&json.replace(&hex::encode(challenge.ak_name()), &name)).unwrap()
}

fn edited(challenge: &Challenge, field: &str, position: usize) -> Challenge {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD;
    let mut json: serde_json::Value = serde_json::from_str(&challenge.to_json().unwrap()).unwrap();
    let mut bytes = base64.decode(json[field].as_str().unwrap()).unwrap();
    bytes[position] ^= 1;
    json[field] = base64.encode(bytes).into();
    Challenge::from_json(&json.to_string()).unwrap()
}

fn enrol(tpm: &mut Tpm, endorsement_key: &EndorsementKey, key: &StoredKey) -> EnrolmentRecord {
    let (pending, challenge) = challenge(endorsement_key, key);
    let answer = tpm.activate(key, &challenge).unwrap();
    pending.complete(&answer, None).unwrap()
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn keys_are_enrolled_beside_each_endorsement_key() {
    let software = SoftwareTpm::start();
    let mut tpm = software.open();
    for template in EndorsementTemplate::ALL {
        let endorsement_key = tpm.endorsement_key(template).unwrap();
        for algorithm in KeyAlgorithm::ALL {
            let key = tpm.create_key(algorithm).unwrap();
            let record = enrol(&mut tpm, &endorsement_key, &key);
            assert_eq!(record.attestation_key().public(), key.public());
            assert_eq!(record.endorsement_key(), &endorsement_key);
        }
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_key_is_enrolled_with_an_endorsement_key_from_der() {
    // What `aws ec2 get-instance-tpm-ek-pub --key-format der` gives has no public area.
    let software = SoftwareTpm::start();
    let mut tpm = software.open();
    let key = tpm.create_key(KeyAlgorithm::P256).unwrap();
    for template in EndorsementTemplate::ALL {
        let der = tpm.endorsement_key(template).unwrap().public_key().to_spki_der();
        enrol(&mut tpm, &EndorsementKey::parse(&der).unwrap(), &key);
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn e1_an_attestation_key_that_is_not_in_the_tpm_is_refused() {
    let (software, other) = (SoftwareTpm::start(), SoftwareTpm::start());
    let mut tpm = software.open();
    let key = tpm.create_key(KeyAlgorithm::P256).unwrap();
    let outside = other.open().create_key(KeyAlgorithm::P256).unwrap();
    for template in EndorsementTemplate::ALL {
        let endorsement_key = tpm.endorsement_key(template).unwrap();
        let (_pending, for_outside) = challenge(&endorsement_key, &outside);
        // The TPM cannot load it, another key does not fit, and lying about the Name does not help.
        assert_eq!(tpm.activate(&outside, &for_outside).unwrap_err().code(), "attester.foreign-key");
        assert_eq!(tpm.activate(&key, &for_outside).unwrap_err().code(), "attester.challenge-key");
        let error = tpm.activate(&key, &renamed(&for_outside, &key)).unwrap_err();
        assert_eq!(error.code(), "attester.challenge-refused");
        enrol(&mut tpm, &endorsement_key, &key);
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn e1_the_endorsement_key_of_another_tpm_is_refused() {
    let (software, other) = (SoftwareTpm::start(), SoftwareTpm::start());
    let mut tpm = software.open();
    let key = tpm.create_key(KeyAlgorithm::P384).unwrap();
    for template in EndorsementTemplate::ALL {
        let elsewhere = other.open().endorsement_key(template).unwrap();
        let (_pending, for_elsewhere) = challenge(&elsewhere, &key);
        assert_eq!(
            tpm.activate(&key, &for_elsewhere).unwrap_err().code(),
            "attester.challenge-refused",
            "{template:?}"
        );
        let own = tpm.endorsement_key(template).unwrap();
        enrol(&mut tpm, &own, &key);

        // The verifier sees it already, where the request is honest about its endorsement key.
        let candidate = CandidateKey::from_public(key.public().clone()).unwrap();
        let request = EnrolmentRequest::new(own, candidate);
        let error = request.challenge(&elsewhere, None, &SystemRandom::new()).unwrap_err();
        assert_eq!(error.code(), "credential.ek-mismatch");
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn e1_edited_credentials_are_refused() {
    let software = SoftwareTpm::start();
    let mut tpm = software.open();
    let key = tpm.create_key(KeyAlgorithm::P256).unwrap();
    for template in EndorsementTemplate::ALL {
        let endorsement_key = tpm.endorsement_key(template).unwrap();
        let (pending, good) = challenge(&endorsement_key, &key);
        // In the HMAC, in the encrypted secret, in the seed.
        for (field, position) in [("credential_blob", 10), ("credential_blob", 40), ("encrypted_secret", 20)] {
            let error = tpm.activate(&key, &edited(&good, field, position)).unwrap_err();
            assert_eq!(error.code(), "attester.challenge-refused", "{template:?} {field} {position}");
        }
        let answer = tpm.activate(&key, &good).unwrap();
        assert!(pending.complete(&answer, None).is_ok());
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn e3_an_answer_to_another_challenge_is_refused() {
    let software = SoftwareTpm::start();
    let mut tpm = software.open();
    let key = tpm.create_key(KeyAlgorithm::P256).unwrap();
    let endorsement_key = tpm.endorsement_key(EndorsementTemplate::P384).unwrap();
    let (first, first_challenge) = challenge(&endorsement_key, &key);
    let (second, _second_challenge) = challenge(&endorsement_key, &key);
    let answer = tpm.activate(&key, &first_challenge).unwrap();
    assert_eq!(second.complete(&answer, None).unwrap_err().code(), "credential.answer");
    assert!(first.complete(&answer, None).is_ok());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn e1_a_key_with_other_attributes_than_it_says_is_refused() {
    let software = SoftwareTpm::start();
    let mut tpm = software.open();
    let key = tpm.create_key(KeyAlgorithm::P256).unwrap();
    let endorsement_key = tpm.endorsement_key(EndorsementTemplate::Rsa2048).unwrap();
    let honest = CandidateKey::from_public(key.public().clone()).unwrap();
    let request = EnrolmentRequest::new(endorsement_key.clone(), honest).to_json().unwrap();
    let with = |attributes: ObjectAttributes| Public { attributes, ..key.public().clone() };

    // Without `restricted` it would sign anything: refused where the request is made, and where it arrives.
    let open = with(key.public().attributes.without(ObjectAttributes::RESTRICTED));
    assert_eq!(CandidateKey::from_public(open.clone()).unwrap_err().code(), "credential.ak-attributes");
    let requested = |public: &Public| {
        use base64::Engine as _;
        let mut json: serde_json::Value = serde_json::from_str(&request).unwrap();
        json["ak_public"] = base64::engine::general_purpose::STANDARD.encode(public.to_tpm2b().unwrap()).into();
        EnrolmentRequest::from_json(&json.to_string())
    };
    assert_eq!(requested(&open).unwrap_err().code(), "credential.ak-attributes");

    // A request that lies about an attribute is fit, and of another Name than the key in the TPM has.
    let lie = requested(&with(key.public().attributes.without(ObjectAttributes::NO_DA))).unwrap();
    let (_pending, for_lie) = lie.challenge(&endorsement_key, None, &SystemRandom::new()).unwrap();
    assert_eq!(tpm.activate(&key, &for_lie).unwrap_err().code(), "attester.challenge-key");
    assert_eq!(tpm.activate(&key, &renamed(&for_lie, &key)).unwrap_err().code(), "attester.challenge-refused");

    let twin = requested(key.public()).unwrap();
    let (pending, challenge) = twin.challenge(&endorsement_key, None, &SystemRandom::new()).unwrap();
    assert!(pending.complete(&tpm.activate(&key, &challenge).unwrap(), None).is_ok());
}
