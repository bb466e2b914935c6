//! A log as a table for a person.

use std::fmt::{self, Write};

use anstyle::Style;
use nitrotpm_eventlog::{Decoded, Event, EventType, Format, PayloadCheck, Register, Rule};
use nitrotpm_pcr::{Bank, PcrIndex};

use super::View;
use crate::text::{BAD, DIM, GOOD, HEAD, NOTE, Styled, terminal_width};

/// Below this many columns a terminal has no place for words in every column.
const NARROW: usize = 110;
/// What a terminal shows at least of an event's description, and of a field's value.
const LEAST: usize = 20;

/// Writes the log, in its order or register by register.
pub(super) fn write(out: &mut impl Write, view: &View<'_>, by_pcr: bool, details: bool) -> fmt::Result {
    let table = Table::new(view, by_pcr, details, terminal_width());
    table.head(out)?;
    writeln!(out)?;
    table.columns(out)?;
    if by_pcr {
        table.by_register(out)?;
    } else {
        view.events().try_for_each(|event| table.event(out, &event))?;
    }
    table.legend(out)
}

struct Table<'v, 'a> {
    view: &'v View<'a>,
    /// Whether the events stand below their register, and so need no column for it.
    by_pcr: bool,
    details: bool,
    /// Columns of the terminal; `None` where nothing is cut.
    width: Option<usize>,
    /// Whether marks stand for words.
    narrow: bool,
    index_width: usize,
    type_width: usize,
}

impl<'v, 'a> Table<'v, 'a> {
    fn new(view: &'v View<'a>, by_pcr: bool, details: bool, width: Option<usize>) -> Self {
        let narrow = width.is_some_and(|width| width < NARROW);
        let type_width =
            view.events().map(|event| type_name(&event, narrow).len()).max().unwrap_or(0).max("type".len());
        let index_width = view.log.event_count().to_string().len().max(3);
        Self { view, by_pcr, details, width, narrow, index_width, type_width }
    }

    fn head(&self, out: &mut impl Write) -> fmt::Result {
        let log = &self.view.log;
        let banks = self.view.bank_names().join(", ");
        let events = if log.event_count() == 1 { "event" } else { "events" };
        writeln!(out, "{} log, {} {events}, banks {banks}", Styled(HEAD, log.format().name()), log.event_count())?;
        if self.view.is_filtered() {
            let shown = self.view.events().count();
            writeln!(out, "{}", Styled(NOTE, format_args!("{shown} of them shown")))?;
        }
        let quirks = log.quirks();
        for (position, found) in quirks.iter().enumerate() {
            out.write_str(if position == 0 { "quirks: " } else { ", " })?;
            out.write_str(found.quirk.name())?;
            match (found.event, found.count) {
                (Some(event), 1) => write!(out, " (event {event})")?,
                (Some(event), count) => write!(out, " ({count} events, first {event})")?,
                (None, _) => {}
            }
        }
        if !quirks.is_empty() {
            writeln!(out)?;
        }
        if let Err(error) = &self.view.replayed {
            writeln!(out, "{}", Styled(BAD, format_args!("it cannot be replayed: {error}")))?;
        }
        self.compared(out)
    }

    /// What `--pcrs` found.
    fn compared(&self, out: &mut impl Write) -> fmt::Result {
        let (Some(expected), Some(comparison)) = (&self.view.expected, &self.view.comparison) else { return Ok(()) };
        if comparison.mismatches.is_empty() {
            return writeln!(out, "{}, all {} PCRs are as expected", Styled(GOOD, "affirmed"), expected.len());
        }
        let (bad, all) = (comparison.mismatches.len(), expected.len());
        writeln!(out, "{}, {bad} of {all} PCRs are not as expected", Styled(BAD, "refused"))?;
        for (mismatch, explanation) in comparison.mismatches.iter().zip(&comparison.explanations) {
            writeln!(out, "  {}  {mismatch}", Styled(BAD, "event_log.replay-mismatch"))?;
            writeln!(out, "    {}", Styled(NOTE, explanation))?;
        }
        Ok(())
    }

    fn columns(&self, out: &mut impl Write) -> fmt::Result {
        let register = if self.view.log.format() == Format::Ccel { "reg" } else { "PCR" };
        let (index, kind) = (self.index_width, self.type_width);
        let check = if self.narrow { "" } else { "payload" };
        let width = self.check_width();
        let register = self.register_column(register);
        let line = format!("{:>index$}{register}  {check:<width$}  {:<kind$}  what", "#", "type");
        writeln!(out, "{}", Styled(DIM, line))
    }

    /// The column of the register, where there is one.
    fn register_column(&self, register: &str) -> String {
        let width = self.register_width();
        if width == 0 { String::new() } else { format!("  {register:>width$}") }
    }

    fn register_width(&self) -> usize {
        match (self.by_pcr, self.view.log.format()) {
            (true, _) => 0,
            (false, Format::Ccel) => 5,
            (false, _) => 3,
        }
    }

    const fn check_width(&self) -> usize {
        if self.narrow { 1 } else { "not-checkable".len() }
    }

    /// How many columns stand before the description.
    fn before_description(&self) -> usize {
        let columns = [self.index_width, self.register_width(), self.check_width(), self.type_width];
        columns.into_iter().filter(|width| *width > 0).fold(0, |sum, width| sum.saturating_add(width).saturating_add(2))
    }

    fn event(&self, out: &mut impl Write, event: &Event<'_>) -> fmt::Result {
        let check = event.payload_check();
        let (index, kind, width) = (self.index_width, self.type_width, self.check_width());
        let register = self.register_column(&register_name(event.register(), self.view.log.format()));
        let shown_check = if self.narrow { mark(check) } else { check.name() };
        write!(out, "{}{register}  ", Styled(DIM, format_args!("{:>index$}", event.index())))?;
        write!(out, "{}  ", Styled(style(check), format_args!("{shown_check:<width$}")))?;
        write!(out, "{:<kind$}  ", type_name(event, self.narrow))?;
        let summary = event.summary();
        let style = match (summary.is_malformed(), event.extends()) {
            (true, _) => NOTE,
            (false, false) => DIM,
            (false, true) => Style::new(),
        };
        match self.width {
            None => writeln!(out, "{}", Styled(style, &summary))?,
            Some(width) => {
                let room = width.saturating_sub(self.before_description()).max(LEAST);
                writeln!(out, "{}", Styled(style, cut(&summary, room)))?;
            }
        }
        if self.details { self.details(out, event) } else { Ok(()) }
    }

    fn details(&self, out: &mut impl Write, event: &Event<'_>) -> fmt::Result {
        match event.decode() {
            Ok(Decoded::Raw([])) => {}
            Ok(Decoded::Raw(data)) => self.field(out, 0, "data", format_args!("{}", Hex(data)))?,
            Ok(decoded) => decoded.details(&mut |part| self.field(out, part.depth, part.name, part.value))?,
            Err(_) => self.field(out, 0, "data", format_args!("{}", Hex(event.data())))?,
        }
        if let Some(rule) = event.payload_check().rule().filter(|rule| *rule != Rule::EventData) {
            self.field(out, 0, "proven by", format_args!("{}", rule.name()))?;
        }
        let (length, offset) = (event.data().len(), event.data_offset());
        self.field(out, 0, "place", format_args!("{length} bytes at {offset:#x} of the log"))?;
        for (algorithm, digest) in event.digests() {
            self.field(out, 0, &algorithm.to_string(), format_args!("{}", Hex(digest)))?;
        }
        writeln!(out)
    }

    /// A field below an event, wrapped where a terminal has an edge.
    fn field(&self, out: &mut impl Write, depth: usize, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
        const NAME: usize = 16;
        let indent = self.index_width.saturating_add(4).saturating_add(depth.saturating_mul(2));
        let before = indent.saturating_add(NAME).saturating_add(2);
        write!(out, "{:indent$}{}  ", "", Styled(DIM, format_args!("{name:<NAME$}")))?;
        let Some(room) = self.width.map(|width| width.saturating_sub(before).max(LEAST)) else {
            return writeln!(out, "{value}");
        };
        let value = value.to_string();
        let mut rest = value.as_str();
        while let Some((at, _)) = rest.char_indices().nth(room) {
            let (line, following) = rest.split_at(at);
            writeln!(out, "{line}")?;
            write!(out, "{:before$}", "")?;
            rest = following;
        }
        writeln!(out, "{rest}")
    }

    fn by_register(&self, out: &mut impl Write) -> fmt::Result {
        let registers = PcrIndex::all().map(Register::Pcr).chain([Register::OutOfBand]);
        for register in registers {
            let of_register = || self.view.events().filter(|event| event.register() == register);
            let count = of_register().count();
            if count == 0 {
                continue;
            }
            writeln!(out)?;
            self.register_head(out, register, count)?;
            of_register().try_for_each(|event| self.event(out, &event))?;
        }
        Ok(())
    }

    fn register_head(&self, out: &mut impl Write, register: Register, count: usize) -> fmt::Result {
        let format = self.view.log.format();
        let events = if count == 1 { "event" } else { "events" };
        let Register::Pcr(pcr) = register else {
            return writeln!(out, "{}  {count} {events}", Styled(HEAD, "no register"));
        };
        if format == Format::Ccel {
            writeln!(out, "{}  {count} {events}", Styled(HEAD, register_name(register, format)))?;
        } else {
            writeln!(out, "{}  {}, {count} {events}", Styled(HEAD, format_args!("PCR {pcr}")), pcr.meaning())?;
        }
        let Ok(replayed) = &self.view.replayed else { return Ok(()) };
        for bank in replayed.banks().iter().filter(|bank| self.shows_bank(bank.bank())) {
            let value = bank.register(pcr);
            let name = Styled(DIM, format_args!("{:<6}", bank.bank().name()));
            let Some(digest) = value.value() else {
                let event = value.missing_digest().unwrap_or_default();
                writeln!(
                    out,
                    "  {name}  {}",
                    Styled(NOTE, format_args!("no value: event {event} has no digest of it"))
                )?;
                continue;
            };
            let expected = self.view.expected.as_ref().and_then(|expected| expected.get(bank.bank(), pcr));
            match expected {
                None => writeln!(out, "  {name}  {digest}")?,
                Some(expected) if *expected == digest => {
                    writeln!(out, "  {name}  {digest}  {}", Styled(GOOD, "as expected"))?;
                }
                Some(expected) => {
                    writeln!(out, "  {name}  {digest}  {}", Styled(BAD, "not as expected:"))?;
                    writeln!(out, "  {:<6}  {expected}", "")?;
                }
            }
        }
        Ok(())
    }

    /// The bank of a NitroTPM's document, or the strongest there is; all of them where details are asked for or compared.
    fn shows_bank(&self, bank: Bank) -> bool {
        let log = &self.view.log;
        let chosen = if log.has_bank(Bank::Sha384) { Some(Bank::Sha384) } else { log.known_banks().max() };
        self.details
            || chosen == Some(bank)
            || self.view.expected.as_ref().is_some_and(|expected| expected.banks().any(|expected| expected == bank))
    }

    fn legend(&self, out: &mut impl Write) -> fmt::Result {
        let names = [PayloadCheck::Verified(Rule::EventData), PayloadCheck::Mismatch, PayloadCheck::NotCheckable]
            .map(|check| if self.narrow { mark(check) } else { check.name() });
        let [verified, mismatch, unknown] = names;
        let line = format!(
            "{verified}: the digest proves the data; {mismatch}: it is of other data; \
             {unknown}: it is of something outside the log"
        );
        writeln!(out, "\n{}", Styled(DIM, line))
    }
}

const fn style(check: PayloadCheck) -> Style {
    match check {
        PayloadCheck::Verified(_) => GOOD,
        PayloadCheck::Mismatch => BAD,
        PayloadCheck::NotCheckable => DIM,
    }
}

/// One character for a payload check.
const fn mark(check: PayloadCheck) -> &'static str {
    match check {
        PayloadCheck::Verified(_) => "✓",
        PayloadCheck::Mismatch => "✗",
        PayloadCheck::NotCheckable => "·",
    }
}

fn type_name(event: &Event<'_>, narrow: bool) -> String {
    let name = event.event_type().to_string();
    let short = name.trim_start_matches("EV_").trim_start_matches("EFI_");
    if narrow && event.event_type() != EventType(0) { short.to_owned() } else { name }
}

/// The register as people call it.
fn register_name(register: Register, format: Format) -> String {
    match (register, format) {
        (Register::Pcr(index), Format::Ccel) => match index.get().checked_sub(1) {
            None => "MRTD".to_owned(),
            Some(number) => format!("RTMR{number}"),
        },
        _ => register.to_string(),
    }
}

/// The first characters of a value, as many as there is room for. What does not fit is not even made.
fn cut(value: &impl fmt::Display, room: usize) -> String {
    let mut short = Short { text: String::new(), room };
    if write!(short, "{value}").is_err() {
        short.text.pop();
        short.text.push('…');
    }
    short.text
}

struct Short {
    text: String,
    room: usize,
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            self.room = self.room.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(character);
        }
        Ok(())
    }
}

/// Bytes as hexadecimal digits, made as they are written.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
