//! Text and bytes as HTML.

use core::fmt::{self, Display, Formatter, Write};

use nitrotpm_eventlog::is_hidden;

/// A value as text of a page, or inside the quotes of an attribute: what HTML gives a meaning is escaped, and characters
/// that are not seen, or change how others are seen, are shown as `\u{…}`.
///
/// Everything that comes from outside goes through here, though what the event log's crate shows was escaped once: its
/// escapes are for terminals and leave `<` alone.
pub(crate) struct Html<T>(pub(crate) T);

impl<T: Display> Display for Html<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'f, 'b>(&'f mut Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| match character {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            hidden if is_hidden(hidden) => write!(self.0, "{}", hidden.escape_unicode()),
            plain => self.0.write_char(plain),
        })
    }
}

/// Bytes as hexadecimal digits.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// At most sixteen bytes as people look at them: hexadecimal, and what of them is ASCII. Not escaped for HTML.
pub(crate) struct Dump<'a>(pub(crate) &'a [u8]);

impl Display for Dump<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for place in 0..16 {
            f.write_str(if matches!(place, 0 | 8) { "  " } else { " " })?;
            match self.0.get(place) {
                Some(byte) => write!(f, "{byte:02x}")?,
                None => f.write_str("  ")?,
            }
        }
        f.write_str("  ")?;
        self.0.iter().try_for_each(|byte| {
            f.write_char(if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' })
        })
    }
}
