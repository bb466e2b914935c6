//! `nitrotpm eventlog`.

mod compare;
mod diff;
mod replay;
mod show;

use crate::args::EventLogCommand;
use crate::exit::{Exit, Failure};

pub(super) fn run(command: &EventLogCommand) -> Result<Exit, Failure> {
    match command {
        EventLogCommand::Show(args) => show::run(args),
        EventLogCommand::Diff { a, b, format } => diff::run(a, b, *format),
        EventLogCommand::Replay(args) => replay::run(args),
    }
}
