//! Strict CBOR (RFC 8949): shortest forms only, no chunked strings, no indefinite length but where it is asked for,
//! every count and depth bounded, nothing allocated by a length that was not compared with the bytes there.
//!
//! minicbor decodes; what it is lenient about is refused here by looking at each initial byte first.

use core::ops::Range;
use std::collections::BTreeSet;

use minicbor::Decoder;

use crate::DocumentError;
use crate::error::CborFault;

/// How deep a value may be nested that no field of ours is.
const MAX_DEPTH: u8 = 8;
/// How many items such values may have in all.
const MAX_ITEMS: u32 = 4096;

/// The initial byte of an item with its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    Unsigned(u64),
    Negative(u64),
    Bytes(u64),
    Text(u64),
    Array(u64),
    Map(u64),
    IndefiniteMap,
    Tag(u64),
    Null,
    /// Booleans, floats and other simple values.
    Simple,
    Break,
}

impl Head {
    const fn kind(self) -> &'static str {
        match self {
            Self::Unsigned(_) => "an unsigned integer",
            Self::Negative(_) => "a negative integer",
            Self::Bytes(_) => "a byte string",
            Self::Text(_) => "a text string",
            Self::Array(_) => "an array",
            Self::Map(_) | Self::IndefiniteMap => "a map",
            Self::Tag(_) => "a tag",
            Self::Null => "null",
            Self::Simple => "a boolean, a float or another simple value",
            Self::Break => "a break",
        }
    }
}

/// Reads items one after the other and knows where it is in the whole document.
pub(crate) struct Reader<'b> {
    decoder: Decoder<'b>,
    structure: &'static str,
    /// Where these bytes begin in the document.
    base: usize,
    /// Items that may still be skipped.
    budget: u32,
}

type Result<T> = core::result::Result<T, DocumentError>;

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8], structure: &'static str, base: usize) -> Self {
        Self { decoder: Decoder::new(bytes), structure, base, budget: MAX_ITEMS }
    }

    /// Names what is read from here on, for errors.
    pub(crate) const fn set_structure(&mut self, structure: &'static str) {
        self.structure = structure;
    }

    /// Where the next item begins, counted from the document's first byte.
    pub(crate) fn offset(&self) -> usize {
        self.base.saturating_add(self.decoder.position())
    }

    /// Where the next item begins in the bytes given.
    pub(crate) fn position(&self) -> usize {
        self.decoder.position()
    }

    fn fault(&self, fault: CborFault) -> DocumentError {
        DocumentError::Cbor { structure: self.structure, offset: self.offset(), fault }
    }

    fn kind_fault(&self, expected: &'static str, found: Head) -> DocumentError {
        self.fault(CborFault::Kind { expected, found: found.kind() })
    }

    /// Looks at the next item's initial byte and argument.
    pub(crate) fn peek(&self) -> Result<Head> {
        let rest = self.decoder.input().get(self.decoder.position()..).unwrap_or_default();
        let (&initial, rest) = rest.split_first().ok_or_else(|| self.fault(CborFault::EndOfData))?;
        let (major, info) = (initial >> 5, initial & 0x1F);
        if major == 7 {
            return match info {
                22 => Ok(Head::Null),
                31 => Ok(Head::Break),
                // Two bytes for a simple value below 32 are not well-formed (RFC 8949, section 3.3).
                24 if rest.first().is_some_and(|value| *value < 32) => Err(self.fault(CborFault::NotMinimal)),
                28..=30 => Err(self.fault(CborFault::Reserved)),
                _ => Ok(Head::Simple),
            };
        }
        let argument = match info {
            0..=23 => u64::from(info),
            24..=27 => self.argument(info, rest)?,
            31 if major == 5 => return Ok(Head::IndefiniteMap),
            31 if matches!(major, 2..=4) => return Err(self.fault(CborFault::IndefiniteLength)),
            _ => return Err(self.fault(CborFault::Reserved)),
        };
        Ok(match major {
            0 => Head::Unsigned(argument),
            1 => Head::Negative(argument),
            2 => Head::Bytes(argument),
            3 => Head::Text(argument),
            4 => Head::Array(argument),
            5 => Head::Map(argument),
            _ => Head::Tag(argument),
        })
    }

    /// The argument after an initial byte: 1, 2, 4 or 8 bytes, and only as many as the number needs.
    fn argument(&self, info: u8, rest: &[u8]) -> Result<u64> {
        let (length, least) = match info {
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            _ => (8, 0x1_0000_0000),
        };
        let bytes = rest.get(..length).ok_or_else(|| self.fault(CborFault::EndOfData))?;
        let argument = bytes.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        if argument < least { Err(self.fault(CborFault::NotMinimal)) } else { Ok(argument) }
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64> {
        match self.peek()? {
            Head::Unsigned(number) => {
                self.decoder.u64().map_err(|_| self.fault(CborFault::EndOfData))?;
                Ok(number)
            }
            found => Err(self.kind_fault("an unsigned integer", found)),
        }
    }

    /// An integer of either sign that fits 64 bits.
    pub(crate) fn integer(&mut self) -> Result<i64> {
        match self.peek()? {
            Head::Unsigned(_) | Head::Negative(_) => {
                self.decoder.i64().map_err(|_| self.fault(CborFault::TooLong { length: 8, limit: 8 }))
            }
            found => Err(self.kind_fault("an integer", found)),
        }
    }

    pub(crate) fn bytes(&mut self, limit: usize) -> Result<&'b [u8]> {
        match self.peek()? {
            Head::Bytes(length) => {
                self.check_length(length, limit)?;
                self.decoder.bytes().map_err(|_| self.fault(CborFault::EndOfData))
            }
            found => Err(self.kind_fault("a byte string", found)),
        }
    }

    pub(crate) fn text(&mut self, limit: usize) -> Result<&'b str> {
        match self.peek()? {
            Head::Text(length) => {
                self.check_length(length, limit)?;
                let fault = self.fault(CborFault::NotUtf8);
                self.decoder
                    .str()
                    .map_err(|error| if error.is_end_of_input() { self.fault(CborFault::EndOfData) } else { fault })
            }
            found => Err(self.kind_fault("a text string", found)),
        }
    }

    /// A byte string or null.
    pub(crate) fn optional_bytes(&mut self, limit: usize) -> Result<Option<&'b [u8]>> {
        match self.peek()? {
            Head::Null => {
                self.decoder.null().map_err(|_| self.fault(CborFault::EndOfData))?;
                Ok(None)
            }
            Head::Bytes(_) => self.bytes(limit).map(Some),
            found => Err(self.kind_fault("a byte string or null", found)),
        }
    }

    /// The head of an array of definite length; the caller bounds the number.
    pub(crate) fn array(&mut self) -> Result<u64> {
        match self.peek()? {
            Head::Array(count) => {
                self.decoder.array().map_err(|_| self.fault(CborFault::EndOfData))?;
                Ok(count)
            }
            found => Err(self.kind_fault("an array", found)),
        }
    }

    /// The head of a map of definite length; the caller bounds the number.
    pub(crate) fn map(&mut self) -> Result<u64> {
        match self.peek()? {
            Head::IndefiniteMap => Err(self.fault(CborFault::IndefiniteLength)),
            _ => self.map_of_either_form()?.ok_or_else(|| self.fault(CborFault::IndefiniteLength)),
        }
    }

    /// The head of a map, `None` where its length is indefinite.
    pub(crate) fn map_of_either_form(&mut self) -> Result<Option<u64>> {
        match self.peek()? {
            Head::Map(_) | Head::IndefiniteMap => self.decoder.map().map_err(|_| self.fault(CborFault::EndOfData)),
            found => Err(self.kind_fault("a map", found)),
        }
    }

    pub(crate) fn tag(&mut self) -> Result<u64> {
        self.decoder.tag().map(|tag| tag.as_u64()).map_err(|_| self.fault(CborFault::EndOfData))
    }

    /// Whether the next byte ends a map of indefinite length; it is then consumed.
    pub(crate) fn take_break(&mut self) -> Result<bool> {
        if self.peek()? != Head::Break {
            return Ok(false);
        }
        self.decoder.set_position(self.decoder.position().saturating_add(1));
        Ok(true)
    }

    /// Skips one well-formed value and says where it stands in the bytes given.
    pub(crate) fn skip(&mut self) -> Result<Range<usize>> {
        let start = self.decoder.position();
        self.skip_nested(MAX_DEPTH)?;
        Ok(start..self.decoder.position())
    }

    fn skip_nested(&mut self, depth: u8) -> Result<()> {
        self.budget = self.budget.checked_sub(1).ok_or_else(|| self.fault(CborFault::TooMany))?;
        let inner = || depth.checked_sub(1).ok_or_else(|| self.fault(CborFault::TooMany));
        match self.peek()? {
            Head::Unsigned(_) | Head::Negative(_) | Head::Null | Head::Simple => {
                self.decoder.skip().map_err(|_| self.fault(CborFault::EndOfData))
            }
            Head::Bytes(_) => self.bytes(usize::MAX).map(drop),
            Head::Text(_) => self.text(usize::MAX).map(drop),
            Head::Array(count) => {
                let inner = inner()?;
                self.array()?;
                (0..count).try_for_each(|_| self.skip_nested(inner))
            }
            Head::Map(count) => {
                let inner = inner()?;
                self.map()?;
                let bytes = self.decoder.input();
                let mut keys = BTreeSet::new();
                for _ in 0..count {
                    let (start, offset, head) = (self.decoder.position(), self.offset(), self.peek()?);
                    self.skip_nested(inner)?;
                    // Shortest forms only: keys are equal where their bytes are.
                    let key = bytes.get(start..self.decoder.position()).unwrap_or_default();
                    if !keys.insert(key) {
                        let key = key_text(head, key);
                        return Err(DocumentError::DuplicateKey { structure: self.structure, offset, key });
                    }
                    self.skip_nested(inner)?;
                }
                Ok(())
            }
            Head::IndefiniteMap => Err(self.fault(CborFault::IndefiniteLength)),
            Head::Tag(_) => {
                let inner = inner()?;
                self.tag()?;
                self.skip_nested(inner)
            }
            found @ Head::Break => Err(self.kind_fault("a value", found)),
        }
    }

    /// Checks that nothing follows.
    pub(crate) fn end(&self) -> Result<()> {
        match self.decoder.input().len().saturating_sub(self.decoder.position()) {
            0 => Ok(()),
            count => Err(DocumentError::TrailingBytes { structure: self.structure, offset: self.offset(), count }),
        }
    }

    fn check_length(&self, length: u64, limit: usize) -> Result<()> {
        let left = self.decoder.input().len().saturating_sub(self.decoder.position());
        match usize::try_from(length) {
            Ok(length) if length > limit => {
                Err(self.fault(CborFault::TooLong { length: length.try_into().unwrap_or(u64::MAX), limit }))
            }
            Ok(length) if length <= left => Ok(()),
            _ => Err(self.fault(CborFault::EndOfData)),
        }
    }
}

/// A key as an error names it: a number as such, everything else by the beginning of its bytes.
fn key_text(head: Head, bytes: &[u8]) -> String {
    match head {
        Head::Unsigned(number) => number.to_string(),
        _ => bytes.iter().take(40).map(|byte| format!("{byte:02x}")).collect(),
    }
}
