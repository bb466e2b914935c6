//! Why registers are not as an image of a policy wants them.

use std::collections::BTreeSet;

use nitrotpm_digest_lanes::Digest;
use nitrotpm_eventlog::{Cause, EventLog};
use nitrotpm_pcr::{Bank, PcrIndex};

use crate::compare::{Difference, Kind, compare};
use crate::reference::{Reference, References};
use crate::{advice, search};

/// What is known of a boot.
#[derive(Clone, Copy, Debug)]
pub struct Boot<'a> {
    /// Its event log.
    pub log: Option<&'a EventLog<'a>>,
    /// The registers whose authenticated values the log gives; of others the events prove nothing.
    pub proven: &'a BTreeSet<(Bank, PcrIndex)>,
}

/// A register that is not as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The bank.
    pub bank: Bank,
    /// The register.
    pub pcr: PcrIndex,
    /// The value that was expected.
    pub expected: Digest,
    /// The value that it has; none where nothing authenticated says so.
    pub found: Option<Digest>,
}

/// Why one register is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// Which of the mismatches, by its position.
    pub mismatch: usize,
    /// What it comes from.
    pub cause: Cause,
    /// The cause in words: a clause without a full stop.
    pub message: String,
    /// The event of the boot's log that shows it, counting from 0 with its header.
    pub event: Option<usize>,
    /// What to look at next.
    pub check: &'static str,
    /// The reference whose events were compared.
    pub reference: Option<String>,
    /// The events that differ and bear on this register, the most likely cause first; at most 32.
    pub differences: Vec<Difference>,
    /// How many more there are.
    pub more_differences: usize,
    /// What was tried where no reference has the events.
    pub searched: Option<String>,
}

/// How many differences one explanation tells: a log can have as many events as it likes.
const MOST_TOLD: usize = 32;
/// How many registers are searched where only values are known: each costs up to a tenth of a second.
const MOST_SEARCHED: usize = 8;

/// The registers that describe one unified kernel image, as a whole and in its parts, and what it is told.
const OF_THE_IMAGE: [u8; 6] = [4, 8, 9, 11, 12, 13];

/// Explains mismatches, the most likely cause of the others first.
///
/// The reference that gives most of the expected values is compared with the log, event by event; all references are
/// searched for what was found instead. Where there is no such reference or no log, a bounded number of combinations is
/// tried. One explanation a mismatch; it costs at most some tenths of a second, so it is for a verdict that a person
/// reads.
#[must_use]
pub fn explain(boot: &Boot<'_>, mismatches: &[Mismatch], references: &References) -> Vec<Explanation> {
    let reference = best(mismatches, references);
    let others: Vec<&Reference> = references.iter().collect();
    let differences = match (reference, boot.log) {
        (Some(reference), Some(log)) => {
            // The digests of the bank that is signed: those of another would prove nothing.
            let bank = mismatches.first().map(|mismatch| mismatch.bank);
            compare(reference, log, bank, &others).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let replayed = boot.log.and_then(|log| log.replay_all().ok());
    let mut explanations: Vec<(usize, Explanation)> = Vec::new();
    let mut searches = 0_usize;
    for (position, mismatch) in mismatches.iter().enumerate() {
        let bearing = || differences.iter().filter(|entry| bears_on(entry, mismatch.pcr));
        let has_own = differences.iter().any(|entry| entry.pcr == mismatch.pcr);
        let relevant: Vec<Difference> = bearing().take(MOST_TOLD).cloned().collect();
        let place = relevant
            .first()
            .and_then(|first| differences.iter().position(|entry| entry == first))
            .filter(|_| has_own)
            .unwrap_or(usize::MAX);
        let explanation = match (relevant.first(), reference) {
            (Some(first), Some(reference)) if has_own => {
                let mut message = first.message.clone();
                if !boot.proven.contains(&(first.bank, first.pcr)) {
                    message.push_str(" (by an event that no signed value proves)");
                }
                Explanation {
                    mismatch: position,
                    cause: first.cause,
                    message,
                    event: first.event,
                    check: advice::of(first.cause),
                    reference: Some(reference.name().to_owned()),
                    more_differences: bearing().count().saturating_sub(relevant.len()),
                    differences: relevant,
                    searched: None,
                }
            }
            _ => {
                let log = replayed.as_ref().filter(|_| boot.proven.contains(&(mismatch.bank, mismatch.pcr)));
                searches = searches.saturating_add(1);
                let answer = if searches > MOST_SEARCHED {
                    search::Answer::none("nothing: too many registers differ".to_owned())
                } else {
                    search::search(mismatch, log, references)
                };
                let cause = of_register(mismatch.pcr);
                Explanation {
                    mismatch: position,
                    cause,
                    check: if answer.found.is_some() {
                        advice::of(cause)
                    } else {
                        advice::without_reference(reference.is_some())
                    },
                    message: answer.found.unwrap_or_else(|| "no cause was found among what is known".to_owned()),
                    event: answer.event,
                    reference: None,
                    differences: Vec::new(),
                    more_differences: 0,
                    searched: Some(answer.searched),
                }
            }
        };
        explanations.push((place, explanation));
    }
    // Those that an event explains first, that event's own register before others; the rest as they came.
    explanations.sort_by_key(|(place, explanation)| {
        let of = mismatches.get(explanation.mismatch).map(|of| of.pcr);
        let is_own = explanation.differences.first().is_some_and(|first| Some(first.pcr) == of);
        (*place, !is_own, explanation.mismatch)
    });
    explanations.into_iter().map(|(_, explanation)| explanation).collect()
}

/// The reference that gives most of the expected values, of those that have events; of equals the first. One that is
/// superseded is what is expected only where no other is.
fn best<'r>(mismatches: &[Mismatch], references: &'r References) -> Option<&'r Reference> {
    let fits = |reference: &Reference| {
        let gives = |of: &&Mismatch| reference.value(of.bank, of.pcr) == Some(of.expected);
        mismatches.iter().filter(gives).count()
    };
    references
        .iter()
        .filter(|reference| reference.has_events())
        .map(|reference| (fits(reference), reference))
        .filter(|(count, _)| *count > 0)
        .min_by_key(|(count, reference)| (std::cmp::Reverse(*count), reference.why_superseded().is_some()))
        .map(|(_, reference)| reference)
}

/// Whether an event that differs may be why a register does.
fn bears_on(entry: &Difference, pcr: PcrIndex) -> bool {
    let of_the_image = |pcr: PcrIndex| OF_THE_IMAGE.contains(&pcr.get());
    entry.pcr == pcr || (of_the_image(pcr) && (of_the_image(entry.pcr) || entry.kind == Kind::SecureBootState))
}

/// What a register that differs points at, where it holds one kind of thing.
const fn of_register(pcr: PcrIndex) -> Cause {
    match pcr.get() {
        0 | 2 => Cause::Firmware,
        4 => Cause::BootImage,
        7 | 14 => Cause::SecureBootPolicy,
        12 => Cause::KernelCommandLine,
        _ => Cause::Unknown,
    }
}
