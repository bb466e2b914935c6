//! BER, as far as CMS needs it (ITU-T X.690): definite and indefinite lengths, strings in pieces.

use crate::RecipientError;

/// How deep elements of indefinite length and strings in pieces may lie in each other.
const MAX_DEPTH: u8 = 16;

/// The bit of an identifier that says: made of other elements.
const CONSTRUCTED: u8 = 0x20;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// The identifier of a context-specific element, primitive; [`CONSTRUCTED`] makes it the other.
pub(crate) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// The identifier of a context-specific element that is made of others.
pub(crate) const fn context_constructed(number: u8) -> u8 {
    0xA0 | number
}

/// One element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    /// The identifier's byte.
    pub(crate) identifier: u8,
    /// The content, without the end-of-contents of an indefinite length.
    pub(crate) content: &'a [u8],
    /// Where the element starts in the input.
    pub(crate) offset: usize,
    /// Where its content starts.
    content_offset: usize,
}

/// Reads elements off hostile bytes, front to back.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset: 0 }
    }

    /// Whether nothing is left.
    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The identifier of the next element.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) const fn error(&self, structure: &'static str, detail: &'static str) -> RecipientError {
        RecipientError::Malformed { structure, offset: self.offset, detail }
    }

    /// The next element, which must have this identifier.
    pub(crate) fn expect(&mut self, identifier: u8, structure: &'static str) -> Result<Element<'a>, RecipientError> {
        if self.peek() != Some(identifier) {
            return Err(self.error(structure, "another element stands there, or none"));
        }
        self.element(structure)
    }

    /// The next element.
    pub(crate) fn element(&mut self, structure: &'static str) -> Result<Element<'a>, RecipientError> {
        self.element_at(structure, 0)
    }

    /// Ends the reading.
    pub(crate) const fn finish(&self, structure: &'static str) -> Result<(), RecipientError> {
        if self.is_empty() { Ok(()) } else { Err(self.error(structure, "more bytes follow than belong to it")) }
    }

    fn take(&mut self, count: usize, structure: &'static str) -> Result<&'a [u8], RecipientError> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| self.error(structure, "the input ends inside it"))?;
        self.rest = rest;
        self.offset = self.offset.saturating_add(count);
        Ok(taken)
    }

    fn byte(&mut self, structure: &'static str) -> Result<u8, RecipientError> {
        self.take(1, structure).map(|taken| taken.first().copied().unwrap_or(0))
    }

    fn element_at(&mut self, structure: &'static str, depth: u8) -> Result<Element<'a>, RecipientError> {
        let offset = self.offset;
        let malformed = |detail| RecipientError::Malformed { structure, offset, detail };
        let identifier = self.byte(structure)?;
        if identifier & 0x1F == 0x1F {
            return Err(malformed("its tag is longer than CMS has any"));
        }
        let first = self.byte(structure)?;
        if first == 0x80 {
            if identifier & CONSTRUCTED == 0 {
                return Err(malformed("a primitive element cannot have an indefinite length"));
            }
            let content_offset = self.offset;
            let content = self.until_end_of_contents(structure, depth)?;
            return Ok(Element { identifier, content, offset, content_offset });
        }
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            // Three bytes state more than is ever read; BER allows zeros in front.
            let bytes = self.take(usize::from(first & 0x7F), structure)?;
            bytes
                .iter()
                .try_fold(0_usize, |length, byte| {
                    Some(length.checked_mul(256)?.saturating_add(usize::from(*byte))).filter(|length| *length < 1 << 24)
                })
                .ok_or_else(|| malformed("its length is larger than any input"))?
        };
        let content_offset = self.offset;
        let content = self.take(length, structure)?;
        Ok(Element { identifier, content, offset, content_offset })
    }

    /// The bytes up to the end-of-contents that closes this element: the ones of elements inside are theirs.
    fn until_end_of_contents(&mut self, structure: &'static str, depth: u8) -> Result<&'a [u8], RecipientError> {
        let deeper = depth.checked_add(1).filter(|deeper| *deeper <= MAX_DEPTH);
        let deeper = deeper.ok_or_else(|| self.error(structure, "elements lie too deep in each other"))?;
        let start = self.rest;
        loop {
            let before = self.rest.len();
            if self.rest.starts_with(&[0, 0]) {
                let (content, _) = start.split_at_checked(start.len().saturating_sub(before)).unwrap_or_default();
                self.take(2, structure)?;
                return Ok(content);
            }
            self.element_at(structure, deeper)?;
        }
    }
}

impl<'a> Element<'a> {
    /// Reads the elements inside.
    pub(crate) const fn reader(&self) -> Reader<'a> {
        Reader { rest: self.content, offset: self.content_offset }
    }

    /// The bytes of a string, whole or in pieces: pieces are octet strings, which may be in pieces themselves.
    pub(crate) fn octets(&self, structure: &'static str) -> Result<Vec<u8>, RecipientError> {
        let mut octets = Vec::new();
        self.collect(structure, 0, &mut octets)?;
        Ok(octets)
    }

    fn collect(&self, structure: &'static str, depth: u8, octets: &mut Vec<u8>) -> Result<(), RecipientError> {
        if self.identifier & CONSTRUCTED == 0 {
            octets.extend_from_slice(self.content);
            return Ok(());
        }
        let mut pieces = self.reader();
        let deeper = depth.checked_add(1).filter(|deeper| *deeper <= MAX_DEPTH);
        let deeper = deeper.ok_or_else(|| pieces.error(structure, "pieces lie too deep in each other"))?;
        while !pieces.is_empty() {
            let piece = pieces.element(structure)?;
            if piece.identifier & !CONSTRUCTED != OCTET_STRING {
                return Err(RecipientError::Malformed {
                    structure,
                    offset: piece.offset,
                    detail: "a piece of a string is no octet string",
                });
            }
            piece.collect(structure, deeper, octets)?;
        }
        Ok(())
    }
}
