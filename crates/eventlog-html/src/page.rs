//! The page as a whole.

use core::fmt::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nitrotpm_digest_lanes::hash;
use nitrotpm_eventlog::{Event, EventLog, Explanation, Format, LogError, PayloadCheck, ReplayMismatch, ReplayedLog};
use nitrotpm_pcr::{Bank, PcrValues};

use crate::escape::Html;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// What the caller expects the registers to hold, and where they differ.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'p> {
    pub(crate) values: &'p PcrValues,
    pub(crate) mismatches: &'p [ReplayMismatch],
    pub(crate) explanations: &'p [Explanation],
}

/// Which events are shown.
type Filter<'p> = &'p dyn Fn(&Event<'_>) -> bool;

/// A page about one log.
#[derive(Clone, Copy)]
pub struct Page<'p, 'a> {
    title: &'p str,
    bytes: &'p [u8],
    pub(crate) log: &'p EventLog<'a>,
    pub(crate) replay: Option<Result<&'p ReplayedLog<'a>, &'p LogError>>,
    pub(crate) expected: Option<Expected<'p>>,
    filter: Option<Filter<'p>>,
}

impl<'p, 'a> Page<'p, 'a> {
    /// A page about a log, headed by `title`: the file's name as a rule. `bytes` are the file's, whose size and SHA-256
    /// are told.
    #[must_use]
    pub const fn new(title: &'p str, bytes: &'p [u8], log: &'p EventLog<'a>) -> Self {
        Self { title, bytes, log, replay: None, expected: None, filter: None }
    }

    /// The same page with the values that the log replays to.
    #[must_use]
    pub const fn with_replay(mut self, replayed: &'p ReplayedLog<'a>) -> Self {
        self.replay = Some(Ok(replayed));
        self
    }

    /// The same page, saying why the log cannot be replayed.
    #[must_use]
    pub const fn without_replay(mut self, error: &'p LogError) -> Self {
        self.replay = Some(Err(error));
        self
    }

    /// The same page with the verdict of a comparison: the values that were expected, what [`ReplayedLog::confirm`] says
    /// of them, and an explanation of each mismatch from [`ReplayedLog::explain`].
    #[must_use]
    pub const fn with_expected(
        mut self,
        values: &'p PcrValues,
        mismatches: &'p [ReplayMismatch],
        explanations: &'p [Explanation],
    ) -> Self {
        self.expected = Some(Expected { values, mismatches, explanations });
        self
    }

    /// The same page with those events only for which `filter` holds. The page says so.
    #[must_use]
    pub const fn only(mut self, filter: Filter<'p>) -> Self {
        self.filter = Some(filter);
        self
    }

    /// The page as text. A page of a large log is better written to where it goes: see [`Page::write`].
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut page = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut page);
        page
    }

    /// Writes the page, event by event: a log of any size needs no memory beyond its own.
    ///
    /// # Errors
    /// What `out` gives.
    pub fn write(&self, out: &mut dyn Write) -> fmt::Result {
        let title = self.title;
        begin(out, format_args!("{title} - event log"), format_args!("Event log {title}"), Some(SCRIPT))?;
        self.facts(out)?;
        self.registers(out)?;
        self.events(out)?;
        write!(
            out,
            "<footer>Made by nitrotpm {}. <em>Verified</em>: the digest proves the event's data. <em>Mismatch</em>: it is \
             of other data. <em>Not checkable</em>: it is of something outside the log, such as a file, and the data is \
             only what the log's writer says. An event's type is never proven.</footer>\n\
             <script>{SCRIPT}</script>\n</body>\n</html>\n",
            env!("CARGO_PKG_VERSION"),
        )
    }

    /// The events that are shown.
    pub(crate) fn shown(&self) -> impl Iterator<Item = Event<'a>> + '_ {
        self.log.events().filter(|event| self.filter.is_none_or(|filter| filter(event)))
    }

    pub(crate) fn is_filtered(&self) -> bool {
        self.filter.is_some()
    }

    /// The bank that is shown first: that of a NitroTPM's document, or the strongest.
    pub(crate) fn first_bank(&self) -> Option<Bank> {
        if self.log.has_bank(Bank::Sha384) { Some(Bank::Sha384) } else { self.log.known_banks().max() }
    }

    fn facts(&self, out: &mut dyn Write) -> fmt::Result {
        let log = self.log;
        out.write_str("<dl class=\"facts\">\n")?;
        fact(out, "", "format", format_args!("{}", log.format().name()))?;
        let [mut verified, mut mismatch, mut unknown] = [0_usize; 3];
        for event in log.events() {
            let count = match event.payload_check() {
                PayloadCheck::Verified(_) => &mut verified,
                PayloadCheck::Mismatch => &mut mismatch,
                PayloadCheck::NotCheckable => &mut unknown,
            };
            *count = count.saturating_add(1);
        }
        fact(out, "", "events", format_args!("{}", log.event_count()))?;
        fact(out, "", "payloads", format_args!("{verified} verified, {mismatch} mismatch, {unknown} not checkable"))?;
        let mut banks = String::new();
        for bank in log.banks() {
            let separator = if banks.is_empty() { "" } else { ", " };
            write!(banks, "{separator}{}", bank.algorithm)?;
        }
        fact(out, "", "banks", format_args!("{banks}"))?;
        if let Some(Ok(replayed)) = self.replay
            && log.format() != Format::Ccel
        {
            fact(out, "", "startup locality", format_args!("{}", replayed.startup_locality()))?;
        }
        fact(out, "", "size", format_args!("{} bytes", self.bytes.len()))?;
        fact(out, "wide", "SHA-256 of the log", format_args!("{}", hash(Bank::Sha256, &[self.bytes])))?;
        self.quirks(out)?;
        out.write_str("</dl>\n")
    }

    fn quirks(&self, out: &mut dyn Write) -> fmt::Result {
        let quirks = self.log.quirks();
        if quirks.is_empty() {
            return Ok(());
        }
        out.write_str("<div class=\"wide\"><dt>quirks: where the log does not follow the specification</dt><dd>")?;
        for (position, found) in quirks.iter().enumerate() {
            out.write_str(if position == 0 { "" } else { ", " })?;
            out.write_str(found.quirk.name())?;
            match (found.event, found.count) {
                (Some(event), 1) => write!(out, " (<a href=\"#e{event}\">event {event}</a>)")?,
                (Some(event), count) => write!(out, " ({count} events, first <a href=\"#e{event}\">{event}</a>)")?,
                (None, _) => {}
            }
        }
        out.write_str("</dd></div>\n")
    }
}

/// Writes a page's head and its heading. Its policy allows the page's style, and `script` where there is one.
pub(crate) fn begin(
    out: &mut dyn Write,
    title: fmt::Arguments<'_>,
    heading: fmt::Arguments<'_>,
    script: Option<&str>,
) -> fmt::Result {
    let scripts = script.map(|script| format!("script-src '{}'; ", integrity(script))).unwrap_or_default();
    let (title, heading) = (Html(title), Html(heading));
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; {scripts}style-src '{}'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{heading}</h1>\n",
        integrity(STYLE),
    )
}

pub(crate) fn fact(out: &mut dyn Write, class: &str, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
    writeln!(out, "<div class=\"{class}\"><dt>{name}</dt><dd>{}</dd></div>", Html(value))
}

/// The hash by which the page's policy allows a style or a script (Content Security Policy Level 3, section 2.3.1).
fn integrity(source: &str) -> String {
    format!("sha256-{}", STANDARD.encode(hash(Bank::Sha256, &[source.as_bytes()]).as_bytes()))
}
