//! Signatures, quotes and documents.

use std::path::{Path, PathBuf};

use benches::documents::{Fleet, Known};
use benches::{Race, Time, time_of};
use nitrotpm_freshness::NonceExpectation;
use nitrotpm_nitro_document::Backend;
use nitrotpm_pcr::PcrValues;
use nitrotpm_quote::{AttestationKey, QuoteExpectations, UnverifiedQuote};

use crate::table::Report;

/// Rounds of the race, and how long each candidate has in one, in microseconds.
const ROUNDS: usize = 60;
const SHARE: f64 = 4000.0;

fn name(known: Known, backend: Backend) -> String {
    format!("{backend:?}, {}", known.name())
}

/// How many times as fast the second is.
fn ratio(times: &[Time], slow: (Known, Backend), fast: (Known, Backend)) -> f64 {
    time_of(times, &name(slow.0, slow.1)) / time_of(times, &name(fast.0, fast.1))
}

/// Documents from bytes to verified, each backend, with ever more of the chain known.
pub(crate) fn documents(report: &mut Report) {
    println!("\nNitroTPM documents, from bytes to verified");
    let mut race = Race::new();
    for backend in [Backend::Ring, Backend::AwsLc] {
        for known in Known::ALL {
            let mut fleet = Fleet::new(known, backend);
            race.add(name(known, backend), 1, move || fleet.verify());
        }
    }
    let times = race.run(ROUNDS, SHARE);
    for backend in [Backend::Ring, Backend::AwsLc] {
        println!("{backend:?}");
        let microseconds = |known| time_of(&times, &name(known, backend)) / 1e3;
        // What one verification takes, and what comes on top whatever is known: from the two ends of the row.
        let one = (microseconds(Known::Nothing) - microseconds(Known::Leaf)) / 4.0;
        for (known, time) in
            Known::ALL.iter().zip(times.iter().filter(|time| time.name.starts_with(&format!("{backend:?}"))))
        {
            println!(
                "  {:<16} {} P-384  {:>8.1} us  {:>7.0}/s  {:>5.2}x cold  (median/p20 {:.2})",
                known.name(),
                known.verifications(),
                time.nanoseconds / 1e3,
                1e9 / time.nanoseconds,
                ratio(&times, (Known::Nothing, backend), (*known, backend)),
                time.noise,
            );
        }
        println!("  one P-384 {one:.1} us, everything else {:.1} us", microseconds(Known::Leaf) - one);
    }
    let ring = Backend::Ring;
    let cold = (Known::Nothing, ring);
    report.target("documents, instance known: cold with ring", 2.4, Some(ratio(&times, cold, (Known::Instance, ring))));
    let aws_lc = ratio(&times, cold, (Known::Nothing, Backend::AwsLc));
    report.target("documents, cold with aws-lc-rs: cold with ring", 3.5, Some(aws_lc));
    let leaf = ratio(&times, cold, (Known::Leaf, ring));
    println!("  leaf known: {leaf:.2}x cold with ring (stretch 5x)");
}

/// A quote of our own boots: keys, values and bytes as an attester sends them.
struct Quote {
    name: &'static str,
    attest: Vec<u8>,
    signature: Vec<u8>,
    key: Vec<u8>,
    values: PcrValues,
}

impl Quote {
    fn read(name: &'static str, quote: &str, key: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/boot/secure-boot-on");
        let read = |name: &str| std::fs::read(folder.join(Path::new(name))).expect("a fixture");
        Self {
            name,
            attest: read(&format!("{quote}.msg")),
            signature: read(&format!("{quote}.sig")),
            key: read(key),
            values: serde_json::from_slice(&read("pcrs.json")).expect("PCR values"),
        }
    }
}

/// Quotes from bytes to signed values: the key is parsed once, as a verifier that knows its machines does.
pub(crate) fn quotes() {
    let quotes = [
        Quote::read("RSA-2048 PKCS#1, 24 PCRs", "quote-rsa-sha384", "ak.pub"),
        Quote::read("RSA-2048 PKCS#1, 96 PCRs", "quote-rsa-all", "ak.pub"),
        Quote::read("ECDSA P-256, 24 PCRs", "quote-ecc-sha384", "ecc-ak.pub"),
    ];
    let mut race = Race::new();
    for quote in &quotes {
        let key = AttestationKey::parse(&quote.key).expect("a key");
        for backend in [Backend::Ring, Backend::AwsLc] {
            let key = key.clone();
            race.add(format!("{}, {backend:?}", quote.name), 1, move || {
                let expectations = QuoteExpectations::new(NonceExpectation::NotChecked).with_backend(backend);
                let parsed = UnverifiedQuote::parse(&quote.attest, &quote.signature).expect("a quote");
                parsed.verify(&key, &expectations, &quote.values).expect("it verifies")
            });
        }
    }
    println!("\nTPM quotes, from bytes to signed values");
    for time in race.run(ROUNDS, 1000.0) {
        println!(
            "  {:<40} {:>8.1} us  {:>7.0}/s  (median/p20 {:.2})",
            time.name,
            time.nanoseconds / 1e3,
            1e9 / time.nanoseconds,
            time.noise
        );
    }
}
