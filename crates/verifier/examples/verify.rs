//! From bytes to verdict: `cargo run -p nitrotpm-verifier --example verify -- EVIDENCE POLICY AK NONCE`.

#![allow(clippy::print_stdout, reason = "an example shows what it got")]

use std::error::Error;

use nitrotpm_verifier::{AttestationKey, Clock, Nonce, NonceExpectation, Policy, Request, Trust, UnixTime, verify};

fn verdict(evidence: &[u8], policy: &[u8], ak: &[u8], nonce: &str) -> Result<String, Box<dyn Error>> {
    let policy = Policy::from_toml(policy)?;
    let nonce = Nonce::from_hex(nonce)?;
    let trust = Trust::aws().pin(AttestationKey::parse(ak)?);
    let request = Request::new(NonceExpectation::Expected(&nonce), Clock::Live(UnixTime::now()));
    Ok(verify(evidence, &policy, &trust, &request).to_json())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [evidence, policy, ak, nonce] = arguments.as_slice() else {
        return Err("usage: verify EVIDENCE POLICY AK NONCE".into());
    };
    let json = verdict(&std::fs::read(evidence)?, &std::fs::read(policy)?, &std::fs::read(ak)?, nonce.trim())?;
    println!("{json}");
    Ok(())
}
