//! The payload: type, keys, limits, strict CBOR.

use nitrotpm_digest_lanes::HashAlgorithm;
use nitrotpm_document_issuer::{MapForm, cbor};
use nitrotpm_nitro_document::{CborFault, DocumentError, NotNitroTpm};
use nitrotpm_pcr::PcrIndex;

use crate::support::{INSTANCE, MADE_MILLIS, MODULE, NONCE, Parts, REGION, pcrs};

/// The register map with `alter` applied to its entries.
fn registers(alter: impl FnOnce(&mut Vec<(Vec<u8>, Vec<u8>)>)) -> Vec<u8> {
    let mut entries: Vec<_> = pcrs()
        .iter()
        .map(|(_, index, value)| (cbor::unsigned(u8::from(index).into()), cbor::bytes(value.as_bytes())))
        .collect();
    alter(&mut entries);
    cbor::map(&entries)
}

#[test]
fn a_document_as_aws_makes_it_gives_its_claims() {
    let parts = Parts::aws();
    let document = parts.accepts(&parts.document());
    assert_eq!(document.module_id(), MODULE);
    assert_eq!(document.instance_id(), INSTANCE);
    assert_eq!(document.region(), REGION);
    assert_eq!(document.timestamp_millis(), MADE_MILLIS);
    assert_eq!(document.digest(), "SHA384");
    assert_eq!(*document.pcrs(), pcrs());
    assert!(
        document.pcrs().get(HashAlgorithm::Sha384, PcrIndex::new(4).unwrap()).is_some_and(|value| !value.is_zero())
    );
    assert_eq!(document.public_key(), Some(&[0x04; 65][..]));
    assert_eq!(document.user_data(), None);
    assert_eq!(document.nonce(), Some(NONCE));
    assert!(document.nonce_checked());
    assert_eq!(document.certificates().len(), 5);
    assert!(document.certificates()[4].subject.ends_with(&format!("CN={MODULE}.{REGION}.aws")));
    assert!(document.unknown_keys().is_empty());
    assert!(document.registers_beyond_23().is_empty());
}

#[test]
fn d1_a_nitro_enclaves_document_is_of_the_wrong_type() {
    let parts = Parts::aws();
    parts.accepted();

    let key = |payload: &mut nitrotpm_document_issuer::Payload| {
        let value = registers(|entries| entries.truncate(16));
        payload.remove("nitrotpm_pcrs");
        payload.push("pcrs", value);
    };
    let error = parts.refuses(&parts.with_payload(key), "document.wrong-type");
    assert_eq!(error, DocumentError::WrongType(NotNitroTpm::Enclave));
    assert!(error.to_string().contains("Nitro Enclaves document"));

    // By the module id alone.
    let enclave = cbor::text("i-0123456789abcdef0-enc0183cc7569b3f6e1");
    let error = parts.refuses(&parts.with_payload(|payload| payload.set("module_id", enclave)), "document.wrong-type");
    assert_eq!(error, DocumentError::WrongType(NotNitroTpm::Enclave));

    // Both registers' keys, and neither.
    let both = parts.with_payload(|payload| payload.push("pcrs", registers(|_| {})));
    assert_eq!(parts.refuses(&both, "document.wrong-type"), DocumentError::WrongType(NotNitroTpm::Both));
    let neither = parts.with_payload(|payload| payload.remove("nitrotpm_pcrs"));
    assert_eq!(parts.refuses(&neither, "document.wrong-type"), DocumentError::WrongType(NotNitroTpm::Neither));
}

#[test]
fn d1_the_wrong_type_is_named_before_anything_else_that_is_wrong() {
    let parts = Parts::aws();
    parts.accepted();
    let document = parts.with_payload(|payload| {
        payload.remove("nitrotpm_pcrs");
        payload.push("pcrs", registers(|entries| entries.truncate(16)));
        payload.set("module_id", cbor::text("i-0123456789abcdef0-enc0183cc7569b3f6e1"));
        payload.set("timestamp", cbor::unsigned(0));
        payload.set("cabundle", cbor::null());
        payload.set("user_data", cbor::bytes(&[0; 2000]));
    });
    assert_eq!(parts.refuses(&document, "document.wrong-type"), DocumentError::WrongType(NotNitroTpm::Enclave));
}

#[test]
fn d2_duplicate_map_keys_are_refused_be_their_values_equal_or_not() {
    let parts = Parts::aws();
    parts.accepted();
    for (key, value) in [
        ("module_id", cbor::text(MODULE)),
        ("nonce", cbor::bytes(b"another nonce 00")),
        ("nitrotpm_pcrs", registers(|_| {})),
    ] {
        let document = parts.with_payload(|payload| payload.push(key, value));
        let error = parts.refuses(&document, "document.duplicate-key");
        assert!(matches!(error, DocumentError::DuplicateKey { structure: "payload", key: found, .. } if found == key));
    }
    // A key that is not known may stand once, not twice.
    parts.accepts(&parts.with_payload(|payload| payload.push("new", cbor::unsigned(1))));
    let twice = parts.with_payload(|payload| {
        payload.push("new", cbor::unsigned(1));
        payload.push("new", cbor::unsigned(2));
    });
    parts.refuses(&twice, "document.duplicate-key");
}

#[test]
fn d2_duplicate_registers_are_refused() {
    let parts = Parts::aws();
    parts.accepts(&parts.with_payload(|payload| payload.set("nitrotpm_pcrs", registers(|_| {}))));
    for copied in [4, 23] {
        let document = parts.with_payload(|payload| {
            payload.set("nitrotpm_pcrs", registers(|entries| entries.push(entries[copied].clone())));
        });
        let error = parts.refuses(&document, "document.duplicate-key");
        let DocumentError::DuplicateKey { structure, key, .. } = error else { panic!("{error}") };
        assert_eq!((structure, key), ("nitrotpm_pcrs", copied.to_string()));
    }
    // Beyond 23 too.
    let beyond = |count: usize| {
        let entry = (cbor::unsigned(30), cbor::bytes(&[7; 48]));
        parts.with_payload(|payload| {
            payload.set("nitrotpm_pcrs", registers(|entries| entries.extend(vec![entry; count])));
        })
    };
    assert_eq!(parts.accepts(&beyond(1)).registers_beyond_23().len(), 1);
    parts.refuses(&beyond(2), "document.duplicate-key");
}

#[test]
fn d2_duplicate_keys_inside_an_unknown_value_are_refused() {
    let parts = Parts::aws();
    let nested = |key: u64| {
        let map = cbor::map(&[(cbor::unsigned(1), cbor::null()), (cbor::unsigned(key), cbor::null())]);
        parts.with_payload(|payload| payload.push("new", cbor::array(&[map])))
    };
    parts.accepts(&nested(2));
    parts.refuses(&nested(1), "document.duplicate-key");
}

#[test]
fn d3_trailing_bytes_after_the_payload_map_are_refused() {
    let parts = Parts::aws();
    for form in [MapForm::Indefinite, MapForm::Definite] {
        let mut payload = parts.payload();
        payload.form = form;
        let bytes = payload.encode();
        parts.accepts(&parts.with_payload_bytes(bytes.clone()));
        for tail in [&[0x00][..], &[0xFF], &[0xA0]] {
            let document = parts.with_payload_bytes([bytes.as_slice(), tail].concat());
            let error = parts.refuses(&document, "document.trailing-bytes");
            assert!(matches!(error, DocumentError::TrailingBytes { structure: "payload", count: 1, .. }), "{error}");
        }
    }
}

#[test]
fn d6_counts_and_lengths_beyond_the_bytes_are_refused_without_allocating() {
    let parts = Parts::aws();
    parts.accepted();
    for head in [
        // Maps, arrays and strings of 2^32 and 2^63 items.
        "bb0000000100000000",
        "bb8000000000000000",
        "9b0000000100000000",
        "5b7fffffffffffffff",
        "7bffffffffffffffff",
        "ba7fffffff",
    ] {
        let bomb = hex(head);
        // As the payload itself, as a field's value, and inside an unknown value.
        parts.refuses(&parts.with_payload_bytes(bomb.clone()), "document.cbor");
        for key in ["nitrotpm_pcrs", "cabundle", "user_data", "new"] {
            parts.refuses(&parts.with_payload(|payload| payload.set(key, bomb.clone())), "document.cbor");
        }
    }
}

#[test]
fn d6_nesting_and_item_counts_are_bounded() {
    let parts = Parts::aws();
    let nested = |depth: usize| {
        let value = (0..depth).fold(cbor::null(), |inner, _| cbor::array(&[inner]));
        parts.with_payload(|payload| payload.push("new", value))
    };
    parts.accepts(&nested(8));
    for depth in [9, 100, 10_000] {
        let error = parts.refuses(&nested(depth), "document.cbor");
        assert!(matches!(error, DocumentError::Cbor { fault: CborFault::TooMany, .. }), "{error}");
    }
    let tags = (0..100).fold(cbor::null(), |inner, _| cbor::tagged(1, &inner));
    parts.refuses(&parts.with_payload(|payload| payload.push("new", tags)), "document.cbor");

    let wide = |count: usize| {
        let value = cbor::array(&vec![cbor::null(); count]);
        parts.with_payload(|payload| payload.push("new", value))
    };
    parts.accepts(&wide(3000));
    parts.refuses(&wide(5000), "document.cbor");

    let keys = |count: usize| {
        parts.with_payload(|payload| (0..count).for_each(|n| payload.push(&format!("new{n}"), cbor::null())))
    };
    parts.accepts(&keys(55));
    parts.refuses(&keys(56), "document.cbor");
}

#[test]
fn d6_the_payload_map_may_be_indefinite_and_nothing_else() {
    let parts = Parts::aws();
    let mut payload = parts.payload();
    payload.form = MapForm::Definite;
    parts.accepts(&parts.sign(&payload).encode());
    payload.form = MapForm::Indefinite;
    parts.accepts(&parts.sign(&payload).encode());

    let entries: Vec<_> = pcrs()
        .iter()
        .map(|(_, index, value)| (cbor::unsigned(u8::from(index).into()), cbor::bytes(value.as_bytes())))
        .collect();
    let bundle: Vec<u8> = parts.pki.cabundle().iter().flat_map(|der| cbor::bytes(der)).collect();
    for (key, value) in [
        ("nitrotpm_pcrs", cbor::indefinite_map(&entries)),
        ("cabundle", [&[0x9F], bundle.as_slice(), &[0xFF]].concat()),
        // Chunked strings: of one chunk, of two, of none.
        ("user_data", [&[0x5F], cbor::bytes(b"ab").as_slice(), &[0xFF]].concat()),
        ("nonce", [&[0x5F], cbor::bytes(&NONCE[..8]).as_slice(), &cbor::bytes(&NONCE[8..]), &[0xFF]].concat()),
        ("public_key", vec![0x5F, 0xFF]),
        ("module_id", [&[0x7F], cbor::text(MODULE).as_slice(), &[0xFF]].concat()),
        ("new", vec![0x9F, 0xFF]),
        ("new", vec![0xBF, 0xFF]),
    ] {
        let document = parts.with_payload(|payload| payload.set(key, value));
        let error = parts.refuses(&document, "document.cbor");
        assert!(matches!(error, DocumentError::Cbor { fault: CborFault::IndefiniteLength, .. }), "{key}: {error}");
    }
    // A break that closes nothing, and a map that is never closed.
    parts.refuses(&parts.with_payload(|payload| payload.set("nonce", vec![0xFF])), "document.cbor");
    let mut open = parts.payload().encode();
    open.pop();
    parts.refuses(&parts.with_payload_bytes(open), "document.cbor");
}

#[test]
fn d7_integers_and_lengths_are_in_their_shortest_form() {
    let parts = Parts::aws();
    parts.accepts(&parts.with_payload(|payload| payload.set("timestamp", cbor::unsigned(MADE_MILLIS))));

    let mut module = vec![0x79, 0x00, 0x27];
    module.extend(MODULE.bytes());
    let mut user_data = vec![0x58, 0x02];
    user_data.extend(b"ab");
    let pcr0_in_two_bytes = registers(|entries| entries[0].0 = vec![0x18, 0x00]);
    let bundle: Vec<u8> = parts.pki.cabundle().iter().flat_map(|der| cbor::bytes(der)).collect();
    for (key, value) in [
        ("module_id", module),
        ("user_data", user_data),
        ("nitrotpm_pcrs", pcr0_in_two_bytes),
        ("cabundle", [&[0x98, 0x04], bundle.as_slice()].concat()),
        ("new", vec![0x18, 0x17]),
        ("new", vec![0x19, 0x00, 0xFF]),
        ("new", vec![0x1A, 0x00, 0x00, 0xFF, 0xFF]),
        ("new", vec![0x1B, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("new", vec![0x38, 0x00]),
        ("new", vec![0xD8, 0x01, 0x00]),
        ("new", vec![0xF8, 0x16]),
    ] {
        let document = parts.with_payload(|payload| payload.set(key, value));
        let error = parts.refuses(&document, "document.cbor");
        assert!(matches!(error, DocumentError::Cbor { fault: CborFault::NotMinimal, .. }), "{key}: {error}");
    }
    // The key itself, and the map's count.
    let mut payload = parts.payload();
    payload.entries[0].0.splice(0..1, [0x78, 9]);
    parts.refuses(&parts.sign(&payload).encode(), "document.cbor");
    let mut payload = parts.payload();
    payload.form = MapForm::Definite;
    let mut bytes = payload.encode();
    bytes.splice(0..1, [0xB8, 9]);
    parts.refuses(&parts.with_payload_bytes(bytes), "document.cbor");
}

#[test]
fn d7_values_of_another_kind_are_refused() {
    let parts = Parts::aws();
    parts.accepted();
    let nonce_as_array = cbor::array(&NONCE.iter().map(|byte| cbor::unsigned((*byte).into())).collect::<Vec<_>>());
    for (key, value) in [
        ("timestamp", vec![0xFB, 0x42, 0x79, 0xE9, 0, 0, 0, 0, 0]),
        ("timestamp", cbor::text("1780315200250")),
        ("timestamp", cbor::negative(5)),
        ("timestamp", cbor::tagged(1, &cbor::unsigned(MADE_MILLIS))),
        ("nonce", nonce_as_array),
        ("nonce", cbor::text("0123456789abcdef")),
        ("nonce", vec![0xF7]),
        ("nonce", vec![0xF4]),
        ("public_key", cbor::map(&[])),
        ("module_id", cbor::bytes(MODULE.as_bytes())),
        ("module_id", cbor::null()),
        ("digest", cbor::null()),
        ("certificate", cbor::null()),
        ("cabundle", cbor::null()),
        ("nitrotpm_pcrs", cbor::null()),
        ("nitrotpm_pcrs", cbor::array(&[])),
        ("nitrotpm_pcrs", registers(|entries| entries[5].1 = cbor::null())),
        ("nitrotpm_pcrs", registers(|entries| entries[5].0 = cbor::negative(0))),
        ("nitrotpm_pcrs", registers(|entries| entries[5].0 = cbor::text("5"))),
        ("nitrotpm_pcrs", registers(|entries| entries[5].0 = vec![0xF9, 0x45, 0x00])),
    ] {
        let document = parts.with_payload(|payload| payload.set(key, value));
        let error = parts.refuses(&document, "document.cbor");
        assert!(matches!(error, DocumentError::Cbor { fault: CborFault::Kind { .. }, .. }), "{key}: {error}");
    }
    // Text that is not UTF-8, and a key that is no text.
    let mut bad = cbor::text(MODULE);
    bad[4] = 0xFF;
    parts.refuses(&parts.with_payload(|payload| payload.set("module_id", bad)), "document.cbor");
    let mut payload = parts.payload();
    payload.entries.push((cbor::unsigned(7), cbor::null()));
    parts.refuses(&parts.sign(&payload).encode(), "document.cbor");
    // A payload that is no map.
    parts.refuses(&parts.with_payload_bytes(cbor::array(&[])), "document.cbor");
}

#[test]
fn d7_register_indices_end_at_31_and_values_have_48_bytes() {
    let parts = Parts::aws();
    let with = |index: u64, length: usize| {
        parts.with_payload(|payload| {
            let entry = (cbor::unsigned(index), cbor::bytes(&vec![7; length]));
            payload.set("nitrotpm_pcrs", registers(|entries| entries.push(entry)));
        })
    };
    parts.accepts(&with(31, 48));
    for (index, length) in
        [(32, 48), (255, 48), (256, 48), (u64::MAX, 48), (31, 47), (31, 49), (31, 32), (31, 64), (31, 31), (31, 0)]
    {
        parts.refuses(&with(index, length), "document.pcr");
    }
    // 32 registers at most; at least one.
    let full =
        registers(|entries| entries.extend((24..32).map(|index| (cbor::unsigned(index), cbor::bytes(&[7; 48])))));
    assert_eq!(
        parts.accepts(&parts.with_payload(|payload| payload.set("nitrotpm_pcrs", full))).registers_beyond_23().len(),
        8
    );
    parts.refuses(&parts.with_payload(|payload| payload.set("nitrotpm_pcrs", cbor::map(&[]))), "document.pcr");
    let many =
        registers(|entries| entries.extend((24..33).map(|index| (cbor::unsigned(index), cbor::bytes(&[7; 48])))));
    parts.refuses(&parts.with_payload(|payload| payload.set("nitrotpm_pcrs", many)), "document.pcr");
}

#[test]
fn d13_optional_fields_are_absent_null_or_up_to_1024_bytes() {
    let parts = Parts::aws();
    for key in ["public_key", "user_data"] {
        let read = |document: &[u8]| {
            let verified = parts.accepts(document);
            if key == "public_key" { verified.public_key() } else { verified.user_data() }.map(<[u8]>::to_vec)
        };
        assert_eq!(read(&parts.with_payload(|payload| payload.remove(key))), None);
        assert_eq!(read(&parts.with_payload(|payload| payload.set(key, cbor::null()))), None);
        for length in [0, 1, 23, 24, 255, 256, 1024] {
            let value = vec![9; length];
            let document = parts.with_payload(|payload| payload.set(key, cbor::bytes(&value)));
            assert_eq!(read(&document), Some(value));
        }
        for length in [1025, 4096] {
            let document = parts.with_payload(|payload| payload.set(key, cbor::bytes(&vec![9; length])));
            let error = parts.refuses(&document, "document.field");
            assert!(matches!(error, DocumentError::Field { field, .. } if field == key), "{error}");
        }
    }
    parts.refuses(&parts.with_payload(|payload| payload.set("nonce", cbor::bytes(&[9; 1025]))), "document.field");
}

#[test]
fn required_fields_are_there_and_within_their_limits() {
    let parts = Parts::aws();
    parts.accepted();
    for key in ["module_id", "digest", "timestamp", "certificate", "cabundle"] {
        let error = parts.refuses(&parts.with_payload(|payload| payload.remove(key)), "document.field");
        assert!(matches!(error, DocumentError::Field { field, .. } if field == key), "{error}");
    }
    for digest in ["SHA256", "SHA512", "sha384", "", "SHA384 "] {
        parts.refuses(&parts.with_payload(|payload| payload.set("digest", cbor::text(digest))), "document.field");
    }
    for length in [0, 1025] {
        let certificate = cbor::bytes(&vec![0x30; length]);
        let bundle = cbor::array(core::slice::from_ref(&certificate));
        parts.refuses(&parts.with_payload(|payload| payload.set("certificate", certificate)), "document.field");
        parts.refuses(&parts.with_payload(|payload| payload.set("cabundle", bundle)), "document.field");
    }
    for count in [0, 8] {
        let bundle = cbor::array(&vec![cbor::bytes(parts.pki.root().certificate()); count]);
        parts.refuses(&parts.with_payload(|payload| payload.set("cabundle", bundle)), "document.field");
    }
}

#[test]
fn e8_module_ids_have_one_form() {
    let parts = Parts::aws();
    parts.accepted();
    for module in [
        "",
        "i-0123456789abcdef0",
        "i-0123456789ABCDEF0-tpm0000000000000000",
        "i-0123456789abcdef0-tpm00000000000000000",
        "i-0123456789abcdef0-tpm0000000000000000/../x",
        "x-0123456789abcdef0-tpm0000000000000000",
        "i-0123456789abcdef0-tpm000000000000000\u{0}",
    ] {
        let document = parts.with_payload(|payload| payload.set("module_id", cbor::text(module)));
        parts.refuses(&document, "document.module-id");
    }
    let escape = parts.with_payload(|payload| payload.set("module_id", cbor::text("\u{1b}[2J\u{202e}")));
    let text = parts.refuses(&escape, "document.module-id").to_string();
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    // Longer than any module id: refused without being looked at.
    parts.refuses(
        &parts.with_payload(|payload| payload.set("module_id", cbor::text(&"i".repeat(129)))),
        "document.cbor",
    );
}

#[test]
fn unknown_keys_are_kept_and_reported() {
    let parts = Parts::aws();
    let value = cbor::array(&[cbor::unsigned(1), cbor::text("two"), cbor::map(&[(cbor::text("k"), cbor::null())])]);
    let document = parts.accepts(&parts.with_payload(|payload| payload.push("later", value.clone())));
    let [unknown] = document.unknown_keys() else { panic!("one key is unknown") };
    assert_eq!((unknown.key.as_str(), &unknown.value), ("later", &value));
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
