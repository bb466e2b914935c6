//! Why a document could not be made.

/// Why a certificate or document could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// The operating system gave no random bytes, or a key or signature could not be made.
    #[error("no key or signature could be made: {0}")]
    Crypto(String),
    /// A certificate could not be built.
    #[error("the certificate for {subject} could not be built: {problem}")]
    Certificate {
        /// The common name.
        subject: String,
        /// What the certificate library said.
        problem: String,
    },
    /// A time that no certificate can carry.
    #[error("{seconds} seconds after 1970 is not a time that a certificate can carry")]
    Time {
        /// The time.
        seconds: u64,
    },
    /// A module id without an instance in it.
    #[error("the module id \"{}\" is not of the form i-<hex>-tpm<hex>", .0.escape_debug())]
    ModuleId(String),
    /// A document without registers.
    #[error("the document has no SHA-384 register; a NitroTPM signs all 24")]
    NoRegisters,
}
