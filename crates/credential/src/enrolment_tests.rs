//! Enrolments that hold, and each attack beside its twin.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nitrotpm_freshness::UnixTime;
use nitrotpm_signature::{Curve, PublicKey};
use nitrotpm_tpm_wire::{AlgorithmId, AsymmetricScheme, ObjectAttributes, Public, PublicParameters, Structure};
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use crate::software_tpm::{SoftwareTpm, attestation_key};
use crate::{
    CandidateKey, Challenge, Credential, CredentialError, EndorsementKey, EnrolmentAnswer, EnrolmentError,
    EnrolmentRecord, EnrolmentRequest, PendingEnrolment,
};

fn tpms() -> [SoftwareTpm; 3] {
    [SoftwareTpm::rsa(), SoftwareTpm::ec(Curve::P256), SoftwareTpm::ec(Curve::P384)]
}

fn candidate() -> CandidateKey {
    CandidateKey::from_public(attestation_key(1)).unwrap()
}

fn challenge(tpm: &SoftwareTpm) -> (PendingEnrolment, Challenge) {
    let request = EnrolmentRequest::new(tpm.endorsement_key(), candidate());
    let instance_id = "i-0123456789abcdef0".parse().unwrap();
    request.challenge(&tpm.endorsement_key(), Some(instance_id), &SystemRandom::new()).unwrap()
}

fn answer(secret: Vec<u8>) -> EnrolmentAnswer {
    EnrolmentAnswer::new(Zeroizing::new(secret))
}

#[test]
fn a_key_beside_its_endorsement_key_is_enrolled() {
    for mut tpm in tpms() {
        let (pending, challenge) = challenge(&tpm);
        let (endorsement_key, candidate) = (tpm.endorsement_key(), candidate());
        // By way of the documents, as between two machines.
        let pending = PendingEnrolment::from_json(&pending.to_json().unwrap()).unwrap();
        let challenge = Challenge::from_json(&challenge.to_json().unwrap()).unwrap();
        assert_eq!(challenge.ak_name(), candidate.name());
        assert_eq!(challenge.endorsement_template(), endorsement_key.template());
        let secret = tpm.activate(challenge.credential(), candidate.name()).unwrap();
        let answer = EnrolmentAnswer::from_json(&answer(secret).to_json().unwrap()).unwrap();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_764_025_200));
        let record = pending.complete(&answer, Some(at)).unwrap();

        let json = record.to_json().unwrap();
        assert!(json.contains(r#""enrolled_at":"2025-11-24T23:00:00Z""#), "{json}");
        let again = EnrolmentRecord::from_json(&json).unwrap();
        assert_eq!(again, record);
        assert_eq!(again.endorsement_key(), &endorsement_key);
        assert_eq!(again.attestation_key(), &candidate);
        assert_eq!(again.instance_id().unwrap().as_str(), "i-0123456789abcdef0");
    }
}

#[test]
fn e1_an_attestation_key_outside_the_tpm_opens_nothing() {
    for curve in [Curve::P256, Curve::P384] {
        let mut tpm = SoftwareTpm::ec(curve);
        let other = CandidateKey::from_public(attestation_key(2)).unwrap();
        let (_pending, challenge) = challenge(&tpm);
        assert_eq!(tpm.activate(challenge.credential(), other.name()), None);
    }
    let mut tpm = SoftwareTpm::rsa();
    let other = CandidateKey::from_public(attestation_key(2)).unwrap();
    let (pending, challenge) = challenge(&tpm);
    assert_eq!(tpm.activate(challenge.credential(), other.name()), None);
    // The twin: the key that was challenged.
    let secret = tpm.activate(challenge.credential(), candidate().name()).unwrap();
    assert!(pending.complete(&answer(secret), None).is_ok());
}

#[test]
fn e1_the_endorsement_key_of_another_tpm_is_refused() {
    let (tpm, other) = (SoftwareTpm::rsa(), SoftwareTpm::ec(Curve::P384));
    let request = EnrolmentRequest::new(tpm.endorsement_key(), candidate());
    let random = SystemRandom::new();
    let error = request.challenge(&other.endorsement_key(), None, &random).unwrap_err();
    assert_eq!(error.code(), "credential.ek-mismatch");
    assert!(request.challenge(&tpm.endorsement_key(), None, &random).is_ok());

    // And where the attester claims the trusted one, its own TPM does not open the challenge.
    let (_pending, challenge) = challenge(&SoftwareTpm::ec(Curve::P256));
    assert_eq!(SoftwareTpm::ec(Curve::P256).activate(challenge.credential(), candidate().name()), None);
}

#[test]
fn e1_keys_without_the_attributes_of_an_attestation_key_are_refused() {
    assert!(CandidateKey::from_public(attestation_key(1)).is_ok());
    let with = |attributes| Public { attributes, ..attestation_key(1) };
    let good = attestation_key(1).attributes;
    for (missing, name) in [
        (ObjectAttributes::RESTRICTED, "lacks restricted"),
        (ObjectAttributes::SIGN, "lacks sign"),
        (ObjectAttributes::FIXED_TPM, "lacks fixedTPM"),
        (ObjectAttributes::FIXED_PARENT, "lacks fixedParent"),
        (ObjectAttributes::SENSITIVE_DATA_ORIGIN, "lacks sensitiveDataOrigin"),
    ] {
        let error = CandidateKey::from_public(with(good.without(missing))).unwrap_err();
        assert_eq!(error.code(), "credential.ak-attributes");
        assert!(error.to_string().contains(name), "{error}");
    }
    for (extra, name) in
        [(ObjectAttributes::DECRYPT, "must not have decrypt"), (ObjectAttributes::X509_SIGN, "must not have x509sign")]
    {
        let error = CandidateKey::from_public(with(good.with(extra))).unwrap_err();
        assert_eq!(error.code(), "credential.ak-attributes");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn keys_with_weak_or_open_schemes_are_refused() {
    let with_scheme = |scheme| {
        let mut public = attestation_key(1);
        if let PublicParameters::Ecc { parameters, .. } = &mut public.parameters {
            parameters.scheme = scheme;
        }
        CandidateKey::from_public(public).map_err(|error| error.code())
    };
    let ecdsa = |hash| AsymmetricScheme::Hashed { scheme: AlgorithmId::ECDSA, hash };
    assert!(with_scheme(ecdsa(AlgorithmId::SHA384)).is_ok());
    for wrong in [
        AsymmetricScheme::Null,
        ecdsa(AlgorithmId::SHA1),
        ecdsa(AlgorithmId(0x0012)),
        AsymmetricScheme::Ecdaa { hash: AlgorithmId::SHA256, count: 0 },
    ] {
        assert_eq!(with_scheme(wrong), Err("credential.ak-scheme"));
    }
    let with_name =
        |name_alg| CandidateKey::from_public(Public { name_alg, ..attestation_key(1) }).map_err(|error| error.code());
    assert!(with_name(AlgorithmId::SHA512).is_ok());
    assert_eq!(with_name(AlgorithmId::SHA1), Err("credential.hash"));
    assert_eq!(with_name(AlgorithmId::NULL), Err("credential.name-algorithm"));
}

#[test]
fn e3_a_replayed_answer_is_refused_and_an_attempt_uses_the_challenge_up() {
    let mut tpm = SoftwareTpm::rsa();
    let (first, first_challenge) = challenge(&tpm);
    let (second, second_challenge) = challenge(&tpm);
    let name = candidate().name().to_vec();
    let first_secret = tpm.activate(first_challenge.credential(), &name).unwrap();
    let second_secret = tpm.activate(second_challenge.credential(), &name).unwrap();
    assert_ne!(first_secret, second_secret);
    // `complete` takes its value: after this there is no second try on `second`.
    assert_eq!(second.complete(&answer(first_secret.clone()), None).unwrap_err().code(), "credential.answer");
    assert!(first.complete(&answer(first_secret), None).is_ok());
}

#[test]
fn e3_no_error_and_no_debug_output_tells_the_secret() {
    let mut tpm = SoftwareTpm::rsa();
    let (pending, challenge) = challenge(&tpm);
    let secret = tpm.activate(challenge.credential(), candidate().name()).unwrap();
    let stored = pending.to_json().unwrap();
    let shown = [format!("{pending:?}"), format!("{:?}", answer(secret.clone())), stored];
    let wrong = answer([&secret[..31], &[secret[31] ^ 1]].concat());
    let error = pending.complete(&wrong, None).unwrap_err();
    let hexadecimal = hex::encode(&secret);
    let base64 = STANDARD.encode(&secret);
    let decimal = format!("{secret:?}");
    for text in shown.iter().chain([&error.to_string(), &format!("{error:?}")]) {
        for form in [&hexadecimal, &base64, decimal.trim_matches(['[', ']'])] {
            assert!(!text.contains(form), "{text}");
        }
    }
    // The twin: what is searched for is what the one document that carries the secret holds.
    assert!(answer(secret).to_json().unwrap().contains(&base64));
    // A malformed answer is reported without its value.
    let error = EnrolmentAnswer::from_json(r#"{"schema":"nitrotpm.enrolment-answer/1","secret":"hunter2!"}"#);
    let error = error.unwrap_err();
    assert_eq!(error.code(), "credential.json");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn e1_every_edit_of_a_credential_is_noticed() {
    let mut tpm = SoftwareTpm::rsa();
    let (_pending, challenge) = challenge(&tpm);
    let name = candidate().name().to_vec();
    let good = challenge.credential().clone();
    assert!(tpm.activate(&good, &name).is_some());
    for position in 0..good.credential_blob.len() {
        let mut edited = good.clone();
        edited.credential_blob[position] ^= 1;
        assert_eq!(tpm.activate(&edited, &name), None, "byte {position}");
    }
    for position in [0, 1, 2, 100, good.encrypted_secret.len() - 1] {
        let mut edited = good.clone();
        edited.encrypted_secret[position] ^= 1;
        assert_eq!(tpm.activate(&edited, &name), None, "byte {position}");
    }
}

#[test]
fn endorsement_keys_are_read_in_each_form() {
    for tpm in tpms() {
        let key = tpm.endorsement_key();
        let der = key.public_key().to_spki_der();
        assert_eq!(EndorsementKey::parse(&der).unwrap(), key);
        assert_eq!(EndorsementKey::parse(&key.public().to_bytes().unwrap()).unwrap(), key);
        assert_eq!(EndorsementKey::parse(&key.public().to_tpm2b().unwrap()).unwrap(), key);
        assert!(key.template().is_some());
        // As the EC2 API answers, with the newlines that a shell makes of it.
        for bytes in [der.clone(), key.public().to_bytes().unwrap(), key.public().to_tpm2b().unwrap()] {
            let text = STANDARD.encode(bytes);
            let (first, rest) = text.split_at(64);
            assert_eq!(EndorsementKey::parse(format!("{first}\n{rest}\n").as_bytes()).unwrap(), key);
            assert_eq!(
                EndorsementKey::parse(format!("{first}!{rest}").as_bytes()).unwrap_err().code(),
                "credential.ek"
            );
            // Once is enough.
            assert!(EndorsementKey::parse(STANDARD.encode(format!("{first}{rest}")).as_bytes()).is_err());
        }
        for cut in 0..der.len() {
            assert!(EndorsementKey::parse(&der[..cut]).is_err());
        }
    }
}

#[test]
fn what_is_no_endorsement_key_is_refused() {
    let good = SoftwareTpm::rsa().endorsement_key().public().clone();
    let code = |public| EndorsementKey::from_public(public).map(|_| ()).map_err(|error| error.code());
    assert_eq!(code(good.clone()), Ok(()));
    // An attestation key in its place would let anybody answer.
    assert_eq!(code(attestation_key(1)), Err("credential.ek"));
    let signing = good.attributes.with(ObjectAttributes::SIGN);
    assert_eq!(code(Public { attributes: signing, ..good.clone() }), Err("credential.ek"));
    let open = good.attributes.without(ObjectAttributes::RESTRICTED);
    assert_eq!(code(Public { attributes: open, ..good.clone() }), Err("credential.ek"));
    assert_eq!(code(Public { name_alg: AlgorithmId::SHA1, ..good.clone() }), Err("credential.hash"));
    let mut longer = good.clone();
    if let PublicParameters::Rsa { parameters, .. } = &mut longer.parameters {
        parameters.key_bits = 3072;
    }
    assert_eq!(code(longer), Err("credential.key-size"));
    let mut null = good;
    if let PublicParameters::Rsa { parameters, .. } = &mut null.parameters {
        parameters.symmetric = nitrotpm_tpm_wire::Symmetric::Null;
    }
    assert_eq!(code(null), Err("credential.ek"));
    // A bare key of 3072 bits is of no template.
    let bare = PublicKey::rsa(&[0xC3; 384], 65_537).unwrap();
    assert_eq!(EndorsementKey::from_public_key(&bare).unwrap_err().code(), "credential.ek");
}

#[test]
fn a_point_beside_the_curve_is_refused_when_challenging() {
    let beside = PublicKey::from_sec1(&[&[4][..], &[0x11; 64]].concat()).unwrap();
    let key = EndorsementKey::from_public_key(&beside).unwrap();
    let error = Credential::make(&key, candidate().name(), &[1; 32], &SystemRandom::new()).unwrap_err();
    assert_eq!(error.code(), "credential.ek");
    let twin = SoftwareTpm::ec(Curve::P256).endorsement_key();
    assert!(Credential::make(&twin, candidate().name(), &[1; 32], &SystemRandom::new()).is_ok());
}

#[test]
fn secrets_are_as_long_as_the_name_hash_at_most() {
    let key = SoftwareTpm::rsa().endorsement_key();
    let make = |length| Credential::make(&key, candidate().name(), &vec![1; length], &SystemRandom::new());
    assert!(make(1).is_ok() && make(32).is_ok());
    for length in [0, 33] {
        let expected = CredentialError::SecretLength { found: length, limit: 32 };
        assert_eq!(make(length).unwrap_err(), expected);
    }
}

#[test]
fn documents_are_strict() {
    let request = EnrolmentRequest::new(SoftwareTpm::rsa().endorsement_key(), candidate());
    let good = request.to_json().unwrap();
    assert_eq!(EnrolmentRequest::from_json(&good).unwrap(), request);
    let code = |text: &str| EnrolmentRequest::from_json(text).unwrap_err().code();
    assert_eq!(code(&good.replace("}", r#","more":1}"#)), "credential.json");
    assert_eq!(code(&good.replace("}", r#","ak_public":""}"#)), "credential.json");
    assert_eq!(code(&format!("{good}x")), "credential.json");
    assert_eq!(code(&good.replace("request/1", "request/2")), "credential.schema");
    assert_eq!(code(&format!("{good}{}", " ".repeat(17_000))), "credential.json");
    assert_eq!(code("{}"), "credential.json");
    assert_eq!(Challenge::from_json(&good).unwrap_err().code(), "credential.schema");
    // A PEM key cannot be enrolled: it has no attributes.
    assert_eq!(CandidateKey::parse(b"-----BEGIN PUBLIC KEY-----").unwrap_err().code(), "credential.ak-no-attributes");
}

#[test]
fn records_with_odd_fields_are_refused() {
    let mut tpm = SoftwareTpm::rsa();
    let (pending, challenge) = challenge(&tpm);
    let secret = tpm.activate(challenge.credential(), candidate().name()).unwrap();
    let good = pending.complete(&answer(secret), None).unwrap().to_json().unwrap();
    assert!(EnrolmentRecord::from_json(&good).is_ok() && !good.contains("enrolled_at"));
    let bad_id = good.replace("i-0123456789abcdef0", "i-../../../../etc");
    assert_eq!(EnrolmentRecord::from_json(&bad_id).unwrap_err().code(), "enrolment.malformed");
    let bad_time = good.replace('}', r#","enrolled_at":"yesterday"}"#);
    assert_eq!(EnrolmentRecord::from_json(&bad_time).unwrap_err().code(), "enrolment.malformed");
}

#[test]
fn every_code_is_listed() {
    let credential = Credential { credential_blob: vec![], encrypted_secret: vec![] };
    assert_eq!(credential, credential.clone());
    let mut codes = [EnrolmentError::CODES, CredentialError::CODES].concat();
    let count = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), count);
    assert!(codes.iter().all(|code| code.starts_with("credential.")));
}
