//! A TCG event log and its replay, or what differs between two, as one page for a browser.
//!
//! The page is complete in itself: it loads nothing, its policy (`Content-Security-Policy`) allows only its own style and
//! script, each by its hash, and every string of the log is escaped. Without a script everything is there; with it, events
//! are searched and filtered, a bank is chosen, and all of that is kept in the page's address (`#pcr=4&q=initrd`).
//!
//! The same log gives the same bytes: no clock and no randomness is asked.
//!
//! ```
//! use nitrotpm_eventlog::{EventLog, EventType, ParseOptions, writer::LogBuilder};
//! use nitrotpm_eventlog_html::Page;
//! use nitrotpm_pcr::Bank;
//!
//! let mut builder = LogBuilder::crypto_agile(&[Bank::Sha384]);
//! builder.measure(8, EventType::IPL, b"grub_cmd: echo <script>alert(1)</script>");
//! let bytes = builder.finish()?;
//! let log = EventLog::parse(&bytes, &ParseOptions::default())?;
//! let replayed = log.replay_all()?;
//!
//! let page = Page::new("eventlog.bin", &bytes, &log).with_replay(&replayed).to_html();
//! assert!(page.contains("echo &lt;script&gt;alert(1)&lt;/script&gt;"));
//! # Ok::<(), nitrotpm_eventlog::LogError>(())
//! ```

mod diff;
mod escape;
mod events;
mod page;
mod registers;
#[cfg(test)]
mod tests;

pub use diff::DiffPage;
pub use page::Page;
