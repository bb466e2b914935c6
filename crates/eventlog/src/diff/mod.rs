//! What differs between two boots, in words that a person uses.

mod align;
mod subject;
mod words;

use alloc::vec::Vec;
use core::fmt;

use nitrotpm_pcr::{Bank, PcrIndex};

use self::align::align;
use self::subject::{Item, items};
use crate::{Event, EventLog, LogError};

/// What a difference comes from. The order is that in which differences are told: what a person decides on first, what
/// follows from something else last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Secure Boot's state, keys and authorities, and shim's.
    SecureBootPolicy,
    /// What the kernel is told.
    KernelCommandLine,
    /// The initial file system or the microcode.
    Initrd,
    /// A boot loader, a kernel, a unified kernel image.
    BootImage,
    /// The firmware's boot options and their order.
    BootOrder,
    /// The platform's firmware and its configuration.
    Firmware,
    /// None of these.
    Unknown,
}

impl Cause {
    /// The stable name: `secure-boot-policy`, `kernel-command-line`, `initrd`, `boot-image`, `boot-order`, `firmware`,
    /// `unknown`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SecureBootPolicy => "secure-boot-policy",
            Self::KernelCommandLine => "kernel-command-line",
            Self::Initrd => "initrd",
            Self::BootImage => "boot-image",
            Self::BootOrder => "boot-order",
            Self::Firmware => "firmware",
            Self::Unknown => "unknown",
        }
    }
}

/// How an event differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Only the second log has it.
    Added(Event<'a>),
    /// Only the first log has it.
    Removed(Event<'a>),
    /// Both logs have it, with different contents.
    Changed {
        /// In the first log.
        before: Event<'a>,
        /// In the second.
        after: Event<'a>,
    },
}

/// One difference. Its `Display` is a sentence for a person, with every string of the logs escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference<'a> {
    pcr: PcrIndex,
    cause: Cause,
    before: Option<Item<'a>>,
    after: Option<Item<'a>>,
}

impl<'a> Difference<'a> {
    /// The register.
    #[must_use]
    pub const fn pcr(&self) -> PcrIndex {
        self.pcr
    }

    /// What it comes from.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.cause
    }

    /// The events.
    #[must_use]
    pub fn change(&self) -> Option<Change<'a>> {
        match (self.before, self.after) {
            (Some(before), Some(after)) => Some(Change::Changed { before: before.event, after: after.event }),
            (Some(before), None) => Some(Change::Removed(before.event)),
            (None, Some(after)) => Some(Change::Added(after.event)),
            (None, None) => None,
        }
    }
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        words::write(f, self.before.as_ref(), self.after.as_ref())
    }
}

/// The differences of two logs.
#[derive(Clone, Debug)]
pub struct LogDiff<'a> {
    bank: Bank,
    differences: Vec<Difference<'a>>,
}

impl<'a> LogDiff<'a> {
    /// The bank whose digests were compared: the strongest that both logs have.
    #[must_use]
    pub const fn bank(&self) -> Bank {
        self.bank
    }

    /// The differences, the most likely cause of the others first.
    #[must_use]
    pub fn differences(&self) -> &[Difference<'a>] {
        &self.differences
    }
}

impl<'a> EventLog<'a> {
    /// What differs between this boot and `other`, register by register.
    ///
    /// The logs are compared as they are: where they are not confirmed, so is this. Texts of an event are told only where
    /// its digest proves them.
    ///
    /// # Errors
    /// [`LogError::NoCommonBank`], and [`LogError::WrongFormat`] where one log is of PCRs and the other of RTMRs.
    pub fn diff(&self, other: &EventLog<'a>) -> Result<LogDiff<'a>, LogError> {
        let bank = self.known_banks().filter(|bank| other.has_bank(*bank)).max().ok_or(LogError::NoCommonBank)?;
        self.diff_in(other, bank)
    }

    /// [`EventLog::diff`] by the digests of one bank: the one whose values are signed.
    ///
    /// # Errors
    /// [`LogError::NoCommonBank`] where one of the logs does not have it, else as [`EventLog::diff`].
    pub fn diff_in(&self, other: &EventLog<'a>, bank: Bank) -> Result<LogDiff<'a>, LogError> {
        if (self.format() == crate::Format::Ccel) != (other.format() == crate::Format::Ccel) {
            return Err(LogError::WrongFormat { found: other.format() });
        }
        if !self.has_bank(bank) || !other.has_bank(bank) {
            return Err(LogError::NoCommonBank);
        }
        let mut differences = Vec::new();
        for pcr in PcrIndex::all() {
            let (before, after) = (items(self, pcr), items(other, pcr));
            for (before, after) in align(&before, &after, bank) {
                let cause = after.or(before).map_or(Cause::Unknown, |item| item.cause(pcr));
                differences.push(Difference { pcr, cause, before, after });
            }
        }
        // What follows from another difference comes last within its cause: an image holds its sections.
        differences.sort_by_key(|difference| {
            let is_image = difference.after.or(difference.before).is_some_and(|item| item.is_image());
            (difference.cause, is_image, difference.pcr)
        });
        Ok(LogDiff { bank, differences })
    }
}
