//! Checks, reasons and warnings: the vocabulary of a result.

use nitrotpm_digest_lanes::Digest;
use nitrotpm_pcr::{Bank, PcrIndex};
use serde::Serialize;

use crate::causes::DifferenceReport;

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// There was nothing to check: the evidence has no such part, or the policy asks for none.
    NotApplicable,
}

/// One check that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// Its stable name, for instance `document.signature`.
    pub id: &'static str,
    /// What it found.
    pub outcome: Outcome,
    /// Which quote of the evidence, counting from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<usize>,
    /// What exactly was looked at, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Check {
    pub(crate) const fn new(id: &'static str, outcome: Outcome) -> Self {
        Self { id, outcome, quote: None, detail: None }
    }

    pub(crate) const fn pass(id: &'static str) -> Self {
        Self::new(id, Outcome::Pass)
    }

    pub(crate) const fn fail(id: &'static str) -> Self {
        Self::new(id, Outcome::Fail)
    }

    pub(crate) const fn not_applicable(id: &'static str) -> Self {
        Self::new(id, Outcome::NotApplicable)
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(crate) const fn of_quote(mut self, index: usize) -> Self {
        self.quote = Some(index);
        self
    }
}

/// Why a result is not `affirmed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Reason {
    /// Stable, dotted, lower case; docs/reason-codes.md lists them.
    pub code: &'static str,
    /// One sentence for a person.
    pub message: String,
    /// The register.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcr: Option<u8>,
    /// The bank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bank: Option<&'static str>,
    /// The event of the log, counting from 0 with its header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<usize>,
    /// Which quote of the evidence, counting from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<usize>,
    /// The image of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The expected value, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The value found, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What a register's mismatch comes from: `kernel-command-line`, `initrd`, `boot-image`, `secure-boot-policy`,
    /// `boot-order`, `firmware` or `unknown`. Present where the caller asked for explanations, as are those below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'static str>,
    /// What to look at next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<&'static str>,
    /// The reference whose events were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The events that differ from the reference's and bear on this register, the most likely cause first; at most 32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<DifferenceReport>,
    /// How many more there are, where there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_differences: Option<usize>,
    /// What was tried where no reference has the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub searched: Option<String>,
}

impl Reason {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            pcr: None,
            bank: None,
            event: None,
            quote: None,
            image: None,
            expected: None,
            found: None,
            cause: None,
            check: None,
            reference: None,
            differences: Vec::new(),
            more_differences: None,
            searched: None,
        }
    }

    pub(crate) const fn register(mut self, bank: Bank, pcr: PcrIndex) -> Self {
        self.bank = Some(bank.name());
        self.pcr = Some(pcr.get());
        self
    }

    pub(crate) fn values(mut self, expected: &Digest, found: &Digest) -> Self {
        self.expected = Some(expected.to_string());
        self.found = Some(found.to_string());
        self
    }
}

/// Something that does not change the verdict and that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Warning {
    /// Stable, dotted, lower case; docs/reason-codes.md lists them.
    pub code: &'static str,
    /// One sentence for a person.
    pub message: String,
}

impl Warning {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
