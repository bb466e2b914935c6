//! UEFI device paths (UEFI 2.10, section 10), as text.

use core::fmt::{self, Write};

use uguid::Guid;

use crate::LogError;
use crate::reader::Reader;
use crate::text::{escape, escape_utf16};

/// A device path, all of whose nodes were checked. Its `Display` is the text form of UEFI 2.10, section 10.6.1.6, with
/// strings escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevicePath<'a>(&'a [u8]);

/// One node of a device path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DevicePathNode<'a> {
    /// The type.
    pub node_type: u8,
    /// The subtype.
    pub subtype: u8,
    /// What follows the four bytes of the node's header.
    pub data: &'a [u8],
}

fn read_node<'a>(reader: &mut Reader<'a>) -> Result<DevicePathNode<'a>, LogError> {
    reader.enter("a node of a device path");
    let offset = reader.offset();
    let (node_type, subtype, length) = (reader.u8()?, reader.u8()?, reader.u16()?);
    let length = length.checked_sub(4).ok_or(LogError::Malformed {
        structure: "a node of a device path",
        offset,
        problem: "its length is below 4",
    })?;
    Ok(DevicePathNode { node_type, subtype, data: reader.take(length.into())? })
}

impl<'a> DevicePath<'a> {
    /// Checks a device path. It may lack the node that ends it.
    ///
    /// # Errors
    /// [`LogError::Malformed`] or [`LogError::Truncated`], with the offset in `data`, for a node whose length is below 4
    /// or beyond the end.
    pub fn parse(data: &'a [u8]) -> Result<Self, LogError> {
        Self::parse_at(data, 0)
    }

    pub(crate) fn parse_at(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        let mut reader = Reader::new(data, offset, "a node of a device path");
        while !reader.is_empty() {
            read_node(&mut reader)?;
        }
        Ok(Self(data))
    }

    /// The nodes, those that end a path or an instance included.
    pub fn nodes(&self) -> impl Iterator<Item = DevicePathNode<'a>> + 'a {
        let mut reader = Reader::new(self.0, 0, "a node of a device path");
        core::iter::from_fn(move || if reader.is_empty() { None } else { read_node(&mut reader).ok() })
    }

    /// The path of the file, where the device path names one: UCS-2 without a terminating NUL.
    #[must_use]
    pub fn file(&self) -> Option<crate::Text<'a>> {
        let node = self.nodes().filter(|node| (node.node_type, node.subtype) == (4, 4)).last()?;
        Some(crate::Text::utf16(node.data.strip_suffix(&[0, 0]).unwrap_or(node.data)))
    }
}

impl fmt::Display for DevicePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for node in self.nodes() {
            match (node.node_type, node.subtype) {
                (0x7F, 0xFF) => break,
                (0x7F, _) => {
                    f.write_char(',')?;
                    first = true;
                }
                _ => {
                    if !first {
                        f.write_char('/')?;
                    }
                    first = false;
                    fmt::Display::fmt(&node, f)?;
                }
            }
        }
        Ok(())
    }
}

/// Reads fields of a node; `None` where the node is too short for its type, and is then shown as bytes.
struct Fields<'a>(Reader<'a>);

impl<'a> Fields<'a> {
    fn u8(&mut self) -> Option<u8> {
        self.0.u8().ok()
    }
    fn u16(&mut self) -> Option<u16> {
        self.0.u16().ok()
    }
    fn u32(&mut self) -> Option<u32> {
        self.0.u32().ok()
    }
    fn u64(&mut self) -> Option<u64> {
        self.0.u64().ok()
    }
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.0.array().ok()
    }
    fn guid(&mut self) -> Option<Guid> {
        self.array().map(Guid::from_bytes)
    }
    const fn rest(&self) -> &'a [u8] {
        self.0.rest()
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for DevicePathNode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = || Fields(Reader::new(self.data, 0, "a node of a device path"));
        let written = match self.node_type {
            1 => self.hardware(fields(), f),
            2 => self.acpi(fields(), f),
            3 => self.messaging(fields(), f),
            4 => self.media(fields(), f),
            5 if self.subtype == 1 => self.bios_boot(fields(), f),
            _ => None,
        };
        written.unwrap_or_else(|| write!(f, "Path({},{},{})", self.node_type, self.subtype, Hex(self.data)))
    }
}

/// Written, or `None` where the node is of no known shape: nothing was written then.
type Written = Option<fmt::Result>;

impl DevicePathNode<'_> {
    fn hardware(&self, mut read: Fields<'_>, f: &mut fmt::Formatter<'_>) -> Written {
        Some(match self.subtype {
            1 => {
                let (function, device) = (read.u8()?, read.u8()?);
                write!(f, "Pci({device:#x},{function:#x})")
            }
            3 => {
                let (kind, start, end) = (read.u32()?, read.u64()?, read.u64()?);
                write!(f, "MemoryMapped({kind:#x},{start:#x},{end:#x})")
            }
            4 => write!(f, "VenHw({},{})", read.guid()?, Hex(read.rest())),
            5 => write!(f, "Ctrl({:#x})", read.u32()?),
            _ => return None,
        })
    }

    fn acpi(&self, mut read: Fields<'_>, f: &mut fmt::Formatter<'_>) -> Written {
        /// The compressed vendor "PNP".
        const PNP: u32 = 0x41D0;
        if self.subtype == 3 {
            return Some(write!(f, "AcpiAdr({:#x})", read.u32()?));
        }
        if self.subtype != 1 {
            return None;
        }
        let (hid, uid) = (read.u32()?, read.u32()?);
        Some(match (hid & 0xFFFF, hid >> 16) {
            (PNP, 0x0A03) => write!(f, "PciRoot({uid:#x})"),
            (PNP, 0x0A08) => write!(f, "PcieRoot({uid:#x})"),
            (PNP, 0x0604) => write!(f, "Floppy({uid:#x})"),
            (PNP, 0x0301) => write!(f, "Keyboard({uid:#x})"),
            (PNP, 0x0501) => write!(f, "Serial({uid:#x})"),
            (PNP, product) => write!(f, "Acpi(PNP{product:04X},{uid:#x})"),
            _ => write!(f, "Acpi({hid:#010x},{uid:#x})"),
        })
    }

    fn messaging(&self, mut read: Fields<'_>, f: &mut fmt::Formatter<'_>) -> Written {
        Some(match self.subtype {
            1 => {
                let (secondary, slave, lun) = (read.u8()?, read.u8()?, read.u16()?);
                write!(f, "Ata({secondary},{slave},{lun})")
            }
            2 => {
                let (target, lun) = (read.u16()?, read.u16()?);
                write!(f, "Scsi({target:#x},{lun:#x})")
            }
            5 => {
                let (port, interface) = (read.u8()?, read.u8()?);
                write!(f, "USB({port:#x},{interface:#x})")
            }
            10 => write!(f, "VenMsg({},{})", read.guid()?, Hex(read.rest())),
            11 => {
                let address = read.array::<32>()?;
                let kind = read.u8()?;
                // An Ethernet address has six bytes; the rest is padding.
                let length = if kind <= 1 { 6 } else { 32 };
                write!(f, "MAC({},{kind:#x})", Hex(address.get(..length)?))
            }
            12 => {
                let _local = read.array::<4>()?;
                let [a, b, c, d] = read.array::<4>()?;
                write!(f, "IPv4({a}.{b}.{c}.{d})")
            }
            13 => {
                let _local = read.array::<16>()?;
                write!(f, "IPv6({})", Hex(&read.array::<16>()?))
            }
            15 => {
                let (vendor, product) = (read.u16()?, read.u16()?);
                let (class, subclass, protocol) = (read.u8()?, read.u8()?, read.u8()?);
                write!(f, "UsbClass({vendor:#x},{product:#x},{class:#x},{subclass:#x},{protocol:#x})")
            }
            17 => write!(f, "Unit({:#x})", read.u8()?),
            18 => {
                let (port, multiplier, lun) = (read.u16()?, read.u16()?, read.u16()?);
                write!(f, "Sata({port:#x},{multiplier:#x},{lun:#x})")
            }
            20 => write!(f, "Vlan({})", read.u16()?),
            23 => {
                let (namespace, eui) = (read.u32()?, read.array::<8>()?);
                write!(f, "NVMe({namespace:#x},")
                    .and_then(|()| {
                        eui.iter().rev().enumerate().try_for_each(|(position, byte)| {
                            write!(f, "{}{byte:02X}", if position == 0 { "" } else { "-" })
                        })
                    })
                    .and_then(|()| f.write_char(')'))
            }
            24 => write!(f, "Uri({})", escape(read.rest())),
            26 => write!(f, "SD({:#x})", read.u8()?),
            29 => write!(f, "eMMC({:#x})", read.u8()?),
            _ => return None,
        })
    }

    fn media(&self, mut read: Fields<'_>, f: &mut fmt::Formatter<'_>) -> Written {
        Some(match self.subtype {
            1 => {
                let (partition, start, size) = (read.u32()?, read.u64()?, read.u64()?);
                let signature = read.array::<16>()?;
                let (_format, signature_type) = (read.u8()?, read.u8()?);
                match signature_type {
                    2 => {
                        let guid = Guid::from_bytes(signature);
                        write!(f, "HD({partition},GPT,{guid},{start:#x},{size:#x})")
                    }
                    1 => {
                        let [a, b, c, d, ..] = signature;
                        let signature = u32::from_le_bytes([a, b, c, d]);
                        write!(f, "HD({partition},MBR,{signature:#010x},{start:#x},{size:#x})")
                    }
                    kind => write!(f, "HD({partition},{kind},0,{start:#x},{size:#x})"),
                }
            }
            2 => {
                let (entry, start, size) = (read.u32()?, read.u64()?, read.u64()?);
                write!(f, "CDROM({entry:#x},{start:#x},{size:#x})")
            }
            3 => write!(f, "VenMedia({},{})", read.guid()?, Hex(read.rest())),
            4 => fmt::Display::fmt(&FilePath(self.data.strip_suffix(&[0, 0]).unwrap_or(self.data)), f),
            6 => write!(f, "FvFile({})", read.guid()?),
            7 => write!(f, "Fv({})", read.guid()?),
            8 => {
                let (_, start, end) = (read.u32()?, read.u64()?, read.u64()?);
                write!(f, "Offset({start:#x},{end:#x})")
            }
            9 => {
                let (start, end, kind) = (read.u64()?, read.u64()?, read.guid()?);
                write!(f, "RamDisk({start:#x},{end:#x},{kind})")
            }
            _ => return None,
        })
    }

    fn bios_boot(&self, mut read: Fields<'_>, f: &mut fmt::Formatter<'_>) -> Written {
        let (kind, _status) = (read.u16()?, read.u16()?);
        let name = read.rest().split(|byte| *byte == 0).next().unwrap_or_default();
        Some(write!(f, "BBS({kind:#x},{})", escape(name)))
    }
}

/// A path of a file: its backslashes are its separators and stay single.
struct FilePath<'a>(&'a [u8]);

impl fmt::Display for FilePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The separator is the two bytes of a backslash in UTF-16.
        let (units, odd) = self.0.as_chunks::<2>();
        let mut begin = 0;
        for (position, unit) in units.iter().enumerate().filter(|(_, unit)| **unit == [b'\\', 0]) {
            let _ = unit;
            write!(f, "{}\\", escape_utf16(units.get(begin..position).unwrap_or_default().as_flattened()))?;
            begin = position.saturating_add(1);
        }
        write!(f, "{}", escape_utf16(units.get(begin..).unwrap_or_default().as_flattened()))?;
        odd.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
    }
}
