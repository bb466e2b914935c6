//! Answers made by openssl, and each change of them refused.

use ring::rand::SystemRandom;

use crate::{Envelope, RecipientError, RecipientKey};

const KEY: &[u8] = include_bytes!("../../../fixtures/kms-recipient/key.pkcs8.der");
const PLAINTEXT: &[u8] = include_bytes!("../../../fixtures/kms-recipient/plaintext.bin");
const DEFINITE: &[u8] = include_bytes!("../../../fixtures/kms-recipient/definite.der");
const INDEFINITE: &[u8] = include_bytes!("../../../fixtures/kms-recipient/indefinite.der");

fn key() -> RecipientKey {
    RecipientKey::from_pkcs8(KEY).unwrap()
}

fn open(bytes: &[u8]) -> Result<Vec<u8>, RecipientError> {
    Ok(Envelope::parse(bytes)?.open(&key(), &SystemRandom::new())?.to_vec())
}

fn code(bytes: &[u8]) -> &'static str {
    open(bytes).unwrap_err().code()
}

/// An element with a definite length.
fn element(identifier: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[identifier, 0x82, length[0], length[1]], content.as_slice()].concat()
}

/// An element with an indefinite length.
fn indefinite(identifier: u8, content: &[&[u8]]) -> Vec<u8> {
    [&[identifier, 0x80], content.concat().as_slice(), &[0, 0]].concat()
}

fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).unwrap()
}

/// The two parts of the envelope that were encrypted, and the vector: encrypted key, vector, content.
fn parts() -> (&'static [u8], &'static [u8], &'static [u8]) {
    let key = &DEFINITE[find(DEFINITE, &[0x04, 0x82, 0x01, 0x00])..][4..][..256];
    let vector = &DEFINITE[find(DEFINITE, &[0x01, 0x2A, 0x04, 0x10])..][4..];
    (key, &vector[..16], &vector[18..])
}

/// Puts elements into one.
type Wrap<'a> = &'a dyn Fn(u8, &[&[u8]]) -> Vec<u8>;
/// Makes an element of bytes.
type Bytes<'a> = &'a dyn Fn(u8, &[u8]) -> Vec<u8>;

/// Puts an envelope together with every length indefinite and every string in pieces, as BER allows.
fn scattered(wrap: Wrap<'_>, string: Bytes<'_>) -> Vec<u8> {
    let (key, vector, content) = parts();
    let oid = |last: &[u8]| [&[6, u8::try_from(last.len()).unwrap()], last].concat();
    let pkcs = |last: &[u8]| oid(&[&[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1], last].concat());
    let nist = |last: &[u8]| oid(&[&[0x60, 0x86, 0x48, 1, 0x65, 3, 4], last].concat());
    let sha256 = wrap(0x30, &[&nist(&[2, 1]), &[5, 0]]);
    let oaep = wrap(
        0x30,
        &[
            &pkcs(&[1, 7]),
            &wrap(0x30, &[&wrap(0xA0, &[&sha256]), &wrap(0xA1, &[&wrap(0x30, &[&pkcs(&[1, 8]), &sha256])])]),
        ],
    );
    let recipient = wrap(0x30, &[&[2, 1, 2], &string(0x80, &[7; 20]), &oaep, &string(0x04, key)]);
    let cipher = wrap(0x30, &[&nist(&[1, 0x2A]), &string(0x04, vector)]);
    let encrypted = wrap(0x30, &[&pkcs(&[7, 1]), &cipher, &string(0x80, content)]);
    let enveloped = wrap(0x30, &[&[2, 1, 2], &wrap(0x31, &[&recipient]), &encrypted]);
    wrap(0x30, &[&pkcs(&[7, 3]), &wrap(0xA0, &[&enveloped])])
}

fn whole(identifier: u8, content: &[u8]) -> Vec<u8> {
    element(identifier, &[content])
}

fn in_pieces(identifier: u8, content: &[u8]) -> Vec<u8> {
    let pieces: Vec<_> = content.chunks(5).map(|piece| whole(0x04, piece)).collect();
    let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
    indefinite(identifier | 0x20, &pieces)
}

#[test]
fn answers_open_with_definite_and_indefinite_lengths() {
    assert_eq!(open(DEFINITE).unwrap(), PLAINTEXT);
    assert_eq!(open(INDEFINITE).unwrap(), PLAINTEXT);
    assert_eq!(open(&scattered(&element, &whole)).unwrap(), PLAINTEXT);
    assert_eq!(open(&scattered(&indefinite, &whole)).unwrap(), PLAINTEXT);
    assert_eq!(open(&scattered(&indefinite, &in_pieces)).unwrap(), PLAINTEXT);
    // Pieces of pieces.
    let twice =
        |identifier: u8, content: &[u8]| indefinite(identifier | 0x20, &[&in_pieces(0x04, content), &whole(4, &[])]);
    assert_eq!(open(&scattered(&element, &twice)).unwrap(), PLAINTEXT);
}

#[test]
fn what_kms_does_not_do_is_refused() {
    assert_eq!(code(include_bytes!("../../../fixtures/kms-recipient/aes-128.der")), "recipient.algorithm");
    assert_eq!(code(include_bytes!("../../../fixtures/kms-recipient/oaep-sha1.der")), "recipient.algorithm");
    assert_eq!(code(include_bytes!("../../../fixtures/kms-recipient/pkcs1.der")), "recipient.algorithm");
}

#[test]
fn cut_and_lengthened_answers_are_refused() {
    for good in [DEFINITE, INDEFINITE] {
        for length in 0..good.len() {
            assert_eq!(code(&good[..length]), "recipient.malformed", "cut to {length} bytes");
        }
        assert_eq!(code(&[good, &[0]].concat()), "recipient.malformed");
        assert_eq!(code(&[good, &[0, 0]].concat()), "recipient.malformed");
    }
    let long = vec![0x30; Envelope::MAX_LEN + 1];
    assert_eq!(code(&long), "recipient.too-long");
}

#[test]
fn a_changed_byte_never_panics_and_never_gives_the_plaintext_of_another_key() {
    for good in [DEFINITE, INDEFINITE] {
        for position in 0..good.len() {
            let mut changed = good.to_vec();
            changed[position] ^= if position % 2 == 0 { 0x01 } else { 0x80 };
            // The initialization vector and the key's identifier are not authenticated: CBC is what KMS uses.
            let _ = open(&changed);
        }
    }
    let (key, _, _) = parts();
    let in_key = find(DEFINITE, key);
    for position in (0..key.len()).step_by(16) {
        let mut changed = DEFINITE.to_vec();
        changed[in_key..][position] ^= 1;
        assert_eq!(code(&changed), "recipient.not-opened", "byte {position} of the key");
    }
    // The last block's padding, by the block before.
    let mut changed = DEFINITE.to_vec();
    *changed.iter_mut().rev().nth(16).unwrap() ^= 0xFF;
    assert_eq!(code(&changed), "recipient.not-opened");
}

#[test]
fn another_key_does_not_open_it() {
    let random = SystemRandom::new();
    let other = RecipientKey::generate(&random).unwrap();
    let envelope = Envelope::parse(DEFINITE).unwrap();
    assert_eq!(envelope.open(&other, &random).unwrap_err().code(), "recipient.not-opened");
    assert!(envelope.open(&key(), &random).is_ok());
}

#[test]
fn two_recipients_are_refused() {
    let good = scattered(&element, &whole);
    assert!(open(&good).is_ok());
    let twice = |identifier: u8, content: &[&[u8]]| {
        if identifier == 0x31 { element(identifier, &[content[0], content[0]]) } else { element(identifier, content) }
    };
    assert_eq!(code(&scattered(&twice, &whole)), "recipient.malformed");
    let none = |identifier: u8, content: &[&[u8]]| {
        if identifier == 0x31 { element(identifier, &[]) } else { element(identifier, content) }
    };
    assert_eq!(code(&scattered(&none, &whole)), "recipient.malformed");
}

#[test]
fn deep_nesting_ends_early() {
    let nested = |depth: usize| {
        let string = |identifier: u8, content: &[u8]| {
            let mut bytes = whole(0x04, content);
            for _ in 0..depth {
                bytes = indefinite(0x24, &[&bytes]);
            }
            indefinite(identifier | 0x20, &[&bytes])
        };
        open(&scattered(&element, &string))
    };
    assert_eq!(nested(3).unwrap(), PLAINTEXT);
    assert_eq!(nested(20).unwrap_err().code(), "recipient.malformed");
    // And without an end.
    assert_eq!(code(&[0x30, 0x80].repeat(100_000)), "recipient.malformed");
}

#[test]
fn lengths_and_tags_that_cms_has_not_are_refused() {
    // A primitive element of indefinite length, a tag of several bytes, a length of nine bytes, one of 4 GiB.
    for bytes in [
        &[0x04, 0x80, 0, 0][..],
        &[0x30, 4, 0x1F, 0x81, 0, 0],
        &[0x30, 0x89, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0x30, 0xFF],
    ] {
        assert_eq!(code(bytes), "recipient.malformed", "{bytes:02x?}");
    }
}

#[test]
fn keys_go_to_pem_and_back() {
    let key = key();
    let pem = key.to_pkcs8_pem().unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    let again = RecipientKey::from_pkcs8(pem.as_bytes()).unwrap();
    assert_eq!(again.public_key_der().unwrap(), key.public_key_der().unwrap());
    assert_eq!(key.public_key_der().unwrap().len(), 294);
    assert_eq!(format!("{key:?}"), "RecipientKey(2048 bits)");
    for wrong in [&b""[..], b"-----BEGIN", &KEY[..200], DEFINITE] {
        assert_eq!(RecipientKey::from_pkcs8(wrong).unwrap_err().code(), "recipient.key");
    }
}
