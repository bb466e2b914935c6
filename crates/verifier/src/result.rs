//! The attestation result: one verdict, and everything that led to it.

use nitrotpm_digest_lanes::Digest;
use nitrotpm_freshness::{Clock, UnixTime};
use nitrotpm_pcr::PcrValues;
use serde::Serialize;

use crate::appraise::{Appraisal, MatchedImage};
use crate::claims::{Claims, ClaimsReport};
use crate::error::Rejection;
use crate::outcome::{Check, Reason, Warning};
use crate::policy::Policy;

/// The schema of a result in JSON.
pub const RESULT_SCHEMA: &str = "nitrotpm.result/1";

/// What the verifier says of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Authentic, fresh as far as it was asked for, and as the policy wants it.
    Affirmed,
    /// Authentic, and not as the policy wants it.
    Refused,
    /// Not well-formed, not authentic, not by a trusted key, stale, with another nonce, or not replaying.
    Invalid,
}

impl Verdict {
    /// As results print it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Affirmed => "affirmed",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
        }
    }
}

/// The attestation result (RFC 9334, section 8.4).
///
/// The same evidence, policy, trust, nonce and clock give the same result, byte for byte in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct AttestationResult {
    schema: &'static str,
    verdict: Verdict,
    at: String,
    time_mode: &'static str,
    evidence_sha256: String,
    policy_sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ima_allow_list_sha256: Option<String>,
    checks: Vec<Check>,
    reasons: Vec<Reason>,
    warnings: Vec<Warning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<MatchedImage>,
    pcrs: PcrValues,
    claims: ClaimsReport,
}

impl AttestationResult {
    /// The result of an appraisal.
    pub(crate) fn appraised(
        evidence_sha256: Digest,
        policy: &Policy,
        clock: Clock,
        claims: &Claims<'_>,
        appraisal: Appraisal,
    ) -> Self {
        let verdict = if appraisal.is_affirmed() { Verdict::Affirmed } else { Verdict::Refused };
        let mut checks = claims.checks().to_vec();
        checks.extend(appraisal.checks);
        let mut warnings = claims.warnings();
        warnings.extend(appraisal.warnings);
        Self {
            checks,
            reasons: appraisal.reasons,
            warnings,
            image: appraisal.image,
            pcrs: claims.pcrs().clone(),
            claims: claims.report(),
            ..Self::empty(verdict, evidence_sha256, policy, clock)
        }
    }

    /// The result of evidence that never came to an appraisal.
    pub(crate) fn rejected(evidence_sha256: Digest, policy: &Policy, clock: Clock, rejection: &Rejection) -> Self {
        Self {
            checks: rejection.checks.clone(),
            reasons: rejection.errors.iter().map(crate::error::VerifyError::reason).collect(),
            ..Self::empty(Verdict::Invalid, evidence_sha256, policy, clock)
        }
    }

    fn empty(verdict: Verdict, evidence_sha256: Digest, policy: &Policy, clock: Clock) -> Self {
        Self {
            schema: RESULT_SCHEMA,
            verdict,
            at: rfc3339(clock.time()),
            time_mode: clock.mode(),
            evidence_sha256: evidence_sha256.to_string(),
            policy_sha256: policy.sha256().to_string(),
            ima_allow_list_sha256: policy.ima_allow_list_sha256().map(|digest| digest.to_string()),
            checks: Vec::new(),
            reasons: Vec::new(),
            warnings: Vec::new(),
            image: None,
            pcrs: PcrValues::new(),
            claims: ClaimsReport::default(),
        }
    }

    /// The verdict.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Why it is not `affirmed`; empty exactly when it is.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// The checks that ran, in order. Those of an `invalid` result end with the one that failed.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// What does not change the verdict and should be known.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The image of the policy that the evidence is of.
    #[must_use]
    pub const fn image(&self) -> Option<&MatchedImage> {
        self.image.as_ref()
    }

    /// The authenticated PCRs; none in an `invalid` result.
    #[must_use]
    pub const fn pcrs(&self) -> &PcrValues {
        &self.pcrs
    }

    /// What the evidence shows; nothing in an `invalid` result.
    #[must_use]
    pub const fn claims(&self) -> &ClaimsReport {
        &self.claims
    }

    /// The time of judgement as RFC 3339 text.
    #[must_use]
    pub fn at(&self) -> &str {
        &self.at
    }

    /// One JSON object of the schema, in one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Text keys, strings and numbers only: writing them to memory cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A time as RFC 3339 text in UTC, or the bare seconds where no calendar reaches.
pub(crate) fn rfc3339(time: UnixTime) -> String {
    let seconds = time.as_secs();
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| format!("{seconds} s after 1970-01-01T00:00:00Z"), |time| time.to_string())
}
