//! Text for a person: colour, escaping, and output that survives a closed pipe.

use std::fmt::{self, Display, Write as _};
use std::io::{ErrorKind, Write as _};

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
    complain(&format!("{} {}", Styled(BAD, "nitrotpm:"), failure.message));
    failure.exit
}
