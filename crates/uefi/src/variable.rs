//! `UEFI_VARIABLE_DATA`: what firmware hashes when it measures a variable.

use alloc::vec::Vec;

use uguid::Guid;

/// UTF-16, little endian, without a NUL at the end.
#[must_use]
pub fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// The bytes of a `UEFI_VARIABLE_DATA`: vendor GUID, number of the name's UTF-16 units (u64), number of the content's
/// bytes (u64), the name without NUL, the content (TCG PC Client Platform Firmware Profile 1.06, section 10.4.3).
#[must_use]
pub fn variable_data(vendor: &Guid, name: &str, content: &[u8]) -> Vec<u8> {
    let name = utf16(name);
    let mut bytes = Vec::with_capacity(name.len().saturating_add(content.len()).saturating_add(32));
    bytes.extend_from_slice(&vendor.to_bytes());
    bytes.extend_from_slice(&length(name.len().div_euclid(2)));
    bytes.extend_from_slice(&length(content.len()));
    bytes.extend_from_slice(&name);
    bytes.extend_from_slice(content);
    bytes
}

/// A length as the format has it.
pub(crate) fn length(bytes: usize) -> [u8; 8] {
    u64::try_from(bytes).unwrap_or(u64::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guids;

    /// The event of a machine with Secure Boot off, as OVMF logs it.
    #[test]
    fn secure_boot_off_is_53_bytes() {
        let bytes = variable_data(&guids::GLOBAL_VARIABLE, "SecureBoot", &[0]);
        assert_eq!(
            &bytes[..16],
            &[0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0, 0xe0, 0x98, 3, 0x2b, 0x8c]
        );
        assert_eq!(&bytes[16..32], &[10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&bytes[32..36], b"S\0e\0");
        assert_eq!(bytes.last(), Some(&0));
        assert_eq!(bytes.len(), 53);
    }
}
