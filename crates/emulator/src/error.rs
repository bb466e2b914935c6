//! Why the emulator could not start or go on.

use std::io;
use std::path::PathBuf;

/// Why the emulator could not start or go on. What a *client* did wrong is never one of these: it is answered with a
/// TPM response code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// The program swtpm could not be run.
    #[error("swtpm could not be run ({source}): install it (apt-get install swtpm) or name the program in SWTPM")]
    SwtpmMissing {
        /// What the system said.
        source: io::Error,
    },
    /// swtpm ended, or does not answer. All state it had acknowledged is on disk.
    #[error("swtpm no longer answers ({doing}: {source}): see swtpm.log in the state directory, and start again")]
    SwtpmLost {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// swtpm answered something that is no answer.
    #[error("swtpm's answer makes no sense ({doing}); this emulator is tested with swtpm 0.7 and libtpms 0.9")]
    SwtpmAnswer {
        /// What was being done.
        doing: &'static str,
    },
    /// The TPM refused a command that the emulator itself needs.
    #[error("the TPM refused to {doing} (response code {code:#x})")]
    Tpm {
        /// What was being done.
        doing: &'static str,
        /// The TPM response code (TPM 2.0 Library Part 2, 6.6).
        code: u32,
    },
    /// Session keys or authorization values are not where this emulator looks for them.
    #[error(
        "the self-test failed: {what} is not where it should be in swtpm's state; this version of libtpms keeps it \
         differently, use libtpms 0.9"
    )]
    SelfTest {
        /// What was looked for.
        what: &'static str,
    },
    /// The index that the self-test needs is taken.
    #[error("NV index {index:#010x} is taken, and the emulator's self-test needs it: undefine it, or use a new state")]
    SelfTestIndex {
        /// The index' handle.
        index: u32,
    },
    /// No document can be made.
    #[error("the keys that sign attestation documents cannot be made or used ({source})")]
    Issuer {
        /// What the issuer said.
        source: nitrotpm_document_issuer::IssuerError,
    },
    /// A module id that no NitroTPM has.
    #[error("{module_id:?} is no module id: it is i- and 8 to 17 hexadecimal digits, -tpm and 16 hexadecimal digits")]
    ModuleId {
        /// What was given.
        module_id: String,
    },
    /// The boot log is not one.
    #[error("the boot log cannot be replayed: {source}")]
    BootLog {
        /// What is wrong with it.
        source: nitrotpm_eventlog::LogError,
    },
    /// The boot log is of a machine whose hardware measured before the TPM was started.
    #[error(
        "the boot log starts at locality {locality}: hardware measured before the TPM was started, which no software TPM \
         can repeat; use the log of a machine without H-CRTM"
    )]
    BootLogLocality {
        /// The locality that the log names.
        locality: u8,
    },
    /// The PCRs are not what the log gives.
    #[error("after the boot log was extended, PCR {pcr} of bank {bank} has not the value that the log gives")]
    BootLogMismatch {
        /// The bank.
        bank: nitrotpm_pcr::Bank,
        /// The register.
        pcr: u8,
    },
    /// The state directory cannot be used.
    #[error("{} cannot be used ({source}): check that it exists, is writable and has space", path.display())]
    State {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the state directory has been damaged.
    #[error("{} is damaged ({what}): restore it, or start with a new state directory", path.display())]
    StateDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Another emulator uses the state directory.
    #[error("another emulator uses {}: stop it, or choose another state directory", path.display())]
    StateBusy {
        /// The directory.
        path: PathBuf,
    },
    /// A place where clients should reach the TPM cannot be used.
    #[error("the TPM cannot be offered at {place} ({source}): stop what uses it, or choose another")]
    Transport {
        /// A port, or a path.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}
