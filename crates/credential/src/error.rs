//! Why an enrolment goes no further.

use nitrotpm_enrolment::EnrolmentError;
use nitrotpm_tpm_wire::WireError;

/// Why an enrolment goes no further. No variant holds a secret, or tells how near an answer was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The endorsement key in the request is not the one that the verifier trusts.
    #[error(
        "the request names another endorsement key than the one given as trusted: it was made by another TPM, or the \
         other key type was fetched (RSA-2048 or P-384)"
    )]
    EndorsementKeyMismatch,
    /// An answer that does not hold this challenge's secret.
    #[error(
        "the answer is not the one to this challenge: the attestation key is not in the TPM with that endorsement key, or \
         the answer belongs to another challenge; the challenge is used up, so make a new one"
    )]
    Answer,
    /// A secret that no credential holds.
    #[error("a credential for this endorsement key holds 1 to {limit} bytes, not {found}")]
    SecretLength {
        /// How many bytes there were.
        found: usize,
        /// The size of the endorsement key's Name hash.
        limit: usize,
    },
    /// The system gave no randomness.
    #[error("the system gave no random bytes; nothing was sent, try again")]
    Random,
    /// The cipher took no key of this size: the key derivation gave another length than the cipher needs.
    #[error("the cipher of the endorsement key cannot be computed; report this with the endorsement key")]
    Cipher,
    /// Keys that cannot be enrolled, or a document that cannot be read.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
}

impl From<WireError> for CredentialError {
    fn from(error: WireError) -> Self {
        Self::Enrolment(error.into())
    }
}

impl CredentialError {
    /// Every code of this crate that [`CredentialError::code`] can return; beside them it returns those of
    /// [`EnrolmentError::code`].
    pub const CODES: &'static [&'static str] = &[
        "credential.ek-mismatch",
        "credential.answer",
        "credential.secret-length",
        "credential.random",
        "credential.cipher",
    ];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::EndorsementKeyMismatch => "credential.ek-mismatch",
            Self::Answer => "credential.answer",
            Self::SecretLength { .. } => "credential.secret-length",
            Self::Random => "credential.random",
            Self::Cipher => "credential.cipher",
            Self::Enrolment(error) => error.code(),
        }
    }

    /// Whether the system is at fault, and neither keys nor documents are.
    #[must_use]
    pub const fn is_environment(&self) -> bool {
        matches!(self, Self::Random | Self::Cipher)
    }
}
