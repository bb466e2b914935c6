//! Why an answer of KMS stays closed.

/// Why an answer of KMS stays closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// Bytes that are not BER, or not this structure.
    #[error("{structure} at byte {offset}: {detail}; take CiphertextForRecipient as KMS gave it, decoded from base64")]
    Malformed {
        /// The field that was being read, by its name in RFC 5652.
        structure: &'static str,
        /// Where in the input it starts, in bytes.
        offset: usize,
        /// What is wrong there.
        detail: &'static str,
    },
    /// More bytes than KMS ever answers with.
    #[error("the answer has {length} bytes, and KMS gives at most {limit}; it is something else")]
    TooLong {
        /// How many there are.
        length: usize,
        /// The most that are read.
        limit: usize,
    },
    /// A well-formed structure with algorithms that KMS does not use.
    #[error("{structure} at byte {offset}: {detail}; ask KMS with KeyEncryptionAlgorithm RSAES_OAEP_SHA_256")]
    Algorithm {
        /// The field.
        structure: &'static str,
        /// Where it starts, in bytes.
        offset: usize,
        /// What was expected.
        detail: &'static str,
    },
    /// A private key that cannot be used.
    #[error("the private key cannot be used: {detail}; give an RSA key of 2048 to 4096 bits as PKCS#8, PEM or DER")]
    Key {
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The envelope does not open. Deliberately one error: how far it got would help who guesses.
    #[error("the answer does not open with this key: it was encrypted to another one, or it was altered")]
    NotOpened,
    /// The system gave no randomness.
    #[error("the system gave no random bytes; try again")]
    Random,
}

impl RecipientError {
    /// Every code that [`RecipientError::code`] can return.
    pub const CODES: &'static [&'static str] = &[
        "recipient.malformed",
        "recipient.too-long",
        "recipient.algorithm",
        "recipient.key",
        "recipient.not-opened",
        "recipient.random",
    ];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "recipient.malformed",
            Self::TooLong { .. } => "recipient.too-long",
            Self::Algorithm { .. } => "recipient.algorithm",
            Self::Key { .. } => "recipient.key",
            Self::NotOpened => "recipient.not-opened",
            Self::Random => "recipient.random",
        }
    }
}
