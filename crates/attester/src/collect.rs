//! Collecting evidence, all of it of one moment.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nitrotpm_credential::EndorsementTemplate;

use crate::{AttesterError, Evidence, StoredKey, Tpm, all_but_sha1};

/// Where Linux shows the firmware's event log.
pub const EVENT_LOG: &str = "/sys/kernel/security/tpm0/binary_bios_measurements";
/// Where Linux shows IMA's measurement list.
pub const IMA_LOG: &str = "/sys/kernel/security/ima/binary_runtime_measurements";

/// A file to put into the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFile {
    /// The file where Linux shows it, left out where there is none.
    OfThisMachine(&'static str),
    /// This file, which must be there.
    Given(PathBuf),
    /// No file.
    LeftOut,
}

impl LogFile {
    fn read(&self) -> Result<Option<Vec<u8>>, AttesterError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|source| AttesterError::File { path: path.to_owned(), action: "read", source })
        };
        match self {
            Self::LeftOut => Ok(None),
            Self::Given(path) => read(path).map(Some),
            Self::OfThisMachine(path) => match read(Path::new(path)) {
                Err(AttesterError::File { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
                other => other.map(Some),
            },
        }
    }
}

/// What to collect.
#[derive(Clone, Debug)]
pub struct Collection<'a> {
    /// The key that quotes.
    pub key: &'a StoredKey,
    /// The verifier's nonce, at most 64 bytes; empty for none, which leaves nothing but time to tell fresh evidence.
    pub nonce: &'a [u8],
    /// Which endorsement key to name, if any.
    pub endorsement_key: Option<EndorsementTemplate>,
    /// The firmware's event log.
    pub event_log: LogFile,
    /// IMA's list.
    pub ima_log: LogFile,
}

/// How often it is tried while registers change.
const ATTEMPTS: u32 = 10;

impl Collection<'_> {
    /// Collects. `open` opens the TPM, and `document` makes an attestation document; it is called while the TPM is closed,
    /// between two readings of the registers, and once more for each time that they changed meanwhile.
    ///
    /// # Errors
    /// [`AttesterError::PcrsMoving`] where the registers do not stay as they are for as long as it takes; what the TPM
    /// and the files say.
    pub fn collect(
        &self,
        open: &dyn Fn() -> Result<Tpm, AttesterError>,
        document: &mut dyn FnMut() -> Result<Option<Vec<u8>>, AttesterError>,
    ) -> Result<Evidence, AttesterError> {
        let mut tpm = open()?;
        let selection = all_but_sha1(&mut tpm)?;
        let endorsement_key = self.endorsement_key.map(|template| tpm.endorsement_key(template)).transpose()?;
        for _ in 0..ATTEMPTS {
            let before = tpm.read_pcrs(&selection)?;
            let quote = tpm.quote(self.key, self.nonce, &selection)?;
            // A device has one user at a time.
            drop(tpm);
            let document = document()?;
            tpm = open()?;
            let event_log = self.event_log.read()?;
            let ima_log = self.ima_log.read()?;
            let after = tpm.read_pcrs(&selection)?;
            if before == after {
                let (key, pcrs) = (self.key.clone(), before.values);
                return Ok(Evidence { document, key, endorsement_key, quote, pcrs, event_log, ima_log });
            }
        }
        Err(AttesterError::PcrsMoving { attempts: ATTEMPTS })
    }
}
