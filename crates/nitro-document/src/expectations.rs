//! What the caller demands of a document.

use core::time::Duration;

use nitrotpm_freshness::{Clock, NonceExpectation};
use nitrotpm_signature::Backend;

use crate::ChainCache;

/// How many seconds the document's time may be ahead of the verifier's clock.
///
/// AWS's leaf certificate is valid from three seconds before the document's time, so this is the lag that the
/// certificates grant; a greater tolerance here would have no effect.
pub const CLOCK_SKEW_SECONDS: u64 = 3;

/// The time, the nonce and the age that a document is held against, and the signature library that does the work.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DocumentExpectations<'a> {
    /// The time at which certificates must be valid and against which the age is taken.
    pub clock: Clock,
    /// The nonce that the document must carry.
    pub nonce: NonceExpectation<'a>,
    /// The greatest age, from the document's own signed time to the clock. `None`: the age is bounded by the leaf
    /// certificate's three hours only.
    pub max_age: Option<Duration>,
    /// Which library checks the signatures of the document and of the certificates, for both engines.
    pub backend: Backend,
    /// Where chains are remembered whose signatures held. `None`: every signature is computed.
    pub chain_cache: Option<&'a ChainCache>,
}

impl<'a> DocumentExpectations<'a> {
    /// Expectations with no limit of age of their own, the default backend and no cache.
    #[must_use]
    pub fn new(clock: Clock, nonce: NonceExpectation<'a>) -> Self {
        Self { clock, nonce, max_age: None, backend: Backend::default(), chain_cache: None }
    }

    /// The same with a greatest age.
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// The same with another signature backend.
    #[must_use]
    pub const fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// The same with a cache of chains, which may be shared with other verifications.
    #[must_use]
    pub const fn chain_cache(mut self, cache: &'a ChainCache) -> Self {
        self.chain_cache = Some(cache);
        self
    }
}
