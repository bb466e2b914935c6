//! PE images: the headers, the sections, the certificate table, and what Authenticode hashes.

use std::ops::Range;

use nitrotpm_digest_lanes::{Digest, HashAlgorithm};

use crate::PredictError;
use crate::message::{Message, Piece};

/// `IMAGE_DIRECTORY_ENTRY_SECURITY`
const SECURITY_DIRECTORY: u32 = 4;

/// A section of an image, as its header says; the ranges were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section<'a> {
    /// The name up to its first NUL.
    pub(crate) name: &'a [u8],
    /// How many bytes it has in memory.
    pub(crate) virtual_size: usize,
    /// Its bytes in the file, alignment included.
    pub(crate) raw: &'a [u8],
    raw_offset: usize,
}

impl<'a> Section<'a> {
    /// The bytes that are in memory when the image runs: those of the file, and zeros where memory has more.
    pub(crate) fn memory(&self) -> Message<'a> {
        let mut message = Message::file(self.content());
        message.push(Piece::Zeros(self.virtual_size.saturating_sub(self.raw.len())));
        message
    }

    /// The bytes that both file and memory have.
    pub(crate) fn content(&self) -> &'a [u8] {
        self.raw.get(..self.virtual_size).unwrap_or(self.raw)
    }
}

/// A PE32+ image for x86-64 or arm64.
#[derive(Clone, Debug)]
pub struct PeImage<'a> {
    name: String,
    bytes: &'a [u8],
    sections: Vec<Section<'a>>,
    checksum: usize,
    /// Where the entry of the data directory is, if the directory reaches so far.
    security_entry: Option<usize>,
    headers: usize,
    certificates: Option<Range<usize>>,
}

/// Reads numbers at offsets.
struct Headers<'a> {
    name: &'a str,
    bytes: &'a [u8],
}

impl Headers<'_> {
    fn array<const N: usize>(&self, offset: usize) -> Result<[u8; N], PredictError> {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        rest.first_chunk().copied().ok_or_else(|| self.not_pe("the file ends in its headers", offset))
    }

    fn u16(&self, offset: usize) -> Result<u16, PredictError> {
        Ok(u16::from_le_bytes(self.array(offset)?))
    }

    fn u32(&self, offset: usize) -> Result<u32, PredictError> {
        Ok(u32::from_le_bytes(self.array(offset)?))
    }

    /// A u32 that is a length or an offset.
    fn size(&self, offset: usize) -> Result<usize, PredictError> {
        Ok(usize::try_from(self.u32(offset)?).unwrap_or(usize::MAX))
    }

    fn not_pe(&self, what: &'static str, offset: usize) -> PredictError {
        PredictError::NotPe { image: self.name.into(), what, offset }
    }

    fn malformed(&self, what: &'static str, offset: usize) -> PredictError {
        PredictError::PeMalformed { image: self.name.into(), what, offset }
    }
}

impl<'a> PeImage<'a> {
    /// Reads an image's headers. `name` stands in messages and causes.
    ///
    /// # Errors
    /// [`PredictError::NotPe`], [`PredictError::Machine`] for any other processor (32-bit ones included), and
    /// [`PredictError::PeMalformed`] where a section or the certificate table lies outside the file, sections share
    /// bytes, or the sizes do not add up.
    pub fn parse(name: &str, bytes: &'a [u8]) -> Result<Self, PredictError> {
        let file = Headers { name, bytes };
        if !bytes.starts_with(b"MZ") {
            return Err(file.not_pe("there is no MZ", 0));
        }
        let pe = file.size(0x3C)?;
        if file.array(pe)? != *b"PE\0\0" {
            return Err(file.not_pe("there is no PE signature", pe));
        }
        let coff = pe.saturating_add(4);
        let machine = file.u16(coff)?;
        let count = usize::from(file.u16(coff.saturating_add(2))?);
        let optional_size = usize::from(file.u16(coff.saturating_add(16))?);
        let optional = coff.saturating_add(20);
        if !matches!(machine, 0x8664 | 0xAA64) {
            return Err(PredictError::Machine { image: name.into(), machine });
        }
        if file.u16(optional)? != 0x20B {
            return Err(file.not_pe("the optional header is not PE32+", optional));
        }
        let headers = file.size(optional.saturating_add(60))?;
        let directories = file.u32(optional.saturating_add(108))?;
        let table = optional.saturating_add(optional_size);
        let table_end = count.saturating_mul(40).saturating_add(table);
        let directory_end = usize::try_from(directories).unwrap_or(usize::MAX).saturating_mul(8).saturating_add(112);
        if directory_end > optional_size {
            return Err(file.malformed("the data directory does not fit into the optional header", optional));
        }
        if headers > bytes.len() || headers < table_end {
            return Err(file.malformed("the size of the headers does not fit the file", optional.saturating_add(60)));
        }
        let security_entry = (directories > SECURITY_DIRECTORY).then_some(optional.saturating_add(144));

        let mut sections = Vec::with_capacity(count);
        for index in 0..count {
            let header = index.saturating_mul(40).saturating_add(table);
            let name = bytes.get(header..).and_then(|rest| rest.first_chunk::<8>());
            let name = name.ok_or_else(|| file.not_pe("the file ends in its section table", header))?;
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let virtual_size = file.size(header.saturating_add(8))?;
            let raw_size = file.size(header.saturating_add(16))?;
            let raw_offset = file.size(header.saturating_add(20))?;
            let raw = if raw_size == 0 { Some(&[][..]) } else { slice(bytes, raw_offset, raw_size) };
            let raw = raw.ok_or_else(|| file.malformed("a section lies outside the file", header))?;
            sections.push(Section { name, virtual_size, raw, raw_offset });
        }
        let certificates = match security_entry {
            Some(entry) => {
                let (offset, size) = (file.size(entry)?, file.size(entry.saturating_add(4))?);
                if size > 0 && slice(bytes, offset, size).is_none() {
                    return Err(file.malformed("the certificate table lies outside the file", entry));
                }
                (size > 0).then(|| offset..offset.saturating_add(size))
            }
            None => None,
        };
        let image = Self {
            name: name.into(),
            bytes,
            sections,
            checksum: optional.saturating_add(64),
            security_entry,
            headers,
            certificates,
        };
        image.check_layout().map_err(|what| file.malformed(what, table))?;
        Ok(image)
    }

    /// Sections follow the headers, share no byte, and the certificate table follows them.
    fn check_layout(&self) -> Result<(), &'static str> {
        let mut end = self.headers;
        for section in self.by_offset() {
            if section.raw_offset < end {
                return Err("sections share bytes with each other or with the headers");
            }
            end = section.raw_offset.saturating_add(section.raw.len());
        }
        match &self.certificates {
            Some(table) if table.start < end => Err("the certificate table shares bytes with a section"),
            Some(table) if table.end != self.bytes.len() => Err("bytes follow the certificate table"),
            _ => Ok(()),
        }
    }

    /// The sections with bytes in the file, in the file's order.
    fn by_offset(&self) -> Vec<&Section<'a>> {
        let mut sections: Vec<_> = self.sections.iter().filter(|section| !section.raw.is_empty()).collect();
        sections.sort_by_key(|section| section.raw_offset);
        sections
    }

    /// The name given to [`PeImage::parse`].
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's bytes.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The image's Authenticode digest: what firmware extends into PCR 4 when it loads the image.
    #[must_use]
    pub fn authenticode_digest(&self, algorithm: HashAlgorithm) -> Digest {
        self.authenticode().digest(algorithm)
    }

    pub(crate) fn sections(&self) -> &[Section<'a>] {
        &self.sections
    }

    /// The first section of this name that has bytes in memory.
    pub(crate) fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.name == name.as_bytes() && section.virtual_size > 0)
    }

    /// Headers without checksum and certificate table entry, sections in the file's order, what follows them without
    /// the certificate table ("Windows Authenticode Portable Executable Signature Format", section "Calculating the PE
    /// Image Hash"; EDK II hashes the same way).
    pub(crate) fn authenticode(&self) -> Message<'a> {
        let mut message = Message::default();
        let mut push = |range: Range<usize>| message.push(Piece::File(self.bytes.get(range).unwrap_or_default()));
        let after_checksum = self.checksum.saturating_add(4);
        push(0..self.checksum);
        match self.security_entry {
            Some(entry) => {
                push(after_checksum..entry);
                push(entry.saturating_add(8)..self.headers);
            }
            None => push(after_checksum..self.headers),
        }
        let mut hashed = self.headers;
        for section in self.by_offset() {
            hashed = hashed.saturating_add(section.raw.len());
            push(section.raw_offset..section.raw_offset.saturating_add(section.raw.len()));
        }
        // Gaps between sections are not hashed, and move the beginning of what is hashed at the end.
        let end = self.bytes.len().saturating_sub(self.certificates.as_ref().map_or(0, ExactSizeIterator::len));
        push(hashed..end);
        message
    }

    /// The certificate table; empty where the image is not signed.
    pub(crate) fn certificate_table(&self) -> &'a [u8] {
        self.certificates.clone().and_then(|range| self.bytes.get(range)).unwrap_or_default()
    }
}

/// `size` bytes from `offset` on, if they are all there.
fn slice(bytes: &[u8], offset: usize, size: usize) -> Option<&[u8]> {
    bytes.get(offset..offset.checked_add(size)?)
}
