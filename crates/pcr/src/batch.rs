//! Replays many logs at once: their registers are independent of each other, and share the processor's lanes.

use alloc::vec::Vec;

use nitrotpm_digest_lanes::{
    AlgorithmMismatch, Backends, Digest, DigestBytes, ExtendChain, HashAlgorithm, Message, WrongLength,
};

pub use self::events::DigestPlaces;
use self::events::WholeEvents;
pub use self::messages::MessageId;
use self::messages::{Hashed, Messages};
use self::order::longest_first;
use crate::PcrIndex;

mod events;
mod messages;
mod order;

/// Registers to extend and messages to hash, of any number of logs.
///
/// Everything that is added is borrowed, and [`run`](Self::run) does it all together. The memory can be used again:
/// [`clear`](Self::clear) and [`reuse`](Self::reuse) keep it, so that a batch that was once as large allocates nothing.
/// Some 64 logs at a time fill the lanes well and still fit the processor's cache.
///
/// ```
/// use nitrotpm_pcr::{Backends, Bank, Batch, Chain, Digest, PcrIndex, reset_value};
///
/// let pcr4 = PcrIndex::new(4).unwrap();
/// let measured = [[1; 48], [2; 48]];
///
/// let mut batch = Batch::new();
/// let mut adding = batch.add_log();
/// for digest in &measured {
///     adding.extend(Bank::Sha384, pcr4, digest)?;
/// }
/// let log = adding.finish(reset_value)?;
/// batch.run(&Backends::detect());
///
/// let mut chain = Chain::new(Bank::Sha384, pcr4);
/// chain.extend(&Digest::from(measured[0]))?;
/// chain.extend(&Digest::from(measured[1]))?;
/// assert_eq!(batch.register(log, Bank::Sha384, pcr4), Some((chain.value(), 2)));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Batch<'d> {
    sha1: Room<'d, [u8; 20]>,
    sha256: Room<'d, [u8; 32]>,
    sha384: Room<'d, [u8; 48]>,
    sha512: Room<'d, [u8; 64]>,
    /// Those events of the log that is being added which have all banks.
    events: WholeEvents<'d>,
    messages: Messages<'d>,
    logs: usize,
}

/// One log in a [`Batch`]. Of use only with the batch it came from, until that is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogId(usize);

/// Why a log was not added to a batch. The batch is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// A digest has not the bank's length.
    #[error("a digest for PCR {index}: {cause}; the log is damaged or was read with another bank's digest sizes")]
    DigestLength {
        /// The register.
        index: PcrIndex,
        /// The length.
        cause: WrongLength,
    },
    /// The start value of a register is of another bank.
    #[error("the start value of PCR {index} is of another bank: {cause}; give a value of the bank that is replayed")]
    StartBank {
        /// The register.
        index: PcrIndex,
        /// The banks.
        cause: AlgorithmMismatch,
    },
}

impl BatchError {
    /// Every code that [`code`](Self::code) gives.
    pub const CODES: &'static [&'static str] = &["batch.digest-length", "batch.start-bank"];

    /// The stable code of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::DigestLength { .. } => "batch.digest-length",
            Self::StartBank { .. } => "batch.start-bank",
        }
    }
}

/// Runs `$do` with `$room` bound to the room of a bank, borrowed as `$borrow` says.
macro_rules! with_room {
    ([$($borrow:tt)+] $batch:expr, $bank:expr, $room:ident => $do:expr) => {
        match $bank {
            HashAlgorithm::Sha1 => {
                let $room = $($borrow)+ $batch.sha1;
                $do
            }
            HashAlgorithm::Sha256 => {
                let $room = $($borrow)+ $batch.sha256;
                $do
            }
            HashAlgorithm::Sha384 => {
                let $room = $($borrow)+ $batch.sha384;
                $do
            }
            HashAlgorithm::Sha512 => {
                let $room = $($borrow)+ $batch.sha512;
                $do
            }
        }
    };
}

impl<'d> Batch<'d> {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to add a log. Where it is not finished, the batch is as it was before.
    pub fn add_log(&mut self) -> AddLog<'_, 'd> {
        self.sha1.begin();
        self.sha256.begin();
        self.sha384.begin();
        self.sha512.begin();
        self.events.begin();
        AddLog(self)
    }

    /// Adds a message to be hashed in some banks, such as the data of an event.
    pub fn add_message(&mut self, banks: impl IntoIterator<Item = HashAlgorithm>, bytes: &'d [u8]) -> MessageId {
        self.messages.add(banks, bytes)
    }

    /// Extends every register and hashes every message that was added since the batch was last run.
    pub fn run(&mut self, backends: &Backends) {
        let messages = self.messages.begin();
        self.sha1.run(messages, backends);
        self.sha256.run(messages, backends);
        self.sha384.run(messages, backends);
        self.sha512.run(messages, backends);
        self.messages.end();
    }

    /// The value of a register and how many digests were extended into it, or `None` where it had no event.
    ///
    /// Before [`run`](Self::run), the value is the start value.
    #[must_use]
    pub fn register(&self, log: LogId, bank: HashAlgorithm, index: PcrIndex) -> Option<(Digest, usize)> {
        with_room!([&] self, bank, room => room.register(log.0, index))
    }

    /// The registers of a bank that had events, ascending, with their values and numbers of extends.
    pub fn registers(&self, log: LogId, bank: HashAlgorithm) -> impl Iterator<Item = (PcrIndex, Digest, usize)> + '_ {
        PcrIndex::all().filter_map(move |index| {
            let (value, extends) = self.register(log, bank, index)?;
            Some((index, value, extends))
        })
    }

    /// The digest of a message; `None` before [`run`](Self::run), or where it was not to be hashed in this bank.
    #[must_use]
    pub fn digest(&self, message: MessageId, bank: HashAlgorithm) -> Option<Digest> {
        let place = self.messages.place(message, bank)?;
        with_room!([&] self, bank, room => room.hashed.digest(place).map(DigestBytes::to_digest))
    }

    /// Whether this is the digest of a message; `false` where [`digest`](Self::digest) is `None`.
    #[must_use]
    #[inline]
    pub fn digest_is(&self, message: MessageId, bank: HashAlgorithm, expected: &[u8]) -> bool {
        let Some(place) = self.messages.place(message, bank) else { return false };
        with_room!([&] self, bank, room => {
            let digest = room.hashed.digest(place);
            digest.is_some() && digest == DigestBytes::from_slice(expected)
        })
    }

    /// Whether the digests of an event are those of a message, in every bank that has a place; `false` where the message
    /// was not hashed in one of them, and where none has a place.
    #[must_use]
    pub fn digests_are(&self, message: MessageId, digests: &[u8], places: &DigestPlaces) -> bool {
        let Some(message) = self.messages.place_in_all(message, places) else { return false };
        self.sha1.hashed.is_among(message, digests, places)
            && self.sha256.hashed.is_among(message, digests, places)
            && self.sha384.hashed.is_among(message, digests, places)
            && self.sha512.hashed.is_among(message, digests, places)
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.sha1.clear();
        self.sha256.clear();
        self.sha384.clear();
        self.sha512.clear();
        self.messages.clear();
        self.logs = 0;
    }

    /// Empties the batch for data that lives at another time, and keeps its memory.
    #[must_use]
    pub fn reuse<'e>(self) -> Batch<'e> {
        Batch {
            sha1: self.sha1.reuse(),
            sha256: self.sha256.reuse(),
            sha384: self.sha384.reuse(),
            sha512: self.sha512.reuse(),
            events: self.events.reuse(),
            messages: self.messages.reuse(),
            logs: 0,
        }
    }
}

/// A log that is being added to a [`Batch`].
#[derive(Debug)]
pub struct AddLog<'b, 'd>(&'b mut Batch<'d>);

impl<'d> AddLog<'_, 'd> {
    /// Adds one digest of one event, in the order of the log.
    ///
    /// Which events are extended is the log's business: those of type `EV_NO_ACTION` are not.
    ///
    /// # Errors
    /// [`BatchError::DigestLength`] for a digest that has not the bank's length.
    #[inline]
    pub fn extend(&mut self, bank: HashAlgorithm, index: PcrIndex, digest: &'d [u8]) -> Result<(), BatchError> {
        // What came before it is extended before it.
        self.settle(index);
        with_room!([&mut] self.0, bank, room => room.extend(index, digest))
    }

    /// Says where the digests of those events stand which [`extend_event`](Self::extend_event) adds from here on.
    pub fn lay_out(&mut self, places: DigestPlaces) {
        PcrIndex::all().for_each(|index| self.settle(index));
        self.0.events.places = places;
    }

    /// Adds the digests of one event in all banks that were [laid out](Self::lay_out), in the order of the log.
    ///
    /// The same as [`extend`](Self::extend) for each of them, and several times as fast: the bytes are noted once.
    ///
    /// # Errors
    /// [`BatchError::DigestLength`] where `digests` ends before the last digest does.
    #[inline]
    pub fn extend_event(&mut self, index: PcrIndex, digests: &'d [u8]) -> Result<(), BatchError> {
        self.0.events.push(index, digests)
    }

    /// Hands the events of a register that are noted as a whole to each bank, so that others can follow them.
    #[inline]
    fn settle(&mut self, index: PcrIndex) {
        if self.0.events.has(index) {
            self.hand_over(index);
        }
    }

    #[cold]
    fn hand_over(&mut self, index: PcrIndex) {
        let Batch { sha1, sha256, sha384, sha512, events, .. } = &mut *self.0;
        sha1.take_over(index, events);
        sha256.take_over(index, events);
        sha384.take_over(index, events);
        sha512.take_over(index, events);
        events.forget(index);
    }

    /// Ends the log. `start` gives the value before the first extend of each register that has events.
    ///
    /// # Errors
    /// [`BatchError::StartBank`] for a start value of another bank.
    pub fn finish(self, mut start: impl FnMut(HashAlgorithm, PcrIndex) -> Digest) -> Result<LogId, BatchError> {
        let batch = self.0;
        let log = batch.logs;
        let events = &batch.events;
        let done = (batch.sha1.finish(events, &mut start))
            .and_then(|()| batch.sha256.finish(events, &mut start))
            .and_then(|()| batch.sha384.finish(events, &mut start))
            .and_then(|()| batch.sha512.finish(events, &mut start));
        batch.events.begin();
        if let Err(error) = done {
            // Those banks that took the log before the error let go of it.
            batch.sha1.keep(log);
            batch.sha256.keep(log);
            batch.sha384.keep(log);
            batch.sha512.keep(log);
            return Err(error);
        }
        batch.logs = log.saturating_add(1);
        Ok(LogId(log))
    }
}

/// A register: its value, and where in [`Room::digests`] that which is to be extended stands.
#[derive(Clone, Copy, Debug)]
struct Register<B> {
    value: B,
    from: usize,
    extends: usize,
}

const REGISTERS: usize = 24;

/// The bit of a register.
#[inline]
fn bit(index: PcrIndex) -> u32 {
    1_u32.wrapping_shl(u32::from(index.get()))
}

/// No place in a list.
const NONE: u32 = u32::MAX;

/// What a batch holds of one bank.
#[derive(Debug)]
struct Room<'d, B> {
    /// The digests, register after register, each register's in the order of its log.
    digests: Vec<&'d B>,
    registers: Vec<Register<B>>,
    /// For each log, the places of its registers.
    logs: Vec<[u32; REGISTERS]>,
    /// How many registers were run already.
    done: usize,
    hashed: Hashed<B>,
    // Memory that is used in one call only, kept for the next.
    /// The digests of the log that is being added, by register, and a bit for each register that has some.
    incoming: [Vec<&'d B>; REGISTERS],
    touched: u32,
    order: Vec<u32>,
    chains: Vec<ExtendChain<'d, B>>,
    jobs: Vec<Message<'d, B>>,
}

impl<B> Default for Room<'_, B> {
    fn default() -> Self {
        Self {
            digests: Vec::new(),
            registers: Vec::new(),
            logs: Vec::new(),
            done: 0,
            hashed: Hashed::default(),
            incoming: [const { Vec::new() }; REGISTERS],
            touched: 0,
            order: Vec::new(),
            chains: Vec::new(),
            jobs: Vec::new(),
        }
    }
}

impl<'d, B: DigestBytes> Room<'d, B> {
    /// Lets go of a log that was not finished.
    fn begin(&mut self) {
        if self.touched != 0 {
            self.incoming.iter_mut().for_each(Vec::clear);
            self.touched = 0;
        }
    }

    #[inline]
    fn extend(&mut self, index: PcrIndex, bytes: &'d [u8]) -> Result<(), BatchError> {
        let Some(digest) = B::from_slice(bytes) else {
            let cause = WrongLength { algorithm: B::ALGORITHM, found: bytes.len() };
            return Err(BatchError::DigestLength { index, cause });
        };
        if let Some(list) = self.incoming.get_mut(usize::from(index)) {
            list.push(digest);
            self.touched |= bit(index);
        }
        Ok(())
    }

    /// The digests of a register's whole events.
    fn take_over(&mut self, index: PcrIndex, events: &WholeEvents<'d>) {
        let mut digests = events.digests::<B>(index).peekable();
        if let Some(list) = self.incoming.get_mut(usize::from(index))
            && digests.peek().is_some()
        {
            list.extend(digests);
            self.touched |= bit(index);
        }
    }

    /// Each register's digests get a stretch of their own, in the order of the log.
    fn finish(
        &mut self,
        events: &WholeEvents<'d>,
        start: &mut impl FnMut(HashAlgorithm, PcrIndex) -> Digest,
    ) -> Result<(), BatchError> {
        let mut places = [NONE; REGISTERS];
        let touched = self.touched | events.touched_in(B::ALGORITHM);
        if touched != 0 {
            for ((index, list), place) in PcrIndex::all().zip(&mut self.incoming).zip(&mut places) {
                if touched & bit(index) == 0 {
                    continue;
                }
                let value = start(B::ALGORITHM, index);
                let Some(value) = B::from_slice(value.as_bytes()).filter(|_| value.algorithm() == B::ALGORITHM) else {
                    let cause = AlgorithmMismatch { register: value.algorithm(), measured: B::ALGORITHM };
                    // Counted, so that it is let go of like a whole one.
                    self.logs.push(places);
                    return Err(BatchError::StartBank { index, cause });
                };
                *place = u32::try_from(self.registers.len()).unwrap_or(NONE);
                let from = self.digests.len();
                self.digests.append(list);
                self.digests.extend(events.digests::<B>(index));
                let extends = self.digests.len().saturating_sub(from);
                self.registers.push(Register { value: *value, from, extends });
            }
            self.touched = 0;
        }
        self.logs.push(places);
        Ok(())
    }

    /// Keeps the first `logs` logs.
    fn keep(&mut self, logs: usize) {
        let dropped = self.logs.iter().skip(logs).flatten().copied().min().unwrap_or(NONE);
        let registers = usize::try_from(dropped).unwrap_or(usize::MAX);
        if let Some(register) = self.registers.get(registers) {
            self.digests.truncate(register.from);
            self.registers.truncate(registers);
        }
        self.logs.truncate(logs);
        self.begin();
    }

    fn run(&mut self, messages: &Messages<'d>, backends: &Backends) {
        self.run_registers(backends);
        messages.hash(&mut self.jobs, &mut self.hashed, backends);
    }

    fn run_registers(&mut self, backends: &Backends) {
        let done = core::mem::replace(&mut self.done, self.registers.len());
        let lengths = self.registers.iter().skip(done).map(|register| register.extends);
        longest_first(&mut self.order, lengths);
        // The chains borrow the list of digests, which lives shorter than what the digests stand in.
        let mut chains = recycled(core::mem::take(&mut self.chains));
        for register in self.order.iter().filter_map(|number| self.registers.get(place(*number, done))) {
            let end = register.from.saturating_add(register.extends);
            let digests = self.digests.get(register.from..end).unwrap_or_default();
            chains.push(ExtendChain { value: register.value, digests });
        }
        backends.extend_many(&mut chains);
        for (number, chain) in self.order.iter().zip(&chains) {
            if let Some(register) = self.registers.get_mut(place(*number, done)) {
                register.value = chain.value;
            }
        }
        self.chains = recycled(chains);
    }

    fn register(&self, log: usize, index: PcrIndex) -> Option<(Digest, usize)> {
        let place = *self.logs.get(log)?.get(usize::from(index))?;
        let register = self.registers.get(usize::try_from(place).ok()?)?;
        Some((register.value.to_digest(), register.extends))
    }

    fn clear(&mut self) {
        self.digests.clear();
        self.registers.clear();
        self.logs.clear();
        self.hashed.clear();
        self.done = 0;
    }

    fn reuse<'e>(mut self) -> Room<'e, B> {
        self.clear();
        Room {
            digests: recycled(self.digests),
            registers: self.registers,
            logs: self.logs,
            done: 0,
            hashed: self.hashed,
            incoming: self.incoming.map(recycled),
            touched: 0,
            order: self.order,
            chains: recycled(self.chains),
            jobs: recycled(self.jobs),
        }
    }
}

/// An empty list in the memory of another one, whose items lived at another time.
///
/// The standard library collects into the memory it takes items from where both are laid out alike; were it once not
/// to, a batch would only allocate anew. A test watches it.
#[must_use]
pub fn recycled<T, U>(mut list: Vec<T>) -> Vec<U> {
    list.clear();
    list.into_iter().filter_map(|_| None).collect()
}

/// The place in a list whose first `done` items were left out of the order.
fn place(number: u32, done: usize) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX).saturating_add(done)
}

#[cfg(test)]
mod tests;
