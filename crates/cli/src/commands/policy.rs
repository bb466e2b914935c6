//! `nitrotpm policy`.

use std::fmt::Write as _;
use std::path::Path;

use nitrotpm_verifier::{Policy, PolicyError, Warning, lint};
use serde::Serialize;

use crate::args::{Format, PolicyCommand};
use crate::exit::{Exit, Failure};
use crate::input::{Shown, read};
use crate::text::{GOOD, NOTE, Styled, print, print_json};

/// Reads a policy; one that cannot be used is wrong usage.
pub(super) fn load(path: &Path) -> Result<Policy, Failure> {
    Policy::from_toml(&read(path)?)
        .map_err(|error: PolicyError| Failure::usage(error.code(), format!("{}: {error}", Shown(path))))
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    findings: Vec<Warning>,
}

pub(super) fn run(command: &PolicyCommand) -> Result<Exit, Failure> {
    let PolicyCommand::Lint { file, format } = command;
    let findings = lint(&load(file)?);
    let exit = if findings.is_empty() { Exit::Done } else { Exit::Refused };
    match format.format {
        Format::Json => print_json(&Report { schema: "nitrotpm.lint/1", findings })?,
        Format::Text if findings.is_empty() => print(&format!("{}\n", Styled(GOOD, "nothing found")))?,
        Format::Text => {
            let mut text = String::new();
            for finding in &findings {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{}  {}", Styled(NOTE, finding.code), finding.message);
            }
            print(&text)?;
        }
    }
    Ok(exit)
}
