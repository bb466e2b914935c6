//! Whether an event's digests are those of its data.
//!
//! A replay proves digests and their order; it proves nothing about the data that stands beside them. Where the
//! digest can be computed again from the data, the data is proven too: by one of a few named rules, some of which are
//! quirks of firmware. Which rules exist, and for how many events of real logs each holds, is in the TCG PC Client
//! Platform Firmware Profile 1.06, section 10.4, and in measurements over public logs.

use nitrotpm_digest_lanes::hash;
use nitrotpm_pcr::{Bank, Digest};

use crate::decode::UefiVariable;
use crate::text::as_utf16;
use crate::{Event, EventType};

/// The answer of a payload check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadCheck {
    /// Every digest that was looked at is that of the data, by this one rule.
    Verified(Rule),
    /// The type's digest is that of the data, and here it is not.
    Mismatch,
    /// The digest is of something that is not in the log, or of an algorithm that the toolkit cannot compute: the data
    /// is only what the log's writer says.
    NotCheckable,
}

impl PayloadCheck {
    /// The stable name: `verified`, `mismatch`, `not-checkable`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified(_) => "verified",
            Self::Mismatch => "mismatch",
            Self::NotCheckable => "not-checkable",
        }
    }

    /// The rule that held.
    #[must_use]
    pub const fn rule(self) -> Option<Rule> {
        match self {
            Self::Verified(rule) => Some(rule),
            Self::Mismatch | Self::NotCheckable => None,
        }
    }
}

/// How a digest is computed from an event's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The whole data.
    EventData,
    /// Only the contents of the `UEFI_VARIABLE_DATA`: the variable's name and GUID are not covered.
    VariableData,
    /// The data without its last byte, which is not covered (shim before 15.3: rhboot/shim#184).
    EventDataWithoutLastByte,
    /// The text after GRUB's prefix, without the terminating NUL; the prefix is not covered.
    TextAfterPrefix,
    /// The text after GRUB's prefix, with the terminating NUL; the prefix is not covered (GRUB of RHEL 8).
    TextAfterPrefixWithNul,
    /// A name in UTF-16, hashed as UTF-8 with a terminating NUL (systemd-stub's section names).
    NameInUtf8,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 6] = [
        Self::EventData,
        Self::VariableData,
        Self::EventDataWithoutLastByte,
        Self::TextAfterPrefix,
        Self::TextAfterPrefixWithNul,
        Self::NameInUtf8,
    ];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventData => "event-data",
            Self::VariableData => "variable-data",
            Self::EventDataWithoutLastByte => "event-data-without-last-byte",
            Self::TextAfterPrefix => "text-after-prefix",
            Self::TextAfterPrefixWithNul => "text-after-prefix-with-nul",
            Self::NameInUtf8 => "name-in-utf8",
        }
    }

    /// The part of an event's data that the rule covers, where the data has the shape the rule is for. Nothing else of
    /// the data is proven.
    #[must_use]
    pub fn covered(self, data: &[u8]) -> Option<&[u8]> {
        match self {
            Self::EventData => Some(data),
            Self::VariableData => UefiVariable::parse(data, 0).ok().map(|variable| variable.data),
            Self::EventDataWithoutLastByte => data.split_last().map(|(_, covered)| covered),
            Self::TextAfterPrefix => split_grub_prefix(data)?.1.strip_suffix(&[0]),
            Self::TextAfterPrefixWithNul => Some(split_grub_prefix(data)?.1),
            Self::NameInUtf8 => as_utf16(data),
        }
    }

    /// The digest that the rule gives, where the data has the shape the rule is for.
    #[must_use]
    pub fn digest(self, bank: Bank, data: &[u8]) -> Option<Digest> {
        let covered = self.covered(data)?;
        if self != Self::NameInUtf8 {
            return Some(hash(bank, &[covered]));
        }
        let mut hasher = nitrotpm_digest_lanes::Hasher::new(bank);
        let mut buffer = [0; 4];
        for character in crate::text::Text::utf16(covered).chars() {
            hasher.update(character.encode_utf8(&mut buffer).as_bytes());
        }
        hasher.update(&[0]);
        Some(hasher.finish())
    }
}

/// What GRUB puts before the text that it measures.
const GRUB_PREFIXES: [&[u8]; 5] =
    [b"grub_cmd: ", b"kernel_cmdline: ", b"module_cmdline: ", b"grub_cmd ", b"grub_kernel_cmdline "];

/// Splits GRUB's prefix from the text.
pub(crate) fn split_grub_prefix(data: &[u8]) -> Option<(&'static [u8], &[u8])> {
    GRUB_PREFIXES.into_iter().find_map(|prefix| Some((prefix, data.strip_prefix(prefix)?)))
}

/// The rules that an event of this type may follow, and whether one of them must hold.
const fn rules(event_type: EventType) -> (&'static [Rule], bool) {
    match event_type {
        EventType::NO_ACTION => (&[], false),
        EventType::SEPARATOR
        | EventType::ACTION
        | EventType::EFI_ACTION
        | EventType::EFI_GPT_EVENT
        | EventType::EFI_GPT_EVENT2
        | EventType::EFI_VARIABLE_BOOT2 => (&[Rule::EventData], true),
        EventType::EFI_VARIABLE_DRIVER_CONFIG | EventType::EFI_VARIABLE_BOOT => {
            (&[Rule::EventData, Rule::VariableData], true)
        }
        EventType::EFI_VARIABLE_AUTHORITY => (&[Rule::EventData, Rule::EventDataWithoutLastByte], true),
        EventType::IPL => {
            (&[Rule::EventData, Rule::TextAfterPrefix, Rule::TextAfterPrefixWithNul, Rule::NameInUtf8], false)
        }
        _ => (&[Rule::EventData], false),
    }
}

/// What a separator is the hash of when the firmware failed before it could measure all it should have (TCG PC Client
/// Platform Firmware Profile 1.06, section 3.3.2.2): the number 1. Its data may say anything.
pub(crate) const ERROR_SEPARATOR: [u8; 4] = [1, 0, 0, 0];

impl Event<'_> {
    /// Checks the data against the digests of every bank that the event carries and the toolkit can compute: one rule
    /// must hold in all of them.
    #[must_use]
    pub fn payload_check(&self) -> PayloadCheck {
        check(self.event_type(), self.data(), || self.known_digests())
    }

    /// Checks the data against the digest of one bank.
    #[must_use]
    pub fn payload_check_in(&self, bank: Bank) -> PayloadCheck {
        check(self.event_type(), self.data(), || self.digest(bank).into_iter())
    }
}

/// Checks data of a type against digests.
pub(crate) fn check<D: Iterator<Item = Digest>>(
    event_type: EventType,
    data: &[u8],
    digests: impl Fn() -> D,
) -> PayloadCheck {
    check_but(event_type, data, digests, None)
}

/// Checks an event's data as [`Event::payload_check`] does, where one rule is known not to hold.
pub(crate) fn check_others(event: &Event<'_>, wrong: Option<Rule>) -> PayloadCheck {
    check_but(event.event_type(), event.data(), || event.known_digests(), wrong)
}

/// The rule that most likely holds for an event: of those that hash bytes as they stand. Each rule before it in the
/// list of the type covers more bytes, so that no digest fits both.
pub(crate) fn likely_rule(event_type: EventType, data: &[u8]) -> Option<Rule> {
    match event_type {
        EventType::NO_ACTION => None,
        EventType::EFI_VARIABLE_BOOT if Rule::VariableData.covered(data).is_some() => Some(Rule::VariableData),
        EventType::IPL if Rule::TextAfterPrefix.covered(data).is_some() => Some(Rule::TextAfterPrefix),
        _ => Some(Rule::EventData),
    }
}

fn check_but<D: Iterator<Item = Digest>>(
    event_type: EventType,
    data: &[u8],
    digests: impl Fn() -> D,
    wrong: Option<Rule>,
) -> PayloadCheck {
    let (rules, must_hold) = rules(event_type);
    if digests().next().is_none() {
        return PayloadCheck::NotCheckable;
    }
    let holds = |rule: &Rule| digests().all(|digest| rule.digest(digest.algorithm(), data) == Some(digest));
    if let Some(rule) = rules.iter().find(|rule| Some(**rule) != wrong && holds(rule)) {
        return PayloadCheck::Verified(*rule);
    }
    let is_error_separator = event_type == EventType::SEPARATOR
        && digests().all(|digest| digest == hash(digest.algorithm(), &[&ERROR_SEPARATOR]));
    // GRUB's prefix says that the text after it was measured.
    let must_hold = must_hold || (event_type == EventType::IPL && split_grub_prefix(data).is_some());
    if must_hold && !is_error_separator { PayloadCheck::Mismatch } else { PayloadCheck::NotCheckable }
}
