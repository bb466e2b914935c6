//! From bytes to a document that can be believed.

use core::time::Duration;

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use nitrotpm_freshness::NonceExpectation;
use nitrotpm_signature::{Backend, PublicKey, Scheme, SignatureBytes};
use pki_types::UnixTime;

use crate::chain::Chain;
use crate::cose::{Envelope, SIGNATURE_LEN, signed_bytes};
use crate::expectations::CLOCK_SKEW_SECONDS;
use crate::gate::{SignatureCheck, validate_path};
use crate::names::ModuleId;
use crate::{DocumentError, DocumentExpectations, DocumentFields, TrustRoots, VerifiedDocument};

/// A document that was parsed and not verified: anybody may have written it, and nothing in it is a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedDocument {
    protected: Vec<u8>,
    payload: Vec<u8>,
    signature: [u8; SIGNATURE_LEN],
    fields: DocumentFields,
}

impl UnverifiedDocument {
    /// Parses a document: strict CBOR, the envelope AWS writes, the fields of a NitroTPM document, nothing after it.
    ///
    /// # Errors
    /// [`DocumentError`], with the code `document.wrong-type` for a Nitro Enclaves document. Nothing was verified then
    /// either: the error says what the bytes look like.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let envelope = Envelope::parse(bytes)?;
        let payload = bytes.get(envelope.payload.clone()).unwrap_or_default();
        let fields = DocumentFields::parse(payload, envelope.payload.start)?;
        let protected = bytes.get(envelope.protected).unwrap_or_default();
        Ok(Self { protected: protected.to_vec(), payload: payload.to_vec(), signature: envelope.signature, fields })
    }

    /// The fields as they stand, **for display only**: nothing vouches for them. What may be relied on is in
    /// [`VerifiedDocument`].
    #[must_use]
    pub const fn unverified_fields(&self) -> &DocumentFields {
        &self.fields
    }

    /// Verifies the document: its chain to one of `roots` by two engines that must both accept, its signature, its names
    /// and its time, and what the caller expects of clock, nonce and age.
    ///
    /// Authenticity comes first: an expired or stale document whose signatures do not hold is reported as not authentic.
    ///
    /// # Errors
    /// [`DocumentError`] with the first check that failed.
    pub fn verify(
        &self,
        roots: &TrustRoots,
        expectations: &DocumentExpectations<'_>,
    ) -> Result<VerifiedDocument, DocumentError> {
        let DocumentExpectations { clock, nonce, max_age, backend, chain_cache } = *expectations;
        let (fields, at) = (&self.fields, clock.time());

        // The root in the document counts only as a pointer to the same bytes among the caller's.
        let (root, intermediates) = fields.cabundle.split_first().ok_or_else(|| no_root(roots, &[]))?;
        let root = roots.find(root).ok_or_else(|| no_root(roots, root))?;

        // Authentic: who signed.
        let chain = Chain::parse(&fields.cabundle, &fields.certificate)?;
        chain.check_links()?;
        let held = chain.check_signatures(backend, chain_cache)?;
        self.check_signature(&chain.leaf_key()?, backend)?;

        // Entitled: may they have signed this, at this time.
        chain.check_profile()?;
        chain.check_validity(at, self.made())?;
        let region = chain.check_names(&fields.module_id)?;
        validate_path(root, intermediates, &fields.certificate, at, &SignatureCheck { backend, held: &held })
            .map_err(|path_validation| DocumentError::ChainEnginesDisagree { path_validation })?;

        // Fresh.
        self.check_timestamp(&chain, at)?;
        let nonce_checked = self.check_nonce(nonce)?;
        check_age(self.made(), at, max_age)?;

        let module = ModuleId::parse(&fields.module_id)
            .ok_or_else(|| DocumentError::ModuleId { module_id: crate::error::printable(&fields.module_id) })?;
        Ok(VerifiedDocument {
            instance_id: module.instance_id.into(),
            region,
            certificates: chain.summaries(),
            nonce_checked,
            clock,
            fields: fields.clone(),
        })
    }

    /// The document's own time in whole seconds.
    fn made(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_millis(self.fields.timestamp_millis))
    }

    /// ES384 over the received bytes. High and low s are both accepted, as ECDSA has it: a signature is not unique.
    fn check_signature(&self, key: &PublicKey, backend: Backend) -> Result<(), DocumentError> {
        let message = signed_bytes(&self.protected, &self.payload)?;
        let (r, s) = self.signature.split_at(SIGNATURE_LEN / 2);
        backend
            .verify(key, Scheme::Ecdsa(HashAlgorithm::Sha384), &message, SignatureBytes::Ecdsa { r, s })
            .map_err(|_| DocumentError::Signature)
    }

    /// The leaf lives from three seconds before the document's time to three hours after it, so that a time outside is no
    /// time of this document; and none may be ahead of the verifier's clock by more than the leaf allows.
    fn check_timestamp(&self, chain: &Chain<'_>, at: UnixTime) -> Result<(), DocumentError> {
        let timestamp_millis = self.fields.timestamp_millis;
        let error = |problem: &str| Err(DocumentError::Timestamp { timestamp_millis, problem: problem.into() });
        let made = self.made();
        if !chain.leaf_was_valid_at(made) {
            let taken_as_seconds = UnixTime::since_unix_epoch(Duration::from_secs(timestamp_millis));
            return if chain.leaf_was_valid_at(taken_as_seconds) {
                error("counts seconds where milliseconds are due")
            } else {
                error("lies outside its certificate's validity")
            };
        }
        if made.as_secs() > at.as_secs().saturating_add(CLOCK_SKEW_SECONDS) {
            return error("lies in the future of the time of judgement; check the verifier's clock");
        }
        Ok(())
    }

    fn check_nonce(&self, expected: NonceExpectation<'_>) -> Result<bool, DocumentError> {
        match (expected, &self.fields.nonce) {
            (NonceExpectation::NotChecked, _) => Ok(false),
            (NonceExpectation::Expected(expected), Some(found)) if expected.matches(found) => Ok(true),
            (NonceExpectation::Expected(_), found) => Err(DocumentError::Nonce { present: found.is_some() }),
        }
    }
}

/// Whether a document that was made then is no older than this, in whole seconds.
pub(crate) fn check_age(made: UnixTime, at: UnixTime, max_age: Option<Duration>) -> Result<(), DocumentError> {
    let age = Duration::from_secs(at.as_secs().saturating_sub(made.as_secs()));
    match max_age {
        Some(max_age) if age > max_age => Err(DocumentError::Stale { made, age, max_age }),
        _ => Ok(()),
    }
}

fn no_root(roots: &TrustRoots, der: &[u8]) -> DocumentError {
    DocumentError::ChainRoot { sha256: hash(HashAlgorithm::Sha256, &[der]).to_string(), roots: roots.len() }
}
