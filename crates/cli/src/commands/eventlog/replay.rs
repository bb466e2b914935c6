//! `nitrotpm eventlog replay`.

mod bulk;
mod paths;
mod report;

use std::path::Path;

use nitrotpm_eventlog::{LogBatch, ParseOptions};

use crate::args::{Format, ReplayArgs};
use crate::exit::{Exit, Failure};
use crate::input::{not_a_log, pcrs, read};
use crate::text::print;

use self::report::{Report, Style};

pub(super) fn run(args: &ReplayArgs) -> Result<Exit, Failure> {
    let expected = args.pcrs.as_deref().map(pcrs).transpose()?;
    let format = args.format.format;
    // A folder or a list is many logs, whatever it holds; a file alone is answered by itself.
    let bulk = args.files_from.is_some() || args.files.iter().any(|path| path != Path::new("-") && path.is_dir());
    match args.files.as_slice() {
        [file] if !bulk => {
            let bytes = read(file)?;
            let mut batch = LogBatch::new();
            if args.check_payloads {
                batch = batch.check_payloads();
            }
            let log = batch.push(&bytes, &ParseOptions::default()).map_err(|error| not_a_log(file, &bytes, &error))?;
            let replayed = batch.replay();
            let log = replayed.log(log).ok_or_else(|| report::invalid(file, &nitrotpm_eventlog::LogError::Empty))?;
            let report = Report::new(file, &log, expected.as_ref(), Style::Alone, format, args.check_payloads)?;
            let mut text = String::new();
            report.write(&mut text, Style::Alone, format);
            if format == Format::Json {
                text.push('\n');
            }
            print(&text)?;
            Ok(report.exit())
        }
        _ => bulk::run(args, expected.as_ref(), if bulk { Style::Line } else { Style::Several }),
    }
}
