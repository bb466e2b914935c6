//! What the issuer makes, the verifier accepts: one document after the other, over days, across restarts.

use core::time::Duration;

use nitrotpm_digest_lanes::{Digest, HashAlgorithm};
use nitrotpm_document_issuer::{DocumentContents, Issuer, IssuerError};
use nitrotpm_freshness::{Clock, NonceExpectation, UnixTime};
use nitrotpm_nitro_document::{DocumentError, DocumentExpectations, TrustRoots, UnverifiedDocument, VerifiedDocument};
use nitrotpm_pcr::{PcrIndex, PcrValues};

const START: u64 = 1_780_315_200;
const DAY: u64 = 86_400;
const MODULE: &str = "i-0123456789abcdef0-tpm0000000000000000";

// `cfg(test)` tells clippy that helpers may unwrap as tests may.
#[cfg(test)]
fn contents(module_id: &str, seconds: u64) -> DocumentContents {
    let mut pcrs = PcrValues::new();
    for index in PcrIndex::all() {
        pcrs.insert(index, Digest::zero(HashAlgorithm::Sha384)).unwrap();
    }
    DocumentContents {
        module_id: module_id.into(),
        timestamp_millis: seconds.checked_mul(1000).unwrap(),
        pcrs,
        public_key: None,
        user_data: Some(Vec::new()),
        nonce: None,
    }
}

#[cfg(test)]
fn verify(root_pem: &str, document: &[u8], seconds: u64) -> Result<VerifiedDocument, DocumentError> {
    let mut roots = TrustRoots::empty();
    roots.add_pem(root_pem.as_bytes()).unwrap();
    let clock = Clock::Live(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
    UnverifiedDocument::parse(document)?.verify(&roots, &DocumentExpectations::new(clock, NonceExpectation::NotChecked))
}

fn chain(document: &VerifiedDocument) -> Vec<Digest> {
    document.certificates().iter().map(|certificate| certificate.sha256).collect()
}

#[test]
fn documents_of_one_day_share_their_authorities_and_each_has_its_leaf() {
    let mut issuer = Issuer::new("us-west-2", START).unwrap();
    let mut issue = |seconds| {
        let document = issuer.issue(&contents(MODULE, seconds)).unwrap();
        chain(&verify(&issuer.root_pem(), &document, seconds).unwrap())
    };
    let (first, second) = (issue(START), issue(START + 3600));
    assert_eq!(first[..4], second[..4]);
    assert_ne!(first[4], second[4]);
    // The instance's certificate lives a day, and a leaf is never issued beyond it.
    let later = issue(START + DAY);
    assert_eq!(first[0], later[0]);
    assert!((1..5).all(|place| first[place] != later[place]));
    // Back in time, before the new ones were valid.
    let earlier = issue(START + 60);
    assert!((1..5).all(|place| earlier[place] != later[place]));
}

#[test]
fn documents_verify_over_years_under_the_one_root() {
    let mut issuer = Issuer::new("us-west-2", START).unwrap();
    for days in [0, 1, 6, 21, 365, 3650, 10_950] {
        let seconds = START + days * DAY;
        let document = issuer.issue(&contents(MODULE, seconds)).unwrap();
        verify(&issuer.root_pem(), &document, seconds).unwrap();
    }
    // Past the root's 30 years the chain is what it is.
    let seconds = START + 10_958 * DAY;
    let document = issuer.issue(&contents(MODULE, seconds)).unwrap();
    let error = verify(&issuer.root_pem(), &document, seconds).unwrap_err();
    assert!(matches!(error, DocumentError::CertificateExpired { certificate, .. } if certificate.index == 0));
}

#[test]
fn one_issuer_serves_several_instances() {
    let mut issuer = Issuer::new("us-west-2", START).unwrap();
    for module in [MODULE, "i-00000000000000001-tpm0000000000000000", "i-12345678-tpm0000000000000001", MODULE] {
        let document = issuer.issue(&contents(module, START)).unwrap();
        let verified = verify(&issuer.root_pem(), &document, START).unwrap();
        assert_eq!((verified.module_id(), verified.region()), (module, "us-west-2"));
        assert_eq!(verified.user_data(), Some(&[][..]));
    }
}

#[test]
fn a_kept_root_issues_again() {
    let issuer = Issuer::new("us-west-2", START).unwrap();
    let (pem, der, key) = (issuer.root_pem(), issuer.root_der().to_vec(), issuer.root_key());
    drop(issuer);
    let mut restored = Issuer::restore("us-west-2", der.clone(), &key).unwrap();
    assert_eq!((restored.root_pem(), restored.root_der()), (pem.clone(), der.as_slice()));
    let document = restored.issue(&contents(MODULE, START)).unwrap();
    verify(&pem, &document, START).unwrap();

    assert!(matches!(Issuer::restore("us-west-2", der, &key[1..]), Err(IssuerError::Crypto(_))));
}

#[test]
fn contents_that_no_nitrotpm_has_are_refused() {
    let mut issuer = Issuer::new("us-west-2", START).unwrap();
    let mut none = contents(MODULE, START);
    none.pcrs = PcrValues::new();
    assert_eq!(issuer.issue(&none), Err(IssuerError::NoRegisters));
    let nameless = contents("nothing", START);
    assert_eq!(issuer.issue(&nameless), Err(IssuerError::ModuleId("nothing".into())));
    let mut never = contents(MODULE, START);
    never.timestamp_millis = u64::MAX;
    assert!(matches!(issuer.issue(&never), Err(IssuerError::Time { .. })));
    // And the next one is made as if nothing had been.
    let document = issuer.issue(&contents(MODULE, START)).unwrap();
    verify(&issuer.root_pem(), &document, START).unwrap();
}
