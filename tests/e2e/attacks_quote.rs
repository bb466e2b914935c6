//! The attack ledger's section Q: what is wrong with a quote, and what the verdict on the whole evidence says.

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use nitrotpm_pcr::{Bank, Digest};
use nitrotpm_quote::ClockInfo;
use nitrotpm_signature::Scheme;
use nitrotpm_testkit::{QuoteBuilder, SoftwareKey, attestation_key_attributes, sample_values, select};
use nitrotpm_tpm_wire::{
    AlgorithmId, AsymmetricScheme, AttestationType, EccCurve, ObjectAttributes, PcrSelection, Public, PublicParameters,
    Signature, Structure,
};
use nitrotpm_verifier::{AttestationKey, Outcome, QuoteBytes, Trust, Verdict};

use crate::workbench::{BANKS, Boot, Case, Workbench, changed, index, only, outcome, policy, warnings};

const SHA384: Bank = Bank::Sha384;

/// The accepted twin.
#[track_caller]
fn twin(bench: &Workbench) -> Case {
    let twin = bench.pinned();
    twin.accept();
    twin
}

/// Signs what a builder holds with the machine's key, in a scheme.
fn sign(bench: &Workbench, scheme: Scheme) -> QuoteBytes {
    let signed = QuoteBuilder::new(&crate::workbench::NONCE, &bench.bank(SHA384)).sign(&bench.ak, scheme);
    QuoteBytes { attest: signed.attest, signature: signed.signature }
}

#[test]
fn q1_signed_bytes_without_the_magic_are_no_attestation() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    for magic in [0, 0xFF54_4346, 0x4743_54FF] {
        twin.with_quote(bench.quote(|quote| quote.magic = magic)).reject("quote.magic");
    }
}

#[test]
fn q2_other_attestations_are_no_quotes() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    for other in [0x8014, 0x8015, 0x8016, 0x8017, 0x8019, 0x801C] {
        let quote = bench.quote(|quote| quote.attestation_type = AttestationType(other));
        twin.with_quote(quote).reject("quote.type");
    }
}

#[test]
fn q3_relabelled_indices_are_refused() {
    // The attacker sets PCR 16 and 23 to the image's values of PCR 4 and 7, quotes those, and calls them 4 and 7.
    let bench = Workbench::new();
    let twin = twin(&bench);
    let four = *bench.pcrs.get(SHA384, index(4)).unwrap();
    let seven = *bench.pcrs.get(SHA384, index(7)).unwrap();
    let set = changed(&changed(&bench.bank(SHA384), SHA384, 16, Some(four)), SHA384, 23, Some(seven));
    let quoted = only(&set, |_, pcr| [16, 23].contains(&pcr));
    let attack = twin.with_quote(bench.quote_of(&quoted, |_| ()));
    let relabelled = only(&bench.pcrs, |bank, pcr| bank == SHA384 && [4, 7].contains(&pcr));
    let result = attack.with(|case| case.evidence.pcrs = relabelled).reject("quote.pcr-missing");
    assert_eq!(result.reasons()[0].pcr, Some(16));
    // Honestly labelled, the quote holds and shows nothing of the image.
    let honest = attack.with(|case| {
        case.evidence.pcrs = set;
        case.evidence.event_log = None;
        case.policy = policy("quote = true", &bench.image_pcrs());
    });
    let result = honest.refuse("pcr.not-authenticated");
    assert_eq!(result.pcrs(), &quoted);
    // With the signed bitmap relabelled, the signature does not hold.
    let mut quote = honest.evidence.quotes[0].clone();
    let place = quote.attest.windows(3).position(|three| three == [0, 0, 0x81]).unwrap();
    quote.attest[place..place + 3].copy_from_slice(&[0x90, 0, 0]);
    honest.with_quote(quote).reject("quote.signature");
}

#[test]
fn q3_several_selections_of_one_bank_are_refused() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    let halves = |quote: &mut QuoteBuilder| {
        let lower: Vec<u8> = (0..12).collect();
        let upper: Vec<u8> = (12..24).collect();
        quote.selections = vec![select(SHA384, &lower), select(SHA384, &upper)];
    };
    twin.with_quote(bench.quote(halves)).reject("quote.selection-invalid");
}

#[test]
fn q3_the_order_is_that_of_the_signed_selection() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    let both = |alter: fn(&mut QuoteBuilder)| {
        twin.with_quote(bench.quote_of(&bench.pcrs, alter)).with(|case| case.evidence.pcrs = bench.pcrs.clone())
    };
    both(|_| ()).accept();
    both(|quote| quote.selections.reverse()).accept();
    both(|quote| {
        quote.pcr_digest = Some(quote.computed_digest(HashAlgorithm::Sha256));
        quote.selections.reverse();
    })
    .reject("quote.pcr-digest");
}

#[test]
fn q4_a_register_that_the_quote_does_not_cover_is_not_trusted() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    // All values are sent along; the quote covers all but PCR 4.
    let covered = only(&bench.bank(SHA384), |_, pcr| pcr != 4);
    let attack = twin.with_quote(bench.quote_of(&covered, |_| ()));
    let result = attack.refuse("pcr.not-authenticated");
    assert_eq!((result.reasons()[0].pcr, result.reasons()[0].bank), (Some(4), Some("sha384")));
    assert_eq!(result.pcrs(), &covered);
}

#[test]
fn q5_every_quoted_register_needs_its_value() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    for pcr in [0, 4, 23] {
        let with = |value| twin.with(|case| case.evidence.pcrs = changed(&case.evidence.pcrs, SHA384, pcr, value));
        let result = with(None).reject("quote.pcr-missing");
        assert_eq!((result.reasons()[0].pcr, result.reasons()[0].quote), (Some(pcr), Some(0)));
        with(Some(hash(SHA384, &[b"another value"]))).reject("quote.pcr-digest");
    }
}

#[test]
fn q6_an_empty_selection_proves_nothing() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    for selections in [vec![], vec![select(SHA384, &[])], vec![select(Bank::Sha256, &[]), select(SHA384, &[])]] {
        let quote = bench.quote(|quote| quote.selections = selections);
        let attack = twin.with_quote(quote);
        attack.reject("quote.selection-empty");
        // Nor where the policy needs no register.
        let little = attack.with(|case| case.policy = "schema = \"nitrotpm.policy/1\"\nrequire.quote = true".into());
        little.reject("quote.selection-empty");
    }
}

#[test]
fn q7_selections_that_no_tpm_makes_are_refused() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    let bitmap = |bitmap: &[u8]| PcrSelection { hash: AlgorithmId::SHA384, bitmap: bitmap.to_vec() };
    let good = select(SHA384, &(0..24).collect::<Vec<u8>>());
    twin.with_quote(bench.quote(|quote| quote.selections = vec![bitmap(&[0xFF, 0xFF, 0xFF, 0])])).accept();
    for (selections, code) in [
        (vec![bitmap(&[0xFF, 0xFF])], "quote.selection-invalid"),
        (vec![bitmap(&[0xFF, 0xFF, 0xFF, 1])], "quote.selection-invalid"),
        (vec![good.clone(), select(SHA384, &[])], "quote.selection-invalid"),
        (vec![good, PcrSelection { hash: AlgorithmId(0x0012), bitmap: vec![1, 0, 0] }], "quote.bank-unknown"),
    ] {
        twin.with_quote(bench.quote(|quote| quote.selections = selections)).reject(code);
    }
}

#[test]
fn q8_the_key_fixes_scheme_and_hash() {
    let bench = Workbench::with_key(SoftwareKey::rsa2048());
    let twin = twin(&bench);
    for scheme in [Scheme::RsaPkcs1(HashAlgorithm::Sha384), Scheme::RsaPss(HashAlgorithm::Sha256)] {
        let attack = twin.with_quote(sign(&bench, scheme));
        attack.reject("quote.scheme");
        // A key that is pinned without its public area fixes no more than its type.
        let bare = AttestationKey::from_public_key(bench.ak.public_key());
        let bare = attack.with(|case| case.trust = Trust::roots(bench.roots()).pin(bare));
        assert!(warnings(&bare.accept()).contains(&"quote.key-attributes-unknown"));
    }
    // A signature of the other type.
    let other = Workbench::new();
    let quote = other.quote(|_| ());
    twin.with_quote(quote).reject("quote.scheme");
    other.pinned().with_quote(bench.quote(|_| ())).reject("quote.scheme");
}

#[test]
fn q8_a_key_without_a_scheme_is_no_attestation_key() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    let area = bench.ak.public_area(attestation_key_attributes(), AsymmetricScheme::Null);
    twin.with(|case| case.evidence.ak_public = Some(area.to_bytes().unwrap())).reject("quote.key-scheme");
}

#[test]
fn q9_malformed_numbers_of_a_signature_are_refused() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    let good = twin.evidence.quotes[0].clone();
    let Signature::Ecdsa { hash, r, s } = Signature::parse(&good.signature).unwrap() else { panic!("ECDSA") };
    for (r, s) in [
        (vec![0; 32], s.clone()),
        (r.clone(), vec![]),
        (r.clone(), vec![0xFF; 32]),
        ([&[0], r.as_slice()].concat(), s.clone()),
        (s, r),
    ] {
        let signature = Signature::Ecdsa { hash, r, s }.to_bytes().unwrap();
        twin.with_quote(QuoteBytes { signature, ..good.clone() }).reject("quote.signature");
    }
    let bench = Workbench::with_key(SoftwareKey::rsa2048());
    let twin = bench.pinned();
    twin.accept();
    let good = twin.evidence.quotes[0].clone();
    let Signature::Rsassa { hash, signature } = Signature::parse(&good.signature).unwrap() else { panic!("RSASSA") };
    for signature in [signature[1..].to_vec(), [&[0], signature.as_slice()].concat(), vec![0; 256]] {
        let signature = Signature::Rsassa { hash, signature }.to_bytes().unwrap();
        twin.with_quote(QuoteBytes { signature, ..good.clone() }).reject("quote.signature");
    }
}

#[test]
fn q10_keys_are_parsed_and_their_sizes_come_from_the_algorithm() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    let send = |area: &Public| twin.with(|case| case.evidence.ak_public = Some(area.to_bytes().unwrap()));
    let altered = |alter: fn(&mut EccCurve, &mut Vec<u8>)| {
        let mut area = bench.ak.attestation_area();
        let PublicParameters::Ecc { parameters, point } = &mut area.parameters else { panic!("an EC key") };
        alter(&mut parameters.curve, &mut point.x);
        area
    };
    send(&altered(|_, _| ())).accept();
    send(&altered(|curve, _| *curve = EccCurve::NIST_P521)).reject("quote.key-curve");
    send(&altered(|_, x| *x = vec![1; 65])).reject("key.ec-coordinate");
    send(&altered(|_, x| x.insert(0, 0))).reject("key.ec-coordinate");
    // The trusted key's bytes where a search would find them, in front of the attacker's own key.
    let attacker = SoftwareKey::p256();
    let mut area = attacker.attestation_area();
    area.auth_policy = bench.ak.public_key().to_spki_der()[..64].to_vec();
    send(&area).reject("quote.key-untrusted");
}

#[test]
fn q11_bytes_after_a_structure_are_refused() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    let longer = |bytes: &[u8]| [bytes, &[0]].concat();
    let good = twin.evidence.quotes[0].clone();
    // After the attestation: signed with it, so that only its length is wrong.
    twin.with_quote(bench.quote(|quote| quote.trailing = vec![0])).reject("tpm.trailing-bytes");
    let signature = longer(&good.signature);
    twin.with_quote(QuoteBytes { signature, ..good.clone() }).reject("tpm.trailing-bytes");
    let area = longer(&bench.ak_public());
    twin.with(|case| case.evidence.ak_public = Some(area)).reject("tpm.trailing-bytes");
    // A size in front is told by its value, and one that is wrong is none.
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let with_size = QuoteBytes { attest: sized(&good.attest), ..good.clone() };
    twin.with_quote(with_size.clone()).accept();
    let twice = QuoteBytes { attest: sized(&with_size.attest), ..good };
    twin.with_quote(twice).reject("quote.magic");
}

#[test]
fn q12_a_key_that_signs_what_no_tpm_made_is_refused() {
    // The trusted numbers, pinned without attributes; the evidence says what kind of key it is.
    let bench = Workbench::new();
    let bare = AttestationKey::from_public_key(bench.ak.public_key());
    let twin = bench.pinned().with(|case| case.trust = Trust::roots(bench.roots()).pin(bare));
    assert_eq!(twin.accept().claims().ak_attributes, Some("unknown"));
    let good = attestation_key_attributes();
    let send = |attributes| {
        let mut area = bench.ak.attestation_area();
        area.attributes = attributes;
        twin.with(|case| case.evidence.ak_public = Some(area.to_bytes().unwrap()))
    };
    send(good).accept();
    for missing in [
        ObjectAttributes::RESTRICTED,
        ObjectAttributes::SIGN,
        ObjectAttributes::FIXED_TPM,
        ObjectAttributes::FIXED_PARENT,
        ObjectAttributes::SENSITIVE_DATA_ORIGIN,
    ] {
        send(good.without(missing)).reject("quote.key-attributes");
    }
    send(good.with(ObjectAttributes::DECRYPT)).reject("quote.key-attributes");
}

#[test]
fn q12_the_pinned_numbers_with_other_attributes_are_another_key() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    assert_eq!(twin.accept().claims().ak_attributes, Some("known"));
    let mut area = bench.ak.attestation_area();
    area.attributes = area.attributes.with(ObjectAttributes::NO_DA);
    twin.with(|case| case.evidence.ak_public = Some(area.to_bytes().unwrap())).reject("quote.key-name-mismatch");
}

#[test]
fn q12_attributes_that_nobody_vouches_for_are_unknown() {
    // The document carries the key's numbers. The public area beside the quote is the attester's word.
    let bench = Workbench::new();
    let twin = bench.bound();
    let result = twin.accept();
    assert_eq!((result.claims().ak_attributes, result.claims().ak_name.as_ref()), (Some("unknown"), None));
    assert!(warnings(&result).contains(&"quote.key-attributes-unknown"));
    let mut area = bench.ak.attestation_area();
    area.attributes = area.attributes.with(ObjectAttributes::NO_DA);
    let altered = twin.with(|case| case.evidence.ak_public = Some(area.to_bytes().unwrap())).accept();
    assert_eq!(altered.claims(), result.claims());
    // Where the document carries the area, it is that area or none.
    let mut bench = bench;
    bench.contents.public_key = Some(bench.ak_public());
    let twin = bench.bound();
    assert_eq!(twin.accept().claims().ak_attributes, Some("known"));
    twin.with(|case| case.evidence.ak_public = Some(area.to_bytes().unwrap())).reject("quote.key-name-mismatch");
}

#[test]
fn q13_sha1_is_refused_unless_it_is_asked_for() {
    let banks = [Bank::Sha1, Bank::Sha384];
    let bench = Workbench::with_boot(Boot::new(true, &banks));
    let twin = bench.pinned();
    twin.accept();
    let sha1 = bench.bank(Bank::Sha1);
    let attack = twin.with(|case| {
        case.evidence.quotes = vec![bench.quote_of(&sha1, |_| ())];
        case.evidence.pcrs = sha1.clone();
        case.policy = policy("quote = true", &only(&sha1, |_, pcr| pcr == 4));
    });
    attack.reject("quote.sha1-not-allowed");
    attack.with(|case| case.trust = case.trust.clone().allow_sha1()).accept();
    // Beside another bank it may be quoted, and is not relied on.
    let beside = attack.with(|case| {
        case.evidence.quotes = vec![bench.quote_of(&bench.pcrs, |_| ())];
        case.evidence.pcrs = bench.pcrs.clone();
    });
    let result = beside.refuse("pcr.not-authenticated");
    assert_eq!(result.pcrs(), &bench.bank(SHA384));
    assert!(warnings(&result).contains(&"quote.bank-not-relied-on"));
}

#[test]
fn q13_a_signature_over_sha1_is_refused_unless_it_is_asked_for() {
    let bench = Workbench::with_key(SoftwareKey::rsa2048());
    let bare = AttestationKey::from_public_key(bench.ak.public_key());
    let twin = bench.pinned().with(|case| case.trust = Trust::roots(bench.roots()).pin(bare));
    twin.accept();
    let attack = twin.with_quote(sign(&bench, Scheme::RsaPkcs1(HashAlgorithm::Sha1)));
    attack.reject("quote.sha1-not-allowed");
    attack.with(|case| case.trust = case.trust.clone().allow_sha1()).accept();
}

#[test]
fn q14_the_qualified_signer_is_reported_as_not_checked() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    for signer in [vec![], vec![0, 0x0B, 7], [&[0, 0x0B][..], &[7; 32]].concat()] {
        let result = twin.with_quote(bench.quote(|quote| quote.qualified_signer = signer)).accept();
        assert_eq!(result.claims().quotes[0].qualified_signer, "not-checked");
    }
}

#[test]
fn q15_clock_and_firmware_are_reported_and_the_clock_never_goes_back() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    let info = |clock, reset_count, restart_count| ClockInfo { clock, reset_count, restart_count, safe: true };
    let at = |clock_info: ClockInfo| twin.with_quote(bench.quote(|quote| quote.clock_info = clock_info));
    let before = info(1000, 7, 1);
    let result = at(before).accept();
    let facts = &result.claims().quotes[0];
    assert_eq!((facts.clock, facts.reset_count, facts.restart_count, facts.clock_safe), (1000, 7, 1, true));
    assert_eq!(facts.firmware_version, "2019102300163636");
    for later in [before, info(1001, 7, 1), info(0, 8, 0), info(0, 7, 2)] {
        at(later).with(|case| case.previous = Some(before)).accept();
    }
    for earlier in [info(999, 7, 1), info(2000, 6, 9), info(2000, 7, 0)] {
        at(earlier).accept();
        at(earlier).with(|case| case.previous = Some(before)).reject("quote.clock-backwards");
    }
    let unsafe_clock = at(ClockInfo { safe: false, ..before }).accept();
    assert!(!unsafe_clock.claims().quotes[0].clock_safe);
    assert!(warnings(&unsafe_clock).contains(&"quote.clock-not-safe"));
}

#[test]
fn every_quote_of_the_evidence_is_verified() {
    let bench = Workbench::new();
    let twin = twin(&bench).with(|case| {
        let second = bench.quote_of(&bench.bank(Bank::Sha256), |_| ());
        case.evidence.quotes.push(second);
        case.evidence.pcrs = bench.pcrs.clone();
    });
    assert_eq!(twin.accept().pcrs(), &bench.pcrs);
    let mut attack = twin.clone();
    let last = attack.evidence.quotes[1].signature.len() - 1;
    attack.evidence.quotes[1].signature[last] ^= 1;
    let result = attack.reject("quote.signature");
    assert_eq!(result.reasons()[0].quote, Some(1));
    let mut attack = twin;
    attack.evidence.quotes.extend(std::iter::repeat_n(attack.evidence.quotes[0].clone(), 15));
    attack.reject("evidence.too-many-quotes");
}

#[test]
fn quotes_by_two_trusted_keys_are_not_one_machine() {
    // Both keys are pinned and the evidence names neither: a good machine's SHA-384, the attacker's SHA-256.
    let bench = Workbench::new();
    let other = SoftwareKey::p256();
    let other_key = AttestationKey::from_public(other.attestation_area()).unwrap();
    let twin = twin(&bench).with(|case| {
        case.evidence.ak_public = None;
        case.trust = case.trust.clone().pin(other_key);
        case.evidence.quotes.push(bench.quote_of(&bench.bank(Bank::Sha256), |_| ()));
        case.evidence.pcrs = bench.pcrs.clone();
    });
    twin.accept();
    let signed = QuoteBuilder::new(&crate::workbench::NONCE, &bench.bank(Bank::Sha256)).sign_usual(&other);
    let attack = twin.with(|case| {
        case.evidence.quotes[1] = QuoteBytes { attest: signed.attest, signature: signed.signature };
    });
    let result = attack.reject("quote.signature");
    assert_eq!(result.reasons()[0].quote, Some(1));
}

#[test]
fn an_unsigned_bundle_is_no_evidence() {
    let bench = Workbench::new();
    let attack = twin(&bench).with(|case| case.evidence.quotes.clear());
    let result = attack.reject("evidence.nothing-signed");
    assert_eq!(outcome(&result, "evidence.signed"), Some(Outcome::Fail));
    assert_eq!(result.verdict(), Verdict::Invalid);
    let values = sample_values(&[(BANKS[0], &[4])]);
    assert!(!values.get(BANKS[0], index(4)).is_some_and(Digest::is_zero));
}
