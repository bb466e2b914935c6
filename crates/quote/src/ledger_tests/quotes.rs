//! Attacks on the quote, its signature and the values.

use super::*;

#[test]
fn q1_signed_bytes_without_the_magic_are_no_attestation() {
    let mut attack = setup();
    attack.accepted();
    for magic in [0, 0xFF54_4346, 0x4743_54FF] {
        attack.builder.magic = magic;
        assert_eq!(attack.refused("quote.magic"), QuoteError::Magic { found: magic });
    }
    // Whatever else an unrestricted key signed.
    let anything = UnverifiedQuote::parse(b"whatever one likes", &attack.signed().signature);
    assert_eq!(anything.unwrap_err().code(), "quote.magic");
}

#[test]
fn q2_other_attestations_are_no_quotes() {
    let mut attack = setup();
    attack.accepted();
    for found in [0x8014, 0x8015, 0x8016, 0x8017, 0x8019, 0x801A, 0x801C, 0x8000, 0].map(AttestationType) {
        attack.builder.attestation_type = found;
        assert_eq!(attack.refused("quote.type"), QuoteError::Type { found });
    }
}

#[test]
fn q3_relabelled_indices_are_refused() {
    // The debug and application registers, which anyone can set, are quoted and handed over as 4 and 7.
    let mut attack = setup_with(SoftwareKey::p256(), &[(SHA384, &[16, 23])]);
    let signed = attack.accepted();
    assert!(signed.values().get(SHA384, index(4)).is_none());
    let mut relabelled = PcrValues::new();
    for (from, to) in [(16, 4), (23, 7)] {
        relabelled.insert(index(to), *attack.claimed.get(SHA384, index(from)).unwrap()).unwrap();
    }
    attack.claimed = relabelled.clone();
    let error = attack.refused("quote.pcr-missing");
    assert_eq!(error.register(), Some((SHA384, index(16))));

    // With the bitmap changed as well, the signature does not hold.
    let mut bytes = attack.signed();
    let place = bytes.attest.windows(3).position(|three| three == [0, 0, 0x81]).unwrap();
    bytes.attest[place..place + 3].copy_from_slice(&[0x90, 0, 0]);
    let error = verify_bytes(&bytes, &attack.key, &relabelled, false).unwrap_err();
    assert_eq!(error, QuoteError::Signature { source: SignatureError::Wrong });
}

#[test]
fn q3_values_are_hashed_in_the_order_of_the_signed_selection() {
    let mut twin = setup_with(SoftwareKey::p256(), &[(SHA256, &[0, 4]), (SHA384, &[4, 7])]);
    twin.accepted();
    twin.builder.selections.reverse();
    let signed = twin.accepted();
    assert_eq!(signed.selection().iter().next(), Some((SHA384, index(4))));
    // The digest of one order under the selection of the other.
    let digest = twin.builder.computed_digest(SHA256);
    twin.builder.selections.reverse();
    twin.builder.pcr_digest = Some(digest);
    twin.refused("quote.pcr-digest");
}

#[test]
fn q3_several_selections_of_one_bank_are_refused() {
    let mut attack = setup();
    attack.accepted();
    attack.builder.selections = vec![select(SHA384, &[7, 12]), select(SHA384, &[4])];
    assert_eq!(attack.refused("quote.selection-invalid"), QuoteError::DuplicateBank { bank: SHA384 });
}

#[test]
fn q4_a_register_outside_the_selection_is_never_trusted() {
    let mut attack = setup();
    let quoted = attack.claimed.clone();
    let smuggled = hash(SHA384, &[b"what the attacker wishes"]);
    attack.claimed.insert(index(0), smuggled).unwrap();
    attack.claimed.insert(index(4), hash(SHA256, &[b"another bank"])).unwrap();
    let signed = attack.accepted();
    assert_eq!(signed.values(), &quoted);
    assert_eq!(signed.require_covered(&quoted), Ok(()));
    let error = signed.require_covered(&attack.claimed).unwrap_err();
    assert_eq!(error, QuoteError::PcrNotCovered { bank: SHA256, index: index(4) });
    let mut one = PcrValues::new();
    one.insert(index(0), smuggled).unwrap();
    let error = signed.require_covered(&one).unwrap_err();
    assert_eq!((error.code(), error.register()), ("quote.pcr-not-covered", Some((SHA384, index(0)))));
    let mut other = PcrValues::new();
    other.insert(index(4), smuggled).unwrap();
    let error = signed.require_covered(&other).unwrap_err();
    assert_eq!((error.code(), error.register()), ("quote.pcr-value", Some((SHA384, index(4)))));
}

/// The same values without one register, or with another value for it.
fn changed(values: &PcrValues, bank: HashAlgorithm, index: PcrIndex, new: Option<Digest>) -> PcrValues {
    let mut copy = PcrValues::new();
    for (of, at, value) in values.iter() {
        let value = if (of, at) == (bank, index) { new } else { Some(*value) };
        if let Some(value) = value {
            copy.insert(at, value).unwrap();
        }
    }
    copy
}

#[test]
fn q5_every_quoted_register_needs_its_value() {
    let mut attack = setup_with(SoftwareKey::p384(), &[(SHA256, &[0, 23]), (SHA384, &[0, 12])]);
    assert_eq!(attack.accepted().values().len(), 4);
    let complete = attack.claimed.clone();
    for (bank, index, _) in complete.iter() {
        attack.claimed = changed(&complete, bank, index, None);
        assert_eq!(attack.refused("quote.pcr-missing").register(), Some((bank, index)));
        attack.claimed = changed(&complete, bank, index, Some(Digest::zero(bank)));
        attack.refused("quote.pcr-digest");
    }
    // Two registers' values exchanged.
    let (zero, twelve) = (complete.get(SHA384, index(0)).copied(), complete.get(SHA384, index(12)).copied());
    attack.claimed = changed(&changed(&complete, SHA384, index(0), twelve), SHA384, index(12), zero);
    attack.refused("quote.pcr-digest");
}

#[test]
fn q5_the_digest_is_by_the_hash_of_the_signature() {
    for (software, right, wrong) in [(SoftwareKey::p256(), SHA256, SHA384), (SoftwareKey::p384(), SHA384, SHA256)] {
        let mut attack = setup_with(software, &[(SHA384, &[4, 7])]);
        attack.accepted();
        attack.builder.pcr_digest = Some(attack.builder.computed_digest(right));
        attack.accepted();
        attack.builder.pcr_digest = Some(attack.builder.computed_digest(wrong));
        attack.refused("quote.pcr-digest");
        for digest in [vec![], vec![0; right.digest_len()], attack.builder.computed_digest(right)[..20].to_vec()] {
            attack.builder.pcr_digest = Some(digest);
            attack.refused("quote.pcr-digest");
        }
    }
}

#[test]
fn q6_an_empty_selection_proves_nothing() {
    let mut attack = setup();
    attack.accepted();
    for selections in [vec![], vec![select(SHA384, &[])], vec![select(SHA256, &[]), select(SHA384, &[])]] {
        attack.builder.selections = selections;
        assert_eq!(attack.refused("quote.selection-empty"), QuoteError::SelectionEmpty);
    }
    // A bank that is switched off beside one that is not.
    attack.builder.selections = vec![select(SHA256, &[]), select(SHA384, &[4])];
    assert_eq!(attack.accepted().values().len(), 1);
}

#[test]
fn q7_bitmaps_have_three_bytes_and_no_bit_from_24_on() {
    let mut attack = setup();
    let three = attack.builder.selections[0].bitmap.clone();
    for (bitmap, error) in [
        (three.clone(), None),
        ([three.as_slice(), &[0]].concat(), None),
        ([three.as_slice(), &[0; 5]].concat(), None),
        (vec![], Some(QuoteError::Bitmap { bank: SHA384, bytes: 0 })),
        (three[..1].to_vec(), Some(QuoteError::Bitmap { bank: SHA384, bytes: 1 })),
        (three[..2].to_vec(), Some(QuoteError::Bitmap { bank: SHA384, bytes: 2 })),
        ([three.as_slice(), &[1]].concat(), Some(QuoteError::Register { bank: SHA384, index: 24 })),
        ([three.as_slice(), &[0, 0x80]].concat(), Some(QuoteError::Register { bank: SHA384, index: 39 })),
    ] {
        attack.builder.selections = vec![PcrSelection { hash: AlgorithmId::SHA384, bitmap }];
        match error {
            None => assert_eq!(attack.accepted().values(), &attack.claimed),
            Some(error) => assert_eq!(attack.refused("quote.selection-invalid"), error),
        }
    }
}

#[test]
fn q7_a_bank_is_named_once_and_known() {
    let mut attack = setup();
    attack.accepted();
    let good = attack.builder.selections.clone();
    attack.builder.selections = [good.clone(), vec![select(SHA384, &[])]].concat();
    assert_eq!(attack.refused("quote.selection-invalid"), QuoteError::DuplicateBank { bank: SHA384 });
    for (bank, bitmap) in [(0x0012, vec![1, 0, 0]), (0x0027, vec![0, 0, 0]), (0x0010, vec![])] {
        let unknown = PcrSelection { hash: AlgorithmId(bank), bitmap };
        attack.builder.selections = [good.clone(), vec![unknown]].concat();
        assert_eq!(attack.refused("quote.bank-unknown"), QuoteError::UnknownBank { bank: AlgorithmId(bank) });
    }
}

#[test]
fn q8_the_key_fixes_scheme_and_hash() {
    let attack = setup_with(SoftwareKey::rsa2048(), &[(SHA384, &[4])]);
    attack.accepted();
    let bare = AttestationKey::from_public_key(attack.software.public_key());
    for scheme in [
        Scheme::RsaPkcs1(SHA384),
        Scheme::RsaPkcs1(HashAlgorithm::Sha512),
        Scheme::RsaPss(SHA256),
        Scheme::RsaPss(SHA384),
    ] {
        let bytes = attack.builder.sign(&attack.software, scheme);
        let error = verify_bytes(&bytes, &attack.key, &attack.claimed, false).unwrap_err();
        assert_eq!(error.code(), "quote.scheme");
        assert!(error.to_string().contains(&format!("{scheme}, the key allows RSASSA with sha256 only")), "{error}");
        // A key without a public area fixes nothing but its type.
        let signed = verify_bytes(&bytes, &bare, &attack.claimed, false).unwrap();
        assert_eq!(signed.signature_scheme(), scheme);
    }
}

#[test]
fn q8_a_signature_of_another_type_is_refused() {
    let (rsa, ec) =
        (setup_with(SoftwareKey::rsa2048(), &[(SHA384, &[4])]), setup_with(SoftwareKey::p256(), &[(SHA384, &[4])]));
    rsa.accepted();
    ec.accepted();
    for (one, other) in [(&rsa, &ec), (&ec, &rsa)] {
        let bare = AttestationKey::from_public_key(other.software.public_key());
        for key in [&other.key, &bare] {
            let error = verify_bytes(&one.signed(), key, &one.claimed, false).unwrap_err();
            assert_eq!(error.code(), "quote.scheme");
        }
    }
}

#[test]
fn q8_a_hash_that_cannot_be_computed_is_no_pass() {
    let attack = setup();
    attack.accepted();
    let bare = AttestationKey::from_public_key(attack.software.public_key());
    let good = attack.signed();
    for (id, code) in [(0x000D, "quote.scheme-unsupported"), (0x0012, "quote.scheme"), (0x0010, "quote.scheme")] {
        let mut bytes = good.clone();
        bytes.signature[2..4].copy_from_slice(&u16::to_be_bytes(id));
        assert_eq!(verify_bytes(&bytes, &bare, &attack.claimed, false).unwrap_err().code(), code);
    }
}

#[test]
fn q9_malformed_numbers_of_a_signature_are_refused() {
    let attack = setup();
    attack.accepted();
    let good = attack.signed();
    let Signature::Ecdsa { hash, r, s } = Signature::parse(&good.signature).unwrap() else { panic!("ECDSA") };
    for (r, s) in [
        (vec![], s.clone()),
        (vec![0; 32], s.clone()),
        (r.clone(), vec![0]),
        (vec![0xFF; 32], s.clone()),
        ([&[0], r.as_slice()].concat(), s.clone()),
        (s, r),
    ] {
        let signature = Signature::Ecdsa { hash, r, s }.to_bytes().unwrap();
        let bytes = SignedBytes { attest: good.attest.clone(), signature };
        let error = verify_bytes(&bytes, &attack.key, &attack.claimed, false).unwrap_err();
        assert_eq!(error.code(), "quote.signature");
    }
    let attack = setup_with(SoftwareKey::rsa2048(), &[(SHA384, &[4])]);
    attack.accepted();
    let good = attack.signed();
    let Signature::Rsassa { hash, signature } = Signature::parse(&good.signature).unwrap() else { panic!("RSASSA") };
    for signature in [vec![], signature[1..].to_vec(), [&[0], signature.as_slice()].concat(), vec![0; 256]] {
        let signature = Signature::Rsassa { hash, signature }.to_bytes().unwrap();
        let bytes = SignedBytes { attest: good.attest.clone(), signature };
        let error = verify_bytes(&bytes, &attack.key, &attack.claimed, false).unwrap_err();
        assert_eq!(error.code(), "quote.signature");
    }
}

#[test]
fn q11_bytes_after_a_structure_are_refused() {
    let mut attack = setup();
    attack.accepted();
    let good = attack.signed();
    let area = attack.software.attestation_area().to_bytes().unwrap();
    assert_eq!(AttestationKey::parse(&area).as_ref(), Ok(&attack.key));
    let error = AttestationKey::parse(&[area.as_slice(), &[0]].concat()).unwrap_err();
    assert_eq!(error.code(), "tpm.trailing-bytes");

    let longer = SignedBytes { signature: [good.signature.as_slice(), &[0]].concat(), ..good.clone() };
    let error = verify_bytes(&longer, &attack.key, &attack.claimed, false).unwrap_err();
    assert_eq!(error.code(), "tpm.trailing-bytes");
    assert!(matches!(error, QuoteError::Malformed { part: "signature", .. }));

    // Signed with the rest, so that only the structure gives it away.
    attack.builder.trailing = vec![0];
    assert!(matches!(attack.refused("tpm.trailing-bytes"), QuoteError::Malformed { part: "quote", .. }));
}

#[test]
fn q13_a_sha1_signature_counts_only_where_allowed() {
    let attack = setup_with(SoftwareKey::rsa2048(), &[(SHA384, &[4])]);
    attack.accepted();
    let bytes = attack.builder.sign(&attack.software, Scheme::RsaPkcs1(SHA1));
    let bare = AttestationKey::from_public_key(attack.software.public_key());
    let error = verify_bytes(&bytes, &bare, &attack.claimed, false).unwrap_err();
    assert_eq!((&error, error.code()), (&QuoteError::Sha1Signature, "quote.sha1-not-allowed"));
    let signed = verify_bytes(&bytes, &bare, &attack.claimed, true).unwrap();
    assert_eq!(signed.signature_scheme(), Scheme::RsaPkcs1(SHA1));
}

#[test]
fn q13_the_sha1_bank_is_left_out_unless_allowed() {
    let attack = setup_with(SoftwareKey::p256(), &[(SHA1, &[0, 4]), (SHA384, &[4])]);
    let signed = attack.accepted();
    assert_eq!(signed.values(), &sample_values(&[(SHA384, &[4])]));
    assert_eq!(signed.excluded_banks().collect::<Vec<_>>(), [SHA1]);
    // Its values are in the digest all the same, and so were proved to be quoted.
    assert_eq!(signed.require_covered(&attack.claimed), Ok(()));
    let zeroed = changed(&attack.claimed, SHA1, index(0), Some(Digest::zero(SHA1)));
    let error = verify_bytes(&attack.signed(), &attack.key, &zeroed, false).unwrap_err();
    assert_eq!(error.code(), "quote.pcr-digest");

    let signed = verify_bytes(&attack.signed(), &attack.key, &attack.claimed, true).unwrap();
    assert_eq!(signed.values(), &attack.claimed);
    assert_eq!(signed.excluded_banks().count(), 0);
}

#[test]
fn q13_a_quote_of_sha1_registers_alone_is_refused_unless_allowed() {
    let attack = setup_with(SoftwareKey::p256(), &[(SHA1, &[0, 4])]);
    assert_eq!(attack.refused("quote.sha1-not-allowed"), QuoteError::Sha1Bank);
    assert!(verify_bytes(&attack.signed(), &attack.key, &attack.claimed, true).is_ok());
}

#[test]
fn q14_the_qualified_signer_is_compared_where_the_parent_is_known() {
    let mut twin = setup();
    let parent = 0x4000_000B_u32.to_be_bytes();
    assert_eq!(twin.accepted().signer_is_child_of(&parent), Some(false));
    let digest = hash(SHA256, &[&parent, &twin.key.name().unwrap()]);
    twin.builder.qualified_signer = [&[0x00, 0x0B], digest.as_bytes()].concat();
    let signed = twin.accepted();
    assert_eq!(signed.qualified_signer(), twin.builder.qualified_signer);
    assert_eq!(signed.signer_is_child_of(&parent), Some(true));
    assert_eq!(signed.signer_is_child_of(&0x4000_0001_u32.to_be_bytes()), Some(false));
    twin.key = AttestationKey::from_public_key(twin.software.public_key());
    assert_eq!(twin.accepted().signer_is_child_of(&parent), None);
}

#[test]
fn q15_clock_and_firmware_are_facts_of_the_quote() {
    let mut twin = setup();
    for (clock, reset_count, restart_count, safe) in [(1, 2, 3, true), (0, u32::MAX, 0, false)] {
        let info = &mut twin.builder.clock_info;
        (info.clock, info.reset_count, info.restart_count, info.safe) = (clock, reset_count, restart_count, safe);
        twin.builder.firmware_version = clock;
        let signed = twin.accepted();
        assert_eq!(signed.clock_info(), twin.builder.clock_info);
        assert_eq!(signed.firmware_version(), clock);
    }
}

#[test]
fn f2_the_nonce_is_exactly_the_one_sent() {
    let mut attack = setup();
    assert!(attack.accepted().nonce_checked());
    let hex_text: Vec<u8> = NONCE.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
    for found in [
        b"an old nonce".to_vec(),
        vec![],
        NONCE[..NONCE.len() - 1].to_vec(),
        [NONCE, &[0]].concat(),
        [&[0], NONCE].concat(),
        hex_text,
    ] {
        attack.builder.extra_data = found;
        let error = attack.refused("quote.nonce");
        assert!(!error.to_string().contains("the verifier's own nonce"));
    }
    let bytes = attack.signed();
    let unchecked = QuoteExpectations::new(NonceExpectation::NotChecked);
    let quote = UnverifiedQuote::parse(&bytes.attest, &bytes.signature).unwrap();
    let signed = quote.verify(&attack.key, &unchecked, &attack.claimed).unwrap();
    assert!(!signed.nonce_checked());
    assert_eq!(signed.extra_data(), attack.builder.extra_data);
}

#[test]
fn the_signature_is_checked_before_what_it_signs() {
    // Everything else is wrong as well; none of it is worth mentioning while the signature does not hold.
    let mut attack = setup();
    attack.accepted();
    attack.builder.extra_data = b"an old nonce".to_vec();
    attack.builder.pcr_digest = Some(vec![0; 32]);
    attack.claimed = PcrValues::new();
    attack.refused("quote.nonce");
    attack.key = AttestationKey::from_public_key(SoftwareKey::p256().public_key());
    assert_eq!(attack.refused("quote.signature"), QuoteError::Signature { source: SignatureError::Wrong });
}

/// Every way to alter one byte by one bit.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..bytes.len()).flat_map(move |place| {
        (0..8).map(move |bit| {
            let mut copy = bytes.to_vec();
            copy[place] ^= 1_u8 << bit;
            copy
        })
    })
}

/// Every way to cut the end off.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..bytes.len()).map(|len| bytes[..len].to_vec())
}

#[test]
fn no_altered_byte_and_no_cut_is_accepted() {
    let twin = setup();
    twin.accepted();
    let good = twin.signed();
    for attest in flips(&good.attest).chain(cuts(&good.attest)) {
        let bytes = SignedBytes { attest, ..good.clone() };
        assert!(verify_bytes(&bytes, &twin.key, &twin.claimed, false).is_err());
    }
    for signature in flips(&good.signature).chain(cuts(&good.signature)) {
        let bytes = SignedBytes { signature, ..good.clone() };
        assert!(verify_bytes(&bytes, &twin.key, &twin.claimed, false).is_err());
    }
    let area = twin.software.attestation_area().to_bytes().unwrap();
    assert!(AttestationKey::parse(&area).unwrap().same_key(&twin.key));
    for altered in flips(&area).chain(cuts(&area)) {
        // What does not concern the numbers makes another key, with another Name; the rest makes none that verifies.
        if let Ok(key) = AttestationKey::parse(&altered) {
            assert!(!key.same_key(&twin.key));
            let same_numbers = key.public_key() == twin.key.public_key();
            let accepted = verify_bytes(&good, &key, &twin.claimed, false).is_ok();
            assert_eq!(accepted, same_numbers && key.scheme() == twin.key.scheme());
        }
    }
}

#[test]
fn the_unverified_view_is_what_was_sent() {
    let twin = setup();
    let bytes = twin.signed();
    let quote = UnverifiedQuote::parse(&bytes.attest, &bytes.signature).unwrap();
    let view = quote.unverified_view();
    assert_eq!(view.attest.to_bytes().unwrap(), bytes.attest);
    assert_eq!(view.signature.to_bytes().unwrap(), bytes.signature);
    assert_eq!(view.selection.iter().count(), 3);
}

#[test]
fn codes_are_listed_once_and_with_those_of_the_crates_below() {
    let listed = QuoteError::CODES;
    for (position, code) in listed.iter().enumerate() {
        assert!(!listed[..position].contains(code), "{code} is listed twice");
    }
    let keys = SignatureError::CODES.iter().filter(|code| code.starts_with("key."));
    for code in WireError::CODES.iter().chain(keys) {
        assert!(listed.contains(code), "{code} is not listed");
    }
}
