//! The data of many events against their digests.
//!
//! The rule that most likely holds is computed for all events of all logs side by side; where it does not hold, the
//! others are tried for that event alone.

use nitrotpm_pcr::{Batch, MessageId};

use crate::payload::{check_others, likely_rule};
use crate::{Digests, Event, EventType, PayloadCheck, Rule};

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
    event: usize,
    event_type: EventType,
    data: &'d [u8],
    digests: Digests<'d>,
    /// The rule that most likely holds.
    likely: Option<Rule>,
    /// The messages of the likely rule, one for each digest that can be computed, in the event's order: at most one a
    /// bank.
    messages: [Option<MessageId>; 4],
}

impl<'d> Pending<'d> {
    pub(super) fn new(event: &Event<'d>) -> Self {
        Self {
            event: event.index(),
            event_type: event.event_type(),
            data: event.data(),
            digests: event.digests(),
            likely: None,
            messages: [None; 4],
        }
    }

    pub(super) fn add_to(&mut self, batch: &mut Batch<'d>) {
        let Some(rule) = likely_rule(self.event_type, self.data) else { return };
        let Some(covered) = rule.covered(self.data) else { return };
        self.likely = Some(rule);
        let banks = self.digests.filter_map(|(algorithm, _)| algorithm.bank());
        for (bank, message) in banks.zip(&mut self.messages) {
            *message = Some(batch.add_message(bank, covered));
        }
    }

    pub(super) fn check(&self, batch: &Batch<'_>) -> CheckedPayload {
        let known = self.digests.filter(|(algorithm, _)| algorithm.bank().is_some());
        let mut compared = 0_usize;
        let holds = known.zip(&self.messages).all(|((_, digest), message)| {
            compared = compared.saturating_add(1);
            message.is_some_and(|message| batch.digest_is(message, digest))
        });
        let check = match self.likely {
            Some(rule) if holds && compared > 0 => PayloadCheck::Verified(rule),
            likely => check_others(self.event_type, self.data, &self.digests, likely),
        };
        CheckedPayload { event: self.event, check }
    }
}
