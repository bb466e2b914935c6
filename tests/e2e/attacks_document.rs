//! The attack ledger's section D, first part: what a document is made of.

use nitrotpm_digest_lanes::hash;
use nitrotpm_document_issuer::{Envelope, MapForm, Payload, cbor};
use nitrotpm_pcr::Bank;

use crate::workbench::{Case, MADE_MILLIS, MODULE, NONCE, Workbench, changed, only, policy};

const SHA384: Bank = Bank::Sha384;
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// The accepted twin: a document and a log.
#[track_caller]
fn twin(bench: &Workbench) -> Case {
    let twin = bench.documented();
    twin.accept();
    twin
}

/// The register map with its entries altered.
fn registers(bench: &Workbench, alter: impl FnOnce(&mut Entries)) -> Vec<u8> {
    let mut entries: Entries = bench
        .bank(SHA384)
        .iter()
        .map(|(_, pcr, value)| (cbor::unsigned(pcr.get().into()), cbor::bytes(value.as_bytes())))
        .collect();
    alter(&mut entries);
    cbor::map(&entries)
}

/// Rejects the document with one field set to another CBOR item.
#[track_caller]
fn rejects_field(bench: &Workbench, key: &str, value: Vec<u8>, code: &str) {
    bench.documented().with_document(bench.document(|payload| payload.set(key, value))).reject(code);
}

#[test]
fn d1_a_nitro_enclaves_document_is_no_nitrotpm_document() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    let enclave = registers(&bench, |entries| entries.truncate(16));
    let reject = |alter: &dyn Fn(&mut Payload)| {
        let result = twin.with_document(bench.document(alter)).reject("document.wrong-type");
        assert_eq!(result.checks().last().map(|check| check.id), Some("document.type"));
    };
    reject(&|payload| {
        payload.remove("nitrotpm_pcrs");
        payload.push("pcrs", enclave.clone());
    });
    reject(&|payload| payload.set("module_id", cbor::text("i-0123456789abcdef0-enc0183cc7569b3f6e1")));
    reject(&|payload| payload.push("pcrs", enclave.clone()));
    reject(&|payload| payload.remove("nitrotpm_pcrs"));
}

#[test]
fn d2_duplicate_map_keys_are_refused() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    for (key, value) in [
        ("module_id", cbor::text(MODULE)),
        ("nonce", cbor::bytes(&NONCE)),
        ("nitrotpm_pcrs", registers(&bench, |_| ())),
    ] {
        twin.with_document(bench.document(|payload| payload.push(key, value))).reject("document.duplicate-key");
    }
    let twice = registers(&bench, |entries| entries.push(entries[4].clone()));
    rejects_field(&bench, "nitrotpm_pcrs", twice, "document.duplicate-key");
}

#[test]
fn d3_trailing_bytes_are_refused() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    for tail in [&[0][..], &[0xF6], b"\n"] {
        let document = [bench.document(|_| ()).as_slice(), tail].concat();
        twin.with_document(document).reject("document.trailing-bytes");
        let payload = [bench.payload().encode().as_slice(), tail].concat();
        twin.with_document(bench.document_of(payload)).reject("document.trailing-bytes");
    }
}

#[test]
fn d4_the_protected_header_is_es384_and_nothing_else() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    let algorithm = || (cbor::unsigned(1), cbor::negative(34));
    let crit = (cbor::unsigned(2), cbor::array(&[cbor::unsigned(1)]));
    for (protected, code) in [
        (vec![], "document.cose"),
        (cbor::map(&[]), "document.cose"),
        (cbor::map(&[(cbor::unsigned(1), cbor::negative(6))]), "document.cose"),
        (cbor::map(&[algorithm(), crit]), "document.cose"),
        (cbor::map(&[algorithm(), (cbor::unsigned(4), cbor::bytes(b"kid"))]), "document.cose"),
        (cbor::map(&[algorithm(), algorithm()]), "document.duplicate-key"),
        (vec![0xA1, 0x01, 0x39, 0x00, 0x22], "document.cbor"),
        (vec![0xBF, 0x01, 0x38, 0x22, 0xFF], "document.cbor"),
    ] {
        twin.with_document(bench.enveloped(|envelope| envelope.protected = protected)).reject(code);
    }
    // The algorithm in the unprotected header, there alone and there as well.
    let unprotected = cbor::map(&[algorithm()]);
    for keep in [false, true] {
        let document = bench.enveloped(|envelope| {
            envelope.unprotected.clone_from(&unprotected);
            if !keep {
                envelope.protected = Vec::new();
            }
        });
        twin.with_document(document).reject("document.cose");
    }
}

#[test]
fn d4_the_signature_is_over_the_received_bytes() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    let mut envelope = bench.envelope();
    let mut payload = bench.payload();
    payload.entries.reverse();
    envelope.payload = payload.encode();
    twin.with_document(envelope.encode()).reject("document.signature");
    twin.with_document(bench.document_of(payload.encode())).accept();
}

#[test]
fn d5_tag_18_once_or_none() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    let tagged = |tags: &[u64]| twin.with_document(bench.enveloped(|envelope| envelope.tags = tags.to_vec()));
    tagged(&[18]).accept();
    for tags in [&[17][..], &[98], &[18, 18], &[55799, 18]] {
        tagged(tags).reject("document.cose");
    }
}

#[test]
fn d6_lengths_and_nesting_are_bounded() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    let unknown = |value: Vec<u8>| twin.with_document(bench.document(|payload| payload.push("later", value)));
    unknown(cbor::array(&[cbor::null()])).accept();
    for bomb in [
        // Deep nesting, 2^32 and 2^64 items and bytes, strings in chunks.
        [vec![0x81; 4000], vec![0]].concat(),
        vec![0x9A, 0xFF, 0xFF, 0xFF, 0xFF],
        vec![0xBB, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        vec![0x5A, 0xFF, 0xFF, 0xFF, 0xFF],
        vec![0x7F, 0x61, b'x', 0xFF],
        vec![0x5F, 0x41, 1, 0xFF],
        vec![0x9F, 0xFF],
    ] {
        unknown(bomb).reject("document.cbor");
    }
    unknown(cbor::bytes(&[0; 16_384])).reject("document.size");
    twin.with_document(vec![0x84; 1 << 20]).reject("document.size");
    // The payload map itself may be of either form.
    let mut payload = bench.payload();
    for form in [MapForm::Definite, MapForm::Indefinite] {
        payload.form = form;
        twin.with_document(bench.document_of(payload.encode())).accept();
    }
    let mut open = payload.encode();
    assert_eq!(open.pop(), Some(0xFF));
    twin.with_document(bench.document_of(open)).reject("document.cbor");
}

#[test]
fn d7_values_of_another_kind_are_refused() {
    let bench = Workbench::new();
    twin(&bench);
    let nonce_as_array = cbor::array(&NONCE.map(|byte| cbor::unsigned(byte.into())));
    for (key, value, code) in [
        ("timestamp", vec![0xFB, 0x42, 0x79, 0xE9, 0, 0, 0, 0, 0], "document.cbor"),
        ("timestamp", [&[0x1B, 0, 0, 0, 0][..], &[0, 0, 0, 1]].concat(), "document.cbor"),
        ("timestamp", cbor::tagged(1, &cbor::unsigned(MADE_MILLIS)), "document.cbor"),
        ("nonce", nonce_as_array, "document.cbor"),
        ("module_id", cbor::bytes(MODULE.as_bytes()), "document.cbor"),
        ("digest", cbor::text("SHA256"), "document.field"),
        ("nitrotpm_pcrs", registers(&bench, |entries| entries[5].0 = cbor::negative(0)), "document.cbor"),
        ("nitrotpm_pcrs", registers(&bench, |entries| entries[5].0 = cbor::unsigned(32)), "document.pcr"),
        ("nitrotpm_pcrs", registers(&bench, |entries| entries[5].1 = cbor::bytes(&[7; 31])), "document.pcr"),
        ("nitrotpm_pcrs", registers(&bench, |entries| entries[5].1 = cbor::array(&[])), "document.cbor"),
        ("nitrotpm_pcrs", cbor::map(&[]), "document.pcr"),
    ] {
        rejects_field(&bench, key, value, code);
    }
}

/// The order of P-384 (SEC 2, section 2.5.1).
const ORDER: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";

#[test]
fn d11_the_signature_is_96_bytes_and_both_s_are_ecdsas() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    let envelope = bench.envelope();
    let with = |signature: Vec<u8>| twin.with_document(Envelope { signature, ..envelope.clone() }.encode());
    with(envelope.signature.clone()).accept();
    for length in [0, 64, 95, 97] {
        let mut signature = envelope.signature.clone();
        signature.resize(length, 0);
        with(signature).reject("document.cose");
    }
    // DER, whose length differs.
    let integer = |number: &[u8]| [&[0x02, 49, 0][..], number].concat();
    let numbers = [integer(&envelope.signature[..48]), integer(&envelope.signature[48..])].concat();
    with([&[0x30, 102][..], &numbers].concat()).reject("document.cose");
    let (r, s) = envelope.signature.split_at(48);
    let order = hex::decode(ORDER).unwrap();
    for (r, s) in [(&[0; 48][..], s), (r, &[0; 48]), (&order, s), (r, &order), (s, r)] {
        with([r, s].concat()).reject("document.signature");
    }
    // n - s: as valid, so that a document's bytes identify nothing.
    let mut borrow = 0_i32;
    let mut other = s.to_vec();
    for at in (0..48).rev() {
        let difference = i32::from(order[at]) - i32::from(s[at]) - borrow;
        borrow = i32::from(difference < 0);
        other[at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    assert_ne!(other, s);
    with([r, &other].concat()).accept();
}

#[test]
fn d13_optional_fields_are_absent_null_or_up_to_1024_bytes() {
    let bench = Workbench::new();
    let twin = twin(&bench);
    for key in ["public_key", "user_data"] {
        let claimed = |document: Vec<u8>| {
            let result = twin.with_document(document).accept();
            let document = result.claims().document.clone().unwrap();
            if key == "public_key" { document.public_key } else { document.user_data }
        };
        assert_eq!(claimed(bench.document(|payload| payload.remove(key))), None);
        assert_eq!(claimed(bench.document(|payload| payload.set(key, cbor::null()))), None);
        for length in [0, 1, 1024] {
            let value = vec![9; length];
            let document = bench.document(|payload| payload.set(key, cbor::bytes(&value)));
            assert_eq!(claimed(document), Some(hex::encode(value)));
        }
        rejects_field(&bench, key, cbor::bytes(&[9; 1025]), "document.field");
    }
    rejects_field(&bench, "nonce", cbor::bytes(&[9; 1025]), "document.field");
}

#[test]
fn d14_a_register_that_the_document_lacks_is_not_passed_over() {
    let bench = Workbench::new();
    let twin = bench.documented().with(|case| {
        case.evidence.event_log = None;
        case.policy = policy("document = true", &bench.image_pcrs());
    });
    twin.accept();
    for missing in [4, 12] {
        let without = registers(&bench, |entries| drop(entries.remove(missing)));
        let document = bench.document(|payload| payload.set("nitrotpm_pcrs", without));
        let result = twin.with_document(document).refuse("pcr.not-authenticated");
        assert_eq!(result.reasons()[0].pcr, u8::try_from(missing).ok());
        // Not even where the attester sends its value along.
        let values = bench.bank(SHA384);
        twin.with(|case| case.evidence.pcrs = values).accept();
    }
    // Nor one of a bank that no document has.
    let sha256 = only(&bench.pcrs, |bank, pcr| bank == Bank::Sha256 && pcr == 4);
    twin.with(|case| case.policy = policy("document = true", &sha256)).refuse("pcr.not-authenticated");
}

#[test]
fn d15_document_and_quote_of_different_boots_are_refused() {
    let bench = Workbench::new();
    // However the quote's key is trusted.
    let pinned = bench.bound().with(|case| case.trust = case.trust.clone().pin(bench.attestation_key()));
    for twin in [bench.bound(), pinned] {
        twin.accept();
        for pcr in [0, 4, 12, 23] {
            let other = hash(SHA384, &[b"another boot"]);
            let value = cbor::bytes(other.as_bytes());
            let altered = registers(&bench, |entries| entries[usize::from(pcr)].1 = value);
            let document = bench.document(|payload| payload.set("nitrotpm_pcrs", altered));
            let result = twin.with_document(document).reject("evidence.document-quote-mismatch");
            let reason = &result.reasons()[0];
            assert_eq!((reason.pcr, reason.bank, reason.quote), (Some(pcr), Some("sha384"), Some(0)));
            assert_eq!(reason.expected, Some(other.to_string()));
        }
    }
}

#[test]
fn d15_a_document_with_another_key_or_none_vouches_for_no_quote() {
    let bench = Workbench::new();
    let twin = bench.bound();
    twin.accept();
    let stranger = nitrotpm_testkit::SoftwareKey::p256().public_key().to_sec1().unwrap();
    for value in [cbor::bytes(&stranger), cbor::bytes(b"no key"), cbor::null()] {
        let document = bench.document(|payload| payload.set("public_key", value));
        twin.with_document(document).reject("quote.key-untrusted");
    }
    // In any form in which attesters write it, the key is the key.
    for key in [bench.ak.public_key().to_spki_der(), bench.ak_public()] {
        let document = bench.document(|payload| payload.set("public_key", cbor::bytes(&key)));
        twin.with_document(document).accept();
    }
    let values = changed(&bench.bank(SHA384), SHA384, 4, None);
    twin.with_quote(bench.quote_of(&values, |_| ())).accept();
}
