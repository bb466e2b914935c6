//! Why a register does not have the value that was expected, in words.
//!
//! A boot is held against references: predictions, event logs of boots that are known to be good, or values alone. Where
//! the events of both are known they are aligned, and each difference is named with its cause. Where only values are
//! known, a bounded number of combinations is tried, and what was tried is said.
//!
//! ```
//! use nitrotpm_eventlog::{EventLog, EventType, ParseOptions, writer::LogBuilder};
//! use nitrotpm_explain::{Cause, Reference, compare};
//! use nitrotpm_pcr::Bank;
//!
//! let log = |line: &str| {
//!     let mut builder = LogBuilder::crypto_agile(&[Bank::Sha384]);
//!     builder.measure(8, EventType::IPL, format!("kernel_cmdline: {line}").as_bytes());
//!     builder.finish()
//! };
//! let good = Reference::read("web-42", &log("ro quiet")?)?;
//! let found = log("ro quiet init=/bin/sh")?;
//! let found = EventLog::parse(&found, &ParseOptions::default())?;
//! let differences = compare(&good, &found, None, &[])?;
//! assert_eq!(differences[0].cause, Cause::KernelCommandLine);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing here decides a verdict. An explanation is a hint for a person: where an event is not proven by a signed value,
//! it says so.

mod advice;
mod command_line;
mod compare;
mod explain;
mod reference;
mod search;
#[cfg(test)]
mod tests;

pub use compare::{Difference, compare};
pub use explain::{Boot, Explanation, Mismatch, explain};
pub use nitrotpm_eventlog::Cause;
pub use reference::{Reference, ReferenceError, References};
