//! The data of many events against their digests.
//!
//! The rule that most likely holds is computed for all events of all logs side by side; where it does not hold, the
//! others are tried for that event alone.

use nitrotpm_pcr::{Bank, Batch, DigestPlaces, MessageId};

use crate::log::Digested;
use crate::payload::{check_others, likely_rule};
use crate::{Event, PayloadCheck, Rule};

/// What became of the data of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedPayload {
    /// The event: its place in the log, the header included.
    pub event: usize,
    /// The answer, as [`Event::payload_check`] gives it.
    pub check: PayloadCheck,
}

/// An event whose data is hashed with the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending<'d> {
    event: Event<'d>,
    digested: Digested,
    /// The rule that most likely holds, and the bytes that it covers.
    likely: Option<(Rule, MessageId)>,
}

impl<'d> Pending<'d> {
    #[inline]
    pub(super) const fn new(event: &Event<'d>, digested: Digested) -> Self {
        Self { event: *event, digested, likely: None }
    }

    /// `places` are those of the digests in a usual event of the log.
    pub(super) fn add_to(&mut self, batch: &mut Batch<'d>, places: &DigestPlaces) {
        let (event, data) = (&self.event, self.event.data());
        let Some(rule) = likely_rule(event.event_type(), data) else { return };
        let Some(covered) = rule.covered(data) else { return };
        let message = match self.digested {
            Digested::AllInOrder => batch.add_message(places.iter().map(|(bank, _)| bank), covered),
            Digested::Otherwise => batch.add_message(known(event).map(|(bank, _)| bank), covered),
        };
        self.likely = Some((rule, message));
    }

    pub(super) fn check(&self, batch: &Batch<'_>, places: &DigestPlaces) -> CheckedPayload {
        let event = &self.event;
        let holds = self.likely.is_some_and(|(_, message)| match self.digested {
            Digested::AllInOrder => batch.digests_are(message, event.raw_digests(), places),
            Digested::Otherwise => {
                let mut digests = known(event).peekable();
                digests.peek().is_some() && digests.all(|(bank, digest)| batch.digest_is(message, bank, digest))
            }
        });
        let check = match self.likely {
            Some((rule, _)) if holds => PayloadCheck::Verified(rule),
            likely => check_others(event, likely.map(|(rule, _)| rule)),
        };
        CheckedPayload { event: event.index(), check }
    }
}

/// The digests that can be computed.
fn known<'d>(event: &Event<'d>) -> impl Iterator<Item = (Bank, &'d [u8])> + use<'d> {
    event.digests().filter_map(|(algorithm, digest)| Some((algorithm.bank()?, digest)))
}
