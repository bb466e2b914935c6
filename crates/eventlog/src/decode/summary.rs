//! Decoded data in one line, for a person.

use core::fmt::{self, Display, Formatter};

use super::{Decoded, DevicePath, SignatureLists, SipaEvents, UefiVariable, VariableContents};
use crate::{Event, EventType, LogError, PayloadCheck, Rule};

/// What an event is, in one line for a person; see [`Event::summary`].
#[derive(Clone, Debug)]
pub struct Summary<'a> {
    decoded: Result<Decoded<'a>, LogError>,
    event_type: EventType,
    check: PayloadCheck,
    pcr: Option<u8>,
}

impl<'a> Event<'a> {
    /// What the event is, in one line for a person, with every string escaped: its decoded data, and where that is only
    /// a name, what the name is of. A name is what the log's writer says, unless the payload check proves it.
    #[must_use]
    pub fn summary(&self) -> Summary<'a> {
        Summary {
            decoded: self.decode(),
            event_type: self.event_type(),
            check: self.payload_check(),
            pcr: self.pcr().map(|pcr| pcr.get()),
        }
    }
}

impl Summary<'_> {
    /// Whether the data is not of the shape that its type prescribes; the line then says what is wrong.
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        self.decoded.is_err()
    }
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let decoded = match &self.decoded {
            Ok(decoded) => decoded,
            Err(error) => return write!(f, "malformed: {error}"),
        };
        let Decoded::Text(text) = decoded else { return Display::fmt(decoded, f) };
        if self.event_type != EventType::IPL {
            return Display::fmt(text, f);
        }
        match (self.pcr, self.check) {
            (_, PayloadCheck::Verified(Rule::NameInUtf8)) => write!(f, "name of section {text}"),
            (Some(11), PayloadCheck::NotCheckable) => write!(f, "contents of section {text}"),
            (Some(9), PayloadCheck::NotCheckable) => write!(f, "file {text}"),
            (Some(12), PayloadCheck::Verified(_)) => write!(f, "command line {text}"),
            _ => Display::fmt(text, f),
        }
    }
}

impl Display for Decoded<'_> {
    /// One line, with every string escaped. Data of no known shape is told by its length.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpecId(spec) => write!(f, "Spec ID {}.{} errata {}", spec.major, spec.minor, spec.errata),
            Self::StartupLocality { locality, padding: 0 } => write!(f, "startup locality {locality}"),
            Self::StartupLocality { locality, padding } => {
                write!(f, "startup locality {locality}, {padding} bytes of padding")
            }
            Self::Separator(data) => match data.iter().all(|byte| byte.is_ascii_graphic()) {
                true => write!(f, "separator {}", crate::escape(data)),
                false => {
                    f.write_str("separator ")?;
                    hex(f, data, 8)
                }
            },
            Self::Text(text) => Display::fmt(text, f),
            Self::Variable(variable) => variable_in_words(f, variable),
            Self::ImageLoad(image) => match image.path() {
                Ok(path) if path.nodes().any(|node| node.node_type != 0x7F) => file_and_device(f, &path),
                _ => write!(f, "image of {} bytes, from memory", image.length),
            },
            Self::Gpt(gpt) => {
                write!(f, "disk {}, {}", gpt.disk(), Count(gpt.count(), "partition"))?;
                gpt.partitions()
                    .filter(|partition| !partition.name.bytes().is_empty())
                    .try_for_each(|partition| write!(f, ", {}", partition.name))
            }
            Self::Grub { kind, text } => write!(f, "{kind}: {text}"),
            Self::FirmwareBlob(blob) => {
                if let Some(description) = blob.description {
                    write!(f, "{description}, ")?;
                }
                write!(f, "{:#x} bytes at {:#x}", blob.length, blob.base)
            }
            Self::HandoffTables(tables) => {
                if let Some(description) = tables.description {
                    write!(f, "{description}, ")?;
                }
                write!(f, "{}", count(tables.tables(), "table"))
            }
            Self::PlatformId(id) => {
                write!(f, "platform id {}, manifest {}", id.vendor_id, id.manifest)?;
                match id.platform {
                    Some([maker, model, version, _]) => write!(f, ", {maker} {model} {version}"),
                    None => Ok(()),
                }
            }
            Self::HcrtmComponent(component) => write!(f, "H-CRTM component {}", component.description),
            Self::DeviceSecurity(device) => {
                let content = if device.content_type == 1 { "certificates" } else { "measurement" };
                write!(f, "SPDM {content} of a device of type {}, {} bytes", device.device_type, device.content.len())
            }
            Self::Tagged(tagged) => match tagged.tag.name() {
                Some(name) => f.write_str(name),
                None => write!(f, "tag {:#010x}, {} bytes", tagged.tag.0, tagged.data.len()),
            },
            Self::Windows(events) => windows_in_words(f, events),
            Self::Raw([]) => f.write_str("no data"),
            Self::Raw(data) => {
                write!(f, "{}", count(data.iter(), "byte"))?;
                if data.len() > 8 {
                    return Ok(());
                }
                f.write_str(", ")?;
                hex(f, data, 8)
            }
        }
    }
}

/// The first bytes as hexadecimal digits.
fn hex(f: &mut Formatter<'_>, data: &[u8], most: usize) -> fmt::Result {
    data.iter().take(most).try_for_each(|byte| write!(f, "{byte:02x}"))?;
    if data.len() > most { f.write_str("…") } else { Ok(()) }
}

fn variable_in_words(f: &mut Formatter<'_>, variable: &UefiVariable<'_>) -> fmt::Result {
    write!(f, "{}", variable.name)?;
    match variable.contents() {
        Ok(VariableContents::Flag(flag)) => write!(f, " = {flag}"),
        Ok(VariableContents::BootOrder(order)) => {
            f.write_str(" =")?;
            order.iter().try_for_each(|number| write!(f, " {:04X}", u16::from_le_bytes(*number)))
        }
        Ok(VariableContents::LoadOption(option)) => write!(f, " = \"{}\" at {}", option.description, option.path),
        Ok(VariableContents::Text(text)) => write!(f, " = \"{text}\""),
        Ok(VariableContents::SignatureLists(lists)) => lists_in_words(f, &lists),
        // An authority event has one entry of a variable and not the whole.
        _ => match variable.authority_entry().and_then(|entry| entry.certificate_subject()) {
            Some(subject) => write!(f, ", the certificate \"{subject}\""),
            None => write!(f, ", {}", count(variable.data.iter(), "byte")),
        },
    }
}

/// How many of something there are.
struct Count(u64, &'static str);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}

fn count(things: impl Iterator, name: &'static str) -> Count {
    Count(u64::try_from(things.count()).unwrap_or(u64::MAX), name)
}

/// The file first: the way to it is long, and the file is what a person looks for.
fn file_and_device(f: &mut Formatter<'_>, path: &DevicePath<'_>) -> fmt::Result {
    let is_file = |node: &super::DevicePathNode<'_>| (node.node_type, node.subtype) == (4, 4);
    let mut files = path.nodes().filter(is_file);
    let one = path.nodes().filter(|node| (node.node_type, node.subtype) == (0x7F, 0xFF)).count() <= 1
        && !path.nodes().any(|node| node.node_type == 0x7F && node.subtype != 0xFF);
    let (Some(file), None, true) = (files.next(), files.next(), one) else { return Display::fmt(path, f) };
    Display::fmt(&file, f)?;
    let device = || path.nodes().filter(|node| node.node_type != 0x7F && !is_file(node));
    device().enumerate().try_for_each(|(position, node)| {
        f.write_str(if position == 0 { " on " } else { "/" })?;
        Display::fmt(&node, f)
    })
}

/// How many certificates are named in one line.
const MOST_NAMED: usize = 2;

fn lists_in_words(f: &mut Formatter<'_>, lists: &SignatureLists<'_>) -> fmt::Result {
    let entries = count(lists.entries(), "entry");
    match entries.0 {
        0 => return f.write_str(", empty"),
        1 => f.write_str(", 1 entry")?,
        more => write!(f, ", {more} entries")?,
    }
    let subjects = || lists.entries().filter_map(|entry| entry.certificate_subject());
    let others = lists.entries().any(|entry| entry.certificate_subject().is_none());
    for (position, subject) in subjects().take(MOST_NAMED).enumerate() {
        let before = match (position, others) {
            (0, true) => ", among them ",
            (0, false) => ": ",
            _ => ", ",
        };
        write!(f, "{before}\"{subject}\"")?;
    }
    if subjects().nth(MOST_NAMED).is_some() { f.write_str(", …") } else { Ok(()) }
}

fn windows_in_words(f: &mut Formatter<'_>, events: &SipaEvents<'_>) -> fmt::Result {
    let count = count(events.events(), "Windows event");
    match events.events().find(|event| !event.sipa_type.is_container()) {
        Some(first) => match first.sipa_type.name() {
            Some(name) => write!(f, "{count}, {name} first"),
            None => write!(f, "{count}, {:#010x} first", first.sipa_type.0),
        },
        None => write!(f, "{count}"),
    }
}
