//! Which keys are trusted: decided by the caller and the engine, never by a policy or by the evidence.

use std::sync::Arc;

use nitrotpm_nitro_document::{ChainCache, TrustRoots};
use nitrotpm_quote::AttestationKey;
use nitrotpm_signature::Backend;

use crate::enrolment::Enrolment;

/// The anchors against which evidence is authenticated.
///
/// A document is trusted where its chain ends in one of the roots. A quote is trusted where its key is
/// 1. pinned by the caller, or
/// 2. enrolled (a record made by credential activation against the endorsement key), or
/// 3. named by the AWS-signed document of the same evidence, whose PCRs then must equal the quoted ones. Such a key
///    vouches for nothing beyond the document's own PCRs: whoever runs the instance chooses it.
///
/// Where a caller pins or enrols keys, only those are accepted and the third way is closed.
#[derive(Clone, Debug)]
pub struct Trust {
    pub(crate) roots: TrustRoots,
    pub(crate) pinned: Vec<AttestationKey>,
    pub(crate) enrolments: Vec<Enrolment>,
    pub(crate) allow_sha1: bool,
    pub(crate) backend: Backend,
    pub(crate) chain_cache: Option<Arc<ChainCache>>,
}

impl Trust {
    /// Trusts documents whose chain ends in AWS's Nitro root, and no attestation key yet.
    #[must_use]
    pub fn aws() -> Self {
        Self::roots(TrustRoots::aws())
    }

    /// Trusts documents whose chain ends in one of these roots, and AWS's root only if it is among them.
    #[must_use]
    pub fn roots(roots: TrustRoots) -> Self {
        Self {
            roots,
            pinned: Vec::new(),
            enrolments: Vec::new(),
            allow_sha1: false,
            backend: Backend::default(),
            chain_cache: None,
        }
    }

    /// Trusts quotes by this key. A key that carries TPM attributes must have those of an attestation key; one given as
    /// PEM or DER carries none, and results say that they are unknown.
    #[must_use]
    pub fn pin(mut self, key: AttestationKey) -> Self {
        self.pinned.push(key);
        self
    }

    /// Trusts quotes by the attestation key of an enrolment record.
    #[must_use]
    pub fn enrol(mut self, enrolment: Enrolment) -> Self {
        self.enrolments.push(enrolment);
        self
    }

    /// Accepts SHA-1: PCRs of the SHA-1 bank, and signatures over SHA-1.
    #[must_use]
    pub const fn allow_sha1(mut self) -> Self {
        self.allow_sha1 = true;
        self
    }

    /// Checks signatures with this backend instead of the default.
    #[must_use]
    pub const fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Remembers in `cache` the certificate chains of documents whose signatures held, and does not compute them again.
    /// Results are the same with and without; what a hit skips is said at [`ChainCache`]. Clones of this value share the
    /// cache, and so may others.
    #[must_use]
    pub fn chain_cache(mut self, cache: Arc<ChainCache>) -> Self {
        self.chain_cache = Some(cache);
        self
    }
}
