//! The few DER values that the certificates' extensions consist of (ITU-T X.690).

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const SEQUENCE: u8 = 0x30;

/// One element: tag, shortest length, content.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    let length = match significant.as_slice() {
        [] => vec![0],
        [short @ ..0x80] => vec![*short],
        long => long.iter().fold(vec![0x80_u8], |mut bytes: Vec<u8>, byte| {
            if let Some(count) = bytes.first_mut() {
                *count = count.saturating_add(1);
            }
            bytes.push(*byte);
            bytes
        }),
    };
    [&[tag], length.as_slice(), content].concat()
}

/// A BIT STRING of one byte without its trailing zero bits, as DER has named bits (X.690, section 11.2.2).
pub(crate) fn named_bits(bits: u8) -> Vec<u8> {
    match u8::try_from(bits.trailing_zeros()) {
        Ok(unused @ ..8) => element(BIT_STRING, &[unused, bits]),
        _ => element(BIT_STRING, &[0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_bits_are_in_their_shortest_form() {
        assert_eq!(element(4, &[]), [4, 0]);
        assert_eq!(element(4, &[7; 0x7F])[..2], [4, 0x7F]);
        assert_eq!(element(4, &[7; 0x80])[..3], [4, 0x81, 0x80]);
        assert_eq!(element(4, &[7; 0x100])[..4], [4, 0x82, 1, 0]);
        // As the key usages of AWS's certificates read.
        assert_eq!(named_bits(0x86), [3, 2, 1, 0x86]);
        assert_eq!(named_bits(0xC0), [3, 2, 6, 0xC0]);
        assert_eq!(named_bits(0x04), [3, 2, 2, 0x04]);
        assert_eq!(named_bits(0), [3, 1, 0]);
    }
}
