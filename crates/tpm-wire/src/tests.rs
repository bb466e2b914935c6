//! What holds for every structure, and the layout of each against bytes written by hand.
#![allow(clippy::arithmetic_side_effects, reason = "tests compute with their own numbers")]

use alloc::vec::Vec;
use alloc::{format, vec};
use core::fmt::Debug;

use super::*;

/// Hexadecimal with comments: from `//` to the end of a line nothing counts.
fn bytes(commented: &str) -> Vec<u8> {
    let digits: Vec<u8> = commented
        .lines()
        .flat_map(|line| line.split("//").next().unwrap().bytes())
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    hex::decode(digits).unwrap()
}

/// The laws: parsing and writing are inverse; every cut and every byte after the structure is refused; an altered byte
/// is refused or kept.
#[track_caller]
fn laws<T: Structure + PartialEq + Debug>(wire: &[u8]) -> T {
    let value = T::parse(wire).unwrap();
    assert_eq!(value.to_bytes().unwrap(), wire);

    let tpm2b = value.to_tpm2b().unwrap();
    assert_eq!(tpm2b[..2], u16::try_from(wire.len()).unwrap().to_be_bytes());
    assert_eq!(T::parse_tpm2b(&tpm2b).as_ref(), Ok(&value));
    let mut wrong_size = tpm2b.clone();
    wrong_size[1] = wrong_size[1].wrapping_add(1);
    assert!(T::parse_tpm2b(&wrong_size).is_err());
    wrong_size[1] = wrong_size[1].wrapping_sub(2);
    assert!(T::parse_tpm2b(&wrong_size).is_err());

    for len in 0..wire.len() {
        let error = T::parse(&wire[..len]).unwrap_err();
        assert_eq!(error.code(), "tpm.truncated", "cut to {len} bytes: {error}");
        assert!(error.offset <= len);
    }
    for altered in altered(wire) {
        if let Ok(other) = T::parse(&altered) {
            assert_eq!(other.to_bytes().unwrap(), altered);
            assert_ne!(other, value);
        }
    }
    value
}

/// Every way to alter one byte by one bit, to zero or to 0xFF.
fn altered(wire: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..wire.len()).flat_map(move |position| {
        let was = wire[position];
        let bits = (0..8).map(move |bit| was ^ (1_u8 << bit));
        bits.chain([0, 0xFF]).filter(move |new| *new != was).map(move |new| {
            let mut copy = wire.to_vec();
            copy[position] = new;
            copy
        })
    })
}

#[track_caller]
fn trailing<T: Structure + Debug>(wire: &[u8]) {
    let error = T::parse(&[wire, &[0]].concat()).unwrap_err();
    assert_eq!((error.offset, error.kind), (wire.len(), WireErrorKind::Trailing { count: 1 }));
}

fn quote() -> Vec<u8> {
    bytes(
        "ff544347 8018          // magic, TPM_ST_ATTEST_QUOTE
         0004 40000007          // qualifiedSigner: a handle
         0003 6e6f6e            // extraData
         0000000000012345       // clock
         00000007 00000002 01   // resetCount, restartCount, safe
         2019102300163636       // firmwareVersion
         00000002               // two selections
           000c 03 900000       //   SHA-384: 4, 7
           0012 02 0180         //   SM3, two bytes: 0, 15
         0004 aabbccdd          // pcrDigest",
    )
}

#[test]
fn a_quote() {
    let attest: Attest = laws(&quote());
    trailing::<Attest>(&quote());
    let Attested::Quote(info) = &attest.attested else { panic!("a quote") };
    assert_eq!(attest.magic, Attest::MAGIC);
    assert_eq!(attest.attestation_type(), AttestationType::QUOTE);
    assert_eq!(attest.extra_data, b"non");
    assert_eq!(attest.clock_info, ClockInfo { clock: 0x12345, reset_count: 7, restart_count: 2, safe: true });
    assert_eq!(attest.firmware_version, 0x2019_1023_0016_3636);
    let [sha384, sm3] = info.pcr_select.selections.as_slice() else { panic!("two selections") };
    assert_eq!(sha384.indices().collect::<Vec<_>>(), [4, 7]);
    assert_eq!(sm3.indices().collect::<Vec<_>>(), [0, 15]);
    assert_eq!(format!("{}", sm3.hash), "algorithm 0x0012");
    assert_eq!(info.pcr_digest, [0xAA, 0xBB, 0xCC, 0xDD]);
}

#[test]
fn q2_attestations_of_other_types_are_kept_with_their_bytes() {
    for (attestation_type, named) in
        [(0x8014, "an NV certification"), (0x8017, "a key certification"), (0x8018, "a quote"), (0x8042, "type 0x8042")]
    {
        let mut wire = quote();
        wire[4..6].copy_from_slice(&u16::to_be_bytes(attestation_type));
        let attest = Attest::parse(&wire).unwrap();
        assert_eq!(attest.attestation_type(), AttestationType(attestation_type));
        assert_eq!(matches!(attest.attested, Attested::Quote(_)), attestation_type == 0x8018);
        assert_eq!(format!("{}", attest.attestation_type()), named);
        assert_eq!(attest.to_bytes().unwrap(), wire);
    }
}

#[test]
fn errors_name_the_innermost_structure_and_the_place() {
    let mut wire = quote();
    wire[33] = 2;
    let error = Attest::parse(&wire).unwrap_err();
    assert_eq!((error.structure, error.offset, error.code()), ("TPMS_CLOCK_INFO", 33, "tpm.value"));
    assert_eq!(
        format!("{error}"),
        "TPMS_CLOCK_INFO at byte 33: safe is 0x2, which is not allowed there; \
         the input was altered or is another structure"
    );
    let mut wire = quote();
    wire[42..46].copy_from_slice(&[0, 0, 0, 17]);
    let error = Attest::parse(&wire).unwrap_err();
    assert_eq!((error.structure, error.offset), ("TPML_PCR_SELECTION", 42));
    assert_eq!(error.kind, WireErrorKind::TooMany { count: 17, limit: 16 });
    let mut wire = quote();
    wire[7] = 67;
    let error = Attest::parse(&wire).unwrap_err();
    assert_eq!((error.structure, error.offset), ("TPMS_ATTEST", 6));
    assert_eq!(error.kind, WireErrorKind::TooLong { length: 67, limit: 66 });
}

#[test]
fn selections_of_any_size_are_kept() {
    for size in [0, 1, 3, 4, 255] {
        let mut wire = vec![0, 0, 0, 1, 0, 0x0B, size];
        wire.extend(core::iter::repeat_n(0x81, size.into()));
        let list: PcrSelectionList = laws(&wire);
        trailing::<PcrSelectionList>(&wire);
        let expected: Vec<u32> = (0..u32::from(size)).flat_map(|byte| [byte * 8, byte * 8 + 7]).collect();
        assert_eq!(list.selections[0].indices().collect::<Vec<_>>(), expected);
    }
    assert_eq!(laws::<PcrSelectionList>(&[0; 4]), PcrSelectionList::default());
}

#[test]
fn signatures() {
    for (scheme, expected) in [("0014", AlgorithmId::RSASSA), ("0016", AlgorithmId::RSAPSS)] {
        let wire = bytes(&format!("{scheme} 000b 0004 01020304"));
        let signature: Signature = laws(&wire);
        trailing::<Signature>(&wire);
        assert_eq!((signature.scheme(), signature.hash()), (expected, AlgorithmId::SHA256));
    }
    let wire = bytes("0018 000c 0002 0102 0001 07");
    trailing::<Signature>(&wire);
    assert_eq!(laws::<Signature>(&wire), Signature::Ecdsa { hash: AlgorithmId::SHA384, r: vec![1, 2], s: vec![7] });
}

#[test]
fn signatures_of_other_schemes_are_named() {
    for (scheme, named) in [("0010", "NULL"), ("001b", "SM2"), ("0005", "algorithm 0x0005")] {
        let error = Signature::parse(&bytes(&format!("{scheme} 000b 0002 0102"))).unwrap_err();
        assert_eq!((error.structure, error.offset, error.code()), ("TPMT_SIGNATURE", 0, "tpm.algorithm"));
        assert!(format!("{error}").contains(named), "{error}");
    }
}

#[test]
fn oversized_buffers_are_refused_before_they_are_read() {
    // Each states more than its type allows; that there are not so many bytes does not matter.
    for (wire, offset, limit) in [("0014 000b 0401 00", 4, 1024), ("0018 000b 0051 00", 4, 80)] {
        let error = Signature::parse(&bytes(wire)).unwrap_err();
        assert_eq!((error.offset, error.code()), (offset, "tpm.too-long"));
        assert!(matches!(error.kind, WireErrorKind::TooLong { limit: found, .. } if found == limit));
    }
    let error = DigestList::parse(&[0xFF; 4]).unwrap_err();
    assert_eq!(error.kind, WireErrorKind::TooMany { count: u32::MAX, limit: 8 });
}

const RSA_KEY: &str = "0001 000b 00050072      // RSA, nameAlg SHA-256, an attestation key's attributes
     0000                               // no policy
     0010                               // symmetric: none
     0014 000b                          // RSASSA with SHA-256
     0800 00000000                      // 2,048 bits, the default exponent
     0003 c3c3c3                        // modulus (as long as a test needs)";

const ECC_KEY: &str = "0023 000c 00050072      // ECC, nameAlg SHA-384
     0004 0a0b0c0d                      // a policy
     0006 0080 0043                     // AES-128 in CFB mode
     0018 000c                          // ECDSA with SHA-384
     0004                               // P-384
     0010                               // no KDF
     0002 0102 0001 03                  // x, y";

#[test]
fn public_areas() {
    let key: Public = laws(&bytes(RSA_KEY));
    trailing::<Public>(&bytes(RSA_KEY));
    assert_eq!(key.key_type(), AlgorithmId::RSA);
    assert_eq!(key.scheme(), AsymmetricScheme::Hashed { scheme: AlgorithmId::RSASSA, hash: AlgorithmId::SHA256 });
    assert_eq!(
        key.attributes.names().collect::<Vec<_>>(),
        ["fixedTPM", "fixedParent", "sensitiveDataOrigin", "userWithAuth", "restricted", "sign"]
    );
    let key: Public = laws(&bytes(ECC_KEY));
    trailing::<Public>(&bytes(ECC_KEY));
    let PublicParameters::Ecc { parameters, point } = &key.parameters else { panic!("an ECC key") };
    assert_eq!(parameters.curve, EccCurve::NIST_P384);
    let cipher = Symmetric::Cipher { algorithm: AlgorithmId::AES, key_bits: 128, mode: AlgorithmId::CFB };
    assert_eq!(parameters.symmetric, cipher);
    assert_eq!((point.x.as_slice(), point.y.as_slice()), ([1, 2].as_slice(), [3].as_slice()));
}

#[test]
fn q10_every_scheme_has_its_own_length() {
    // What comes after a scheme is found by parsing the scheme, not at a fixed place.
    for scheme in ["0010", "0015", "0014 0004", "0016 000c", "0017 000b", "001a 000b 0001", "001d 000d"] {
        let key: Public = laws(&bytes(&RSA_KEY.replace("0014 000b", scheme)));
        let PublicParameters::Rsa { modulus, .. } = &key.parameters else { panic!("an RSA key") };
        assert_eq!(modulus, &[0xC3; 3]);
    }
    for kdf in ["0010    ", "0020 000b", "0007 0004"] {
        let key: Public = laws(&bytes(&ECC_KEY.replace("0010    ", kdf)));
        let PublicParameters::Ecc { point, .. } = &key.parameters else { panic!("an ECC key") };
        assert_eq!(point.y, [3]);
    }
}

#[test]
fn q10_what_the_layout_hangs_on_must_be_known() {
    for (wire, structure, offset) in [
        (RSA_KEY.replacen("0001", "0008", 1), "TPMT_PUBLIC", 0),
        (RSA_KEY.replacen("0001", "0025", 1), "TPMT_PUBLIC", 0),
        (RSA_KEY.replacen("0010", "000a", 1), "TPMT_SYM_DEF_OBJECT", 10),
        (RSA_KEY.replacen("0014", "0005", 1), "TPMT_ASYM_SCHEME", 12),
        (ECC_KEY.replacen("0010", "0023", 1), "TPMT_KDF_SCHEME", 26),
    ] {
        let error = Public::parse(&bytes(&wire)).unwrap_err();
        assert_eq!((error.structure, error.offset, error.code()), (structure, offset, "tpm.algorithm"));
    }
    // A curve or a name algorithm that is not known is kept.
    assert!(Public::parse(&bytes(&ECC_KEY.replace("0004                 ", "0099                 "))).is_ok());
    assert!(Public::parse(&bytes(&ECC_KEY.replacen("000c", "0012", 1))).is_ok());
}

#[test]
fn q10_a_name_is_the_name_algorithm_and_the_digest_by_it() {
    for (id, length) in [("0004", 22), ("000b", 34), ("000c", 50), ("000d", 66)] {
        let wire = bytes(&RSA_KEY.replacen("000b", id, 1));
        let key = Public::parse(&wire).unwrap();
        let name = key.name().unwrap();
        assert_eq!(name.len(), length);
        assert_eq!(name[..2], wire[2..4]);
        let digest = nitrotpm_digest_lanes::hash(key.name_alg.hash().unwrap(), &[&wire]);
        assert_eq!(name[2..], *digest.as_bytes());
    }
    for unknown in ["0010", "0012"] {
        assert_eq!(Public::parse(&bytes(&RSA_KEY.replacen("000b", unknown, 1))).unwrap().name(), None);
    }
}

#[test]
fn q11_the_form_is_the_callers_choice() {
    let bare = bytes(RSA_KEY);
    let key = Public::parse(&bare).unwrap();
    let sized = key.to_tpm2b().unwrap();
    assert_eq!(Public::parse_tpm2b(&sized), Ok(key));
    assert!(Public::parse(&sized).is_err());
    assert!(Public::parse_tpm2b(&bare).is_err());
    let error = Public::parse_tpm2b(&[sized.as_slice(), &[0]].concat()).unwrap_err();
    assert_eq!((error.offset, error.kind), (sized.len(), WireErrorKind::Trailing { count: 1 }));
    // The size says that there is more than the key.
    let mut longer = [sized.as_slice(), &[0]].concat();
    longer[1] += 1;
    let error = Public::parse_tpm2b(&longer).unwrap_err();
    assert_eq!((error.offset, error.kind), (sized.len(), WireErrorKind::Trailing { count: 1 }));
}

#[test]
fn digest_lists() {
    let list: DigestList = laws(&bytes("00000002 0002 0102 0000"));
    trailing::<DigestList>(&bytes("00000000"));
    assert_eq!(list.digests, [vec![1, 2], vec![]]);
}

#[test]
fn what_a_size_cannot_state_is_not_written() {
    let list = PcrSelectionList { selections: vec![PcrSelection { hash: AlgorithmId::SHA256, bitmap: vec![0; 256] }] };
    let error = list.to_bytes().unwrap_err();
    assert_eq!((error.offset, error.kind), (6, WireErrorKind::TooLong { length: 256, limit: 255 }));
    let list = DigestList { digests: vec![vec![0; 65_536]] };
    assert_eq!(list.to_bytes().unwrap_err().code(), "tpm.too-long");
    let list = DigestList { digests: vec![vec![0; 65_535]] };
    assert!(list.to_bytes().is_ok());
    assert_eq!(list.to_tpm2b().unwrap_err().code(), "tpm.too-long");
}

#[test]
fn codes_are_listed() {
    let kinds = [
        WireErrorKind::Truncated { needed: 1, remaining: 0 },
        WireErrorKind::Trailing { count: 1 },
        WireErrorKind::TooLong { length: 1, limit: 0 },
        WireErrorKind::TooMany { count: 1, limit: 0 },
        WireErrorKind::Algorithm { field: "x", id: AlgorithmId::NULL },
        WireErrorKind::Value { field: "x", value: 0 },
    ];
    let codes: Vec<_> = kinds.map(|kind| WireError { structure: "", offset: 0, kind }.code()).to_vec();
    assert_eq!(codes, WireError::CODES);
}
