//! `nitrotpm eventlog show`.

mod json;
mod table;

use std::path::Path;

use nitrotpm_eventlog::{Event, EventLog, LogError, ParseOptions, ReplayedLog};
use nitrotpm_eventlog_html::Page;
use nitrotpm_pcr::{PcrIndex, PcrValues};

use super::compare::{Comparison, compare};
use crate::args::{ShowArgs, ShowFormat};
use crate::exit::{Exit, Failure};
use crate::input::{Shown, TypeName, not_a_log, pcrs, read};
use crate::text::{print_by, print_json_by};

/// A log, and what of it is shown.
struct View<'a> {
    log: EventLog<'a>,
    /// The values that the log gives, or why it gives none.
    replayed: Result<ReplayedLog<'a>, LogError>,
    expected: Option<PcrValues>,
    comparison: Option<Comparison>,
    /// Registers to show; all where none is named.
    pcrs: Vec<PcrIndex>,
    /// Types to show; all where none is named.
    types: Vec<TypeName>,
}

impl<'a> View<'a> {
    /// The events that are shown.
    fn events(&self) -> impl Iterator<Item = Event<'a>> + '_ {
        self.log.events().filter(|event| self.shows(event))
    }

    fn shows(&self, event: &Event<'_>) -> bool {
        let register = self.pcrs.is_empty() || event.pcr().is_some_and(|pcr| self.pcrs.contains(&pcr));
        register && (self.types.is_empty() || self.types.iter().any(|name| name.matches(event.event_type())))
    }

    fn is_filtered(&self) -> bool {
        !self.pcrs.is_empty() || !self.types.is_empty()
    }

    fn bank_names(&self) -> Vec<String> {
        self.log.banks().iter().map(|bank| bank.algorithm.to_string()).collect()
    }
}

pub(super) fn run(args: &ShowArgs) -> Result<Exit, Failure> {
    if args.format != ShowFormat::Text && (args.by_pcr || args.details) {
        return Err(Failure::usage(
            "usage.flags",
            "--by-pcr and --details are for --format text: JSON and the page have it all",
        ));
    }
    let expected = args.pcrs.as_deref().map(pcrs).transpose()?;
    let bytes = read(&args.file)?;
    let invalid = |error: LogError| not_a_log(&args.file, &bytes, &error);
    let log = EventLog::parse(&bytes, &ParseOptions::default()).map_err(invalid)?;
    let replayed = log.replay_all();
    let comparison = match (&expected, &replayed) {
        (None, _) => None,
        (Some(expected), Ok(replayed)) => Some(compare(replayed, expected).map_err(invalid)?),
        (Some(_), Err(error)) => return Err(invalid(error.clone())),
    };
    let view = View {
        log,
        replayed,
        expected,
        comparison,
        pcrs: args.pcr.iter().flat_map(|list| list.0.iter().copied()).collect(),
        types: args.types.clone(),
    };
    match args.format {
        ShowFormat::Json => print_json_by(&json::Report::new(&view))?,
        ShowFormat::Text => print_by(|out| table::write(out, &view, args.by_pcr, args.details))?,
        ShowFormat::Html => html(&args.file, &bytes, &view)?,
    }
    let refused = view.comparison.as_ref().is_some_and(|comparison| !comparison.mismatches.is_empty());
    Ok(if refused { Exit::Refused } else { Exit::Done })
}

fn html(file: &Path, bytes: &[u8], view: &View<'_>) -> Result<(), Failure> {
    let title = file.file_name().map_or_else(|| Shown(file).to_string(), |name| Shown(Path::new(name)).to_string());
    let shows = |event: &Event<'_>| view.shows(event);
    let mut page = Page::new(&title, bytes, &view.log);
    if view.is_filtered() {
        page = page.only(&shows);
    }
    match &view.replayed {
        Ok(replayed) => page = page.with_replay(replayed),
        Err(error) => page = page.without_replay(error),
    }
    if let (Some(expected), Some(comparison)) = (&view.expected, &view.comparison) {
        page = page.with_expected(expected, &comparison.mismatches, &comparison.explanations);
    }
    print_by(|out| page.write(out))
}
