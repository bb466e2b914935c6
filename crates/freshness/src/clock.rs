//! The verifier's clock, and why it was asked.

use pki_types::UnixTime;

/// The time at which evidence is judged, and what that time means.
///
/// Whether a document is valid *now* and whether it *was* valid when it was kept are two questions; a result says
/// which one it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The time is now, by the verifier's own clock (never by the attester's).
    Live(UnixTime),
    /// The time is one the caller chose, to judge stored evidence or to repeat a verdict.
    Audit(UnixTime),
}

impl Clock {
    /// The instant at which validity is judged, in whole seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn time(self) -> UnixTime {
        match self {
            Self::Live(time) | Self::Audit(time) => time,
        }
    }

    /// `live` or `audit`, as results print it.
    #[must_use]
    pub const fn mode(self) -> &'static str {
        match self {
            Self::Live(_) => "live",
            Self::Audit(_) => "audit",
        }
    }
}
