//! From the events of a log to the values of registers.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use nitrotpm_pcr::{Bank, Chain, Digest, PcrIndex, PcrValues, reset_value};

use crate::decode::{Decoded, startup_locality};
use crate::{Event, EventLog, EventType, LogBatch, LogError};

/// One register of one bank after a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayedRegister {
    chain: Chain,
    missing: Option<(usize, usize)>,
}

impl ReplayedRegister {
    /// A register with this many extends behind it, and the first event (its index and offset) that lacks the digest.
    pub(crate) const fn new(value: Digest, extends: usize, missing: Option<(usize, usize)>) -> Self {
        Self { chain: Chain::resume(value, extends), missing }
    }

    /// The value that the events give, or `None` where one of them lacks the bank's digest.
    #[must_use]
    pub const fn value(&self) -> Option<Digest> {
        match self.missing {
            None => Some(self.chain.value()),
            Some(_) => None,
        }
    }

    /// The value that those events give which carry the bank's digest; differs from [`Self::value`] only where that is
    /// `None`, and then proves nothing.
    #[must_use]
    pub const fn partial_value(&self) -> Digest {
        self.chain.value()
    }

    /// How many events were extended into the register.
    #[must_use]
    pub const fn extends(&self) -> usize {
        self.chain.extends()
    }

    /// Whether any event belongs to the register, with the bank's digest or without.
    #[must_use]
    pub const fn has_events(&self) -> bool {
        self.extends() > 0 || self.missing.is_some()
    }

    /// The first event that lacks the bank's digest: its index.
    #[must_use]
    pub fn missing_digest(&self) -> Option<usize> {
        self.missing.map(|(event, _)| event)
    }
}

/// The registers of one bank after a replay.
#[derive(Clone, Debug)]
pub struct ReplayedBank {
    bank: Bank,
    registers: Vec<ReplayedRegister>,
}

impl ReplayedBank {
    /// A bank of these registers, all 24 in order.
    pub(crate) fn new(bank: Bank, registers: impl Iterator<Item = ReplayedRegister>) -> Self {
        Self { bank, registers: registers.collect() }
    }

    /// The bank.
    #[must_use]
    pub const fn bank(&self) -> Bank {
        self.bank
    }

    /// One register. One without events holds its start value.
    #[must_use]
    pub fn register(&self, index: PcrIndex) -> ReplayedRegister {
        // All 24 are there.
        self.registers
            .get(usize::from(index))
            .copied()
            .unwrap_or(ReplayedRegister { chain: Chain::new(self.bank, index), missing: None })
    }

    /// The registers that have events, in order.
    pub fn with_events(&self) -> impl Iterator<Item = (PcrIndex, ReplayedRegister)> + '_ {
        PcrIndex::all().map(|index| (index, self.register(index))).filter(|(_, register)| register.has_events())
    }

    /// Extends a digest, which is one of this bank, or notes that the event has none.
    fn extend(&mut self, index: PcrIndex, event: usize, offset: usize, digest: Option<Digest>) {
        let Some(register) = self.registers.get_mut(usize::from(index)) else { return };
        let extended = digest.is_some_and(|digest| register.chain.extend(&digest).is_ok());
        if !extended && register.missing.is_none() {
            register.missing = Some((event, offset));
        }
    }
}

/// The value before the first event: the reset value, but the locality in the last byte of PCR 0 (TCG PC Client Platform
/// Firmware Profile 1.06, section 10.4.5.3; TPM 2.0 Library Part 1, section 34.3).
pub(crate) fn start_value(bank: Bank, index: PcrIndex, locality: u8) -> Digest {
    if index.get() != 0 || locality == 0 {
        return reset_value(bank, index);
    }
    let mut bytes = [0; 64];
    if let Some(last) = bank.digest_len().checked_sub(1).and_then(|last| bytes.get_mut(last)) {
        *last = locality;
    }
    bytes.get(..bank.digest_len()).and_then(|bytes| Digest::new(bank, bytes).ok()).unwrap_or(Digest::zero(bank))
}

/// A log and the values that its events give, in every bank that the toolkit can compute.
///
/// The values are the log's own: [`ReplayedLog::confirm`] compares them with authenticated ones.
#[derive(Clone, Debug)]
pub struct ReplayedLog<'a> {
    log: EventLog<'a>,
    locality: u8,
    banks: Vec<ReplayedBank>,
    /// Registers that another log goes on with.
    continued: BTreeSet<PcrIndex>,
}

impl<'a> ReplayedLog<'a> {
    pub(crate) const fn new(log: EventLog<'a>, locality: u8, banks: Vec<ReplayedBank>) -> Self {
        Self { log, locality, banks, continued: BTreeSet::new() }
    }

    /// The log.
    #[must_use]
    pub const fn log(&self) -> &EventLog<'a> {
        &self.log
    }

    /// The locality at which the log says the platform started: 0 unless it says otherwise.
    #[must_use]
    pub const fn startup_locality(&self) -> u8 {
        self.locality
    }

    /// The banks in the header's order.
    #[must_use]
    pub fn banks(&self) -> &[ReplayedBank] {
        &self.banks
    }

    /// One bank.
    #[must_use]
    pub fn bank(&self, bank: Bank) -> Option<&ReplayedBank> {
        self.banks.iter().find(|replayed| replayed.bank == bank)
    }

    /// Extends what software measured after the events.
    pub(crate) fn extend_later(&mut self, index: PcrIndex, event: usize, digest: impl Fn(Bank) -> Option<Digest>) {
        self.continued.insert(index);
        for bank in &mut self.banks {
            bank.extend(index, event, 0, digest(bank.bank));
        }
    }

    /// Whether software measured into the register after the events of this log.
    pub(crate) fn is_continued(&self, index: PcrIndex) -> bool {
        self.continued.contains(&index)
    }

    /// The values of all registers that have events and whose events all carry the bank's digest.
    #[must_use]
    pub fn values(&self) -> PcrValues {
        let mut values = PcrValues::new();
        for bank in &self.banks {
            for (index, value) in bank.with_events().filter_map(|(index, register)| Some((index, register.value()?))) {
                // No bank stands twice in a header, and no register twice in a bank.
                let _ = values.insert(index, value);
            }
        }
        values
    }
}

impl<'a> EventLog<'a> {
    /// Replays one bank.
    ///
    /// # Errors
    /// [`LogError::BankNotInLog`], and [`LogError::StartupLocality`] where PCR 0 has no defined start value.
    pub fn replay(&self, bank: Bank) -> Result<ReplayedBank, LogError> {
        if !self.has_bank(bank) {
            return Err(LogError::BankNotInLog { bank });
        }
        let mut batch = LogBatch::new();
        let place = batch.push_banks(self, |other| other == bank)?;
        let replayed = batch.replay();
        replayed.log(place).and_then(|log| log.bank(bank)).ok_or(LogError::BankNotInLog { bank })
    }

    /// Replays every bank that the toolkit can compute, in one pass over the events.
    ///
    /// The registers and banks are extended side by side. Many logs are faster in one [`LogBatch`].
    ///
    /// # Errors
    /// [`LogError::StartupLocality`] where PCR 0 has no defined start value.
    pub fn replay_all(&self) -> Result<ReplayedLog<'a>, LogError> {
        let mut batch = LogBatch::new();
        let place = batch.push_log(self)?;
        // The log was just added.
        batch.replay().log(place).map(|log| log.to_replayed()).ok_or(LogError::NothingMeasured)
    }
}

/// Finds the locality at which the platform started, event by event.
///
/// A `StartupLocality` event stands in PCR 0, before anything is extended there, at most once, and says 0, 3 or 4. An
/// H-CRTM event is extended at locality 4, and so says the same as a locality of 4.
#[derive(Debug, Default)]
pub(crate) struct StartupLocality {
    stated: Option<u8>,
    extended: bool,
    error: Option<LogError>,
}

impl StartupLocality {
    /// The locality, after all events; 0 where the log names none.
    pub(crate) fn finish(self) -> Result<u8, LogError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.stated.unwrap_or(0)),
        }
    }

    /// Looks at the next event. The first that breaks a rule decides.
    #[inline]
    pub(crate) fn see(&mut self, event: &Event<'_>) {
        let no_action = event.event_type() == EventType::NO_ACTION;
        if (no_action || event.pcr().is_some_and(|index| index.get() == 0))
            && self.error.is_none()
            // A copy: a caller's event need not lie in memory for the few that are looked at.
            && let Err(error) = self.judge(&{ *event }, no_action)
        {
            self.error = Some(error);
        }
    }

    fn judge(&mut self, event: &Event<'_>, no_action: bool) -> Result<(), LogError> {
        let refuse = |problem| Err(LogError::StartupLocality { event: event.index(), offset: event.offset(), problem });
        if no_action {
            let Some(decoded) = startup_locality(event.data(), event.data_offset())? else { return Ok(()) };
            let Decoded::StartupLocality { locality, .. } = decoded else { return Ok(()) };
            let in_pcr0 = event.pcr().is_some_and(|index| index.get() == 0);
            match (in_pcr0, self.stated, self.extended, locality) {
                (false, ..) => return refuse("is given for a register that is not PCR 0"),
                (_, Some(_), ..) => return refuse("is given twice"),
                (.., true, _) => return refuse("is given after PCR 0 was extended"),
                (.., 0 | 3 | 4) => self.stated = Some(locality),
                _ => return refuse("is not 0, 3 or 4"),
            }
            return Ok(());
        }
        if event.event_type() == EventType::EFI_HCRTM_EVENT {
            match (self.extended, self.stated) {
                (true, _) => return refuse("of an H-CRTM comes after PCR 0 was extended"),
                (_, None | Some(4)) => self.stated = Some(4),
                _ => return refuse("that the log gives is not 4, the one of its H-CRTM event"),
            }
        }
        self.extended = true;
        Ok(())
    }
}
