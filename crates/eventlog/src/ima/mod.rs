//! Measurement lists of the Linux kernel's Integrity Measurement Architecture: what it measured into PCR 10 while the
//! system ran.
//!
//! The same way as for an event log: [`ImaList`] is parsed, [`ImaList::confirm`] finds the beginning of it that an
//! authenticated PCR proves, [`ConfirmedIma`] says what was measured, [`AllowList`] appraises it.

mod allow_list;
mod confirm;
mod entry;
mod list;

pub use allow_list::{AllowList, AllowListError, Appraisal, Finding, FindingKind};
pub use confirm::{BankRule, BootAggregate, ConfirmedIma};
pub use entry::{FileDigest, ImaEntry};
pub use list::ImaList;
