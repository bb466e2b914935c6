//! Reading a list, in the kernel's binary form and in its text form.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use nitrotpm_pcr::PcrIndex;

use super::entry::{ImaEntry, LEGACY, check_fields};
use crate::LogError;
use crate::reader::Reader;

/// A parsed list: untrusted.
#[derive(Clone, Debug)]
pub struct ImaList<'a> {
    entries: Vec<ImaEntry<'a>>,
}

/// The longest name of a template that the kernel allows, and more (`MAX_TEMPLATE_NAME_LEN`).
const LONGEST_TEMPLATE_NAME: u32 = 255;

impl<'a> ImaList<'a> {
    /// Parses a list in either form: text begins with a digit or a space, binary with the number of a register.
    ///
    /// # Errors
    /// See [`ImaList::parse_binary`] and [`ImaList::parse_ascii`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, LogError> {
        match bytes {
            // Register 10 is a line feed in the binary form; no register is a digit or a space.
            [b'0'..=b'9' | b' ', ..] => Self::parse_ascii(bytes),
            _ => Self::parse_binary(bytes),
        }
    }

    /// Parses `binary_runtime_measurements`, with template hashes of SHA-1.
    ///
    /// # Errors
    /// [`LogError`] with the offset, for a list that is cut, has a register that does not exist, or fields that do not
    /// fit. An empty list is [`LogError::Empty`].
    pub fn parse_binary(bytes: &'a [u8]) -> Result<Self, LogError> {
        let mut reader = Reader::new(bytes, 0, "an IMA entry");
        let mut entries = Vec::new();
        while !reader.is_empty() {
            entries.push(read_entry(&mut reader, entries.len())?);
        }
        Self::not_empty(entries)
    }

    /// Parses `ascii_runtime_measurements`: one entry a line, whose template data is put together again.
    ///
    /// # Errors
    /// [`LogError::Malformed`] with the offset of the line, for a line that is not register, template hash, template
    /// name, digest and file name, and for a template that is not `ima`, `ima-ng`, `ima-sig`, `ima-buf`, or
    /// `ima-modsig` of two fields: the text form of others cannot be read back. An empty list is [`LogError::Empty`].
    pub fn parse_ascii(bytes: &'a [u8]) -> Result<Self, LogError> {
        let mut entries = Vec::new();
        let mut offset = 0_usize;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            if !text.is_empty() {
                entries.push(read_line(text, offset, entries.len())?);
            }
            offset = offset.saturating_add(line.len());
        }
        Self::not_empty(entries)
    }

    fn not_empty(entries: Vec<ImaEntry<'a>>) -> Result<Self, LogError> {
        if entries.is_empty() { Err(LogError::Empty) } else { Ok(Self { entries }) }
    }

    /// The entries in order.
    #[must_use]
    pub fn entries(&self) -> &[ImaEntry<'a>] {
        &self.entries
    }
}

fn read_entry<'a>(reader: &mut Reader<'a>, index: usize) -> Result<ImaEntry<'a>, LogError> {
    reader.enter("an IMA entry");
    let offset = reader.offset();
    let number = reader.u32()?;
    let pcr = PcrIndex::try_from(number).map_err(|_| LogError::Register { event: index, offset, number })?;
    let template_hash = reader.take(20)?;
    reader.enter("the template name of an IMA entry");
    let name_offset = reader.offset();
    let name_length = reader.u32()?;
    if name_length > LONGEST_TEMPLATE_NAME {
        return Err(LogError::Malformed {
            structure: "the template name of an IMA entry",
            offset: name_offset,
            problem: "is longer than the kernel allows",
        });
    }
    let template = reader.take(name_length.into())?;
    reader.enter("the template data of an IMA entry");
    let data = if template == LEGACY {
        // No length stands before the data of the first template: a digest, then a name with its length.
        let begin = *reader;
        reader.take(20)?;
        let name_offset = reader.offset();
        let name = reader.u32()?;
        if name > 255 {
            return Err(LogError::Malformed {
                structure: "the file name of an IMA entry",
                offset: name_offset,
                problem: "is longer than the template allows",
            });
        }
        reader.take(name.into())?;
        let length = begin.rest().len().saturating_sub(reader.rest().len());
        begin.rest().get(..length).unwrap_or_default()
    } else {
        let length = reader.u32()?;
        let offset = reader.offset();
        let data = reader.take(length.into())?;
        check_fields(template, data, offset)?;
        data
    };
    Ok(ImaEntry {
        index,
        offset,
        pcr,
        template_hash: Cow::Borrowed(template_hash),
        template,
        data: Cow::Borrowed(data),
    })
}

fn read_line(line: &[u8], offset: usize, index: usize) -> Result<ImaEntry<'_>, LogError> {
    let malformed = |problem| LogError::Malformed { structure: "a line of an IMA list", offset, problem };
    let next = |rest: &mut &'_ [u8]| -> Option<usize> { rest.iter().position(|byte| *byte == b' ') };
    let mut rest = line.trim_ascii_start();
    let mut word = || -> Option<&[u8]> {
        let end = next(&mut rest)?;
        let (word, after) = rest.split_at_checked(end)?;
        rest = after.get(1..)?;
        Some(word)
    };
    let register = word().ok_or_else(|| malformed("the register is missing"))?;
    let number: u32 = core::str::from_utf8(register)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| malformed("the register is not a number"))?;
    let pcr = PcrIndex::try_from(number).map_err(|_| LogError::Register { event: index, offset, number })?;
    let template_hash = word().and_then(decode_hex).ok_or_else(|| malformed("the template hash is not hexadecimal"))?;
    if !matches!(template_hash.len(), 20 | 32 | 48 | 64) {
        return Err(malformed("the template hash is as long as that of no algorithm"));
    }
    let template = word().ok_or_else(|| malformed("the template name is missing"))?;
    let digest = word().ok_or_else(|| malformed("the digest is missing"))?;
    let data =
        template_data(template, digest, rest).ok_or_else(|| malformed("its fields are not those of the template"))?;
    Ok(ImaEntry { index, offset, pcr, template_hash: Cow::Owned(template_hash), template, data: Cow::Owned(data) })
}

/// Puts the template data together from a line's digest and what follows it.
fn template_data(template: &[u8], digest: &[u8], rest: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    let mut field = |parts: &[&[u8]]| -> Option<()> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        data.extend(u32::try_from(length).ok()?.to_le_bytes());
        parts.iter().for_each(|part| data.extend_from_slice(part));
        Some(())
    };
    if template == LEGACY {
        let mut data = decode_hex(digest).filter(|digest| digest.len() == 20)?;
        data.extend(u32::try_from(rest.len()).ok().filter(|length| *length <= 255)?.to_le_bytes());
        data.extend_from_slice(rest);
        return Some(data);
    }
    let colon = digest.iter().rposition(|byte| *byte == b':')?;
    let (algorithm, value) = digest.split_at_checked(colon)?;
    let value = decode_hex(value.get(1..)?)?;
    field(&[algorithm, b":\0", &value])?;
    match template {
        b"ima-ng" | b"ima-ngv2" => field(&[rest, b"\0"])?,
        // The name may have spaces; the signature or the buffer, which may be empty, is the last word.
        b"ima-sig" | b"ima-sigv2" | b"ima-buf" => {
            let space = rest.iter().rposition(|byte| *byte == b' ')?;
            let (name, last) = rest.split_at_checked(space)?;
            field(&[name, b"\0"])?;
            field(&[&decode_hex(last.get(1..)?)?])?;
        }
        _ => return None,
    }
    Some(data)
}

pub(super) fn decode_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, odd) = text.as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some((digit(*high)? << 4) | digit(*low)?)).collect()
}
