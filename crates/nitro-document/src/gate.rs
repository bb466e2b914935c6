//! The first certificate engine: rustls-webpki's path validation (RFC 5280, section 6), P-384 with SHA-384 only.

use nitrotpm_signature::{Backend, PublicKey};
use pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, UnixTime, alg_id,
};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::ecdsa::{CertificateSignature, HeldSignatures};

/// How this engine checks a signature: with the caller's backend, except that one which the other engine has checked is
/// not computed again.
///
/// The engines stay two. Each reads the certificates with a parser of its own and decides alone which key must have
/// signed which bytes, and what path, time and constraints allow; both must accept. They share the answer to one question,
/// for equal key, message and signature: whether the numbers hold. A second computation of it by the same library could
/// only repeat the first. Where the engines read a certificate differently they ask about different bytes, and this one
/// computes for itself.
#[derive(Debug)]
pub(crate) struct SignatureCheck<'c> {
    pub(crate) backend: Backend,
    pub(crate) held: &'c HeldSignatures<'c>,
}

impl SignatureVerificationAlgorithm for SignatureCheck<'_> {
    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        if self.held.contain(public_key, message, signature) {
            return Ok(());
        }
        let key = PublicKey::from_sec1(public_key).map_err(|_| InvalidSignature)?;
        let holds = CertificateSignature { key, message, signature }.holds(self.backend);
        if holds { Ok(()) } else { Err(InvalidSignature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P384
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA384
    }
}

/// Validates the path from the leaf over exactly these intermediates to the root, at a time; otherwise why not.
///
/// The leaf has no extended key usage; the usage asked for here is one that webpki demands only where that extension is
/// present. No revocation list is consulted.
pub(crate) fn validate_path(
    root: &CertificateDer<'_>,
    intermediates: &[Vec<u8>],
    leaf: &[u8],
    at: UnixTime,
    signatures: &SignatureCheck<'_>,
) -> Result<(), String> {
    let anchors = [anchor_from_trusted_cert(root).map_err(|error| error.to_string())?];
    let intermediates: Vec<CertificateDer<'_>> =
        intermediates.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let leaf = CertificateDer::from(leaf);
    let leaf = EndEntityCert::try_from(&leaf).map_err(|error| error.to_string())?;
    let path = leaf
        .verify_for_usage(&[signatures], &anchors, &intermediates, at, KeyUsage::client_auth(), None, None)
        .map_err(|error| error.to_string())?;
    let used = path.intermediate_certificates().count();
    if used == intermediates.len() {
        Ok(())
    } else {
        Err(format!("the path needs {used} of the {} intermediates", intermediates.len()))
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use nitrotpm_document_issuer::{Pki, Profile};

    use super::*;
    use crate::ChainCache;
    use crate::chain::Chain;

    const MADE: u64 = 1_780_315_200;

    struct Certificates {
        bundle: Vec<Vec<u8>>,
        leaf: Vec<u8>,
    }

    impl Certificates {
        fn new() -> Self {
            let profile = Profile::aws("i-0123456789abcdef0-tpm0000000000000000", "eu-central-1", MADE).unwrap();
            let pki = Pki::generate(&profile).unwrap();
            Self { bundle: pki.cabundle(), leaf: pki.issue_leaf(&profile.leaf).unwrap().0 }
        }

        /// The last byte of one's signature altered; 4 is the leaf.
        fn altered(mut self, place: usize) -> Self {
            *self.bundle.get_mut(place).unwrap_or(&mut self.leaf).last_mut().unwrap() ^= 1;
            self
        }

        fn chain(&self) -> Chain<'_> {
            Chain::parse(&self.bundle, &self.leaf).unwrap()
        }

        fn validate(&self, held: &HeldSignatures<'_>) -> Result<(), String> {
            let at = UnixTime::since_unix_epoch(Duration::from_secs(MADE));
            let root = CertificateDer::from(self.bundle[0].as_slice());
            for backend in Backend::ALL {
                let check = SignatureCheck { backend: *backend, held };
                validate_path(&root, &self.bundle[1..], &self.leaf, at, &check)?;
            }
            Ok(())
        }
    }

    #[test]
    fn the_gate_computes_what_nobody_checked_before() {
        let none = HeldSignatures::default();
        Certificates::new().validate(&none).unwrap();
        for place in 1..5 {
            let altered = Certificates::new().altered(place);
            assert!(altered.validate(&none).is_err(), "{place}");
            // What holds of another chain is no answer about this one.
            let other = Certificates::new();
            let chain = other.chain();
            let held = chain.check_signatures(Backend::default(), None).unwrap();
            assert!(altered.validate(&held).is_err(), "{place}");
            other.validate(&held).unwrap();
        }
    }

    /// That hits do skip the arithmetic shows where an entry says what is not so; none can get in like that.
    #[test]
    fn what_was_computed_before_is_not_computed_again() {
        for place in 1..5 {
            let altered = Certificates::new().altered(place);
            let chain = altered.chain();
            let cache = ChainCache::default();
            assert!(chain.check_signatures(Backend::default(), Some(&cache)).is_err());
            assert!(cache.is_empty());
            cache.remember(&chain.prefixes(Backend::default()));
            let held = chain.check_signatures(Backend::default(), Some(&cache)).unwrap();
            altered.validate(&held).unwrap();
            // And without the cache nothing changed.
            assert!(chain.check_signatures(Backend::default(), None).is_err());
        }
    }
}
