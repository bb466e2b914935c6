//! A walk over the headers of a crypto-agile event log (TCG PC Client Platform Firmware Profile, section 10.2): just
//! what a replay needs.

use nitrotpm_digest_lanes::DigestBytes;
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

/// The events that are extended, into `events`; `None` where the log is not what is measured here.
pub fn walk<'d>(mut log: &'d [u8], events: &mut Vec<Event<'d>>) -> Option<()> {
    fn take<'d>(log: &mut &'d [u8], length: usize) -> Option<&'d [u8]> {
        let (front, rest) = log.split_at_checked(length)?;
        *log = rest;
        Some(front)
    }
    fn number<'d>(log: &mut &'d [u8]) -> Option<u32> {
        take(log, 4)?.try_into().ok().map(u32::from_le_bytes)
    }
    events.clear();
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
            events.push(Event { index: index.ok()?, digests, data });
        }
    }
    Some(())
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

/// Extends the events one after the other with a library.
pub fn replay_one_by_one<L: Library>(
    events: &[Event<'_>],
) -> (Registers<[u8; 20]>, Registers<[u8; 32]>, Registers<[u8; 48]>) {
    fn bank<B: DigestBytes, L: Library>(events: &[Event<'_>], place: usize) -> Registers<B> {
        let mut registers = reset::<B>();
        for event in events {
            let register = &mut registers[usize::from(event.index)];
            *register = L::extend(register, B::from_slice(event.digests[place]).expect("walked by its length"));
        }
        registers
    }
    (bank::<_, L>(events, 0), bank::<_, L>(events, 1), bank::<_, L>(events, 2))
}

/// Our own form of it, one extend after the other.
#[must_use]
pub fn replay_scalar(events: &[Event<'_>]) -> Vec<Digest> {
    let mut last = Vec::new();
    for (place, bank) in BANKS.into_iter().enumerate() {
        let mut registers: [Digest; 24] =
            std::array::from_fn(|index| reset_value(bank, PcrIndex::new(index as u8).expect("24 registers")));
        for event in events {
            let register = &mut registers[usize::from(event.index)];
            let digest = Digest::new(bank, event.digests[place]).expect("walked by its length");
            *register = nitrotpm_digest_lanes::extend(register, &digest).expect("the same bank");
        }
        last.extend(registers);
    }
    last
}
