//! Text for a person: colour, escaping, and output that survives a closed pipe.

use std::fmt::{self, Display, Write as _};
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use nitrotpm_eventlog::is_hidden;
use serde::Serialize;

use crate::exit::{Exit, Failure};

/// What holds.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What does not hold.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What should be known.
pub(crate) const NOTE: Style = AnsiColor::Yellow.on_default();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Headings.
pub(crate) const HEAD: Style = Style::new().bold();

/// A value in a style; the stream drops the style where no terminal shows it.
pub(crate) struct Styled<T>(pub(crate) Style, pub(crate) T);

impl<T: Display> Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        self.1.fmt(f)?;
        write!(f, "{:#}", self.0)
    }
}

/// Text from outside, made harmless: control characters and bidirectional marks are shown as `\u{…}`.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            if is_hidden(character) { write!(f, "{}", character.escape_unicode()) } else { f.write_char(character) }
        })
    }
}

/// A message of several lines from outside, each made harmless and cut to what a person reads.
pub(crate) fn escaped_lines(text: &str) -> String {
    const WIDEST: usize = 160;
    let line = |line: &str| {
        let kept: String = line.chars().take(WIDEST).collect();
        format!("{}{}", Escaped(&kept), if kept.len() < line.len() { "…" } else { "" })
    };
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Writes to standard output. A reader that went away (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::environment("output.write", format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Standard output as something that text is written to bit by bit: a log of a million events is not kept as text.
pub(crate) struct Out {
    stream: anstream::AutoStream<io::StdoutLock<'static>>,
    waiting: String,
    failed: Option<io::Error>,
}

/// How much text waits until it is written.
const MOST_WAITING: usize = 1 << 16;

impl Out {
    fn flush(&mut self) -> fmt::Result {
        let written = self.stream.write_all(self.waiting.as_bytes()).and_then(|()| self.stream.flush());
        self.waiting.clear();
        written.map_err(|error| {
            self.failed = Some(error);
            fmt::Error
        })
    }
}

impl fmt::Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.waiting.push_str(text);
        if self.waiting.len() > MOST_WAITING { self.flush() } else { Ok(()) }
    }
}

/// Writes to standard output what `write` writes. A reader that went away is no failure.
pub(crate) fn print_by(write: impl FnOnce(&mut Out) -> fmt::Result) -> Result<(), Failure> {
    let mut out = Out { stream: anstream::stdout().lock(), waiting: String::new(), failed: None };
    if write(&mut out).and_then(|()| out.flush()).is_ok() {
        return Ok(());
    }
    match out.failed {
        Some(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Some(error) => Err(Failure::environment("output.write", format!("cannot write to standard output: {error}"))),
        None => Err(Failure::environment("output.write", "cannot write to standard output")),
    }
}

/// Writes one JSON document and a newline, as it is made.
pub(crate) fn print_json_by<T: Serialize>(document: &T) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = serde_json::to_writer(&mut out, document).map_err(io::Error::from);
    match written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::environment("output.write", format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Whether text is coloured, from now on.
pub(crate) fn choose_colour(choice: clap::ColorChoice) {
    match choice {
        clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
        clap::ColorChoice::Always => anstream::ColorChoice::Always,
        clap::ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

/// How many columns the terminal has that standard output is, or `None` where it is no terminal.
pub(crate) fn terminal_width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(terminal_size::Width(columns), _)| columns.into())
}

/// Writes a message to standard error. There is nobody to tell where that fails.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{message}");
}

/// Writes one JSON document and a newline.
pub(crate) fn print_json<T: Serialize>(document: &T) -> Result<(), Failure> {
    let text = serde_json::to_string(document)
        .map_err(|error| Failure::environment("output.write", format!("cannot write JSON: {error}")))?;
    print(&format!("{text}\n"))
}

/// Says that a run failed: JSON where that was asked for, and a sentence on standard error in any case.
pub(crate) fn report_failure(failure: &Failure, json: bool) -> Exit {
    if json {
        // What cannot be written cannot be reported either; the exit code still tells.
        let _ = print_json(&failure.report());
    }
    complain(&format!("{} {}", Styled(BAD, "nitrotpm:"), failure.sentence()));
    failure.exit
}
