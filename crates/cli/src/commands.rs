//! One module a group of commands.

mod boot;
mod document;
mod enrol;
mod eventlog;
mod evidence;
mod exchange;
mod explain;
mod policy;
pub(crate) mod predict;
mod quote;
mod shell;
mod uefi_data;
mod verify;

use crate::args::Command;
use crate::exit::{Exit, Failure};

pub(crate) fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Verify(args) => verify::run(&args),
        Command::Document(command) => document::run(&command),
        Command::EventLog(command) => eventlog::run(&command),
        Command::Quote(command) => quote::run(&command),
        Command::Evidence(command) => evidence::run(&command),
        Command::Enrol(command) => enrol::run(&command),
        Command::Policy(command) => policy::run(&command),
        Command::UefiData(command) => uefi_data::run(&command),
        Command::Predict(args) => predict::run(&args),
        Command::Explain { event_log, expect, known, format } => {
            explain::run(&event_log, &expect, &known, format.format)
        }
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { dir } => shell::man(&dir),
    }
}
