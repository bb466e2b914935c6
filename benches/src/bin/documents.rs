//! Prints how fast documents are verified: with ring and with aws-lc-rs, and with ever more of the chain known.
//!
//! `cargo run --release -p benches --bin documents`. A document's bytes are parsed and verified in each call.

use std::process::ExitCode;

use benches::documents::{Fleet, Known};
use benches::{Race, Time, time_of};
use nitrotpm_nitro_document::Backend;

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

fn main() -> ExitCode {
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
    let rows = [
        ("instance known: cold with ring", 2.4, ratio(&times, (Known::Nothing, ring), (Known::Instance, ring))),
        (
            "cold, aws-lc-rs: cold with ring",
            3.5,
            ratio(&times, (Known::Nothing, ring), (Known::Nothing, Backend::AwsLc)),
        ),
    ];
    println!("\nTargets");
    for (what, at_least, found) in rows {
        let reached = if found >= at_least { "reached" } else { "NOT REACHED" };
        println!("  {what:<58} at least {at_least:>6.1}x  found {found:>7.2}x  {reached}");
    }
    let leaf = ratio(&times, (Known::Nothing, ring), (Known::Leaf, ring));
    println!("  {:<58} stretch  {:>6.1}x  found {leaf:>7.2}x", "leaf known: cold with ring", 5.0);
    if rows.iter().all(|(_, at_least, found)| found >= at_least) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
