//! Which registers of which banks, in order.

use alloc::vec::Vec;

use nitrotpm_digest_lanes::HashAlgorithm;

use crate::PcrIndex;

/// The registers of one bank, ascending, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankSelection {
    /// The bank.
    pub bank: HashAlgorithm,
    /// The registers, ascending.
    pub indices: Vec<PcrIndex>,
}

/// A selection as a quote signs it: banks in the order of the structure, no (bank, register) pair twice.
///
/// The order matters: the quote's digest is taken over the values in exactly this order (TPM 2.0 Library Part 1,
/// section 17.5.1 "Selecting multiple PCR").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(Vec<BankSelection>);

/// Why a list of bank selections is not a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// A bank was named twice.
    #[error("the selection names bank {bank} twice; one bank has one list of registers")]
    DuplicateBank {
        /// The bank.
        bank: HashAlgorithm,
    },
    /// The registers of a bank were not strictly ascending.
    #[error("the registers selected in bank {bank} are not in ascending order")]
    NotAscending {
        /// The bank.
        bank: HashAlgorithm,
    },
}

impl Selection {
    /// A selection from its parts.
    ///
    /// # Errors
    /// [`SelectionError`] for a bank named twice or registers out of order.
    pub fn new(banks: Vec<BankSelection>) -> Result<Self, SelectionError> {
        for (position, bank) in banks.iter().enumerate() {
            if banks.iter().take(position).any(|earlier| earlier.bank == bank.bank) {
                return Err(SelectionError::DuplicateBank { bank: bank.bank });
            }
            if !bank.indices.is_sorted_by(|a, b| a < b) {
                return Err(SelectionError::NotAscending { bank: bank.bank });
            }
        }
        Ok(Self(banks))
    }

    /// The banks in order.
    #[must_use]
    pub fn banks(&self) -> &[BankSelection] {
        &self.0
    }

    /// Every (bank, register) pair, in the order in which a quote hashes them.
    pub fn iter(&self) -> impl Iterator<Item = (HashAlgorithm, PcrIndex)> + '_ {
        self.0.iter().flat_map(|bank| bank.indices.iter().map(|index| (bank.bank, *index)))
    }

    /// Whether no register is selected at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|bank| bank.indices.is_empty())
    }
}
