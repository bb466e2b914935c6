//! Real documents: one of a NitroTPM, five of Nitro enclaves, one that was made to be refused.

use core::time::Duration;
use std::thread;

use nitrotpm_document_issuer::{DocumentContents, Issuer, Pki, Profile};
use nitrotpm_freshness::{Clock, Nonce, NonceExpectation, UnixTime};
use nitrotpm_nitro_document::{
    AWS_ROOT_SHA256, DocumentError, DocumentExpectations, NotNitroTpm, TrustRoots, UnverifiedDocument, VerifiedDocument,
};
use nitrotpm_pcr::{Bank, PcrIndex};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::corpus;

const REAL: &str = "nitro/nitrotpm/vaportpm-us-east-1-2026-02-03.cbor";
/// When the real document was made, in whole seconds.
const MADE: u64 = 1_770_113_522;
/// 2026-02-03T11:00:00Z: 48 minutes after the document was made.
const WITHIN_THE_HOUR: u64 = 1_770_116_400;
/// 2026-11-24T00:00:00Z.
const MONTHS_LATER: u64 = 1_795_478_400;

fn verify_with(bytes: &[u8], seconds: u64, nonce: NonceExpectation<'_>) -> Result<VerifiedDocument, DocumentError> {
    let clock = Clock::Audit(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
    UnverifiedDocument::parse(bytes)?.verify(&TrustRoots::aws(), &DocumentExpectations::new(clock, nonce))
}

fn verify(bytes: &[u8], seconds: u64) -> Result<VerifiedDocument, DocumentError> {
    verify_with(bytes, seconds, NonceExpectation::NotChecked)
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn the_real_document_verifies_while_its_certificate_is_valid() {
    let document = verify(&corpus::read(REAL), WITHIN_THE_HOUR).unwrap();
    assert_eq!(document.module_id(), "i-01cfb383223e42522-tpm0000000000000000");
    assert_eq!(document.instance_id(), "i-01cfb383223e42522");
    assert_eq!(document.region(), "us-east-1");
    assert_eq!(document.timestamp_millis(), 1_770_113_522_437);
    assert_eq!(document.digest(), "SHA384");
    assert_eq!(document.pcrs().len(), 24);
    assert_eq!(document.public_key().map(<[u8]>::len), Some(65));
    assert_eq!(document.user_data(), None);
    assert_eq!(document.nonce().map(<[u8]>::len), Some(32));
    assert_eq!(document.certificates().len(), 5);
    assert_eq!(document.certificates()[0].sha256.as_bytes(), AWS_ROOT_SHA256);
    assert!(document.unknown_keys().is_empty() && document.registers_beyond_23().is_empty());
    assert!(!document.nonce_checked());
    let drtm = document.pcrs().get(Bank::Sha384, PcrIndex::new(17).unwrap()).unwrap();
    assert!(drtm.as_bytes().iter().all(|byte| *byte == 0xFF));
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn the_real_document_is_expired_months_later_and_says_when_it_was_made() {
    let error = verify(&corpus::read(REAL), MONTHS_LATER).unwrap_err();
    assert_eq!(error.code(), "document.certificate-expired");
    let text = error.to_string();
    assert!(text.contains("2026-02-03T13:12:02Z") && text.contains("--at 2026-02-03T10:12:02Z"), "{text}");
    // The remedy works.
    verify(&corpus::read(REAL), MADE).unwrap();
    assert_eq!(verify(&corpus::read(REAL), MADE - 4).unwrap_err().code(), "document.certificate-not-yet-valid");
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn the_real_document_answers_its_nonce_and_no_other() {
    let bytes = corpus::read(REAL);
    let found = verify(&bytes, WITHIN_THE_HOUR).unwrap().nonce().unwrap().to_vec();
    let with =
        |nonce: &[u8]| verify_with(&bytes, WITHIN_THE_HOUR, NonceExpectation::Expected(&Nonce::new(nonce).unwrap()));
    assert!(with(&found).unwrap().nonce_checked());
    let mut other = found.clone();
    other[31] ^= 1;
    for wrong in [other.as_slice(), &found[..31], &[0]] {
        assert_eq!(with(wrong).unwrap_err().code(), "document.nonce");
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn d8_the_real_document_under_another_root_is_refused() {
    let issuer = Issuer::new("us-east-1", MADE).unwrap();
    let mut roots = TrustRoots::empty();
    let document = UnverifiedDocument::parse(&corpus::read(REAL)).unwrap();
    let clock = Clock::Audit(UnixTime::since_unix_epoch(Duration::from_secs(WITHIN_THE_HOUR)));
    let expectations = DocumentExpectations::new(clock, NonceExpectation::NotChecked);
    assert_eq!(document.verify(&roots, &expectations).unwrap_err().code(), "document.chain-root");
    roots.add_pem(issuer.root_pem().as_bytes()).unwrap();
    assert_eq!(document.verify(&roots, &expectations).unwrap_err().code(), "document.chain-root");
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn d1_every_real_enclave_document_is_of_the_wrong_type() {
    // Each at the time it was made, when its chain and signature are good.
    for (name, made) in [
        ("blocky-debug-max1024-2024-09-07", 1_725_719_886),
        ("dstack-2025-12-25", 1_766_668_537),
        ("dstack-debug-2025-12-25", 1_766_650_846),
        ("evervault-debug-2022-10-12", 1_665_582_606),
        ("evervault-debug-2023-09-18", 1_695_049_410),
    ] {
        let error = verify(&corpus::read(&format!("nitro/enclaves/{name}.cbor")), made).unwrap_err();
        assert_eq!(error, DocumentError::WrongType(NotNitroTpm::Enclave), "{name}");
        assert_eq!(error.code(), "document.wrong-type");
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn d4_the_self_signed_negative_sample_is_refused() {
    // Its unprotected header is null, its bundle too, its leaf self-signed; the first of these stops it.
    let error = verify(&corpus::read("nitro/enclaves/blocky-selfsigned-NEGATIVE.cbor"), 1_713_379_906).unwrap_err();
    assert_eq!(error.code(), "document.cbor");
    assert!(error.to_string().contains("unprotected header"), "{error}");
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn the_real_document_with_one_bit_altered_anywhere_is_refused() {
    let bytes = corpus::read(REAL);
    verify(&bytes, WITHIN_THE_HOUR).unwrap();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for worker in 0..workers {
            let bytes = &bytes;
            scope.spawn(move || {
                for position in (worker..bytes.len()).step_by(workers) {
                    let mut altered = bytes.clone();
                    altered[position] ^= 1 << (position % 8);
                    assert!(verify(&altered, WITHIN_THE_HOUR).is_err(), "byte {position}");
                }
            });
        }
    });
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn the_real_document_cut_short_anywhere_is_refused() {
    let bytes = corpus::read(REAL);
    for length in 0..bytes.len() {
        assert!(UnverifiedDocument::parse(&bytes[..length]).is_err(), "{length} bytes");
    }
}

/// What the emulator's documents will rest on: the issuer's certificates and bytes have the real ones' shape.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn the_issuers_documents_have_the_shape_of_the_real_one() {
    let bytes = corpus::read(REAL);
    let real = verify(&bytes, WITHIN_THE_HOUR).unwrap();
    let fields = UnverifiedDocument::parse(&bytes).unwrap().unverified_fields().clone();

    let profile = Profile::aws(real.module_id(), real.region(), MADE).unwrap();
    let pki = Pki::generate(&profile).unwrap();
    let (leaf, _) = pki.issue_leaf(&profile.leaf).unwrap();
    let ours = [pki.cabundle(), vec![leaf]].concat();
    let theirs = [fields.cabundle, vec![fields.certificate]].concat();
    assert_eq!(ours.len(), theirs.len());
    for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        let (_, ours) = X509Certificate::from_der(ours).unwrap();
        let (_, theirs) = X509Certificate::from_der(theirs).unwrap();
        assert_eq!(shape(&ours), shape(&theirs), "certificate {index}");
    }

    // The same contents make a document of the same length and the same bytes around the certificates and signatures,
    // whose lengths differ by the few bytes that a DER signature varies in.
    let mut issuer = Issuer::new(real.region(), MADE).unwrap();
    let contents = DocumentContents {
        module_id: real.module_id().into(),
        timestamp_millis: real.timestamp_millis(),
        pcrs: real.pcrs().clone(),
        public_key: real.public_key().map(<[u8]>::to_vec),
        user_data: None,
        nonce: real.nonce().map(<[u8]>::to_vec),
    };
    let ours = issuer.issue(&contents).unwrap();
    let cut = |bytes: &[u8]| {
        let key = b"certificate";
        let at = bytes.windows(key.len()).position(|window| window == key).unwrap();
        // All up to the certificate but the payload's length.
        [&bytes[..8], &bytes[10..at]].concat()
    };
    assert_eq!(cut(&ours), cut(&bytes));
    let after = |bytes: &[u8]| {
        let key = b"jpublic_key";
        let at = bytes.windows(key.len()).position(|window| window == key).unwrap();
        bytes[at..bytes.len() - 96].to_vec()
    };
    assert_eq!(after(&ours), after(&bytes));
}

/// What a certificate has in common with its like in any other document.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    /// The parts of the subject's name in order, with the tag of their text.
    subject: Vec<(String, u32)>,
    /// The extensions in order, whether they are critical, and their content where it holds no key and no URL.
    extensions: Vec<(String, bool, Option<Vec<u8>>)>,
    /// The length of the serial number; not the root's, whose first byte may add a zero.
    serial_len: Option<usize>,
    /// Seconds from the first to the last of the validity; not the root's, whose 30 years have more or fewer leap days.
    lifetime: Option<i64>,
}

fn shape(certificate: &X509Certificate<'_>) -> Shape {
    let fixed = ["2.5.29.19", "2.5.29.15"];
    let validity = certificate.validity();
    let is_root = certificate.subject() == certificate.issuer();
    Shape {
        subject: certificate
            .subject()
            .iter_attributes()
            .map(|attribute| (attribute.attr_type().to_string(), attribute.attr_value().tag().0))
            .collect(),
        extensions: certificate
            .extensions()
            .iter()
            .map(|extension| {
                let oid = extension.oid.to_string();
                let content = fixed.contains(&oid.as_str()).then(|| extension.value.to_vec());
                (oid, extension.critical, content)
            })
            .collect(),
        serial_len: (!is_root).then(|| certificate.raw_serial().len()),
        lifetime: (!is_root).then(|| validity.not_after.timestamp() - validity.not_before.timestamp()),
    }
}
