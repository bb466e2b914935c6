//! The little of DER that has to be written: lengths, INTEGER, SEQUENCE (ITU-T X.690, sections 8.1, 8.3, 8.9).

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const SEQUENCE: u8 = 0x30;

/// One element: tag, shortest length, content.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = strip_zeros(&length);
    let mut out = vec![tag];
    if content.len() < 0x80 {
        out.push(significant.first().copied().unwrap_or(0));
    } else {
        // One bit says "long form", the others how many bytes of length follow.
        out.push(significant.iter().fold(0x80_u8, |count, _| count.saturating_add(1)));
        out.extend_from_slice(significant);
    }
    out.extend_from_slice(content);
    out
}

/// An INTEGER that is not negative, from its bytes, big endian.
pub(crate) fn unsigned(number: &[u8]) -> Vec<u8> {
    let significant = strip_zeros(number);
    let mut content = Vec::with_capacity(significant.len().saturating_add(1));
    // A number that is zero or whose first bit is set needs a zero in front, or it would be empty or negative.
    if significant.first().is_none_or(|first| *first >= 0x80) {
        content.push(0);
    }
    content.extend_from_slice(significant);
    element(INTEGER, &content)
}

/// The number's bytes without zeros in front: none for zero.
pub(crate) fn strip_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_form() {
        assert_eq!(element(4, &[]), [4, 0]);
        assert_eq!(element(4, &[7; 0x7F])[..2], [4, 0x7F]);
        assert_eq!(element(4, &[7; 0x80])[..3], [4, 0x81, 0x80]);
        assert_eq!(element(4, &[7; 0x100])[..4], [4, 0x82, 1, 0]);
    }

    #[test]
    fn integers_are_never_negative_and_never_padded() {
        assert_eq!(unsigned(&[]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0x7F]), [2, 1, 0x7F]);
        assert_eq!(unsigned(&[0x80]), [2, 2, 0, 0x80]);
    }
}
