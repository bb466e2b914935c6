//! A cursor over bytes that may lie about their lengths.

use crate::UefiError;

/// What is left of the bytes, and where in the whole it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
    structure: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, which are a `structure`.
    pub(crate) const fn new(bytes: &'a [u8], structure: &'static str) -> Self {
        Self { rest: bytes, offset: 0, structure }
    }

    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], UefiError> {
        let Some((taken, rest)) = self.rest.split_at_checked(len) else {
            return Err(UefiError::Truncated {
                structure: self.structure,
                offset: self.offset,
                needed: len,
                left: self.rest.len(),
            });
        };
        self.rest = rest;
        self.offset = self.offset.saturating_add(len);
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], UefiError> {
        let mut array = [0; N];
        array.iter_mut().zip(self.take(N)?).for_each(|(to, from)| *to = *from);
        Ok(array)
    }

    /// A little-endian u32 that is a length.
    pub(crate) fn length(&mut self) -> Result<usize, UefiError> {
        let value = u32::from_le_bytes(self.array()?);
        // Where usize is smaller than u32 no such number of bytes can be there.
        Ok(usize::try_from(value).unwrap_or(usize::MAX))
    }

    /// A little-endian u64 that is a length, and that many bytes.
    pub(crate) fn counted(&mut self) -> Result<&'a [u8], UefiError> {
        let length = u64::from_le_bytes(self.array()?);
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }
}
