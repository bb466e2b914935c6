//! Why registers are not as the policy wants them, for the person who reads a refusal.

use std::collections::BTreeSet;
use std::str::FromStr;

use nitrotpm_eventlog::{EventLog, ParseOptions};
use nitrotpm_explain::{Boot, Difference, Explanation, Mismatch, Reference, References, explain};
use nitrotpm_freshness::Clock;
use nitrotpm_pcr::{Bank, PcrIndex};
use serde::Serialize;

use crate::appraise::Appraisal;
use crate::claims::Claims;
use crate::outcome::Reason;
use crate::policy::Policy;

/// An event that differs from the reference's, as a reason carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DifferenceReport {
    /// The register.
    pub pcr: u8,
    /// `kernel-command-line`, `initrd`, `boot-image`, `secure-boot-policy`, `boot-order`, `firmware` or `unknown`.
    pub cause: &'static str,
    /// One sentence for a person.
    pub message: String,
    /// The event of the log, counting from 0 with its header; absent where the boot lacks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<usize>,
    /// The digest that the reference has, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The digest that the boot has, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

impl From<Difference> for DifferenceReport {
    fn from(difference: Difference) -> Self {
        Self {
            pcr: difference.pcr.get(),
            cause: difference.cause.name(),
            message: difference.message,
            event: difference.event,
            expected: difference.expected.map(|digest| digest.to_string()),
            found: difference.found.map(|digest| digest.to_string()),
        }
    }
}

/// Gives every register that is not as the nearest image wants it its cause, and puts the most likely one first. The
/// verdict and the number of reasons stay as they are.
pub(crate) fn explain_mismatches(
    appraisal: &mut Appraisal,
    claims: &Claims<'_>,
    policy: &Policy,
    clock: Clock,
    references: &References,
) {
    let slots: Vec<usize> = appraisal
        .reasons
        .iter()
        .enumerate()
        .filter(|(_, reason)| reason.code == "pcr.mismatch")
        .map(|(index, _)| index)
        .collect();
    let found: Vec<(Reason, Mismatch)> = slots
        .iter()
        .filter_map(|slot| {
            let reason = appraisal.reasons.get(*slot)?;
            Some((reason.clone(), mismatch(reason, claims, policy)?))
        })
        .collect();
    if found.is_empty() || found.len() != slots.len() {
        return;
    }
    let log = claims.event_log_bytes().and_then(|bytes| EventLog::parse(bytes, &ParseOptions::default()).ok());
    let proven = proven(claims);
    let boot = Boot { log: log.as_ref(), proven: &proven };
    let mismatches: Vec<Mismatch> = found.iter().map(|(_, mismatch)| *mismatch).collect();
    let known = with_images(references, policy, clock);
    let explained = explain(&boot, &mismatches, &known);
    for (slot, explanation) in slots.into_iter().zip(explained) {
        if let (Some(place), Some((reason, _))) = (appraisal.reasons.get_mut(slot), found.get(explanation.mismatch)) {
            *place = with_cause(reason.clone(), explanation);
        }
    }
}

fn mismatch(reason: &Reason, claims: &Claims<'_>, policy: &Policy) -> Option<Mismatch> {
    let bank = Bank::from_str(reason.bank?).ok()?;
    let pcr = PcrIndex::new(reason.pcr?)?;
    let image = policy.images().iter().find(|image| Some(&image.name) == reason.image.as_ref())?;
    Some(Mismatch { bank, pcr, expected: *image.pcrs.get(bank, pcr)?, found: claims.pcrs().get(bank, pcr).copied() })
}

/// The registers whose signed values the log gives.
fn proven(claims: &Claims<'_>) -> BTreeSet<(Bank, PcrIndex)> {
    let covered = claims.event_log().map(|log| &log.covered);
    let registers = covered.into_iter().flatten().filter_map(|(bank, pcrs)| Some((Bank::from_str(bank).ok()?, pcrs)));
    registers.flat_map(|(bank, pcrs)| pcrs.iter().filter_map(move |pcr| Some((bank, PcrIndex::new(*pcr)?)))).collect()
}

/// The caller's references, and the values of the policy's images.
fn with_images(references: &References, policy: &Policy, clock: Clock) -> References {
    let mut known = references.clone();
    for image in policy.images() {
        let reference = Reference::from_values(&image.name, image.pcrs.clone());
        known.add(match image.why_not_accepted(policy.require(), clock) {
            Some(why) => reference.superseded(why),
            None => reference,
        });
    }
    known
}

fn with_cause(mut reason: Reason, explanation: Explanation) -> Reason {
    reason.message = format!("{}: {}", reason.message, explanation.message);
    reason.cause = Some(explanation.cause.name());
    reason.event = explanation.event;
    reason.check = Some(explanation.check);
    reason.reference = explanation.reference;
    reason.differences = explanation.differences.into_iter().map(DifferenceReport::from).collect();
    reason.more_differences = Some(explanation.more_differences).filter(|more| *more > 0);
    reason.searched = explanation.searched;
    reason
}
