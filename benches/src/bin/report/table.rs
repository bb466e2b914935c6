//! The table of targets, and how times are printed.

use benches::Time;
use nitrotpm_digest_lanes::Platform;

/// One row of the table of targets.
struct Target {
    what: String,
    at_least: f64,
    found: Option<f64>,
}

/// What was found so far.
#[derive(Default)]
pub(crate) struct Report {
    targets: Vec<Target>,
    /// Rows that hold only where there is AVX-512, on a processor without it.
    left_out: Vec<(String, f64, Option<f64>)>,
}

impl Report {
    /// A target for every processor.
    pub(crate) fn target(&mut self, what: impl Into<String>, at_least: f64, found: Option<f64>) {
        self.targets.push(Target { what: what.into(), at_least, found });
    }

    /// A target for processors with AVX-512, and what others have to reach.
    pub(crate) fn target_by_set(&mut self, what: impl Into<String>, avx512: f64, others: f64, found: Option<f64>) {
        let what = what.into();
        if Platform::Avx512.is_available() {
            self.target(what, avx512, found);
        } else {
            self.left_out.push((what.clone(), avx512, found));
            self.target(what, others, found);
        }
    }

    /// Whether none was missed; what was not measured is said, and is no miss.
    pub(crate) fn print(&self) -> bool {
        println!("\nTargets");
        for Target { what, at_least, found } in &self.targets {
            match found {
                Some(found) => {
                    let reached = if found >= at_least { "reached" } else { "NOT REACHED" };
                    println!("  {what:<58} at least {at_least:>6.2}x  found {found:>7.2}x  {reached}");
                }
                None => println!("  {what:<58} at least {at_least:>6.2}x  not measured"),
            }
        }
        if !self.left_out.is_empty() {
            println!(
                "\nThis processor has no AVX-512: these targets are for those that have it, and were not tried here"
            );
            for (what, at_least, found) in &self.left_out {
                let without = found.map_or_else(|| "not measured".into(), |found| format!("{found:.2}x without it"));
                println!("  {what:<58} at least {at_least:>6.2}x  {without}");
            }
        }
        self.targets.iter().all(|target| target.found.is_none_or(|found| found >= target.at_least))
    }
}

pub(crate) fn print_times(times: &[Time], unit: &str, ours: f64) {
    for Time { name, nanoseconds, noise } in times {
        let rate = 1e3 / nanoseconds;
        println!(
            "  {name:<34} {nanoseconds:>9.1} ns/{unit} {rate:>9.3} M/s  {:>6.2}x ours  (median/p20 {noise:.2})",
            nanoseconds / ours
        );
    }
}
