//! What an event is about.

use alloc::vec::Vec;

use nitrotpm_pcr::PcrIndex;

use super::Cause;
use crate::decode::{Decoded, EventTag, GLOBAL_VARIABLE, UefiVariable};
use crate::text::Text;
use crate::{Event, EventLog, EventType, PayloadCheck, Rule};

/// An event with what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) event: Event<'a>,
    pub(super) subject: Subject<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject<'a> {
    Variable(UefiVariable<'a>),
    Authority(UefiVariable<'a>),
    /// An image, and the file that it came from.
    Image(Option<Text<'a>>),
    /// The name of a section of a unified kernel image.
    SectionName(Text<'a>),
    /// The contents of that section.
    Section(Text<'a>),
    Grub {
        kind: &'static str,
        text: Text<'a>,
    },
    /// A command line beside a unified kernel image.
    CommandLine(Text<'a>),
    File(Text<'a>),
    Tag(EventTag),
    Action(Text<'a>),
    Text(Text<'a>),
    Locality(u8),
    Other(EventType),
}

impl<'a> Item<'a> {
    /// Whether the data is that of the digests.
    pub(super) fn is_proven(&self) -> bool {
        matches!(self.event.payload_check(), PayloadCheck::Verified(_))
    }

    pub(super) const fn is_image(&self) -> bool {
        matches!(self.subject, Subject::Image(_))
    }

    /// Whether the two are versions of one thing.
    pub(super) fn is_same_thing(&self, other: &Self) -> bool {
        match (self.subject, other.subject) {
            (Subject::Variable(a), Subject::Variable(b)) | (Subject::Authority(a), Subject::Authority(b)) => {
                a.guid == b.guid && a.name == b.name
            }
            (Subject::SectionName(a), Subject::SectionName(b))
            | (Subject::Section(a), Subject::Section(b))
            | (Subject::File(a), Subject::File(b)) => a == b,
            (Subject::Grub { kind: a, text: x }, Subject::Grub { kind: b, text: y }) => {
                // Of two commands, those that begin with the same word.
                let word = |text: Text<'a>| text.bytes().split(|byte| *byte == b' ').next();
                a == b && (a != "grub_cmd" || word(x) == word(y))
            }
            (Subject::Tag(a), Subject::Tag(b)) => a == b,
            (Subject::Other(a), Subject::Other(b)) => a == b,
            (Subject::Image(_), Subject::Image(_))
            | (Subject::CommandLine(_), Subject::CommandLine(_))
            | (Subject::Text(_), Subject::Text(_))
            | (Subject::Locality(_), Subject::Locality(_)) => self.event.event_type() == other.event.event_type(),
            _ => false,
        }
    }

    pub(super) fn cause(&self, pcr: PcrIndex) -> Cause {
        let contains = |text: Text<'_>, part: &str| {
            text.bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
        };
        match (self.subject, pcr.get()) {
            (Subject::Section(name) | Subject::SectionName(name), _) if name.is(".cmdline") => Cause::KernelCommandLine,
            (Subject::Section(name) | Subject::SectionName(name), _) if name.is(".initrd") || name.is(".ucode") => {
                Cause::Initrd
            }
            (Subject::Section(_) | Subject::SectionName(_), _) => Cause::BootImage,
            (Subject::Grub { kind: "kernel_cmdline", .. } | Subject::CommandLine(_), _) => Cause::KernelCommandLine,
            (Subject::Grub { text, .. }, _) if text.bytes().starts_with(b"linux") => Cause::KernelCommandLine,
            (Subject::Grub { text, .. }, _) if text.bytes().starts_with(b"initrd") => Cause::Initrd,
            (Subject::Tag(EventTag::LINUX_LOAD_OPTIONS), _) => Cause::KernelCommandLine,
            (Subject::Tag(EventTag::LINUX_INITRD), _) => Cause::Initrd,
            (Subject::File(name), 9) if contains(name, "initrd") || contains(name, "initramfs") => Cause::Initrd,
            (Subject::File(name), 9) if contains(name, "vmlinuz") => Cause::BootImage,
            (Subject::Image(_), 4) => Cause::BootImage,
            (_, 7 | 14) => Cause::SecureBootPolicy,
            (Subject::Variable(variable), 1) if is_boot_variable(&variable) => Cause::BootOrder,
            (_, 0..=3 | 6) => Cause::Firmware,
            _ => Cause::Unknown,
        }
    }
}

fn is_boot_variable(variable: &UefiVariable<'_>) -> bool {
    variable.guid == GLOBAL_VARIABLE && variable.name.chars().take(4).eq("Boot".chars())
}

/// The events of one register with what they are about. Of those that are not extended, only the locality counts.
pub(super) fn items<'a>(log: &EventLog<'a>, pcr: PcrIndex) -> Vec<Item<'a>> {
    let mut items: Vec<Item<'a>> = Vec::new();
    for event in log.events().filter(|event| event.pcr() == Some(pcr)) {
        let decoded = event.decode().ok();
        let section = match items.last().map(|item| item.subject) {
            Some(Subject::SectionName(name)) => Some(name),
            _ => None,
        };
        let subject = match decoded {
            Some(Decoded::StartupLocality { locality, .. }) => Subject::Locality(locality),
            _ if !event.extends() => continue,
            _ if section.is_some() => section.map_or(Subject::Other(event.event_type()), Subject::Section),
            Some(Decoded::Text(text)) if event.payload_check().rule() == Some(Rule::NameInUtf8) => {
                Subject::SectionName(text)
            }
            Some(decoded) => subject_of(decoded, event.event_type(), pcr),
            None => Subject::Other(event.event_type()),
        };
        items.push(Item { event, subject });
    }
    items
}

fn subject_of(decoded: Decoded<'_>, event_type: EventType, pcr: PcrIndex) -> Subject<'_> {
    match decoded {
        Decoded::Variable(variable) if event_type == EventType::EFI_VARIABLE_AUTHORITY => Subject::Authority(variable),
        Decoded::Variable(variable) => Subject::Variable(variable),
        Decoded::ImageLoad(image) => Subject::Image(image.path().ok().and_then(|path| path.file())),
        Decoded::Grub { kind, text } => Subject::Grub { kind, text },
        Decoded::Tagged(tagged) => Subject::Tag(tagged.tag),
        Decoded::Text(text) => match (event_type, pcr.get()) {
            (EventType::IPL, 12) => Subject::CommandLine(text),
            (EventType::IPL, _) => Subject::File(text),
            (EventType::ACTION | EventType::EFI_ACTION, _) => Subject::Action(text),
            _ => Subject::Text(text),
        },
        _ => Subject::Other(event_type),
    }
}
