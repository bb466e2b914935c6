//! Where only values are known: which combination of what is known gives them.

use std::collections::BTreeSet;

use nitrotpm_digest_lanes::{Digest, extend, hash};
use nitrotpm_eventlog::{EventLog, Explanation as Single, LogError, ReplayedLog};
use nitrotpm_pcr::{Bank, PcrIndex, PcrValues, reset_value};

use crate::explain::Mismatch;
use crate::reference::{Reference, References};

/// What was found out about a register, and what was tried.
pub(crate) struct Answer {
    /// What explains it, where something does.
    pub(crate) found: Option<String>,
    /// The event of the boot's log that it names.
    pub(crate) event: Option<usize>,
    /// What was tried, for a person.
    pub(crate) searched: String,
}

impl Answer {
    /// Nothing was found.
    pub(crate) const fn none(searched: String) -> Self {
        Self { found: None, event: None, searched }
    }
}

/// How many extends one register may cost.
const LIMIT: usize = 100_000;

/// PCR 7 of bank SHA-384 with Secure Boot off and no keys.
const PCR7_SECURE_BOOT_OFF: &str =
    "98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77af35";

/// What the running system extends on its own, each alone (systemd 261; systemd-pcrphase).
const LATER: [&str; 6] = ["os-separator", "enter-initrd", "leave-initrd", "sysinit", "ready", "final"];

/// Looks for a known image, a known continuation, and one event more, less or other.
pub(crate) fn search(mismatch: &Mismatch, log: Option<&ReplayedLog<'_>>, references: &References) -> Answer {
    let mut searched = Vec::new();
    let answer = |found: Option<(String, Option<usize>)>, searched: &[String]| {
        found.map(|(found, event)| Answer { found: Some(found), event, searched: searched.join("; ") })
    };
    let known = references.iter().count();
    searched.push(format!("the values of the images that are known ({known})"));
    if let Some(done) = answer(of_known_image(mismatch, references).map(|found| (found, None)), &searched) {
        return done;
    }
    searched.push("what firmware and systemd extend everywhere, after the expected value and instead of it".to_owned());
    if let Some(done) = answer(of_well_known(mismatch).map(|found| (found, None)), &searched) {
        return done;
    }
    if let Some(log) = log {
        searched.push("the boot's log with one event left out, added, repeated, swapped or altered".to_owned());
        if let Some(done) =
            answer(of_log(log, mismatch.bank, mismatch.pcr, mismatch.expected, "the boot's log"), &searched)
        {
            return done;
        }
        searched
            .push("the boot's log with one event of a known image in place of its own, added, or left out".to_owned());
        if let Some(done) = answer(with_known_event(log, mismatch, references), &searched) {
            return done;
        }
    } else if let Some(value) = mismatch.found {
        searched
            .push("the logs of the references with one event left out, added, repeated, swapped or altered".to_owned());
        let found = references.iter().find_map(|reference| {
            let parsed = reference.log()?;
            let replayed = parsed.replay_all().ok()?;
            let name = format!("the log of {}", reference.title());
            of_log(&replayed, mismatch.bank, mismatch.pcr, value, &name).map(|(found, _)| (found, None))
        });
        if let Some(done) = answer(found, &searched) {
            return done;
        }
    }
    Answer::none(searched.join("; "))
}

fn of_known_image(mismatch: &Mismatch, references: &References) -> Option<String> {
    let value = mismatch.found?;
    let is_it = |reference: &&Reference| reference.value(mismatch.bank, mismatch.pcr) == Some(value);
    references.iter().find(is_it).map(|reference| format!("the value is that of {}", reference.title()))
}

fn of_well_known(mismatch: &Mismatch) -> Option<String> {
    let value = mismatch.found?;
    let (bank, pcr) = (mismatch.bank, mismatch.pcr);
    if value == reset_value(bank, pcr) {
        return Some("nothing was extended into it".to_owned());
    }
    if pcr.get() == 7 && value.to_string() == PCR7_SECURE_BOOT_OFF {
        return Some("the value is that of every machine with Secure Boot off and no keys".to_owned());
    }
    if pcr.get() == 7 && mismatch.expected.to_string() == PCR7_SECURE_BOOT_OFF {
        return Some(
            "the expected value is that of a machine with Secure Boot off and no keys: it has keys now".to_owned(),
        );
    }
    // One of them, or a run of them in their order.
    let after = |start: Digest, first: usize| {
        let mut value = start;
        let mut steps = Vec::new();
        LATER.iter().skip(first).find_map(|text| {
            value = extend(&value, &hash(bank, &[text.as_bytes()])).ok()?;
            steps.push(*text);
            (Some(value) == mismatch.found).then(|| steps.join(", "))
        })
    };
    for first in 0..LATER.len() {
        if let Some(steps) = after(mismatch.expected, first) {
            return Some(format!("it is the expected value, extended with {steps} by systemd"));
        }
    }
    let separator = hash(bank, &[b"os-separator"]);
    (extend(&value, &separator).ok() == Some(mismatch.expected)).then(|| {
        "it is the expected value without os-separator, which systemd 261 and later extend in the initrd: the reference \
         was made for such a system and this is none"
            .to_owned()
    })
}

/// One difference between a log and what gives a value.
fn of_log(
    log: &ReplayedLog<'_>,
    bank: Bank,
    pcr: PcrIndex,
    value: Digest,
    name: &str,
) -> Option<(String, Option<usize>)> {
    let mut values = PcrValues::new();
    values.insert(pcr, value).ok()?;
    let Err(LogError::Mismatch { mismatches }) = log.confirm(&values, [(bank, pcr)]) else { return None };
    let single = *log.explain(&mismatches).first()?;
    match single {
        Single::NotFound | Single::NotSearched | Single::SearchEnded | Single::NoEvents => None,
        Single::NothingExtended => None,
        found => Some((format!("compared with {name}: {found}"), found.event())),
    }
}

/// The log with one of its events replaced by, or one added from, what other images measure there.
fn with_known_event(
    log: &ReplayedLog<'_>,
    mismatch: &Mismatch,
    references: &References,
) -> Option<(String, Option<usize>)> {
    let (bank, pcr) = (mismatch.bank, mismatch.pcr);
    let digests = |log: &EventLog<'_>| -> Vec<(usize, Digest)> {
        let events = log.events().filter(|event| event.pcr() == Some(pcr) && event.extends());
        events.filter_map(|event| Some((event.index(), event.digest(bank)?))).collect()
    };
    let own = digests(log.log());
    let mut tried = BTreeSet::new();
    let mut budget = LIMIT;
    for reference in references.iter() {
        let Some(parsed) = reference.log() else { continue };
        for (_, digest) in digests(&parsed).into_iter().filter(|(_, digest)| own.iter().all(|(_, of)| of != digest)) {
            if !tried.insert(digest) {
                continue;
            }
            for position in 0..=own.len() {
                for skipped in [1, 0] {
                    budget = budget.checked_sub(own.len().saturating_add(1))?;
                    let mut value = reset_value(bank, pcr);
                    let (before, after) = own.split_at(position);
                    let after = after.iter().skip(skipped).map(|(_, digest)| *digest);
                    for step in before.iter().map(|(_, digest)| *digest).chain([digest]).chain(after) {
                        value = extend(&value, &step).ok()?;
                    }
                    if value == mismatch.expected {
                        let event = own.get(position).map(|(index, _)| *index).filter(|_| skipped == 1);
                        let place = match event {
                            Some(event) => format!("event {event} stands in place of one of {}", reference.title()),
                            None => format!("an event of {} is missing", reference.title()),
                        };
                        return Some((place, event));
                    }
                }
            }
        }
    }
    None
}
