//! A replayed log against PCRs that somebody expects.

use nitrotpm_eventlog::{Explanation, LogError, ReplayMismatch, ReplayedLog};
use nitrotpm_pcr::PcrValues;
use serde::Serialize;

/// The registers that differ, and in the same order what would explain each, where that was looked for.
pub(super) struct Comparison {
    pub(super) mismatches: Vec<ReplayMismatch>,
    pub(super) explanations: Vec<Explanation>,
}

/// Compares every value that is expected, and looks for what would explain each that differs.
pub(super) fn compare(replayed: &ReplayedLog<'_>, expected: &PcrValues) -> Result<Comparison, LogError> {
    let Comparison { mismatches, .. } = compare_only(replayed, expected)?;
    Ok(Comparison { explanations: replayed.explain(&mismatches), mismatches })
}

/// The same without the search for explanations, for many logs.
pub(super) fn compare_only(replayed: &ReplayedLog<'_>, expected: &PcrValues) -> Result<Comparison, LogError> {
    let requested = expected.iter().map(|(bank, pcr, _)| (bank, pcr));
    let mismatches = match replayed.confirm(expected, requested) {
        Ok(_) => Vec::new(),
        Err(LogError::Mismatch { mismatches }) => mismatches,
        Err(error) => return Err(error),
    };
    Ok(Comparison { mismatches, explanations: Vec::new() })
}

impl Comparison {
    pub(super) const fn verdict(&self) -> &'static str {
        if self.mismatches.is_empty() { "affirmed" } else { "refused" }
    }

    pub(super) fn reasons(&self) -> Vec<Reason> {
        self.mismatches
            .iter()
            .enumerate()
            .map(|(position, mismatch)| (mismatch, self.explanations.get(position)))
            .map(|(mismatch, explanation)| Reason {
                code: "event_log.replay-mismatch",
                message: mismatch.to_string(),
                pcr: mismatch.pcr.get(),
                bank: mismatch.bank.name(),
                event: explanation.and_then(|explanation| explanation.event()),
                expected: mismatch.expected.to_string(),
                found: mismatch.replayed.to_string(),
                explanation: explanation.map(ToString::to_string),
            })
            .collect()
    }
}

/// Why a log is refused.
#[derive(Serialize)]
pub(super) struct Reason {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) pcr: u8,
    pub(super) bank: &'static str,
    /// The event that the explanation names.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<usize>,
    expected: String,
    found: String,
    /// The one difference that would give the expected value, as far as one was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) explanation: Option<String>,
}
