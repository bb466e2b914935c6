//! A document of which every check was passed.

use core::time::Duration;

use nitrotpm_digest_lanes::Digest;
use nitrotpm_freshness::Clock;
use nitrotpm_pcr::PcrValues;
use pki_types::UnixTime;

use crate::document::check_age;
use crate::{DocumentError, DocumentFields, UnknownKey};

/// What AWS's signature vouches for. Made by [`crate::UnverifiedDocument::verify`] alone.
///
/// `public_key`, `user_data` and `nonce` are what a privileged program on that instance passed in: AWS signs that it
/// did, not what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDocument {
    pub(crate) fields: DocumentFields,
    pub(crate) instance_id: String,
    pub(crate) region: String,
    pub(crate) certificates: Vec<CertificateSummary>,
    pub(crate) nonce_checked: bool,
    pub(crate) clock: Clock,
}

/// A certificate of the chain, for a result or a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateSummary {
    /// The subject, as `C=US, O=Amazon, …`, escaped for printing.
    pub subject: String,
    /// The first second of its validity.
    pub not_before: UnixTime,
    /// The last second of its validity.
    pub not_after: UnixTime,
    /// SHA-256 of its DER.
    pub sha256: Digest,
}

impl VerifiedDocument {
    /// The module: `i-01cfb383223e42522-tpm0000000000000000`.
    #[must_use]
    pub fn module_id(&self) -> &str {
        &self.fields.module_id
    }

    /// The instance, from the module id and equal in the names of its certificates: `i-01cfb383223e42522`.
    #[must_use]
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    /// The AWS region, from the leaf's name and equal along the chain: `us-east-1`.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// When the document was made, in milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn timestamp_millis(&self) -> u64 {
        self.fields.timestamp_millis
    }

    /// The hash algorithm of the registers: `SHA384`.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.fields.digest
    }

    /// The registers 0 to 23 that the document holds (real ones: all), bank SHA-384.
    #[must_use]
    pub const fn pcrs(&self) -> &PcrValues {
        &self.fields.pcrs
    }

    /// Registers 24 to 31, which no real document has.
    #[must_use]
    pub fn registers_beyond_23(&self) -> &[(u8, Digest)] {
        &self.fields.registers_beyond_23
    }

    /// The public key field: any bytes of up to 1,024.
    #[must_use]
    pub fn public_key(&self) -> Option<&[u8]> {
        self.fields.public_key.as_deref()
    }

    /// The user data field: any bytes of up to 1,024.
    #[must_use]
    pub fn user_data(&self) -> Option<&[u8]> {
        self.fields.user_data.as_deref()
    }

    /// The nonce field: any bytes of up to 1,024.
    #[must_use]
    pub fn nonce(&self) -> Option<&[u8]> {
        self.fields.nonce.as_deref()
    }

    /// The chain, root first, leaf last.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateSummary] {
        &self.certificates
    }

    /// Whether the nonce was compared with an expected one. If not, the document may be a replay within its age.
    #[must_use]
    pub const fn nonce_checked(&self) -> bool {
        self.nonce_checked
    }

    /// The clock that the document was judged by: live or audit, and the time.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Whether the document was no older than this when it was judged, in whole seconds: for a demand that was not yet
    /// known when it was verified.
    ///
    /// # Errors
    /// [`DocumentError::Stale`].
    pub fn check_age(&self, max_age: Duration) -> Result<(), DocumentError> {
        let made = UnixTime::since_unix_epoch(Duration::from_millis(self.fields.timestamp_millis));
        check_age(made, self.clock.time(), Some(max_age))
    }

    /// Keys of the payload that this crate does not know: signed by AWS, not understood here.
    #[must_use]
    pub fn unknown_keys(&self) -> &[UnknownKey] {
        &self.fields.unknown_keys
    }
}
