//! Decoded data part by part, for a person.

use core::fmt::{self, Arguments, Display, Formatter};

use nitrotpm_pcr::Bank;

use super::variable::{GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE, SHIM_LOCK};
use super::{Decoded, DevicePath, Locator, SignatureEntry, SipaEvent, UefiVariable, VariableContents};
use crate::text::{Encoding, Text, as_utf16};
use crate::{Guid, SpecId};

/// One part of decoded data.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Detail<'a> {
    /// How deep it stands inside others.
    pub depth: usize,
    /// What it is; empty for a further line of what stands before it.
    pub name: &'a str,
    /// Its value, with everything escaped that could be more than text.
    pub value: Arguments<'a>,
}

/// Takes the parts, one after the other.
type Each<'e> = &'e mut dyn FnMut(Detail<'_>) -> fmt::Result;

impl Decoded<'_> {
    /// Calls `each` with every part of the data, in order. Nothing is kept: a list of any length needs no memory.
    ///
    /// # Errors
    /// What `each` gives.
    pub fn details(&self, each: &mut dyn FnMut(Detail<'_>) -> fmt::Result) -> fmt::Result {
        match self {
            Self::SpecId(spec) => spec_id(spec, each),
            Self::StartupLocality { locality, padding } => {
                part(each, "locality", format_args!("{locality}"))?;
                if *padding == 0 { Ok(()) } else { part(each, "padding", format_args!("{padding} bytes")) }
            }
            Self::Separator(data) => part(each, "value", format_args!("{}", Hex(data))),
            Self::Text(value) => text(each, 0, "text", *value),
            Self::Variable(variable) => of_variable(variable, each),
            Self::ImageLoad(image) => {
                match image.path() {
                    Ok(path) => part(each, "device path", format_args!("{path}"))?,
                    Err(error) => part(each, "device path", format_args!("{error}"))?,
                }
                part(each, "loaded at", format_args!("{:#x}", image.location))?;
                part(each, "length", format_args!("{} bytes", image.length))?;
                part(each, "linked for", format_args!("{:#x}", image.link_time_address))?;
                bytes(each, 0, "trailing bytes", image.trailing)
            }
            Self::Gpt(gpt) => {
                part(each, "disk", format_args!("{}", gpt.disk()))?;
                gpt.partitions().try_for_each(|partition| {
                    part(each, "partition", format_args!("{}", partition.name))?;
                    nested(each, 1, "type", format_args!("{}", partition.partition_type))?;
                    nested(each, 1, "GUID", format_args!("{}", partition.unique))?;
                    let (first, last) = (partition.first_block, partition.last_block);
                    nested(each, 1, "blocks", format_args!("{first} to {last}"))?;
                    match partition.attributes {
                        0 => Ok(()),
                        attributes => nested(each, 1, "attributes", format_args!("{attributes:#x}")),
                    }
                })
            }
            Self::Grub { kind, text: value } => text(each, 0, kind, *value),
            Self::FirmwareBlob(blob) => {
                if let Some(description) = blob.description {
                    part(each, "description", format_args!("{description}"))?;
                }
                part(each, "address", format_args!("{:#x}", blob.base))?;
                part(each, "length", format_args!("{:#x} bytes", blob.length))
            }
            Self::HandoffTables(tables) => {
                if let Some(description) = tables.description {
                    part(each, "description", format_args!("{description}"))?;
                }
                let mut tables = tables.tables();
                tables.try_for_each(|(guid, address)| part(each, "table", format_args!("{guid} at {address:#x}")))
            }
            Self::PlatformId(id) => {
                part(each, "version of the event", format_args!("{}", id.version))?;
                part(each, "vendor", format_args!("{} (IANA)", id.vendor_id))?;
                part(each, "manifest", format_args!("{}", id.manifest))?;
                for (name, value) in
                    ["maker", "model", "version", "firmware maker"].into_iter().zip(id.platform.iter().flatten())
                {
                    part(each, name, format_args!("{value}"))?;
                }
                if let Some((vendor, version)) = id.firmware {
                    part(each, "firmware", format_args!("version {version} of vendor {vendor} (IANA)"))?;
                }
                for (name, locator) in
                    ["reference measurements", "platform certificate"].into_iter().zip(id.locators.iter().flatten())
                {
                    of_locator(each, name, locator)?;
                }
                Ok(())
            }
            Self::HcrtmComponent(component) => {
                part(each, "component", format_args!("{}", component.description))?;
                let name = if component.format & 0x80 == 0 { "digest" } else { "measurement" };
                part(each, name, format_args!("{}", Hex(component.measurement)))
            }
            Self::DeviceSecurity(device) => {
                let kind = match device.device_type {
                    1 => "PCI",
                    2 => "USB",
                    _ => "unknown",
                };
                part(each, "device", format_args!("{kind} ({})", device.device_type))?;
                if let Some(state) = device.authentication {
                    part(each, "authentication", format_args!("{state}"))?;
                }
                if let Ok(path) = DevicePath::parse(device.device_path) {
                    part(each, "device path", format_args!("{path}"))?;
                }
                let name = if device.content_type == 1 { "certificates" } else { "measurement" };
                bytes(each, 0, name, device.content)?;
                bytes(each, 0, "device context", device.device_context)
            }
            Self::Tagged(tagged) => {
                part(each, "tag", format_args!("{:#010x}", tagged.tag.0))?;
                text_or_bytes(each, 0, "contents", tagged.data)
            }
            Self::Windows(events) => events.events().try_for_each(|event| of_windows(each, &event)),
            Self::Raw(_) => Ok(()),
        }
    }
}

fn part(each: Each<'_>, name: &str, value: Arguments<'_>) -> fmt::Result {
    nested(each, 0, name, value)
}

fn nested(each: Each<'_>, depth: usize, name: &str, value: Arguments<'_>) -> fmt::Result {
    each(Detail { depth, name, value })
}

/// Bytes, where there are any.
fn bytes(each: Each<'_>, depth: usize, name: &str, value: &[u8]) -> fmt::Result {
    if value.is_empty() { Ok(()) } else { nested(each, depth, name, format_args!("{}", Hex(value))) }
}

/// Text line by line: a script of GRUB has many.
fn text(each: Each<'_>, depth: usize, name: &str, value: Text<'_>) -> fmt::Result {
    let one = value.encoding() == Encoding::Utf16 || !value.bytes().contains(&b'\n');
    if one {
        return nested(each, depth, name, format_args!("{value}"));
    }
    let whole = value.bytes().strip_suffix(b"\n").unwrap_or(value.bytes());
    whole.split(|byte| *byte == b'\n').enumerate().try_for_each(|(line, text)| {
        nested(each, depth, if line == 0 { name } else { "" }, format_args!("{}", Text::utf8(text)))
    })
}

/// What reads as text as text, everything else as bytes.
fn text_or_bytes(each: Each<'_>, depth: usize, name: &str, value: &[u8]) -> fmt::Result {
    match super::decode_text(value) {
        Some(value) => text(each, depth, name, value),
        None => bytes(each, depth, name, value),
    }
}

fn spec_id(spec: &SpecId<'_>, each: Each<'_>) -> fmt::Result {
    part(each, "signature", format_args!("{}", spec.version.signature()))?;
    part(each, "specification", format_args!("{}.{} errata {}", spec.major, spec.minor, spec.errata))?;
    let class = match spec.platform_class {
        0 => "client",
        1 => "server",
        _ => "unknown",
    };
    part(each, "platform class", format_args!("{class} ({})", spec.platform_class))?;
    part(each, "size of UINTN", format_args!("{}", spec.uintn_size))?;
    for bank in spec.declared.as_slice() {
        part(each, "bank", format_args!("{}, {} bytes", bank.algorithm, bank.size))?;
    }
    bytes(each, 0, "vendor's information", spec.vendor_info)
}

fn of_locator(each: Each<'_>, name: &str, locator: &Locator<'_>) -> fmt::Result {
    match locator.kind {
        1 => text_or_bytes(each, 0, name, locator.data),
        2 => match DevicePath::parse(locator.data) {
            Ok(path) => part(each, name, format_args!("{path}")),
            Err(_) => bytes(each, 0, name, locator.data),
        },
        3 => match locator.data.split_first_chunk::<16>() {
            Some((guid, variable)) => {
                let variable = Text::utf16(variable.strip_suffix(&[0, 0]).unwrap_or(variable));
                part(each, name, format_args!("the variable {variable} of {}", Guid::from_bytes(*guid)))
            }
            None => bytes(each, 0, name, locator.data),
        },
        _ => bytes(each, 0, name, locator.data),
    }
}

/// A namespace of variables as the UEFI specification calls it.
const fn namespace(guid: Guid) -> &'static str {
    match guid {
        GLOBAL_VARIABLE => " (EFI global)",
        IMAGE_SECURITY_DATABASE => " (image security database)",
        SHIM_LOCK => " (shim)",
        _ => "",
    }
}

fn of_variable(variable: &UefiVariable<'_>, each: Each<'_>) -> fmt::Result {
    part(each, "variable", format_args!("{}", variable.name))?;
    part(each, "namespace", format_args!("{}{}", variable.guid, namespace(variable.guid)))?;
    match variable.contents() {
        Ok(VariableContents::Flag(flag)) => part(each, "value", format_args!("{flag}"))?,
        Ok(VariableContents::BootOrder(order)) => {
            for number in order {
                part(each, "boot option", format_args!("Boot{:04X}", u16::from_le_bytes(*number)))?;
            }
        }
        Ok(VariableContents::LoadOption(option)) => {
            part(each, "description", format_args!("{}", option.description))?;
            part(each, "device path", format_args!("{}", option.path))?;
            part(each, "attributes", format_args!("{:#x}", option.attributes))?;
            text_or_bytes(each, 0, "optional data", option.optional_data)?;
        }
        Ok(VariableContents::Text(value)) => text(each, 0, "text", value)?,
        Ok(VariableContents::SignatureLists(lists)) => {
            lists.entries().try_for_each(|entry| of_signature(each, &entry))?;
        }
        Ok(VariableContents::Raw(data)) => match variable.authority_entry() {
            Some(entry) => of_signature(each, &entry)?,
            None => text_or_bytes(each, 0, "contents", data)?,
        },
        // An authority event has one entry of a list where the whole variable has lists.
        Err(error) => match variable.authority_entry() {
            Some(entry) => of_signature(each, &entry)?,
            None => part(each, "malformed", format_args!("{error}"))?,
        },
    }
    bytes(each, 0, "trailing bytes", variable.trailing)
}

fn of_signature(each: Each<'_>, entry: &SignatureEntry<'_>) -> fmt::Result {
    let kind = entry.kind.name().unwrap_or("entry of unknown type");
    match entry.certificate_subject() {
        Some(subject) => part(each, "certificate", format_args!("{subject}"))?,
        None if entry.data.len() <= 128 => part(each, kind, format_args!("{}", Hex(entry.data)))?,
        None => part(each, kind, format_args!("{} bytes", entry.data.len()))?,
    }
    if entry.data.len() > 128 {
        let digest = nitrotpm_digest_lanes::hash(Bank::Sha256, &[entry.data]);
        nested(each, 1, "SHA-256", format_args!("{digest}"))?;
    }
    if entry.kind.name().is_none() {
        nested(each, 1, "type", format_args!("{}", entry.kind.0))?;
    }
    nested(each, 1, "owner", format_args!("{}", entry.owner))
}

fn of_windows(each: Each<'_>, event: &SipaEvent<'_>) -> fmt::Result {
    let (depth, data) = (event.depth, event.data);
    let name = event.sipa_type.name().unwrap_or("unknown");
    if event.sipa_type.is_container() {
        return nested(each, depth, name, format_args!("{:#010x}", event.sipa_type.0));
    }
    if event.sipa_type.name().is_none() {
        return nested(each, depth, name, format_args!("{:#010x}: {}", event.sipa_type.0, Hex(data)));
    }
    match (as_utf16(data), data) {
        (Some(value), _) if data.len() > 8 => text(each, depth, name, Text::utf16(value)),
        (_, [byte]) => nested(each, depth, name, format_args!("{byte}")),
        (_, [a, b, c, d]) => nested(each, depth, name, format_args!("{}", u32::from_le_bytes([*a, *b, *c, *d]))),
        (_, [a, b, c, d, e, f, g, h]) => {
            let number = u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            nested(each, depth, name, format_args!("{number}"))
        }
        _ => nested(each, depth, name, format_args!("{}", Hex(data))),
    }
}

/// Bytes as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
