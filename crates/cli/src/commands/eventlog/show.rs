//! `nitrotpm eventlog show`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use nitrotpm_eventlog::{Decoded, Event, EventLog, ParseOptions, PayloadCheck};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Format;
use crate::exit::{Exit, Failure};
use crate::input::{Shown, read};
use crate::text::{BAD, DIM, GOOD, HEAD, NOTE, Styled, print, print_json};

/// `nitrotpm.eventlog/1`.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    format: &'static str,
    banks: Vec<String>,
    tail: &'static str,
    events: Vec<EventReport>,
}

#[derive(Serialize)]
struct EventReport {
    index: usize,
    offset: usize,
    /// `null` for the records that Windows keeps outside any register.
    pcr: Option<u8>,
    #[serde(rename = "type")]
    event_type: String,
    type_code: u32,
    digests: BTreeMap<String, String>,
    payload: &'static str,
    rule: Option<&'static str>,
    decoded: Value,
}

pub(super) fn run(file: &Path, only: &[u32], format: Format) -> Result<Exit, Failure> {
    let bytes = read(file)?;
    let log = EventLog::parse(&bytes, &ParseOptions::default())
        .map_err(|error| Failure::invalid(error.code(), format!("{}: {error}", Shown(file))))?;
    let wanted =
        |event: &Event<'_>| only.is_empty() || event.pcr().is_some_and(|pcr| only.contains(&u32::from(pcr.get())));
    let events = log.events().filter(wanted);
    match format {
        Format::Json => print_json(&Report {
            schema: "nitrotpm.eventlog/1",
            format: log.format().name(),
            banks: log.banks().iter().map(|bank| bank.algorithm.to_string()).collect(),
            tail: log.tail().name(),
            events: events.map(|event| EventReport::new(&event)).collect(),
        })?,
        Format::Text => {
            let banks: Vec<String> = log.banks().iter().map(|bank| bank.algorithm.to_string()).collect();
            let mut text = format!(
                "{} log, {} events, banks {}\n",
                Styled(HEAD, log.format().name()),
                log.event_count(),
                banks.join(", ")
            );
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(
                text,
                "{}",
                Styled(DIM, "  #  PCR  payload       type                              digest             what")
            );
            for event in events {
                line(&mut text, &event);
            }
            let _ = writeln!(
                text,
                "{}",
                Styled(
                    DIM,
                    "verified: the data are proven by the digest; not-checkable: the digest is of something else"
                )
            );
            print(&text)?;
        }
    }
    Ok(Exit::Done)
}

impl EventReport {
    fn new(event: &Event<'_>) -> Self {
        let check = event.payload_check();
        Self {
            index: event.index(),
            offset: event.offset(),
            pcr: event.pcr().map(|pcr| pcr.get()),
            event_type: type_name(event),
            type_code: event.event_type().0,
            digests: event.digests().map(|(algorithm, digest)| (algorithm.to_string(), hex::encode(digest))).collect(),
            payload: check.name(),
            rule: check.rule().map(|rule| rule.name()),
            decoded: decoded(event),
        }
    }
}

fn type_name(event: &Event<'_>) -> String {
    event.event_type().to_string()
}

/// The data as JSON: a `kind`, and the fields of that kind; text is escaped, bytes are hexadecimal.
fn decoded(event: &Event<'_>) -> Value {
    match event.decode() {
        Ok(decoded) => {
            let mut value = fields(&decoded);
            if let Some(object) = value.as_object_mut() {
                object.insert("kind".to_owned(), decoded.kind().into());
            }
            value
        }
        Err(error) => json!({ "kind": "malformed", "error": error.to_string(), "data": hex::encode(event.data()) }),
    }
}

fn fields(decoded: &Decoded<'_>) -> Value {
    match decoded {
        Decoded::SpecId(spec) => json!({
            "platform_class": spec.platform_class,
            "version": format!("{}.{}", spec.major, spec.minor),
            "errata": spec.errata,
            "uintn_size": spec.uintn_size,
            "vendor_info": hex::encode(spec.vendor_info),
        }),
        Decoded::StartupLocality { locality, .. } => json!({ "locality": locality }),
        Decoded::Separator(data) => json!({ "data": hex::encode(data) }),
        Decoded::Text(text) => json!({ "text": text.to_string() }),
        Decoded::Variable(variable) => json!({
            "guid": variable.guid.to_string(),
            "name": variable.name.to_string(),
            "data": hex::encode(variable.data),
            "summary": decoded.to_string(),
        }),
        Decoded::ImageLoad(image) => json!({
            "location": image.location,
            "length": image.length,
            "link_time_address": image.link_time_address,
            "device_path": hex::encode(image.device_path),
            "path": image.path().ok().map(|path| path.to_string()),
        }),
        Decoded::Gpt(gpt) => json!({ "partitions": gpt.count(), "disk": gpt.disk().to_string() }),
        Decoded::Grub { kind, text } => json!({ "command": kind, "text": text.to_string() }),
        Decoded::FirmwareBlob(blob) => json!({
            "description": blob.description.map(|text| text.to_string()),
            "base": blob.base,
            "length": blob.length,
        }),
        Decoded::Tagged(tagged) => json!({
            "tag": tagged.tag.0,
            "name": tagged.tag.name(),
            "data": hex::encode(tagged.data),
        }),
        Decoded::Windows(events) => json!({
            "events": events.events().map(|event| json!({
                "depth": event.depth,
                "type": event.sipa_type.0,
                "name": event.sipa_type.name(),
                "data": if event.sipa_type.is_container() { Value::Null } else { hex::encode(event.data).into() },
            })).collect::<Vec<_>>(),
        }),
        Decoded::Raw(data) => json!({ "data": hex::encode(data) }),
        other => json!({ "summary": other.to_string() }),
    }
}

fn line(text: &mut String, event: &Event<'_>) {
    let check = event.payload_check();
    let style = match check {
        PayloadCheck::Verified(_) => GOOD,
        PayloadCheck::Mismatch => BAD,
        PayloadCheck::NotCheckable => DIM,
    };
    // The strongest bank stands for the event.
    let digest = event.digests().max_by_key(|(_, digest)| digest.len()).map(|(_, digest)| hex::encode(digest));
    let digest = digest.as_deref().and_then(|digest| digest.get(..16)).unwrap_or("-");
    let _ = writeln!(
        text,
        "{:>3}  {:>3}  {:<13} {:<33} {}  {}",
        event.index(),
        event.register().to_string(),
        Styled(style, check.name()),
        type_name(event),
        Styled(DIM, format_args!("{digest:<16}…")),
        summary(event)
    );
}

/// One line of an event's data, escaped and cut to what fits beside the columns.
fn summary(event: &Event<'_>) -> String {
    let text = match event.decode() {
        Err(error) => return Styled(NOTE, error).to_string(),
        Ok(decoded) => decoded.to_string(),
    };
    match text.char_indices().nth(80) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text,
    }
}
