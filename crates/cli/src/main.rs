//! The program `nitrotpm`: see `nitrotpm --help`.

mod args;
mod boot_args;
mod boot_file;
mod commands;
mod exit;
mod images;
mod input;
mod kind;
mod policy_args;
mod references;
mod text;
mod uefi_data_args;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, Command, Format};
use exit::{Exit, Failure};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if version::is_asked_for(&arguments) {
        let printed = text::print(&version::text()).map(|()| Exit::Done);
        return printed.unwrap_or_else(|failure| text::report_failure(&failure, false)).into();
    }
    let command = match Cli::try_parse_from(&arguments) {
        Ok(cli) => {
            text::choose_colour(cli.color);
            cli.command
        }
        Err(error) => return usage(&error, &arguments).into(),
    };
    let json = command.format() == Format::Json;
    let outcome = commands::run(command);
    outcome.unwrap_or_else(|failure| text::report_failure(&failure, json)).into()
}

/// Help goes to standard output; wrong usage to standard error, and as JSON to standard output where JSON was asked for.
fn usage(error: &clap::Error, arguments: &[OsString]) -> Exit {
    let helped = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !helped && asks_for_json(arguments) {
        let failure = Failure::usage("usage.flags", one_line(&error.to_string()));
        // What cannot be written cannot be reported either; the exit code still tells.
        let _ = text::print_json(&failure.report());
    }
    // As above.
    let _ = error.print();
    if helped { Exit::Done } else { Exit::Usage }
}

/// What clap says in a paragraph, without how the command is used, as one line: `error: ` is what the code says.
fn one_line(message: &str) -> String {
    let said =
        message.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let words: Vec<&str> = said.flat_map(str::split_whitespace).collect();
    words.strip_prefix(&["error:"]).unwrap_or(&words).join(" ")
}

/// Whether the arguments, which could not be parsed, ask for JSON.
fn asks_for_json(arguments: &[OsString]) -> bool {
    arguments.iter().any(|argument| argument == "--format=json")
        || arguments.windows(2).any(|pair| matches!(pair, [flag, value] if flag == "--format" && value == "json"))
}

impl Command {
    /// How this run prints.
    fn format(&self) -> Format {
        use args::{
            DocumentCommand, EventLogCommand, EvidenceCommand, PolicyCommand, PredictFormat, QuoteCommand, ShowArgs,
            ShowFormat,
        };
        match self {
            Self::Verify(args) => args.format.format,
            Self::Document(DocumentCommand::Show { format, .. } | DocumentCommand::Verify { format, .. })
            | Self::Explain { format, .. }
            | Self::Quote(QuoteCommand::Verify { format, .. })
            | Self::Evidence(EvidenceCommand::Show { format, .. })
            | Self::Policy(PolicyCommand::Lint { format, .. }) => format.format,
            Self::EventLog(EventLogCommand::Replay(args)) => args.format.format,
            Self::EventLog(EventLogCommand::Show(ShowArgs { format, .. }) | EventLogCommand::Diff { format, .. }) => {
                if *format == ShowFormat::Json {
                    Format::Json
                } else {
                    Format::Text
                }
            }
            Self::UefiData(command) => command.format(),
            Self::Predict(args) if args.format == PredictFormat::Text => Format::Text,
            // A KMS policy is JSON, and so is what stands in its place.
            Self::Predict(_) | Self::Policy(PolicyCommand::Kms { .. }) => Format::Json,
            Self::Evidence(EvidenceCommand::Pack(_))
            | Self::Enrol(_)
            | Self::Policy(
                PolicyCommand::New { .. }
                | PolicyCommand::Merge { .. }
                | PolicyCommand::Export(_)
                | PolicyCommand::Import(_),
            )
            | Self::Completions { .. }
            | Self::Man { .. } => Format::Text,
        }
    }
}
