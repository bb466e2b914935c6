//! The replay: what the registers hold, and what was expected.

use core::fmt::{self, Write};

use nitrotpm_eventlog::{Format, ReplayedBank, ReplayedLog};
use nitrotpm_pcr::{Digest, PcrIndex};

use crate::escape::Html;
use crate::page::{Expected, Page};

/// The register as people call it.
pub(crate) fn register_name(pcr: PcrIndex, format: Format) -> String {
    match (format, pcr.get().checked_sub(1)) {
        (Format::Ccel, None) => "MRTD".to_owned(),
        (Format::Ccel, Some(number)) => format!("RTMR{number}"),
        _ => pcr.to_string(),
    }
}

impl Page<'_, '_> {
    pub(crate) fn registers(&self, out: &mut dyn Write) -> fmt::Result {
        let Some(replay) = self.replay else { return Ok(()) };
        out.write_str("<h2>Replay</h2>\n")?;
        let replayed = match replay {
            Ok(replayed) => replayed,
            Err(error) => {
                let error = Html(error);
                return writeln!(
                    out,
                    "<div class=\"verdict no\"><strong>The log cannot be replayed.</strong><p>{error}</p></div>"
                );
            }
        };
        match &self.expected {
            Some(expected) => verdict(out, expected)?,
            None => out.write_str(
                "<p class=\"quiet\">The values that the log's events give. Nothing was compared with them: they prove \
                 nothing until a quote or a document has the same.</p>\n",
            )?,
        }
        self.table(out, replayed)
    }

    fn table(&self, out: &mut dyn Write, replayed: &ReplayedLog<'_>) -> fmt::Result {
        let is_ccel = self.log.format() == Format::Ccel;
        write!(
            out,
            "<table id=\"pcrs\">\n<thead><tr><th scope=\"col\">{}</th><th scope=\"col\">{}</th><th scope=\"col\" class=\"number\">extends</th><th scope=\"col\">value</th>{}</tr>\
             </thead>\n",
            if is_ccel { "register" } else { "PCR" },
            if is_ccel { "" } else { "records" },
            if self.expected.is_some() { "<th scope=\"col\">expected</th>" } else { "" },
        )?;
        replayed.banks().iter().try_for_each(|bank| self.bank(out, bank))?;
        out.write_str("</table>\n")
    }

    fn bank(&self, out: &mut dyn Write, bank: &ReplayedBank) -> fmt::Result {
        let name = bank.bank().name();
        let columns = if self.expected.is_some() { 5 } else { 4 };
        writeln!(
            out,
            "<tbody data-bank=\"{name}\">\n<tr class=\"bank\"><th colspan=\"{columns}\" scope=\"rowgroup\">{name}</th></tr>"
        )?;
        let mut unused = Vec::new();
        for pcr in PcrIndex::all() {
            let register = bank.register(pcr);
            let expected = self.expected.and_then(|expected| expected.values.get(bank.bank(), pcr));
            if !register.has_events() && expected.is_none_or(|expected| register.value() == Some(*expected)) {
                unused.extend(expected.map(|_| pcr.get()));
                continue;
            }
            let format = self.log.format();
            let link = register_name(pcr, format);
            let prefix = if format == Format::Ccel { "" } else { "PCR" };
            write!(
                out,
                "<tr><td data-name=\"{prefix}\"><a href=\"#pcr={pcr}\">{link}</a></td><td>{}</td>\
                 <td class=\"number\" data-name=\"extends\">{}</td><td class=\"value\">",
                if format == Format::Ccel { "" } else { pcr.meaning() },
                register.extends(),
            )?;
            match register.value() {
                Some(value) => write!(out, "<span class=\"digest\">{value}</span>")?,
                None => {
                    let event = register.missing_digest().unwrap_or_default();
                    write!(
                        out,
                        "<span class=\"malformed\">none: <a href=\"#e{event}\">event {event}</a> has no digest of this \
                         bank</span>"
                    )?;
                }
            }
            out.write_str("</td>")?;
            if self.expected.is_some() {
                compared(out, expected, register.value())?;
            }
            out.write_str("</tr>\n")?;
        }
        if !unused.is_empty() {
            let unused = ranges(&unused);
            writeln!(
                out,
                "<tr class=\"unused\"><td></td><td>PCR {unused}</td><td class=\"number\" data-name=\"extends\">0</td>\
                 <td class=\"value\">no events, and expected to hold their reset values</td>\
                 <td class=\"mark yes\">✓ match</td></tr>"
            )?;
        }
        out.write_str("</tbody>\n")
    }
}

/// Numbers in order, those that follow each other put together: `8, 12-23`.
fn ranges(numbers: &[u8]) -> String {
    let mut text = String::new();
    let follows = |a: &u8, b: &u8| a.checked_add(1) == Some(*b);
    for run in numbers.chunk_by(follows) {
        let separator = if text.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = match run {
            [one] => write!(text, "{separator}{one}"),
            [first, .., last] => write!(text, "{separator}{first}-{last}"),
            [] => Ok(()),
        };
    }
    text
}

/// The last cell of a row: whether the value is the expected one.
fn compared(out: &mut dyn Write, expected: Option<&Digest>, value: Option<Digest>) -> fmt::Result {
    match expected {
        None => out.write_str("<td class=\"mark none\">not given</td>"),
        Some(expected) if value == Some(*expected) => out.write_str("<td class=\"mark yes\">✓ match</td>"),
        Some(_) => out.write_str("<td class=\"mark no\">✗ mismatch</td>"),
    }
}

fn verdict(out: &mut dyn Write, expected: &Expected<'_>) -> fmt::Result {
    let all = expected.values.len();
    if expected.mismatches.is_empty() {
        return writeln!(
            out,
            "<div class=\"verdict yes\"><strong>Match.</strong> The log gives all {all} values that were expected.</div>"
        );
    }
    let bad = expected.mismatches.len();
    write!(
        out,
        "<div class=\"verdict no\"><strong>Mismatch.</strong> The log does not give {bad} of the {all} values that were \
         expected.\n<ul>\n"
    )?;
    for (mismatch, explanation) in expected.mismatches.iter().zip(expected.explanations) {
        write!(out, "<li>PCR {} of {}: {}", mismatch.pcr, mismatch.bank, Html(explanation))?;
        if let Some(event) = explanation.event() {
            write!(out, " (<a href=\"#e{event}\">see event {event}</a>)")?;
        }
        write!(out, "<br><span class=\"quiet\">expected</span> <span class=\"digest\">{}</span>", mismatch.expected)?;
        writeln!(
            out,
            "<br><span class=\"quiet\">replayed</span> <span class=\"digest\">{}</span></li>",
            mismatch.replayed
        )?;
    }
    out.write_str("</ul></div>\n")
}
