//! A walk over the headers of a crypto-agile event log (TCG PC Client Platform Firmware Profile, section 10.2): just
//! what a replay needs.

use nitrotpm_digest_lanes::DigestBytes;
use nitrotpm_eventlog::{EventLog, ParseOptions};
use nitrotpm_pcr::{Bank, Digest, PcrIndex, reset_value};

use crate::peers::Library;

/// `EV_NO_ACTION`: never extended.
const NO_ACTION: u32 = 3;

/// The banks of the logs that are measured.
pub const BANKS: [Bank; 3] = [Bank::Sha1, Bank::Sha256, Bank::Sha384];

/// An event that is extended.
#[derive(Clone, Copy, Debug)]
pub struct Event<'d> {
    /// The register.
    pub index: PcrIndex,
    /// The digests, in the order of [`BANKS`].
    pub digests: [&'d [u8]; 3],
    /// The event's data.
    pub data: &'d [u8],
}

/// A way to read a log.
pub trait Reader {
    /// Its name in the tables.
    const NAME: &'static str;

    /// Gives each event that is extended, in order; `None` where the log is not what is measured here.
    fn each<'d>(log: &'d [u8], give: impl FnMut(Event<'d>)) -> Option<()>;
}

/// The least that a replay needs: the headers are walked over once, and nothing is checked but lengths.
pub struct Walk;

impl Reader for Walk {
    const NAME: &'static str = "header walk";

    #[inline]
    fn each<'d>(mut log: &'d [u8], mut give: impl FnMut(Event<'d>)) -> Option<()> {
        fn take<'d>(log: &mut &'d [u8], length: usize) -> Option<&'d [u8]> {
            let (front, rest) = log.split_at_checked(length)?;
            *log = rest;
            Some(front)
        }
        fn number(log: &mut &[u8]) -> Option<u32> {
            take(log, 4)?.try_into().ok().map(u32::from_le_bytes)
        }
        // The first event has the old form: register, type, a SHA-1 digest, data.
        take(&mut log, 28)?;
        let length = number(&mut log)?;
        if !take(&mut log, length as usize)?.starts_with(b"Spec ID Event03\0") {
            return None;
        }
        while !log.is_empty() {
            let index = PcrIndex::try_from(number(&mut log)?);
            let event_type = number(&mut log)?;
            let count = number(&mut log)?;
            let mut digests: [&[u8]; 3] = [&[]; 3];
            for _ in 0..count {
                let id: [u8; 2] = take(&mut log, 2)?.try_into().ok()?;
                let bank = Bank::from_tpm_id(u16::from_le_bytes(id))?;
                let digest = take(&mut log, bank.digest_len())?;
                if let Some(place) = BANKS.iter().position(|known| *known == bank) {
                    digests[place] = digest;
                }
            }
            let length = number(&mut log)?;
            let data = take(&mut log, length as usize)?;
            if event_type != NO_ACTION {
                give(Event { index: index.ok()?, digests, data });
            }
        }
        Some(())
    }
}

/// The product's own parser, which checks the log wholly before it gives the first event.
pub struct Product;

impl Reader for Product {
    const NAME: &'static str = "crates/eventlog";

    #[inline]
    fn each<'d>(log: &'d [u8], mut give: impl FnMut(Event<'d>)) -> Option<()> {
        let log = EventLog::parse(log, &ParseOptions::default()).ok()?;
        for event in log.events().filter(nitrotpm_eventlog::Event::extends) {
            let mut digests: [&[u8]; 3] = [&[]; 3];
            for (algorithm, digest) in event.digests() {
                let bank = algorithm.bank();
                if let Some(place) = BANKS.iter().position(|known| bank == Some(*known)) {
                    digests[place] = digest;
                }
            }
            give(Event { index: event.pcr()?, digests, data: event.data() });
        }
        Some(())
    }
}

/// The registers of one bank.
pub type Registers<B> = [B; 24];

/// Registers of one bank before anything was extended.
#[must_use]
pub fn reset<B: DigestBytes>() -> Registers<B> {
    std::array::from_fn(|index| {
        let index = PcrIndex::new(index as u8).expect("24 registers");
        *B::from_slice(reset_value(B::ALGORITHM, index).as_bytes()).expect("the same bank")
    })
}

/// The registers of the three banks, while events are extended one after the other with a library.
pub struct OneByOne<L>(Registers<[u8; 20]>, Registers<[u8; 32]>, Registers<[u8; 48]>, std::marker::PhantomData<L>);

impl<L: Library> OneByOne<L> {
    /// Nothing extended yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "the registers have values at their start")]
    pub fn new() -> Self {
        Self(reset(), reset(), reset(), std::marker::PhantomData)
    }

    /// Extends an event in the three banks.
    #[inline]
    pub fn extend(&mut self, event: &Event<'_>) {
        fn bank<B: DigestBytes, L: Library>(registers: &mut Registers<B>, event: &Event<'_>, place: usize) {
            let register = &mut registers[usize::from(event.index)];
            *register = L::extend(register, B::from_slice(event.digests[place]).expect("walked by its length"));
        }
        bank::<_, L>(&mut self.0, event, 0);
        bank::<_, L>(&mut self.1, event, 1);
        bank::<_, L>(&mut self.2, event, 2);
    }

    /// The values, bank after bank.
    #[must_use]
    pub fn values(&self) -> Vec<Digest> {
        (self.0.iter().map(DigestBytes::to_digest))
            .chain(self.1.iter().map(DigestBytes::to_digest))
            .chain(self.2.iter().map(DigestBytes::to_digest))
            .collect()
    }
}

/// Our own form of it, one extend after the other.
pub struct Scalar([[Digest; 24]; 3]);

impl Scalar {
    /// Nothing extended yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "the registers have values at their start")]
    pub fn new() -> Self {
        let value = |bank, index: usize| reset_value(bank, PcrIndex::new(index as u8).expect("24 registers"));
        Self(BANKS.map(|bank| std::array::from_fn(|index| value(bank, index))))
    }

    /// Extends an event in the three banks.
    #[inline]
    pub fn extend(&mut self, event: &Event<'_>) {
        for ((bank, registers), digest) in BANKS.into_iter().zip(&mut self.0).zip(event.digests) {
            let register = &mut registers[usize::from(event.index)];
            let digest = Digest::new(bank, digest).expect("walked by its length");
            *register = nitrotpm_digest_lanes::extend(register, &digest).expect("the same bank");
        }
    }

    /// The values, bank after bank.
    #[must_use]
    pub fn values(&self) -> Vec<Digest> {
        self.0.iter().flatten().copied().collect()
    }
}
