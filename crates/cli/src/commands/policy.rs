//! `nitrotpm policy`.

use std::fmt::Write as _;
use std::path::Path;

use nitrotpm_reference_values::{Caution, KMS_ACTIONS, ReferenceValueError, Required, kms_policy, merge, policy_toml};
use nitrotpm_verifier::{Policy, PolicyError, Requirements, Warning, lint, lint_at};
use serde::Serialize;

use super::exchange;
use crate::args::{Format, PolicyCommand, TimeArg};
use crate::exit::{Exit, Failure};
use crate::images::{check_dangers, of_policy};
use crate::input::{At, Shown, clock, read};
use crate::kind::{Kind, hint};
use crate::policy_args::{ImageSources, Part, RequiredArgs};
use crate::text::{GOOD, NOTE, Styled, complain, print, print_json};

/// Reads a policy; one that cannot be used is wrong usage.
pub(super) fn load(path: &Path) -> Result<Policy, Failure> {
    let bytes = read(path)?;
    Policy::from_toml(&bytes).map_err(|error: PolicyError| {
        let hint = hint(&bytes, &[Kind::Policy]);
        Failure::usage(error.code(), format!("{}: {error}{hint}", Shown(path)))
    })
}

/// The exit code that an error of reference values has.
pub(super) fn failure(error: &ReferenceValueError) -> Failure {
    let exit = match error {
        // The answer is no.
        ReferenceValueError::Dangerous { .. } => Exit::Refused,
        ReferenceValueError::Pcrlock { .. }
        | ReferenceValueError::TooManyVariants { .. }
        | ReferenceValueError::Corim { .. }
        | ReferenceValueError::CorimEncoding { .. }
        | ReferenceValueError::CorimSignature { .. }
        | ReferenceValueError::CorimTrust { .. } => Exit::Invalid,
        _ => Exit::Usage,
    };
    Failure { exit, code: error.code(), message: error.to_string() }
}

#[derive(Serialize)]
struct Report {
    schema: &'static str,
    findings: Vec<Warning>,
}

pub(super) fn run(command: &PolicyCommand) -> Result<Exit, Failure> {
    match command {
        PolicyCommand::Lint { file, time, format } => run_lint(file, time, format.format),
        PolicyCommand::New { sources, required } => {
            let images = sources.images()?;
            check_dangers(&images, sources.accept_danger)?;
            print_policy(&sources.name(), &images, required)
        }
        PolicyCommand::Kms { policy, sources, principal, time } => run_kms(policy.as_deref(), sources, principal, time),
        PolicyCommand::Merge { old, new, until: At(until) } => {
            print(&merge(&read(old)?, &read(new)?, *until).map_err(|error| failure(&error))?)?;
            Ok(Exit::Done)
        }
        PolicyCommand::Export(args) => exchange::export(args),
        PolicyCommand::Import(args) => exchange::import(args),
    }
}

/// Prints a policy of these images, and on standard error what lint says of it.
pub(super) fn print_policy(
    name: &str,
    images: &[nitrotpm_reference_values::Image],
    required: &RequiredArgs,
) -> Result<Exit, Failure> {
    let wants = |part: Part| required.required.contains(&part);
    let required = if required.required.is_empty() {
        Required::default()
    } else {
        Required { document: wants(Part::Document), quote: wants(Part::Quote), event_log: wants(Part::EventLog) }
    };
    let text = policy_toml(name, images, required).map_err(|error| failure(&error))?;
    let policy = Policy::from_toml(text.as_bytes()).map_err(|error| Failure::usage(error.code(), error.to_string()))?;
    for finding in lint(&policy) {
        complain(&format!("{}  {}", Styled(NOTE, finding.code), finding.message));
    }
    print(&text)?;
    Ok(Exit::Done)
}

/// What lint finds that would open a key to others.
const DANGEROUS: [&str; 2] = ["policy.mixed-images", "policy.os-separator-mixed"];

fn run_kms(policy: Option<&Path>, sources: &ImageSources, principal: &str, time: &TimeArg) -> Result<Exit, Failure> {
    let images = match policy {
        None => sources.images()?,
        Some(path) => {
            let policy = load(path)?;
            for finding in lint(&policy).iter().filter(|finding| DANGEROUS.contains(&finding.code)) {
                if !sources.accept_danger {
                    return Err(Failure {
                        exit: Exit::Refused,
                        code: "predict.dangerous",
                        message: finding.message.clone(),
                    });
                }
                complain(&format!("{} {}", Styled(NOTE, "accepted:"), finding.message));
            }
            say_what_kms_leaves_out(policy.require());
            of_policy(&policy, path, clock(time.at))?
        }
    };
    check_dangers(&images, sources.accept_danger)?;
    let caution = if sources.accept_danger { Caution::Accept } else { Caution::Refuse };
    let policy = kms_policy(&images, principal, &KMS_ACTIONS, caution).map_err(|error| failure(&error))?;
    let text = serde_json::to_string_pretty(&policy)
        .map_err(|error| Failure::environment("output.write", format!("cannot write JSON: {error}")))?;
    print(&format!("{text}\n"))?;
    Ok(Exit::Done)
}

fn say_what_kms_leaves_out(require: &Requirements) {
    let asked = [
        ("quote", require.quote),
        ("event_log", require.event_log),
        ("secure_boot", require.secure_boot),
        ("max_age_seconds", require.max_age_seconds.is_some()),
        ("instance_ids", !require.instance_ids.is_empty()),
    ];
    let asked: Vec<&str> = asked.iter().filter(|(_, asked)| *asked).map(|(key, _)| *key).collect();
    if !asked.is_empty() {
        complain(&format!("{} KMS compares PCRs alone, and not: {}", Styled(NOTE, "nitrotpm:"), asked.join(", ")));
    }
}

fn run_lint(file: &Path, time: &TimeArg, format: Format) -> Result<Exit, Failure> {
    let findings = lint_at(&load(file)?, clock(time.at));
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
