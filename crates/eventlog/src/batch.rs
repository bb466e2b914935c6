//! Many logs at once.

mod payloads;
#[cfg(feature = "rayon")]
mod threads;

use alloc::vec::Vec;

use nitrotpm_pcr::{AddLog, Backends, Bank, Batch, DigestPlaces, LogId, PcrIndex, PcrValues};

pub use self::payloads::CheckedPayload;
use self::payloads::Pending;
#[cfg(feature = "rayon")]
pub use self::threads::replay_parallel;
use crate::algorithm::DeclaredBanks;
use crate::log::{Digested, Visitor};
use crate::replay::{StartupLocality, start_value};
use crate::{Event, EventLog, Format, LogError, ParseOptions, ReplayedBank, ReplayedLog, ReplayedRegister};

/// Replays many logs side by side, each in all banks that the toolkit can compute.
///
/// Logs are pushed, replayed together, and read from what [`replay`](Self::replay) returns. A batch that is emptied with
/// [`clear`](Self::clear) or [`reuse`](Self::reuse) keeps its memory: once it has held logs of some size, others of that
/// size allocate nothing. About 16 to 64 logs at a time fill the vector lanes and still fit the processor's cache.
///
/// ```
/// use nitrotpm_eventlog::{EventType, LogBatch, ParseOptions, writer::LogBuilder};
/// use nitrotpm_pcr::{Bank, PcrIndex};
///
/// let mut builder = LogBuilder::crypto_agile(&[Bank::Sha256, Bank::Sha384]);
/// builder.measure(4, EventType::SEPARATOR, &[0; 4]);
/// let (good, mut bad) = (builder.finish()?, builder.finish()?);
/// bad.pop();
///
/// let mut batch = LogBatch::new();
/// let first = batch.push(&good, &ParseOptions::default())?;
/// // A log that cannot be read spoils only itself.
/// assert!(batch.push(&bad, &ParseOptions::default()).is_err());
/// let replayed = batch.replay();
/// let register = replayed.log(first).unwrap().register(Bank::Sha384, PcrIndex::new(4).unwrap());
/// assert_eq!(register.extends(), 1);
/// # Ok::<(), nitrotpm_eventlog::LogError>(())
/// ```
#[derive(Debug)]
pub struct LogBatch<'d> {
    backends: Backends,
    with_payloads: bool,
    batch: Batch<'d>,
    logs: Vec<Entry<'d>>,
    missing: Vec<Missing>,
    payloads: Vec<Pending<'d>>,
}

/// One log in a [`LogBatch`]: of use only with the batch it came from, until that is emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchedLog(usize);

/// What a batch knows of one log.
#[derive(Clone, Copy, Debug)]
struct Entry<'d> {
    log: EventLog<'d>,
    id: LogId,
    /// The banks that are replayed, by their place in [`Bank::ALL`].
    banks: u8,
    locality: u8,
    /// Where the digests that can be computed stand in a usual event.
    places: DigestPlaces,
    /// Where this log's part of the other lists begins; it ends where the next log's begins.
    missing: usize,
    payloads: usize,
}

/// The first event of a register that lacks a bank's digest.
#[derive(Clone, Copy, Debug)]
struct Missing {
    bank: Bank,
    pcr: PcrIndex,
    event: usize,
    offset: usize,
}

impl Default for LogBatch<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'d> LogBatch<'d> {
    /// An empty batch, on the instruction sets that are best on this processor.
    #[must_use]
    pub fn new() -> Self {
        Self::with_backends(Backends::detect())
    }

    /// An empty batch on instruction sets of the caller's choice. The results are the same.
    #[must_use]
    pub fn with_backends(backends: Backends) -> Self {
        Self {
            backends,
            with_payloads: false,
            batch: Batch::new(),
            logs: Vec::new(),
            missing: Vec::new(),
            payloads: Vec::new(),
        }
    }

    /// The same batch, which also checks every event's data against its digests, as [`Event::payload_check`] does: for
    /// logs that are pushed from here on. That is several times as much to hash.
    #[must_use]
    pub const fn check_payloads(mut self) -> Self {
        self.with_payloads = true;
        self
    }

    /// Parses a log and adds it, in one pass over its bytes.
    ///
    /// # Errors
    /// As [`EventLog::parse`], and [`LogError::StartupLocality`] where PCR 0 has no defined start value. The batch is
    /// then as it was before.
    pub fn push(&mut self, bytes: &'d [u8], options: &ParseOptions) -> Result<BatchedLog, LogError> {
        self.add(|_| true, |adding| EventLog::parse_visiting(bytes, options, adding))
    }

    /// Adds a log that was parsed already.
    ///
    /// # Errors
    /// [`LogError::StartupLocality`] where PCR 0 has no defined start value. The batch is then as it was before.
    pub fn push_log(&mut self, log: &EventLog<'d>) -> Result<BatchedLog, LogError> {
        self.push_banks(log, |_| true)
    }

    /// Adds some banks of a log.
    pub(crate) fn push_banks(
        &mut self,
        log: &EventLog<'d>,
        wanted: impl Fn(Bank) -> bool,
    ) -> Result<BatchedLog, LogError> {
        self.add(wanted, |adding| {
            adding.begin(log.declared());
            log.events().for_each(|event| adding.event(&event, Digested::Otherwise));
            Ok(*log)
        })
    }

    /// Takes the events that `walk` shows, and with them the log that it returns in the end.
    fn add<W: Fn(Bank) -> bool>(
        &mut self,
        wanted: W,
        walk: impl FnOnce(&mut Adding<'_, 'd, W>) -> Result<EventLog<'d>, LogError>,
    ) -> Result<BatchedLog, LogError> {
        let (missing, payloads) = (self.missing.len(), self.payloads.len());
        let mut adding = Adding {
            wanted,
            log: self.batch.add_log(),
            banks: 0,
            places: DigestPlaces::default(),
            locality: StartupLocality::default(),
            missing: Noted { list: &mut self.missing, of_this_log: missing },
            payloads: self.with_payloads.then_some(&mut self.payloads),
        };
        let added = walk(&mut adding).and_then(|log| {
            // In a CCEL log, register 0 is another thing.
            let locality = if log.format() == Format::Ccel { 0 } else { adding.locality.finish()? };
            let id = adding.log.finish(|bank, index| start_value(bank, index, locality));
            // Every start value is of the bank that it is asked for.
            let id = id.map_err(|_| LogError::NothingMeasured)?;
            Ok(Entry { log, id, banks: adding.banks, locality, places: adding.places, missing, payloads })
        });
        match added {
            Ok(entry) => {
                for pending in self.payloads.iter_mut().skip(payloads) {
                    pending.add_to(&mut self.batch, &entry.places);
                }
                self.logs.push(entry);
                Ok(BatchedLog(self.logs.len().saturating_sub(1)))
            }
            Err(error) => {
                self.missing.truncate(missing);
                self.payloads.truncate(payloads);
                Err(error)
            }
        }
    }

    /// How many logs there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.logs.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Replays all logs, and gives the results. What was replayed before is not replayed again.
    pub fn replay(&mut self) -> ReplayedBatch<'_, 'd> {
        self.batch.run(&self.backends);
        ReplayedBatch(self)
    }

    /// Where the lists stand and how long they may grow without moving.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> [(usize, usize); 3] {
        [
            (self.logs.as_ptr().addr(), self.logs.capacity()),
            (self.missing.as_ptr().addr(), self.missing.capacity()),
            (self.payloads.as_ptr().addr(), self.payloads.capacity()),
        ]
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.batch.clear();
        self.logs.clear();
        self.missing.clear();
        self.payloads.clear();
    }

    /// Empties the batch for logs that live at another time, and keeps its memory.
    #[must_use]
    pub fn reuse<'e>(self) -> LogBatch<'e> {
        let Self { backends, with_payloads, batch, logs, mut missing, payloads } = self;
        missing.clear();
        LogBatch {
            backends,
            with_payloads,
            batch: batch.reuse(),
            logs: nitrotpm_pcr::recycled(logs),
            missing,
            payloads: nitrotpm_pcr::recycled(payloads),
        }
    }
}

/// The list of missing digests, while a log is added.
struct Noted<'l> {
    list: &'l mut Vec<Missing>,
    of_this_log: usize,
}

impl Noted<'_> {
    /// Notes that an event lacks the digests of some banks, where none before it in the register does.
    #[cold]
    fn note(&mut self, event: &Event<'_>, pcr: PcrIndex, banks: u8) {
        for bank in Bank::ALL.into_iter().filter(|bank| banks & bit(*bank) != 0) {
            let mut earlier = self.list.iter().skip(self.of_this_log);
            if !earlier.any(|missing| (missing.bank, missing.pcr) == (bank, pcr)) {
                self.list.push(Missing { bank, pcr, event: event.index(), offset: event.offset() });
            }
        }
    }
}

const fn bit(bank: Bank) -> u8 {
    match bank {
        Bank::Sha1 => 1,
        Bank::Sha256 => 2,
        Bank::Sha384 => 4,
        Bank::Sha512 => 8,
    }
}

/// A log while it is added.
struct Adding<'b, 'd, W> {
    /// The banks to replay, of those that the header declares.
    wanted: W,
    log: AddLog<'b, 'd>,
    /// Those that are replayed, by their place in [`Bank::ALL`].
    banks: u8,
    places: DigestPlaces,
    locality: StartupLocality,
    missing: Noted<'b>,
    payloads: Option<&'b mut Vec<Pending<'d>>>,
}

impl<'d, W: Fn(Bank) -> bool> Visitor<'d> for Adding<'_, 'd, W> {
    fn begin(&mut self, declared: &DeclaredBanks) {
        let mut replayed = DigestPlaces::default();
        let mut at = 0_usize;
        for declared in declared.as_slice() {
            // Behind its identifier.
            at = at.saturating_add(2);
            if let Some(bank) = declared.bank() {
                self.places = self.places.with(bank, at);
                if (self.wanted)(bank) {
                    replayed = replayed.with(bank, at);
                    self.banks |= bit(bank);
                }
            }
            at = at.saturating_add(usize::from(declared.size));
        }
        self.log.lay_out(replayed);
    }

    #[inline]
    fn event(&mut self, event: &Event<'d>, digested: Digested) {
        self.locality.see(event);
        let Some(pcr) = event.pcr().filter(|_| event.extends()) else { return };
        // The parser saw that all are there.
        if digested != Digested::AllInOrder || self.log.extend_event(pcr, event.raw_digests()).is_err() {
            self.one_by_one(event, pcr);
        }
        if let Some(payloads) = &mut self.payloads {
            payloads.push(Pending::new(event, digested));
        }
    }
}

impl<'d, W> Adding<'_, 'd, W> {
    /// Each digest of an event by itself, whatever their order, and a note of those that it lacks.
    fn one_by_one(&mut self, event: &Event<'d>, pcr: PcrIndex) {
        let mut found = 0_u8;
        for (algorithm, digest) in event.digests() {
            let Some(bank) = algorithm.bank() else { continue };
            // The parser took as many bytes as the bank's digests have: none is refused.
            if self.banks & bit(bank) != 0 && self.log.extend(bank, pcr, digest).is_ok() {
                found |= bit(bank);
            }
        }
        if found != self.banks {
            self.missing.note(event, pcr, self.banks & !found);
        }
    }
}

/// The logs of a [`LogBatch`] after their replay.
#[derive(Clone, Copy, Debug)]
pub struct ReplayedBatch<'b, 'd>(&'b LogBatch<'d>);

impl<'b, 'd> ReplayedBatch<'b, 'd> {
    /// One log; `None` where it is of another batch.
    #[must_use]
    pub fn log(&self, log: BatchedLog) -> Option<BatchReplay<'b, 'd>> {
        self.0.logs.get(log.0).map(|entry| BatchReplay { batch: self.0, place: log.0, entry })
    }

    /// All logs, in the order in which they were pushed.
    pub fn logs(&self) -> impl Iterator<Item = BatchReplay<'b, 'd>> + use<'b, 'd> {
        let batch = self.0;
        batch.logs.iter().enumerate().map(move |(place, entry)| BatchReplay { batch, place, entry })
    }
}

/// One log of a [`LogBatch`] and the values that its events give. Nothing of it is proven: the values are the log's own,
/// and [`ReplayedLog::confirm`] compares them with authenticated ones.
#[derive(Clone, Copy, Debug)]
pub struct BatchReplay<'b, 'd> {
    batch: &'b LogBatch<'d>,
    place: usize,
    entry: &'b Entry<'d>,
}

impl<'b, 'd> BatchReplay<'b, 'd> {
    /// The log.
    #[must_use]
    pub const fn log(&self) -> &'b EventLog<'d> {
        &self.entry.log
    }

    /// The locality at which the log says the platform started: 0 unless it says otherwise.
    #[must_use]
    pub const fn startup_locality(&self) -> u8 {
        self.entry.locality
    }

    /// The banks that were replayed, in the header's order.
    pub fn banks(&self) -> impl Iterator<Item = Bank> + use<'b, 'd> {
        let entry = self.entry;
        entry.log.known_banks().filter(move |bank| entry.banks & bit(*bank) != 0)
    }

    /// One register. One without events, or of a bank that was not replayed, holds its start value.
    #[must_use]
    pub fn register(&self, bank: Bank, pcr: PcrIndex) -> ReplayedRegister {
        let replayed = self.batch.batch.register(self.entry.id, bank, pcr);
        let (value, extends) = replayed.unwrap_or_else(|| (start_value(bank, pcr, self.entry.locality), 0));
        let missing = self.missing().iter().find(|missing| (missing.bank, missing.pcr) == (bank, pcr));
        ReplayedRegister::new(value, extends, missing.map(|missing| (missing.event, missing.offset)))
    }

    /// The registers of a bank that have events, in order.
    pub fn registers(&self, bank: Bank) -> impl Iterator<Item = (PcrIndex, ReplayedRegister)> + use<'b, 'd> {
        let log = *self;
        let lacking = !self.missing().is_empty();
        PcrIndex::all().filter_map(move |pcr| {
            if lacking {
                return Some((pcr, log.register(bank, pcr))).filter(|(_, register)| register.has_events());
            }
            let (value, extends) = log.batch.batch.register(log.entry.id, bank, pcr)?;
            Some((pcr, ReplayedRegister::new(value, extends, None)))
        })
    }

    /// The values of all registers that have events and whose events all carry the bank's digest.
    #[must_use]
    pub fn values(&self) -> PcrValues {
        let mut values = PcrValues::new();
        for bank in self.banks() {
            for (pcr, value) in self.registers(bank).filter_map(|(pcr, register)| Some((pcr, register.value()?))) {
                // No bank stands twice in a header, and no register twice in a bank.
                let _ = values.insert(pcr, value);
            }
        }
        values
    }

    /// The registers of one bank, as [`EventLog::replay`] gives them; `None` for a bank that was not replayed.
    pub(crate) fn bank(&self, bank: Bank) -> Option<ReplayedBank> {
        self.banks()
            .any(|replayed| replayed == bank)
            .then(|| ReplayedBank::new(bank, PcrIndex::all().map(|pcr| self.register(bank, pcr))))
    }

    /// The log and its values on their own, as [`EventLog::replay_all`] gives them: to be confirmed, or explained.
    #[must_use]
    pub fn to_replayed(&self) -> ReplayedLog<'d> {
        let banks = self.banks().filter_map(|bank| self.bank(bank)).collect();
        ReplayedLog::new(self.entry.log, self.entry.locality, banks)
    }

    fn missing(&self) -> &'b [Missing] {
        let next = self.batch.logs.get(self.place.saturating_add(1));
        let end = next.map_or(self.batch.missing.len(), |next| next.missing);
        self.batch.missing.get(self.entry.missing..end).unwrap_or_default()
    }

    /// The event-data checks, one for each event that was extended, in order; none where the batch was not made to
    /// [check payloads](LogBatch::check_payloads).
    pub fn payload_checks(&self) -> impl Iterator<Item = CheckedPayload> + use<'b, 'd> {
        let next = self.batch.logs.get(self.place.saturating_add(1));
        let end = next.map_or(self.batch.payloads.len(), |next| next.payloads);
        let pending = self.batch.payloads.get(self.entry.payloads..end).unwrap_or_default();
        let (batch, places) = (&self.batch.batch, &self.entry.places);
        pending.iter().map(move |pending| pending.check(batch, places))
    }
}
