//! Why an enrolment goes no further.

use nitrotpm_digest_lanes::HashAlgorithm;
use nitrotpm_signature::SignatureError;
use nitrotpm_tpm_wire::{AlgorithmId, EccCurve, ObjectAttributes, WireError};

/// Why an enrolment goes no further. No variant holds a secret, or tells how near an answer was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolmentError {
    /// Text that is not the JSON document that was expected.
    #[error("the {document} is malformed: {detail}; take it again as the tool wrote it")]
    Json {
        /// Which document.
        document: &'static str,
        /// What is wrong and where.
        detail: String,
    },
    /// A JSON document of another schema.
    #[error(
        "a {document} has the schema \"{expected}\", this document has \"{found}\"; give the file that belongs here"
    )]
    Schema {
        /// Which document was expected.
        document: &'static str,
        /// The schema expected.
        expected: &'static str,
        /// The schema found, cut to 64 characters.
        found: String,
    },
    /// A key that is no endorsement key we can encrypt to.
    #[error("the endorsement key cannot be used: {detail}; take it from `aws ec2 get-instance-tpm-ek-pub` or the TPM")]
    EndorsementKey {
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The endorsement key in the request is not the one that the verifier trusts.
    #[error(
        "the request names another endorsement key than the one given as trusted: it was made by another TPM, or the \
         other key type was fetched (RSA-2048 or P-384)"
    )]
    EndorsementKeyMismatch,
    /// An attestation key whose attributes do not make it one.
    #[error("the attestation key {}; make a new one with `nitrotpm-attester key create`", attributes(*.wrong, *.missing))]
    KeyAttributes {
        /// The attributes that are wrong.
        wrong: ObjectAttributes,
        /// Whether they are missing; otherwise they are set and must not be.
        missing: bool,
    },
    /// An attestation key given as PEM or DER.
    #[error(
        "a PEM or DER key has no TPM attributes and cannot be enrolled; give the key's TPM2B_PUBLIC or TPMT_PUBLIC"
    )]
    NoAttributes,
    /// An attestation key that leaves its scheme open, or fixes one that is not accepted.
    #[error("the attestation key fixes the scheme {found}; RSASSA, RSAPSS or ECDSA with SHA-256 or better is needed")]
    KeyScheme {
        /// The scheme it fixes; NULL for none.
        found: AlgorithmId,
    },
    /// A Name that cannot be computed.
    #[error("the key's Name is made with {found}; SHA-256, SHA-384 or SHA-512 is needed")]
    NameAlgorithm {
        /// The algorithm it states.
        found: AlgorithmId,
    },
    /// A hash that is not accepted in enrolment.
    #[error("{hash} is too weak for a key's Name: two keys with one Name can be made; use SHA-256 or better")]
    Hash {
        /// The hash.
        hash: HashAlgorithm,
    },
    /// An RSA key whose stated size is not that of its modulus.
    #[error("the key states {stated} bits and its modulus has {found} bytes; the public area was altered")]
    KeySize {
        /// The size it states, in bits.
        stated: u16,
        /// The size of the modulus, in bytes.
        found: usize,
    },
    /// A curve that is not supported.
    #[error("the key is on {found}; P-256 and P-384 are supported")]
    Curve {
        /// The curve.
        found: EccCurve,
    },
    /// Text that is no instance identifier.
    #[error("an instance identifier is \"i-\" and 8 to 17 digits 0-9 and a-f, nothing before or after")]
    InstanceId,
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
    /// A time that cannot be written.
    #[error("the time of enrolment is not in the years 1970 to 9999; set the clock")]
    Time,
    /// The system gave no randomness.
    #[error("the system gave no random bytes; nothing was sent, try again")]
    Random,
    /// The cipher took no key of this size: the key derivation gave another length than the cipher needs.
    #[error("the cipher of the endorsement key cannot be computed; report this with the endorsement key")]
    Cipher,
    /// Bytes that are not the TPM structure that was expected.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A public key that is none.
    #[error(transparent)]
    Key(#[from] SignatureError),
}

fn attributes(wrong: ObjectAttributes, missing: bool) -> String {
    let names = wrong.names().collect::<Vec<_>>().join(", ");
    format!("{} {names}", if missing { "lacks" } else { "must not have" })
}

impl EnrolmentError {
    /// Every code of this crate that [`EnrolmentError::code`] can return; beside them it returns those of
    /// [`WireError::CODES`] and [`SignatureError::CODES`].
    pub const CODES: &'static [&'static str] = &[
        "credential.json",
        "credential.schema",
        "credential.ek",
        "credential.ek-mismatch",
        "credential.ak-attributes",
        "credential.ak-no-attributes",
        "credential.ak-scheme",
        "credential.name-algorithm",
        "credential.hash",
        "credential.key-size",
        "credential.curve",
        "credential.instance-id",
        "credential.answer",
        "credential.secret-length",
        "credential.time",
        "credential.random",
        "credential.cipher",
    ];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json { .. } => "credential.json",
            Self::Schema { .. } => "credential.schema",
            Self::EndorsementKey { .. } => "credential.ek",
            Self::EndorsementKeyMismatch => "credential.ek-mismatch",
            Self::KeyAttributes { .. } => "credential.ak-attributes",
            Self::NoAttributes => "credential.ak-no-attributes",
            Self::KeyScheme { .. } => "credential.ak-scheme",
            Self::NameAlgorithm { .. } => "credential.name-algorithm",
            Self::Hash { .. } => "credential.hash",
            Self::KeySize { .. } => "credential.key-size",
            Self::Curve { .. } => "credential.curve",
            Self::InstanceId => "credential.instance-id",
            Self::Answer => "credential.answer",
            Self::SecretLength { .. } => "credential.secret-length",
            Self::Time => "credential.time",
            Self::Random => "credential.random",
            Self::Cipher => "credential.cipher",
            Self::Wire(error) => error.code(),
            Self::Key(error) => error.code(),
        }
    }
}
