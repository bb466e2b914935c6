//! `nitrotpm eventlog diff`.

use std::path::Path;

use nitrotpm_eventlog::{Change, Difference, EventLog, ParseOptions};
use nitrotpm_eventlog_html::DiffPage;
use serde::Serialize;

use crate::args::ShowFormat;
use crate::exit::{Exit, Failure};
use crate::input::{Shown, not_a_log, read};
use crate::text::{BAD, DIM, GOOD, Styled, print, print_by, print_json};

/// `nitrotpm.eventlog-diff/1`.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    bank: &'static str,
    differences: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    pcr: u8,
    cause: &'static str,
    message: String,
    /// The event in the first log, counting from 0 with its header.
    event_a: Option<usize>,
    /// The event in the second log.
    event_b: Option<usize>,
}

impl Entry {
    fn new(difference: &Difference<'_>) -> Self {
        let (event_a, event_b) = match difference.change() {
            Some(Change::Added(after)) => (None, Some(after.index())),
            Some(Change::Removed(before)) => (Some(before.index()), None),
            Some(Change::Changed { before, after }) => (Some(before.index()), Some(after.index())),
            None => (None, None),
        };
        Self {
            pcr: difference.pcr().get(),
            cause: difference.cause().name(),
            message: difference.to_string(),
            event_a,
            event_b,
        }
    }
}

pub(super) fn run(a: &Path, b: &Path, format: ShowFormat) -> Result<Exit, Failure> {
    let (first, second) = (read(a)?, read(b)?);
    let options = ParseOptions::default();
    let before = EventLog::parse(&first, &options).map_err(|error| not_a_log(a, &first, &error))?;
    let after = EventLog::parse(&second, &options).map_err(|error| not_a_log(b, &second, &error))?;
    let diff = before.diff(&after).map_err(|error| not_a_log(b, &second, &error))?;
    let report = Report {
        schema: "nitrotpm.eventlog-diff/1",
        bank: diff.bank().name(),
        differences: diff.differences().iter().map(Entry::new).collect(),
    };
    match format {
        ShowFormat::Json => print_json(&report)?,
        ShowFormat::Html => {
            let (first, second) = (Shown(a).to_string(), Shown(b).to_string());
            print_by(|out| DiffPage::new(&first, &second, &diff).write(out))?;
        }
        ShowFormat::Text if report.differences.is_empty() => {
            print(&format!("{}\n", Styled(GOOD, "the same measurements")))?;
        }
        ShowFormat::Text => {
            for entry in &report.differences {
                print(&format!(
                    "{}  {}  {}\n",
                    Styled(DIM, format!("PCR {:>2}", entry.pcr)),
                    Styled(BAD, format!("{:<19}", entry.cause)),
                    entry.message
                ))?;
            }
        }
    }
    Ok(if report.differences.is_empty() { Exit::Done } else { Exit::Refused })
}
