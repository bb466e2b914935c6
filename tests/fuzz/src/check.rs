//! What holds for every target.

use std::fmt::{Display, Write as _};

use nitrotpm_eventlog::is_hidden;

use crate::ALLOCATOR;

/// Nothing shown has a character that is more than text: no control, no bidirectional mark, nothing invisible.
#[track_caller]
pub(crate) fn shown(value: impl Display) {
    let mut text = String::new();
    let _ = write!(text, "{value}");
    assert!(!text.chars().any(is_hidden), "shown unescaped: {text:?}");
}

/// As [`shown`], for messages of several lines (what TOML's parser says).
#[track_caller]
pub(crate) fn shown_in_lines(value: impl Display) {
    let mut text = String::new();
    let _ = write!(text, "{value}");
    assert!(!text.chars().any(|character| character != '\n' && is_hidden(character)), "shown unescaped: {text:?}");
}

/// Runs `parse` and asserts that it never had more than `factor` bytes for each byte of input, and 256 KiB, at a time.
#[track_caller]
pub(crate) fn bounded<T>(data: &[u8], factor: usize, parse: impl FnOnce() -> T) -> T {
    bounded_beside(256 << 10, data, factor, parse)
}

/// The same with another number of bytes beside the multiple of the input.
#[track_caller]
pub(crate) fn bounded_beside<T>(beside: usize, data: &[u8], factor: usize, parse: impl FnOnce() -> T) -> T {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let value = parse();
    let used = ALLOCATOR.peak_usage().saturating_sub(before);
    let bound = data.len() * factor + beside;
    assert!(used <= bound, "{used} bytes of memory for {} bytes of input", data.len());
    value
}

/// Takes `count` numbers from the front; zeros where the data ends.
pub(crate) struct Choices<'a>(pub(crate) &'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    pub(crate) fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// At most `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Bytes with their length in front.
    pub(crate) fn part(&mut self) -> &'a [u8] {
        let length = usize::from(self.word());
        self.take(length)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The counterpart of [`Choices::part`], for seeds.
pub(crate) fn part(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a seed's part has less than 64 KiB");
    [length.to_le_bytes().as_slice(), bytes].concat()
}
