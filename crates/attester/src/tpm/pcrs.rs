//! Reading and extending PCRs.

use nitrotpm_digest_lanes::hash;
use nitrotpm_pcr::{Bank, BankSelection, Digest, PcrIndex, PcrValues, Selection};
use tss_esapi::constants::CapabilityType;
use tss_esapi::handles::{ObjectHandle, PcrHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    CapabilityData, Digest as TssDigest, DigestValues, PcrSelectionList, PcrSelectionListBuilder, PcrSlot,
};

use super::Tpm;
use super::response::Failed as _;
use crate::AttesterError;

/// Values of registers, and when they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PcrReading {
    /// The values.
    pub values: PcrValues,
    /// The TPM's count of changes to its registers. The same before and after: nothing changed between. A TPM leaves out
    /// changes of registers that anybody may reset.
    pub update_counter: u32,
}

/// `TPM2_PCR_Read` answers with at most 8 values.
const VALUES_AT_ONCE: usize = 8;
/// How often a reading starts again because registers change under it.
const ATTEMPTS: u32 = 10;

impl Tpm {
    /// Reads registers, all of them at one moment: a reading during which one changed is made again.
    ///
    /// # Errors
    /// [`AttesterError::BankNotActive`], [`AttesterError::PcrsMoving`].
    pub fn read_pcrs(&mut self, selection: &Selection) -> Result<PcrReading, AttesterError> {
        for _ in 0..ATTEMPTS {
            if let Some(reading) = self.try_read_pcrs(selection)? {
                return Ok(reading);
            }
        }
        Err(AttesterError::PcrsMoving { attempts: ATTEMPTS })
    }

    /// Reads registers in several commands; `None` where the counter moved between two of them.
    fn try_read_pcrs(&mut self, selection: &Selection) -> Result<Option<PcrReading>, AttesterError> {
        const COMMAND: &str = "TPM2_PCR_Read";
        let wrong = |detail| AttesterError::Answer { command: COMMAND, detail };
        let mut values = PcrValues::new();
        let mut counter = None;
        for BankSelection { bank, indices } in selection.banks() {
            for some in indices.chunks(VALUES_AT_ONCE) {
                let list = list_of(&[(*bank, some)])?;
                let (update_counter, read, digests) = self.context.pcr_read(list.clone()).failed(COMMAND)?;
                if digests.is_empty() || read != list {
                    return Err(AttesterError::BankNotActive { bank: *bank });
                }
                if digests.len() != some.len() {
                    return Err(wrong("it gave another number of values than it says"));
                }
                if counter.is_some_and(|before| before != update_counter) {
                    return Ok(None);
                }
                counter = Some(update_counter);
                for (index, digest) in some.iter().zip(digests.value()) {
                    let digest = Digest::new(*bank, digest.value())
                        .map_err(|_| wrong("a value is not as long as the bank's digests"))?;
                    values.insert(*index, digest).map_err(|_| wrong("it gave a register twice"))?;
                }
            }
        }
        Ok(Some(PcrReading { values, update_counter: counter.unwrap_or(0) }))
    }

    /// The banks that the TPM keeps, of those that the toolkit can compute, weakest first.
    ///
    /// # Errors
    /// What the TPM says.
    pub fn active_banks(&mut self) -> Result<Vec<Bank>, AttesterError> {
        const COMMAND: &str = "TPM2_GetCapability";
        let (data, _) = self.context.get_capability(CapabilityType::AssignedPcr, 0, 1).failed(COMMAND)?;
        let CapabilityData::AssignedPcr(list) = data else {
            return Err(AttesterError::Answer { command: COMMAND, detail: "it answered another question" });
        };
        let is_active = |bank: &Bank| {
            let algorithm = hashing_algorithm(*bank);
            list.get_selections().iter().any(|bank| bank.hashing_algorithm() == algorithm && !bank.is_empty())
        };
        Ok(Bank::ALL.into_iter().filter(is_active).collect())
    }

    /// `TPM2_PCR_Extend` in one bank or several. Each digest is extended in the bank of its own algorithm.
    ///
    /// # Errors
    /// What the TPM says: some registers cannot be extended at this locality.
    pub fn extend_pcr(&mut self, index: PcrIndex, digests: &[Digest]) -> Result<(), AttesterError> {
        const COMMAND: &str = "TPM2_PCR_Extend";
        let handle = PcrHandle::try_from(ObjectHandle::from(u32::from(index.get()))).failed(COMMAND)?;
        let mut values = DigestValues::new();
        for digest in digests {
            let value = TssDigest::try_from(digest.as_bytes()).failed(COMMAND)?;
            values.set(hashing_algorithm(digest.algorithm()), value);
        }
        self.context
            .execute_with_session(Some(AuthSession::Password), |context| context.pcr_extend(handle, values))
            .failed(COMMAND)
    }

    /// Extends a register in all active banks with the digests of `data`, as `TPM2_PCR_Event` does.
    ///
    /// # Errors
    /// As [`Tpm::extend_pcr`].
    pub fn measure(&mut self, index: PcrIndex, data: &[u8]) -> Result<Vec<Digest>, AttesterError> {
        let digests: Vec<_> = self.active_banks()?.into_iter().map(|bank| hash(bank, &[data])).collect();
        self.extend_pcr(index, &digests)?;
        Ok(digests)
    }
}

/// A selection as libtss2 takes it.
pub(super) fn selection_list(selection: &Selection) -> Result<PcrSelectionList, AttesterError> {
    let banks: Vec<_> = selection.banks().iter().map(|bank| (bank.bank, bank.indices.as_slice())).collect();
    list_of(&banks)
}

fn list_of(banks: &[(Bank, &[PcrIndex])]) -> Result<PcrSelectionList, AttesterError> {
    const COMMAND: &str = "TPML_PCR_SELECTION";
    let mut list = PcrSelectionListBuilder::new();
    for (bank, indices) in banks {
        let slots = indices
            .iter()
            .map(|index| PcrSlot::try_from(1_u32.checked_shl(index.get().into()).unwrap_or(0)).failed(COMMAND))
            .collect::<Result<Vec<_>, _>>()?;
        list = list.with_selection(hashing_algorithm(*bank), &slots);
    }
    list.build().failed(COMMAND)
}

const fn hashing_algorithm(bank: Bank) -> HashingAlgorithm {
    match bank {
        Bank::Sha1 => HashingAlgorithm::Sha1,
        Bank::Sha256 => HashingAlgorithm::Sha256,
        Bank::Sha384 => HashingAlgorithm::Sha384,
        Bank::Sha512 => HashingAlgorithm::Sha512,
    }
}
