//! A log as one JSON document.

use std::collections::BTreeMap;

use nitrotpm_eventlog::{Decoded, Event, FoundQuirk, SignatureEntry, UefiVariable, VariableContents};
use nitrotpm_pcr::PcrValues;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::View;
use crate::commands::eventlog::compare::Reason;

/// `nitrotpm.eventlog/1`.
#[derive(Serialize)]
pub(super) struct Report<'v, 'a> {
    schema: &'static str,
    format: &'static str,
    banks: Vec<String>,
    tail: &'static str,
    quirks: Vec<QuirkReport>,
    /// With `--pcrs`: what was compared, as `eventlog replay` gives it.
    #[serde(flatten)]
    replay: Option<Replay>,
    events: Shown<'v, 'a>,
}

#[derive(Serialize)]
struct QuirkReport {
    name: &'static str,
    event: Option<usize>,
    count: usize,
}

#[derive(Serialize)]
struct Replay {
    pcrs: PcrValues,
    verdict: &'static str,
    reasons: Vec<Reason>,
}

/// The events that are shown, written one by one: none is kept.
struct Shown<'v, 'a>(&'v View<'a>);

impl Serialize for Shown<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.events().map(|event| EventReport::new(&event)))
    }
}

impl<'v, 'a> Report<'v, 'a> {
    pub(super) fn new(view: &'v View<'a>) -> Self {
        let replay = view.replayed.as_ref().ok().zip(view.comparison.as_ref());
        Self {
            schema: "nitrotpm.eventlog/1",
            format: view.log.format().name(),
            banks: view.bank_names(),
            tail: view.log.tail().name(),
            quirks: view.log.quirks().iter().map(QuirkReport::new).collect(),
            replay: replay.map(|(replayed, comparison)| Replay {
                pcrs: replayed.values(),
                verdict: comparison.verdict(),
                reasons: comparison.reasons(),
            }),
            events: Shown(view),
        }
    }
}

impl QuirkReport {
    const fn new(found: &FoundQuirk) -> Self {
        Self { name: found.quirk.name(), event: found.event, count: found.count }
    }
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

impl EventReport {
    fn new(event: &Event<'_>) -> Self {
        let check = event.payload_check();
        Self {
            index: event.index(),
            offset: event.offset(),
            pcr: event.pcr().map(|pcr| pcr.get()),
            event_type: event.event_type().to_string(),
            type_code: event.event_type().0,
            digests: event.digests().map(|(algorithm, digest)| (algorithm.to_string(), hex::encode(digest))).collect(),
            payload: check.name(),
            rule: check.rule().map(|rule| rule.name()),
            decoded: decoded(event),
        }
    }
}

/// The data as JSON: a `kind`, and the fields of that kind; text is escaped, bytes are hexadecimal.
fn decoded(event: &Event<'_>) -> Value {
    match event.decode() {
        Ok(decoded) => {
            let mut value = fields(&decoded);
            if let Some(object) = value.as_object_mut() {
                // Not within `json!`, which would copy it: a log may be one event of 64 MiB.
                let data = match decoded {
                    Decoded::Raw(data) => Some(data),
                    Decoded::Variable(variable) => Some(variable.data),
                    Decoded::Tagged(tagged) => Some(tagged.data),
                    _ => None,
                };
                if let Some(data) = data {
                    object.insert("data".to_owned(), hex::encode(data).into());
                }
                object.insert("kind".to_owned(), decoded.kind().into());
                object.insert("summary".to_owned(), event.summary().to_string().into());
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
            "contents": contents(variable),
        }),
        Decoded::ImageLoad(image) => json!({
            "location": image.location,
            "length": image.length,
            "link_time_address": image.link_time_address,
            "device_path": hex::encode(image.device_path),
            "path": image.path().ok().map(|path| path.to_string()),
        }),
        Decoded::Gpt(gpt) => json!({
            "partitions": gpt.count(),
            "disk": gpt.disk().to_string(),
            "entries": gpt.partitions().map(|partition| json!({
                "name": partition.name.to_string(),
                "type": partition.partition_type.to_string(),
                "guid": partition.unique.to_string(),
                "first_block": partition.first_block,
                "last_block": partition.last_block,
                "attributes": partition.attributes,
            })).collect::<Vec<_>>(),
        }),
        Decoded::HandoffTables(tables) => json!({
            "description": tables.description.map(|text| text.to_string()),
            "tables": tables.tables().map(|(guid, address)| json!({
                "guid": guid.to_string(),
                "address": address,
            })).collect::<Vec<_>>(),
        }),
        Decoded::PlatformId(id) => json!({
            "version": id.version,
            "vendor_id": id.vendor_id,
            "manifest": id.manifest.to_string(),
            "platform": id.platform.map(|texts| texts.map(|text| text.to_string())),
            "firmware": id.firmware.map(|(vendor, version)| json!({ "vendor_id": vendor, "version": version.to_string() })),
        }),
        Decoded::HcrtmComponent(component) => json!({
            "description": component.description.to_string(),
            "format": component.format,
            "measurement": hex::encode(component.measurement),
        }),
        Decoded::DeviceSecurity(device) => json!({
            "version": device.version,
            "device_type": device.device_type,
            "authentication": device.authentication,
            "content_type": device.content_type,
            "content": hex::encode(device.content),
            "device_context": hex::encode(device.device_context),
        }),
        Decoded::Grub { kind, text } => json!({ "command": kind, "text": text.to_string() }),
        Decoded::FirmwareBlob(blob) => json!({
            "description": blob.description.map(|text| text.to_string()),
            "base": blob.base,
            "length": blob.length,
        }),
        Decoded::Tagged(tagged) => json!({
            "tag": tagged.tag.0,
            "name": tagged.tag.name(),
        }),
        Decoded::Windows(events) => json!({
            "events": events.events().map(|event| json!({
                "depth": event.depth,
                "type": event.sipa_type.0,
                "name": event.sipa_type.name(),
                "data": if event.sipa_type.is_container() { Value::Null } else { hex::encode(event.data).into() },
            })).collect::<Vec<_>>(),
        }),
        // Their data, or their summary, says what there is.
        _ => json!({}),
    }
}

/// What a variable holds, as far as its name says; `null` where it says nothing.
fn contents(variable: &UefiVariable<'_>) -> Value {
    match variable.contents() {
        Ok(VariableContents::SignatureLists(lists)) => {
            json!({ "entries": lists.entries().map(|entry| signature(&entry)).collect::<Vec<_>>() })
        }
        Ok(VariableContents::LoadOption(option)) => json!({
            "description": option.description.to_string(),
            "path": option.path.to_string(),
            "attributes": option.attributes,
            "optional_data": hex::encode(option.optional_data),
        }),
        Ok(VariableContents::BootOrder(order)) => {
            json!({ "boot_order": order.iter().map(|number| u16::from_le_bytes(*number)).collect::<Vec<_>>() })
        }
        Ok(VariableContents::Flag(flag)) => json!({ "flag": flag }),
        Ok(VariableContents::Text(text)) => json!({ "text": text.to_string() }),
        // An authority event has one entry of a list.
        _ => variable.authority_entry().map_or(Value::Null, |entry| json!({ "entries": [signature(&entry)] })),
    }
}

fn signature(entry: &SignatureEntry<'_>) -> Value {
    json!({
        "type": entry.kind.name(),
        "type_guid": entry.kind.0.to_string(),
        "owner": entry.owner.to_string(),
        "subject": entry.certificate_subject().map(|subject| subject.to_string()),
        "data": hex::encode(entry.data),
    })
}
