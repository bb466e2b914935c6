//! The evidence file.

use nitrotpm_credential::EndorsementKey;
use nitrotpm_pcr::PcrValues;
use nitrotpm_tpm_wire::Structure;
use serde::Serialize;

use crate::encoding::{base64_bytes, optional_base64_bytes};
use crate::{AttesterError, Quote, StoredKey};

/// All that one instance gives as evidence, under one nonce. What it proves is for the verifier to say.
///
/// JSON of schema `nitrotpm.evidence/1`: `document`, `ak_public`, `ek_public`, `quotes`, `pcrs`, `event_log`, `ima_log`;
/// what is not there has no field. Keys are `TPM2B_PUBLIC`, quotes `TPMS_ATTEST` with `TPMT_SIGNATURE`.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The attestation document, as NitroTPM signed it.
    pub document: Option<Vec<u8>>,
    /// The attestation key of the quote.
    pub key: StoredKey,
    /// The endorsement key.
    pub endorsement_key: Option<EndorsementKey>,
    /// The quote.
    pub quote: Quote,
    /// The registers that were quoted.
    pub pcrs: PcrValues,
    /// The firmware's event log.
    pub event_log: Option<Vec<u8>>,
    /// IMA's measurement list.
    pub ima_log: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct EvidenceJson<'a> {
    schema: &'static str,
    #[serde(with = "optional_base64_bytes", skip_serializing_if = "Option::is_none")]
    document: &'a Option<Vec<u8>>,
    #[serde(with = "base64_bytes")]
    ak_public: Vec<u8>,
    #[serde(with = "optional_base64_bytes", skip_serializing_if = "Option::is_none")]
    ek_public: Option<Vec<u8>>,
    quotes: [QuoteJson<'a>; 1],
    pcrs: &'a PcrValues,
    #[serde(with = "optional_base64_bytes", skip_serializing_if = "Option::is_none")]
    event_log: &'a Option<Vec<u8>>,
    #[serde(with = "optional_base64_bytes", skip_serializing_if = "Option::is_none")]
    ima_log: &'a Option<Vec<u8>>,
}

#[derive(Serialize)]
struct QuoteJson<'a> {
    #[serde(with = "base64_bytes")]
    attest: &'a [u8],
    #[serde(with = "base64_bytes")]
    signature: &'a [u8],
}

impl Evidence {
    /// Writes the evidence file, in one line without a newline.
    ///
    /// # Errors
    /// [`AttesterError::Wire`] where a public area is too long to be written.
    pub fn to_json(&self) -> Result<String, AttesterError> {
        let json = EvidenceJson {
            schema: "nitrotpm.evidence/1",
            document: &self.document,
            ak_public: self.key.public().to_tpm2b()?,
            ek_public: self.endorsement_key.as_ref().map(|key| key.public().to_tpm2b()).transpose()?,
            quotes: [QuoteJson { attest: &self.quote.attest, signature: &self.quote.signature }],
            pcrs: &self.pcrs,
            event_log: &self.event_log,
            ima_log: &self.ima_log,
        };
        serde_json::to_string(&json)
            .map_err(|error| AttesterError::Malformed { document: "the evidence", detail: error.to_string() })
    }
}
