//! `quote`, `collect`.

use std::path::PathBuf;

use nitrotpm_attester::{
    AttesterError, Collection, DocumentRequest, EVENT_LOG, IMA_LOG, KeyAlgorithm, LogFile, all_but_sha1,
    parse_selection,
};
use nitrotpm_freshness::Nonce;
use nitrotpm_pcr::PcrValues;
use nitrotpm_tpm_wire::Structure as _;

use super::document::{Asking, AskingArguments};
use super::files::note;
use super::keys::KeyName;
use super::{EndorsementKeyType, TpmArguments, files, not_interrupted};

/// How often the registers are read and quoted while they change.
const ATTEMPTS: u32 = 10;

#[derive(Debug, clap::Args)]
pub(super) struct QuoteArguments {
    /// The key file, made with `key create`, or the handle of a key in the TPM
    #[arg(long, value_name = "FILE|HANDLE")]
    key: KeyName,
    /// The verifier's nonce, at most 64 bytes in hexadecimal
    #[arg(long, value_name = "HEX", value_parser = Nonce::from_hex)]
    nonce: Nonce,
    /// Banks and registers: sha256:0,4,7+sha384:all. Without it: all of all active banks but SHA-1
    #[arg(long, value_name = "SELECTION")]
    select: Option<String>,
    /// Where to write what is signed (TPMS_ATTEST)
    #[arg(long, value_name = "FILE")]
    attest: PathBuf,
    /// Where to write the signature (TPMT_SIGNATURE)
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,
    /// Where to write the values that were quoted (JSON)
    #[arg(long, value_name = "FILE")]
    pcrs: Option<PathBuf>,
    /// Where to write the key's public part (TPM2B_PUBLIC)
    #[arg(long, value_name = "FILE")]
    ak: Option<PathBuf>,
}

impl QuoteArguments {
    pub(super) fn run(self, tpm: &TpmArguments) -> Result<String, AttesterError> {
        let key = self.key.read(tpm)?;
        let mut tpm = tpm.open()?;
        let selection = match &self.select {
            Some(text) => parse_selection(text)?,
            None => all_but_sha1(&mut tpm)?,
        };
        for _ in 0..ATTEMPTS {
            let before = tpm.read_pcrs(&selection)?;
            let quote = tpm.quote(&key, self.nonce.as_bytes(), &selection)?;
            if tpm.read_pcrs(&selection)? != before {
                continue;
            }
            files::write(&self.attest, &quote.attest)?;
            files::write(&self.signature, &quote.signature)?;
            if let Some(path) = &self.pcrs {
                files::write(path, pcrs_json(&before.values)?.as_bytes())?;
            }
            if let Some(path) = &self.ak {
                files::write(path, &key.public().to_tpm2b()?)?;
            }
            return Ok(String::new());
        }
        Err(AttesterError::PcrsMoving { attempts: ATTEMPTS })
    }
}

pub(super) fn pcrs_json(values: &PcrValues) -> Result<String, AttesterError> {
    serde_json::to_string(values)
        .map_err(|error| AttesterError::Malformed { document: "the PCR values", detail: error.to_string() })
}

#[derive(Debug, clap::Args)]
pub(super) struct CollectArguments {
    /// The verifier's nonce, at most 64 bytes in hexadecimal. Without it the evidence is fresh to nobody
    #[arg(long, value_name = "HEX", value_parser = Nonce::from_hex)]
    nonce: Option<Nonce>,
    /// The key file, made with `key create`, or the handle of a key in the TPM. Without it: a new key for this evidence alone
    #[arg(long, value_name = "FILE|HANDLE")]
    key: Option<KeyName>,
    /// The firmware's event log. Without it: the one that Linux shows, if it does
    #[arg(long, value_name = "FILE")]
    event_log: Option<PathBuf>,
    /// IMA's measurement list. Without it: the one that Linux shows, if it does
    #[arg(long, value_name = "FILE")]
    ima_log: Option<PathBuf>,
    /// Leave out IMA's list
    #[arg(long, conflicts_with = "ima_log")]
    no_ima_log: bool,
    /// Which endorsement key to name
    #[arg(long, value_enum, default_value = "rsa2048")]
    ek: EndorsementKeyType,
    /// Leave out the attestation document: the evidence then proves nothing to whom the key is not enrolled or pinned
    #[arg(long)]
    no_document: bool,
    #[command(flatten)]
    document: AskingArguments,
    /// Where to write the evidence ("-": standard output)
    #[arg(long, value_name = "EVIDENCE")]
    out: PathBuf,
}

impl CollectArguments {
    pub(super) fn run(self, arguments: &TpmArguments) -> Result<String, AttesterError> {
        let key = match &self.key {
            Some(key) => key.read(arguments)?,
            None => arguments.open()?.create_key(KeyAlgorithm::P256)?,
        };
        let collection = Collection {
            key: &key,
            nonce: self.nonce.as_ref().map(Nonce::as_bytes).unwrap_or_default(),
            endorsement_key: Some(self.ek.into()),
            event_log: self.event_log.map_or(LogFile::OfThisMachine(EVENT_LOG), LogFile::Given),
            ima_log: match self.ima_log {
                _ if self.no_ima_log => LogFile::LeftOut,
                Some(path) => LogFile::Given(path),
                None => LogFile::OfThisMachine(IMA_LOG),
            },
        };
        let public_key = key.public_key_der()?;
        let request = DocumentRequest {
            user_data: None,
            nonce: self.nonce.as_ref().map(Nonce::as_bytes),
            // Binds the key to this document, for a verifier that has not enrolled it.
            public_key: Some(&public_key),
        };
        let asking = (!self.no_document).then(|| Asking::new(arguments, &self.document)).transpose()?;
        let evidence = collection
            .collect(&|| arguments.open(), &mut || asking.as_ref().map(|asking| asking.ask(&request)).transpose())?;
        not_interrupted()?;
        if evidence.event_log.is_none() {
            // Nothing fails here, and most policies refuse it there.
            note(&format!("the evidence has no event log: there is none at {EVENT_LOG}; is securityfs mounted?"));
        }
        files::write(&self.out, evidence.to_json()?.as_bytes())?;
        Ok(String::new())
    }
}
