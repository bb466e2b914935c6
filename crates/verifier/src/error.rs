//! Why evidence is refused before any policy looks at it.

use nitrotpm_digest_lanes::Digest;
use nitrotpm_eventlog::{LogError, ReplayMismatch};
use nitrotpm_nitro_document::DocumentError;
use nitrotpm_pcr::{Bank, PcrIndex};
use nitrotpm_quote::QuoteError;

use crate::evidence::EvidenceError;
use crate::outcome::{Check, Reason};

/// Why evidence is not authentic, not trusted, not fresh, or does not replay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The bundle is not well-formed.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The attestation document does not hold.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A quote does not hold.
    #[error("quote {index}: {error}")]
    Quote {
        /// Which quote, counting from 0.
        index: usize,
        /// Why.
        error: QuoteError,
    },
    /// The attestation key in the evidence is not readable.
    #[error("the attestation key in the evidence: {0}")]
    AttestationKey(QuoteError),
    /// Quotes without a key to check them by.
    #[error(
        "the evidence has quotes but no attestation key, and none was pinned or enrolled; add the key to the evidence \
         and pin it, or let the AWS document carry it"
    )]
    KeyMissing,
    /// A key nobody vouches for.
    #[error("{}", match .explicit {
        true => "the quotes' attestation key is none of the keys that were pinned or enrolled; \
                 if it is the right one, pin it or enrol it",
        false => "nothing vouches for the quotes' attestation key: it was neither pinned nor enrolled, and no AWS \
                  document in the evidence carries it; pin it (--trust-ak), enrol it (--enrolment), or collect a \
                  document that carries it",
    })]
    KeyUntrusted {
        /// Whether keys were pinned or enrolled.
        explicit: bool,
    },
    /// The evidence's key has the pinned key's numbers and other TPM attributes.
    #[error(
        "the attestation key in the evidence has the same numbers as the trusted one and another public area, so its \
         Name differs; collect the evidence with the key that was pinned or enrolled, or that the document carries"
    )]
    KeyNameMismatch,
    /// The endorsement key is not the enrolled one.
    #[error("the endorsement key in the evidence is not the one that this attestation key was enrolled with")]
    EnrolmentEkMismatch,
    /// The record's instance is not the document's.
    #[error("the attestation key was enrolled for instance {enrolled}, and the document is of instance {document}")]
    EnrolmentInstanceMismatch {
        /// By the record.
        enrolled: String,
        /// By the document.
        document: String,
    },
    /// Document and quote disagree on a register.
    #[error(
        "PCR {pcr} of bank {bank}: the document says {document} and quote {index} says {quote}; they are of different \
         boots or instances, or the register was extended between the two",
        pcr = .0.pcr, bank = .0.bank, document = .0.document, index = .0.index, quote = .0.quote
    )]
    DocumentQuoteMismatch(Box<DocumentQuoteMismatch>),
    /// Nothing ties the quotes to the document beside them.
    #[error(
        "quote {index} covers no register that the document covers too, so nothing shows that the two are of one machine; \
         quote the SHA-384 bank"
    )]
    NotBound {
        /// Which quote, counting from 0.
        index: usize,
    },
    /// Quotes of two boots.
    #[error(
        "quote {index} was made after {found} resets of the TPM and quote 0 after {first}: they are of two boots, and \
         their registers do not belong together; collect them together"
    )]
    BootsDiffer {
        /// Which quote, counting from 0.
        index: usize,
        /// Its reset count.
        found: u32,
        /// That of quote 0.
        first: u32,
    },
    /// A TPM clock that went backwards.
    #[error(
        "quote {index}: the TPM's {counter} is {found} and was {previous} in an earlier quote; the evidence is older \
         than the earlier one, or the TPM was replaced or cleared"
    )]
    ClockBackwards {
        /// Which quote, counting from 0.
        index: usize,
        /// Which counter.
        counter: &'static str,
        /// Its value now.
        found: u64,
        /// Its value before.
        previous: u64,
    },
    /// No signature over anything.
    #[error("the evidence has neither a document nor a quote: nothing in it is signed")]
    NothingSigned,
    /// The event log is not readable.
    #[error(transparent)]
    Log(LogError),
    /// The log has no bank in which registers are authenticated.
    #[error("the event log has banks {log}, and the evidence authenticates {authenticated}: there is none to replay")]
    LogBankMissing {
        /// The log's banks.
        log: String,
        /// The authenticated banks.
        authenticated: String,
    },
    /// A register that every firmware extends, and that holds its reset value.
    #[error(
        "PCR {pcr} of bank {bank} was never extended, and firmware extends PCR 0 to 7 on every boot: it does not measure \
         into this bank; quote a bank that it measures into"
    )]
    NeverExtended {
        /// The bank.
        bank: Bank,
        /// The register.
        pcr: PcrIndex,
    },
    /// The log does not reproduce a register.
    #[error("the event log does not explain the evidence: {0}")]
    ReplayMismatch(Box<ReplayMismatch>),
}

/// A register of which the document and a quote say different things.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DocumentQuoteMismatch {
    /// Which quote, counting from 0.
    pub index: usize,
    /// The bank.
    pub bank: Bank,
    /// The register.
    pub pcr: PcrIndex,
    /// By the document.
    pub document: Digest,
    /// By the quote.
    pub quote: Digest,
}

impl VerifyError {
    /// The codes of this enum's own variants; those of documents, quotes, logs and bundles are listed with their
    /// errors.
    pub const CODES: &'static [&'static str] = &[
        "enrolment.ek-mismatch",
        "enrolment.instance-mismatch",
        "event_log.bank-missing",
        "event_log.never-extended",
        "event_log.replay-mismatch",
        "evidence.document-quote-mismatch",
        "evidence.nothing-signed",
        "quote.boots-differ",
        "quote.clock-backwards",
        "quote.key-missing",
        "quote.key-name-mismatch",
        "quote.key-untrusted",
        "quote.not-bound",
    ];

    /// The stable reason code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Evidence(error) => error.code(),
            Self::Document(error) => error.code(),
            Self::Quote { error, .. } | Self::AttestationKey(error) => error.code(),
            Self::KeyMissing => "quote.key-missing",
            Self::KeyUntrusted { .. } => "quote.key-untrusted",
            Self::KeyNameMismatch => "quote.key-name-mismatch",
            Self::EnrolmentEkMismatch => "enrolment.ek-mismatch",
            Self::EnrolmentInstanceMismatch { .. } => "enrolment.instance-mismatch",
            Self::DocumentQuoteMismatch(_) => "evidence.document-quote-mismatch",
            Self::NotBound { .. } => "quote.not-bound",
            Self::BootsDiffer { .. } => "quote.boots-differ",
            Self::ClockBackwards { .. } => "quote.clock-backwards",
            Self::NothingSigned => "evidence.nothing-signed",
            Self::Log(error) => error.code(),
            Self::LogBankMissing { .. } => "event_log.bank-missing",
            Self::NeverExtended { .. } => "event_log.never-extended",
            Self::ReplayMismatch(_) => "event_log.replay-mismatch",
        }
    }

    /// The reason as results carry it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let mut reason = Reason::new(self.code(), self.to_string());
        if let Self::Quote { error, .. } = self
            && let Some((bank, pcr)) = error.register()
        {
            reason = reason.register(bank, pcr);
        }
        match self {
            Self::Quote { index, .. }
            | Self::NotBound { index }
            | Self::BootsDiffer { index, .. }
            | Self::ClockBackwards { index, .. } => {
                reason.quote = Some(*index);
            }
            Self::DocumentQuoteMismatch(mismatch) => {
                reason = reason.register(mismatch.bank, mismatch.pcr).values(&mismatch.document, &mismatch.quote);
                reason.quote = Some(mismatch.index);
            }
            Self::NeverExtended { bank, pcr } => reason = reason.register(*bank, *pcr),
            Self::ReplayMismatch(mismatch) => {
                reason = reason.register(mismatch.bank, mismatch.pcr).values(&mismatch.expected, &mismatch.replayed);
            }
            _ => {}
        }
        reason
    }
}

/// Evidence that was refused before appraisal: the checks up to the one that failed, and why.
#[derive(Debug)]
pub struct Rejection {
    pub(crate) checks: Vec<Check>,
    pub(crate) errors: Vec<VerifyError>,
}

impl Rejection {
    /// The checks that ran, in order; the last one failed.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Why, at least one.
    #[must_use]
    pub fn errors(&self) -> &[VerifyError] {
        &self.errors
    }
}

impl From<EvidenceError> for Rejection {
    fn from(error: EvidenceError) -> Self {
        Self { checks: vec![Check::fail("evidence.structure")], errors: vec![error.into()] }
    }
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, error) in self.errors.iter().enumerate() {
            write!(f, "{}{error}", if position == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejection {}
