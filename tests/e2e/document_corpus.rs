//! Real documents: one of a NitroTPM, five of Nitro enclaves, one that was made to be refused.

use core::time::Duration;

use nitrotpm_freshness::{Clock, Nonce, NonceExpectation, UnixTime};
use nitrotpm_nitro_document::{
    DocumentError, DocumentExpectations, NotNitroTpm, TrustRoots, UnverifiedDocument, VerifiedDocument,
};
use nitrotpm_pcr::{Bank, PcrIndex};

use crate::corpus;

const REAL: &str = "nitro/nitrotpm/vaportpm-us-east-1-2026-02-03.cbor";
/// 2026-02-03T11:00:00Z: 48 minutes after the document was made.
const AN_HOUR_LATER: u64 = 1_770_116_400;
/// 2026-11-24T00:00:00Z.
const MONTHS_LATER: u64 = 1_795_478_400;

fn at(seconds: u64) -> Clock {
    Clock::Audit(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

fn verify(bytes: &[u8], seconds: u64) -> Result<VerifiedDocument, DocumentError> {
    let expectations = DocumentExpectations::new(at(seconds), NonceExpectation::NotChecked);
    UnverifiedDocument::parse(bytes)?.verify(&TrustRoots::aws(), &expectations)
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn the_real_document_verifies_while_its_certificate_is_valid() {
    let document = verify(&corpus::read(REAL), AN_HOUR_LATER).unwrap();
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
    assert!(document.unknown_keys().is_empty() && document.registers_beyond_23().is_empty());
    assert!(!document.nonce_checked());
    let drtm = document.pcrs().get(Bank::Sha384, PcrIndex::new(17).unwrap()).unwrap();
    assert!(drtm.as_bytes().iter().all(|byte| *byte == 0xFF));
}
