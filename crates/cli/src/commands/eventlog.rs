//! `nitrotpm eventlog`.

mod diff;
mod replay;
mod show;

use crate::args::EventLogCommand;
use crate::exit::{Exit, Failure};

pub(super) fn run(command: &EventLogCommand) -> Result<Exit, Failure> {
    match command {
        EventLogCommand::Show { file, pcrs, format } => show::run(file, pcrs, format.format),
        EventLogCommand::Diff { a, b, format } => diff::run(a, b, format.format),
        EventLogCommand::Replay(args) => replay::run(args),
    }
}
