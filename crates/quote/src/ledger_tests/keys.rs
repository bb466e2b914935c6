//! Attacks on the key and on the forms in which it comes.

use super::*;

#[test]
fn q8_a_restricted_key_without_a_scheme_is_no_tpms() {
    let (ec, rsa) = (SoftwareKey::p256(), SoftwareKey::rsa2048());
    let hashed = |scheme, hash| AsymmetricScheme::Hashed { scheme, hash };
    let good = hashed(AlgorithmId::ECDSA, AlgorithmId::SHA256);
    assert!(AttestationKey::from_public(ec.public_area(attestation_key_attributes(), good)).is_ok());
    for (software, scheme) in [
        (&ec, AsymmetricScheme::Null),
        (&ec, hashed(AlgorithmId::RSASSA, AlgorithmId::SHA256)),
        (&ec, hashed(AlgorithmId::ECDSA, AlgorithmId::NULL)),
        (&ec, AsymmetricScheme::Ecdaa { hash: AlgorithmId::SHA256, count: 0 }),
        (&rsa, AsymmetricScheme::Null),
        (&rsa, hashed(AlgorithmId::OAEP, AlgorithmId::SHA256)),
        (&rsa, good),
    ] {
        let area = software.public_area(attestation_key_attributes(), scheme);
        let error = AttestationKey::from_public(area).unwrap_err();
        assert_eq!(error, QuoteError::Key(KeyProblem::Scheme { scheme }));
        assert_eq!(error.code(), "quote.key-scheme");
    }
}

/// A public area with one thing changed.
fn altered_area(software: &SoftwareKey, change: impl FnOnce(&mut Public)) -> Result<AttestationKey, QuoteError> {
    let mut area = software.attestation_area();
    change(&mut area);
    AttestationKey::from_public(area)
}

#[test]
fn q10_sizes_come_from_the_algorithm() {
    let (ec, rsa) = (SoftwareKey::p256(), SoftwareKey::rsa2048());
    assert!(altered_area(&ec, |_| ()).is_ok());
    assert!(altered_area(&rsa, |_| ()).is_ok());
    let ec_code = |change: &dyn Fn(&mut Vec<u8>, &mut EccCurve)| {
        altered_area(&ec, |area| {
            let PublicParameters::Ecc { parameters, point } = &mut area.parameters else { panic!("an EC key") };
            change(&mut point.x, &mut parameters.curve);
        })
        .map_err(|error| error.code())
    };
    // A coordinate with a zero in front that a TPM would have left out, and one that cannot be.
    assert_eq!(ec_code(&|x, _| x.insert(0, 0)).unwrap_err(), "key.ec-coordinate");
    assert_eq!(ec_code(&|x, _| *x = vec![1; 65]).unwrap_err(), "key.ec-coordinate");
    assert_eq!(ec_code(&|x, _| x.clear()).unwrap_err(), "key.ec-coordinate");
    assert!(ec_code(&|x, _| x.truncate(31)).is_ok());
    assert_eq!(ec_code(&|_, curve| *curve = EccCurve::NIST_P521).unwrap_err(), "quote.key-curve");
    assert_eq!(ec_code(&|_, curve| *curve = EccCurve(0x0020)).unwrap_err(), "quote.key-curve");
    let rsa_code = |change: &dyn Fn(&mut Vec<u8>, &mut u16, &mut u32)| {
        altered_area(&rsa, |area| {
            let PublicParameters::Rsa { parameters, modulus } = &mut area.parameters else { panic!("an RSA key") };
            change(modulus, &mut parameters.key_bits, &mut parameters.exponent);
        })
        .map_err(|error| error.code())
    };
    assert_eq!(rsa_code(&|_, bits, _| *bits = 3072).unwrap_err(), "quote.key-size");
    assert_eq!(rsa_code(&|modulus, _, _| modulus.truncate(255)).unwrap_err(), "quote.key-size");
    assert_eq!(rsa_code(&|modulus, _, _| modulus[0] = 0).unwrap_err(), "quote.key-size");
    let small = |modulus: &mut Vec<u8>, bits: &mut u16, _: &mut u32| {
        modulus.truncate(128);
        *bits = 1024;
    };
    assert_eq!(rsa_code(&small).unwrap_err(), "key.rsa-size");
    assert_eq!(rsa_code(&|_, _, exponent| *exponent = 4).unwrap_err(), "key.rsa-exponent");
    // Zero stands for 65,537.
    let written_out = rsa_code(&|_, _, exponent| *exponent = 65_537).unwrap();
    assert_eq!(written_out.public_key(), altered_area(&rsa, |_| ()).unwrap().public_key());
}

#[test]
fn q10_a_key_is_found_by_parsing_whatever_stands_before_it() {
    // A Name of another length, a policy, and in the policy what a search for the key would find.
    let twin = setup();
    twin.accepted();
    let decoy = twin.software.public_key().to_spki_der()[..64].to_vec();
    for (id, length) in [(AlgorithmId::SHA1, 22), (AlgorithmId::SHA384, 50), (AlgorithmId(0x000D), 66)] {
        let key = altered_area(&twin.software, |area| {
            area.name_alg = id;
            area.auth_policy.clone_from(&decoy);
        })
        .unwrap();
        assert_eq!(key.name().unwrap().len(), length);
        assert_eq!(key.public_key(), twin.key.public_key());
        assert!(verify_bytes(&twin.signed(), &key, &twin.claimed, false).is_ok());
        assert!(!key.same_key(&twin.key));
    }
}

#[test]
fn q11_sizes_in_front_are_told_by_their_value() {
    let twin = setup();
    twin.accepted();
    let good = twin.signed();
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let with_size = SignedBytes { attest: sized(&good.attest), ..good.clone() };
    assert!(verify_bytes(&with_size, &twin.key, &twin.claimed, false).is_ok());
    let area = twin.software.attestation_area().to_bytes().unwrap();
    assert_eq!(AttestationKey::parse(&sized(&area)).as_ref(), Ok(&twin.key));

    // A size that is not that of the rest is no size; a signature has none; and one is enough.
    let mut wrong = with_size.clone();
    wrong.attest[1] ^= 1;
    let error = verify_bytes(&wrong, &twin.key, &twin.claimed, false).unwrap_err();
    assert_eq!(error.code(), "quote.magic");
    let error = AttestationKey::parse(&[&[0, 9], area.as_slice()].concat()).unwrap_err();
    assert_eq!(error.code(), "quote.key-form");
    let twice = SignedBytes { attest: sized(&with_size.attest), ..good.clone() };
    assert_eq!(verify_bytes(&twice, &twin.key, &twin.claimed, false).unwrap_err().code(), "quote.magic");
    let signature = SignedBytes { signature: sized(&good.signature), ..good };
    assert_eq!(verify_bytes(&signature, &twin.key, &twin.claimed, false).unwrap_err().code(), "tpm.algorithm");
}

#[test]
fn q11_each_form_of_a_key_is_the_same_key() {
    let software = SoftwareKey::rsa2048();
    let area = software.attestation_area();
    let der = software.public_key().to_spki_der();
    let known = AttestationKey::from_public(area.clone()).unwrap();
    for (bytes, attributes) in [
        (area.to_bytes().unwrap(), Some(area.attributes)),
        (area.to_tpm2b().unwrap(), Some(area.attributes)),
        (der.clone(), None),
    ] {
        let key = AttestationKey::parse(&bytes).unwrap();
        assert_eq!(key.attributes(), attributes);
        assert_eq!(key.sha256(), known.sha256());
        assert!(key.same_key(&known) && known.same_key(&key));
    }
    for (bytes, code) in [
        (vec![], "quote.key-form"),
        (vec![0x04; 65], "quote.key-form"),
        (b"ssh-rsa AAAA".to_vec(), "quote.key-form"),
        (b"-----BEGIN CERTIFICATE-----".to_vec(), "key.pem"),
        (der[..der.len() - 1].to_vec(), "key.spki"),
        (vec![0, 1], "tpm.truncated"),
        (vec![0, 0], "tpm.truncated"),
    ] {
        assert_eq!(AttestationKey::parse(&bytes).unwrap_err().code(), code, "{bytes:?}");
    }
}

#[test]
fn q12_an_attestation_key_is_restricted_and_fixed_to_its_tpm() {
    let software = SoftwareKey::p256();
    let with = |attributes| altered_area(&software, |area| area.attributes = attributes);
    let good = attestation_key_attributes();
    assert_eq!(with(good).unwrap().attributes(), Some(good));
    let none = ObjectAttributes(0);
    for missing in [
        ObjectAttributes::RESTRICTED,
        ObjectAttributes::SIGN,
        ObjectAttributes::FIXED_TPM,
        ObjectAttributes::FIXED_PARENT,
        ObjectAttributes::SENSITIVE_DATA_ORIGIN,
    ] {
        let error = with(good.without(missing)).unwrap_err();
        assert_eq!(error, QuoteError::Key(KeyProblem::Attributes { missing, forbidden: none }));
        assert_eq!(error.code(), "quote.key-attributes");
        assert!(error.to_string().contains(missing.names().next().unwrap()), "{error}");
    }
    let decrypts = with(good.with(ObjectAttributes::DECRYPT)).unwrap_err();
    let forbidden = ObjectAttributes::DECRYPT;
    assert_eq!(decrypts, QuoteError::Key(KeyProblem::Attributes { missing: none, forbidden }));
    assert!(decrypts.to_string().contains("must not have decrypt"), "{decrypts}");
    // How its use is authorized is reported, not demanded.
    for odd in [good.without(ObjectAttributes::USER_WITH_AUTH), good.with(ObjectAttributes::NO_DA)] {
        assert_eq!(with(odd).unwrap().attributes(), Some(odd));
    }
}

#[test]
fn q12_the_same_numbers_with_other_attributes_are_not_the_pinned_key() {
    let software = SoftwareKey::p256();
    let pinned = altered_area(&software, |_| ()).unwrap();
    let claims_more = altered_area(&software, |area| area.attributes = ObjectAttributes(0x0005_0472)).unwrap();
    let bare = AttestationKey::from_public_key(software.public_key());
    assert!(pinned.same_key(&pinned.clone()) && pinned.same_key(&bare) && bare.same_key(&claims_more));
    assert!(!pinned.same_key(&claims_more));
    assert_eq!(pinned.sha256(), claims_more.sha256());
    assert_ne!(pinned.name(), claims_more.name());
    assert!(!bare.same_key(&AttestationKey::from_public_key(SoftwareKey::p256().public_key())));
}
