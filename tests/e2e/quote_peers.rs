//! Quotes that other projects made and published: a NitroTPM, Google Cloud, Azure, Keylime's test data.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use nitrotpm_freshness::{Nonce, NonceExpectation};
use nitrotpm_pcr::{Bank, Digest, PcrIndex, PcrValues};
use nitrotpm_quote::{AttestationKey, QuoteError, QuoteExpectations, SignedQuote, UnverifiedQuote};
use nitrotpm_signature::{Curve, PublicKey};
use nitrotpm_tpm_wire::{AlgorithmId, Signature, Structure};
use serde_json::Value;

use crate::corpus;

/// A quote with everything it is verified with. An empty nonce is not checked.
struct Sample {
    attest: Vec<u8>,
    signature: Vec<u8>,
    key: AttestationKey,
    values: PcrValues,
    nonce: Vec<u8>,
}

impl Sample {
    fn verify(&self, allow_sha1: bool) -> Result<SignedQuote, QuoteError> {
        let nonce = Nonce::new(&self.nonce).ok();
        let expected = nonce.as_ref().map_or(NonceExpectation::NotChecked, NonceExpectation::Expected);
        let expectations = QuoteExpectations::new(expected).with_sha1(allow_sha1);
        UnverifiedQuote::parse(&self.attest, &self.signature)?.verify(&self.key, &expectations, &self.values)
    }

    /// Accepted as it is, and refused with any one thing altered.
    #[track_caller]
    fn holds(self, registers: usize, allow_sha1: bool) {
        let signed = self.verify(allow_sha1).unwrap();
        assert_eq!(signed.values().len(), registers);
        let last = |bytes: &[u8]| [&bytes[..bytes.len() - 1], &[bytes[bytes.len() - 1] ^ 1]].concat();
        let code = |sample: Self| sample.verify(allow_sha1).unwrap_err().code();
        assert_eq!(code(Self { attest: last(&self.attest), ..self.clone() }), "quote.signature");
        assert_eq!(code(Self { signature: last(&self.signature), ..self.clone() }), "quote.signature");
        assert_eq!(code(Self { nonce: b"another nonce".to_vec(), ..self.clone() }), "quote.nonce");
        assert_eq!(code(Self { values: PcrValues::new(), ..self.clone() }), "quote.pcr-missing");
        let mut zeros = PcrValues::new();
        for (bank, index, _) in self.values.iter() {
            zeros.insert(index, Digest::zero(bank)).unwrap();
        }
        assert_eq!(code(Self { values: zeros, ..self.clone() }), "quote.pcr-digest");
    }
}

impl Clone for Sample {
    fn clone(&self) -> Self {
        Self {
            attest: self.attest.clone(),
            signature: self.signature.clone(),
            key: self.key.clone(),
            values: self.values.clone(),
            nonce: self.nonce.clone(),
        }
    }
}

fn json(path: &str) -> Value {
    serde_json::from_slice(&corpus::read(path)).unwrap()
}

fn unhex(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn unbase64(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn index(number: u64) -> PcrIndex {
    PcrIndex::new(u8::try_from(number).unwrap()).unwrap()
}

/// Values of registers 0 and up, in order.
fn in_order(bank: Bank, digests: impl IntoIterator<Item = Vec<u8>>) -> PcrValues {
    let mut values = PcrValues::new();
    for (register, digest) in PcrIndex::all().zip(digests) {
        values.insert(register, Digest::new(bank, &digest).unwrap()).unwrap();
    }
    values
}

/// The two numbers of an ECDSA signature in DER, both of less than 128 bytes.
pub(crate) fn split_der(signature: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let number = |at: usize| {
        let length = usize::from(signature[at + 1]);
        (signature[at + 2..at + 2 + length].to_vec(), at + 2 + length)
    };
    let (r, next) = number(2);
    let (s, end) = number(next);
    assert_eq!(end, signature.len());
    let unsigned = |bytes: Vec<u8>| bytes.strip_prefix(&[0]).map_or(bytes.clone(), <[u8]>::to_vec);
    (unsigned(r), unsigned(s))
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn a_quote_of_a_real_nitrotpm() {
    let sample = json("nitro/nitrotpm/vaportpm-quote-and-document.json");
    let numbers = &sample["ak_pubkeys"]["ecc_p256"];
    let tpm = &sample["attestation"]["tpm"]["ecc_p256"];
    let (r, s) = split_der(&unhex(&tpm["signature"]));
    Sample {
        attest: unhex(&tpm["attest_data"]),
        signature: Signature::Ecdsa { hash: AlgorithmId::SHA256, r, s }.to_bytes().unwrap(),
        key: AttestationKey::from_public_key(
            PublicKey::ec(Curve::P256, &unhex(&numbers["x"]), &unhex(&numbers["y"])).unwrap(),
        ),
        values: serde_json::from_value(sample["pcrs"].clone()).unwrap(),
        nonce: unhex(&sample["nonce"]),
    }
    .holds(24, false);
}

/// The values in the struct that tpm2-tools writes as it is in memory, little endian: 16 selections of which the first
/// count, then lists of up to 8 digests of 64 bytes, each with count or size in front.
fn tpm2_tools_values(bytes: &[u8], bank: Bank) -> PcrValues {
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(u32_at(0), 1, "one selection");
    assert_eq!(u16::from_le_bytes([bytes[4], bytes[5]]), bank.tpm_id());
    let bitmap = u32::from_le_bytes([bytes[7], bytes[8], bytes[9], 0]);
    let registers: Vec<u64> = (0..24).filter(|bit| bitmap >> bit & 1 == 1).collect();
    let (selections, list) = (4 + 16 * 8, 4 + 8 * 66);
    let digests = (0..usize::try_from(u32_at(selections)).unwrap()).flat_map(|number| {
        let start = selections + 4 + number * list;
        (0..usize::try_from(u32_at(start)).unwrap()).map(move |digest| {
            let at = start + 4 + digest * 66;
            let size = usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
            bytes[at + 2..at + 2 + size].to_vec()
        })
    });
    let mut values = PcrValues::new();
    for (register, digest) in registers.into_iter().zip(digests) {
        values.insert(index(register), Digest::new(bank, &digest).unwrap()).unwrap();
    }
    values
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn keylimes_quote() {
    let file = |name: &str| corpus::read(&format!("eventlog/keylime/test-data/files/{name}"));
    let attest = file("quote.out");
    // The nonce was not published beside it: what it says is taken for it.
    let view = UnverifiedQuote::parse(&attest, &file("quotesig.out")).unwrap();
    let nonce = view.unverified_view().attest.extra_data.clone();
    assert_eq!(nonce.len(), 20);
    Sample {
        attest,
        signature: file("quotesig.out"),
        key: AttestationKey::parse(&file("ak.pub")).unwrap(),
        values: tpm2_tools_values(&file("quotepcr.out"), Bank::Sha256),
        nonce,
    }
    .holds(3, false);
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn q13_go_attestations_sha1_quote_counts_only_where_allowed() {
    let sample = json("eventlog/go-attestation/attest/testdata/windows_gcp_shielded_vm.json");
    let mut values = PcrValues::new();
    for pcr in sample["Log"]["PCRs"].as_array().unwrap() {
        // 3 is Go's number for SHA-1.
        assert_eq!(pcr["DigestAlg"], 3);
        let digest = Digest::new(Bank::Sha1, &unbase64(&pcr["Digest"])).unwrap();
        values.insert(index(pcr["Index"].as_u64().unwrap()), digest).unwrap();
    }
    let sample = Sample {
        attest: unbase64(&sample["Quote"]["Quote"]),
        signature: unbase64(&sample["Quote"]["Signature"]),
        key: AttestationKey::parse(&unbase64(&sample["AK"]["Public"])).unwrap(),
        values,
        nonce: vec![],
    };
    assert_eq!(sample.verify(false).unwrap_err(), QuoteError::Sha1Signature);
    assert!(!sample.verify(true).unwrap().nonce_checked());
    sample.holds(24, true);
}

/// The fields of a protocol-buffers message: numbers as eight bytes, little endian, the rest as their bytes.
fn protobuf(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                break;
            }
        }
        number
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => varint(&mut bytes).to_le_bytes().to_vec(),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).unwrap();
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                value.to_vec()
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn go_tpm_tools_quotes_of_three_banks() {
    let first = |fields: &[(u64, Vec<u8>)], number: u64| {
        fields.iter().find(|(field, _)| *field == number).map(|(_, value)| value.clone())
    };
    let number = |bytes: Option<Vec<u8>>| u64::from_le_bytes(bytes.unwrap_or(vec![0; 8]).try_into().unwrap());
    for (name, nonce) in [("gce-cos-85-no-nonce.pb", vec![]), ("gce-cos-85-nonce9009.pb", vec![0x90, 0x09])] {
        let path = format!("eventlog/go-tpm-tools/internal/test/attestations/{name}");
        let message = protobuf(&corpus::read(&path));
        let key = AttestationKey::parse(&first(&message, 1).unwrap()).unwrap();
        let mut banks = Vec::new();
        for (_, quote) in message.iter().filter(|(field, _)| *field == 2) {
            let quote = protobuf(quote);
            let pcrs = protobuf(&first(&quote, 3).unwrap());
            let bank = Bank::from_tpm_id(u16::try_from(number(first(&pcrs, 1))).unwrap()).unwrap();
            let mut values = PcrValues::new();
            for (_, pcr) in pcrs.iter().filter(|(field, _)| *field == 2) {
                let pcr = protobuf(pcr);
                // A key of zero is left out on the wire.
                let digest = Digest::new(bank, &first(&pcr, 2).unwrap()).unwrap();
                values.insert(index(number(first(&pcr, 1))), digest).unwrap();
            }
            let sample = Sample {
                attest: first(&quote, 1).unwrap(),
                signature: first(&quote, 2).unwrap(),
                key: key.clone(),
                values,
                nonce: nonce.clone(),
            };
            if bank == Bank::Sha1 {
                assert_eq!(sample.verify(false).unwrap_err(), QuoteError::Sha1Bank);
            }
            sample.holds(24, bank == Bank::Sha1);
            banks.push(bank);
        }
        assert_eq!(banks, [Bank::Sha1, Bank::Sha256, Bank::Sha384]);
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn trustees_tpm_evidence() {
    let sample = json("eventlog/trustee/deps/verifier/test_data/tpm_evidence.json");
    let quote = &sample["tpm_quote"];
    let attest = unbase64(&quote["message"]);
    let signature = unbase64(&quote["signature"]);
    let nonce = UnverifiedQuote::parse(&attest, &signature).unwrap().unverified_view().attest.extra_data.clone();
    let pcrs = quote["pcrs"].as_array().unwrap();
    Sample {
        attest,
        signature,
        key: AttestationKey::parse(&unbase64(&sample["ak_public"])).unwrap(),
        values: in_order(Bank::Sha256, pcrs.iter().map(unhex)),
        nonce,
    }
    .holds(24, false);
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn trustees_azure_quotes() {
    let folder = "eventlog/trustee/deps/verifier/test_data";
    for cloud in ["az-snp-vtpm", "az-tdx-vtpm"] {
        // The key is a JWK in the JSON after the report.
        let report = corpus::read(&format!("{folder}/{cloud}/hcl-report.bin"));
        let start = report.windows(7).position(|bytes| bytes == b"{\"keys\"").unwrap();
        let claims: Value = serde_json::Deserializer::from_slice(&report[start..]).into_iter().next().unwrap().unwrap();
        let keys = claims["keys"].as_array().unwrap();
        let jwk = keys.iter().find(|key| key["kid"] == "HCLAkPub").unwrap();
        let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        assert_eq!(number("e"), [1, 0, 1]);
        let quote = json(&format!("{folder}/{cloud}/tpm-quote-v1.json"));
        let attest = unhex(&quote["message"]);
        // The bare bytes of an RSA signature.
        let signature = Signature::Rsassa { hash: AlgorithmId::SHA256, signature: unhex(&quote["signature"]) };
        let signature = signature.to_bytes().unwrap();
        let nonce = UnverifiedQuote::parse(&attest, &signature).unwrap().unverified_view().attest.extra_data.clone();
        let sample = Sample {
            attest,
            signature,
            key: AttestationKey::from_public_key(PublicKey::rsa(&number("n"), 65_537).unwrap()),
            values: in_order(Bank::Sha256, quote["pcrs"].as_array().unwrap().iter().map(unhex)),
            nonce,
        };
        sample.holds(24, false);
    }
}
