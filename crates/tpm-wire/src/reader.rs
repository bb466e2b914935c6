//! Reads fields off hostile bytes.

use core::mem;

use crate::{AlgorithmId, Structure, WireError, WireErrorKind};

/// Reads fields off bytes, front to back, and knows where it is.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
    structure: &'static str,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of a structure, named for errors.
    #[must_use]
    pub const fn new(bytes: &'a [u8], structure: &'static str) -> Self {
        Self { rest: bytes, offset: 0, structure }
    }

    /// How many bytes were read.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// An error about the field that starts at `offset`.
    #[must_use]
    pub const fn error_at(&self, offset: usize, kind: WireErrorKind) -> WireError {
        WireError { structure: self.structure, offset, kind }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`WireErrorKind::Truncated`].
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| {
            self.error_at(self.offset, WireErrorKind::Truncated { needed: count, remaining: self.rest.len() })
        })?;
        self.rest = rest;
        self.offset = self.offset.saturating_add(count);
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let taken = self.take(N)?;
        let mut array = [0; N];
        array.iter_mut().zip(taken).for_each(|(to, from)| *to = *from);
        Ok(array)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`WireErrorKind::Truncated`].
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array().map(u8::from_be_bytes)
    }

    /// A number of two bytes.
    ///
    /// # Errors
    /// [`WireErrorKind::Truncated`].
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    /// A number of four bytes.
    ///
    /// # Errors
    /// [`WireErrorKind::Truncated`].
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A number of eight bytes.
    ///
    /// # Errors
    /// [`WireErrorKind::Truncated`].
    pub fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    /// An algorithm's identifier.
    ///
    /// # Errors
    /// [`WireErrorKind::Truncated`].
    pub fn algorithm(&mut self) -> Result<AlgorithmId, WireError> {
        self.u16().map(AlgorithmId)
    }

    /// A buffer with a size of two bytes in front (`TPM2B_*`), at most `limit` bytes long.
    ///
    /// # Errors
    /// [`WireErrorKind::TooLong`], [`WireErrorKind::Truncated`].
    pub fn sized(&mut self, limit: usize) -> Result<&'a [u8], WireError> {
        let start = self.offset;
        let length = usize::from(self.u16()?);
        if length > limit {
            return Err(self.error_at(start, WireErrorKind::TooLong { length, limit }));
        }
        self.take(length)
    }

    /// The number of a list's elements, at most `limit`.
    ///
    /// # Errors
    /// [`WireErrorKind::TooMany`], [`WireErrorKind::Truncated`].
    pub fn count(&mut self, limit: u32) -> Result<u32, WireError> {
        let start = self.offset;
        let count = self.u32()?;
        if count > limit {
            return Err(self.error_at(start, WireErrorKind::TooMany { count, limit }));
        }
        Ok(count)
    }

    /// A structure inside this one; errors name it.
    ///
    /// # Errors
    /// What the structure says.
    pub fn structure<T: Structure>(&mut self) -> Result<T, WireError> {
        let outer = mem::replace(&mut self.structure, T::NAME);
        let value = T::read(self)?;
        self.structure = outer;
        Ok(value)
    }

    /// All the bytes that are left.
    pub fn remaining(&mut self) -> &'a [u8] {
        self.offset = self.offset.saturating_add(self.rest.len());
        mem::take(&mut self.rest)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`WireErrorKind::Trailing`] where bytes are left.
    pub const fn finish(self) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(self.error_at(self.offset, WireErrorKind::Trailing { count })),
        }
    }
}
