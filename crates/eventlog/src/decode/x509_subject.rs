//! The name in a certificate's subject, to show it. Nothing here decides anything.

use crate::text::{Encoding, Text};

/// One value of DER: tag, contents, what follows. Lengths of one to four bytes.
fn read(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        ..=0x7F => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x0F))?;
            let length =
                length.iter().try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add((*byte).into()))?;
            (length, rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((*tag, contents, rest))
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// id-at-organizationName, 2.5.4.10.
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0A];

/// The common name, or else the organisation, of a certificate's subject (RFC 5280, section 4.1).
pub(super) fn subject(certificate: &[u8]) -> Option<Text<'_>> {
    let (SEQUENCE, certificate, _) = read(certificate)? else { return None };
    let (SEQUENCE, mut rest, _) = read(certificate)? else { return None };
    if let (0xA0, _, after) = read(rest)? {
        rest = after;
    }
    // Serial number, algorithm, issuer, validity.
    for _ in 0..4 {
        (_, _, rest) = read(rest)?;
    }
    let (SEQUENCE, mut names, _) = read(rest)? else { return None };
    let mut organisation = None;
    while let Some((SET, attribute, after)) = read(names) {
        names = after;
        let (SEQUENCE, attribute, _) = read(attribute)? else { return None };
        let (0x06, kind, value) = read(attribute)? else { return None };
        let (tag, value, _) = read(value)?;
        // BMPString is big-endian UTF-16; it is shown as the bytes it has.
        let text = matches!(tag, 0x0C | 0x13 | 0x14 | 0x16).then_some(Text::new(value, Encoding::Utf8));
        match kind {
            COMMON_NAME if text.is_some() => return text,
            ORGANISATION => organisation = organisation.or(text),
            _ => {}
        }
    }
    organisation
}
