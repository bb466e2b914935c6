//! Why keys are not enrolled, or a record is not read.

use nitrotpm_digest_lanes::HashAlgorithm;
use nitrotpm_signature::SignatureError;
use nitrotpm_tpm_wire::{AlgorithmId, EccCurve, ObjectAttributes, WireError};

/// Why keys are not enrolled, or a document of an enrolment is not read. The codes start with `credential.`, as those of
/// `nitrotpm-credential` do.
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
    #[error("this is no {document}: its schema is \"{found}\" and not \"{expected}\"; give the file that belongs here")]
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
    /// A time that cannot be written.
    #[error("the time of enrolment is not in the years 1970 to 9999; set the clock")]
    Time,
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
        "credential.ak-attributes",
        "credential.ak-no-attributes",
        "credential.ak-scheme",
        "credential.name-algorithm",
        "credential.hash",
        "credential.key-size",
        "credential.curve",
        "credential.instance-id",
        "credential.time",
    ];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json { .. } => "credential.json",
            Self::Schema { .. } => "credential.schema",
            Self::EndorsementKey { .. } => "credential.ek",
            Self::KeyAttributes { .. } => "credential.ak-attributes",
            Self::NoAttributes => "credential.ak-no-attributes",
            Self::KeyScheme { .. } => "credential.ak-scheme",
            Self::NameAlgorithm { .. } => "credential.name-algorithm",
            Self::Hash { .. } => "credential.hash",
            Self::KeySize { .. } => "credential.key-size",
            Self::Curve { .. } => "credential.curve",
            Self::InstanceId => "credential.instance-id",
            Self::Time => "credential.time",
            Self::Wire(error) => error.code(),
            Self::Key(error) => error.code(),
        }
    }
}
