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
    /// Its bytes in memory, unless memory has more of them than the file: of those, which firmware fills with zeros, a
    /// header can claim 4 GiB.
    pub(crate) fn whole(&self) -> Option<&'a [u8]> {
        self.raw.get(..self.virtual_size)
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

    /// The bytes of the first section of this name that has any in memory, without alignment.
    #[must_use]
    pub fn section_bytes(&self, name: &str) -> Option<&'a [u8]> {
        self.section(name).map(Section::content)
    }

    /// How many profiles a unified kernel image has, the one without number included.
    #[must_use]
    pub fn profiles(&self) -> u32 {
        let count = self.sections.iter().filter(|section| section.name == b".profile").count();
        u32::try_from(count.max(1)).unwrap_or(u32::MAX)
    }

    pub(crate) fn sections(&self) -> &[Section<'a>] {
        &self.sections
    }

    /// The first section of this name that has bytes in memory.
    pub(crate) fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|section| section.name == name.as_bytes() && section.virtual_size > 0)
    }

    /// The first section of this name, which may be longer than a header has room for: such a name stands in the string
    /// table behind the COFF symbols ("PE Format", "Section Table"), and the header has `/` and its offset there.
    pub(crate) fn long_named_section(&self, name: &str) -> Option<&Section<'a>> {
        let coff = usize::try_from(self.number(0x3C)?).ok()?.checked_add(4)?;
        let (symbols, count) = (self.number(coff.checked_add(8)?)?, self.number(coff.checked_add(12)?)?);
        let table = u64::from(symbols).checked_add(u64::from(count).checked_mul(18)?)?;
        let strings = self.bytes.get(usize::try_from(table).ok()?..)?;
        self.sections.iter().filter(|section| section.virtual_size > 0).find(|section| {
            let offset = section.name.strip_prefix(b"/").and_then(|digits| core::str::from_utf8(digits).ok());
            let text = offset.and_then(|digits| digits.parse::<usize>().ok()).and_then(|offset| strings.get(offset..));
            text.and_then(|text| text.strip_prefix(name.as_bytes())).is_some_and(|rest| rest.first() == Some(&0))
        })
    }

    fn number(&self, offset: usize) -> Option<u32> {
        self.bytes.get(offset..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
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

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failure of the test")]
mod tests {
    use digest_0_10::Update;
    use object_0_39::read::pe::PeFile64;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{CHECKSUM, SECURITY, TABLE, attach, image};

    struct Collect(Vec<u8>);
    impl Update for Collect {
        fn update(&mut self, data: &[u8]) {
            self.0.extend_from_slice(data);
        }
    }

    /// The digest by the crate `authenticode`, which reads the headers by itself.
    fn oracle(bytes: &[u8], algorithm: HashAlgorithm) -> Option<Digest> {
        let mut collect = Collect(Vec::new());
        authenticode::authenticode_digest(&PeFile64::parse(bytes).ok()?, &mut collect).ok()?;
        Some(nitrotpm_digest_lanes::hash(algorithm, &[&collect.0]))
    }

    fn sample() -> Vec<u8> {
        image(&[(".text", &[1; 700]), (".data", &[2; 512]), (".bss", &[]), (".linux", b"kernel")])
    }

    fn signed() -> Vec<u8> {
        attach(&sample(), &[&[0x30; 100]])
    }

    #[track_caller]
    fn refused(bytes: &[u8], code: &str, fragment: &str) {
        let error = PeImage::parse("test.efi", bytes).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(fragment), "{error}");
    }

    /// A signed image with a u32 replaced.
    fn with(offset: usize, value: u32) -> Vec<u8> {
        let mut bytes = signed();
        bytes[offset..][..4].copy_from_slice(&value.to_le_bytes());
        bytes
    }

    #[test]
    fn digests_equal_those_of_another_implementation() {
        let mut trailing = sample();
        trailing.extend_from_slice(&[7; 1001]);
        for bytes in [sample(), signed(), trailing.clone(), attach(&trailing, &[&[1; 3]])] {
            for algorithm in HashAlgorithm::ALL {
                let digest = PeImage::parse("test.efi", &bytes).unwrap().authenticode_digest(algorithm);
                assert_eq!(Some(digest), oracle(&bytes, algorithm));
            }
        }
    }

    #[test]
    fn checksum_and_certificate_table_do_not_count_and_all_else_does() {
        let digest = |bytes: &[u8]| PeImage::parse("a", bytes).unwrap().authenticode_digest(HashAlgorithm::Sha256);
        let original = digest(&signed());
        assert_eq!(digest(&with(CHECKSUM, 0x1234_5678)), original);
        assert_eq!(digest(&sample()), original);
        let mut altered = signed();
        *altered.last_mut().unwrap() ^= 1;
        assert_eq!(digest(&altered), original);
        // A date, a byte of a section, the fill behind a section.
        for offset in [72, 1024, 1024 + 701] {
            let mut altered = signed();
            altered[offset] ^= 1;
            assert_ne!(digest(&altered), original, "{offset}");
        }
    }

    #[test]
    fn other_processors_and_formats_are_named() {
        assert!(PeImage::parse("a", &signed()).is_ok());
        refused(b"\x7fELF", "predict.not-pe", "there is no MZ");
        refused(b"MZ", "predict.not-pe", "ends in its headers");
        let with_bytes = |offset: usize, value: &[u8]| {
            let mut bytes = signed();
            bytes[offset..][..value.len()].copy_from_slice(value);
            bytes
        };
        refused(&with_bytes(68, &[0x4C, 1]), "predict.machine", "0x014c");
        refused(&with_bytes(88, &[0x0B, 1]), "predict.not-pe", "PE32+");
        assert!(PeImage::parse("a", &with_bytes(68, &[0x64, 0xAA])).is_ok());
    }

    #[test]
    fn lying_headers_are_refused() {
        let file = u32::try_from(signed().len()).unwrap();
        for (offset, value, fragment) in [
            (0x3C, u32::MAX, "ends in its headers"),
            (CHECKSUM - 4, file + 1, "size of the headers"),
            (CHECKSUM - 4, 300, "size of the headers"),
            (SECURITY - 36, 17, "data directory"),
            (SECURITY - 36, u32::MAX, "data directory"),
            (SECURITY, file, "outside the file"),
            (SECURITY, 512, "shares bytes"),
            (SECURITY + 4, u32::MAX, "outside the file"),
            (SECURITY + 4, 8, "bytes follow"),
            (TABLE + 16, u32::MAX, "outside the file"),
            (TABLE + 16, 2048, "share bytes"),
            (TABLE + 20, 0, "share bytes"),
            (TABLE + 60, 1024, "share bytes"),
        ] {
            let error = PeImage::parse("test.efi", &with(offset, value)).unwrap_err();
            assert!(error.to_string().contains(fragment), "{offset} {value}: {error}");
        }
    }

    #[test]
    fn a_section_is_what_the_file_has_of_it() {
        let bytes = sample();
        let parsed = PeImage::parse("a", &bytes).unwrap();
        assert_eq!(parsed.section(".text").unwrap().whole(), Some(&[1; 700][..]));
        assert_eq!(parsed.section(".linux").unwrap().content(), b"kernel");
        assert_eq!(parsed.section(".bss"), None);
        // .text has 700 bytes, 1024 in the file.
        for (size, whole) in [(1024_u32, true), (1025, false), (u32::MAX, false)] {
            let mut bytes = sample();
            bytes[TABLE + 8..][..4].copy_from_slice(&size.to_le_bytes());
            let parsed = PeImage::parse("a", &bytes).unwrap();
            assert_eq!(parsed.section(".text").unwrap().whole().is_some(), whole, "{size}");
            assert_eq!(parsed.section(".text").unwrap().content().len(), 1024);
        }
    }

    #[test]
    fn a_directory_without_a_certificate_entry_is_an_image_without_one() {
        let mut bytes = sample();
        bytes[SECURITY - 36..][..4].copy_from_slice(&4_u32.to_le_bytes());
        let parsed = PeImage::parse("a", &bytes).unwrap();
        assert_eq!(parsed.certificate_table(), b"");
        let skipped = PeImage::parse("a", &sample()).unwrap().authenticode().len();
        assert_eq!(parsed.authenticode().len(), skipped + 8);
    }

    proptest! {
        /// What both implementations accept they hash alike; nothing panics.
        #[test]
        fn altered_headers(changes in proptest::collection::vec((0_usize..TABLE + 200, any::<u8>()), 1..4), cut in 0_usize..3000) {
            let mut bytes = signed();
            for (offset, value) in changes {
                bytes[offset] = value;
            }
            bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(2000)));
            if let Ok(parsed) = PeImage::parse("a", &bytes)
                && let Some(expected) = oracle(&bytes, HashAlgorithm::Sha256)
                && parsed.security_entry.is_some()
            {
                prop_assert_eq!(parsed.authenticode_digest(HashAlgorithm::Sha256), expected);
            }
        }
    }
}
