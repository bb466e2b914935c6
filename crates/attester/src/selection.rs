//! Which registers.

use nitrotpm_pcr::{Bank, BankSelection, PcrIndex, Selection};

use crate::{AttesterError, Tpm};

/// All 24 registers of all active banks but SHA-1, which no verifier should believe.
///
/// # Errors
/// What the TPM says; [`AttesterError::BankNotActive`] for a TPM with no bank but SHA-1.
pub fn all_but_sha1(tpm: &mut Tpm) -> Result<Selection, AttesterError> {
    let banks: Vec<_> = tpm
        .active_banks()?
        .into_iter()
        .filter(|bank| *bank != Bank::Sha1)
        .map(|bank| BankSelection { bank, indices: PcrIndex::all().collect() })
        .collect();
    if banks.is_empty() {
        return Err(AttesterError::BankNotActive { bank: Bank::Sha256 });
    }
    Selection::new(banks).map_err(|error| malformed(error.to_string()))
}

/// Reads a selection as tpm2-tools writes it: `sha256:0,1,7+sha384:all`; ranges as in `sha384:0-7` too.
///
/// # Errors
/// [`AttesterError::Selection`] with what is wrong.
pub fn parse_selection(text: &str) -> Result<Selection, AttesterError> {
    let mut banks = Vec::new();
    for part in text.split('+') {
        let (bank, registers) =
            part.split_once(':').ok_or_else(|| malformed(format!("\"{part}\" is not BANK:REGISTERS")))?;
        let known = Bank::ALL.into_iter().find(|known| known.name() == bank);
        let bank = known.ok_or_else(|| malformed(format!("\"{bank}\" is no bank; say sha256, sha384 or sha512")))?;
        banks.push(BankSelection { bank, indices: parse_registers(registers)? });
    }
    Selection::new(banks).map_err(|error| malformed(error.to_string()))
}

fn parse_registers(text: &str) -> Result<Vec<PcrIndex>, AttesterError> {
    if text == "all" {
        return Ok(PcrIndex::all().collect());
    }
    let number = |text: &str| {
        let index = text.parse().ok().and_then(PcrIndex::new);
        index.ok_or_else(|| malformed(format!("\"{text}\" is no register from 0 to 23")))
    };
    let mut indices = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(malformed(format!("the range {part} runs backwards")));
        }
        indices.extend(PcrIndex::all().filter(|index| (first..=last).contains(index)));
    }
    Ok(indices)
}

const fn malformed(detail: String) -> AttesterError {
    AttesterError::Selection { detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let selection = parse_selection(text).unwrap();
        selection.iter().map(|(bank, index)| format!("{}:{}", bank.name(), index.get())).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn selections_are_read_as_tpm2_tools_write_them() {
        assert_eq!(shown("sha256:0,7"), "sha256:0 sha256:7");
        assert_eq!(shown("sha384:4-6+sha256:1"), "sha384:4 sha384:5 sha384:6 sha256:1");
        assert_eq!(parse_selection("sha512:all").unwrap().iter().count(), 24);
    }

    #[test]
    fn wrong_selections_are_refused() {
        for text in ["", "sha256", "sha256:", "sha256:24", "md5:0", "sha256:3-1", "sha256:0+sha256:1", "sha256:1,1"] {
            assert_eq!(parse_selection(text).unwrap_err().code(), "attester.selection", "{text}");
        }
    }
}
