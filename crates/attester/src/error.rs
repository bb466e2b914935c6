//! What went wrong on the instance, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use nitrotpm_credential::{CredentialError, EnrolmentError};
use nitrotpm_kms_recipient::RecipientError;
use nitrotpm_pcr::Bank;
use nitrotpm_tpm_wire::WireError;

/// What went wrong on the instance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttesterError {
    /// A connection that is not understood.
    #[error(
        "\"{text}\" is no TPM connection: {detail}; say device:/dev/tpmrm0, swtpm:host=127.0.0.1,port=2321, \
         mssim:host=…,port=… or tabrmd"
    )]
    Connection {
        /// What was given.
        text: String,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// A selection of PCRs that is not understood.
    #[error("the PCR selection is not understood: {detail}; write it as in sha256:0,4,7+sha384:all")]
    Selection {
        /// What is wrong with it.
        detail: String,
    },
    /// No TPM device.
    #[error(
        "there is no TPM at {place}; on EC2 the AMI must be registered with --tpm-support v2.0 --boot-mode uefi, elsewhere \
         name one with --tcti"
    )]
    NoTpm {
        /// Where it was looked for.
        place: String,
    },
    /// A TPM that nothing answers for.
    #[error("the TPM at {place} does not answer: {detail}; check that it runs and that --tcti names it")]
    Unreachable {
        /// Where it was looked for.
        place: String,
        /// What the system says.
        detail: String,
    },
    /// A TPM that this user may not use.
    #[error("no permission to use {place}; run as root or join the group that owns it (often \"tss\")")]
    Permission {
        /// The device.
        place: String,
    },
    /// A device that another program holds.
    #[error("{place} is in use by another program; use the resource manager device:/dev/tpmrm0, or wait for it to end")]
    Busy {
        /// The device.
        place: String,
    },
    /// A TPM that was not started.
    #[error("the TPM was not started after power-on; the firmware does that, for a software TPM run `tpm2_startup -c`")]
    NotStarted,
    /// A TPM that refuses because of too many wrong authorizations.
    #[error(
        "the TPM is locked out after too many wrong passwords; wait until it recovers, or run `tpm2_dictionarylockout \
         --clear-lockout`"
    )]
    LockedOut,
    /// A wrong or missing authorization value.
    #[error("{command} needs a password that was not given or is wrong; {option}")]
    Authorization {
        /// The command's name in the TPM 2.0 Library.
        command: &'static str,
        /// Which option gives it.
        option: &'static str,
    },
    /// A key file that this TPM did not make.
    #[error(
        "this TPM cannot load the key: it was made by another TPM, or the TPM's endorsement hierarchy was reset since; \
         make a new one with `nitrotpm-attester key create` and enrol it"
    )]
    ForeignKey,
    /// A credential that this TPM refuses to open.
    #[error(
        "the TPM refuses the challenge: it was made for another TPM's endorsement key or for another attestation key, or it \
         was altered; ask the verifier for a new one"
    )]
    ChallengeRefused,
    /// A challenge for another key than the one at hand.
    #[error(
        "the challenge is for the key named {expected}, the key at hand is named {found}; use the key that was requested"
    )]
    ChallengeForAnotherKey {
        /// The Name in the challenge, in hexadecimal.
        expected: String,
        /// The Name of the key at hand.
        found: String,
    },
    /// A challenge whose endorsement key cannot be told.
    #[error("the challenge is for no endorsement key of a TCG template (RSA-2048, P-256, P-384); ask for one that is")]
    ChallengeKeyType,
    /// A handle at which there is nothing.
    #[error("there is nothing at handle {handle:#010x}; `nitrotpm-attester nv list` and `key list` show what there is")]
    NoSuchHandle {
        /// The handle.
        handle: u32,
    },
    /// A handle that is none of its kind.
    #[error("{handle:#x} is no handle of {kind}; write one as in {example}")]
    HandleRange {
        /// The handle.
        handle: u32,
        /// What it should be a handle of.
        kind: &'static str,
        /// One that is.
        example: &'static str,
    },
    /// An NV index that does not allow what is asked.
    #[error("NV index {handle:#010x}: {detail}; `nitrotpm-attester nv list` shows what it allows")]
    NvAccess {
        /// The index.
        handle: u32,
        /// What it does not allow.
        detail: String,
    },
    /// A password that no TPM takes.
    #[error("the password has {length} bytes, and a TPM's has at most 64; check the file that holds it")]
    PasswordLength {
        /// Its length.
        length: usize,
    },
    /// A bank that the TPM does not keep.
    #[error("the TPM does not keep the {bank} bank; `nitrotpm-attester capabilities` lists those it keeps")]
    BankNotActive {
        /// The bank.
        bank: Bank,
    },
    /// PCRs that kept moving while evidence was collected.
    #[error("PCRs changed between reading and quoting, {attempts} times in a row; collect when the system has settled")]
    PcrsMoving {
        /// How often it was tried.
        attempts: u32,
    },
    /// A nonce that a quote cannot carry.
    #[error("the nonce has {length} bytes, and a quote carries at most 64; ask the verifier for a shorter one")]
    NonceLength {
        /// Its length.
        length: usize,
    },
    /// A TPM that makes no attestation documents.
    #[error(
        "this TPM makes no attestation documents: {detail}; NitroTPM on EC2 does, and `nitrotpm-emulator` for tests, or \
         collect with --no-document"
    )]
    NoDocuments {
        /// How that was seen.
        detail: &'static str,
    },
    /// A field of a document that NitroTPM would not take.
    #[error("{field} has {length} bytes, and a document takes 1 to 1024; shorten it, or leave it out")]
    FieldLength {
        /// Which field.
        field: &'static str,
        /// Its length.
        length: usize,
    },
    /// NitroTPM refused to make a document.
    #[error("NitroTPM makes no document: {name}; check the length of user data, nonce and public key, or try again")]
    Nsm {
        /// The error's name in the interface of the Nitro Secure Module.
        name: String,
    },
    /// The program was told to end.
    #[error("interrupted; nothing was left in the TPM")]
    Interrupted,
    /// The system gave no randomness.
    #[error("the system gave no random bytes; try again")]
    Random,
    /// Another answer of the TPM than success.
    #[error("{command} failed with TPM response {response:#x} ({name}); {hint}")]
    Response {
        /// The command's name in the TPM 2.0 Library.
        command: &'static str,
        /// The response code, of the TPM or of a layer of the TSS.
        response: u32,
        /// Its name, if it has one.
        name: String,
        /// What to do.
        hint: &'static str,
    },
    /// An answer of the TPM that is not what the library says it is.
    #[error("{command} gave an answer that is wrong: {detail}; the TPM or the way to it is at fault")]
    Answer {
        /// The command's name in the TPM 2.0 Library.
        command: &'static str,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// A file that cannot be read or written.
    #[error("{} cannot be {action}: {source}{}", shown(path, action), advice(source))]
    File {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        action: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A file that is not what it should be.
    #[error("{document} is malformed: {detail}")]
    Malformed {
        /// Which document.
        document: &'static str,
        /// What is wrong and where.
        detail: String,
    },
    /// A TPM structure that is malformed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// An enrolment that goes no further.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// An answer of KMS that stays closed.
    #[error(transparent)]
    Recipient(#[from] RecipientError),
}

/// A path as messages show it: `-` is a stream.
fn shown<'p>(path: &'p Path, action: &str) -> std::path::Display<'p> {
    let name = match (path.to_str(), action) {
        (Some("-"), "read") => Path::new("standard input"),
        (Some("-"), _) => Path::new("standard output"),
        _ => path,
    };
    name.display()
}

/// What to do about a file.
fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "; check the path",
        io::ErrorKind::PermissionDenied => "; run as root or as its owner (the kernel's logs are root's)",
        io::ErrorKind::AlreadyExists => "; it is never replaced, give another name",
        _ => "",
    }
}

impl From<EnrolmentError> for AttesterError {
    fn from(error: EnrolmentError) -> Self {
        Self::Credential(error.into())
    }
}

impl AttesterError {
    /// Every code of this crate that [`AttesterError::code`] can return; beside them it returns those of
    /// [`WireError::CODES`], [`CredentialError::code`] and [`RecipientError::CODES`].
    pub const CODES: &'static [&'static str] = &[
        "attester.connection",
        "attester.selection",
        "attester.no-tpm",
        "attester.unreachable",
        "attester.permission",
        "attester.busy",
        "attester.not-started",
        "attester.locked-out",
        "attester.authorization",
        "attester.foreign-key",
        "attester.challenge-refused",
        "attester.challenge-key",
        "attester.challenge-key-type",
        "attester.no-such-handle",
        "attester.handle-range",
        "attester.nv-access",
        "attester.password-length",
        "attester.bank-not-active",
        "attester.pcrs-moving",
        "attester.nonce-length",
        "attester.no-documents",
        "attester.field-length",
        "attester.nsm",
        "attester.interrupted",
        "attester.random",
        "attester.response",
        "attester.answer",
        "attester.file",
        "attester.malformed",
    ];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Connection { .. } => "attester.connection",
            Self::Selection { .. } => "attester.selection",
            Self::NoTpm { .. } => "attester.no-tpm",
            Self::Unreachable { .. } => "attester.unreachable",
            Self::Permission { .. } => "attester.permission",
            Self::Busy { .. } => "attester.busy",
            Self::NotStarted => "attester.not-started",
            Self::LockedOut => "attester.locked-out",
            Self::Authorization { .. } => "attester.authorization",
            Self::ForeignKey => "attester.foreign-key",
            Self::ChallengeRefused => "attester.challenge-refused",
            Self::ChallengeForAnotherKey { .. } => "attester.challenge-key",
            Self::ChallengeKeyType => "attester.challenge-key-type",
            Self::NoSuchHandle { .. } => "attester.no-such-handle",
            Self::HandleRange { .. } => "attester.handle-range",
            Self::NvAccess { .. } => "attester.nv-access",
            Self::PasswordLength { .. } => "attester.password-length",
            Self::BankNotActive { .. } => "attester.bank-not-active",
            Self::PcrsMoving { .. } => "attester.pcrs-moving",
            Self::NonceLength { .. } => "attester.nonce-length",
            Self::NoDocuments { .. } => "attester.no-documents",
            Self::FieldLength { .. } => "attester.field-length",
            Self::Nsm { .. } => "attester.nsm",
            Self::Interrupted => "attester.interrupted",
            Self::Random => "attester.random",
            Self::Response { .. } => "attester.response",
            Self::Answer { .. } => "attester.answer",
            Self::File { .. } => "attester.file",
            Self::Malformed { .. } => "attester.malformed",
            Self::Wire(error) => error.code(),
            Self::Credential(error) => error.code(),
            Self::Recipient(error) => error.code(),
        }
    }

    /// The same, where it is about a password, with the option that gives it.
    pub(crate) fn with_option(self, option: &'static str) -> Self {
        match self {
            Self::Authorization { command, .. } => Self::Authorization { command, option },
            other => other,
        }
    }

    /// Whether somebody else is in the way, who may be gone in a moment: a device in use, a TPM full of another program's
    /// objects or sessions (`TPM_RC_OBJECT_MEMORY`, `TPM_RC_SESSION_MEMORY`).
    pub(crate) const fn may_pass(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Response { response, .. } => matches!(*response & 0xFFFF, 0x902 | 0x903),
            _ => false,
        }
    }

    /// The exit code of the program (the command-line contract): 2 for wrong usage, 3 for documents that are invalid or
    /// do not belong here, 4 for the environment.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Connection { .. }
            | Self::Selection { .. }
            | Self::NonceLength { .. }
            | Self::FieldLength { .. }
            | Self::HandleRange { .. }
            | Self::PasswordLength { .. } => 2,
            Self::ChallengeRefused
            | Self::ChallengeForAnotherKey { .. }
            | Self::ChallengeKeyType
            | Self::Malformed { .. }
            | Self::Wire(_)
            | Self::Recipient(_) => 3,
            Self::Credential(error) if !error.is_environment() => 3,
            _ => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_listed_once() {
        let mut codes = AttesterError::CODES.to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), AttesterError::CODES.len());
        assert!(codes.contains(&AttesterError::NotStarted.code()));
        assert!(codes.contains(&AttesterError::ChallengeRefused.code()));
    }

    #[test]
    fn the_page_of_reason_codes_lists_exactly_these() {
        let page = include_str!("../../../docs/reason-codes.md");
        let mut listed: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(code, _)| code)
            .filter(|code| code.starts_with("attester."))
            .collect();
        let mut codes = AttesterError::CODES.to_vec();
        codes.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, codes);
    }

    #[test]
    fn exit_codes_tell_usage_from_evidence_from_environment() {
        assert_eq!(AttesterError::Selection { detail: String::new() }.exit_code(), 2);
        assert_eq!(AttesterError::ChallengeRefused.exit_code(), 3);
        assert_eq!(AttesterError::from(CredentialError::Answer).exit_code(), 3);
        assert_eq!(AttesterError::from(CredentialError::Random).exit_code(), 4);
        assert_eq!(AttesterError::LockedOut.exit_code(), 4);
    }
}
