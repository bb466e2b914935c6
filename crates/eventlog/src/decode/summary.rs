//! Decoded data in one line, for a person.

use core::fmt::{self, Display, Formatter};

use super::{Decoded, SipaEvents, UefiVariable, VariableContents};

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
                Ok(path) if path.nodes().any(|node| node.node_type != 0x7F) => Display::fmt(&path, f),
                _ => write!(f, "image of {} bytes, from memory", image.length),
            },
            Self::Gpt(gpt) => {
                write!(f, "disk {}, {} partitions", gpt.disk(), gpt.count())?;
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
                write!(f, "{} tables", tables.tables().count())
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
            Self::Raw(data) => write!(f, "{} bytes", data.len()),
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
        Ok(VariableContents::SignatureLists(lists)) => write!(f, ", {} entries", lists.entries().count()),
        // An authority event has one entry of a variable and not the whole.
        _ => match variable.authority_entry().and_then(|entry| entry.certificate_subject()) {
            Some(subject) => write!(f, ", the certificate \"{subject}\""),
            None => write!(f, ", {} bytes", variable.data.len()),
        },
    }
}

fn windows_in_words(f: &mut Formatter<'_>, events: &SipaEvents<'_>) -> fmt::Result {
    let count = events.events().count();
    match events.events().find(|event| !event.sipa_type.is_container()) {
        Some(first) => match first.sipa_type.name() {
            Some(name) => write!(f, "{count} Windows events, {name} first"),
            None => write!(f, "{count} Windows events, {:#010x} first", first.sipa_type.0),
        },
        None => write!(f, "{count} Windows events"),
    }
}
