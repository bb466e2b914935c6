//! CBOR items as bytes (RFC 8949), in their shortest form. What is not in its shortest form is made by hand where a test
//! needs it.

/// Major type 0: an unsigned integer.
#[must_use]
pub fn unsigned(number: u64) -> Vec<u8> {
    head(0, number)
}

/// Major type 1: the integer `-1 - number`.
#[must_use]
pub fn negative(number: u64) -> Vec<u8> {
    head(1, number)
}

/// Major type 2: a byte string.
#[must_use]
pub fn bytes(bytes: &[u8]) -> Vec<u8> {
    string(2, bytes)
}

/// Major type 3: a text string.
#[must_use]
pub fn text(text: &str) -> Vec<u8> {
    string(3, text.as_bytes())
}

/// Major type 4: an array of definite length.
#[must_use]
pub fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, count(items.len())), items.concat()].concat()
}

/// Major type 5: a map of definite length, in the order given.
#[must_use]
pub fn map(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    [head(5, count(entries.len())), entries_of(entries)].concat()
}

/// Major type 5: a map of indefinite length, in the order given.
#[must_use]
pub fn indefinite_map(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    [vec![0xBF], entries_of(entries), vec![0xFF]].concat()
}

/// Major type 6: a tag before an item.
#[must_use]
pub fn tagged(tag: u64, item: &[u8]) -> Vec<u8> {
    [head(6, tag).as_slice(), item].concat()
}

/// The simple value null.
#[must_use]
pub fn null() -> Vec<u8> {
    vec![0xF6]
}

/// The initial byte and the argument, in as few bytes as the number needs. `major` is 0 to 7.
#[must_use]
pub fn head(major: u8, argument: u64) -> Vec<u8> {
    let major = major << 5;
    let [.., b4, b5, b6, b7] = argument.to_be_bytes();
    match argument {
        0..=23 => vec![major | b7],
        24..=0xFF => vec![major | 24, b7],
        0x100..=0xFFFF => vec![major | 25, b6, b7],
        0x1_0000..=0xFFFF_FFFF => vec![major | 26, b4, b5, b6, b7],
        _ => [&[major | 27][..], &argument.to_be_bytes()].concat(),
    }
}

fn string(major: u8, bytes: &[u8]) -> Vec<u8> {
    [head(major, count(bytes.len())).as_slice(), bytes].concat()
}

fn entries_of(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    entries.iter().flat_map(|(key, value)| key.iter().chain(value)).copied().collect()
}

fn count(length: usize) -> u64 {
    // No length in memory is beyond 64 bits.
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_written_in_their_shortest_form() {
        // RFC 8949, appendix A.
        for (item, expected) in [
            (unsigned(23), "17"),
            (unsigned(24), "1818"),
            (unsigned(1000), "1903e8"),
            (unsigned(1_000_000), "1a000f4240"),
            (unsigned(1_000_000_000_000), "1b000000e8d4a51000"),
            (negative(34), "3822"),
            (bytes(&[1, 2, 3, 4]), "4401020304"),
            (text("IETF"), "6449455446"),
            (array(&[unsigned(1), unsigned(2), unsigned(3)]), "83010203"),
            (map(&[(unsigned(1), unsigned(2)), (unsigned(3), unsigned(4))]), "a201020304"),
            (indefinite_map(&[(text("a"), unsigned(1))]), "bf616101ff"),
            (tagged(18, &null()), "d2f6"),
        ] {
            let written: String = item.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(written, expected);
        }
    }
}
