//! The beginning of a list that an authenticated register proves.

use alloc::vec::Vec;

use nitrotpm_digest_lanes::{Digest, extend, hash};
use nitrotpm_pcr::{Bank, PcrIndex, PcrValues, reset_value};

use super::{ImaEntry, ImaList};
use crate::LogError;

/// What the kernel extends into a bank for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BankRule {
    /// The bank's own hash of the template data: Linux 5.8 on, where the kernel had that hash when IMA started.
    Hashed,
    /// The SHA-1 template hash, padded with zeros: any other bank, and every bank before Linux 5.8.
    PaddedSha1,
}

impl BankRule {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hashed => "hashed",
            Self::PaddedSha1 => "padded-sha1",
        }
    }

    /// What is extended for an entry, or `None` where the rule does not apply to it.
    fn extended(self, entry: &ImaEntry<'_>, bank: Bank) -> Option<Digest> {
        if entry.is_violation() {
            return Some(Digest::ones(bank));
        }
        match self {
            Self::Hashed => Some(entry.hash_of_data(bank)),
            Self::PaddedSha1 if entry.template_hash().len() == 20 => {
                let mut padded = [0_u8; 64];
                padded.iter_mut().zip(entry.template_hash()).for_each(|(to, from)| *to = *from);
                Digest::new(bank, padded.get(..bank.digest_len())?).ok()
            }
            Self::PaddedSha1 => None,
        }
    }
}

/// A list whose beginning gives an authenticated value. Only this says what was measured.
#[derive(Clone, Debug)]
pub struct ConfirmedIma<'a> {
    entries: Vec<ImaEntry<'a>>,
    bank: Bank,
    rule: BankRule,
    unproven: usize,
}

impl<'a> ImaList<'a> {
    /// Finds the longest beginning of the list that gives the authenticated value of `pcr` in `bank`: the list may have
    /// grown after the quote was made.
    ///
    /// # Errors
    /// [`LogError::NotAuthenticated`] where there is no such value, [`LogError::ImaReplay`] where no beginning of the
    /// list gives it, by neither rule.
    pub fn confirm(&self, authenticated: &PcrValues, bank: Bank, pcr: PcrIndex) -> Result<ConfirmedIma<'a>, LogError> {
        let expected = authenticated.get(bank, pcr).ok_or(LogError::NotAuthenticated { bank, pcr })?;
        let of_register: Vec<_> = self.entries().iter().filter(|entry| entry.pcr() == pcr).collect();
        for rule in [BankRule::Hashed, BankRule::PaddedSha1] {
            let Some(length) = longest_beginning(&of_register, rule, expected, pcr) else { continue };
            let entries: Vec<_> = of_register.iter().take(length).map(|entry| (*entry).clone()).collect();
            let unproven = of_register.len().saturating_sub(length);
            return Ok(ConfirmedIma { entries, bank, rule, unproven });
        }
        Err(LogError::ImaReplay { bank, pcr, entries: of_register.len() })
    }
}

/// How many entries give the value; not zero, since an untouched register proves no list.
fn longest_beginning(entries: &[&ImaEntry<'_>], rule: BankRule, expected: &Digest, pcr: PcrIndex) -> Option<usize> {
    let bank = expected.algorithm();
    let mut value = reset_value(bank, pcr);
    let mut found = None;
    for (length, entry) in (1..).zip(entries) {
        value = extend(&value, &rule.extended(entry, bank)?).ok()?;
        if value == *expected {
            found = Some(length);
        }
    }
    found
}

/// Whether the first entry is of the registers that the firmware measured into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BootAggregate {
    /// It is the hash of these registers' authenticated values: the list belongs to this boot.
    Matches {
        /// The bank that was hashed.
        bank: Bank,
        /// The last register: 9 from Linux 5.8 on, 7 before, each from 0.
        last: u8,
    },
    /// It is of none of the authenticated values.
    Differs,
    /// The authenticated registers do not suffice, or the hash is none of ours.
    NotCheckable,
    /// The first entry is no boot aggregate.
    Missing,
}

impl<'a> ConfirmedIma<'a> {
    /// The entries that are proven, in order.
    #[must_use]
    pub fn entries(&self) -> &[ImaEntry<'a>] {
        &self.entries
    }

    /// The bank that proves them.
    #[must_use]
    pub const fn bank(&self) -> Bank {
        self.bank
    }

    /// How the kernel extends that bank.
    #[must_use]
    pub const fn rule(&self) -> BankRule {
        self.rule
    }

    /// How many entries follow that nothing proves: measured after the quote, or invented.
    #[must_use]
    pub const fn unproven(&self) -> usize {
        self.unproven
    }

    /// Whether the data of an entry is proven: its hash is what was extended. A violation proves nothing but itself.
    #[must_use]
    pub fn is_proven(&self, entry: &ImaEntry<'_>) -> bool {
        match self.rule {
            BankRule::Hashed => !entry.is_violation(),
            BankRule::PaddedSha1 => entry.template_hash_is_right() == Some(true),
        }
    }

    /// Compares the first entry with authenticated values of PCR 0 to 9.
    #[must_use]
    pub fn boot_aggregate(&self, authenticated: &PcrValues) -> BootAggregate {
        let Some(first) = self.entries.first().filter(|entry| self.is_proven(entry)) else {
            return BootAggregate::Missing;
        };
        if !first.file_name().is_some_and(|name| name.is("boot_aggregate")) {
            return BootAggregate::Missing;
        }
        let algorithm = first.file_digest().and_then(|digest| {
            let name = core::str::from_utf8(digest.algorithm).ok()?;
            Digest::new(name.parse().ok()?, digest.digest).ok()
        });
        let Some(expected) = algorithm else { return BootAggregate::NotCheckable };
        let mut compared = false;
        for bank in authenticated.banks() {
            for last in [9, 7] {
                let registers: Option<Vec<_>> = PcrIndex::all()
                    .take_while(|index| index.get() <= last)
                    .map(|index| authenticated.get(bank, index).map(Digest::as_bytes))
                    .collect();
                let Some(registers) = registers else { continue };
                compared = true;
                if hash(expected.algorithm(), &registers) == expected {
                    return BootAggregate::Matches { bank, last };
                }
            }
        }
        if compared { BootAggregate::Differs } else { BootAggregate::NotCheckable }
    }
}
