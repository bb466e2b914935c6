//! Why reference values cannot be read or written.

use nitrotpm_pcr::{Bank, PcrIndex};
use nitrotpm_verifier::PolicyError;

/// Why reference values cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceValueError {
    /// Nothing to write.
    #[error("there is no image to write; every image of the policy is revoked, expired or too old, or none was given")]
    NoImage,
    /// A policy or statement that proves less than it seems to.
    #[error("{what}")]
    Dangerous {
        /// What and why.
        what: String,
    },
    /// A principal that is no ARN.
    #[error(
        "\"{found}\" names no principal; give the ARN of a role or user (arn:aws:iam::111122223333:role/Web) or an account \
         id of 12 digits"
    )]
    Principal {
        /// What was given.
        found: String,
    },
    /// KMS compares SHA-384 values alone.
    #[error(
        "image \"{image}\" names PCRs of bank {bank}; KMS compares the SHA-384 values of the document, so a statement \
         without the others would demand less than the policy"
    )]
    OtherBank {
        /// The image.
        image: String,
        /// The bank.
        bank: Bank,
    },
    /// A policy that is to be merged cannot be read.
    #[error("the {which} policy: {source}")]
    Policy {
        /// `old` or `new`.
        which: &'static str,
        /// Why.
        source: PolicyError,
    },
    /// Two builds of one name.
    #[error("both policies have an image \"{image}\", with different values; give each build a name of its own")]
    SameName {
        /// The name.
        image: String,
    },
    /// Images in a form that cannot be put beside others.
    #[error("the {which} policy has its images in one line; write each as a table of its own, [[image]]")]
    Inline {
        /// `old` or `new`.
        which: &'static str,
    },
    /// Requirements that cannot both be kept.
    #[error("{key} differs between the policies and cannot be joined without loosening one; make them equal first")]
    Requirement {
        /// The key.
        key: &'static str,
    },
    /// A component file that is none.
    #[error(
        "{component}: {what}; a component is {{\"records\": [{{\"pcr\": 4, \"digests\": [{{\"hashAlg\": …, \"digest\": …}}]}}]}}"
    )]
    Pcrlock {
        /// The component's name.
        component: String,
        /// What is wrong.
        what: String,
    },
    /// More combinations of variants than anyone boots.
    #[error(
        "the variants of the components give {count} images; at most {} are read: import them in parts",
        crate::pcrlock::MAX_IMAGES
    )]
    TooManyVariants {
        /// How many there would be.
        count: usize,
    },
    /// An image whose events are not known.
    #[error(
        "systemd-pcrlock wants the events of image \"{image}\", and only its PCR values are known; export from a \
         prediction (--prediction) or an event log (--event-log)"
    )]
    NoEvents {
        /// The image.
        image: String,
    },
    /// A PCR without a value in any bank.
    #[error("image \"{image}\" has no value of PCR {pcr}")]
    NoValue {
        /// The image.
        image: String,
        /// The register.
        pcr: PcrIndex,
    },
    /// A CoRIM that cannot be read.
    #[error("the CoRIM cannot be read: {what}")]
    Corim {
        /// What is wrong.
        what: String,
    },
    /// Images that no CoRIM can hold.
    #[error("these images cannot be written as a CoRIM: {what}")]
    CorimImages {
        /// Why.
        what: String,
    },
    /// A CoRIM with an encoding that is not the deterministic one.
    #[error("the CoRIM is not deterministic CBOR (RFC 8949, section 4.2): {what}; encode it again")]
    CorimEncoding {
        /// What differs.
        what: &'static str,
    },
    /// A signature that does not hold.
    #[error("the CoRIM's signature does not hold under the key given: {what}")]
    CorimSignature {
        /// What is wrong.
        what: String,
    },
    /// A signed CoRIM and no key, or a key and no signature.
    #[error("{what}")]
    CorimTrust {
        /// What to do.
        what: &'static str,
    },
    /// A key that signs nothing of ours.
    #[error("the signing key: {what}; make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384")]
    SigningKey {
        /// What is wrong.
        what: &'static str,
    },
}

impl ReferenceValueError {
    /// Every code that [`Self::code`] can return; those of a policy beside them.
    pub const CODES: &'static [&'static str] = &[
        "corim.encoding",
        "corim.malformed",
        "corim.signature",
        "corim.signing-key",
        "corim.trust",
        "kms.other-bank",
        "kms.principal",
        "merge.inline-images",
        "merge.requirement",
        "merge.same-name",
        "pcrlock.malformed",
        "pcrlock.no-events",
        "pcrlock.too-many-variants",
        "predict.dangerous",
        "reference.no-image",
        "reference.no-value",
    ];

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoImage => "reference.no-image",
            // The code that a dangerous policy had when predictions alone gave one.
            Self::Dangerous { .. } => "predict.dangerous",
            Self::Principal { .. } => "kms.principal",
            Self::OtherBank { .. } => "kms.other-bank",
            Self::Policy { source, .. } => source.code(),
            Self::SameName { .. } => "merge.same-name",
            Self::Inline { .. } => "merge.inline-images",
            Self::Requirement { .. } => "merge.requirement",
            Self::Pcrlock { .. } => "pcrlock.malformed",
            Self::TooManyVariants { .. } => "pcrlock.too-many-variants",
            Self::NoEvents { .. } => "pcrlock.no-events",
            Self::NoValue { .. } => "reference.no-value",
            Self::Corim { .. } | Self::CorimImages { .. } => "corim.malformed",
            Self::CorimEncoding { .. } => "corim.encoding",
            Self::CorimSignature { .. } => "corim.signature",
            Self::CorimTrust { .. } => "corim.trust",
            Self::SigningKey { .. } => "corim.signing-key",
        }
    }
}
