//! The quotes of eight measured boots: four kinds for each RSA and P-256 key, one for each P-384 key.

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use nitrotpm_freshness::{Nonce, NonceExpectation};
use nitrotpm_pcr::{PcrIndex, PcrValues};
use nitrotpm_quote::{AttestationKey, QuoteError, QuoteExpectations, SignedQuote, UnverifiedQuote};
use nitrotpm_signature::Scheme;
use nitrotpm_tpm_wire::{Attest, Public, Signature, Structure};

use crate::corpus;

const BOOTS: [&str; 8] = [
    "uki-nosb",
    "uki-nosb-stub254",
    "uki-signed-nosb",
    "tamper-cmdline",
    "uki-sb",
    "uki-sb-stub257",
    "sdboot-uki-sb",
    "shim-grub-ms",
];

/// Folder of the key, name of the quote, how many registers it covers, its scheme.
const QUOTES: [(&str, &str, usize, Scheme); 7] = [
    ("rsa", "quote", 24, Scheme::RsaPkcs1(HashAlgorithm::Sha256)),
    ("rsa", "quote256", 16, Scheme::RsaPkcs1(HashAlgorithm::Sha256)),
    ("rsa", "quoteall", 96, Scheme::RsaPkcs1(HashAlgorithm::Sha256)),
    ("ecc", "quote", 24, Scheme::Ecdsa(HashAlgorithm::Sha256)),
    ("ecc", "quote256", 16, Scheme::Ecdsa(HashAlgorithm::Sha256)),
    ("ecc", "quoteall", 96, Scheme::Ecdsa(HashAlgorithm::Sha256)),
    ("p384", "quote", 24, Scheme::Ecdsa(HashAlgorithm::Sha384)),
];

/// A file of a boot.
fn file(boot: &str, name: &str) -> Vec<u8> {
    corpus::read(&format!("boot/{boot}/{name}"))
}

fn values(boot: &str) -> PcrValues {
    serde_json::from_slice(&file(boot, "pcrs.json")).unwrap()
}

fn key(boot: &str, name: &str) -> AttestationKey {
    AttestationKey::parse(&file(boot, name)).unwrap()
}

fn nonce(boot: &str) -> Nonce {
    Nonce::new(&file(boot, "nonce")).unwrap()
}

/// Verifies a quote of one boot with key, nonce and values that may be another's.
fn verify(
    quote: (&str, &str, &str),
    key: &AttestationKey,
    nonce: &Nonce,
    values: &PcrValues,
) -> Result<SignedQuote, QuoteError> {
    let (boot, folder, name) = quote;
    let attest = file(boot, &format!("{folder}/{name}.msg"));
    let signature = file(boot, &format!("{folder}/{name}.sig"));
    let expectations = QuoteExpectations::new(NonceExpectation::Expected(nonce));
    UnverifiedQuote::parse(&attest, &signature)?.verify(key, &expectations, values)
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn every_quote_verifies_with_its_key_in_either_form() {
    for boot in BOOTS {
        let (values, nonce) = (values(boot), nonce(boot));
        for (folder, name, registers, scheme) in QUOTES {
            let with_attributes = key(boot, &format!("{folder}/ak.pub"));
            let bare = key(boot, &format!("{folder}/ak.pem"));
            assert!(with_attributes.same_key(&bare));
            assert_eq!(with_attributes.attributes().map(|bits| bits.0), Some(0x0005_0072));
            assert_eq!(bare.attributes(), None);
            assert_eq!(with_attributes.name().unwrap(), file(boot, &format!("{folder}/ak.name")));
            assert_eq!(with_attributes.sha256(), bare.sha256());
            for key in [&with_attributes, &bare] {
                let signed = verify((boot, folder, name), key, &nonce, &values).unwrap();
                assert_eq!(signed.selection().iter().count(), registers, "{boot}/{folder}/{name}");
                // The SHA-1 bank, where it is quoted, is not relied on.
                let excluded = if name == "quoteall" { 24 } else { 0 };
                assert_eq!(signed.values().len(), registers - excluded);
                assert_eq!(signed.excluded_banks().count(), excluded / 24);
                assert_eq!(signed.require_covered(signed.values()), Ok(()));
                assert_eq!(signed.signature_scheme(), scheme);
                assert_eq!(signed.extra_data(), nonce.as_bytes());
                assert!(signed.nonce_checked() && signed.clock_info().safe);
                for (bank, index, value) in signed.values().iter() {
                    assert_eq!(values.get(bank, index), Some(value));
                }
            }
        }
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn with_anything_of_another_boot_no_quote_verifies() {
    for (position, boot) in BOOTS.iter().enumerate() {
        let other = BOOTS[(position + 1) % BOOTS.len()];
        let (values_here, nonce_here) = (values(boot), nonce(boot));
        let (values_there, nonce_there) = (values(other), nonce(other));
        for (folder, name, _, _) in QUOTES {
            let quote = (*boot, folder, name);
            let key_here = key(boot, &format!("{folder}/ak.pub"));
            let key_there = key(other, &format!("{folder}/ak.pub"));
            let code = |key: &AttestationKey, nonce: &Nonce, values: &PcrValues| {
                verify(quote, key, nonce, values).err().map(|error| error.code())
            };
            assert_eq!(code(&key_here, &nonce_here, &values_here), None);
            assert_eq!(code(&key_there, &nonce_here, &values_here), Some("quote.signature"));
            assert_eq!(code(&key_here, &nonce_there, &values_here), Some("quote.nonce"));
            assert_eq!(code(&key_here, &nonce_here, &values_there), Some("quote.pcr-digest"));
            assert_eq!(code(&key_here, &nonce_here, &PcrValues::new()), Some("quote.pcr-missing"));
        }
        // A key of another type.
        let quote = (*boot, "rsa", "quote");
        let error = verify(quote, &key(boot, "ecc/ak.pub"), &nonce_here, &values_here).unwrap_err();
        assert_eq!(error.code(), "quote.scheme");
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn q4_values_beyond_the_selection_are_not_covered() {
    // All registers are claimed, and 0 to 15 of SHA-256 quoted.
    let boot = "uki-sb";
    let (values, nonce) = (values(boot), nonce(boot));
    let signed = verify((boot, "rsa", "quote256"), &key(boot, "rsa/ak.pub"), &nonce, &values).unwrap();
    assert_eq!(signed.values().len(), 16);
    let error = signed.require_covered(&values).unwrap_err();
    let first = PcrIndex::new(0).unwrap();
    assert_eq!(error, QuoteError::PcrNotCovered { bank: HashAlgorithm::Sha1, index: first });
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn q12_an_endorsement_key_is_no_attestation_key() {
    for boot in BOOTS {
        for folder in ["rsa", "ecc"] {
            let bytes = file(boot, &format!("{folder}/ek.pub"));
            let public = Public::parse_tpm2b(&bytes).unwrap();
            assert_eq!(public.to_tpm2b().unwrap(), bytes);
            assert_eq!(AttestationKey::parse(&bytes).unwrap_err().code(), "quote.key-attributes");
        }
    }
}

/// The qualified name of a child: the digest of its parent's and its own Name, by its own Name's algorithm.
fn qualified_name(public: &Public, parent: &[u8]) -> Vec<u8> {
    let digest = hash(public.name_alg.hash().unwrap(), &[parent, &public.name().unwrap()]);
    [&public.name_alg.0.to_be_bytes(), digest.as_bytes()].concat()
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn q14_the_qualified_signer_shows_the_parent() {
    const ENDORSEMENT: [u8; 4] = [0x40, 0, 0, 0x0B];
    for boot in BOOTS {
        let (values, nonce) = (values(boot), nonce(boot));
        for folder in ["rsa", "ecc", "p384"] {
            let signed =
                verify((boot, folder, "quote"), &key(boot, &format!("{folder}/ak.pub")), &nonce, &values).unwrap();
            // The P-384 key is a primary key, the others are children of the endorsement key.
            let primary = folder == "p384";
            assert_eq!(signed.signer_is_child_of(&ENDORSEMENT), Some(primary), "{boot}/{folder}");
            if !primary {
                let parent = Public::parse_tpm2b(&file(boot, &format!("{folder}/ek.pub"))).unwrap();
                let parent = qualified_name(&parent, &ENDORSEMENT);
                assert_eq!(signed.signer_is_child_of(&parent), Some(true), "{boot}/{folder}");
            }
        }
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn what_a_tpm_wrote_is_written_back_byte_for_byte() {
    for boot in BOOTS {
        for (folder, name, _, _) in QUOTES {
            let attest = file(boot, &format!("{folder}/{name}.msg"));
            assert_eq!(Attest::parse(&attest).unwrap().to_bytes().unwrap(), attest);
            let signature = file(boot, &format!("{folder}/{name}.sig"));
            assert_eq!(Signature::parse(&signature).unwrap().to_bytes().unwrap(), signature);
            let area = file(boot, &format!("{folder}/ak.pub"));
            assert_eq!(Public::parse_tpm2b(&area).unwrap().to_tpm2b().unwrap(), area);
        }
    }
}
