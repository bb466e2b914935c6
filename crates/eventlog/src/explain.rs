//! Why a register does not have the value that the log replays to: a bounded search for one difference that would
//! explain it.

use alloc::vec::Vec;
use core::fmt;

use nitrotpm_digest_lanes::{Digest, extend, hash};
use nitrotpm_pcr::{Bank, PcrIndex, reset_value};

use crate::payload::ERROR_SEPARATOR;
use crate::replay::start_value;
use crate::{Event, EventType, ReplayMismatch, ReplayedLog, Rule};

/// The one difference between the log and what was extended that gives the authenticated value.
///
/// An explanation is a hint and no proof: it says that the digests fit, not that this is what happened. Events count
/// from 0, the header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Explanation {
    /// The log has no event for the register, and something was extended.
    NoEvents,
    /// Nothing was extended into the register: it holds its reset value. Firmware left the bank out (CVE-2021-42299),
    /// or the log is of another boot.
    NothingExtended,
    /// The first events of the log for this register give the value, and those from `first_extra` on were not extended.
    LogGoesOn {
        /// How many events fit: the longest such beginning.
        fitting: usize,
        /// The first event that does not.
        first_extra: usize,
    },
    /// The platform started at another locality than the log says.
    Locality {
        /// The locality that fits.
        locality: u8,
    },
    /// A dynamic launch set the register to zero before its first event.
    DynamicLaunch,
    /// Without this event the log fits: it was not extended.
    Extra {
        /// The event.
        event: usize,
    },
    /// With this event extended once more the log fits.
    Repeated {
        /// The event.
        event: usize,
    },
    /// With these two events in the other order the log fits.
    Swapped {
        /// The one that the log has first.
        first: usize,
        /// The other.
        second: usize,
    },
    /// With the digest that belongs to the event's data the log fits: the digest in the log was changed.
    Digest {
        /// The event.
        event: usize,
        /// How the digest is that of the data.
        rule: Rule,
    },
    /// With this `EV_NO_ACTION` event extended the log fits (U-Boot: tpm2-tools#3224).
    NoActionExtended {
        /// The event.
        event: usize,
    },
    /// With this well-known measurement added the log fits: it is missing from the log.
    Missing {
        /// What was measured.
        what: KnownMeasurement,
        /// The event of this register after which it is missing, or `None` for before the first.
        after: Option<usize>,
    },
    /// With both of firmware's events of a successful handing over added the log fits (go-attestation
    /// `ebs_event_missing`).
    MissingExitBootServices {
        /// The event of this register after which they are missing, or `None` for before the first.
        after: Option<usize>,
    },
    /// No single difference explains the value.
    NotFound,
    /// Another log goes on with the register: no difference was looked for.
    NotSearched,
    /// The register has too many events to try every single difference; those that were tried do not explain the value.
    SearchEnded,
}

impl Explanation {
    /// The event that the explanation names, where it names one.
    #[must_use]
    pub const fn event(self) -> Option<usize> {
        match self {
            Self::LogGoesOn { first_extra: event, .. }
            | Self::Extra { event }
            | Self::Repeated { event }
            | Self::Swapped { first: event, .. }
            | Self::Digest { event, .. }
            | Self::NoActionExtended { event } => Some(event),
            Self::Missing { after, .. } | Self::MissingExitBootServices { after } => after,
            _ => None,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |f: &mut fmt::Formatter<'_>, after: &Option<usize>| match after {
            Some(event) => write!(f, "after event {event}"),
            None => f.write_str("before the register's first event"),
        };
        match self {
            Self::NoEvents => f.write_str("something was extended that the log does not have"),
            Self::NothingExtended => f.write_str(
                "nothing was extended into it: the firmware left this bank out, or the log is of another boot",
            ),
            Self::LogGoesOn { fitting, first_extra } => {
                write!(
                    f,
                    "the register's first {fitting} events fit; event {first_extra} and what follows were not extended"
                )
            }
            Self::Locality { locality } => write!(f, "it fits if the platform started at locality {locality}"),
            Self::DynamicLaunch => f.write_str("it fits if a dynamic launch set the register to zero first"),
            Self::Extra { event } => write!(f, "it fits without event {event}"),
            Self::Repeated { event } => write!(f, "it fits if event {event} was extended twice"),
            Self::Swapped { first, second } => write!(f, "it fits with events {first} and {second} in the other order"),
            Self::Digest { event, rule } => {
                write!(f, "it fits with the digest of event {event} that its data gives ({})", rule.name())
            }
            Self::NoActionExtended { event } => {
                write!(f, "it fits if event {event} was extended, which its type EV_NO_ACTION forbids")
            }
            Self::Missing { what, after } => {
                write!(f, "it fits with {what} added ")?;
                place(f, after)
            }
            Self::MissingExitBootServices { after } => {
                f.write_str("it fits with the two events of a handing over to the operating system added ")?;
                place(f, after)
            }
            Self::NotFound => f.write_str("no single event added, dropped, repeated, swapped or altered explains it"),
            Self::NotSearched => f.write_str("another log goes on with it, and no difference was looked for"),
            Self::SearchEnded => f.write_str("it has too many events to try every single difference"),
        }
    }
}

/// Measurements that firmware makes with the same digest everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KnownMeasurement {
    /// The separator of four zero bytes.
    Separator,
    /// The separator of four 0xFF bytes.
    SeparatorOfOnes,
    /// The separator by which firmware says that it failed.
    ErrorSeparator,
    /// An `EV_EFI_ACTION` with this text.
    Action(&'static str),
}

impl KnownMeasurement {
    const ALL: [Self; 9] = [
        Self::Separator,
        Self::Action("Calling EFI Application from Boot Option"),
        Self::Action("Returning from EFI Application from Boot Option"),
        Self::Action("Exit Boot Services Invocation"),
        Self::Action("Exit Boot Services Returned with Success"),
        Self::Action("Exit Boot Services Returned with Failure"),
        Self::Action("UEFI Debug Mode"),
        Self::SeparatorOfOnes,
        Self::ErrorSeparator,
    ];

    /// The bytes that are hashed.
    #[must_use]
    pub const fn measured(&self) -> &[u8] {
        match self {
            Self::Separator => &[0; 4],
            Self::SeparatorOfOnes => &[0xFF; 4],
            Self::ErrorSeparator => &ERROR_SEPARATOR,
            Self::Action(text) => text.as_bytes(),
        }
    }
}

impl fmt::Display for KnownMeasurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Separator => f.write_str("a separator"),
            Self::SeparatorOfOnes => f.write_str("a separator of 0xFF bytes"),
            Self::ErrorSeparator => f.write_str("the separator of a firmware that failed"),
            Self::Action(text) => write!(f, "the action \"{text}\""),
        }
    }
}

/// How many extends one search may take: about a tenth of a second.
const LIMIT: usize = 200_000;
/// How many events of one register are searched at all.
const MOST_EVENTS: usize = 4_096;

impl ReplayedLog<'_> {
    /// Looks, for each of the mismatches that [`ReplayedLog::confirm`] gave, for the one difference that explains it.
    ///
    /// All of them share one search of at most 200,000 extends, about a tenth of a second: a hostile log cannot make it
    /// longer. It is worth doing where a person will read the answer, and a waste where nobody does.
    #[must_use]
    pub fn explain(&self, mismatches: &[ReplayMismatch]) -> Vec<Explanation> {
        let mut budget = Budget(LIMIT);
        let explain = |mismatch: &ReplayMismatch| self.explain_within(mismatch.pcr, &mismatch.expected, &mut budget);
        mismatches.iter().map(explain).collect()
    }

    fn explain_within(&self, pcr: PcrIndex, expected: &Digest, budget: &mut Budget) -> Explanation {
        let bank = expected.algorithm();
        if self.is_continued(pcr) {
            return Explanation::NotSearched;
        }
        if *expected == reset_value(bank, pcr) {
            return Explanation::NothingExtended;
        }
        let of_register = || self.log().events().filter(|event| event.pcr() == Some(pcr));
        if !of_register().any(|event| event.extends()) {
            return Explanation::NoEvents;
        }
        let start = start_value(bank, pcr, self.startup_locality());
        if let Some(beginning) = longest_beginning(start, expected, of_register()) {
            return beginning;
        }
        let events: Vec<_> = of_register().take(MOST_EVENTS.saturating_add(1)).collect();
        if events.len() > MOST_EVENTS {
            return Explanation::SearchEnded;
        }
        match Search::new(start, *expected, bank, &events).run(pcr, budget) {
            Some(found) => found,
            None if budget.0 == 0 => Explanation::SearchEnded,
            None => Explanation::NotFound,
        }
    }
}

/// The longest beginning of the register's events that gives the value, short of all of them.
fn longest_beginning<'a>(
    start: Digest,
    expected: &Digest,
    events: impl Iterator<Item = Event<'a>>,
) -> Option<Explanation> {
    let mut value = start;
    let mut found = None;
    let extended = events.filter(Event::extends).filter_map(|event| Some((event, event.digest(expected.algorithm())?)));
    for (fitting, (event, digest)) in extended.enumerate() {
        if value == *expected {
            found = Some(Explanation::LogGoesOn { fitting, first_extra: event.index() });
        }
        value = extend(&value, &digest).unwrap_or(value);
    }
    found
}

/// How many extends are left.
struct Budget(usize);

impl Budget {
    fn spend(&mut self) -> bool {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }
}

struct Search<'e, 'a> {
    bank: Bank,
    expected: Digest,
    /// The register's events, `EV_NO_ACTION` included.
    all: &'e [Event<'a>],
    /// Those that were extended, with their digests.
    extended: Vec<(Event<'a>, Digest)>,
    /// The value before each of them, and after the last.
    values: Vec<Digest>,
}

impl<'e, 'a> Search<'e, 'a> {
    fn new(start: Digest, expected: Digest, bank: Bank, all: &'e [Event<'a>]) -> Self {
        let extended: Vec<_> = all
            .iter()
            .filter(|event| event.extends())
            .filter_map(|event| Some((*event, event.digest(bank)?)))
            .collect();
        let mut values = Vec::with_capacity(extended.len().saturating_add(1));
        let mut value = start;
        values.push(value);
        for (_, digest) in &extended {
            value = extend(&value, digest).unwrap_or(value);
            values.push(value);
        }
        Self { bank, expected, all, extended, values }
    }

    fn hash(&self, measured: &[u8]) -> Digest {
        hash(self.bank, &[measured])
    }

    /// The value before event `position`.
    fn before(&self, position: usize) -> Option<Digest> {
        self.values.get(position).copied()
    }

    /// Whether `digests` extended at `position`, and then the events from `next` on, give the value.
    fn fits(&self, position: usize, digests: &[Digest], next: usize, budget: &mut Budget) -> bool {
        let Some(value) = self.before(position) else { return false };
        self.fits_from(value, digests, next, budget)
    }

    fn fits_from(&self, start: Digest, digests: &[Digest], next: usize, budget: &mut Budget) -> bool {
        let rest = self.extended.get(next..).unwrap_or_default().iter().map(|(_, digest)| digest);
        let mut value = start;
        for digest in digests.iter().chain(rest) {
            if !budget.spend() {
                return false;
            }
            value = extend(&value, digest).unwrap_or(value);
        }
        value == self.expected
    }

    fn index(&self, position: usize) -> usize {
        self.extended.get(position).map_or(0, |(event, _)| event.index())
    }

    /// The event before `position`.
    fn after(&self, position: usize) -> Option<usize> {
        position.checked_sub(1).map(|position| self.index(position))
    }

    /// Cheap and likely differences first.
    fn run(&self, pcr: PcrIndex, budget: &mut Budget) -> Option<Explanation> {
        self.other_start(pcr, budget)
            .or_else(|| self.one_event(budget))
            .or_else(|| self.one_missing(budget))
            .or_else(|| self.swapped(budget))
    }

    fn other_start(&self, pcr: PcrIndex, budget: &mut Budget) -> Option<Explanation> {
        if pcr.get() == 0 {
            let fits = |locality: &u8| self.fits_from(start_value(self.bank, pcr, *locality), &[], 0, budget);
            return [0, 3, 4].into_iter().find(fits).map(|locality| Explanation::Locality { locality });
        }
        let launched = (17..=22).contains(&pcr.get()) && self.fits_from(Digest::zero(self.bank), &[], 0, budget);
        launched.then_some(Explanation::DynamicLaunch)
    }

    /// One event dropped, repeated, or with the digest that its data gives; one `EV_NO_ACTION` event extended.
    fn one_event(&self, budget: &mut Budget) -> Option<Explanation> {
        for (position, (event, digest)) in self.extended.iter().enumerate() {
            let (index, next) = (event.index(), position.saturating_add(1));
            if self.fits(position, &[], next, budget) {
                return Some(Explanation::Extra { event: index });
            }
            if self.fits(next, &[*digest], next, budget) {
                return Some(Explanation::Repeated { event: index });
            }
            for rule in Rule::ALL {
                let Some(of_data) = rule.digest(self.bank, event.data()) else { continue };
                if of_data != *digest && self.fits(position, &[of_data], next, budget) {
                    return Some(Explanation::Digest { event: index, rule });
                }
            }
        }
        for event in self.all.iter().filter(|event| event.event_type() == EventType::NO_ACTION) {
            let position = self.extended.iter().filter(|(other, _)| other.index() < event.index()).count();
            let recorded = event.digest(self.bank).unwrap_or(Digest::zero(self.bank));
            for digest in [recorded, self.hash(event.data())] {
                if self.fits(position, &[digest], position, budget) {
                    return Some(Explanation::NoActionExtended { event: event.index() });
                }
            }
        }
        None
    }

    /// One well-known measurement added, or the two of a handing over.
    fn one_missing(&self, budget: &mut Budget) -> Option<Explanation> {
        let exit = ["Exit Boot Services Invocation", "Exit Boot Services Returned with Success"]
            .map(|text| self.hash(text.as_bytes()));
        // Most are missing at the end.
        for position in (0..=self.extended.len()).rev() {
            for what in KnownMeasurement::ALL {
                if self.fits(position, &[self.hash(what.measured())], position, budget) {
                    return Some(Explanation::Missing { what, after: self.after(position) });
                }
            }
            if self.fits(position, &exit, position, budget) {
                return Some(Explanation::MissingExitBootServices { after: self.after(position) });
            }
        }
        None
    }

    /// Two events in the other order: neighbours first.
    fn swapped(&self, budget: &mut Budget) -> Option<Explanation> {
        for distance in 1..self.extended.len() {
            let pairs = self.extended.iter().zip(self.extended.iter().skip(distance)).enumerate();
            for (position, ((first, first_digest), (second, second_digest))) in pairs {
                let between = position.saturating_add(1)..position.saturating_add(distance);
                let digests: Vec<_> = core::iter::once(*second_digest)
                    .chain(self.extended.get(between).unwrap_or_default().iter().map(|(_, digest)| *digest))
                    .chain([*first_digest])
                    .collect();
                let next = position.saturating_add(distance).saturating_add(1);
                if self.fits(position, &digests, next, budget) {
                    return Some(Explanation::Swapped { first: first.index(), second: second.index() });
                }
                if budget.0 == 0 {
                    return None;
                }
            }
        }
        None
    }
}
