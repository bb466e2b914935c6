//! Where bytes stop being the structure that was expected.

use crate::AlgorithmId;

/// Where bytes stop being the structure that was expected, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{structure} at byte {offset}: {kind}")]
pub struct WireError {
    /// The innermost structure that was being read, by the TCG's name.
    pub structure: &'static str,
    /// Where in the input the offending field starts, in bytes.
    pub offset: usize,
    /// What was wrong there.
    pub kind: WireErrorKind,
}

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireErrorKind {
    /// The input ends inside the structure.
    #[error("{needed} bytes are needed and {remaining} are left; the input was cut or is another structure")]
    Truncated {
        /// How many bytes the field needs.
        needed: usize,
        /// How many there were.
        remaining: usize,
    },
    /// The input goes on after the structure.
    #[error("bytes follow the structure (count: {count}); give the structure alone, with or without its size as asked")]
    Trailing {
        /// How many bytes follow.
        count: usize,
    },
    /// A buffer larger than its type allows.
    #[error("a buffer of {length} bytes where at most {limit} are allowed; the input is another structure")]
    TooLong {
        /// The size it states.
        length: usize,
        /// The most its type allows.
        limit: usize,
    },
    /// A list with more elements than its type allows.
    #[error("a list of {count} elements where at most {limit} are allowed; the input is another structure")]
    TooMany {
        /// The count it states.
        count: u32,
        /// The most its type allows.
        limit: u32,
    },
    /// An algorithm on which the layout of the rest hangs, and which is not known here.
    #[error("{field} is {id}, which is not supported there; make the key or the signature with RSA or ECDSA")]
    Algorithm {
        /// Which field.
        field: &'static str,
        /// What it says.
        id: AlgorithmId,
    },
    /// A value that the field cannot have.
    #[error("{field} is {value:#x}, which is not allowed there; the input was altered or is another structure")]
    Value {
        /// Which field.
        field: &'static str,
        /// What it says.
        value: u64,
    },
}

impl WireError {
    /// Every code that [`WireError::code`] can return.
    pub const CODES: &'static [&'static str] =
        &["tpm.truncated", "tpm.trailing-bytes", "tpm.too-long", "tpm.too-many", "tpm.algorithm", "tpm.value"];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.kind {
            WireErrorKind::Truncated { .. } => "tpm.truncated",
            WireErrorKind::Trailing { .. } => "tpm.trailing-bytes",
            WireErrorKind::TooLong { .. } => "tpm.too-long",
            WireErrorKind::TooMany { .. } => "tpm.too-many",
            WireErrorKind::Algorithm { .. } => "tpm.algorithm",
            WireErrorKind::Value { .. } => "tpm.value",
        }
    }
}
