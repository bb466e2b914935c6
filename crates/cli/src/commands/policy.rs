//! `nitrotpm policy`.

use std::fmt::Write as _;
use std::path::Path;

use nitrotpm_pcr::{Bank, PcrIndex};
use nitrotpm_predict::{Caution, KMS_ACTIONS, ReferenceImage, kms_policy, policy_toml};
use nitrotpm_verifier::{Policy, PolicyError, Warning, lint};
use serde::Serialize;

use super::predict::{failure, predict};
use crate::args::{Format, PolicyCommand, ReferenceArgs};
use crate::exit::{Exit, Failure};
use crate::input::{Shown, read};
use crate::text::{GOOD, NOTE, Styled, complain, print, print_json};

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
    match command {
        PolicyCommand::Lint { file, format } => run_lint(file, format.format),
        PolicyCommand::New(args) => {
            let image = reference_image(args)?;
            print(&policy_toml(&args.name, &[image]).map_err(|error| failure(&error))?)?;
            Ok(Exit::Done)
        }
        PolicyCommand::Kms { reference, principal } => {
            let image = reference_image(reference)?;
            let policy =
                kms_policy(&[image], principal, &KMS_ACTIONS, caution(reference)).map_err(|error| failure(&error))?;
            let text = serde_json::to_string_pretty(&policy)
                .map_err(|error| Failure::environment("output.write", format!("cannot write JSON: {error}")))?;
            print(&format!("{text}\n"))?;
            Ok(Exit::Done)
        }
    }
}

const fn caution(args: &ReferenceArgs) -> Caution {
    if args.accept_danger { Caution::Accept } else { Caution::Refuse }
}

/// The image as a policy names it; what is dangerous and was accepted is said on standard error.
fn reference_image(args: &ReferenceArgs) -> Result<ReferenceImage, Failure> {
    let prediction = predict(&args.boot, &[Bank::Sha384])?;
    let chosen: Vec<PcrIndex> = args.pcrs.iter().filter_map(|pcr| PcrIndex::new(*pcr)).collect();
    let pcrs = if chosen.is_empty() { prediction.identifying_pcrs() } else { chosen };
    let image =
        prediction.reference_image(&args.name, Bank::Sha384, &pcrs, caution(args)).map_err(|error| failure(&error))?;
    for danger in image.accepted_dangers() {
        complain(&format!("{} {danger}", Styled(NOTE, "accepted:")));
    }
    Ok(image)
}

fn run_lint(file: &Path, format: Format) -> Result<Exit, Failure> {
    let findings = lint(&load(file)?);
    let exit = if findings.is_empty() { Exit::Done } else { Exit::Refused };
    match format {
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
