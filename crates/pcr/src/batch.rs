//! Replays many logs at once: their registers are independent of each other, and share the processor's lanes.

use alloc::vec::Vec;

use nitrotpm_digest_lanes::{
    AlgorithmMismatch, Backends, Digest, DigestBytes, ExtendChain, HashAlgorithm, Message, WrongLength,
};

use crate::PcrIndex;

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
/// let events = measured.iter().map(|digest| (pcr4, digest.as_slice()));
///
/// let mut batch = Batch::new();
/// let log = batch.add_bank(Bank::Sha384, |index| reset_value(Bank::Sha384, index), events)?;
/// batch.run(&Backends::detect());
///
/// let mut chain = Chain::new(Bank::Sha384, pcr4);
/// chain.extend(&Digest::from(measured[0]))?;
/// chain.extend(&Digest::from(measured[1]))?;
/// assert_eq!(batch.register(log, pcr4), Some((chain.value(), 2)));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Batch<'d> {
    sha1: Room<'d, [u8; 20]>,
    sha256: Room<'d, [u8; 32]>,
    sha384: Room<'d, [u8; 48]>,
    sha512: Room<'d, [u8; 64]>,
}

/// One bank of one log in a [`Batch`]. Of use only with the batch it came from, until that is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BankId {
    bank: HashAlgorithm,
    place: usize,
}

/// One message in a [`Batch`]. Of use only with the batch it came from, until that is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId {
    bank: HashAlgorithm,
    place: usize,
}

/// Why a bank of a log was not added to a batch. The batch is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// An event's digest has not the bank's length.
    #[error(
        "event {event} of the events given for this bank: {cause}; the log is damaged or was read with another bank's \
         digest sizes"
    )]
    DigestLength {
        /// Which of the events given, counted from 0.
        event: usize,
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
    pub const CODES: &'static [&'static str] = &["batch.digest_length", "batch.start_bank"];

    /// The stable code of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::DigestLength { .. } => "batch.digest_length",
            Self::StartBank { .. } => "batch.start_bank",
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

    /// Adds one bank of one log: the events that are extended, in the order of the log, each with its register and
    /// its digest in this bank. `start` gives the value before the first extend of each register that has events.
    ///
    /// Which events are extended is the log's business: those of type `EV_NO_ACTION` are not.
    ///
    /// # Errors
    /// [`BatchError`] for a digest that has not the bank's length, or a start value of another bank.
    pub fn add_bank(
        &mut self,
        bank: HashAlgorithm,
        start: impl FnMut(PcrIndex) -> Digest,
        events: impl IntoIterator<Item = (PcrIndex, &'d [u8])>,
    ) -> Result<BankId, BatchError> {
        let place = with_room!([&mut] self, bank, room => room.add_bank(start, events))?;
        Ok(BankId { bank, place })
    }

    /// Adds a message to be hashed, such as the data of an event.
    pub fn add_message(&mut self, bank: HashAlgorithm, bytes: &'d [u8]) -> MessageId {
        let place = with_room!([&mut] self, bank, room => room.add_message(bytes));
        MessageId { bank, place }
    }

    /// Extends every register and hashes every message that was added since the batch was last run.
    pub fn run(&mut self, backends: &Backends) {
        self.sha1.run(backends);
        self.sha256.run(backends);
        self.sha384.run(backends);
        self.sha512.run(backends);
    }

    /// The value of a register and how many digests were extended into it, or `None` where it had no event.
    ///
    /// Before [`run`](Self::run), the value is the start value.
    #[must_use]
    pub fn register(&self, bank: BankId, index: PcrIndex) -> Option<(Digest, usize)> {
        with_room!([&] self, bank.bank, room => room.register(bank.place, index))
    }

    /// The registers of a bank that had events, ascending, with their values and numbers of extends.
    pub fn registers(&self, bank: BankId) -> impl Iterator<Item = (PcrIndex, Digest, usize)> + '_ {
        PcrIndex::all().filter_map(move |index| {
            let (value, extends) = self.register(bank, index)?;
            Some((index, value, extends))
        })
    }

    /// The digest of a message, or `None` before [`run`](Self::run).
    #[must_use]
    pub fn digest(&self, message: MessageId) -> Option<Digest> {
        with_room!([&] self, message.bank, room => room.digest(message.place))
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.sha1.clear();
        self.sha256.clear();
        self.sha384.clear();
        self.sha512.clear();
    }

    /// Empties the batch for data that lives at another time, and keeps its memory.
    #[must_use]
    pub fn reuse<'e>(self) -> Batch<'e> {
        Batch {
            sha1: self.sha1.reuse(),
            sha256: self.sha256.reuse(),
            sha384: self.sha384.reuse(),
            sha512: self.sha512.reuse(),
        }
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

/// No place in a list.
const NONE: u32 = u32::MAX;

/// What a batch holds of one bank.
#[derive(Debug)]
struct Room<'d, B> {
    /// The digests, register after register, each register's in the order of its log.
    digests: Vec<&'d B>,
    registers: Vec<Register<B>>,
    /// For each bank of a log, the places of its registers.
    banks: Vec<[u32; REGISTERS]>,
    /// What was run already: registers, messages.
    done: (usize, usize),
    messages: Vec<Message<'d, B>>,
    // Memory that is used in one call only, kept for the next.
    /// The digests of the bank that is being added, by register.
    incoming: [Vec<&'d B>; REGISTERS],
    order: Vec<u32>,
    chains: Vec<ExtendChain<'d, B>>,
    jobs: Vec<Message<'d, B>>,
}

impl<B> Default for Room<'_, B> {
    fn default() -> Self {
        Self {
            digests: Vec::new(),
            registers: Vec::new(),
            banks: Vec::new(),
            done: (0, 0),
            messages: Vec::new(),
            incoming: [const { Vec::new() }; REGISTERS],
            order: Vec::new(),
            chains: Vec::new(),
            jobs: Vec::new(),
        }
    }
}

impl<'d, B: DigestBytes> Room<'d, B> {
    fn add_bank(
        &mut self,
        mut start: impl FnMut(PcrIndex) -> Digest,
        events: impl IntoIterator<Item = (PcrIndex, &'d [u8])>,
    ) -> Result<usize, BatchError> {
        self.incoming.iter_mut().for_each(Vec::clear);
        for (event, (index, bytes)) in events.into_iter().enumerate() {
            let Some(digest) = B::from_slice(bytes) else {
                let cause = WrongLength { algorithm: B::ALGORITHM, found: bytes.len() };
                return Err(BatchError::DigestLength { event, cause });
            };
            if let Some(list) = self.incoming.get_mut(usize::from(index)) {
                list.push(digest);
            }
        }

        let (registers_before, digests_before) = (self.registers.len(), self.digests.len());
        let mut places = [NONE; REGISTERS];
        for ((index, list), place) in PcrIndex::all().zip(&self.incoming).zip(&mut places) {
            if list.is_empty() {
                continue;
            }
            let value = start(index);
            let Some(value) = B::from_slice(value.as_bytes()).filter(|_| value.algorithm() == B::ALGORITHM) else {
                self.registers.truncate(registers_before);
                self.digests.truncate(digests_before);
                let cause = AlgorithmMismatch { register: value.algorithm(), measured: B::ALGORITHM };
                return Err(BatchError::StartBank { index, cause });
            };
            *place = u32::try_from(self.registers.len()).unwrap_or(NONE);
            self.registers.push(Register { value: *value, from: self.digests.len(), extends: list.len() });
            self.digests.extend_from_slice(list);
        }
        self.banks.push(places);
        Ok(self.banks.len().saturating_sub(1))
    }

    fn add_message(&mut self, bytes: &'d [u8]) -> usize {
        self.messages.push(Message::new(bytes));
        self.messages.len().saturating_sub(1)
    }

    fn run(&mut self, backends: &Backends) {
        let (registers_done, messages_done) = self.done;
        self.done = (self.registers.len(), self.messages.len());
        self.run_registers(registers_done, backends);
        self.run_messages(messages_done, backends);
    }

    fn run_registers(&mut self, done: usize, backends: &Backends) {
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

    fn run_messages(&mut self, done: usize, backends: &Backends) {
        // Blocks of 64 bytes, so that messages of one block are one class.
        let lengths = self.messages.iter().skip(done).map(|message| message.bytes.len() / 64);
        longest_first(&mut self.order, lengths);
        self.jobs.clear();
        self.jobs.extend(self.order.iter().filter_map(|number| self.messages.get(place(*number, done)).copied()));
        backends.hash_many(&mut self.jobs);
        for (number, job) in self.order.iter().zip(&self.jobs) {
            if let Some(message) = self.messages.get_mut(place(*number, done)) {
                message.digest = job.digest;
            }
        }
    }

    fn register(&self, bank: usize, index: PcrIndex) -> Option<(Digest, usize)> {
        let place = *self.banks.get(bank)?.get(usize::from(index))?;
        let register = self.registers.get(usize::try_from(place).ok()?)?;
        Some((register.value.to_digest(), register.extends))
    }

    fn digest(&self, message: usize) -> Option<Digest> {
        (message < self.done.1).then(|| self.messages.get(message).map(|message| message.digest.to_digest()))?
    }

    fn clear(&mut self) {
        self.digests.clear();
        self.registers.clear();
        self.banks.clear();
        self.messages.clear();
        self.done = (0, 0);
    }

    fn reuse<'e>(mut self) -> Room<'e, B> {
        self.clear();
        Room {
            digests: recycled(self.digests),
            registers: self.registers,
            banks: self.banks,
            done: (0, 0),
            messages: recycled(self.messages),
            incoming: self.incoming.map(recycled),
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
fn recycled<T, U>(mut list: Vec<T>) -> Vec<U> {
    list.clear();
    list.into_iter().filter_map(|_| None).collect()
}

/// Above this number of items, a pass by classes of length is faster than sorting.
const FEW: usize = 64;

/// Places of a list, longest first; lengths from 64 on only to within a sixteenth.
///
/// Lanes end together where their lengths are alike, so that nothing is gained by a finer order.
fn longest_first(order: &mut Vec<u32>, lengths: impl ExactSizeIterator<Item = usize> + Clone) {
    order.clear();
    order.resize(lengths.len(), 0);
    if lengths.len() <= FEW {
        let mut keys = [0_u64; FEW];
        for ((key, length), place) in keys.iter_mut().zip(lengths).zip(0..) {
            *key = (u64::try_from(class(length)).unwrap_or_default() << 32) | place;
        }
        let keys = keys.get_mut(..order.len()).unwrap_or_default();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        for (place, key) in order.iter_mut().zip(keys) {
            *place = u32::try_from(*key & 0xFFFF_FFFF).unwrap_or_default();
        }
        return;
    }
    // First how many are of each class, then where the class begins, then each to its place.
    let mut next = [0_u32; CLASSES];
    for length in lengths.clone() {
        if let Some(count) = next.get_mut(class(length)) {
            *count = count.saturating_add(1);
        }
    }
    let mut begin = 0_u32;
    for count in next.iter_mut().rev() {
        begin = begin.saturating_add(core::mem::replace(count, begin));
    }
    for (length, number) in lengths.zip(0..) {
        if let Some(next) = next.get_mut(class(length)) {
            if let Some(place) = usize::try_from(*next).ok().and_then(|place| order.get_mut(place)) {
                *place = number;
            }
            *next = next.saturating_add(1);
        }
    }
}

/// 64 lengths of their own, then 16 classes for each power of two.
const CLASSES: usize = 64 + 16 * 58;

/// The class of a length: longer is never less.
fn class(length: usize) -> usize {
    if length < 64 {
        return length;
    }
    let power = length.ilog2();
    let sixteenths = length.checked_shr(power.saturating_sub(4)).unwrap_or_default() & 15;
    let above = usize::try_from(power.saturating_sub(6)).unwrap_or_default();
    above.saturating_mul(16).saturating_add(64).saturating_add(sixteenths)
}

/// The place in a list whose first `done` items were left out of the order.
fn place(number: u32, done: usize) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX).saturating_add(done)
}

/// Replays logs on all threads of the pool that the caller is in, `at_once` logs in a batch.
///
/// `add` adds a log to a batch and returns what `read` needs to find its results; both are called for each log, in
/// any order. The results are in the order of the logs.
#[cfg(feature = "rayon")]
pub fn replay_parallel<'d, L, P, R>(
    logs: &'d [L],
    at_once: core::num::NonZeroUsize,
    backends: &Backends,
    add: impl Fn(&mut Batch<'d>, &'d L) -> P + Sync,
    read: impl Fn(&Batch<'d>, &'d L, P) -> R + Sync,
) -> Vec<R>
where
    L: Sync,
    R: Send,
{
    use rayon::prelude::*;

    let parts: Vec<Vec<R>> = logs
        .par_chunks(at_once.get())
        .map_init(Batch::new, |batch, part| {
            batch.clear();
            let plans: Vec<P> = part.iter().map(|log| add(batch, log)).collect();
            batch.run(backends);
            part.iter().zip(plans).map(|(log, plan)| read(batch, log, plan)).collect()
        })
        .collect();
    parts.into_iter().flatten().collect()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failure of the test")]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::{Chain, reset_value};

    /// Digests of a log: each of `events` a register and a bank's digest.
    fn log(seed: u8, events: usize, bank: HashAlgorithm) -> Vec<(PcrIndex, Vec<u8>)> {
        (0..events)
            .map(|event| {
                // Two of three events belong to PCR 8, as in real logs; the rest are spread over the others.
                let index = if event % 3 == 0 { (event * 7 + usize::from(seed)) % 24 } else { 8 };
                let byte = u8::try_from((event * 31 + usize::from(seed) * 17) % 251).unwrap();
                (PcrIndex::new(u8::try_from(index).unwrap()).unwrap(), vec![byte; bank.digest_len()])
            })
            .collect()
    }

    fn borrowed(log: &[(PcrIndex, Vec<u8>)]) -> impl Iterator<Item = (PcrIndex, &[u8])> {
        log.iter().map(|(index, digest)| (*index, digest.as_slice()))
    }

    fn assert_replayed(batch: &Batch<'_>, id: BankId, log: &[(PcrIndex, Vec<u8>)], bank: HashAlgorithm) {
        for index in PcrIndex::all() {
            let mut chain = Chain::new(bank, index);
            for (_, digest) in log.iter().filter(|(of, _)| *of == index) {
                chain.extend(&Digest::new(bank, digest).unwrap()).unwrap();
            }
            let expected = (chain.extends() > 0).then(|| (chain.value(), chain.extends()));
            assert_eq!(batch.register(id, index), expected, "{bank}, PCR {index}");
        }
    }

    /// Logs of many sizes, the empty one too, in all banks; a batch that is filled twice; and one that is reused.
    #[test]
    fn batches_give_what_one_extend_after_the_other_gives() {
        let sizes = [0, 1, 2, 3, 5, 24, 73, 111, 200, 7, 1, 60];
        let logs: Vec<_> = HashAlgorithm::ALL
            .into_iter()
            .flat_map(|bank| sizes.iter().zip(0..).map(move |(size, seed)| (bank, log(seed, *size, bank))))
            .collect();
        for backends in [Backends::detect(), Backends::portable()] {
            let mut batch = Batch::new();
            for _ in 0..2 {
                let mut ids = Vec::new();
                for (bank, log) in &logs {
                    ids.push(batch.add_bank(*bank, |index| reset_value(*bank, index), borrowed(log)).unwrap());
                    if ids.len() == 20 {
                        // What was added later must not run what is done a second time.
                        batch.run(&backends);
                    }
                }
                batch.run(&backends);
                for ((bank, log), id) in logs.iter().zip(ids) {
                    assert_replayed(&batch, id, log, *bank);
                }
                batch = batch.reuse();
            }
        }
    }

    #[test]
    fn a_start_value_is_extended_from() {
        let bank = HashAlgorithm::Sha256;
        let events = log(1, 4, bank);
        let mut batch = Batch::new();
        let start = Digest::ones(bank);
        let id = batch.add_bank(bank, |_| start, borrowed(&events)).unwrap();
        let index = events[1].0;
        assert_eq!(batch.register(id, index).unwrap().0, start);
        batch.run(&Backends::detect());
        let mut chain = Chain::from_value(start);
        for (_, digest) in events.iter().filter(|(of, _)| *of == index) {
            chain.extend(&Digest::new(bank, digest).unwrap()).unwrap();
        }
        assert_eq!(batch.register(id, index), Some((chain.value(), chain.extends())));
    }

    #[test]
    fn messages_are_hashed() {
        let texts: Vec<Vec<u8>> = (0..100).map(|length| vec![0xA5; length * 3]).collect();
        let mut batch = Batch::new();
        let ids: Vec<_> = texts.iter().map(|text| batch.add_message(HashAlgorithm::Sha384, text)).collect();
        assert_eq!(batch.digest(ids[0]), None);
        batch.run(&Backends::detect());
        for (text, id) in texts.iter().zip(ids) {
            assert_eq!(batch.digest(id), Some(nitrotpm_digest_lanes::hash(HashAlgorithm::Sha384, &[text])));
        }
    }

    /// Refused, and the batch is as before: a log that was added earlier still replays.
    #[test]
    fn a_log_that_is_refused_spoils_only_itself() {
        let bank = HashAlgorithm::Sha384;
        let good = log(1, 30, bank);
        let mut short = good.clone();
        short[7].1.pop();
        let mut batch = Batch::new();
        let reset = |index| reset_value(bank, index);
        let before = batch.add_bank(bank, reset, borrowed(&good)).unwrap();
        assert_eq!(
            batch.add_bank(bank, reset, borrowed(&short)),
            Err(BatchError::DigestLength { event: 7, cause: WrongLength { algorithm: bank, found: 47 } })
        );
        let error = batch
            .add_bank(
                bank,
                |index| Digest::zero(if index.get() > 3 { HashAlgorithm::Sha512 } else { bank }),
                borrowed(&good),
            )
            .unwrap_err();
        assert_eq!(error.code(), "batch.start_bank");
        let after = batch.add_bank(bank, reset, borrowed(&good)).unwrap();
        batch.run(&Backends::detect());
        assert_replayed(&batch, before, &good, bank);
        assert_replayed(&batch, after, &good, bank);
    }

    #[test]
    fn the_longest_come_first_and_none_is_lost() {
        for count in [0, 1, 2, 64, 65, 1000] {
            let lengths: Vec<usize> = (0..count).map(|i| (i * i * 7919 + i) % [5, 70, 100_000][i % 3]).collect();
            let mut order = Vec::new();
            longest_first(&mut order, lengths.iter().copied());
            let sorted: Vec<usize> =
                order.iter().map(|place| class(lengths[usize::try_from(*place).unwrap()])).collect();
            assert!(sorted.is_sorted_by(|a, b| a >= b), "{count}");
            order.sort_unstable();
            assert!(order.iter().copied().eq(0..u32::try_from(count).unwrap()), "{count}");
        }
        for length in (0..4096).chain([usize::MAX - 1]) {
            assert!(class(length) <= class(length + 1), "{length}");
        }
        assert!(class(usize::MAX) < CLASSES);
        assert!(class(63) < class(64) && class(64) < class(68));
    }

    /// The lists keep their memory through runs and reuse.
    #[test]
    fn a_second_batch_of_the_same_size_allocates_nothing() {
        let bank = HashAlgorithm::Sha384;
        let logs: Vec<_> = (0..8).map(|seed| log(seed, 50, bank)).collect();
        let mut batch = Batch::new();
        let mut memory = Vec::new();
        for _ in 0..3 {
            let mut filled = batch.reuse();
            for log in &logs {
                filled.add_bank(bank, |index| reset_value(bank, index), borrowed(log)).unwrap();
                filled.add_message(bank, &log[0].1);
            }
            filled.run(&Backends::detect());
            let room = &filled.sha384;
            memory.push([
                (room.digests.as_ptr().addr(), room.digests.capacity()),
                (room.registers.as_ptr().addr(), room.registers.capacity()),
                (room.banks.as_ptr().addr(), room.banks.capacity()),
                (room.messages.as_ptr().addr(), room.messages.capacity()),
                (room.incoming[8].as_ptr().addr(), room.incoming[8].capacity()),
                (room.order.as_ptr().addr(), room.order.capacity()),
                (room.chains.as_ptr().addr(), room.chains.capacity()),
                (room.jobs.as_ptr().addr(), room.jobs.capacity()),
            ]);
            batch = filled.reuse();
        }
        assert_eq!(memory[0], memory[1]);
        assert_eq!(memory[1], memory[2]);
    }

    #[cfg(feature = "rayon")]
    #[test]
    fn threads_give_the_same_in_the_same_order() {
        let bank = HashAlgorithm::Sha256;
        let logs: Vec<_> = (0..40).map(|seed| log(seed, 20 + usize::from(seed), bank)).collect();
        let at_once = core::num::NonZeroUsize::new(7).unwrap();
        let pcr8 = PcrIndex::new(8).unwrap();
        let values = replay_parallel(
            &logs,
            at_once,
            &Backends::detect(),
            |batch, log| batch.add_bank(bank, |index| reset_value(bank, index), borrowed(log)).unwrap(),
            |batch, _, id| batch.register(id, pcr8).unwrap().0,
        );
        for (log, value) in logs.iter().zip(values) {
            let mut chain = Chain::new(bank, pcr8);
            for (_, digest) in log.iter().filter(|(index, _)| *index == pcr8) {
                chain.extend(&Digest::new(bank, digest).unwrap()).unwrap();
            }
            assert_eq!(value, chain.value());
        }
    }
}
