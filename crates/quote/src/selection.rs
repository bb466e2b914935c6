//! From the wire's bitmaps to registers.

use nitrotpm_pcr::{BankSelection, PcrIndex, Selection, SelectionError};
use nitrotpm_tpm_wire::{PcrSelection, PcrSelectionList};

use crate::QuoteError;

/// The least length of a bitmap: `PCR_SELECT_MIN` of a platform with 24 registers (TCG PC Client Platform TPM Profile).
const BITMAP_MIN: usize = 3;

/// The registers that a quote selects.
///
/// - A bank that the toolkit cannot compute is refused, even where no register of it is selected.
/// - A bitmap has at least 3 bytes. It may be longer, as a TPM with more than 24 registers would write it, but no bit
///   from 24 on may be set.
/// - A bank is named once. It may be named without a register, as TPMs do for banks that are switched off.
/// - At least one register is selected.
pub(crate) fn registers(list: &PcrSelectionList) -> Result<Selection, QuoteError> {
    let banks = list.selections.iter().map(bank).collect::<Result<Vec<_>, _>>()?;
    let selection = Selection::new(banks).map_err(|error| match error {
        SelectionError::DuplicateBank { bank } | SelectionError::NotAscending { bank } => {
            QuoteError::DuplicateBank { bank }
        }
        // The two above are all; another one would be a defect of a list that is no selection.
        _ => QuoteError::SelectionEmpty,
    })?;
    if selection.is_empty() { Err(QuoteError::SelectionEmpty) } else { Ok(selection) }
}

fn bank(selection: &PcrSelection) -> Result<BankSelection, QuoteError> {
    let bank = selection.hash.hash().ok_or(QuoteError::UnknownBank { bank: selection.hash })?;
    if selection.bitmap.len() < BITMAP_MIN {
        return Err(QuoteError::Bitmap { bank, bytes: selection.bitmap.len() });
    }
    let indices = selection
        .indices()
        .map(|index| PcrIndex::try_from(index).map_err(|_| QuoteError::Register { bank, index }))
        .collect::<Result<_, _>>()?;
    Ok(BankSelection { bank, indices })
}
