//! From parsed evidence to authenticated evidence: signatures, chains, keys, nonces, and what they agree on.

use std::time::Duration;

use nitrotpm_explain::References;
use nitrotpm_freshness::{Clock, NonceExpectation};
use nitrotpm_nitro_document::{DocumentError, DocumentExpectations, UnverifiedDocument, VerifiedDocument};
use nitrotpm_pcr::PcrValues;
use nitrotpm_quote::{
    AttestationKey, ClockInfo, QuoteError, QuoteExpectations, SignedQuote, UnverifiedQuote, parse_public_key,
};
use nitrotpm_signature::PublicKey;

use crate::enrolment::Enrolment;
use crate::error::{DocumentQuoteMismatch, Rejection, VerifyError};
use crate::evidence::Evidence;
use crate::outcome::{Check, Warning};
use crate::trust::Trust;

/// What the verifier asks of one piece of evidence.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The nonce it sent. Every signed part of the evidence must carry it.
    pub nonce: NonceExpectation<'a>,
    /// The time at which the evidence is judged.
    pub clock: Clock,
    /// What an earlier, affirmed quote of this TPM said of its clock. Quotes that are older are refused.
    pub previous: Option<ClockInfo>,
    /// The images that are known. Where some are given, a register that is not as the policy wants it is explained, which
    /// can take some tenths of a second; it changes no verdict.
    pub references: Option<&'a References>,
}

impl<'a> Request<'a> {
    /// A request without an earlier quote.
    #[must_use]
    pub const fn new(nonce: NonceExpectation<'a>, clock: Clock) -> Self {
        Self { nonce, clock, previous: None, references: None }
    }

    /// Explains a refusal by these images.
    #[must_use]
    pub const fn explained_by(mut self, references: &'a References) -> Self {
        self.references = Some(references);
        self
    }

    /// Refuses quotes whose TPM clock is behind this one of the same TPM.
    #[must_use]
    pub const fn after(mut self, previous: ClockInfo) -> Self {
        self.previous = Some(previous);
        self
    }
}

/// Who vouches for an attestation key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Binding {
    /// The caller pinned it.
    Pinned,
    /// An enrolment record: it was activated against the endorsement key.
    Enrolled,
    /// The AWS document of the same evidence carries it and has the same PCRs.
    Document,
}

impl Binding {
    /// As results write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Enrolled => "enrolled",
            Self::Document => "document",
        }
    }
}

/// Evidence whose signed parts were verified under trusted keys and agree with each other.
///
/// Only [`authenticate`] makes one. It gives no PCRs and no claims yet: the event log has still to replay.
#[derive(Debug)]
pub struct AuthenticatedEvidence<'e> {
    pub(crate) evidence: &'e Evidence,
    pub(crate) document: Option<VerifiedDocument>,
    pub(crate) quotes: Vec<SignedQuote>,
    pub(crate) binding: Option<Binding>,
    pub(crate) enrolled_instance: Option<String>,
    pub(crate) enrolled_ek: Option<PublicKey>,
    pub(crate) pcrs: PcrValues,
    pub(crate) clock: Clock,
    pub(crate) checks: Vec<Check>,
    pub(crate) warnings: Vec<Warning>,
}

/// The checks that a document's verification makes, in its order.
const DOCUMENT_CHECKS: [&str; 8] = [
    "document.structure",
    "document.type",
    "document.chain",
    "document.signature",
    "document.certificates",
    "document.time",
    "document.nonce",
    "document.age",
];

/// The checks that a quote's verification makes, in its order.
const QUOTE_CHECKS: [&str; 6] =
    ["quote.structure", "quote.key", "quote.signature", "quote.nonce", "quote.selection", "quote.pcr-digest"];

/// Verifies every signed part of the evidence.
///
/// # Errors
/// A [`Rejection`] at the first check that fails. Nothing is skipped: a part that is present is verified, whether or
/// not a policy will ask for it.
pub fn authenticate<'e>(
    evidence: &'e Evidence,
    trust: &Trust,
    request: &Request<'_>,
    max_age: Option<Duration>,
) -> Result<AuthenticatedEvidence<'e>, Rejection> {
    let mut checks = vec![Check::pass("evidence.structure")];
    let mut authentication = Authentication { evidence, trust, request, max_age, checks: &mut checks };
    match authentication.run() {
        Ok(authenticated) => Ok(AuthenticatedEvidence { checks, ..authenticated }),
        Err(error) => Err(Rejection { checks, errors: vec![error] }),
    }
}

/// One run, with the checks made so far.
struct Authentication<'r, 'e, 'q> {
    evidence: &'e Evidence,
    trust: &'r Trust,
    request: &'r Request<'q>,
    max_age: Option<Duration>,
    checks: &'r mut Vec<Check>,
}

/// A key that may sign quotes, and on whose word.
struct Vouched<'k> {
    key: AttestationKey,
    binding: Binding,
    enrolment: Option<&'k Enrolment>,
}

impl<'r, 'e> Authentication<'r, 'e, '_> {
    fn run(&mut self) -> Result<AuthenticatedEvidence<'e>, VerifyError> {
        let document = self.document()?;
        if document.is_none() && self.evidence.quotes.is_empty() {
            self.checks.push(Check::fail("evidence.signed"));
            return Err(VerifyError::NothingSigned);
        }
        let mut pcrs = document.as_ref().map(|document| document.pcrs().clone()).unwrap_or_default();
        let mut warnings: Vec<Warning> = nonce_warning(self.request.nonce).into_iter().collect();
        let mut quotes = Vec::new();
        let mut binding = None;
        let mut enrolled_instance = None;
        let mut enrolled_ek = None;
        if self.evidence.quotes.is_empty() {
            self.checks.push(Check::not_applicable("quote.signature").detail("the evidence has no quotes"));
        } else {
            let vouched_keys = self.vouched_keys(document.as_ref())?;
            let mut candidates = vouched_keys.as_slice();
            for index in 0..self.evidence.quotes.len() {
                let (quote, vouched) = self.quote(index, candidates)?;
                // Quotes by two keys may be of two machines: the key of the first is that of all.
                candidates = std::slice::from_ref(vouched);
                self.agree(index, document.as_ref(), &quote, vouched)?;
                self.same_boot(index, quotes.first(), &quote)?;
                if vouched.binding != Binding::Document {
                    merge(&mut pcrs, quote.values());
                }
                binding = Some(vouched.binding);
                enrolled_instance = vouched.enrolment.and_then(Enrolment::instance_id).map(str::to_owned);
                enrolled_ek = vouched.enrolment.map(|enrolment| enrolment.endorsement_key().clone());
                quotes.push(quote);
            }
        }
        if let Some(document) = &document {
            self.tie(document, &quotes, enrolled_instance.as_deref())?;
        }
        for bank in quotes.iter().flat_map(|quote: &SignedQuote| quote.excluded_banks()) {
            let warning = Warning::new(
                "quote.bank-not-relied-on",
                format!("the quote covers bank {bank}, which is not relied on; allow SHA-1 by name to use it"),
            );
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        Ok(AuthenticatedEvidence {
            evidence: self.evidence,
            document,
            quotes,
            binding,
            enrolled_instance,
            enrolled_ek,
            pcrs,
            clock: self.request.clock,
            checks: Vec::new(),
            warnings,
        })
    }

    fn document(&mut self) -> Result<Option<VerifiedDocument>, VerifyError> {
        let Some(bytes) = &self.evidence.document else {
            self.checks.push(Check::not_applicable("document.signature").detail("the evidence has no document"));
            return Ok(None);
        };
        let mut expectations =
            DocumentExpectations::new(self.request.clock, self.request.nonce).backend(self.trust.backend);
        expectations.max_age = self.max_age;
        expectations.chain_cache = self.trust.chain_cache.as_deref();
        let verified =
            UnverifiedDocument::parse(bytes).and_then(|document| document.verify(&self.trust.roots, &expectations));
        match verified {
            Ok(document) => {
                for id in DOCUMENT_CHECKS {
                    self.checks.push(match id {
                        "document.nonce" if !document.nonce_checked() => {
                            Check::not_applicable(id).detail("no nonce was expected")
                        }
                        "document.age" if self.max_age.is_none() => {
                            Check::not_applicable(id).detail("the policy sets no greatest age")
                        }
                        _ => Check::pass(id),
                    });
                }
                Ok(Some(document))
            }
            Err(error) => {
                push_until(self.checks, &DOCUMENT_CHECKS, document_check(&error), None);
                Err(error.into())
            }
        }
    }

    /// The keys that may sign this evidence's quotes: one where the evidence names it, else every key that was given.
    fn vouched_keys(&mut self, document: Option<&VerifiedDocument>) -> Result<Vec<Vouched<'r>>, VerifyError> {
        let trust = self.trust;
        let explicit = !trust.pinned.is_empty() || !trust.enrolments.is_empty();
        let presented = match &self.evidence.ak_public {
            Some(bytes) => Some(AttestationKey::parse(bytes).map_err(|error| {
                self.checks.push(Check::fail("quote.trust"));
                VerifyError::AttestationKey(error)
            })?),
            None => None,
        };
        // A key that is both enrolled and pinned is held to its record.
        let given = trust
            .enrolments
            .iter()
            .map(|enrolment| Vouched {
                key: enrolment.attestation_key().clone(),
                binding: Binding::Enrolled,
                enrolment: Some(enrolment),
            })
            .chain(trust.pinned.iter().map(|key| Vouched {
                key: key.clone(),
                binding: Binding::Pinned,
                enrolment: None,
            }));
        let bound = document.and_then(VerifiedDocument::public_key).and_then(key_in_document).filter(|_| !explicit);
        let outcome = match presented {
            Some(presented) => {
                let mut same: Vec<_> =
                    given.filter(|vouched| vouched.key.public_key() == presented.public_key()).collect();
                if same.is_empty() {
                    match bound {
                        // The document vouches for what it carries: where that is numbers alone, the public area beside
                        // the quotes is only what the attester says.
                        Some(key) if key.public_key() == presented.public_key() => {
                            if key.same_key(&presented) {
                                Ok(vec![Vouched { key, binding: Binding::Document, enrolment: None }])
                            } else {
                                Err(VerifyError::KeyNameMismatch)
                            }
                        }
                        _ => Err(VerifyError::KeyUntrusted { explicit }),
                    }
                } else {
                    // Where both sides know the public area it must be the same: attributes are part of the key.
                    same.retain(|vouched| vouched.key.same_key(&presented));
                    if same.is_empty() { Err(VerifyError::KeyNameMismatch) } else { Ok(same) }
                }
            }
            None if explicit => Ok(given.collect()),
            None => match bound {
                Some(key) => Ok(vec![Vouched { key, binding: Binding::Document, enrolment: None }]),
                None => Err(VerifyError::KeyMissing),
            },
        };
        if outcome.is_err() {
            self.checks.push(Check::fail("quote.trust"));
        }
        outcome
    }

    /// Verifies one quote under the first of the keys that signed it.
    fn quote<'k>(
        &mut self,
        index: usize,
        candidates: &'k [Vouched<'k>],
    ) -> Result<(SignedQuote, &'k Vouched<'k>), VerifyError> {
        let Some(bytes) = self.evidence.quotes.get(index) else { return Err(VerifyError::NothingSigned) };
        let expectations = QuoteExpectations::new(self.request.nonce)
            .with_sha1(self.trust.allow_sha1)
            .with_backend(self.trust.backend);
        let mut failure = None;
        let parsed = UnverifiedQuote::parse(&bytes.attest, &bytes.signature);
        let outcome = parsed.map(|quote| {
            for vouched in candidates {
                match quote.verify(&vouched.key, &expectations, &self.evidence.pcrs) {
                    Ok(signed) => return Some((signed, vouched)),
                    Err(error) => failure = Some(error),
                }
            }
            None
        });
        let error = match outcome {
            Ok(Some((signed, vouched))) => {
                for id in QUOTE_CHECKS {
                    let check = match id {
                        "quote.nonce" if !signed.nonce_checked() => {
                            Check::not_applicable(id).detail("the caller chose that no nonce is checked")
                        }
                        "quote.key" if signed.key().attributes().is_none() => {
                            Check::not_applicable(id).detail("the key carries no TPM attributes: they are unknown")
                        }
                        _ => Check::pass(id),
                    };
                    self.checks.push(check.of_quote(index));
                }
                return Ok((signed, vouched));
            }
            Ok(None) => match failure {
                Some(error) if candidates.len() == 1 => error,
                // Several keys were tried, since the evidence names none.
                _ => {
                    self.checks.push(Check::fail("quote.trust").of_quote(index));
                    return Err(VerifyError::KeyUntrusted { explicit: true });
                }
            },
            Err(error) => error,
        };
        push_until(self.checks, &QUOTE_CHECKS, quote_check(&error), Some(index));
        Err(VerifyError::Quote { index, error })
    }

    /// What was signed by different keys must be of one machine and one boot.
    fn agree(
        &mut self,
        index: usize,
        document: Option<&VerifiedDocument>,
        quote: &SignedQuote,
        vouched: &Vouched<'_>,
    ) -> Result<(), VerifyError> {
        let outcome = self.agreement(index, document, quote, vouched);
        match &outcome {
            Ok(detail) => {
                self.checks.push(Check::pass("quote.trust").of_quote(index).detail(*detail));
            }
            Err(VerifyError::ClockBackwards { .. }) => self.checks.push(Check::fail("quote.clock").of_quote(index)),
            Err(VerifyError::DocumentQuoteMismatch(_)) => {
                self.checks.push(Check::fail("evidence.agreement").of_quote(index));
            }
            Err(_) => self.checks.push(Check::fail("quote.trust").of_quote(index)),
        }
        outcome.map(|_| ())
    }

    fn agreement(
        &self,
        index: usize,
        document: Option<&VerifiedDocument>,
        quote: &SignedQuote,
        vouched: &Vouched<'_>,
    ) -> Result<&'static str, VerifyError> {
        if let Some(document) = document {
            for (bank, pcr, value) in quote.values().iter() {
                let Some(expected) = document.pcrs().get(bank, pcr) else { continue };
                if expected != value {
                    return Err(VerifyError::DocumentQuoteMismatch(Box::new(DocumentQuoteMismatch {
                        index,
                        bank,
                        pcr,
                        document: *expected,
                        quote: *value,
                    })));
                }
            }
        }
        if let Some(enrolment) = vouched.enrolment {
            self.enrolled(enrolment, document)?;
        }
        if let Some(previous) = &self.request.previous {
            clock_advances(index, previous, &quote.clock_info())?;
        }
        match vouched.binding {
            Binding::Pinned => Ok("the caller pinned the key"),
            Binding::Enrolled => Ok("an enrolment record vouches for the key"),
            Binding::Document if document.is_some_and(|document| share_a_register(document, quote)) => {
                Ok("the document carries the key and has the same PCRs")
            }
            Binding::Document => Err(VerifyError::NotBound { index }),
        }
    }

    /// Registers of two boots do not belong together, though one key signed both.
    fn same_boot(&mut self, index: usize, first: Option<&SignedQuote>, quote: &SignedQuote) -> Result<(), VerifyError> {
        let found = quote.clock_info().reset_count;
        match first.map(|first| first.clock_info().reset_count) {
            Some(first) if first != found => {
                self.checks.push(Check::fail("quote.clock").of_quote(index));
                Err(VerifyError::BootsDiffer { index, found, first })
            }
            _ => Ok(()),
        }
    }

    /// A document and quotes by a key that was pinned or enrolled: something must show that they are of one machine, or
    /// the registers of one would come with the instance of another.
    fn tie(
        &mut self,
        document: &VerifiedDocument,
        quotes: &[SignedQuote],
        enrolled_instance: Option<&str>,
    ) -> Result<(), VerifyError> {
        // That the record's instance is the document's was checked with each quote.
        if quotes.is_empty()
            || enrolled_instance.is_some()
            || quotes.iter().any(|quote| share_a_register(document, quote))
        {
            return Ok(());
        }
        self.checks.push(Check::fail("evidence.agreement"));
        Err(VerifyError::NotBound { index: 0 })
    }

    fn enrolled(&self, enrolment: &Enrolment, document: Option<&VerifiedDocument>) -> Result<(), VerifyError> {
        if let Some(found) = &self.evidence.ek_public {
            // A key that cannot be read is not the enrolled one.
            if parse_public_key(found).ok().as_ref() != Some(enrolment.endorsement_key()) {
                return Err(VerifyError::EnrolmentEkMismatch);
            }
        }
        match (enrolment.instance_id(), document.map(VerifiedDocument::instance_id)) {
            (Some(enrolled), Some(found)) if enrolled != found => Err(VerifyError::EnrolmentInstanceMismatch {
                enrolled: enrolled.to_owned(),
                document: found.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

/// Whether a register is in both, of those that software cannot reset at will.
fn share_a_register(document: &VerifiedDocument, quote: &SignedQuote) -> bool {
    quote.values().iter().any(|(bank, pcr, _)| !pcr.is_resettable() && document.pcrs().get(bank, pcr).is_some())
}

/// A key in the forms in which attesters put one into a document: a SEC1 point, SubjectPublicKeyInfo, or a TPM's.
fn key_in_document(bytes: &[u8]) -> Option<AttestationKey> {
    match PublicKey::from_sec1(bytes) {
        Ok(numbers) => Some(AttestationKey::from_public_key(numbers)),
        Err(_) => AttestationKey::parse(bytes).ok(),
    }
}

/// Values of two sources that were shown to agree, or that do not overlap.
fn merge(into: &mut PcrValues, from: &PcrValues) {
    for (bank, pcr, value) in from.iter() {
        if into.get(bank, pcr).is_none() {
            // Not there yet, so not a duplicate.
            let _ = into.insert(pcr, *value);
        }
    }
}

fn clock_advances(index: usize, previous: &ClockInfo, now: &ClockInfo) -> Result<(), VerifyError> {
    let backwards = |counter, found, previous| VerifyError::ClockBackwards { index, counter, found, previous };
    let counters = [
        ("reset count", u64::from(now.reset_count), u64::from(previous.reset_count)),
        ("restart count", u64::from(now.restart_count), u64::from(previous.restart_count)),
        ("clock", now.clock, previous.clock),
    ];
    for (counter, found, earlier) in counters {
        match found.cmp(&earlier) {
            std::cmp::Ordering::Less => return Err(backwards(counter, found, earlier)),
            // A later boot: what counts within a boot starts again.
            std::cmp::Ordering::Greater => return Ok(()),
            std::cmp::Ordering::Equal => {}
        }
    }
    Ok(())
}

/// Records the checks before the failing one as passed, and that one as failed.
fn push_until(checks: &mut Vec<Check>, all: &[&'static str], failed: &'static str, quote: Option<usize>) {
    for id in all.iter().take_while(|id| **id != failed) {
        checks.push(Check { quote, ..Check::pass(id) });
    }
    checks.push(Check { quote, ..Check::fail(failed) });
}

/// The check in which a document's verification stopped.
fn document_check(error: &DocumentError) -> &'static str {
    match error {
        DocumentError::WrongType(_) => "document.type",
        DocumentError::Chain { .. }
        | DocumentError::ChainRoot { .. }
        | DocumentError::CertificateMalformed { .. }
        | DocumentError::CertificateSignature { .. } => "document.chain",
        DocumentError::Signature => "document.signature",
        DocumentError::CertificateProfile { .. }
        | DocumentError::CertificateExpired { .. }
        | DocumentError::CertificateNotYetValid { .. }
        | DocumentError::CertificateName { .. }
        | DocumentError::ChainEnginesDisagree { .. } => "document.certificates",
        DocumentError::Timestamp { .. } => "document.time",
        DocumentError::Nonce { .. } => "document.nonce",
        DocumentError::Stale { .. } => "document.age",
        _ => "document.structure",
    }
}

/// The check in which a quote's verification stopped.
fn quote_check(error: &QuoteError) -> &'static str {
    match error {
        QuoteError::Key(_)
        | QuoteError::Scheme { .. }
        | QuoteError::SchemeUnsupported { .. }
        | QuoteError::Sha1Signature => "quote.key",
        QuoteError::Signature { .. } => "quote.signature",
        QuoteError::Nonce { .. } => "quote.nonce",
        QuoteError::Sha1Bank | QuoteError::PcrMissing { .. } => "quote.selection",
        QuoteError::PcrDigest => "quote.pcr-digest",
        _ => "quote.structure",
    }
}

/// What the nonce leaves open.
fn nonce_warning(expectation: NonceExpectation<'_>) -> Option<Warning> {
    match expectation {
        NonceExpectation::NotChecked => Some(Warning::new(
            "freshness.nonce-not-checked",
            "no nonce was checked: the evidence may be a replay of an earlier one",
        )),
        NonceExpectation::Expected(nonce) if nonce.as_bytes().len() < 16 => Some(Warning::new(
            "freshness.nonce-short",
            format!("the nonce has {} bytes; send at least 16 random ones", nonce.as_bytes().len()),
        )),
        NonceExpectation::Expected(_) => None,
    }
}
