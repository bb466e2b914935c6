//! `nitrotpm predict`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use nitrotpm_pcr::{Bank, PcrIndex};
use nitrotpm_predict::Prediction;
use serde_json::json;

pub(super) use super::boot::failure;
use super::boot::{self, Predicted};
use crate::args::{BootArgs, PredictArgs, PredictFormat};
use crate::exit::{Exit, Failure};
use crate::input::Shown;
use crate::text::{DIM, Escaped, HEAD, NOTE, Styled, print, print_json};

/// Predicts the boot that the flags describe.
pub(crate) fn predict(args: &BootArgs, banks: &[Bank]) -> Result<Prediction, Failure> {
    boot::predict(args, banks).map(|predicted| predicted.prediction)
}

pub(super) fn run(args: &PredictArgs) -> Result<Exit, Failure> {
    let banks = match args.banks.as_slice() {
        [] => &[Bank::Sha384],
        banks => banks,
    };
    let predicted = boot::predict(&args.boot, banks)?;
    let prediction = &predicted.prediction;
    if let Some(path) = &args.event_log {
        let log = prediction.to_event_log().map_err(|error| Failure {
            exit: Exit::Invalid,
            code: error.code(),
            message: error.to_string(),
        })?;
        std::fs::write(path, log)
            .map_err(|error| Failure::environment("file.write", format!("cannot write {}: {error}", Shown(path))))?;
    }
    match args.format {
        PredictFormat::Json => print_json(&document(&predicted))?,
        PredictFormat::Aws => {
            print(&format!("{}\n", prediction.to_aws_json().map_err(|error| failure(&error))?.trim_end()))?
        }
        PredictFormat::Text => print(&text(&predicted))?,
    }
    Ok(Exit::Done)
}

/// `nitrotpm.prediction/1` with the images and notes.
fn document(predicted: &Predicted) -> serde_json::Value {
    let mut document = predicted.prediction.to_json();
    if let Some(fields) = document.as_object_mut() {
        let images = predicted.images.iter().map(|(name, kind)| json!({ "name": name, "kind": kind }));
        fields.insert("images".into(), images.collect());
        fields.insert("notes".into(), json!(predicted.notes));
    }
    document
}

/// Each register with its values, and the events that make them.
fn text(predicted: &Predicted) -> String {
    let prediction = &predicted.prediction;
    let state = if prediction.secure_boot() { "Secure Boot on" } else { "Secure Boot off" };
    let mut text = format!("{}\n", Styled(HEAD, format!("predicted, {state}")));
    // Writing to a String cannot fail, here and below.
    for (name, kind) in &predicted.images {
        let _ = writeln!(text, "  {}  {}", Escaped(name), Styled(DIM, kind));
    }
    for note in &predicted.notes {
        let _ = writeln!(text, "  {}", Styled(NOTE, Escaped(note)));
    }
    let mut registers: BTreeMap<PcrIndex, Vec<(Bank, String)>> = BTreeMap::new();
    for (bank, pcr, value) in prediction.pcrs().iter() {
        registers.entry(pcr).or_default().push((bank, value.to_string()));
    }
    for (pcr, values) in registers {
        let _ = writeln!(text, "\n{}", Styled(HEAD, format!("PCR {pcr}")));
        for (bank, value) in values {
            let _ = writeln!(text, "  {}  {value}", Styled(DIM, bank));
        }
        let mut events = prediction.events().iter().filter(|event| event.pcr == pcr).peekable();
        if events.peek().is_none() {
            let _ = writeln!(text, "    {}", Styled(DIM, "nothing is measured"));
        }
        for event in events {
            let by = if event.by_userspace { ", by userspace" } else { "" };
            let kind = Styled(DIM, format!("{:<34}", event.event_type.to_string()));
            let _ = writeln!(text, "    {kind}{}{by}", Escaped(&event.cause));
        }
    }
    text.push('\n');
    for (pcr, reason) in prediction.unpredictable() {
        let _ = writeln!(text, "{}", Styled(NOTE, format!("PCR {pcr} is not known: {}", Escaped(reason))));
    }
    text
}
