//! A lying or ill device, on demand: each fault is something that a verifier or a client should notice.

use std::fmt;
use std::str::FromStr;

/// Something that this device does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The document's signature has a bit flipped.
    WrongSignature,
    /// The document chains to another root than `root.pem`.
    UntrustedRoot,
    /// The document lacks the third certificate of its chain.
    ChainBroken,
    /// The document is ten minutes old. Its certificates are still valid.
    Stale,
    /// The document is four hours old. Its leaf certificate has expired.
    Expired,
    /// The document is from one hour in the future.
    Future,
    /// The document is shaped like one of a Nitro Enclave.
    WrongKind,
    /// A bit of PCR 4 is flipped in the document.
    PcrFlipped,
    /// PCR 4 and PCR 7 have changed places in the document.
    PcrSwapped,
    /// The document carries another nonce.
    WrongNonce,
    /// The document carries no nonce.
    NoNonce,
    /// The document carries another public key.
    WrongPublicKey,
    /// The document has the key `nonce` twice.
    DuplicateKey,
    /// The document ends 16 bytes early.
    Truncated,
    /// The module answers BufferTooSmall.
    BufferTooSmall,
    /// The module answers InternalError.
    InternalError,
    /// The index holds no CBOR after the command.
    Garbage,
    /// The vendor command takes two seconds.
    Slow,
    /// The vendor command is answered TPM_RC_FAILURE.
    Failing,
    /// The vendor command is answered TPM_RC_RETRY.
    Retry,
    /// The vendor command is answered TPM_RC_LOCKOUT.
    Lockout,
    /// The vendor command is unknown, as on a TPM that is no NitroTPM.
    NoVendorCommand,
    /// The vendor command is executed, and its response lost.
    DroppedResponse,
    /// The vendor command's response has a wrong HMAC.
    WrongHmac,
}

impl Fault {
    /// Each fault.
    pub const ALL: [Self; 24] = [
        Self::WrongSignature,
        Self::UntrustedRoot,
        Self::ChainBroken,
        Self::Stale,
        Self::Expired,
        Self::Future,
        Self::WrongKind,
        Self::PcrFlipped,
        Self::PcrSwapped,
        Self::WrongNonce,
        Self::NoNonce,
        Self::WrongPublicKey,
        Self::DuplicateKey,
        Self::Truncated,
        Self::BufferTooSmall,
        Self::InternalError,
        Self::Garbage,
        Self::Slow,
        Self::Failing,
        Self::Retry,
        Self::Lockout,
        Self::NoVendorCommand,
        Self::DroppedResponse,
        Self::WrongHmac,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrongSignature => "wrong-signature",
            Self::UntrustedRoot => "untrusted-root",
            Self::ChainBroken => "chain-broken",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Future => "future",
            Self::WrongKind => "wrong-kind",
            Self::PcrFlipped => "pcr-flipped",
            Self::PcrSwapped => "pcr-swapped",
            Self::WrongNonce => "wrong-nonce",
            Self::NoNonce => "no-nonce",
            Self::WrongPublicKey => "wrong-public-key",
            Self::DuplicateKey => "duplicate-key",
            Self::Truncated => "truncated",
            Self::BufferTooSmall => "buffer-too-small",
            Self::InternalError => "internal-error",
            Self::Garbage => "garbage",
            Self::Slow => "slow",
            Self::Failing => "failing",
            Self::Retry => "retry",
            Self::Lockout => "lockout",
            Self::NoVendorCommand => "no-vendor-command",
            Self::DroppedResponse => "dropped-response",
            Self::WrongHmac => "wrong-hmac",
        }
    }

    /// What the device does, in words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::WrongSignature => "the document's signature has a bit flipped",
            Self::UntrustedRoot => "the document chains to another root than `root.pem`",
            Self::ChainBroken => "the document lacks the third certificate of its chain",
            Self::Stale => "the document is ten minutes old. Its certificates are still valid",
            Self::Expired => "the document is four hours old. Its leaf certificate has expired",
            Self::Future => "the document is from one hour in the future",
            Self::WrongKind => "the document is shaped like one of a Nitro Enclave",
            Self::PcrFlipped => "a bit of PCR 4 is flipped in the document",
            Self::PcrSwapped => "PCR 4 and PCR 7 have changed places in the document",
            Self::WrongNonce => "the document carries another nonce",
            Self::NoNonce => "the document carries no nonce",
            Self::WrongPublicKey => "the document carries another public key",
            Self::DuplicateKey => "the document has the key `nonce` twice",
            Self::Truncated => "the document ends 16 bytes early",
            Self::BufferTooSmall => "the module answers BufferTooSmall",
            Self::InternalError => "the module answers InternalError",
            Self::Garbage => "the index holds no CBOR after the command",
            Self::Slow => "the vendor command takes two seconds",
            Self::Failing => "the vendor command is answered TPM_RC_FAILURE",
            Self::Retry => "the vendor command is answered TPM_RC_RETRY",
            Self::Lockout => "the vendor command is answered TPM_RC_LOCKOUT",
            Self::NoVendorCommand => "the vendor command is unknown, as on a TPM that is no NitroTPM",
            Self::DroppedResponse => "the vendor command is executed, and its response lost",
            Self::WrongHmac => "the vendor command's response has a wrong HMAC",
        }
    }

    /// Whether it is the document that is wrong, and not the device.
    pub(crate) const fn is_of_document(self) -> bool {
        matches!(
            self,
            Self::WrongSignature
                | Self::UntrustedRoot
                | Self::ChainBroken
                | Self::Stale
                | Self::Expired
                | Self::Future
                | Self::WrongKind
                | Self::PcrFlipped
                | Self::PcrSwapped
                | Self::WrongNonce
                | Self::NoNonce
                | Self::WrongPublicKey
                | Self::DuplicateKey
                | Self::Truncated
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no fault has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFault;

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such fault; there are")?;
        Fault::ALL.iter().try_for_each(|fault| write!(f, " {fault}"))
    }
}

impl std::error::Error for UnknownFault {}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        Self::ALL.into_iter().find(|fault| fault.name() == name).ok_or(UnknownFault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_a_name_of_its_own() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
        }
        assert!("no-fault".parse::<Fault>().unwrap_err().to_string().contains("wrong-signature"));
    }
}
