//! `nitrotpm explain`: why a boot differs from what was expected.

use std::path::Path;

use nitrotpm_eventlog::{EventLog, LogError, ParseOptions, ReplayMismatch, ReplayedLog};
use nitrotpm_explain::{Boot, Difference, Mismatch, Reference, References, compare, explain};
use nitrotpm_pcr::PcrValues;
use serde::Serialize;

use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::input::{not_a_log, read};
use crate::references::{NamedFile, ReferenceFiles, load};
use crate::text::{BAD, DIM, Escaped, GOOD, Styled, print, print_json};

/// `nitrotpm.explanation/1`.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    /// Most likely cause first; empty where nothing differs.
    reasons: Vec<Reason>,
}

#[derive(Serialize)]
struct Reason {
    code: &'static str,
    message: String,
    pcr: u8,
    bank: &'static str,
    /// The event of the log, counting from 0 with its header.
    event: Option<usize>,
    cause: &'static str,
    expected: Option<String>,
    found: Option<String>,
}

pub(super) fn run(
    event_log: &Path,
    expect: &NamedFile,
    known: &ReferenceFiles,
    format: Format,
) -> Result<Exit, Failure> {
    let found = read(event_log)?;
    let invalid = |error: LogError| not_a_log(event_log, &found, &error);
    let log = EventLog::parse(&found, &ParseOptions::default()).map_err(invalid)?;
    let expected = load(expect)?;
    let mut known = known.load()?;
    let reasons = if expected.has_events() {
        let others: Vec<&Reference> = known.iter().collect();
        compare(&expected, &log, None, &others).map_err(invalid)?.into_iter().map(of_difference).collect()
    } else {
        let replayed = log.replay_all().map_err(invalid)?;
        let values = expected.values().clone();
        known.add(expected);
        of_values(&log, &replayed, &values, &known).map_err(invalid)?
    };
    let report = Report { schema: "nitrotpm.explanation/1", reasons };
    match format {
        Format::Json => print_json(&report)?,
        Format::Text => print(&text(&report))?,
    }
    Ok(if report.reasons.is_empty() { Exit::Done } else { Exit::Refused })
}

/// A difference from a known good log or from a prediction.
fn of_difference(difference: Difference) -> Reason {
    Reason {
        code: "pcr.mismatch",
        message: difference.message,
        pcr: difference.pcr.get(),
        bank: difference.bank.name(),
        event: difference.event,
        cause: difference.cause.name(),
        expected: difference.expected.map(|digest| digest.to_string()),
        found: difference.found.map(|digest| digest.to_string()),
    }
}

/// What the log gives for expected values. Where only values are known, the cause is the register's purpose at most, and
/// a bounded search says which combination would explain the difference.
fn of_values(
    log: &EventLog<'_>,
    replayed: &ReplayedLog<'_>,
    expected: &PcrValues,
    known: &References,
) -> Result<Vec<Reason>, LogError> {
    let requested: Vec<_> = expected.iter().map(|(bank, pcr, _)| (bank, pcr)).collect();
    let mut differing = match replayed.confirm(expected, requested.iter().copied()) {
        Ok(_) => return Ok(Vec::new()),
        Err(LogError::Mismatch { mismatches }) => mismatches,
        Err(error) => return Err(error),
    };
    // The registers that say most about a boot come first.
    differing.sort_by_key(|of| [7, 12, 4, 11, 9, 8].iter().position(|pcr| *pcr == of.pcr.get()).unwrap_or(usize::MAX));
    // The log is taken as it is: it is the boot that is asked about.
    let proven = requested.into_iter().collect();
    let mismatches: Vec<Mismatch> = differing
        .iter()
        .map(|of| Mismatch { bank: of.bank, pcr: of.pcr, expected: of.expected, found: Some(of.replayed) })
        .collect();
    let explained = explain(&Boot { log: Some(log), proven: &proven }, &mismatches, known);
    Ok(explained
        .into_iter()
        .filter_map(|explanation| {
            let of = differing.get(explanation.mismatch)?;
            Some(Reason {
                code: "pcr.mismatch",
                message: format!("{}; {}", sentence(of), explanation.message),
                pcr: of.pcr.get(),
                bank: of.bank.name(),
                event: explanation.event,
                cause: explanation.cause.name(),
                expected: Some(of.expected.to_string()),
                found: Some(of.replayed.to_string()),
            })
        })
        .collect())
}

fn sentence(mismatch: &ReplayMismatch) -> String {
    format!(
        "PCR {} {}: the log's {} events do not give the expected value",
        mismatch.pcr,
        of_bank(&[mismatch.bank.name()]),
        mismatch.events
    )
}

fn text(report: &Report) -> String {
    if report.reasons.is_empty() {
        return format!("{}\n", Styled(GOOD, "as expected"));
    }
    // A register that differs in each bank for one reason is told once.
    let mut told: Vec<(&Reason, Vec<&str>)> = Vec::new();
    let without_bank = |reason: &Reason| reason.message.replacen(&of_bank(&[reason.bank]), "", 1);
    for reason in &report.reasons {
        let same = |(before, _): &&mut (&Reason, Vec<&str>)| {
            (before.pcr, before.cause) == (reason.pcr, reason.cause) && without_bank(before) == without_bank(reason)
        };
        match told.iter_mut().find(same) {
            Some((_, banks)) => banks.push(reason.bank),
            None => told.push((reason, vec![reason.bank])),
        }
    }
    told.iter()
        .map(|(reason, banks)| {
            let message = reason.message.replacen(&of_bank(&[reason.bank]), &of_bank(banks), 1);
            format!(
                "{}  {}  {}\n",
                Styled(DIM, format!("PCR {:>2}", reason.pcr)),
                Styled(BAD, format!("{:<19}", reason.cause)),
                Escaped(&message)
            )
        })
        .collect()
}

fn of_bank(banks: &[&str]) -> String {
    format!("of bank{} {}", if banks.len() == 1 { "" } else { "s" }, banks.join(", "))
}
