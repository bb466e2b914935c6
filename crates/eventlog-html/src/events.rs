//! The table of events.

use std::collections::BTreeSet;

use core::fmt::{self, Write};

use nitrotpm_eventlog::{Event, Format, PayloadCheck, Register, Rule};

use crate::escape::{Dump, Hex, Html};
use crate::page::Page;
use crate::registers::register_name;

/// How much of one event's data is dumped; the largest that is known has 36 KB.
const MOST_DUMPED: usize = 1 << 16;

const CHECKS: [PayloadCheck; 3] =
    [PayloadCheck::Verified(Rule::EventData), PayloadCheck::Mismatch, PayloadCheck::NotCheckable];

impl Page<'_, '_> {
    pub(crate) fn events(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str("<h2>Events</h2>\n")?;
        if self.is_filtered() {
            let (shown, all) = (self.shown().count(), self.log.event_count());
            writeln!(
                out,
                "<div class=\"verdict note\">This page was made with {shown} of the log's {all} events.</div>"
            )?;
        }
        self.controls(out)?;
        let register = if self.log.format() == Format::Ccel { "register" } else { "PCR" };
        write!(
            out,
            "<table id=\"events\">\n<thead><tr><th scope=\"col\" class=\"n\">#</th><th scope=\"col\" class=\"p\">{register}</th>\
             <th scope=\"col\" class=\"c\">payload</th><th scope=\"col\" class=\"t\">type</th><th scope=\"col\">what</th></tr></thead>\n<tbody>\n"
        )?;
        self.shown().try_for_each(|event| self.event(out, &event))?;
        out.write_str("</tbody>\n</table>\n<p id=\"nothing\" class=\"quiet\" hidden>No event fits.</p>\n")
    }

    /// What is searched and chosen; hidden until the script runs, which alone gives it a meaning.
    fn controls(&self, out: &mut dyn Write) -> fmt::Result {
        let mut registers = BTreeSet::new();
        let mut types = BTreeSet::new();
        for event in self.shown() {
            registers.insert(event.register());
            types.insert(event.event_type());
        }
        out.write_str(
            "<div id=\"controls\" role=\"search\" hidden>\n<label class=\"grow\">search\
             <input type=\"search\" id=\"q\" placeholder=\"words, names, digests\" autocomplete=\"off\" spellcheck=\"false\">\
             </label>\n<label>type<select id=\"type\"><option value=\"\">all types</option>",
        )?;
        types.iter().try_for_each(|event_type| write!(out, "<option>{event_type}</option>"))?;
        out.write_str("</select></label>\n<label>payload<select id=\"check\"><option value=\"\">all</option>")?;
        CHECKS
            .iter()
            .try_for_each(|check| write!(out, "<option value=\"{}\">{}</option>", check.name(), in_words(*check)))?;
        out.write_str("</select></label>\n")?;
        self.bank_choice(out)?;
        out.write_str(
            "<button type=\"button\" id=\"open\">expand</button>\n<button type=\"button\" id=\"close\">collapse</button>\n\
             <button type=\"button\" id=\"reset\">reset</button>\n<fieldset><span class=\"name\">only</span>",
        )?;
        let format = self.log.format();
        for register in &registers {
            let (value, name) = names(*register, format);
            let prefix = if format == Format::Ccel || *register == Register::OutOfBand { "" } else { "PCR " };
            write!(
                out,
                "<label><input type=\"checkbox\" name=\"pcr\" value=\"{value}\"><span class=\"chip\">{prefix}{name}</span>\
                 </label>"
            )?;
        }
        out.write_str("</fieldset>\n</div>\n<p class=\"quiet\" id=\"count\" aria-live=\"polite\"></p>\n")
    }

    fn bank_choice(&self, out: &mut dyn Write) -> fmt::Result {
        // A bank that cannot be replayed is shown like the others.
        let first = self.first_bank().map_or("", |bank| bank.name());
        write!(out, "<label>bank<select id=\"bank\" data-first=\"{first}\"><option value=\"\">all banks</option>")?;
        for bank in self.log.banks() {
            let name = bank.algorithm;
            write!(out, "<option value=\"{name}\">{name}</option>")?;
        }
        out.write_str("</select></label>\n")
    }

    fn event(&self, out: &mut dyn Write, event: &Event<'_>) -> fmt::Result {
        let (index, check, format) = (event.index(), event.payload_check(), self.log.format());
        let (register, name) = names(event.register(), format);
        let (event_type, summary) = (event.event_type(), event.summary());
        let class = if event.extends() { "" } else { " class=\"info\"" };
        writeln!(
            out,
            "<tr id=\"e{index}\"{class} data-pcr=\"{register}\" data-type=\"{event_type}\" data-check=\"{}\">\
             <td class=\"n\"><a href=\"#e{index}\">{index}</a></td><td class=\"p\" data-name=\"{}\">{name}</td>\
             <td class=\"c\"><span class=\"mark {}\">{} {}</span></td><td class=\"t\">{event_type}</td><td class=\"w\">\
             <details><summary{}>{}</summary>",
            check.name(),
            if format == Format::Ccel { "" } else { "PCR" },
            style(check),
            mark(check),
            in_words(check),
            if summary.is_malformed() { " class=\"malformed\"" } else { "" },
            Html(&summary),
        )?;
        fields(out, event)?;
        out.write_str("</details></td></tr>\n")
    }
}

/// Everything of an event: what is decoded, the digests, the bytes.
pub(crate) fn fields(out: &mut dyn Write, event: &Event<'_>) -> fmt::Result {
    out.write_str("<dl class=\"fields\">")?;
    if let Ok(decoded) = event.decode() {
        decoded.details(&mut |detail| {
            let depth = detail.depth.min(3);
            writeln!(out, "<div class=\"d{depth}\"><dt>{}</dt><dd>{}</dd></div>", Html(detail.name), Html(detail.value))
        })?;
    }
    if let Some(rule) = event.payload_check().rule() {
        writeln!(out, "<div><dt>proven by</dt><dd>{}</dd></div>", rule.name())?;
    }
    for (algorithm, digest) in event.digests() {
        writeln!(
            out,
            "<div data-bank=\"{algorithm}\"><dt>{algorithm}</dt><dd class=\"digest\">{}</dd></div>",
            Hex(digest)
        )?;
    }
    let (data, at) = (event.data(), event.data_offset());
    writeln!(out, "<div><dt>data</dt><dd>{} bytes, at {at:#x} of the log</dd></div></dl>", data.len())?;
    let dumped = data.get(..MOST_DUMPED).unwrap_or(data);
    if !dumped.is_empty() {
        write!(out, "<pre>")?;
        write_dump(out, dumped)?;
        out.write_str("</pre>")?;
    }
    if let Some(more @ 1..) = data.len().checked_sub(MOST_DUMPED) {
        write!(out, "<p class=\"malformed\">{more} more bytes are not shown here.</p>")?;
    }
    Ok(())
}

fn write_dump(out: &mut dyn Write, data: &[u8]) -> fmt::Result {
    data.chunks(16)
        .enumerate()
        .try_for_each(|(line, bytes)| writeln!(out, "{:06x}{}", line.saturating_mul(16), Html(Dump(bytes))))
}

/// The register in the page's address, and as people call it.
fn names(register: Register, format: Format) -> (String, String) {
    match register.pcr() {
        Some(pcr) => (pcr.to_string(), register_name(pcr, format)),
        None => ("none".to_owned(), "none".to_owned()),
    }
}

const fn in_words(check: PayloadCheck) -> &'static str {
    match check {
        PayloadCheck::Verified(_) => "verified",
        PayloadCheck::Mismatch => "mismatch",
        PayloadCheck::NotCheckable => "not checkable",
    }
}

const fn style(check: PayloadCheck) -> &'static str {
    match check {
        PayloadCheck::Verified(_) => "yes",
        PayloadCheck::Mismatch => "no",
        PayloadCheck::NotCheckable => "none",
    }
}

const fn mark(check: PayloadCheck) -> &'static str {
    match check {
        PayloadCheck::Verified(_) => "✓",
        PayloadCheck::Mismatch => "✗",
        PayloadCheck::NotCheckable => "·",
    }
}
