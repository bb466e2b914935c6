//! `nitrotpm document`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use nitrotpm_freshness::{NonceExpectation, UnixTime};
use nitrotpm_nitro_document::{
    CertificateSummary, DocumentError, DocumentExpectations, DocumentFields, UnverifiedDocument, VerifiedDocument,
};
use nitrotpm_pcr::PcrValues;
use serde::Serialize;

use crate::args::{DocumentCommand, Format};
use crate::exit::{Exit, Failure};
use crate::input::{Shown, clock, read, roots};
use crate::kind::{Kind, complain_of, hint};
use crate::text::{BAD, DIM, Escaped, GOOD, HEAD, NOTE, Styled, print, print_json};

pub(super) fn run(command: &DocumentCommand) -> Result<Exit, Failure> {
    match command {
        DocumentCommand::Show { file, format } => show(file, format.format),
        DocumentCommand::Verify { file, nonce, time, roots: trust, format } => {
            let roots = roots(&trust.trust_roots)?;
            let nonce = nonce.expectation().unwrap_or(NonceExpectation::NotChecked);
            let expectations = DocumentExpectations::new(clock(time.at), nonce);
            let bytes = read(file)?;
            let outcome = UnverifiedDocument::parse(&bytes)
                .inspect_err(|_| complain_of(file, &bytes, &[Kind::Document]))
                .and_then(|document| document.verify(&roots, &expectations));
            match format.format {
                Format::Json => print_json(&VerifyReport::new(&outcome))?,
                Format::Text => print(&verified_text(&outcome, expectations.clock.time()))?,
            }
            Ok(if outcome.is_ok() { Exit::Done } else { Exit::Invalid })
        }
    }
}

/// `nitrotpm.document/1` of `document show`: no verdict, nothing verified.
#[derive(Serialize)]
struct ShowReport {
    schema: &'static str,
    unverified: Fields,
}

#[derive(Serialize)]
struct Fields {
    module_id: String,
    timestamp: u64,
    digest: String,
    pcrs: PcrValues,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    registers_beyond_23: BTreeMap<u8, String>,
    public_key: Option<String>,
    user_data: Option<String>,
    nonce: Option<String>,
    certificate: String,
    cabundle: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unknown_keys: BTreeMap<String, String>,
}

impl Fields {
    fn new(fields: &DocumentFields) -> Self {
        Self {
            module_id: fields.module_id.clone(),
            timestamp: fields.timestamp_millis,
            digest: fields.digest.clone(),
            pcrs: fields.pcrs.clone(),
            registers_beyond_23: fields
                .registers_beyond_23
                .iter()
                .map(|(number, value)| (*number, value.to_string()))
                .collect(),
            public_key: fields.public_key.as_deref().map(hex::encode),
            user_data: fields.user_data.as_deref().map(hex::encode),
            nonce: fields.nonce.as_deref().map(hex::encode),
            certificate: hex::encode(&fields.certificate),
            cabundle: fields.cabundle.iter().map(hex::encode).collect(),
            unknown_keys: fields
                .unknown_keys
                .iter()
                .map(|unknown| (unknown.key.clone(), hex::encode(&unknown.value)))
                .collect(),
        }
    }
}

fn show(file: &Path, format: Format) -> Result<Exit, Failure> {
    let bytes = read(file)?;
    let document = UnverifiedDocument::parse(&bytes).map_err(|error| {
        let hint = hint(&bytes, &[Kind::Document]);
        Failure::invalid(error.code(), format!("{}: {error}{hint}", Shown(file)))
    })?;
    let fields = Fields::new(document.unverified_fields());
    match format {
        Format::Json => print_json(&ShowReport { schema: "nitrotpm.document/1", unverified: fields })?,
        Format::Text => print(&fields_text(&fields))?,
    }
    Ok(Exit::Done)
}

fn fields_text(fields: &Fields) -> String {
    let mut text = format!(
        "{} {}\n",
        Styled(HEAD, "NitroTPM attestation document"),
        Styled(NOTE, "not verified: anyone could have written this")
    );
    summary(&mut text, &fields.module_id, fields.timestamp, &fields.public_key, &fields.user_data, &fields.nonce);
    registers(&mut text, &fields.pcrs);
    text
}

/// `nitrotpm.document/1` of `document verify`.
#[derive(Serialize)]
struct VerifyReport {
    schema: &'static str,
    verdict: &'static str,
    reasons: Vec<Reason>,
    #[serde(flatten)]
    claims: Option<Claims>,
}

#[derive(Serialize)]
struct Reason {
    code: &'static str,
    message: String,
}

#[derive(Serialize)]
struct Claims {
    module_id: String,
    instance_id: String,
    region: String,
    timestamp: u64,
    digest: String,
    pcrs: PcrValues,
    public_key: Option<String>,
    user_data: Option<String>,
    nonce: Option<String>,
    nonce_checked: bool,
    certificates: Vec<Certificate>,
}

#[derive(Serialize)]
struct Certificate {
    subject: String,
    not_before: String,
    not_after: String,
    sha256: String,
}

impl VerifyReport {
    fn new(outcome: &Result<VerifiedDocument, DocumentError>) -> Self {
        let schema = "nitrotpm.document/1";
        match outcome {
            Ok(document) => {
                Self { schema, verdict: "affirmed", reasons: Vec::new(), claims: Some(Claims::new(document)) }
            }
            Err(error) => Self {
                schema,
                verdict: "invalid",
                reasons: vec![Reason { code: error.code(), message: error.to_string() }],
                claims: None,
            },
        }
    }
}

impl Claims {
    fn new(document: &VerifiedDocument) -> Self {
        Self {
            module_id: document.module_id().to_owned(),
            instance_id: document.instance_id().to_owned(),
            region: document.region().to_owned(),
            timestamp: document.timestamp_millis(),
            digest: document.digest().to_owned(),
            pcrs: document.pcrs().clone(),
            public_key: document.public_key().map(hex::encode),
            user_data: document.user_data().map(hex::encode),
            nonce: document.nonce().map(hex::encode),
            nonce_checked: document.nonce_checked(),
            certificates: document.certificates().iter().map(Certificate::new).collect(),
        }
    }
}

impl Certificate {
    fn new(summary: &CertificateSummary) -> Self {
        Self {
            subject: summary.subject.clone(),
            not_before: rfc3339(summary.not_before),
            not_after: rfc3339(summary.not_after),
            sha256: summary.sha256.to_string(),
        }
    }
}

fn verified_text(outcome: &Result<VerifiedDocument, DocumentError>, at: UnixTime) -> String {
    let mut text = String::new();
    let judged = Styled(DIM, format!("at {}", rfc3339(at)));
    // Writing to a String cannot fail, here and below.
    match outcome {
        Err(error) => {
            let _ = writeln!(text, "{}  {judged}\n", Styled(BAD, "invalid"));
            let _ = writeln!(text, "  {}  {}", Styled(BAD, error.code()), Escaped(&error.to_string()));
        }
        Ok(document) => {
            let _ = writeln!(text, "{}  {judged}\n", Styled(GOOD, "affirmed"));
            let claims = Claims::new(document);
            summary(
                &mut text,
                &claims.module_id,
                claims.timestamp,
                &claims.public_key,
                &claims.user_data,
                &claims.nonce,
            );
            let _ = writeln!(text, "  region       {}", Escaped(&claims.region));
            if !claims.nonce_checked {
                let _ = writeln!(text, "               {}", Styled(NOTE, "the nonce was not checked"));
            }
            let _ = writeln!(text, "  {}", Styled(HEAD, "certificates"));
            for certificate in &claims.certificates {
                let _ = writeln!(
                    text,
                    "    {} … {}  {}",
                    certificate.not_before,
                    certificate.not_after,
                    Escaped(&certificate.subject)
                );
            }
            registers(&mut text, &claims.pcrs);
        }
    }
    text
}

fn summary(
    text: &mut String,
    module_id: &str,
    timestamp: u64,
    public_key: &Option<String>,
    user_data: &Option<String>,
    nonce: &Option<String>,
) {
    let time = i64::try_from(timestamp).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let time = time.map_or_else(|| format!("{timestamp} ms"), |time| time.to_string());
    let _ = writeln!(text, "  module       {}", Escaped(module_id));
    let _ = writeln!(text, "  made         {time}");
    for (name, value) in [("public key", public_key), ("user data", user_data), ("nonce", nonce)] {
        let value = value.as_deref().unwrap_or("-");
        let _ = writeln!(text, "  {name:<12} {value}");
    }
}

fn registers(text: &mut String, pcrs: &PcrValues) {
    let _ = writeln!(text, "  {}", Styled(HEAD, "PCRs"));
    for (bank, pcr, value) in pcrs.iter() {
        let value = value.to_string();
        let plain = value.bytes().all(|byte| byte == b'0') || value.bytes().all(|byte| byte == b'f');
        let style = if plain { DIM } else { anstyle::Style::new() };
        let _ = writeln!(text, "    {bank} {pcr:>2}  {}", Styled(style, value));
    }
}

fn rfc3339(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| format!("{} s", time.as_secs()), |time| time.to_string())
}
