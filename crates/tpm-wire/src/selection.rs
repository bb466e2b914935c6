//! Which PCRs a TPM was asked for.

use alloc::vec::Vec;

use crate::{AlgorithmId, Reader, Structure, WireError, Writer};

/// `TPMS_PCR_SELECTION`: registers of one bank (TPM 2.0 Library Part 2, section 10.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcrSelection {
    /// The bank.
    pub hash: AlgorithmId,
    /// A bit for each register: the lowest bit of the first byte is PCR 0. 3 bytes on a platform with 24 registers; any
    /// length from 0 to 255 is kept.
    pub bitmap: Vec<u8>,
}

impl PcrSelection {
    /// The numbers of the bits that are set, ascending.
    pub fn indices(&self) -> impl Iterator<Item = u32> + '_ {
        let bits = self
            .bitmap
            .iter()
            .flat_map(|byte| (0..8_u8).map(move |bit| byte.checked_shr(bit.into()).unwrap_or(0) & 1 == 1));
        (0_u32..).zip(bits).filter(|(_, set)| *set).map(|(number, _)| number)
    }
}

impl Structure for PcrSelection {
    const NAME: &'static str = "TPMS_PCR_SELECTION";

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let hash = reader.algorithm()?;
        let size = usize::from(reader.u8()?);
        Ok(Self { hash, bitmap: reader.take(size)?.to_vec() })
    }

    fn write(&self, writer: &mut Writer) {
        writer.algorithm(self.hash);
        let size = writer.limited(self.bitmap.len(), u8::MAX);
        writer.u8(size);
        writer.bytes(&self.bitmap);
    }
}

/// `TPML_PCR_SELECTION`: registers of several banks, in the order in which their values are hashed (TPM 2.0 Library
/// Part 2, section 10.9). As it was written: empty, unknown and repeated banks are the caller's business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PcrSelectionList {
    /// The selections in order, at most 16.
    pub selections: Vec<PcrSelection>,
}

impl PcrSelectionList {
    /// How many selections there can be. The TCG's limit is the number of hash algorithms that a TPM implements; no TPM
    /// has more than this.
    pub const MAX: u32 = 16;
}

impl Structure for PcrSelectionList {
    const NAME: &'static str = "TPML_PCR_SELECTION";

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let count = reader.count(Self::MAX)?;
        let selections = (0..count).map(|_| reader.structure()).collect::<Result<_, _>>()?;
        Ok(Self { selections })
    }

    fn write(&self, writer: &mut Writer) {
        writer.count(self.selections.len());
        self.selections.iter().for_each(|selection| selection.write(writer));
    }
}
