//! From replayed values to a log that authenticated values confirm.

use alloc::vec::Vec;
use core::fmt;

use nitrotpm_digest_lanes::hash;
use nitrotpm_pcr::{Bank, Digest, PcrIndex, PcrValues};

use crate::{Event, EventLog, Format, LogError, PayloadCheck, ReplayedLog};

/// A register whose authenticated value is not the one that the log replays to. [`ReplayedLog::explain`] looks for the
/// reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayMismatch {
    /// The bank.
    pub bank: Bank,
    /// The register.
    pub pcr: PcrIndex,
    /// The authenticated value.
    pub expected: Digest,
    /// The value that the log gives; the reset value where the log has no event for the register.
    pub replayed: Digest,
    /// How many events the log has for the register.
    pub events: usize,
    /// Other banks in which the register was requested and does match, weakest first.
    pub agreeing_banks: Vec<Bank>,
}

impl fmt::Display for ReplayMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bank, pcr, expected, replayed, events, agreeing_banks } = self;
        write!(f, "PCR {pcr} of bank {bank} is {expected}, ")?;
        match events {
            0 => write!(f, "and the log has no event for it, so it should hold {replayed}")?,
            1 => write!(f, "and the one event that the log has for it gives {replayed}")?,
            _ => write!(f, "and the {events} events that the log has for it give {replayed}")?,
        }
        for (position, bank) in agreeing_banks.iter().enumerate() {
            write!(f, "{}{bank}", if position == 0 { "; it does match in bank " } else { ", " })?;
        }
        Ok(())
    }
}

impl<'a> ReplayedLog<'a> {
    /// Compares the log with authenticated values: every requested register must have exactly the value that the log
    /// replays to, and a register without events must hold its reset value.
    ///
    /// `authenticated` are values that a verified quote or document covers: nothing else may go in here. `requested`
    /// names the registers to compare, each by bank and index; `selection.iter()` of a
    /// [`Selection`](nitrotpm_pcr::Selection) fits.
    ///
    /// # Errors
    /// - [`LogError::Mismatch`] with every register that differs; [`ReplayedLog::explain`] looks for the reason.
    /// - [`LogError::NotAuthenticated`] for a requested register without an authenticated value,
    ///   [`LogError::BankNotInLog`] for one of a bank that the log does not have, [`LogError::MissingDigest`] for one
    ///   with an event that lacks the bank's digest.
    /// - [`LogError::NothingRequested`], [`LogError::NothingMeasured`] and [`LogError::WrongFormat`] where the
    ///   comparison would prove nothing.
    pub fn confirm(
        &self,
        authenticated: &PcrValues,
        requested: impl IntoIterator<Item = (Bank, PcrIndex)>,
    ) -> Result<ConfirmedLog<'a>, LogError> {
        if self.log().format() == Format::Ccel {
            return Err(LogError::WrongFormat { found: Format::Ccel });
        }
        self.compare(authenticated, requested)
    }

    /// Compares a CCEL log with the runtime measurement registers of an authenticated TDX report: every one given must
    /// have exactly the value that the log replays to.
    ///
    /// `rtmrs` are numbers from 0 to 3 and values in SHA-384. In what is confirmed, [`Event::pcr`] is the number plus 1.
    ///
    /// # Errors
    /// As [`ReplayedLog::confirm`]; [`LogError::WrongFormat`] for the log of a TPM, and [`LogError::NotAuthenticated`]
    /// for a number above 3 or one that stands twice.
    pub fn confirm_rtmrs(&self, rtmrs: &[(u8, Digest)]) -> Result<ConfirmedLog<'a>, LogError> {
        let found = self.log().format();
        if found != Format::Ccel {
            return Err(LogError::WrongFormat { found });
        }
        let mut values = PcrValues::new();
        for (number, value) in rtmrs {
            let index = number.checked_add(1).filter(|index| *index <= 4).and_then(PcrIndex::new);
            let inserted = index.is_some_and(|index| values.insert(index, *value).is_ok());
            if !inserted {
                let pcr = index.or(PcrIndex::all().next_back()).ok_or(LogError::NothingRequested)?;
                return Err(LogError::NotAuthenticated { bank: value.algorithm(), pcr });
            }
        }
        self.compare(&values, values.iter().map(|(bank, index, _)| (bank, index)))
    }

    fn compare(
        &self,
        authenticated: &PcrValues,
        requested: impl IntoIterator<Item = (Bank, PcrIndex)>,
    ) -> Result<ConfirmedLog<'a>, LogError> {
        if !self.log().events().any(|event| event.extends()) {
            return Err(LogError::NothingMeasured);
        }
        let mut confirmed: Vec<(Bank, PcrIndex)> = Vec::new();
        let mut mismatches = Vec::new();
        for (bank, pcr) in requested {
            if confirmed.contains(&(bank, pcr)) {
                continue;
            }
            let expected = *authenticated.get(bank, pcr).ok_or(LogError::NotAuthenticated { bank, pcr })?;
            let register = self.bank(bank).ok_or(LogError::BankNotInLog { bank })?.register(pcr);
            let replayed = register.value().ok_or_else(|| {
                let event = register.missing_digest().unwrap_or_default();
                let offset = self.log().event(event).map_or(0, |event| event.offset());
                LogError::MissingDigest { bank, pcr, event, offset }
            })?;
            if replayed != expected {
                let (events, agreeing_banks) = (register.extends(), Vec::new());
                mismatches.push(ReplayMismatch { bank, pcr, expected, replayed, events, agreeing_banks });
            }
            confirmed.push((bank, pcr));
        }
        if confirmed.is_empty() {
            return Err(LogError::NothingRequested);
        }
        if !mismatches.is_empty() {
            let differing: Vec<_> = mismatches.iter().map(|mismatch| (mismatch.bank, mismatch.pcr)).collect();
            for mismatch in &mut mismatches {
                let same = confirmed.iter().filter(|(_, pcr)| *pcr == mismatch.pcr);
                mismatch.agreeing_banks =
                    same.filter(|register| !differing.contains(register)).map(|(bank, _)| *bank).collect();
                mismatch.agreeing_banks.sort_unstable();
            }
            return Err(LogError::Mismatch { mismatches });
        }
        Ok(ConfirmedLog { log: *self.log(), confirmed })
    }
}

/// A log that replays to authenticated values. Only this gives claims.
///
/// What is proven of a confirmed register is the list of its digests, in order. An event's data is proven where its
/// payload check holds besides; its type never is, and neither is the order of events of different registers.
#[derive(Clone, Debug)]
pub struct ConfirmedLog<'a> {
    log: EventLog<'a>,
    confirmed: Vec<(Bank, PcrIndex)>,
}

impl<'a> ConfirmedLog<'a> {
    /// The log.
    #[must_use]
    pub const fn log(&self) -> &EventLog<'a> {
        &self.log
    }

    /// The registers that were compared and matched.
    #[must_use]
    pub fn confirmed(&self) -> &[(Bank, PcrIndex)] {
        &self.confirmed
    }

    /// Whether the register was confirmed, in any bank.
    #[must_use]
    pub fn is_confirmed(&self, pcr: PcrIndex) -> bool {
        self.banks_of(pcr).next().is_some()
    }

    /// The banks in which the register was confirmed.
    pub fn banks_of(&self, pcr: PcrIndex) -> impl Iterator<Item = Bank> + '_ {
        self.confirmed.iter().filter(move |(_, confirmed)| *confirmed == pcr).map(|(bank, _)| *bank)
    }

    /// The events of a confirmed register that were extended into it, in order; none where the register was not
    /// confirmed.
    pub fn events_of(&self, pcr: PcrIndex) -> impl Iterator<Item = ConfirmedEvent<'a>> + '_ {
        let banks = Bank::ALL.map(|bank| self.confirmed.contains(&(bank, pcr)));
        let confirmed = banks.contains(&true);
        self.log
            .events()
            .filter(move |event| confirmed && event.pcr() == Some(pcr) && event.extends())
            .map(move |event| ConfirmedEvent { event, check: event.payload_check(), banks })
    }
}

/// An event whose digests are proven in the banks in which its register was confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfirmedEvent<'a> {
    event: Event<'a>,
    check: PayloadCheck,
    /// Which of [`Bank::ALL`] are confirmed.
    banks: [bool; 4],
}

impl<'a> ConfirmedEvent<'a> {
    /// The event as the log has it: its type, its data and its digests of other banks are not proven.
    #[must_use]
    pub const fn event(&self) -> &Event<'a> {
        &self.event
    }

    /// The event's place in the log, the header included.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.event.index()
    }

    /// The digest, where it is proven: in the banks in which the register was confirmed.
    #[must_use]
    pub fn proven_digest(&self, bank: Bank) -> Option<Digest> {
        self.proven_digests().find(|digest| digest.algorithm() == bank)
    }

    /// The digests that are proven, at least one, weakest bank first.
    pub fn proven_digests(&self) -> impl Iterator<Item = Digest> + '_ {
        Bank::ALL
            .into_iter()
            .zip(self.banks)
            .filter(|(_, confirmed)| *confirmed)
            .filter_map(|(bank, _)| self.event.digest(bank))
    }

    /// Whether the data is that of the digests, in every bank that the event carries.
    #[must_use]
    pub const fn payload_check(&self) -> PayloadCheck {
        self.check
    }

    /// The part of the data that the digests prove, or `None` where they prove none of it.
    #[must_use]
    pub fn proven_data(&self) -> Option<&'a [u8]> {
        self.check.rule()?.covered(self.event.data())
    }

    /// Whether exactly these bytes were measured, by every proven digest and whatever the log says of type and data.
    #[must_use]
    pub fn is_measurement_of(&self, measured: &[u8]) -> bool {
        self.proven_digests().all(|digest| digest == hash(digest.algorithm(), &[measured]))
    }

    /// Whether any digest, proven or not, is that of these bytes.
    pub(crate) fn resembles(&self, measured: &[u8]) -> bool {
        self.event.known_digests().any(|digest| digest == hash(digest.algorithm(), &[measured]))
    }
}
