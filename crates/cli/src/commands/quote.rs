//! `nitrotpm quote`.

use std::fmt::Write as _;

use nitrotpm_pcr::{Bank, BankSelection, PcrValues, Selection};
use nitrotpm_quote::{AttestationKey, QuoteError, QuoteExpectations, SignedQuote, SignedSelection, UnverifiedQuote};
use serde::Serialize;

use crate::args::{Format, QuoteCommand};
use crate::exit::{Exit, Failure};
use crate::input::{attestation_key, pcrs, read};
use crate::text::{BAD, Escaped, GOOD, HEAD, NOTE, Styled, print, print_json};

pub(super) fn run(command: &QuoteCommand) -> Result<Exit, Failure> {
    let QuoteCommand::Verify { attest, signature, ak, nonce, pcrs: values, allow_sha1, format } = command;
    let expectations = QuoteExpectations::new(nonce.for_quote()?).with_sha1(*allow_sha1);
    let key = attestation_key(ak, "--ak")?;
    let claimed = values.as_deref().map(pcrs).transpose()?;
    let (attest, signature) = (read(attest)?, read(signature)?);
    let outcome = UnverifiedQuote::parse(&attest, &signature).and_then(|quote| match &claimed {
        Some(claimed) => {
            let signed = quote.verify(&key, &expectations, claimed)?;
            signed.require_covered(claimed)?;
            Ok(Signed::with_values(&signed))
        }
        None => quote.verify_signature(&key, &expectations).map(|signed| Signed::without_values(&signed, &key)),
    });
    let exit = if outcome.is_ok() { Exit::Done } else { Exit::Invalid };
    match format.format {
        Format::Json => print_json(&Report::new(outcome))?,
        Format::Text => print(&text(&outcome))?,
    }
    Ok(exit)
}

/// `nitrotpm.quote/1`.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    verdict: &'static str,
    reasons: Vec<Reason>,
    #[serde(flatten)]
    signed: Option<Signed>,
}

#[derive(Serialize)]
struct Reason {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pcr: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bank: Option<&'static str>,
}

/// What the signature shows.
#[derive(Serialize)]
struct Signed {
    scheme: String,
    nonce_checked: bool,
    ak_sha256: String,
    ak_attributes: &'static str,
    /// The registers that were signed, by bank, in the order of the quote.
    selection: Vec<BankReport>,
    /// The signed values; `null` where none were given to compare.
    pcrs: Option<PcrValues>,
    /// Banks that were signed and are not relied on.
    excluded_banks: Vec<&'static str>,
    clock: u64,
    reset_count: u32,
    restart_count: u32,
    clock_safe: bool,
    firmware_version: String,
}

#[derive(Serialize)]
struct BankReport {
    bank: &'static str,
    pcrs: Vec<u8>,
}

fn selection(selection: &Selection) -> Vec<BankReport> {
    let report = |bank: &BankSelection| BankReport {
        bank: bank.bank.name(),
        pcrs: bank.indices.iter().map(|index| index.get()).collect(),
    };
    selection.banks().iter().map(report).collect()
}

fn attributes(key: &AttestationKey) -> &'static str {
    if key.attributes().is_some() { "known" } else { "unknown" }
}

impl Signed {
    fn with_values(quote: &SignedQuote) -> Self {
        let clock = quote.clock_info();
        Self {
            scheme: quote.signature_scheme().to_string(),
            nonce_checked: quote.nonce_checked(),
            ak_sha256: hex::encode(quote.key().sha256()),
            ak_attributes: attributes(quote.key()),
            selection: selection(quote.selection()),
            pcrs: Some(quote.values().clone()),
            excluded_banks: quote.excluded_banks().map(Bank::name).collect(),
            clock: clock.clock,
            reset_count: clock.reset_count,
            restart_count: clock.restart_count,
            clock_safe: clock.safe,
            firmware_version: format!("{:016x}", quote.firmware_version()),
        }
    }

    fn without_values(quote: &SignedSelection, key: &AttestationKey) -> Self {
        Self {
            scheme: quote.scheme.to_string(),
            nonce_checked: quote.nonce_checked,
            ak_sha256: hex::encode(key.sha256()),
            ak_attributes: attributes(key),
            selection: selection(&quote.selection),
            pcrs: None,
            excluded_banks: Vec::new(),
            clock: quote.clock_info.clock,
            reset_count: quote.clock_info.reset_count,
            restart_count: quote.clock_info.restart_count,
            clock_safe: quote.clock_info.safe,
            firmware_version: format!("{:016x}", quote.firmware_version),
        }
    }
}

impl Report {
    fn new(outcome: Result<Signed, QuoteError>) -> Self {
        let schema = "nitrotpm.quote/1";
        match outcome {
            Ok(signed) => Self { schema, verdict: "affirmed", reasons: Vec::new(), signed: Some(signed) },
            Err(error) => {
                let register = error.register();
                let reason = Reason {
                    code: error.code(),
                    message: error.to_string(),
                    pcr: register.map(|(_, pcr)| pcr.get()),
                    bank: register.map(|(bank, _)| bank.name()),
                };
                Self { schema, verdict: "invalid", reasons: vec![reason], signed: None }
            }
        }
    }
}

fn text(outcome: &Result<Signed, QuoteError>) -> String {
    let signed = match outcome {
        Ok(signed) => signed,
        Err(error) => {
            return format!(
                "{}\n\n  {}  {}\n",
                Styled(BAD, "invalid"),
                Styled(BAD, error.code()),
                Escaped(&error.to_string())
            );
        }
    };
    let mut text = format!("{}\n\n", Styled(GOOD, "affirmed"));
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "  {name:<18} {value}");
    };
    line("signature", signed.scheme.clone());
    line("key", format!("sha256 {}, TPM attributes {}", signed.ak_sha256, signed.ak_attributes));
    for bank in &signed.selection {
        let pcrs: Vec<String> = bank.pcrs.iter().map(u8::to_string).collect();
        line("signed registers", format!("{}: {}", bank.bank, pcrs.join(", ")));
    }
    line("TPM clock", format!("{} ms, reset {}, restart {}", signed.clock, signed.reset_count, signed.restart_count));
    line("TPM firmware", signed.firmware_version.clone());
    if !signed.nonce_checked {
        let _ = writeln!(text, "  {}", Styled(NOTE, "the nonce was not checked: this may be a replay"));
    }
    if !signed.clock_safe {
        let _ = writeln!(text, "  {}", Styled(NOTE, "the TPM was last shut down without notice: its clock may lag"));
    }
    for bank in &signed.excluded_banks {
        let message = format!("bank {bank} is signed and not relied on; --allow-sha1 changes that");
        let _ = writeln!(text, "  {}", Styled(NOTE, message));
    }
    match &signed.pcrs {
        None => {
            let _ = writeln!(text, "  {}", Styled(NOTE, "no PCR values were given: none is known (--pcrs)"));
        }
        Some(values) => {
            let _ = writeln!(text, "  {}", Styled(HEAD, "PCRs"));
            for (bank, pcr, value) in values.iter() {
                let _ = writeln!(text, "    {bank} {pcr:>2}  {value}");
            }
        }
    }
    text
}
