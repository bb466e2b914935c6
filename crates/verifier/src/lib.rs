//! Verifies what a NitroTPM instance says about its boot.
//!
//! The verifier of RFC 9334 as a library: evidence, policy, trust, nonce and clock go in, an attestation result comes
//! out. It needs no TPM, no C TPM library, no network, no file and no clock of its own.
//!
//! ```
//! use nitrotpm_verifier::{Clock, Nonce, NonceExpectation, Policy, Request, Trust, UnixTime, verify};
//!
//! # fn run(evidence: &[u8], policy: &[u8], nonce: &[u8], now: UnixTime) -> Result<(), Box<dyn std::error::Error>> {
//! let policy = Policy::from_toml(policy)?;
//! let nonce = Nonce::new(nonce)?;
//! let request = Request::new(NonceExpectation::Expected(&nonce), Clock::Live(now));
//! let result = verify(evidence, &policy, &Trust::aws(), &request);
//! println!("{}", result.to_json());
//! # Ok(())
//! # }
//! ```
//!
//! # A document alone
//! Evidence is a bundle; its parts can be put together here as well. A root of one's own (a test's, an emulator's) takes
//! the place of AWS's, and a clock that stands still gives a verdict that anyone can repeat.
//!
//! ```
//! use nitrotpm_verifier::{
//!     AttestationResult, Clock, Evidence, NonceExpectation, Policy, Request, Trust, TrustRoots, UnixTime, verify,
//! };
//!
//! # fn run(document: Vec<u8>, root_pem: &[u8]) -> Result<AttestationResult, Box<dyn std::error::Error>> {
//! let policy = Policy::from_toml(b"schema = \"nitrotpm.policy/1\"\n[require]\ndocument = true\nmax_age_seconds = 300")?;
//! let mut roots = TrustRoots::empty();
//! roots.add_pem(root_pem)?;
//! let mut evidence = Evidence::default();
//! evidence.document = Some(document);
//! let then = Clock::Audit(UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_770_113_522)));
//! let request = Request::new(NonceExpectation::NotChecked, then);
//! # Ok(
//! verify(&evidence.to_json(), &policy, &Trust::roots(roots), &request)
//! # )
//! # }
//! ```
//!
//! Keys are pinned with [`Trust::pin`] or enrolled with [`Trust::enrol`]; what must not have been loaded stands in the
//! policy (`[revocations]`); [`Request::explained_by`] gives each refusal its cause. With the feature `aws-lc`,
//! `Trust::backend(Backend::AwsLc)` verifies documents several times as fast as ring.
//!
//! # One way
//! [`verify`] walks through the steps below. Each step is a type that only the step before can make, so a verdict that
//! skips a check does not compile:
//!
//! | step | type | what it gives |
//! |---|---|---|
//! | parsed | [`Evidence`] | bytes, nothing that may be believed |
//! | authenticated | [`AuthenticatedEvidence`], by [`authenticate`] | nothing yet |
//! | replayed | [`ReplayedEvidence`], by [`AuthenticatedEvidence::replay`] | [`Claims`] |
//! | appraised | [`Appraisal`], by [`appraise`] | a verdict |
//! | result | [`AttestationResult`] | the verdict with all that led to it |
//!
//! One after the other they give the claims, of which a policy is only one use:
//!
//! ```
//! use nitrotpm_verifier::{Evidence, Policy, Rejection, Request, Trust, appraise, authenticate};
//!
//! fn why_refused(
//!     evidence: &Evidence, policy: &Policy, trust: &Trust, request: &Request<'_>,
//! ) -> Result<Vec<&'static str>, Rejection> {
//!     let replayed = authenticate(evidence, trust, request, policy.max_age())?.replay()?;
//!     let claims = replayed.claims();
//!     println!("instance {:?}, Secure Boot {:?}", claims.instance_id(), claims.secure_boot());
//!     Ok(appraise(&claims, policy).reasons().iter().map(|reason| reason.code).collect())
//! }
//! # let _ = why_refused;
//! ```
//!
//! ```compile_fail
//! // Claims come from replayed evidence only.
//! fn skip(authenticated: nitrotpm_verifier::AuthenticatedEvidence<'_>) {
//!     let _ = authenticated.claims();
//! }
//! ```
//! ```compile_fail
//! // PCR values that somebody made up are not claims.
//! fn forge(policy: &nitrotpm_verifier::Policy, pcrs: nitrotpm_verifier::PcrValues) {
//!     let _ = nitrotpm_verifier::appraise(&pcrs, policy);
//! }
//! ```
//! ```compile_fail
//! // Nobody makes an appraisal by hand.
//! let _ = nitrotpm_verifier::Appraisal { checks: vec![], reasons: vec![], warnings: vec![], image: None };
//! ```

mod appraise;
mod authenticate;
mod causes;
mod claims;
mod enrolment;
mod error;
mod evidence;
mod ima;
mod keyed;
mod lint;
mod outcome;
mod policy;
mod replay;
mod result;
mod revocations;
mod trust;

pub use appraise::{Appraisal, MatchedImage, REFUSAL_CODES, WARNING_CODES, appraise};
pub use authenticate::{AuthenticatedEvidence, Binding, Request, authenticate};
pub use causes::DifferenceReport;
pub use claims::{Claims, ClaimsReport, DocumentReport, QuoteReport};
pub use enrolment::{Enrolment, EnrolmentError};
pub use error::{DocumentQuoteMismatch, Rejection, VerifyError};
pub use evidence::{EVIDENCE_SCHEMA, Evidence, EvidenceError, QuoteBytes};
pub use lint::{PCR7_SECURE_BOOT_OFF, lint, lint_at};
pub use nitrotpm_eventlog::SecureBootState;
pub use nitrotpm_explain::{Reference, ReferenceError, References};
pub use nitrotpm_freshness::{Clock, Nonce, NonceError, NonceExpectation, UnixTime};
pub use nitrotpm_nitro_document::{ChainCache, DocumentError, TrustRootError, TrustRoots, VerifiedDocument};
pub use nitrotpm_pcr::{Bank, Digest, PcrIndex, PcrValues};
pub use nitrotpm_quote::{AttestationKey, ClockInfo, QuoteError, SignedQuote};
pub use nitrotpm_signature::Backend;
pub use outcome::{Check, Outcome, Reason, Warning};
pub use policy::{Image, POLICY_SCHEMA, Policy, PolicyError, Provenance, Requirements};
pub use replay::{ReplayedEvidence, ReplayedIma, ReplayedLog};
pub use result::{AttestationResult, RESULT_SCHEMA, Verdict};
pub use revocations::{Revocations, RevokedDigest};
pub use trust::Trust;

/// From bytes to verdict.
///
/// `evidence` is a bundle in JSON (schema `nitrotpm.evidence/1`). Errors become an `invalid` result with their reason:
/// there is no outcome in which evidence that could not be verified is anything else.
#[must_use]
pub fn verify(evidence: &[u8], policy: &Policy, trust: &Trust, request: &Request<'_>) -> AttestationResult {
    let digest = evidence::sha256(evidence);
    let rejected = |rejection: &Rejection| AttestationResult::rejected(digest, policy, request.clock, rejection);
    let bundle = match Evidence::from_json(evidence) {
        Ok(bundle) => bundle,
        Err(error) => return rejected(&error.into()),
    };
    match authenticate(&bundle, trust, request, policy.max_age()).and_then(AuthenticatedEvidence::replay) {
        Ok(replayed) => {
            let claims = replayed.claims();
            let mut appraisal = appraise(&claims, policy);
            if let Some(references) = request.references {
                causes::explain_mismatches(&mut appraisal, &claims, policy, request.clock, references);
            }
            AttestationResult::appraised(digest, policy, request.clock, &claims, appraisal)
        }
        Err(rejection) => rejected(&rejection),
    }
}
