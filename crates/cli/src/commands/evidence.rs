//! `nitrotpm evidence`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use nitrotpm_eventlog::{EventLog, ParseOptions};
use nitrotpm_nitro_document::UnverifiedDocument;
use nitrotpm_quote::{AttestationKey, UnverifiedQuote};
use nitrotpm_verifier::{Evidence, EvidenceError, PcrValues, QuoteBytes};
use serde::Serialize;

use crate::args::{EvidenceCommand, Format, PackArgs};
use crate::exit::{Exit, Failure};
use crate::input::{Shown, pcrs, read};
use crate::kind::{Kind, hint};
use crate::text::{DIM, HEAD, NOTE, Styled, complain, print, print_json};

pub(super) fn run(command: &EvidenceCommand) -> Result<Exit, Failure> {
    match command {
        EvidenceCommand::Pack(args) => pack(args),
        EvidenceCommand::Show { file, format } => show(file, format.format),
    }
}

fn pack(args: &PackArgs) -> Result<Exit, Failure> {
    if args.attest.len() != args.signature.len() {
        return Err(Failure::usage(
            "usage.quotes",
            format!(
                "{} --attest and {} --signature: each quote needs one of both, in the same order",
                args.attest.len(),
                args.signature.len()
            ),
        ));
    }
    let optional = |path: &Option<PathBuf>| path.as_deref().map(read).transpose();
    let mut evidence = Evidence::default();
    evidence.document = optional(&args.document)?;
    evidence.ak_public = optional(&args.ak)?;
    evidence.ek_public = optional(&args.ek)?;
    evidence.event_log = optional(&args.event_log)?;
    evidence.ima_log = optional(&args.ima_log)?;
    evidence.pcrs = args.pcrs.as_deref().map(pcrs).transpose()?.unwrap_or_default();
    for (attest, signature) in args.attest.iter().zip(&args.signature) {
        evidence.quotes.push(QuoteBytes { attest: read(attest)?, signature: read(signature)? });
    }
    if evidence == Evidence::default() {
        return Err(Failure::usage("usage.nothing", "nothing to pack: name at least one part; see --help"));
    }
    say_what_will_not_verify(&evidence, args);
    let json = evidence.to_json();
    // What is packed must be readable again: a part that is too large shows here, not at the verifier.
    Evidence::from_json(&json).map_err(|error| invalid(&args.out, &error))?;
    if args.out == Path::new("-") {
        print(&String::from_utf8_lossy(&json))?;
    } else {
        std::fs::write(&args.out, json).map_err(|error| {
            Failure::environment("file.write", format!("cannot write {}: {error}", Shown(&args.out)))
        })?;
    }
    Ok(Exit::Done)
}

/// Parts that no verifier can accept: most often a file was given to the wrong flag. They are packed as they are, since
/// what an attester has to say is not for this program to judge.
fn say_what_will_not_verify(evidence: &Evidence, args: &PackArgs) {
    let say = |flag: &str, path: &Path, bytes: &[u8], wanted: Kind, error: &dyn std::fmt::Display| {
        let hint = hint(bytes, &[wanted]);
        complain(&format!("{} {flag} {} will not verify: {error}{hint}", Styled(NOTE, "nitrotpm:"), Shown(path)));
    };
    if let (Some(path), Some(bytes)) = (&args.document, &evidence.document)
        && let Err(error) = UnverifiedDocument::parse(bytes)
    {
        say("--document", path, bytes, Kind::Document, &error);
    }
    if let (Some(path), Some(bytes)) = (&args.ak, &evidence.ak_public)
        && let Err(error) = AttestationKey::parse(bytes)
    {
        say("--ak", path, bytes, Kind::TpmPublic, &error);
    }
    if let (Some(path), Some(bytes)) = (&args.event_log, &evidence.event_log)
        && let Err(error) = EventLog::parse(bytes, &ParseOptions::default())
    {
        say("--event-log", path, bytes, Kind::EventLog, &error);
    }
    for (path, quote) in args.attest.iter().zip(&evidence.quotes) {
        if let Err(error) = UnverifiedQuote::parse(&quote.attest, &quote.signature) {
            say("--attest", path, &quote.attest, Kind::Quote, &error);
        }
    }
}

fn invalid(path: &Path, error: &EvidenceError) -> Failure {
    Failure::invalid(error.code(), format!("{}: {error}", Shown(path)))
}

/// What a bundle holds. Nothing here is verified.
#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    unverified: Parts<'a>,
}

#[derive(Serialize)]
struct Parts<'a> {
    document_bytes: Option<usize>,
    ak_public_bytes: Option<usize>,
    ek_public_bytes: Option<usize>,
    quotes: Vec<QuoteSizes>,
    pcrs: &'a PcrValues,
    event_log_bytes: Option<usize>,
    ima_log_bytes: Option<usize>,
}

#[derive(Serialize)]
struct QuoteSizes {
    attest_bytes: usize,
    signature_bytes: usize,
}

fn show(file: &Path, format: Format) -> Result<Exit, Failure> {
    let bytes = read(file)?;
    let evidence = Evidence::from_json(&bytes).map_err(|error| {
        let failure = invalid(file, &error);
        Failure { message: format!("{}{}", failure.message, hint(&bytes, &[Kind::Evidence])), ..failure }
    })?;
    let length = |part: &Option<Vec<u8>>| part.as_ref().map(Vec::len);
    let parts = Parts {
        document_bytes: length(&evidence.document),
        ak_public_bytes: length(&evidence.ak_public),
        ek_public_bytes: length(&evidence.ek_public),
        quotes: evidence
            .quotes
            .iter()
            .map(|quote| QuoteSizes { attest_bytes: quote.attest.len(), signature_bytes: quote.signature.len() })
            .collect(),
        pcrs: &evidence.pcrs,
        event_log_bytes: length(&evidence.event_log),
        ima_log_bytes: length(&evidence.ima_log),
    };
    match format {
        Format::Json => print_json(&Report { schema: "nitrotpm.evidence-parts/1", unverified: parts })?,
        Format::Text => print(&text(&parts))?,
    }
    Ok(Exit::Done)
}

fn text(parts: &Parts<'_>) -> String {
    let mut text = format!("{}\n", Styled(HEAD, "evidence, not verified"));
    let mut line = |name: &str, length: Option<usize>| {
        let value =
            length.map_or_else(|| Styled(DIM, "-".to_owned()), |n| Styled(anstyle::Style::new(), format!("{n} bytes")));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<16} {value}");
    };
    line("document", parts.document_bytes);
    line("attestation key", parts.ak_public_bytes);
    line("endorsement key", parts.ek_public_bytes);
    for (index, quote) in parts.quotes.iter().enumerate() {
        line(&format!("quote {index}"), quote.attest_bytes.checked_add(quote.signature_bytes));
    }
    line("event log", parts.event_log_bytes);
    line("IMA list", parts.ima_log_bytes);
    for (bank, pcr, value) in parts.pcrs.iter() {
        // As above.
        let _ = writeln!(text, "  {bank} PCR {pcr:<2}  {value}");
    }
    text
}
