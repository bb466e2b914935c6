//! Text out of a log, made safe to show.
//!
//! Strings in a log are bytes of whoever wrote it. Everything shown goes through [`escape`] or [`escape_utf16`], so that
//! no terminal, log file or page takes orders from a log.

use core::char::{REPLACEMENT_CHARACTER, decode_utf16};
use core::fmt::{self, Write};

/// Shows bytes as text: UTF-8 as it is, everything else as `\xNN`; control characters, NUL, backslashes, line and
/// paragraph separators, bidirectional marks, zero-width and other invisible format characters as `\u{N}`.
#[must_use]
pub const fn escape(bytes: &[u8]) -> Escaped<'_> {
    Escaped { bytes, utf16: false }
}

/// Shows UTF-16LE as text, escaped as [`escape`] does; lone surrogates and an odd last byte as `\xNN`.
#[must_use]
pub const fn escape_utf16(bytes: &[u8]) -> Escaped<'_> {
    Escaped { bytes, utf16: true }
}

/// Text with everything escaped that could be more than text; its `Display` is what to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escaped<'a> {
    bytes: &'a [u8],
    utf16: bool,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.utf16 {
            let (units, odd) = self.bytes.as_chunks::<2>();
            for decoded in decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit))) {
                match decoded {
                    Ok(character) => write_char(f, character)?,
                    Err(lone) => lone
                        .unpaired_surrogate()
                        .to_le_bytes()
                        .iter()
                        .try_for_each(|byte| write!(f, "\\x{byte:02x}"))?,
                }
            }
            return odd.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"));
        }
        for chunk in self.bytes.utf8_chunks() {
            chunk.valid().chars().try_for_each(|character| write_char(f, character))?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

fn write_char(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    if character == '\\' {
        return f.write_str("\\\\");
    }
    if is_hidden(character) { write!(f, "{}", character.escape_unicode()) } else { f.write_char(character) }
}

/// Characters that are not seen or change how others are seen: controls (C0, DEL, C1), and the format characters of
/// Unicode (general category Cf, with the separators U+2028 and U+2029, the fillers and the variation selectors that
/// read as nothing).
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{AD}' | '\u{34F}' | '\u{600}'..='\u{605}' | '\u{61C}' | '\u{6DD}' | '\u{70F}' | '\u{890}'..='\u{891}'
            | '\u{8E2}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{110BD}' | '\u{110CD}'
            | '\u{13430}'..='\u{1343F}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}')
}

/// How a string in a log is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// UTF-8, which ASCII is a part of.
    Utf8,
    /// UTF-16LE, or UCS-2.
    Utf16,
}

/// A string of a log; its `Display` is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    bytes: &'a [u8],
    encoding: Encoding,
}

impl<'a> Text<'a> {
    pub(crate) const fn new(bytes: &'a [u8], encoding: Encoding) -> Self {
        Self { bytes, encoding }
    }

    pub(crate) const fn utf8(bytes: &'a [u8]) -> Self {
        Self { bytes, encoding: Encoding::Utf8 }
    }

    pub(crate) const fn utf16(bytes: &'a [u8]) -> Self {
        Self { bytes, encoding: Encoding::Utf16 }
    }

    /// The bytes as the log has them, without a terminating NUL.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The encoding.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The characters; what is no character of the encoding becomes U+FFFD. For comparing, not for showing.
    pub fn chars(&self) -> impl Iterator<Item = char> + 'a {
        let (utf8, utf16) = match self.encoding {
            Encoding::Utf8 => (self.bytes, [].as_slice()),
            Encoding::Utf16 => ([].as_slice(), self.bytes),
        };
        let (units, odd) = utf16.as_chunks::<2>();
        let narrow = utf8.utf8_chunks().flat_map(|chunk| {
            chunk.valid().chars().chain((!chunk.invalid().is_empty()).then_some(REPLACEMENT_CHARACTER))
        });
        let wide = decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit)))
            .map(|decoded| decoded.unwrap_or(REPLACEMENT_CHARACTER));
        narrow.chain(wide).chain(odd.first().map(|_| REPLACEMENT_CHARACTER))
    }

    /// Whether the text is exactly `text`.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.chars().eq(text.chars())
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.encoding {
            Encoding::Utf8 => fmt::Display::fmt(&escape(self.bytes), f),
            Encoding::Utf16 => fmt::Display::fmt(&escape_utf16(self.bytes), f),
        }
    }
}

/// Takes one terminating NUL off, where there is one.
pub(crate) fn without_nul(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(&[0]).unwrap_or(bytes)
}

/// Reads data that may be UTF-16LE text: an even number of bytes, a NUL at the end and nowhere else, no lone surrogate,
/// and at least one character of ASCII (so that two bytes of any other kind are not taken for one character). Gives the
/// bytes without the NUL.
pub(crate) fn as_utf16(data: &[u8]) -> Option<&[u8]> {
    let text = data.strip_suffix(&[0, 0])?;
    let (units, odd) = text.as_chunks::<2>();
    let readable = odd.is_empty()
        && units.iter().any(|unit| matches!(unit, [1..0x80, 0]))
        && decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit)))
            .all(|decoded| matches!(decoded, Ok('\u{1}'..)));
    readable.then_some(text)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn l8_controls_bidi_marks_and_nul_are_escaped_and_plain_text_is_not() {
        for (bytes, shown) in [
            (b"quiet splash".as_slice(), "quiet splash"),
            ("gr\u{fc}n \u{4e2d}".as_bytes(), "gr\u{fc}n \u{4e2d}"),
            (b"a\0b", "a\\u{0}b"),
            (b"\x1b[2Jx", "\\u{1b}[2Jx"),
            ("a\u{202e}b".as_bytes(), "a\\u{202e}b"),
            ("a\u{2066}b".as_bytes(), "a\\u{2066}b"),
            ("a\u{9b}31m".as_bytes(), "a\\u{9b}31m"),
            ("\u{e0041}".as_bytes(), "\\u{e0041}"),
            (b"a\xffb\n", "a\\xffb\\u{a}"),
            (b"\\u{0}", "\\\\u{0}"),
        ] {
            assert_eq!(escape(bytes).to_string(), shown);
        }
    }

    #[test]
    fn l8_the_same_in_utf16() {
        assert_eq!(escape_utf16(b"P\0K\0").to_string(), "PK");
        assert_eq!(escape_utf16(b"P\0\x2e\x20").to_string(), "P\\u{202e}");
        assert_eq!(escape_utf16(b"P\0\0\xd8K\0Z").to_string(), "P\\x00\\xd8K\\x5a");
    }

    #[test]
    fn text_compares_by_characters() {
        assert!(Text::utf16(b"P\0K\0").is("PK"));
        assert!(Text::utf8(b"PK").is("PK"));
        assert!(!Text::utf16(b"P\0K\0X").is("PK"));
        assert!(!Text::utf8(b"PK\xff").is("PK"));
    }

    #[test]
    fn utf16_is_told_from_other_bytes() {
        assert_eq!(as_utf16(b".\0l\0\0\0"), Some(b".\0l\0".as_slice()));
        assert_eq!(as_utf16(b"ab\0"), None);
        assert_eq!(as_utf16(b"ab\0\0"), None);
        assert_eq!(as_utf16(b"a\0\0\0b\0\0\0"), None);
        assert_eq!(as_utf16(b"\0\0"), None);
        assert_eq!(as_utf16(b"a\0\0\xd8\0\0"), None);
    }
}
