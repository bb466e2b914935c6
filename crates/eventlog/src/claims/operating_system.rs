//! What the boot loader and the operating system's first stages measured: command lines, files, sections, keys.

use alloc::vec::Vec;

use nitrotpm_pcr::{Bank, Digest, PcrIndex};

use crate::decode::decode_text;
use crate::payload::split_grub_prefix;
use crate::text::{Encoding, Text, as_utf16};
use crate::{ConfirmedEvent, ConfirmedLog, EventType, Rule};

/// Who measured a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandLineSource {
    /// GRUB, into PCR 8.
    Grub,
    /// systemd-boot or systemd-stub, into PCR 12: a command line that is not part of the signed image.
    Systemd,
}

/// A kernel command line whose text is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandLine<'a> {
    /// The event.
    pub event: usize,
    /// The text. GRUB puts the kernel's path before the parameters.
    pub text: Text<'a>,
    /// Who measured it.
    pub source: CommandLineSource,
}

/// A file or a piece of data that was measured: the digest is proven, the name is what the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeasuredFile<'a> {
    /// The event, with the digests.
    pub confirmed: ConfirmedEvent<'a>,
    /// The name. Nothing proves it.
    pub untrusted_name: Text<'a>,
}

/// A section of a unified kernel image, as systemd-stub measures it into PCR 11: the name, then the contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UkiSection<'a> {
    /// The event of the name.
    pub event: usize,
    /// The name (`.linux`), proven.
    pub name: Text<'a>,
    contents: Option<ConfirmedEvent<'a>>,
}

impl UkiSection<'_> {
    /// The proven digest of the section's contents.
    #[must_use]
    pub fn digest(&self, bank: Bank) -> Option<Digest> {
        self.contents.and_then(|contents| contents.proven_digest(bank))
    }
}

/// What PCR 11 proves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UkiMeasurements<'a> {
    /// The sections in the order in which they were measured.
    pub sections: Vec<UkiSection<'a>>,
    /// What follows them: boot phases, other images.
    pub following: Vec<ConfirmedEvent<'a>>,
}

impl UkiMeasurements<'_> {
    /// The digest of the contents of the one section of this name; `None` where there is none or more than one.
    #[must_use]
    pub fn digest(&self, name: &str, bank: Bank) -> Option<Digest> {
        let mut named = self.sections.iter().filter(|section| section.name.is(name));
        match (named.next(), named.next()) {
            (Some(section), None) => section.digest(bank),
            _ => None,
        }
    }
}

/// Why something about the operating system is not known. Events count from 0, the header included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperatingSystemUnknown {
    /// The register was not compared with an authenticated value.
    #[error("PCR {pcr} was not among the PCRs that the log was compared with")]
    NotConfirmed {
        /// The register.
        pcr: u8,
    },
    /// The data of an event is not that of its digest.
    #[error("the data of event {event} is not proven by its digest")]
    NotProven {
        /// The event.
        event: usize,
    },
    /// A second command line, where only one can have been used.
    #[error("event {event} is a second kernel command line; which one the kernel got is not known")]
    SecondCommandLine {
        /// The event.
        event: usize,
    },
    /// GRUB's command and the command line do not belong together.
    #[error("event {event}: GRUB's command that loads a kernel and the kernel's command line do not agree")]
    Uncorroborated {
        /// The event.
        event: usize,
    },
    /// The name of a section without contents.
    #[error("event {event} in PCR 11 is the name of a section, and no contents follow")]
    NotASection {
        /// The event.
        event: usize,
    },
}

type Known<T> = Result<T, OperatingSystemUnknown>;

impl<'a> ConfirmedLog<'a> {
    fn of_register(&self, pcr: u8) -> Known<impl Iterator<Item = ConfirmedEvent<'a>> + '_> {
        let index = PcrIndex::new(pcr).filter(|index| self.is_confirmed(*index));
        index.map(|index| self.events_of(index)).ok_or(OperatingSystemUnknown::NotConfirmed { pcr })
    }

    /// The one command line that GRUB measured into PCR 8, or `None` where it measured none.
    ///
    /// GRUB measures the command that loads the kernel (`linux /vmlinuz quiet`) and then the kernel's command line
    /// (`/vmlinuz quiet`). Both texts are proven by their digests; what says which is which, GRUB's prefix, is not. So
    /// there has to be exactly one of each, and they have to agree but for quoting.
    ///
    /// # Errors
    /// [`OperatingSystemUnknown`] for a text that its digest does not prove, for a second command line or a second
    /// command that loads a kernel, and where the two do not agree.
    pub fn grub_command_line(&self) -> Known<Option<CommandLine<'a>>> {
        let mut line: Option<CommandLine<'a>> = None;
        let mut load: Option<(usize, Text<'a>)> = None;
        for confirmed in self.of_register(8)? {
            let event = confirmed.index();
            let Some((prefix, text)) = grub_text(&confirmed)? else { continue };
            let second = if matches!(prefix, b"kernel_cmdline: " | b"grub_kernel_cmdline ") {
                line.replace(CommandLine { event, text, source: CommandLineSource::Grub }).is_some()
            } else {
                kernel_to_load(text).is_some_and(|text| load.replace((event, text)).is_some())
            };
            if second {
                return Err(OperatingSystemUnknown::SecondCommandLine { event });
            }
        }
        let agree = match (line, load) {
            (Some(line), Some((_, load))) => unquoted(line.text).eq(unquoted(load)),
            (None, None) => true,
            _ => false,
        };
        if agree {
            return Ok(line);
        }
        let event = line.map(|line| line.event).or(load.map(|(event, _)| event)).unwrap_or_default();
        Err(OperatingSystemUnknown::Uncorroborated { event })
    }

    /// The commands that GRUB ran and measured into PCR 8, in order, each with its event.
    ///
    /// # Errors
    /// [`OperatingSystemUnknown`] for a text that its digest does not prove.
    pub fn grub_commands(&self) -> Known<Vec<(usize, Text<'a>)>> {
        let mut commands = Vec::new();
        for confirmed in self.of_register(8)? {
            if let Some((b"grub_cmd: " | b"grub_cmd ", text)) = grub_text(&confirmed)? {
                commands.push((confirmed.index(), text));
            }
        }
        Ok(commands)
    }

    /// Command lines that systemd-boot or systemd-stub measured into PCR 12: none for an image that was started as it
    /// was signed.
    ///
    /// # Errors
    /// [`OperatingSystemUnknown`] for data of an `EV_IPL` event that its digest does not prove.
    pub fn systemd_command_lines(&self) -> Known<Vec<CommandLine<'a>>> {
        let mut lines = Vec::new();
        for confirmed in self.of_register(12)? {
            if confirmed.event().event_type() != EventType::IPL {
                continue;
            }
            let event = confirmed.index();
            if confirmed.payload_check().rule() != Some(Rule::EventData) {
                return Err(OperatingSystemUnknown::NotProven { event });
            }
            // Older versions leave the terminating NUL out.
            let data = confirmed.event().data();
            let text = Text::utf16(as_utf16(data).unwrap_or(data));
            lines.push(CommandLine { event, text, source: CommandLineSource::Systemd });
        }
        Ok(lines)
    }

    /// The sections of the unified kernel image that systemd-stub measured into PCR 11, in order.
    ///
    /// Names of systemd's own sections are found by their digests, whatever the log says beside them.
    ///
    /// # Errors
    /// [`OperatingSystemUnknown::NotASection`] where a name has no contents.
    pub fn uki(&self) -> Known<UkiMeasurements<'a>> {
        let mut found = UkiMeasurements { sections: Vec::new(), following: Vec::new() };
        let mut events = self.of_register(11)?;
        for event in events.by_ref() {
            if !found.following.is_empty() {
                found.following.push(event);
                continue;
            }
            match found.sections.last_mut() {
                Some(section) if section.contents.is_none() => section.contents = Some(event),
                _ => match section_name(&event) {
                    Some(name) => found.sections.push(UkiSection { event: event.index(), name, contents: None }),
                    None => found.following.push(event),
                },
            }
        }
        match found.sections.last() {
            Some(last) if last.contents.is_none() => Err(OperatingSystemUnknown::NotASection { event: last.event }),
            _ => Ok(found),
        }
    }

    /// The files that GRUB read and measured into PCR 9, and what the kernel measured there.
    ///
    /// # Errors
    /// [`OperatingSystemUnknown::NotConfirmed`].
    pub fn measured_files(&self) -> Known<Vec<MeasuredFile<'a>>> {
        Ok(self
            .of_register(9)?
            .map(|confirmed| MeasuredFile { confirmed, untrusted_name: name_of(&confirmed) })
            .collect())
    }

    /// The lists of keys and of forbidden keys that shim measured into PCR 14: `MokList`, `MokListX`,
    /// `MokListTrusted`.
    ///
    /// # Errors
    /// [`OperatingSystemUnknown::NotConfirmed`].
    pub fn shim_lists(&self) -> Known<Vec<MeasuredFile<'a>>> {
        Ok(self
            .of_register(14)?
            .map(|confirmed| MeasuredFile { confirmed, untrusted_name: name_of(&confirmed) })
            .collect())
    }

    /// Whether the kernel measured exactly this command line into PCR 9 when it was started (Linux 6.0 on, from
    /// `LOADED_IMAGE::LoadOptions`): the log holds only its digest.
    ///
    /// # Errors
    /// [`OperatingSystemUnknown::NotConfirmed`].
    pub fn kernel_measured_command_line(&self, text: &str) -> Known<bool> {
        let measured: Vec<u8> = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        Ok(self.of_register(9)?.any(|confirmed| confirmed.is_measurement_of(&measured)))
    }
}

/// The sections that systemd's tools put into a unified kernel image (systemd.stub(7)).
const SECTIONS: [&str; 14] = [
    ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".dtbauto", ".efifw", ".hwids", ".uname",
    ".sbat", ".pcrpkey", ".profile",
];

/// The name that a measurement proves, where it is one.
fn section_name<'a>(confirmed: &ConfirmedEvent<'a>) -> Option<Text<'a>> {
    let known = SECTIONS.into_iter().find(|name| confirmed.is_measurement_of(&[name.as_bytes(), b"\0"].concat()));
    if let Some(name) = known {
        return Some(Text::utf8(name.as_bytes()));
    }
    let rule = confirmed.payload_check().rule().filter(|rule| *rule == Rule::NameInUtf8)?;
    let name = Text::utf16(rule.covered(confirmed.event().data())?);
    (name.chars().next() == Some('.')).then_some(name)
}

/// What a command of GRUB's loads as a kernel, where it does.
fn kernel_to_load(command: Text<'_>) -> Option<Text<'_>> {
    let commands: [&[u8]; 3] = [b"linux ", b"linuxefi ", b"linux16 "];
    commands.into_iter().find_map(|name| command.bytes().strip_prefix(name)).map(Text::utf8)
}

/// The bytes of a text without quoting, which GRUB adds to the command line and not to the command.
fn unquoted(text: Text<'_>) -> impl Iterator<Item = u8> + '_ {
    text.bytes().iter().copied().filter(|byte| !matches!(byte, b'"' | b'\'' | b'\\'))
}

/// The prefix and the proven text of one of GRUB's measurements.
fn grub_text<'a>(confirmed: &ConfirmedEvent<'a>) -> Known<Option<(&'static [u8], Text<'a>)>> {
    let Some((prefix, _)) = split_grub_prefix(confirmed.event().data()) else { return Ok(None) };
    let proven = match confirmed.payload_check().rule() {
        Some(rule @ (Rule::TextAfterPrefix | Rule::TextAfterPrefixWithNul)) => rule.covered(confirmed.event().data()),
        _ => None,
    };
    let text = proven.ok_or(OperatingSystemUnknown::NotProven { event: confirmed.index() })?;
    Ok(Some((prefix, Text::utf8(crate::text::without_nul(text)))))
}

/// The name that stands in an event's data: nothing proves it.
fn name_of<'a>(confirmed: &ConfirmedEvent<'a>) -> Text<'a> {
    let data = confirmed.event().data();
    // A tagged event has its name after the tag and the size.
    let named =
        if confirmed.event().event_type() == EventType::EVENT_TAG { data.get(8..).unwrap_or(data) } else { data };
    decode_text(named).unwrap_or_else(|| Text::new(named, Encoding::Utf8))
}
