//! Where libtpms keeps what the emulator has to know: session keys and authorization values, found in state blobs.
//!
//! Found by what is public and unique: a session's key stands before its nonceTPM, an index' authorization value behind
//! its public area, the hierarchies' at a fixed place behind a magic number. At each start a self-test proves that this
//! still holds ([`crate::self_test`]).

use crate::wire::{Malformed, Reader, sized};

/// libtpms' magic number of its persistent data (`NVMarshal.c`, `PERSISTENT_DATA_MAGIC`).
const PERSISTENT_DATA: [u8; 4] = [0x12, 0x21, 0x34, 0x43];
/// libtpms' magic number of the data that a TPM reset clears (`NVMarshal.c`, `STATE_CLEAR_DATA_MAGIC`).
const STATE_CLEAR_DATA: [u8; 4] = [0x98, 0x89, 0x76, 0x67];

/// A session's key in the volatile state: `sessionKey (TPM2B), nonceTPM (TPM2B)`, the key as long as the hash or empty.
pub(crate) fn session_key<'a>(volatile: &'a [u8], digest_length: usize, nonce_tpm: &[u8]) -> Option<&'a [u8]> {
    let (before, _) = only_occurrence(volatile, &sized(nonce_tpm).ok()?)?;
    let (rest, key) = before.split_at_checked(before.len().checked_sub(digest_length)?)?;
    if rest.ends_with(&u16::try_from(digest_length).ok()?.to_be_bytes()) {
        return Some(key);
    }
    before.ends_with(&[0, 0]).then_some(&[])
}

/// An NV index' authorization value in the permanent state: behind its `TPMS_NV_PUBLIC`.
pub(crate) fn nv_auth<'a>(permanent: &'a [u8], public: &[u8]) -> Option<&'a [u8]> {
    let (_, after) = only_occurrence(permanent, public)?;
    Reader::new(after).sized().ok().filter(|auth| auth.len() <= 64)
}

/// The authorization value of the owner hierarchy in the permanent state.
pub(crate) fn owner_auth(permanent: &[u8]) -> Option<&[u8]> {
    let (_, after) = only_occurrence(permanent, &PERSISTENT_DATA)?;
    let read = || {
        let mut reader = Reader::new(after);
        reader.u16()?; // the least version that can read this
        if reader.u8()? > 1 {
            return Err(Malformed); // disableClear
        }
        reader.take(6)?; // hash algorithms of the three policies
        for _ in 0..3 {
            small(&mut reader)?; // the policies
        }
        let owner = small(&mut reader)?;
        small(&mut reader)?; // endorsement
        small(&mut reader)?; // lockout
        // The seeds of the hierarchies follow: never empty, so a shifted reading is noticed.
        if small(&mut reader)?.len() < 32 { Err(Malformed) } else { Ok(owner) }
    };
    read().ok()
}

/// The authorization value of the platform hierarchy in the volatile state.
pub(crate) fn platform_auth(volatile: &[u8]) -> Option<&[u8]> {
    let (_, after) = only_occurrence(volatile, &STATE_CLEAR_DATA)?;
    let read = || {
        let mut reader = Reader::new(after);
        reader.u16()?; // the least version that can read this
        for _ in 0..3 {
            if reader.u8()? > 1 {
                return Err(Malformed); // shEnable, ehEnable, phEnableNV
            }
        }
        reader.u16()?; // hash algorithm of the policy
        small(&mut reader)?;
        small(&mut reader)
    };
    read().ok()
}

/// A TPM2B no longer than the longest digest.
fn small<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    reader.sized().ok().filter(|bytes| bytes.len() <= 64).ok_or(Malformed)
}

/// What stands before and behind the only occurrence of `wanted`; `None` where there is none or more than one.
fn only_occurrence<'a>(bytes: &'a [u8], wanted: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut found = bytes.windows(wanted.len().max(1)).enumerate().filter(|(_, window)| *window == wanted);
    let (at, _) = found.next()?;
    if found.next().is_some() {
        return None;
    }
    let (before, rest) = bytes.split_at_checked(at)?;
    Some((before, rest.get(wanted.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_key_stands_before_its_nonce() {
        let mut blob = vec![9; 20];
        blob.extend([0, 4, 1, 2, 3, 4, 0, 3, 7, 8, 9, 5, 5]);
        assert_eq!(session_key(&blob, 4, &[7, 8, 9]), Some([1, 2, 3, 4].as_slice()));
        // Of another length than the hash: not what was expected there.
        assert_eq!(session_key(&blob, 3, &[7, 8, 9]), None);
        // The nonce twice: which is it?
        blob.extend([0, 3, 7, 8, 9]);
        assert_eq!(session_key(&blob, 4, &[7, 8, 9]), None);
        assert_eq!(session_key(&blob, 4, &[7, 8]), None);
    }

    #[test]
    fn a_session_without_key_has_an_empty_one() {
        assert_eq!(session_key(&[1, 1, 1, 1, 0, 0, 0, 2, 6, 6], 4, &[6, 6]), Some([].as_slice()));
    }

    #[test]
    fn an_authorization_value_stands_behind_its_public_area() {
        let blob = [5, 5, 1, 2, 3, 0, 2, 8, 9, 5];
        assert_eq!(nv_auth(&blob, &[1, 2, 3]), Some([8, 9].as_slice()));
        assert_eq!(nv_auth(&blob, &[1, 2, 4]), None);
        assert_eq!(nv_auth(&blob, &[9, 5]), None);
    }
}
