//! The data of many events against their digests.
//!
//! The rule that most likely holds is computed for all events of all logs side by side; where it does not hold, the
//! others are tried for that event alone.

use nitrotpm_pcr::{Batch, MessageId};

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
    /// The rule that most likely holds, and the bytes that it covers.
    likely: Option<(Rule, MessageId)>,
}

impl<'d> Pending<'d> {
    pub(super) const fn new(event: &Event<'d>) -> Self {
        Self { event: *event, likely: None }
    }

    pub(super) fn add_to(&mut self, batch: &mut Batch<'d>) {
        let (event, data) = (&self.event, self.event.data());
        let Some(rule) = likely_rule(event.event_type(), data) else { return };
        let Some(covered) = rule.covered(data) else { return };
        let banks = event.digests().filter_map(|(algorithm, _)| algorithm.bank());
        self.likely = Some((rule, batch.add_message(banks, covered)));
    }

    pub(super) fn check(&self, batch: &Batch<'_>) -> CheckedPayload {
        let event = &self.event;
        let mut known = event.digests().filter_map(|(algorithm, digest)| Some((algorithm.bank()?, digest)));
        let mut compared = 0_usize;
        let holds = self.likely.is_some_and(|(_, message)| {
            known.all(|(bank, digest)| {
                compared = compared.saturating_add(1);
                batch.digest_is(message, bank, digest)
            })
        });
        let check = match self.likely {
            Some((rule, _)) if holds && compared > 0 => PayloadCheck::Verified(rule),
            likely => check_others(event, likely.map(|(rule, _)| rule)),
        };
        CheckedPayload { event: event.index(), check }
    }
}
