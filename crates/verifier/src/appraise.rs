//! From claims to a verdict: the policy's requirements and images.

use nitrotpm_eventlog::SecureBootState;

use crate::claims::Claims;
use crate::ima;
use crate::outcome::{Check, Outcome, Reason, Warning};
use crate::policy::{Image, Policy};
use crate::result::rfc3339;

/// Every code of a reason for which authentic evidence is refused.
pub const REFUSAL_CODES: &[&str] = &[
    "document.missing",
    "document.stale",
    "event_log.bank-not-in-log",
    "event_log.missing",
    "image.build-too-old",
    "image.expired",
    "image.revoked",
    "ima_log.missing",
    "ima_log.not-allowed",
    "instance.not-accepted",
    "instance.unknown",
    "pcr.mismatch",
    "pcr.not-authenticated",
    "quote.missing",
    "revocations.dbx",
    "revocations.image",
    "revocations.not-shown",
    "revocations.sbat-level",
    "secure_boot.disabled",
    "secure_boot.unknown",
];

/// Every code of a warning.
pub const WARNING_CODES: &[&str] = &[
    "event_log.bank-not-covered",
    "event_log.not-covered",
    "freshness.nonce-not-checked",
    "freshness.nonce-short",
    "image.captured",
    "ima_log.boot-aggregate",
    "ima_log.not-proven",
    "ima_log.unproven",
    "ima_log.violations",
    "policy.bank-not-in-document",
    "policy.cannot-be-met",
    "policy.image-expired",
    "policy.image-unreachable",
    "policy.mixed-images",
    "policy.no-effect",
    "policy.os-separator-mixed",
    "policy.pcr4-without-pcr12",
    "policy.pcr7-secure-boot-off",
    "policy.platform-pcrs-only",
    "policy.unstable-pcr",
    "quote.bank-not-relied-on",
    "quote.clock-not-safe",
    "quote.key-attributes-unknown",
];

/// What a policy says of claims. Only [`appraise`] makes one.
#[derive(Clone, Debug)]
pub struct Appraisal {
    pub(crate) checks: Vec<Check>,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) image: Option<MatchedImage>,
}

/// The image that the evidence is of.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct MatchedImage {
    /// Its name in the policy.
    pub name: String,
    /// Its build number, if the policy gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<u64>,
    /// Where its reference values come from: `predicted`, `captured` or `unstated`.
    pub provenance: &'static str,
}

impl Appraisal {
    /// Whether every requirement holds.
    #[must_use]
    pub fn is_affirmed(&self) -> bool {
        self.reasons.is_empty() && self.checks.iter().all(|check| check.outcome != Outcome::Fail)
    }

    /// Why it is refused; empty exactly when it is affirmed.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// The demands of the policy, in order, and whether each holds.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// What does not change the verdict and should be known of the policy.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The image of the policy that the evidence is of.
    #[must_use]
    pub const fn image(&self) -> Option<&MatchedImage> {
        self.image.as_ref()
    }
}

/// Holds claims against a policy. Every requirement is looked at, so that a refusal names everything that is wrong.
#[must_use]
pub fn appraise(claims: &Claims<'_>, policy: &Policy) -> Appraisal {
    let mut appraisal =
        Appraisal { checks: Vec::new(), reasons: Vec::new(), warnings: crate::lint::lint(policy), image: None };
    let require = policy.require();
    let presence = [
        (
            "policy.document",
            require.document,
            claims.document().is_some(),
            "document.missing",
            "the policy requires an AWS-signed NitroTPM document and the evidence has none; collect it on the instance",
        ),
        (
            "policy.quote",
            require.quote,
            !claims.quotes().is_empty(),
            "quote.missing",
            "the policy requires a TPM quote and the evidence has none",
        ),
        (
            "policy.event_log",
            require.event_log,
            claims.event_log().is_some(),
            "event_log.missing",
            "the policy requires an event log and the evidence has none; collect binary_bios_measurements with it",
        ),
    ];
    appraisal.age(claims, policy);
    for (id, required, present, code, message) in presence {
        let missing = (!present).then(|| Reason::new(code, message));
        let failure = missing.or_else(|| if id == "policy.event_log" { bank_not_in_log(claims, policy) } else { None });
        appraisal.require(id, required, failure);
    }
    let secure_boot = match claims.secure_boot() {
        Some(SecureBootState::Enabled) => None,
        Some(SecureBootState::Disabled) => Some(Reason::new(
            "secure_boot.disabled",
            "the policy requires Secure Boot and the event log shows that it was off; enrol PK, KEK and db",
        )),
        Some(SecureBootState::Unknown { reason }) => Some(Reason::new(
            "secure_boot.unknown",
            format!("the policy requires Secure Boot, and the event log does not show its state: {reason}"),
        )),
        None => Some(Reason::new(
            "secure_boot.unknown",
            "the policy requires Secure Boot, and the evidence has no event log to show its state; collect it",
        )),
    };
    appraisal.require("policy.secure_boot", require.secure_boot, secure_boot);
    let instance = (!require.instance_ids.is_empty()).then(|| match claims.instance_id() {
        Some(id) if require.instance_ids.iter().any(|accepted| accepted == id) => None,
        Some(id) => {
            Some(Reason::new("instance.not-accepted", format!("instance {id} is none of those the policy accepts")))
        }
        None => Some(Reason::new(
            "instance.unknown",
            "the policy names instances, and neither a document nor an enrolment record says which one this is",
        )),
    });
    appraisal.require("policy.instance", instance.is_some(), instance.flatten());
    if let Some(revocations) = policy.revocations() {
        appraisal.require_all("policy.revocations", revocations.appraise(claims.confirmed_log()));
    }
    if let Some(list) = policy.ima_allow_list() {
        appraisal.require_all("policy.ima_allow_list", ima::appraise(list, claims));
    }
    appraisal.match_image(claims, policy);
    appraisal
}

impl Appraisal {
    fn require(&mut self, id: &'static str, required: bool, failure: Option<Reason>) {
        self.checks.push(match (required, failure) {
            (false, _) => Check::not_applicable(id).detail("the policy does not ask for it"),
            (true, None) => Check::pass(id),
            (true, Some(reason)) => {
                self.reasons.push(reason);
                Check::fail(id)
            }
        });
    }

    /// The age was a check of the document's own verification where that was told of this policy, as [`crate::verify`]
    /// does. Whoever walks by hand may not have, and the demand holds all the same.
    fn age(&mut self, claims: &Claims<'_>, policy: &Policy) {
        if let (Some(max_age), Some(document)) = (policy.max_age(), claims.document())
            && let Err(error) = document.check_age(max_age)
        {
            self.require("policy.max_age", true, Some(Reason::new(error.code(), error.to_string())));
        }
    }

    /// A requirement that can fail in several ways at once.
    fn require_all(&mut self, id: &'static str, failures: Vec<Reason>) {
        self.checks.push(if failures.is_empty() { Check::pass(id) } else { Check::fail(id) });
        self.reasons.extend(failures);
    }

    /// An image matches as a whole or not at all.
    fn match_image(&mut self, claims: &Claims<'_>, policy: &Policy) {
        let id = "policy.image";
        if policy.images().is_empty() {
            self.checks.push(Check::not_applicable(id).detail("the policy names no image"));
            return;
        }
        let compared: Vec<_> = policy.images().iter().map(|image| (image, differences(image, claims))).collect();
        let matching = || compared.iter().filter(|(_, differences)| differences.is_empty()).map(|(image, _)| *image);
        let too_old = |image: &Image| policy.require().minimum_build.is_some_and(|minimum| image.build < Some(minimum));
        let now = claims.clock().time();
        let expired = |image: &Image| image.not_after.is_some_and(|end| now >= end);
        let reasons: Vec<Reason> = if let Some(revoked) = matching().find(|image| image.revoked.is_some()) {
            let why = revoked.revoked.as_deref().unwrap_or_default();
            vec![of_image(
                revoked,
                Reason::new("image.revoked", format!("image \"{}\" is revoked: {why}", revoked.name.escape_debug())),
            )]
        } else if let Some(image) = matching().find(|image| !too_old(image) && !expired(image)) {
            self.image = Some(MatchedImage {
                name: image.name.clone(),
                build: image.build,
                provenance: image.provenance.name(),
            });
            if image.provenance == crate::policy::Provenance::Captured {
                self.warnings.push(Warning::new(
                    "image.captured",
                    "the matching reference values were read from a running machine: they are as good as it was",
                ));
            }
            Vec::new()
        } else if let Some((image, end)) =
            matching().filter(|image| !too_old(image)).find_map(|image| Some((image, image.not_after?)))
        {
            vec![of_image(
                image,
                Reason::new(
                    "image.expired",
                    format!(
                        "image \"{}\" was accepted until {}; boot a current image",
                        image.name.escape_debug(),
                        rfc3339(end)
                    ),
                ),
            )]
        } else if let Some(old) = matching().next() {
            let (build, minimum) = (old.build.unwrap_or(0), policy.require().minimum_build.unwrap_or(0));
            vec![of_image(
                old,
                Reason::new(
                    "image.build-too-old",
                    format!(
                        "image \"{}\" is build {build}; the policy accepts {minimum} and later",
                        old.name.escape_debug()
                    ),
                ),
            )]
        } else {
            // The nearest image explains most; the first of equals keeps the order of the policy.
            compared
                .into_iter()
                .filter(|(image, _)| image.why_not_accepted(policy.require(), claims.clock()).is_none())
                .min_by_key(|(_, differences)| differences.len())
                .map(|(image, differences)| differences.into_iter().map(|reason| of_image(image, reason)).collect())
                .unwrap_or_else(|| {
                    vec![Reason::new(
                        "image.expired",
                        "no image of the policy is accepted at this time any more; use a current policy",
                    )]
                })
        };
        self.checks.push(match (&self.image, reasons.is_empty()) {
            (Some(image), true) => Check::pass(id).detail(format!("\"{}\"", image.name.escape_debug())),
            _ => Check::fail(id),
        });
        self.reasons.extend(reasons);
    }
}

/// An image that matches in a bank that the log, though required, does not have: software may have extended that bank
/// to whatever the image expects.
fn bank_not_in_log(claims: &Claims<'_>, policy: &Policy) -> Option<Reason> {
    let log = claims.event_log()?;
    let lacks = |image: &Image| image.pcrs.banks().find(|bank| log.banks_not_in_log.contains(&bank.name()));
    let matching = policy.images().iter().filter(|image| differences(image, claims).is_empty());
    let (image, bank) = matching.filter_map(|image| Some((image, lacks(image)?))).next()?;
    let mut reason = Reason::new(
        "event_log.bank-not-in-log",
        format!(
            "image \"{}\" names PCRs of bank {bank}, and the event log that the policy requires has no digests of that \
             bank; send a log that has them, or name PCRs of a bank that it has",
            image.name.escape_debug()
        ),
    );
    reason.bank = Some(bank.name());
    Some(of_image(image, reason))
}

fn of_image(image: &Image, reason: Reason) -> Reason {
    Reason { image: Some(image.name.clone()), ..reason }
}

/// What an image expects and the claims do not show, register by register.
fn differences(image: &Image, claims: &Claims<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (bank, pcr, expected) in image.pcrs.iter() {
        match claims.pcrs().get(bank, pcr) {
            Some(found) if found == expected => {}
            Some(found) => reasons.push(
                Reason::new(
                    "pcr.mismatch",
                    format!(
                        "PCR {pcr} ({}) of bank {bank} is not that of image \"{}\"",
                        pcr.meaning(),
                        image.name.escape_debug()
                    ),
                )
                .register(bank, pcr)
                .values(expected, found),
            ),
            None => {
                let mut reason = Reason::new(
                    "pcr.not-authenticated",
                    format!(
                        "PCR {pcr} of bank {bank} is demanded by image \"{}\" and nothing signed in the evidence covers it",
                        image.name.escape_debug()
                    ),
                )
                .register(bank, pcr);
                reason.expected = Some(expected.to_string());
                reasons.push(reason);
            }
        }
    }
    reasons
}
