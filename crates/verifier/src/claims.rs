//! What authenticated and replayed evidence shows.

use std::collections::BTreeMap;

use nitrotpm_eventlog::ima::ConfirmedIma;
use nitrotpm_eventlog::{ConfirmedLog, SecureBootState};
use nitrotpm_freshness::Clock;
use nitrotpm_nitro_document::VerifiedDocument;
use nitrotpm_pcr::PcrValues;
use nitrotpm_quote::SignedQuote;
use serde::Serialize;

use crate::evidence::sha256;
use crate::outcome::{Check, Warning};
use crate::replay::{ReplayedEvidence, ReplayedIma, ReplayedLog};

/// The facts of one piece of evidence.
///
/// Made by [`ReplayedEvidence::claims`] only: signatures, chains, keys and nonces were verified, and the event log, if
/// there is one, reproduces the signed PCRs.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'r> {
    evidence: &'r ReplayedEvidence<'r>,
}

impl<'r> Claims<'r> {
    pub(crate) const fn new(evidence: &'r ReplayedEvidence<'r>) -> Self {
        Self { evidence }
    }

    /// The PCRs that a trusted signature covers.
    #[must_use]
    pub const fn pcrs(&self) -> &'r PcrValues {
        &self.evidence.authenticated.pcrs
    }

    /// The AWS-signed document.
    #[must_use]
    pub const fn document(&self) -> Option<&'r VerifiedDocument> {
        self.evidence.authenticated.document.as_ref()
    }

    /// The quotes, each by a trusted key.
    #[must_use]
    pub fn quotes(&self) -> &'r [SignedQuote] {
        &self.evidence.authenticated.quotes
    }

    /// What the event log shows.
    #[must_use]
    pub const fn event_log(&self) -> Option<&'r ReplayedLog> {
        self.evidence.log.as_ref()
    }

    /// The time at which the evidence is judged.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.evidence.authenticated.clock
    }

    /// The log as it came. Its events are believed where [`ReplayedLog::covered`] says so, and there alone.
    pub(crate) fn event_log_bytes(&self) -> Option<&'r [u8]> {
        self.evidence.authenticated.evidence.event_log.as_deref()
    }

    /// What the IMA list shows.
    #[must_use]
    pub const fn ima(&self) -> Option<&'r ReplayedIma> {
        self.evidence.ima.as_ref()
    }

    /// The state of Secure Boot, from events whose digests were recomputed; `None` without an event log.
    #[must_use]
    pub fn secure_boot(&self) -> Option<SecureBootState> {
        self.event_log().map(|log| log.secure_boot)
    }

    /// The instance, by the document or else by the enrolment record.
    #[must_use]
    pub fn instance_id(&self) -> Option<&'r str> {
        self.document().map(VerifiedDocument::instance_id).or(self.evidence.authenticated.enrolled_instance.as_deref())
    }

    /// The event log, as far as it was confirmed.
    pub(crate) const fn confirmed_log(&self) -> Option<&'r ConfirmedLog<'r>> {
        self.evidence.confirmed_log.as_ref()
    }

    /// The IMA list, as far as the signed PCR 10 proves it.
    pub(crate) const fn confirmed_ima(&self) -> Option<&'r ConfirmedIma<'r>> {
        self.evidence.confirmed_ima.as_ref()
    }

    pub(crate) fn checks(&self) -> &'r [Check] {
        &self.evidence.authenticated.checks
    }

    pub(crate) fn warnings(&self) -> Vec<Warning> {
        let authenticated = &self.evidence.authenticated;
        let mut warnings = authenticated.warnings.clone();
        if let Some(quote) = self.quotes().first()
            && quote.key().attributes().is_none()
        {
            warnings.push(Warning::new(
                "quote.key-attributes-unknown",
                "the attestation key was given without TPM attributes: whether it is restricted to what the TPM \
                     itself made is not known",
            ));
        }
        for (index, quote) in self.quotes().iter().enumerate() {
            if !quote.clock_info().safe {
                warnings.push(Warning::new(
                    "quote.clock-not-safe",
                    format!(
                        "quote {index}: the TPM was last shut down without notice, so its clock may have gone backwards"
                    ),
                ));
            }
        }
        if let Some(log) = self.event_log().filter(|log| !log.not_covered.is_empty()) {
            warnings.push(Warning::new(
                "event_log.not-covered",
                format!(
                    "the event log does not give the signed value of {}: something not in this log was extended into \
                     it, which is usual for what the operating system measures itself; nothing is claimed from its \
                     events",
                    registers(&log.not_covered)
                ),
            ));
        }
        if let Some(log) = self.event_log().filter(|log| !log.banks_not_in_log.is_empty()) {
            warnings.push(Warning::new(
                "event_log.bank-not-covered",
                format!(
                    "the event log has no digests of bank {}, which is signed: nothing shows that firmware measured \
                     into it",
                    log.banks_not_in_log.join(", ")
                ),
            ));
        }
        match &self.evidence.ima {
            Some(ima) => warnings.extend(ima_warnings(ima)),
            None if authenticated.evidence.ima_log.is_some() => warnings.push(Warning::new(
                "ima_log.not-proven",
                "the evidence has an IMA list, and PCR 10 is not signed: nothing is claimed from the list",
            )),
            None => {}
        }
        warnings
    }

    pub(crate) fn report(&self) -> ClaimsReport {
        let authenticated = &self.evidence.authenticated;
        let key = self.quotes().first().map(SignedQuote::key);
        ClaimsReport {
            secure_boot: self.secure_boot().map_or("unknown", SecureBootState::name),
            ak_binding: authenticated.binding.map_or("none", |binding| binding.name()),
            ak_sha256: key.map(|key| hex::encode(key.sha256())),
            ak_name: key.and_then(|key| key.name()).map(hex::encode),
            ak_attributes: key.map(|key| if key.attributes().is_some() { "known" } else { "unknown" }),
            ek_sha256: authenticated.enrolled_ek.as_ref().map(|key| sha256(&key.to_spki_der()).to_string()),
            instance_id: self.instance_id().map(str::to_owned),
            document: self.document().map(|document| DocumentReport {
                module_id: document.module_id().to_owned(),
                region: document.region().to_owned(),
                timestamp: document.timestamp_millis(),
                public_key: document.public_key().map(hex::encode),
                user_data: document.user_data().map(hex::encode),
                nonce: document.nonce().map(hex::encode),
                nonce_checked: document.nonce_checked(),
            }),
            quotes: self
                .quotes()
                .iter()
                .map(|quote| QuoteReport {
                    nonce_checked: quote.nonce_checked(),
                    clock: quote.clock_info().clock,
                    reset_count: quote.clock_info().reset_count,
                    restart_count: quote.clock_info().restart_count,
                    clock_safe: quote.clock_info().safe,
                    firmware_version: format!("{:016x}", quote.firmware_version()),
                    qualified_signer: "not-checked",
                })
                .collect(),
            replayed: self.event_log().map(|log| log.covered.clone()).unwrap_or_default(),
            ima: self.ima().cloned(),
        }
    }
}

fn ima_warnings(ima: &ReplayedIma) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if ima.boot_aggregate == "differs" {
        warnings.push(Warning::new(
            "ima_log.boot-aggregate",
            "the IMA list's first entry is not the hash of the signed PCR 0 to 9: something extended those after the \
             kernel started",
        ));
    }
    if ima.violations > 0 {
        warnings.push(Warning::new(
            "ima_log.violations",
            format!("{} entries of the IMA list say that a file changed while it was measured", ima.violations),
        ));
    }
    if ima.unproven > 0 {
        warnings.push(Warning::new(
            "ima_log.unproven",
            format!("{} entries at the end of the IMA list are not proven by the signed PCR 10", ima.unproven),
        ));
    }
    warnings
}

/// Registers in words: `PCR 11 (sha384), PCR 14 (sha384)`.
fn registers(registers: &BTreeMap<&'static str, Vec<u8>>) -> String {
    let names: Vec<_> =
        registers.iter().flat_map(|(bank, pcrs)| pcrs.iter().map(move |pcr| format!("PCR {pcr} ({bank})"))).collect();
    names.join(", ")
}

/// The claims as a result carries them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClaimsReport {
    /// `enabled`, `disabled` or `unknown`.
    pub secure_boot: &'static str,
    /// Who vouches for the attestation key: `pinned`, `enrolled`, `document`; `none` without quotes.
    pub ak_binding: &'static str,
    /// SHA-256 of the attestation key's SubjectPublicKeyInfo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ak_sha256: Option<String>,
    /// The attestation key's TPM Name, where its public area is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ak_name: Option<String>,
    /// `known` where the trusted key came with its public area, else `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ak_attributes: Option<&'static str>,
    /// SHA-256 of the SubjectPublicKeyInfo of the endorsement key with which the attestation key was enrolled. Absent
    /// without an enrolment record: an endorsement key in the evidence is then only what the attester says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ek_sha256: Option<String>,
    /// The instance, by the document or the enrolment record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// The document's fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<DocumentReport>,
    /// The quotes' facts, in the order of the evidence.
    pub quotes: Vec<QuoteReport>,
    /// The registers whose signed values the event log reproduces, by bank.
    pub replayed: BTreeMap<&'static str, Vec<u8>>,
    /// What the IMA list shows, where PCR 10 is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ima: Option<ReplayedIma>,
}

impl Default for ClaimsReport {
    /// No claims: what an invalid result carries.
    fn default() -> Self {
        Self {
            secure_boot: "unknown",
            ak_binding: "none",
            ak_sha256: None,
            ak_name: None,
            ak_attributes: None,
            ek_sha256: None,
            instance_id: None,
            document: None,
            quotes: Vec::new(),
            replayed: BTreeMap::new(),
            ima: None,
        }
    }
}

/// A verified document's fields; byte fields in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DocumentReport {
    /// `i-…-tpm…`.
    pub module_id: String,
    /// The AWS region, from the certificates' names.
    pub region: String,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub timestamp: u64,
    /// What the attester put into the field of that name; the device does not check it.
    pub public_key: Option<String>,
    /// As above.
    pub user_data: Option<String>,
    /// As above.
    pub nonce: Option<String>,
    /// Whether the nonce was compared with an expected one.
    pub nonce_checked: bool,
}

/// The facts of one quote (TPM 2.0 Library Part 2, `TPMS_ATTEST`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QuoteReport {
    /// Whether the nonce was compared with an expected one.
    pub nonce_checked: bool,
    /// Milliseconds that the TPM has been running since it was cleared.
    pub clock: u64,
    /// TPM resets since it was cleared.
    pub reset_count: u32,
    /// TPM restarts and resumes since the last reset.
    pub restart_count: u32,
    /// False where the TPM was not shut down in order.
    pub clock_safe: bool,
    /// The TPM's firmware version, 16 hexadecimal digits.
    pub firmware_version: String,
    /// Whether the key's qualified name was checked against a known hierarchy: `not-checked`.
    pub qualified_signer: &'static str,
}
