//! `nitrotpm eventlog replay`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use nitrotpm_eventlog::{EventLog, LogError, ParseOptions};
use nitrotpm_pcr::PcrValues;
use serde::Serialize;

use super::compare::{Comparison, Reason, compare};
use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::input::{Shown, pcrs, read};
use crate::text::{BAD, DIM, GOOD, HEAD, NOTE, Styled, complain, print};

/// `nitrotpm.replay/1`.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    pcrs: PcrValues,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasons: Option<Vec<Reason>>,
}

pub(super) fn run(files: &[PathBuf], expected: Option<&Path>, format: Format) -> Result<Exit, Failure> {
    let expected = expected.map(pcrs).transpose()?;
    let several = files.len() > 1;
    let mut exit = Exit::Done;
    let mut documents = Vec::new();
    for path in files {
        match replay(path, expected.as_ref(), several) {
            Ok(report) => {
                if report.verdict == Some("refused") {
                    exit = exit.max(Exit::Refused);
                }
                match format {
                    Format::Json => documents.push(serde_json::to_string(&report).unwrap_or_default()),
                    Format::Text => print(&text(&report))?,
                }
            }
            // With several files each gets its answer; one alone fails the run.
            Err(failure) if several => {
                exit = exit.max(failure.exit);
                documents.push(serde_json::to_string(&failure.report()).unwrap_or_default());
                complain(&format!("{} {}", Styled(BAD, "nitrotpm:"), failure.message));
            }
            Err(failure) => return Err(failure),
        }
    }
    if format == Format::Json {
        let joined = documents.join(",");
        print(&if several { format!("[{joined}]\n") } else { format!("{joined}\n") })?;
    }
    Ok(exit)
}

fn replay(path: &Path, expected: Option<&PcrValues>, several: bool) -> Result<Report, Failure> {
    let invalid = |error: LogError| Failure::invalid(error.code(), format!("{}: {error}", Shown(path)));
    let bytes = read(path)?;
    let replayed =
        EventLog::parse(&bytes, &ParseOptions::default()).and_then(|log| log.replay_all()).map_err(invalid)?;
    let comparison = expected.map(|expected| compare(&replayed, expected)).transpose().map_err(invalid)?;
    Ok(Report {
        schema: "nitrotpm.replay/1",
        file: several.then(|| Shown(path).to_string()),
        pcrs: replayed.values(),
        verdict: comparison.as_ref().map(Comparison::verdict),
        reasons: comparison.as_ref().map(Comparison::reasons),
    })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail, here and below.
    if let Some(file) = &report.file {
        let _ = writeln!(text, "{}", Styled(HEAD, file));
    }
    if let Some(verdict) = report.verdict {
        let style = if verdict == "affirmed" { GOOD } else { BAD };
        let _ = writeln!(text, "{}", Styled(style, verdict));
    }
    for reason in report.reasons.iter().flatten() {
        let _ = writeln!(text, "  {}  {}", Styled(BAD, reason.code), reason.message);
        let _ = writeln!(text, "    {}", Styled(NOTE, &reason.explanation));
    }
    for (bank, pcr, value) in report.pcrs.iter() {
        let _ = writeln!(text, "{} {pcr:>2}  {value}", Styled(DIM, bank));
    }
    text
}
