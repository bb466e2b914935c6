//! What is said of one log.

use std::fmt::Write as _;
use std::path::Path;

use nitrotpm_eventlog::{BatchReplay, Event, LogError, PayloadCheck};
use nitrotpm_pcr::{Bank, PcrValues};
use serde::Serialize;

use crate::args::Format;
use crate::commands::eventlog::compare::{Comparison, Reason, compare, compare_only};
use crate::exit::{Exit, Failure};
use crate::input::Shown;
use crate::text::{BAD, DIM, GOOD, HEAD, NOTE, Styled};

/// How much is said of each log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Everything, without the file's name: it is the only one.
    Alone,
    /// Everything, with the file's name.
    Several,
    /// One line in text; in JSON as several.
    Line,
}

/// `nitrotpm.replay/1`.
#[derive(Serialize)]
pub(super) struct Report {
    schema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<usize>,
    pcrs: PcrValues,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasons: Option<Vec<Reason>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payloads: Option<Payloads>,
    #[serde(skip)]
    banks: Vec<Bank>,
}

/// How many events have which answer to the question whether their digests are those of their data.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct Payloads {
    verified: usize,
    mismatch: usize,
    not_checkable: usize,
}

/// A log that cannot be read or compared.
pub(super) fn invalid(path: &Path, error: &LogError) -> Failure {
    Failure::invalid(error.code(), format!("{}: {error}", Shown(path)))
}

impl Report {
    /// Compares a replayed log with what is expected, and gathers what will be shown.
    pub(super) fn new(
        path: &Path,
        log: &BatchReplay<'_, '_>,
        expected: Option<&PcrValues>,
        style: Style,
        format: Format,
        check_payloads: bool,
    ) -> Result<Self, Failure> {
        // A line of text shows neither values nor what explains a difference, and the latter is a long search.
        let shows_all = style != Style::Line || format == Format::Json;
        let compare = if shows_all { compare } else { compare_only };
        let comparison = expected.map(|expected| compare(&log.to_replayed(), expected)).transpose();
        let comparison = comparison.map_err(|error| invalid(path, &error))?;
        Ok(Self {
            schema: "nitrotpm.replay/1",
            file: (style != Style::Alone).then(|| Shown(path).to_string()),
            format: Some(log.log().format().name()),
            events: Some(log.log().event_count()),
            pcrs: if shows_all { log.values() } else { PcrValues::new() },
            verdict: comparison.as_ref().map(Comparison::verdict),
            reasons: comparison.as_ref().map(Comparison::reasons),
            payloads: check_payloads.then(|| count(log)),
            banks: log.banks().collect(),
        })
    }

    pub(super) fn exit(&self) -> Exit {
        if self.verdict == Some("refused") { Exit::Refused } else { Exit::Done }
    }

    pub(super) fn events(&self) -> usize {
        self.events.unwrap_or_default()
    }

    /// Appends the report: one JSON document, or text with its line ends.
    pub(super) fn write(&self, to: &mut String, style: Style, format: Format) {
        match (format, style) {
            // The parts are strings, numbers and lists of them: nothing that JSON cannot hold.
            (Format::Json, _) => to.push_str(&serde_json::to_string(self).unwrap_or_default()),
            (Format::Text, Style::Line) => self.line(to),
            (Format::Text, _) => self.text(to),
        }
    }

    /// Writing to a String cannot fail, here and below.
    fn line(&self, to: &mut String) {
        let verdict = self.verdict.unwrap_or("replayed");
        let style = if verdict == "refused" { BAD } else { GOOD };
        let _ = write!(to, "{}  {}", Styled(style, format_args!("{verdict:<9}")), self.file.as_deref().unwrap_or("-"));
        let _ = write!(to, "  {} events,", self.events());
        self.banks.iter().for_each(|bank| {
            let _ = write!(to, " {bank}");
        });
        for bank in Bank::ALL {
            let mut differing = self.reasons.iter().flatten().filter(|reason| reason.bank == bank.name());
            if let Some(first) = differing.next() {
                let _ = write!(to, "; {bank} PCR {}", first.pcr);
                differing.for_each(|reason| {
                    let _ = write!(to, ", {}", reason.pcr);
                });
            }
        }
        if let Some(payloads) = self.payloads {
            let _ = write!(to, "; {payloads}");
        }
        to.push('\n');
    }

    fn text(&self, to: &mut String) {
        if let Some(file) = &self.file {
            let _ = writeln!(to, "{}", Styled(HEAD, file));
        }
        if let Some(verdict) = self.verdict {
            let style = if verdict == "affirmed" { GOOD } else { BAD };
            let _ = writeln!(to, "{}", Styled(style, verdict));
        }
        for reason in self.reasons.iter().flatten() {
            let _ = writeln!(to, "  {}  {}", Styled(BAD, reason.code), reason.message);
            if let Some(explanation) = &reason.explanation {
                let _ = writeln!(to, "    {}", Styled(NOTE, explanation));
            }
        }
        for (bank, pcr, value) in self.pcrs.iter() {
            let _ = writeln!(to, "{} {pcr:>2}  {value}", Styled(DIM, bank));
        }
        if let Some(payloads) = self.payloads {
            let _ = writeln!(to, "{payloads}");
        }
    }
}

impl std::fmt::Display for Payloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verified, mismatch, not_checkable } = self;
        write!(f, "data verified {verified}, mismatch {mismatch}, not checkable {not_checkable}")
    }
}

/// Of a batch that checked them, or else event by event.
fn count(log: &BatchReplay<'_, '_>) -> Payloads {
    let mut payloads = Payloads::default();
    let mut add = |check| {
        let place = match check {
            PayloadCheck::Verified(_) => &mut payloads.verified,
            PayloadCheck::Mismatch => &mut payloads.mismatch,
            PayloadCheck::NotCheckable => &mut payloads.not_checkable,
        };
        *place = place.saturating_add(1);
    };
    if log.payload_checks().next().is_some() {
        log.payload_checks().for_each(|checked| add(checked.check));
    } else {
        log.log().events().filter(Event::extends).for_each(|event| add(event.payload_check()));
    }
    payloads
}
