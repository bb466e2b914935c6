//! A log as a whole.

use nitrotpm_pcr::Bank;

use crate::algorithm::DeclaredBanks;
use crate::reader::Reader;
use crate::spec_id::{SpecIdVersion, is_spec_id};
use crate::{DeclaredBank, Event, EventType, LogError, Register, SpecId};

/// The format of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// TCG crypto-agile log (`Spec ID Event03`): every event has digests of several banks.
    CryptoAgile,
    /// TCG SHA-1 log, with a header (`Spec ID Event00` or `02`) or without.
    Sha1,
    /// Confidential-computing log (ACPI table CCEL): laid out as a crypto-agile log, over RTMRs instead of PCRs.
    Ccel,
    /// TCG Canonical Event Log.
    Cel,
}

impl Format {
    /// The stable name: `crypto-agile`, `sha1`, `ccel`, `cel`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CryptoAgile => "crypto-agile",
            Self::Sha1 => "sha1",
            Self::Ccel => "ccel",
            Self::Cel => "cel",
        }
    }
}

/// What a log was collected from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A TPM's log, or a CCEL log where the header event says so (it stands in register 1 there).
    #[default]
    Any,
    /// A TPM's log and nothing else.
    Tpm,
    /// A CCEL log, whatever register its header event names.
    Ccel,
}

/// How to parse a log.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ParseOptions {
    /// What the log was collected from.
    pub source: Source,
    /// The largest size accepted, in bytes.
    pub max_size: usize,
}

impl ParseOptions {
    /// The largest size accepted unless the caller says otherwise: 64 MiB. Logs of real machines have 15 to 70 KB.
    pub const MAX_SIZE: usize = 64 << 20;

    /// The same options for another source.
    #[must_use]
    pub const fn with_source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// The same options with another limit.
    #[must_use]
    pub const fn with_max_size(mut self, max_size: usize) -> Self {
        self.max_size = max_size;
        self
    }
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self { source: Source::Any, max_size: Self::MAX_SIZE }
    }
}

/// What followed the last event and was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tail {
    /// Nothing.
    None,
    /// 0xFF to the end of the area, at least 8 bytes.
    Ones {
        /// Where the first stands.
        offset: usize,
        /// How many.
        length: usize,
    },
    /// Zeros to the end of the area, at least as many as the smallest event has bytes: fewer could be an event in
    /// PCR 0 that was cut.
    Zeros {
        /// Where the first stands.
        offset: usize,
        /// How many.
        length: usize,
    },
}

impl Tail {
    /// The stable name: `none`, `ones`, `zeros`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ones { .. } => "ones",
            Self::Zeros { .. } => "zeros",
        }
    }
}

/// A parsed log, borrowed from its bytes.
///
/// The whole log was checked when it was parsed; events are read again from the bytes as they are asked for, so that a
/// log of any size needs no memory of its own. Nothing in it is proven: [`EventLog::replay_all`] and
/// [`ReplayedLog::confirm`](crate::ReplayedLog::confirm) come next.
#[derive(Clone, Copy, Debug)]
pub struct EventLog<'a> {
    format: Format,
    header: Option<(Event<'a>, SpecId<'a>)>,
    banks: DeclaredBanks,
    /// The events after the header, without the tail.
    body: Reader<'a>,
    event_count: usize,
    tail: Tail,
}

/// The smallest `TCG_PCR_EVENT2`, were it to have no digest.
const SMALLEST_AGILE_EVENT: usize = 16;
/// The smallest `TCG_PCR_EVENT`.
const SMALLEST_SHA1_EVENT: usize = 32;
/// The index and the type of an event, all ones: no event begins so.
const SMALLEST_ONES: usize = 8;
/// RTMR 3.
const LAST_CC_REGISTER: u32 = 4;
const LAST_PCR: u32 = 23;

impl<'a> EventLog<'a> {
    /// Parses a log: crypto-agile, SHA-1 or CCEL, told apart by the first event.
    ///
    /// Time is linear in the size of the log and no memory is allocated.
    ///
    /// # Errors
    /// [`LogError`], with the offset and the structure at fault, for anything that is not a whole log: truncated, left
    /// over bytes, a header that breaks a rule, algorithms that are undeclared or stand twice, registers that do not
    /// exist. An unknown event type, or an unknown algorithm that the header declares, is no error.
    pub fn parse(bytes: &'a [u8], options: &ParseOptions) -> Result<Self, LogError> {
        Self::parse_visiting(bytes, options, &mut ())
    }

    /// Parses a log and shows every event after the header to `visitor`: one pass where a caller needs the events
    /// anyway. What was visited counts for nothing where the end is an error.
    pub(crate) fn parse_visiting(
        bytes: &'a [u8],
        options: &ParseOptions,
        visitor: &mut impl Visitor<'a>,
    ) -> Result<Self, LogError> {
        if bytes.is_empty() {
            return Err(LogError::Empty);
        }
        if bytes.len() > options.max_size {
            return Err(LogError::TooLarge { size: bytes.len(), limit: options.max_size });
        }
        let mut log = Self::parse_header(bytes, options.source)?;
        visitor.begin(&log.banks);
        log.check_body(bytes, visitor)?;
        Ok(log)
    }

    fn parse_header(bytes: &'a [u8], source: Source) -> Result<Self, LogError> {
        let mut reader = Reader::new(bytes, 0, "the first event");
        // A CCEL log's header stands in register 1; that of a TPM's log in PCR 0, which is checked below.
        let first = Event::read_sha1(&mut reader, 0, LAST_PCR)?;
        if !is_spec_id(first.data()) {
            if source == Source::Ccel {
                return Err(LogError::Header { offset: 0, problem: "of a CCEL log is not a Spec ID event" });
            }
            let banks = sha1_bank();
            let body = Reader::new(bytes, 0, "an event");
            return Ok(Self { format: Format::Sha1, header: None, banks, body, event_count: 0, tail: Tail::None });
        }
        let spec_id = SpecId::parse(first.data(), first.data_offset())?;
        let refuse = |offset, problem| Err(LogError::Header { offset, problem });
        let agile = spec_id.version == SpecIdVersion::Event03;
        let register = first.pcr().map(|index| index.get());
        let format = match (source, agile, register) {
            (Source::Ccel, true, Some(0 | 1)) | (Source::Any, true, Some(1)) => Format::Ccel,
            (Source::Ccel, false, _) => return refuse(0, "of a CCEL log is not a crypto-agile one"),
            (_, true, Some(0)) => Format::CryptoAgile,
            (_, false, Some(0)) => Format::Sha1,
            _ => return refuse(0, "is not in PCR 0"),
        };
        if first.event_type() != EventType::NO_ACTION {
            return refuse(4, "carries a Spec ID and is not of type EV_NO_ACTION");
        }
        if first.digests().any(|(_, digest)| digest.iter().any(|byte| *byte != 0)) {
            return refuse(8, "has a digest that is not zero");
        }
        let banks = if agile { spec_id.declared } else { sha1_bank() };
        Ok(Self { format, header: Some((first, spec_id)), banks, body: reader, event_count: 0, tail: Tail::None })
    }

    /// Walks over every event once, finds the tail and refuses what is neither.
    fn check_body(&mut self, bytes: &'a [u8], visitor: &mut impl Visitor<'a>) -> Result<(), LogError> {
        let smallest = if self.format == Format::Sha1 { SMALLEST_SHA1_EVENT } else { SMALLEST_AGILE_EVENT };
        // Where the run of equal bytes that ends the log begins: found once, so that no run is scanned twice.
        let run_start =
            |byte: u8| bytes.iter().rposition(|other| *other != byte).map_or(0, |last| last.saturating_add(1));
        let (ones, zeros) = (run_start(0xFF), run_start(0));
        let mut events = self.events();
        while !events.reader.is_empty() {
            let (offset, length) = (events.reader.offset(), events.reader.rest().len());
            if offset >= ones && length >= SMALLEST_ONES {
                self.tail = Tail::Ones { offset, length };
                break;
            }
            if offset >= zeros && length >= smallest {
                self.tail = Tail::Zeros { offset, length };
                break;
            }
            let (event, digested) = match events.read_usual() {
                Some(event) => (event, Digested::AllInOrder),
                None => (events.read()?, Digested::Otherwise),
            };
            if event.index() > 0 && event.event_type() == EventType::NO_ACTION && is_spec_id(event.data()) {
                return Err(LogError::Header { offset: event.offset(), problem: "is a second one" });
            }
            visitor.event(&event, digested);
        }
        self.event_count = events.next_index;
        if self.event_count == 0 {
            return Err(LogError::Empty);
        }
        let length = self.body.rest().len().saturating_sub(events.reader.rest().len());
        self.body = Reader::new(self.body.rest().get(..length).unwrap_or_default(), self.body.offset(), "an event");
        Ok(())
    }

    /// The format.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The banks that events may have digests of, in the header's order; SHA-1 alone in a SHA-1 log.
    #[must_use]
    pub fn banks(&self) -> &[DeclaredBank] {
        self.banks.as_slice()
    }

    pub(crate) const fn declared(&self) -> &DeclaredBanks {
        &self.banks
    }

    /// The banks that can be replayed, in the header's order.
    pub fn known_banks(&self) -> impl Iterator<Item = Bank> + '_ {
        self.banks().iter().filter_map(DeclaredBank::bank)
    }

    /// Whether the log declares the bank.
    #[must_use]
    pub fn has_bank(&self, bank: Bank) -> bool {
        self.known_banks().any(|known| known == bank)
    }

    /// The header's data, where the log has a header event.
    #[must_use]
    pub const fn header(&self) -> Option<&SpecId<'a>> {
        match &self.header {
            Some((_, spec_id)) => Some(spec_id),
            None => None,
        }
    }

    /// How many events there are, the header event included.
    #[must_use]
    pub const fn event_count(&self) -> usize {
        self.event_count
    }

    /// The events in order, the header event first.
    #[must_use]
    pub fn events(&self) -> Events<'a> {
        Events {
            header: self.header.map(|(event, _)| event),
            next_index: usize::from(self.header.is_some()),
            reader: self.body,
            format: self.format,
            banks: self.banks,
            declared: self.header.map_or(&[], |(_, spec_id)| spec_id.declared_raw),
        }
    }

    /// One event by its index. Walks over those before it: to see them all, take [`EventLog::events`].
    #[must_use]
    pub fn event(&self, index: usize) -> Option<Event<'a>> {
        self.events().nth(index)
    }

    /// What followed the last event.
    #[must_use]
    pub const fn tail(&self) -> Tail {
        self.tail
    }

    /// The records that belong to no register, in order.
    pub fn out_of_band(&self) -> impl Iterator<Item = Event<'a>> {
        self.events().filter(|event| event.register() == Register::OutOfBand)
    }
}

/// What is known of an event's digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digested {
    /// There is one of each declared bank, in the header's order.
    AllInOrder,
    /// They are to be looked at.
    Otherwise,
}

/// Who is shown the events of a log while it is parsed.
pub(crate) trait Visitor<'a> {
    /// The banks that the header declares.
    fn begin(&mut self, banks: &DeclaredBanks);

    /// The next event after the header.
    fn event(&mut self, event: &Event<'a>, digested: Digested);
}

/// Nobody.
impl<'a> Visitor<'a> for () {
    fn begin(&mut self, _: &DeclaredBanks) {}

    fn event(&mut self, _: &Event<'a>, _: Digested) {}
}

fn sha1_bank() -> DeclaredBanks {
    let mut banks = DeclaredBanks::default();
    // The list is empty: there is place.
    let _ = banks.push(DeclaredBank { algorithm: Bank::Sha1.into(), size: 20 });
    banks
}

/// The events of a log, in order.
#[derive(Clone, Debug)]
pub struct Events<'a> {
    header: Option<Event<'a>>,
    next_index: usize,
    reader: Reader<'a>,
    format: Format,
    banks: DeclaredBanks,
    declared: &'a [u8],
}

impl<'a> Events<'a> {
    const fn last_register(&self) -> u32 {
        if matches!(self.format, Format::Ccel) { LAST_CC_REGISTER } else { LAST_PCR }
    }

    /// The next event where it is what nearly all are.
    #[inline(always)]
    fn read_usual(&mut self) -> Option<Event<'a>> {
        if self.format == Format::Sha1 {
            return None;
        }
        let (index, last_register) = (self.next_index, self.last_register());
        let event = Event::read_usual(&mut self.reader, index, &self.banks, self.declared, last_register)?;
        self.next_index = index.saturating_add(1);
        Some(event)
    }

    /// The next event, whatever it is.
    fn read(&mut self) -> Result<Event<'a>, LogError> {
        let (index, last_register) = (self.next_index, self.last_register());
        let event = if self.format == Format::Sha1 {
            Event::read_sha1(&mut self.reader, index, last_register)?
        } else {
            Event::read_any(&mut self.reader, index, &self.banks, self.declared, last_register)?
        };
        self.next_index = index.saturating_add(1);
        Ok(event)
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    #[inline]
    fn next(&mut self) -> Option<Event<'a>> {
        if self.header.is_some() {
            return self.header.take();
        }
        if let Some(event) = self.read_usual() {
            return Some(event);
        }
        // Every event was read once by the parser, from the same bytes: reading it again does not fail.
        if self.reader.is_empty() { None } else { self.read().ok() }
    }
}
