//! Images with their reference values, from the files that a command names.

use std::collections::BTreeMap;

use nitrotpm_eventlog::{EventLog, LogError, ParseOptions, SecureBootState};
use nitrotpm_pcr::{Bank, Digest, PcrIndex, PcrValues, reset_value};
use nitrotpm_reference_values::{Image, MeasuredEvent, dangers};
use nitrotpm_verifier::{Policy, Provenance};
use serde::Deserialize;

use crate::commands::predict;
use crate::exit::{Exit, Failure};
use crate::input::{Shown, read};
use crate::policy_args::{ChosenPcrs, ImageSources};
use crate::references::NamedFile;
use crate::text::{Escaped, NOTE, Styled, complain};

/// A prediction as `predict --format json` writes it.
#[derive(Deserialize)]
struct Prediction {
    schema: String,
    #[serde(default)]
    secure_boot: Option<bool>,
    pcrs: PcrValues,
    #[serde(default)]
    events: Vec<PredictedEvent>,
    #[serde(default)]
    unpredictable: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct PredictedEvent {
    pcr: u8,
    digests: BTreeMap<String, String>,
}

impl ImageSources {
    /// The images that the flags give: that of --image first.
    pub(crate) fn images(&self) -> Result<Vec<Image>, Failure> {
        let mut images = Vec::new();
        if self.boot.is_given() {
            let prediction = predict::predict(&self.boot, &self.chosen.banks())?;
            let bytes = prediction.to_json().to_string();
            images.push(of_prediction(&self.name(), bytes.as_bytes(), &self.chosen)?);
        }
        for file in &self.predictions {
            images.push(
                of_prediction(&file.name, &read(&file.path)?, &self.chosen).map_err(|failure| named(file, failure))?,
            );
        }
        for file in &self.event_logs {
            images.push(
                of_event_log(&file.name, &read(&file.path)?, &self.chosen).map_err(|failure| named(file, failure))?,
            );
        }
        if images.is_empty() {
            return Err(Failure::usage(
                "predict.no-image",
                "no image was given; name one with --image, --disk, --boot, --prediction or --event-log",
            ));
        }
        Ok(images)
    }

    /// The policy's name: what was given, or that of the first source.
    pub(crate) fn name(&self) -> String {
        let of_file = || self.predictions.iter().chain(&self.event_logs).next().map(|file| file.name.clone());
        self.name.clone().or_else(|| self.boot.name()).or_else(of_file).unwrap_or_else(|| "images".to_owned())
    }
}

/// Refuses what proves less than it seems to, or says that it was accepted.
pub(crate) fn check_dangers(images: &[Image], accepted: bool) -> Result<(), Failure> {
    for danger in images.iter().flat_map(dangers) {
        if !accepted {
            return Err(Failure { exit: Exit::Refused, code: "predict.dangerous", message: danger });
        }
        complain(&format!("{} {danger}", Styled(NOTE, "accepted:")));
    }
    Ok(())
}

fn named(file: &NamedFile, failure: Failure) -> Failure {
    Failure { message: format!("{}: {}", Shown(&file.path), failure.message), ..failure }
}

impl ChosenPcrs {
    pub(crate) fn banks(&self) -> Vec<Bank> {
        if self.banks.is_empty() { vec![Bank::Sha384] } else { self.banks.clone() }
    }

    /// The registers that were named, ascending.
    pub(crate) fn named(&self) -> Vec<PcrIndex> {
        let mut named: Vec<PcrIndex> = self.pcrs.iter().filter_map(|pcr| PcrIndex::new(*pcr)).collect();
        named.sort_unstable();
        named.dedup();
        named
    }

    /// The registers that were named, or those that identify an image; the latter as far as there are values.
    fn of(&self, secure_boot: Option<bool>, values: &PcrValues) -> Vec<PcrIndex> {
        let wanted: &[u8] = if secure_boot == Some(true) { &[4, 7, 12] } else { &[4, 12] };
        let has_value = |pcr: &PcrIndex| values.iter().any(|(_, of, _)| of == *pcr);
        match self.named() {
            named if named.is_empty() => {
                wanted.iter().filter_map(|pcr| PcrIndex::new(*pcr)).filter(has_value).collect()
            }
            named => named,
        }
    }

    /// The values of the chosen banks; a bank that is not there is an error.
    fn keep_banks(&self, name: &str, values: &PcrValues) -> Result<PcrValues, Failure> {
        let banks = self.banks();
        if let Some(missing) = banks.iter().find(|bank| !values.banks().any(|of| of == **bank)) {
            return Err(Failure::usage(
                "usage.bank",
                format!("\"{}\" has no values of bank {missing}; name another with --bank", Escaped(name)),
            ));
        }
        let mut kept = PcrValues::new();
        for (_, pcr, value) in values.iter().filter(|(bank, _, _)| banks.contains(bank)) {
            // Each register of a bank comes once from values that hold it once.
            let _inserted = kept.insert(pcr, *value);
        }
        Ok(kept)
    }
}

fn of_prediction(name: &str, bytes: &[u8], chosen: &ChosenPcrs) -> Result<Image, Failure> {
    let malformed = |what: String| Failure::invalid("pcrs.malformed", format!("not a prediction: {}", Escaped(&what)));
    let prediction: Prediction = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    if prediction.schema != "nitrotpm.prediction/1" {
        return Err(malformed(format!("the schema is \"{}\"", prediction.schema)));
    }
    let values = chosen.keep_banks(name, &prediction.pcrs)?;
    let pcrs = chosen.of(prediction.secure_boot, &values);
    for pcr in &pcrs {
        if let Some(reason) = prediction.unpredictable.get(&pcr.to_string()) {
            let message = format!("PCR {pcr} was not predicted: {}", Escaped(reason));
            return Err(Failure::usage("predict.not-predicted", message));
        }
    }
    let mut events = Vec::with_capacity(prediction.events.len());
    for event in &prediction.events {
        let pcr = PcrIndex::new(event.pcr).ok_or_else(|| malformed(format!("there is no PCR {}", event.pcr)))?;
        let digests = event.digests.iter().map(|(bank, text)| {
            let bank: Bank = bank.parse().map_err(|_| malformed(format!("there is no bank \"{bank}\"")))?;
            let bytes = hex::decode(text).map_err(|error| malformed(error.to_string()))?;
            Digest::new(bank, &bytes).map_err(|error| malformed(error.to_string()))
        });
        events.push(MeasuredEvent { pcr, digests: digests.collect::<Result<_, Failure>>()? });
    }
    let notes = prediction
        .unpredictable
        .iter()
        .filter(|(pcr, _)| ["4", "7", "12"].contains(&pcr.as_str()))
        .map(|(pcr, reason)| format!("PCR {pcr} is left out: {reason}"))
        .collect();
    let image = Image {
        secure_boot: prediction.secure_boot,
        provenance: Provenance::Predicted,
        notes,
        events,
        ..Image::new(name, values)
    };
    select(image, &pcrs)
}

fn select(image: Image, pcrs: &[PcrIndex]) -> Result<Image, Failure> {
    image.select(pcrs).map_err(|error| Failure::usage(error.code(), error.to_string()))
}

/// Why a captured policy leaves a register out.
const LEFT_OUT: [(&str, &str); 8] = [
    ("0", "firmware, which Amazon changes without asking"),
    ("1", "boot variables and hardware, which differ between instances"),
    ("2, 3 and 6", "the same on every instance"),
    ("5", "partition table and boot manager, which differ between instances"),
    (
        "8 and 9",
        "what PCR 4 and 12 have already, where a unified kernel image is booted; with GRUB name them: --pcr 8 --pcr 9",
    ),
    ("10", "IMA, which extends it as files are used"),
    ("11", "boot phases, with which systemd extends it after the log ends"),
    (
        "13 to 15",
        "system extensions, shim's keys and the system's identity; name them where they are the same on every boot",
    ),
];

fn of_event_log(name: &str, bytes: &[u8], chosen: &ChosenPcrs) -> Result<Image, Failure> {
    let invalid = |error: LogError| Failure::invalid(error.code(), error.to_string());
    let replayed =
        EventLog::parse(bytes, &ParseOptions::default()).and_then(|log| log.replay_all()).map_err(invalid)?;
    let own = replayed.values();
    // The log is held against itself: nothing vouches for it but whoever gives it.
    let confirmed = replayed.confirm(&own, own.iter().map(|(bank, pcr, _)| (bank, pcr))).map_err(invalid)?;
    let secure_boot = match confirmed.secure_boot() {
        SecureBootState::Enabled => Some(true),
        SecureBootState::Disabled => Some(false),
        _ => None,
    };
    let mut all = PcrValues::new();
    for (bank, pcr) in own.banks().flat_map(|bank| PcrIndex::all().map(move |pcr| (bank, pcr))) {
        // A register without events has its reset value. Each comes once.
        let _inserted = all.insert(pcr, own.get(bank, pcr).copied().unwrap_or_else(|| reset_value(bank, pcr)));
    }
    let values = chosen.keep_banks(name, &all)?;
    let pcrs = chosen.of(secure_boot, &values);
    let mut notes = vec!["Captured from an event log: as good as the machine was that it is from.".to_owned()];
    if chosen.pcrs.is_empty() {
        if secure_boot != Some(true) {
            notes.push(
                "PCR 7 is left out: Secure Boot is not shown to be on, so it tells nothing about the image.".to_owned(),
            );
        }
        notes.extend(LEFT_OUT.iter().map(|(pcrs, why)| format!("PCR {pcrs} left out: {why}.")));
    }
    let events = replayed
        .log()
        .events()
        .filter(nitrotpm_eventlog::Event::extends)
        .filter_map(|event| Some(MeasuredEvent { pcr: event.pcr()?, digests: event.known_digests().collect() }))
        .collect();
    let image = Image { secure_boot, provenance: Provenance::Captured, notes, events, ..Image::new(name, values) };
    select(image, &pcrs)
}

/// The images of a policy that are accepted now; with the events of the references that it names.
pub(crate) fn of_policy(
    policy: &Policy,
    path: &std::path::Path,
    clock: nitrotpm_freshness::Clock,
) -> Result<Vec<Image>, Failure> {
    let mut images = Vec::new();
    for image in policy.images().iter().filter(|image| image.why_not_accepted(policy.require(), clock).is_none()) {
        let mut own = Image::of_policy(image);
        if let Some(file) = &image.reference {
            let file = path.parent().unwrap_or_else(|| std::path::Path::new("")).join(file);
            let bytes = read(&file)?;
            let chosen = ChosenPcrs { pcrs: Vec::new(), banks: image.pcrs.banks().collect() };
            let known = if bytes.trim_ascii_start().starts_with(b"{") {
                of_prediction(&image.name, &bytes, &chosen)
            } else {
                of_event_log(&image.name, &bytes, &chosen)
            };
            own.events =
                known.map_err(|failure| named(&NamedFile { name: image.name.clone(), path: file }, failure))?.events;
        }
        images.push(own);
    }
    Ok(images)
}
