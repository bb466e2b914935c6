//! Reading little-endian fields out of hostile bytes.

use crate::LogError;

/// A position in bytes that knows which structure it reads, so that an error can say so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    structure: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, whose first byte stands at `offset` of the log.
    pub(crate) const fn new(bytes: &'a [u8], offset: usize, structure: &'static str) -> Self {
        Self { bytes, offset, structure }
    }

    /// Names the structure read from here on.
    #[inline]
    pub(crate) const fn enter(&mut self, structure: &'static str) {
        self.structure = structure;
    }

    /// Where the next byte stands in the log.
    #[inline]
    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What was not read yet.
    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Goes on at `rest`, which is the end of what was not read yet.
    #[inline]
    pub(crate) const fn go_on_at(&mut self, rest: &'a [u8]) {
        self.offset = self.offset.saturating_add(self.bytes.len().saturating_sub(rest.len()));
        self.bytes = rest;
    }

    /// The next `count` bytes. `count` comes from the log: it is compared with what is there before anything else.
    pub(crate) fn take(&mut self, count: u64) -> Result<&'a [u8], LogError> {
        match usize::try_from(count).ok().and_then(|count| self.bytes.split_at_checked(count)) {
            Some((taken, rest)) => {
                self.bytes = rest;
                self.offset = self.offset.saturating_add(taken.len());
                Ok(taken)
            }
            None => Err(LogError::Truncated {
                structure: self.structure,
                offset: self.offset,
                needed: count,
                available: self.bytes.len(),
            }),
        }
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], LogError> {
        match self.bytes.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.bytes = rest;
                self.offset = self.offset.saturating_add(N);
                Ok(*taken)
            }
            None => Err(LogError::Truncated {
                structure: self.structure,
                offset: self.offset,
                needed: u64::try_from(N).unwrap_or(u64::MAX),
                available: self.bytes.len(),
            }),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, LogError> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, LogError> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, LogError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, LogError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Refuses bytes that nothing has read.
    pub(crate) const fn finish(self) -> Result<(), LogError> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(LogError::TrailingBytes { structure: self.structure, offset: self.offset, count: self.bytes.len() })
        }
    }
}
