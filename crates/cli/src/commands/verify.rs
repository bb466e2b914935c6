//! `nitrotpm verify`.

use std::fmt::Write as _;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use nitrotpm_verifier::{
    AttestationResult, Enrolment, Evidence, NonceExpectation, Outcome, Policy, Reason, Request, Trust, Verdict, verify,
};

use crate::args::{Format, VerifyArgs};
use crate::exit::{Exit, Failure};
use crate::input::{Shown, attestation_key, clock, read, roots};
use crate::kind::{Kind, complain_of};
use crate::text::{BAD, DIM, Escaped, GOOD, HEAD, NOTE, Styled, complain, print};

pub(super) fn run(args: &VerifyArgs) -> Result<Exit, Failure> {
    let mut policy = super::policy::load(&args.policy)?;
    if let Some(path) = &args.ima_allow_list {
        policy = policy
            .with_ima_allow_list(&read(path)?)
            .map_err(|error| Failure::usage(error.code(), format!("--ima-allow-list {}: {error}", Shown(path))))?;
    }
    let trust = trust(args)?;
    // One clock for all files of a run.
    let clock = clock(args.time.at);
    let references = args.known.load_with(&policy, &args.policy, clock)?;
    let several = args.evidence.len() > 1;
    let progress = progress(args.evidence.len());
    let mut exit = Exit::Done;
    let mut documents = Vec::new();
    for path in &args.evidence {
        let outcome = read(path).and_then(|bytes| {
            let nonce = nonce_for(args, &bytes)?;
            let result = verify(&bytes, &policy, &trust, &Request::new(nonce, clock).explained_by(&references));
            if result.reasons().iter().any(|reason| reason.code == "evidence.malformed") {
                progress.suspend(|| complain_of(path, &bytes, &[Kind::Evidence]));
            }
            Ok(result)
        });
        progress.inc(1);
        match outcome {
            Ok(result) => {
                exit = exit.max(exit_of(result.verdict()));
                match args.format.format {
                    Format::Json => documents.push(result.to_json()),
                    Format::Text => {
                        let name = several.then(|| Shown(path).to_string());
                        progress.suspend(|| print(&text(&result, name.as_deref(), &policy)))?;
                    }
                }
            }
            // With several files each gets its answer; one alone fails the run.
            Err(failure) if several => {
                exit = exit.max(failure.exit);
                documents.push(serde_json::to_string(&failure.report()).unwrap_or_default());
                progress.suspend(|| complain(&format!("{} {}", Styled(BAD, "nitrotpm:"), failure.sentence())));
            }
            Err(failure) => return Err(failure),
        }
    }
    progress.finish_and_clear();
    if args.format.format == Format::Json {
        let joined = documents.join(",");
        print(&if several { format!("[{joined}]\n") } else { format!("{joined}\n") })?;
    }
    Ok(exit)
}

fn trust(args: &VerifyArgs) -> Result<Trust, Failure> {
    let mut trust = Trust::roots(roots(&args.roots.trust_roots)?);
    for path in &args.trust_aks {
        trust = trust.pin(attestation_key(path, "--trust-ak")?);
    }
    for path in &args.enrolments {
        let record = Enrolment::from_json(&read(path)?)
            .map_err(|error| Failure::usage(error.code(), format!("--enrolment {}: {error}", Shown(path))))?;
        trust = trust.enrol(record);
    }
    Ok(if args.allow_sha1 { trust.allow_sha1() } else { trust })
}

/// A document's age is bounded by itself; a quote is fresh only by its nonce, so evidence with quotes needs a choice.
fn nonce_for<'a>(args: &'a VerifyArgs, evidence: &[u8]) -> Result<NonceExpectation<'a>, Failure> {
    match args.nonce.expectation() {
        Some(expectation) => Ok(expectation),
        None => match Evidence::from_json(evidence) {
            Ok(evidence) if !evidence.quotes.is_empty() => args.nonce.for_quote(),
            _ => Ok(NonceExpectation::NotChecked),
        },
    }
}

/// A bar on a terminal when there is something to wait for; nothing in a pipe.
fn progress(files: usize) -> ProgressBar {
    let length = u64::try_from(files).unwrap_or(u64::MAX);
    if files < 8 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} files, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

const fn exit_of(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Affirmed => Exit::Done,
        Verdict::Refused => Exit::Refused,
        Verdict::Invalid => Exit::Invalid,
    }
}

/// The events behind a register that differs, what was tried, and what to look at next; each where it was not just said.
fn write_cause(text: &mut String, reason: &Reason, before: Option<&Reason>) {
    let Some(cause) = reason.cause else { return };
    let of = reason.reference.as_ref().map_or_else(String::new, |name| format!(", by reference \"{}\"", Escaped(name)));
    let _ = writeln!(text, "    cause     {}{of}", Styled(NOTE, cause));
    if before.is_none_or(|before| before.differences != reason.differences) {
        for difference in &reason.differences {
            let line = format!("PCR {:>2}  {}", difference.pcr, Escaped(&difference.message));
            let _ = writeln!(text, "              {}", Styled(DIM, line));
        }
        if let Some(more) = reason.more_differences {
            let _ = writeln!(text, "              {}", Styled(DIM, format!("and {more} more events")));
        }
    }
    if let Some(searched) = reason.searched.as_ref().filter(|of| before.is_none_or(|b| b.searched.as_ref() != Some(of)))
    {
        let _ = writeln!(text, "    tried     {searched}");
    }
    if let Some(check) = reason.check.filter(|_| before.is_none_or(|before| before.check != reason.check)) {
        let _ = writeln!(text, "    check     {check}");
    }
}

fn text(result: &AttestationResult, name: Option<&str>, policy: &Policy) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail, here and below.
    let verdict = match result.verdict() {
        Verdict::Affirmed => Styled(GOOD, "affirmed"),
        Verdict::Refused => Styled(BAD, "refused"),
        Verdict::Invalid => Styled(BAD, "invalid"),
    };
    if let Some(name) = name {
        let _ = write!(text, "{name}: ");
    }
    let _ = write!(text, "{verdict}");
    if let Some(image) = result.image() {
        let _ = write!(text, "  image \"{}\"", Escaped(&image.name));
    }
    let name = policy.name().map_or_else(String::new, |name| format!("policy \"{}\", ", Escaped(name)));
    let _ = writeln!(text, "  {}", Styled(DIM, format!("{name}at {}", result.at())));
    let mut before = None;
    for reason in result.reasons() {
        let _ = writeln!(text, "\n  {}  {}", Styled(BAD, reason.code), Escaped(&reason.message));
        if let Some(expected) = &reason.expected {
            let _ = writeln!(text, "    expected  {expected}");
        }
        if let Some(found) = &reason.found {
            let _ = writeln!(text, "    found     {found}");
        }
        write_cause(&mut text, reason, before);
        before = Some(reason);
    }
    let _ = writeln!(text, "\n  {}", Styled(HEAD, "checks"));
    for check in result.checks() {
        let mark = match check.outcome {
            Outcome::Pass => Styled(GOOD, "pass"),
            Outcome::Fail => Styled(BAD, "FAIL"),
            Outcome::NotApplicable => Styled(DIM, "  - "),
        };
        let id = check.quote.map_or_else(|| check.id.to_owned(), |quote| format!("{} [{quote}]", check.id));
        let _ = match &check.detail {
            Some(detail) => writeln!(text, "    {mark}  {id:<26} {}", Styled(DIM, Escaped(detail))),
            None => writeln!(text, "    {mark}  {id}"),
        };
    }
    if !result.warnings().is_empty() {
        let _ = writeln!(text, "\n  {}", Styled(HEAD, "to know"));
        for warning in result.warnings() {
            let _ = writeln!(text, "    {}  {}", Styled(NOTE, warning.code), Escaped(&warning.message));
        }
    }
    text
}
