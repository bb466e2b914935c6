//! The envelope: `COSE_Sign1` as AWS writes it.

use coset::{CborSerializable, TaggedCborSerializable};
use nitrotpm_document_issuer::{Curve, Envelope, Key, cbor};
use nitrotpm_nitro_document::{CoseFault, DocumentError, MAX_DOCUMENT_LEN, UnverifiedDocument};

use crate::support::Parts;

#[track_caller]
fn cose_fault(error: DocumentError) -> CoseFault {
    match error {
        DocumentError::Cose { fault, .. } => fault,
        other => panic!("{other}"),
    }
}

#[test]
fn the_issuer_and_coset_agree_on_what_is_signed() {
    let parts = Parts::aws();
    let document = parts.document();
    let sign1 = coset::CoseSign1::from_slice(&document).unwrap();
    assert_eq!(sign1.protected.header.alg, Some(coset::Algorithm::Assigned(coset::iana::Algorithm::ES384)));
    assert!(sign1.unprotected.is_empty());
    assert_eq!(sign1.tbs_data(&[]), parts.envelope().signed_bytes());
    // coset writes the same bytes; what it writes with a tag verifies too.
    assert_eq!(sign1.clone().to_vec().unwrap(), document);
    parts.accepts(&document);
    parts.accepts(&sign1.to_tagged_vec().unwrap());
}

#[test]
fn d3_trailing_bytes_after_the_document_are_refused() {
    let parts = Parts::aws();
    let document = parts.document();
    parts.accepts(&document);
    for tail in [&[0x00][..], &[0xF6, 0xF6], b"\n", &document] {
        let error = parts.refuses(&[document.as_slice(), tail].concat(), "document.trailing-bytes");
        assert_eq!(
            error,
            DocumentError::TrailingBytes { structure: "COSE_Sign1", offset: document.len(), count: tail.len() }
        );
    }
}

#[test]
fn d4_the_protected_header_has_the_algorithm_and_nothing_else() {
    let parts = Parts::aws();
    parts.accepted();
    let one = |label: Vec<u8>, value: Vec<u8>| cbor::map(&[(label, value)]);
    let beside = |label: Vec<u8>, value: Vec<u8>| cbor::map(&[(cbor::unsigned(1), cbor::negative(34)), (label, value)]);
    let label = |label: &str| CoseFault::ProtectedLabel { label: label.into() };
    for (protected, fault) in [
        (vec![], CoseFault::AlgorithmMissing),
        (cbor::map(&[]), CoseFault::AlgorithmMissing),
        (one(cbor::unsigned(1), cbor::negative(6)), CoseFault::Algorithm { found: -7 }),
        (one(cbor::unsigned(1), cbor::negative(35)), CoseFault::Algorithm { found: -36 }),
        (one(cbor::unsigned(1), cbor::unsigned(35)), CoseFault::Algorithm { found: 35 }),
        // crit, content type, kid, a label of text, a private one.
        (beside(cbor::unsigned(2), cbor::array(&[cbor::unsigned(1)])), label("2")),
        (beside(cbor::unsigned(3), cbor::unsigned(0)), label("3")),
        (beside(cbor::unsigned(4), cbor::bytes(b"kid")), label("4")),
        (beside(cbor::text("x"), cbor::null()), label("x")),
        (beside(cbor::negative(65_536), cbor::null()), label("-65537")),
        (one(cbor::unsigned(4), cbor::bytes(b"kid")), label("4")),
    ] {
        let document = parts.with_envelope(|envelope| envelope.protected = protected);
        assert_eq!(cose_fault(parts.refuses(&document, "document.cose")), fault);
    }
    let twice = beside(cbor::unsigned(1), cbor::negative(34));
    parts.refuses(&parts.with_envelope(|envelope| envelope.protected = twice), "document.duplicate-key");
}

#[test]
fn d4_the_protected_header_has_one_encoding() {
    let parts = Parts::aws();
    parts.accepted();
    for protected in [
        vec![0xA1, 0x01, 0x39, 0x00, 0x22],
        vec![0xA1, 0x18, 0x01, 0x38, 0x22],
        vec![0xB8, 0x01, 0x01, 0x38, 0x22],
        vec![0xBF, 0x01, 0x38, 0x22, 0xFF],
        vec![0xA1, 0x01, 0x65, b'E', b'S', b'3', b'8', b'4'],
        vec![0x01],
        vec![0xF6],
    ] {
        let error = parts.refuses(&parts.with_envelope(|envelope| envelope.protected = protected), "document.cbor");
        assert!(matches!(error, DocumentError::Cbor { structure: "protected header", .. }), "{error}");
    }
    let trailing = vec![0xA1, 0x01, 0x38, 0x22, 0x00];
    parts.refuses(&parts.with_envelope(|envelope| envelope.protected = trailing), "document.trailing-bytes");
}

#[test]
fn d4_the_unprotected_header_is_an_empty_map() {
    let parts = Parts::aws();
    parts.accepted();
    let algorithm = cbor::map(&[(cbor::unsigned(1), cbor::negative(34))]);
    let document = parts.with_envelope(|envelope| envelope.unprotected = algorithm.clone());
    assert_eq!(cose_fault(parts.refuses(&document, "document.cose")), CoseFault::UnprotectedNotEmpty { found: 1 });
    // The algorithm moved from the protected header to this one.
    let document = parts.with_envelope(|envelope| {
        envelope.protected = Vec::new();
        envelope.unprotected = algorithm;
    });
    assert_eq!(cose_fault(parts.refuses(&document, "document.cose")), CoseFault::AlgorithmMissing);
    for other in [cbor::null(), vec![0xBF, 0xFF], vec![0xB8, 0x00], cbor::array(&[]), cbor::bytes(&[])] {
        parts.refuses(&parts.with_envelope(|envelope| envelope.unprotected = other), "document.cbor");
    }
}

#[test]
fn d4_the_signature_is_over_the_received_bytes() {
    let parts = Parts::aws();
    let mut envelope = parts.envelope();
    parts.accepts(&envelope.encode());
    // The same payload, its keys in another order, under the first signature.
    let mut payload = parts.payload();
    payload.entries.reverse();
    envelope.payload = payload.encode();
    parts.refuses(&envelope.encode(), "document.signature");
    parts.accepts(&parts.sign(&payload).encode());
}

#[test]
fn d5_tag_18_once_or_no_tag() {
    let parts = Parts::aws();
    parts.accepted();
    parts.accepts(&parts.with_envelope(|envelope| envelope.tags = vec![18]));
    for (tags, tag) in [
        (vec![17], 17),
        (vec![98], 98),
        (vec![61], 61),
        (vec![18, 18], 18),
        (vec![55799, 18], 55799),
        (vec![18, 61], 61),
    ] {
        let document = parts.with_envelope(|envelope| envelope.tags = tags);
        assert_eq!(cose_fault(parts.refuses(&document, "document.cose")), CoseFault::Tag { tag });
    }
    let longer = [&[0xD8, 18], parts.document().as_slice()].concat();
    parts.refuses(&longer, "document.cbor");
}

#[test]
fn the_envelope_is_an_array_of_four() {
    let parts = Parts::aws();
    let document = parts.document();
    parts.accepts(&document);
    for (head, found) in [(0x83, 3), (0x85, 5)] {
        let mut other = document.clone();
        other[0] = head;
        assert_eq!(cose_fault(parts.refuses(&other, "document.cose")), CoseFault::ArrayLength { found });
    }
    let indefinite = [&[0x9F], &document[1..], &[0xFF]].concat();
    parts.refuses(&indefinite, "document.cbor");
    let longer = [&[0x98, 0x04], &document[1..]].concat();
    parts.refuses(&longer, "document.cbor");
    for other in [vec![], vec![0xA0], vec![0xF6], cbor::bytes(&document)] {
        parts.refuses(&other, "document.cbor");
    }
}

#[test]
fn d6_sizes_are_bounded_before_anything_else() {
    let parts = Parts::aws();
    let padded = |padding: usize| {
        let value = cbor::bytes(&vec![7; padding]);
        parts.with_payload(|payload| payload.push("new", value))
    };
    parts.accepts(&padded(8000));
    let error = parts.refuses(&padded(16_384), "document.size");
    assert!(matches!(error, DocumentError::Size { structure: "payload", limit: 16_384, .. }), "{error}");
    let error = UnverifiedDocument::parse(&vec![0x84; MAX_DOCUMENT_LEN + 1]).unwrap_err();
    assert!(matches!(error, DocumentError::Size { structure: "document", .. }), "{error}");
    // At the limit it is looked at.
    assert_eq!(UnverifiedDocument::parse(&vec![0x84; MAX_DOCUMENT_LEN]).unwrap_err().code(), "document.cbor");
    let empty = parts.with_envelope(|envelope| envelope.payload = Vec::new());
    assert_eq!(cose_fault(parts.refuses(&empty, "document.cose")), CoseFault::PayloadEmpty);
}

#[test]
fn d11_the_signature_is_96_bytes_r_and_s() {
    let parts = Parts::aws();
    let envelope = parts.envelope();
    parts.accepts(&envelope.encode());
    let with = |signature: Vec<u8>| Envelope { signature, ..envelope.clone() }.encode();

    for length in [0, 64, 95, 97, 128] {
        let mut signature = envelope.signature.clone();
        signature.resize(length, 0);
        let error = parts.refuses(&with(signature), "document.cose");
        assert_eq!(cose_fault(error), CoseFault::SignatureLength { found: length });
    }
    // The same numbers as DER.
    let integer = |number: &[u8]| {
        let mut bytes: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        if bytes[0] >= 0x80 {
            bytes.insert(0, 0);
        }
        [&[0x02, u8::try_from(bytes.len()).unwrap()], bytes.as_slice()].concat()
    };
    let numbers = [integer(&envelope.signature[..48]), integer(&envelope.signature[48..])].concat();
    let der = [&[0x30, u8::try_from(numbers.len()).unwrap()], numbers.as_slice()].concat();
    parts.refuses(&with(der), "document.cose");

    // r or s zero, the order, or exchanged.
    for (r, s) in [
        (vec![0; 48], envelope.signature[48..].to_vec()),
        (envelope.signature[..48].to_vec(), vec![0; 48]),
        (ORDER.to_vec(), envelope.signature[48..].to_vec()),
        (envelope.signature[..48].to_vec(), ORDER.to_vec()),
        (envelope.signature[48..].to_vec(), envelope.signature[..48].to_vec()),
    ] {
        parts.refuses(&with([r, s].concat()), "document.signature");
    }
}

/// The order of P-384 (SEC 2, section 2.5.1).
const ORDER: [u8; 48] = [
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xC7, 0x63, 0x4D, 0x81, 0xF4, 0x37, 0x2D, 0xDF, 0x58, 0x1A, 0x0D, 0xB2, 0x48, 0xB0,
    0xA7, 0x7A, 0xEC, 0xEC, 0x19, 0x6A, 0xCC, 0xC5, 0x29, 0x73,
];

#[test]
fn d11_both_s_are_accepted_as_ecdsa_has_it() {
    let parts = Parts::aws();
    let mut envelope = parts.envelope();
    parts.accepts(&envelope.encode());
    // s becomes n - s: as valid, so a signature never serves as an identity.
    let mut borrow = 0_i32;
    for at in (0..48).rev() {
        let difference = i32::from(ORDER[at]) - i32::from(envelope.signature[48 + at]) - borrow;
        borrow = i32::from(difference < 0);
        envelope.signature[48 + at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    parts.accepts(&envelope.encode());
}

#[test]
fn a_signature_by_another_key_is_refused() {
    let parts = Parts::aws();
    parts.accepted();
    let stranger = Key::generate(Curve::P384).unwrap();
    let document = Envelope::sign(parts.payload().encode(), &stranger).unwrap().encode();
    parts.refuses(&document, "document.signature");
    // Nor by the issuer of the certificate.
    let instance = parts.pki.below().last().unwrap().key();
    parts.refuses(&Envelope::sign(parts.payload().encode(), instance).unwrap().encode(), "document.signature");
}
