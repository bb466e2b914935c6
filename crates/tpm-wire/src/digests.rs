//! A list of digests, as `TPM2_PCR_Read` answers it.

use alloc::vec::Vec;

use crate::{Reader, Structure, WireError, Writer};

/// `TPML_DIGEST`: up to 8 digests (TPM 2.0 Library Part 2, section 10.9), each of at most 64 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestList {
    /// The digests in order.
    pub digests: Vec<Vec<u8>>,
}

impl DigestList {
    /// How many digests there can be.
    pub const MAX: u32 = 8;
}

impl Structure for DigestList {
    const NAME: &'static str = "TPML_DIGEST";

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let count = reader.count(Self::MAX)?;
        let digests = (0..count).map(|_| reader.sized(64).map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
        Ok(Self { digests })
    }

    fn write(&self, writer: &mut Writer) {
        writer.count(self.digests.len());
        self.digests.iter().for_each(|digest| writer.sized(digest));
    }
}
