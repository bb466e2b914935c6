//! Writes fields as a TPM would.

use alloc::vec::Vec;

use crate::{AlgorithmId, WireError, WireErrorKind};

/// Writes fields, front to back. A buffer that its size field cannot state makes [`Writer::finish`] fail.
#[derive(Clone, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    structure: &'static str,
    failure: Option<WireError>,
}

impl Writer {
    /// Starts an empty structure, named for errors.
    #[must_use]
    pub const fn new(structure: &'static str) -> Self {
        Self { bytes: Vec::new(), structure, failure: None }
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// A number of two bytes.
    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    /// A number of four bytes.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// A number of eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    /// An algorithm's identifier.
    pub fn algorithm(&mut self, id: AlgorithmId) {
        self.u16(id.0);
    }

    /// A buffer with a size of two bytes in front (`TPM2B_*`).
    pub fn sized(&mut self, bytes: &[u8]) {
        let size = self.limited(bytes.len(), u16::MAX);
        self.u16(size);
        self.bytes(bytes);
    }

    /// The number of a list's elements.
    pub fn count(&mut self, count: usize) {
        let count = self.limited(count, u32::MAX);
        self.u32(count);
    }

    /// A length as the type of its field, noting a failure where that cannot state it.
    pub(crate) fn limited<T>(&mut self, length: usize, limit: T) -> T
    where
        T: TryFrom<usize> + Copy,
        usize: TryFrom<T>,
    {
        T::try_from(length).unwrap_or_else(|_| {
            let kind = WireErrorKind::TooLong { length, limit: usize::try_from(limit).unwrap_or(usize::MAX) };
            let offset = self.bytes.len();
            self.failure.get_or_insert(WireError { structure: self.structure, offset, kind });
            limit
        })
    }

    /// The bytes written.
    ///
    /// # Errors
    /// [`WireErrorKind::TooLong`] where a length did not fit its field.
    pub fn finish(self) -> Result<Vec<u8>, WireError> {
        self.failure.map_or(Ok(self.bytes), Err)
    }
}
