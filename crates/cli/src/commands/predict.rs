//! `nitrotpm predict`, and the image that `policy new` and `policy kms` start from.

use std::fmt::Write as _;
use std::path::Path;

use nitrotpm_pcr::Bank;
use nitrotpm_predict::{Boot, PeImage, PredictError, Prediction};
use nitrotpm_uefi::{Guid, SecureBootVariables, SignatureFile, UefiData, UefiError};

use crate::args::{BootArgs, PredictArgs, PredictFormat};
use crate::exit::{Exit, Failure};
use crate::input::{Shown, read};
use crate::text::{DIM, HEAD, NOTE, Styled, print, print_json};

/// The exit code that an error of a prediction has.
pub(super) fn failure(error: &PredictError) -> Failure {
    let exit = match error {
        // Firmware would refuse the image, or the policy would prove too little: the answer is no.
        PredictError::Refused { .. } | PredictError::Dangerous(_) => Exit::Refused,
        PredictError::NoImage | PredictError::NoBank | PredictError::NotPredicted { .. } => Exit::Usage,
        _ => Exit::Invalid,
    };
    Failure { exit, code: error.code(), message: error.to_string() }
}

fn uefi_failure(path: &Path, error: &UefiError) -> Failure {
    Failure { exit: Exit::Invalid, code: error.code(), message: format!("{}: {error}", Shown(path)) }
}

/// Predicts the boot that the flags describe.
pub(crate) fn predict(args: &BootArgs, banks: &[Bank]) -> Result<Prediction, Failure> {
    let variables = variables(args)?;
    let files = args.images.iter().map(|path| Ok((path, read(path)?))).collect::<Result<Vec<_>, Failure>>()?;
    let images = files
        .iter()
        .map(|(path, bytes)| PeImage::parse(&Shown(path).to_string(), bytes))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failure(&error))?;
    let mut boot = Boot::new(&variables, &images);
    boot.os_separator = args.os_separator;
    boot.predict(banks).map_err(|error| failure(&error))
}

fn variables(args: &BootArgs) -> Result<SecureBootVariables, Failure> {
    if let Some(path) = &args.uefi_data {
        let data = UefiData::from_base64(&read(path)?).map_err(|error| uefi_failure(path, &error))?;
        return Ok(SecureBootVariables::from_uefi_data(&data));
    }
    let content = |path: &Option<std::path::PathBuf>, owner: Option<Guid>| match path {
        None => Ok(Vec::new()),
        Some(path) => SignatureFile::read(&read(path)?, owner)
            .map(SignatureFile::into_content)
            .map_err(|error| uefi_failure(path, &error)),
    };
    Ok(SecureBootVariables {
        pk: content(&args.pk, args.owner)?,
        kek: content(&args.kek, args.owner)?,
        db: content(&args.db, args.owner)?,
        dbx: content(&args.dbx, args.owner)?,
    })
}

pub(super) fn run(args: &PredictArgs) -> Result<Exit, Failure> {
    let banks = match args.banks.as_slice() {
        [] => &[Bank::Sha384],
        banks => banks,
    };
    let prediction = predict(&args.boot, banks)?;
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
        PredictFormat::Json => print_json(&prediction.to_json())?,
        PredictFormat::Aws => {
            print(&format!("{}\n", prediction.to_aws_json().map_err(|error| failure(&error))?.trim_end()))?
        }
        PredictFormat::Text => print(&text(&prediction))?,
    }
    Ok(Exit::Done)
}

fn text(prediction: &Prediction) -> String {
    let state = if prediction.secure_boot() { "Secure Boot on" } else { "Secure Boot off" };
    let mut text = format!("{}\n", Styled(HEAD, format!("predicted, {state}")));
    // Writing to a String cannot fail, here and below.
    for (bank, pcr, value) in prediction.pcrs().iter() {
        let _ = writeln!(text, "{} {pcr:>2}  {value}", Styled(DIM, bank));
    }
    let _ = writeln!(text, "\n{}", Styled(HEAD, "what is measured"));
    for event in prediction.events() {
        let _ = writeln!(text, "  PCR {:>2}  {}", event.pcr.to_string(), event.cause);
    }
    for (pcr, reason) in prediction.unpredictable() {
        let _ = writeln!(text, "  {}", Styled(NOTE, format!("PCR {pcr} is not known: {reason}")));
    }
    text
}
