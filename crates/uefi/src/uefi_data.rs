//! EC2's uefi-data: an instance's non-volatile UEFI variables as one text.
//!
//! Base64 of `AMZNUEFI`, CRC-32C (u32) of all that follows, version (u32, 0), and a zlib stream with a preset dictionary
//! (RFC 1950, section 2.2). In the stream: number of variables (u64); for each its name in UTF-8 and its content, both
//! with their lengths in front (u64), its vendor, its attributes (u32), and for time-based authenticated ones the time of
//! the last update (`EFI_TIME`) and a digest with its length (u64). All little endian. The format is that of
//! awslabs/python-uefivars.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use uguid::Guid;

use crate::UefiError;
use crate::bytes::Reader;
use crate::variable::length;

const MAGIC: &[u8; 8] = b"AMZNUEFI";
const DICTIONARY: &[u8] = include_bytes!("../data/uefi-data-v0.dictionary");
/// `EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS`
const TIME_BASED_AUTHENTICATED: u32 = 0x20;
/// The variable store of EC2 holds far less; the bound is for blobs that lie.
const LARGEST_CONTENT: usize = 1 << 20;
/// `RegisterImage` takes no longer text (EC2 API Reference, parameter `UefiData`).
const LONGEST_TEXT: usize = 64_000;

/// When and by whom an authenticated variable was last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// `EFI_TIME`; zeros where there is none.
    pub timestamp: [u8; 16],
    /// A digest that the firmware keeps of the signing certificate; 32 zeros where there is none.
    pub digest: Vec<u8>,
}

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UefiVariable {
    /// The name.
    pub name: String,
    /// The vendor.
    pub vendor: Guid,
    /// The attributes (UEFI Specification 2.10, section 8.2.1). Bit 0x20 goes with `authentication`.
    pub attributes: u32,
    /// The content.
    pub data: Vec<u8>,
    /// There exactly when the attributes have bit 0x20; zeros are written where it is missing.
    pub authentication: Option<Authentication>,
}

/// What differs between two sets of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UefiDataDifference<'a> {
    /// Only the second has it.
    Added(&'a UefiVariable),
    /// Only the first has it.
    Removed(&'a UefiVariable),
    /// Both have it, not the same.
    Changed(&'a UefiVariable, &'a UefiVariable),
}

/// The variables of a blob, in its order, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UefiData(Vec<UefiVariable>);

impl UefiData {
    /// Variables that stand for themselves.
    ///
    /// # Errors
    /// [`UefiError::DuplicateVariable`] for a name that stands twice under one vendor.
    pub fn new(variables: Vec<UefiVariable>) -> Result<Self, UefiError> {
        for (position, variable) in variables.iter().enumerate() {
            let earlier = variables.iter().take(position);
            if earlier.clone().any(|other| other.name == variable.name && other.vendor == variable.vendor) {
                return Err(UefiError::DuplicateVariable { name: variable.name.clone(), vendor: variable.vendor });
            }
        }
        Ok(Self(variables))
    }

    /// Reads the text that `aws ec2 get-instance-uefi-data` returns; white space in it is ignored.
    ///
    /// # Errors
    /// [`UefiError::Base64`], or what [`UefiData::from_bytes`] says.
    pub fn from_base64(text: &[u8]) -> Result<Self, UefiError> {
        let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        Self::from_bytes(&STANDARD.decode(text).map_err(|_| UefiError::Base64 { what: "uefi-data" })?)
    }

    /// Reads the blob.
    ///
    /// # Errors
    /// [`UefiError`] for a wrong magic, checksum or version, a damaged stream, content beyond 1 MiB, lengths that lie,
    /// trailing bytes and duplicates.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, UefiError> {
        let mut reader = Reader::new(bytes, "uefi-data");
        if reader.take(8).ok() != Some(MAGIC) {
            return Err(UefiError::UefiDataMagic);
        }
        let found = u32::from_le_bytes(reader.array()?);
        let computed = crc32c(reader.rest());
        if found != computed {
            return Err(UefiError::UefiDataChecksum { found, computed });
        }
        let version = u32::from_le_bytes(reader.array()?);
        if version != 0 {
            return Err(UefiError::UefiDataVersion { version });
        }
        Self::from_content(&inflate(reader.rest())?)
    }

    fn from_content(content: &[u8]) -> Result<Self, UefiError> {
        const STRUCTURE: &str = "uefi-data content";
        let mut reader = Reader::new(content, STRUCTURE);
        let count = u64::from_le_bytes(reader.array()?);
        let mut variables = Vec::new();
        // Each turn takes 36 bytes or more, or ends in an error: a count that lies costs nothing.
        while u64::try_from(variables.len()) != Ok(count) {
            let index = variables.len();
            let name = core::str::from_utf8(reader.counted()?).map_err(|_| UefiError::VariableName { index })?.into();
            let data = reader.counted()?.to_vec();
            let vendor = Guid::from_bytes(reader.array()?);
            let attributes = u32::from_le_bytes(reader.array()?);
            let authentication = if attributes & TIME_BASED_AUTHENTICATED == 0 {
                None
            } else {
                Some(Authentication { timestamp: reader.array()?, digest: reader.counted()?.to_vec() })
            };
            variables.push(UefiVariable { name, vendor, attributes, data, authentication });
        }
        if !reader.is_empty() {
            let (offset, left) = (reader.offset(), reader.remaining());
            return Err(UefiError::Trailing { structure: STRUCTURE, offset, left });
        }
        Self::new(variables)
    }

    /// The blob. Read again it gives the same variables; the compressed bytes may differ from AWS's.
    ///
    /// # Errors
    /// [`UefiError::UefiDataTooLarge`] where the text would be longer than the 64,000 characters that EC2 takes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, UefiError> {
        let mut content = length(self.0.len()).to_vec();
        for variable in &self.0 {
            for counted in [variable.name.as_bytes(), &variable.data] {
                content.extend_from_slice(&length(counted.len()));
                content.extend_from_slice(counted);
            }
            content.extend_from_slice(&variable.vendor.to_bytes());
            content.extend_from_slice(&variable.attributes.to_le_bytes());
            if variable.attributes & TIME_BASED_AUTHENTICATED != 0 {
                let none = Authentication { timestamp: [0; 16], digest: vec![0; 32] };
                let authentication = variable.authentication.as_ref().unwrap_or(&none);
                content.extend_from_slice(&authentication.timestamp);
                content.extend_from_slice(&length(authentication.digest.len()));
                content.extend_from_slice(&authentication.digest);
            }
        }
        let mut checked = vec![0; 4];
        checked.extend_from_slice(&deflate(&content));
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&crc32c(&checked).to_le_bytes());
        bytes.extend_from_slice(&checked);
        if base64::encoded_len(bytes.len(), true).is_none_or(|text| text > LONGEST_TEXT) {
            return Err(UefiError::UefiDataTooLarge { limit: LONGEST_TEXT });
        }
        Ok(bytes)
    }

    /// The text for `aws ec2 register-image --uefi-data`.
    ///
    /// # Errors
    /// As [`UefiData::to_bytes`].
    pub fn to_base64(&self) -> Result<String, UefiError> {
        Ok(STANDARD.encode(self.to_bytes()?))
    }

    /// The variables in order.
    #[must_use]
    pub fn variables(&self) -> &[UefiVariable] {
        &self.0
    }

    /// One variable.
    #[must_use]
    pub fn get(&self, vendor: &Guid, name: &str) -> Option<&UefiVariable> {
        self.0.iter().find(|variable| variable.vendor == *vendor && variable.name == name)
    }

    /// What differs from `self` to `other`: removed and changed ones in the order of `self`, then the added ones.
    pub fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = UefiDataDifference<'a>> + 'a {
        let mine = self.0.iter().filter_map(|variable| match other.get(&variable.vendor, &variable.name) {
            None => Some(UefiDataDifference::Removed(variable)),
            Some(found) if found != variable => Some(UefiDataDifference::Changed(variable, found)),
            Some(_) => None,
        });
        let added = other.0.iter().filter(|variable| self.get(&variable.vendor, &variable.name).is_none());
        mine.chain(added.map(UefiDataDifference::Added))
    }
}

/// CRC-32C (RFC 3720, appendix B.4).
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// Adler-32 (RFC 1950, section 8).
fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = a.wrapping_add(u32::from(*byte)) % 65_521;
        (a, b.wrapping_add(a) % 65_521)
    });
    b << 16 | a
}

/// The content of a zlib stream, with the preset dictionary where the stream asks for it.
fn inflate(stream: &[u8]) -> Result<Vec<u8>, UefiError> {
    let damaged = |what| UefiError::UefiDataCompression { what };
    let mut reader = Reader::new(stream, "zlib stream");
    let [method, flags] = reader.array()?;
    if method & 0x0F != 8 || method >> 4 > 7 || u16::from_be_bytes([method, flags]) % 31 != 0 {
        return Err(damaged("has no zlib header"));
    }
    let mut content = Vec::new();
    if flags & 0x20 != 0 {
        if u32::from_be_bytes(reader.array()?) != adler32(DICTIONARY) {
            return Err(damaged("was made with another dictionary"));
        }
        // The dictionary is what back references reach before the first byte.
        content.extend_from_slice(DICTIONARY);
    }
    let dictionary = content.len();
    let largest = dictionary.saturating_add(LARGEST_CONTENT);
    let mut state = DecompressorOxide::new();
    let mut end = dictionary;
    loop {
        content.resize(content.len().saturating_mul(2).clamp(16_384, largest), 0);
        let (status, read, written) =
            decompress(&mut state, reader.rest(), &mut content, end, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF);
        reader.take(read)?;
        end = end.saturating_add(written);
        match status {
            TINFLStatus::Done => break,
            TINFLStatus::HasMoreOutput if content.len() < largest => {}
            TINFLStatus::HasMoreOutput => return Err(UefiError::UefiDataTooLarge { limit: LARGEST_CONTENT }),
            _ => return Err(damaged("is cut or altered")),
        }
    }
    content.truncate(end);
    content.drain(..dictionary);
    if u32::from_be_bytes(reader.array()?) != adler32(&content) {
        return Err(damaged("does not have the content that its checksum says"));
    }
    if !reader.is_empty() {
        return Err(damaged("is followed by other bytes"));
    }
    Ok(content)
}

/// A zlib stream that names the preset dictionary, as readers of the format expect. It makes no use of it: miniz_oxide
/// cannot, and a variable store is small enough without.
fn deflate(content: &[u8]) -> Vec<u8> {
    // Window of 32 KiB, best compression, preset dictionary, and the check bits that make it a multiple of 31.
    let mut stream = vec![0x78, 0xF9];
    stream.extend_from_slice(&adler32(DICTIONARY).to_be_bytes());
    stream.extend_from_slice(&compress_to_vec(content, 9));
    stream.extend_from_slice(&adler32(content).to_be_bytes());
    stream
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use proptest::prelude::*;

    use super::*;
    use crate::guids;

    fn variable(name: &str, attributes: u32) -> UefiVariable {
        let data = (0..600_u32).map(|value| u8::try_from(value % 7).unwrap()).collect();
        let authentication = (attributes & TIME_BASED_AUTHENTICATED != 0)
            .then(|| Authentication { timestamp: [7; 16], digest: vec![9; 32] });
        UefiVariable { name: name.into(), vendor: guids::GLOBAL_VARIABLE, attributes, data, authentication }
    }

    fn data() -> UefiData {
        UefiData::new(vec![variable("PK", 0x27), variable("BootOrder", 7)]).unwrap()
    }

    /// A blob around a zlib stream, its checksum right.
    fn blob(stream: &[u8]) -> Vec<u8> {
        let checked = [&[0; 4], stream].concat();
        [&MAGIC[..], &crc32c(&checked).to_le_bytes(), &checked].concat()
    }

    #[track_caller]
    fn refused(bytes: &[u8], code: &str) {
        assert_eq!(UefiData::from_bytes(bytes).unwrap_err().code(), code);
    }

    #[test]
    fn known_answers() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
        assert_eq!(DICTIONARY.len(), 11_381);
    }

    #[test]
    fn variables_round_trip() {
        let text = data().to_base64().unwrap();
        assert_eq!(UefiData::from_base64(text.as_bytes()).unwrap(), data());
        assert_eq!(
            UefiData::from_base64(alloc::format!("{}\n{}", &text[..76], &text[76..]).as_bytes()).unwrap(),
            data()
        );
        assert_eq!(UefiData::from_bytes(&UefiData::default().to_bytes().unwrap()).unwrap(), UefiData::default());
    }

    #[test]
    fn head_and_checksum_are_checked() {
        let bytes = data().to_bytes().unwrap();
        for (position, code) in [(0, "uefi-data.magic"), (8, "uefi-data.checksum"), (30, "uefi-data.checksum")] {
            let mut altered = bytes.clone();
            altered[position] ^= 1;
            refused(&altered, code);
        }
        let mut version = bytes[12..].to_vec();
        version[0] = 1;
        refused(&[MAGIC, &crc32c(&version).to_le_bytes()[..], &version].concat(), "uefi-data.version");
        for length in 0..bytes.len() {
            assert!(UefiData::from_bytes(&bytes[..length]).is_err());
        }
    }

    #[test]
    fn a_stream_is_whole_and_alone() {
        let content = [0; 8];
        let stream = deflate(&content);
        assert!(UefiData::from_bytes(&blob(&stream)).is_ok());
        refused(&blob(&[&stream[..], &[0]].concat()), "uefi-data.compression");
        for position in 0..stream.len() {
            let mut altered = stream.clone();
            altered[position] ^= 0x11;
            assert!(UefiData::from_bytes(&blob(&altered)).is_err(), "{position}");
        }
        // The same without a dictionary is a zlib stream like any other.
        let mut plain = vec![0x78, 0xDA];
        plain.extend_from_slice(&stream[6..]);
        assert!(UefiData::from_bytes(&blob(&plain)).is_ok());
    }

    #[test]
    fn back_references_reach_into_the_dictionary() {
        // Fixed Huffman: length 8 (code 262) at distance 11,381 (the dictionary's first byte), end of block. Bits first
        // to last: 1, 01; 0000110; 26 = 11010, 12 extra bits of 11,381 - 8,193 = 3,188; 0000000.
        let distance_extra: u32 = 3_188;
        let mut bits: Vec<bool> = vec![true, true, false];
        bits.extend([false, false, false, false, true, true, false]);
        bits.extend([true, true, false, true, false]);
        bits.extend((0..12).map(|bit| distance_extra >> bit & 1 == 1));
        bits.extend([false; 7]);
        let deflated: Vec<u8> =
            bits.chunks(8).map(|byte| byte.iter().rev().fold(0, |value, bit| value << 1 | u8::from(*bit))).collect();
        let mut stream = vec![0x78, 0xF9];
        stream.extend_from_slice(&adler32(DICTIONARY).to_be_bytes());
        stream.extend_from_slice(&deflated);
        stream.extend_from_slice(&adler32(&DICTIONARY[..8]).to_be_bytes());
        assert_eq!(inflate(&stream).unwrap(), &DICTIONARY[..8]);
    }

    #[test]
    fn r4_a_bomb_stops_at_the_limit() {
        let zeros = |size| blob(&deflate(&vec![0; size]));
        refused(&zeros(LARGEST_CONTENT), "uefi.trailing");
        refused(&zeros(LARGEST_CONTENT + 1), "uefi-data.too-large");
        refused(&zeros(64 << 20), "uefi-data.too-large");
    }

    #[test]
    fn counts_and_lengths_that_lie_are_refused() {
        let mut content = length(1).to_vec();
        content.extend_from_slice(&[length(2).as_slice(), b"PK", &length(0), &[0; 16], &[7, 0, 0, 0]].concat());
        assert!(UefiData::from_bytes(&blob(&deflate(&content))).is_ok());
        for (position, value, code) in [
            (0, 2, "uefi.truncated"),
            (0, u64::MAX, "uefi.truncated"),
            (0, 0, "uefi.trailing"),
            (8, u64::MAX, "uefi.truncated"),
            (18, u64::MAX, "uefi.truncated"),
        ] {
            let mut altered = content.clone();
            altered[position..][..8].copy_from_slice(&u64::to_le_bytes(value));
            refused(&blob(&deflate(&altered)), code);
        }
        content[16] = 0xFF;
        refused(&blob(&deflate(&content)), "uefi-data.name");
    }

    #[test]
    fn a_variable_stands_once() {
        let twice = vec![variable("PK", 7), variable("PK", 0x27)];
        assert_eq!(UefiData::new(twice).unwrap_err().code(), "uefi-data.duplicate");
        let mut other = variable("PK", 7);
        other.vendor = guids::SHIM_LOCK;
        assert!(UefiData::new(vec![variable("PK", 7), other]).is_ok());
    }

    #[test]
    fn more_than_ec2_takes_is_not_written() {
        let mut large = variable("large", 7);
        // Not compressible: the high bits of a linear congruential generator.
        let step = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        large.data =
            core::iter::successors(Some(1_u32), step).take(60_000).map(|state| state.to_be_bytes()[0]).collect();
        let mut small = large.clone();
        small.data.truncate(40_000);
        assert!(UefiData::new(vec![small]).unwrap().to_bytes().is_ok());
        assert_eq!(UefiData::new(vec![large]).unwrap().to_bytes().unwrap_err().code(), "uefi-data.too-large");
    }

    #[test]
    fn differences_are_named() {
        let mut changed = variable("PK", 0x27);
        changed.data.push(1);
        let other = UefiData::new(vec![changed, variable("db", 0x27)]).unwrap();
        let before = data();
        let found: Vec<_> = before
            .differences(&other)
            .map(|difference| match difference {
                UefiDataDifference::Added(variable) => alloc::format!("+{}", variable.name),
                UefiDataDifference::Removed(variable) => alloc::format!("-{}", variable.name),
                UefiDataDifference::Changed(from, _) => alloc::format!("~{}", from.name),
            })
            .collect();
        assert_eq!(found, ["~PK", "-BootOrder", "+db"].map(|text| text.to_string()));
        assert_eq!(before.differences(&data()).count(), 0);
    }

    proptest! {
        #[test]
        fn any_stream_stays_within_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = UefiData::from_bytes(&bytes);
            let _ = UefiData::from_bytes(&blob(&[&[0x78, 0xDA], &bytes[..]].concat()));
            let _ = UefiData::from_content(&bytes);
        }
    }
}
