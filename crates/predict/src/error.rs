//! Why nothing can be predicted.

use nitrotpm_uefi::{SecureBootVariable, UefiError};

/// Why there is no prediction at all. A single PCR that cannot be known is no error: see
/// [`Prediction::unpredictable`](crate::Prediction::unpredictable).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PredictError {
    /// A file that is not a PE image.
    #[error("{image} is not a PE image: {what} at offset {offset}; give the .efi file that is started")]
    NotPe {
        /// The image's name.
        image: String,
        /// What was wrong.
        what: &'static str,
        /// Where.
        offset: usize,
    },
    /// A PE image whose headers contradict the file or each other.
    #[error("{image}: {what} at offset {offset}; firmware would not load the image, build it again")]
    PeMalformed {
        /// The image's name.
        image: String,
        /// The contradiction.
        what: &'static str,
        /// Where.
        offset: usize,
    },
    /// An image for another processor.
    #[error("{image} is for machine type {machine:#06x}; EC2 starts 0x8664 (x86-64) and 0xaa64 (arm64)")]
    Machine {
        /// The image's name.
        image: String,
        /// The machine type in its header.
        machine: u16,
    },
    /// A kernel image whose systemd-stub has no version.
    #[error(
        "{image} has a .linux section and no version of systemd-stub: {what}; what is measured of the kernel depends on \
         it, build the image with an unstripped stub"
    )]
    StubVersion {
        /// The image's name.
        image: String,
        /// What was wrong.
        what: &'static str,
    },
    /// A variable that does not hold signature lists.
    #[error("{}: {source}", variable.name())]
    Variable {
        /// The variable.
        variable: SecureBootVariable,
        /// What is wrong with its content.
        source: UefiError,
    },
    /// An image that Secure Boot would refuse.
    #[error("firmware refuses to start {image}: {reason}")]
    Refused {
        /// The image's name.
        image: String,
        /// Why.
        reason: Refusal,
    },
    /// Nothing to start.
    #[error("no image was given; name the images that are started, in order")]
    NoImage,
    /// No bank to predict.
    #[error("no bank was asked for; name sha256, sha384 or sha512")]
    NoBank,
    /// A kernel policy or KMS statement that must not be written.
    #[error("{0}")]
    Dangerous(Danger),
    /// A policy needs a PCR that could not be predicted.
    #[error("PCR {pcr} was not predicted: {reason}")]
    NotPredicted {
        /// The register.
        pcr: u8,
        /// Why there is no value.
        reason: String,
    },
}

/// Why firmware with Secure Boot on does not start an image (UEFI Specification 2.10, section 32.5.3.3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The image has no signature, and db has no entry with its digest.
    #[error("it is not signed, and its digest {digest} is not in db; sign it with a key of db")]
    Unsigned {
        /// The image's SHA-256 Authenticode digest.
        digest: String,
    },
    /// No signature leads to db.
    #[error("{detail}; sign it with a key of db, or add the signer's certificate to db")]
    NotInDb {
        /// What became of its signatures.
        detail: String,
    },
    /// The image's digest is in dbx.
    #[error("its digest {digest} is in dbx; build and sign a newer image")]
    DigestInDbx {
        /// The digest.
        digest: String,
    },
    /// A certificate of the signature is in dbx.
    #[error("its signature leads to the certificate \"{subject}\", which is in dbx; sign it with another key")]
    CertificateInDbx {
        /// The certificate's subject.
        subject: String,
    },
    /// The digest of a certificate's to-be-signed part is in dbx.
    #[error("the certificate \"{subject}\" is revoked by its digest in dbx; sign it with another key")]
    CertificateRevoked {
        /// The certificate's subject.
        subject: String,
    },
    /// The certificate table does not add up.
    #[error("its certificate table is damaged: {what}; sign it again")]
    CertificateTable {
        /// What was wrong.
        what: &'static str,
    },
}

/// Why a policy proves nothing, or less than it seems to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Danger {
    /// PCR 4 without PCR 12 where Secure Boot is off.
    #[error(
        "PCR 4 without PCR 12 lets anyone append to the kernel command line while Secure Boot is off \
         (GHSA-xrv8-2pf5-f3q7); add PCR 12"
    )]
    CommandLineOpen,
    /// Nothing that depends on the image.
    #[error(
        "none of PCR 4, 7 and 11 is named, so the policy holds for any image; add PCR 4, or PCR 7 with Secure Boot"
    )]
    NoImage,
    /// PCR 7 alone where Secure Boot is off.
    #[error("PCR 7 is the same for every machine with Secure Boot off; add PCR 4 and PCR 12")]
    SecureBootOff,
    /// PCR 1 differs from instance to instance.
    #[error("PCR {0} cannot be relied on: 1 differs between instances, 16 and 23 can be reset by anyone; leave it out")]
    Volatile(u8),
}

impl PredictError {
    /// Every code that [`PredictError::code`] can return.
    pub const CODES: &'static [&'static str] = &[
        "predict.not-pe",
        "predict.pe-malformed",
        "predict.machine",
        "predict.stub-version",
        "predict.variable",
        "predict.refused",
        "predict.no-image",
        "predict.no-bank",
        "predict.dangerous",
        "predict.not-predicted",
    ];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotPe { .. } => "predict.not-pe",
            Self::PeMalformed { .. } => "predict.pe-malformed",
            Self::Machine { .. } => "predict.machine",
            Self::StubVersion { .. } => "predict.stub-version",
            Self::Variable { .. } => "predict.variable",
            Self::Refused { .. } => "predict.refused",
            Self::NoImage => "predict.no-image",
            Self::NoBank => "predict.no-bank",
            Self::Dangerous(_) => "predict.dangerous",
            Self::NotPredicted { .. } => "predict.not-predicted",
        }
    }
}
