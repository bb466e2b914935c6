//! The ACPI table that says where a confidential machine's event log is.

use crate::LogError;
use crate::reader::Reader;

/// The ACPI table CCEL (Guest-Host-Communication Interface for TDX 1.5, section 4.3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CcelTable {
    /// The technology: 1 for AMD SEV, 2 for Intel TDX.
    pub cc_type: u8,
    /// Its subtype.
    pub cc_subtype: u8,
    /// The least length of the area that holds the log, in bytes.
    pub log_length: u64,
    /// The physical address of the area.
    pub log_address: u64,
}

/// The header that all ACPI tables have, and what this one adds.
const LENGTH: u32 = 56;

impl CcelTable {
    /// Reads the table.
    ///
    /// # Errors
    /// [`LogError::Truncated`], [`LogError::TrailingBytes`], or [`LogError::Malformed`] for another table, a length that
    /// is not 56 or a wrong checksum.
    pub fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        let malformed = |offset, problem| LogError::Malformed { structure: "the ACPI table CCEL", offset, problem };
        let mut reader = Reader::new(bytes, 0, "the ACPI table CCEL");
        if &reader.array::<4>()? != b"CCEL" {
            return Err(malformed(0, "the signature is of another table"));
        }
        if reader.u32()? != LENGTH {
            return Err(malformed(4, "the length is not 56"));
        }
        // Revision, checksum, and who made the table.
        reader.take(28)?;
        let (cc_type, cc_subtype, _reserved) = (reader.u8()?, reader.u8()?, reader.u16()?);
        let (log_length, log_address) = (reader.u64()?, reader.u64()?);
        reader.finish()?;
        if bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) != 0 {
            return Err(malformed(9, "the bytes of the table do not sum to zero"));
        }
        Ok(Self { cc_type, cc_subtype, log_length, log_address })
    }
}
