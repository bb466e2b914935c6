//! `nitrotpm explain`: why a boot differs from what was expected.

use std::path::Path;

use nitrotpm_eventlog::{Change, Difference, EventLog, LogError, ParseOptions, ReplayMismatch, ReplayedLog};
use nitrotpm_pcr::{Bank, PcrIndex, PcrValues};
use serde::{Deserialize, Serialize};

use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::input::{Shown, read};
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

/// A prediction as `predict --format json` writes it.
#[derive(Deserialize)]
struct Prediction {
    pcrs: PcrValues,
}

pub(super) fn run(event_log: &Path, expect: &Path, format: Format) -> Result<Exit, Failure> {
    let (found, expected) = (read(event_log)?, read(expect)?);
    let invalid = |path: &Path, error: LogError| Failure::invalid(error.code(), format!("{}: {error}", Shown(path)));
    let log = EventLog::parse(&found, &ParseOptions::default()).map_err(|error| invalid(event_log, error))?;
    let reasons = if expected.trim_ascii_start().starts_with(b"{") {
        let values = values(&expected).map_err(|error| {
            Failure::invalid(
                "pcrs.malformed",
                format!("{} is neither a prediction nor PCRs: {}", Shown(expect), Escaped(&error.to_string())),
            )
        })?;
        let replayed = log.replay_all().map_err(|error| invalid(event_log, error))?;
        of_values(&replayed, &values).map_err(|error| invalid(event_log, error))?
    } else {
        let good = EventLog::parse(&expected, &ParseOptions::default()).map_err(|error| invalid(expect, error))?;
        let diff = good.diff(&log).map_err(|error| invalid(event_log, error))?;
        diff.differences().iter().map(|difference| of_difference(difference, diff.bank())).collect()
    };
    let report = Report { schema: "nitrotpm.explanation/1", reasons };
    match format {
        Format::Json => print_json(&report)?,
        Format::Text => print(&text(&report))?,
    }
    Ok(if report.reasons.is_empty() { Exit::Done } else { Exit::Refused })
}

/// PCRs alone, or the PCRs of a prediction.
fn values(bytes: &[u8]) -> Result<PcrValues, serde_json::Error> {
    serde_json::from_slice::<Prediction>(bytes)
        .map(|prediction| prediction.pcrs)
        .or_else(|_| serde_json::from_slice(bytes))
}

/// A difference from a known good log.
fn of_difference(difference: &Difference<'_>, bank: Bank) -> Reason {
    let (before, after) = match difference.change() {
        Some(Change::Added(after)) => (None, Some(after)),
        Some(Change::Removed(before)) => (Some(before), None),
        Some(Change::Changed { before, after }) => (Some(before), Some(after)),
        None => (None, None),
    };
    let digest = |event: &nitrotpm_eventlog::Event<'_>| event.digest(bank).map(|digest| digest.to_string());
    Reason {
        code: "pcr.mismatch",
        message: difference.to_string(),
        pcr: difference.pcr().get(),
        bank: bank.name(),
        event: after.as_ref().map(|event| event.index()),
        cause: difference.cause().name(),
        expected: before.as_ref().and_then(digest),
        found: after.as_ref().and_then(digest),
    }
}

/// What the log gives for expected values. Where only values are known, the cause is the register's purpose at most, and
/// a bounded search says which single event would explain the difference.
fn of_values(replayed: &ReplayedLog<'_>, expected: &PcrValues) -> Result<Vec<Reason>, LogError> {
    let requested = expected.iter().map(|(bank, pcr, _)| (bank, pcr));
    let mismatches = match replayed.confirm(expected, requested) {
        Ok(_) => return Ok(Vec::new()),
        Err(LogError::Mismatch { mismatches }) => mismatches,
        Err(error) => return Err(error),
    };
    let explanations = replayed.explain(&mismatches);
    let mut reasons: Vec<Reason> = mismatches
        .iter()
        .zip(explanations)
        .map(|(mismatch, explanation)| Reason {
            message: format!("{}; {explanation}", sentence(mismatch)),
            code: "pcr.mismatch",
            pcr: mismatch.pcr.get(),
            bank: mismatch.bank.name(),
            event: explanation.event(),
            cause: cause(mismatch.pcr),
            expected: Some(mismatch.expected.to_string()),
            found: Some(mismatch.replayed.to_string()),
        })
        .collect();
    // The registers that say most about a boot come first.
    reasons.sort_by_key(|reason| [7, 12, 4, 11, 9, 8].iter().position(|pcr| *pcr == reason.pcr).unwrap_or(usize::MAX));
    Ok(reasons)
}

fn sentence(mismatch: &ReplayMismatch) -> String {
    format!(
        "PCR {} of bank {}: the log's {} events do not give the expected value",
        mismatch.pcr, mismatch.bank, mismatch.events
    )
}

/// What a register that differs points at, where it holds one kind of thing.
const fn cause(pcr: PcrIndex) -> &'static str {
    match pcr.get() {
        0 | 2 => "firmware",
        4 => "boot-image",
        7 => "secure-boot-policy",
        12 => "kernel-command-line",
        _ => "unknown",
    }
}

fn text(report: &Report) -> String {
    if report.reasons.is_empty() {
        return format!("{}\n", Styled(GOOD, "as expected"));
    }
    report
        .reasons
        .iter()
        .map(|reason| {
            format!(
                "{}  {}  {}\n",
                Styled(DIM, format!("PCR {:>2}", reason.pcr)),
                Styled(BAD, format!("{:<19}", reason.cause)),
                reason.message
            )
        })
        .collect()
}
