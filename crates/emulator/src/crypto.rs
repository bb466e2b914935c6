//! The session cryptography of a TPM: HMAC, key derivation, parameter encryption (TPM 2.0 Library Part 1, 11.4 and 21).

use aes::{Aes128, Aes192, Aes256};
use cfb_mode::cipher::{BlockCipherEncrypt, KeyInit, KeyIvInit};
use cfb_mode::{Decryptor, Encryptor};
use hmac::{Hmac, Mac};
use nitrotpm_digest_lanes::HashAlgorithm;

/// HMAC over the pieces one after the other.
pub(crate) fn hmac(algorithm: HashAlgorithm, key: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
    fn run<M: Mac + KeyInit>(key: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
        // HMAC takes keys of any length.
        let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Vec::new() };
        for piece in pieces {
            mac.update(piece);
        }
        mac.finalize().into_bytes().to_vec()
    }
    match algorithm {
        HashAlgorithm::Sha1 => run::<Hmac<sha1::Sha1>>(key, pieces),
        HashAlgorithm::Sha256 => run::<Hmac<sha2::Sha256>>(key, pieces),
        HashAlgorithm::Sha384 => run::<Hmac<sha2::Sha384>>(key, pieces),
        HashAlgorithm::Sha512 => run::<Hmac<sha2::Sha512>>(key, pieces),
    }
}

/// KDFa: the counter-mode key derivation of SP 800-108 (TPM 2.0 Library Part 1, 11.4.10.2). `bits` is a multiple of 8.
pub(crate) fn kdfa(
    algorithm: HashAlgorithm,
    key: &[u8],
    label: &str,
    context_u: &[u8],
    context_v: &[u8],
    bits: u32,
) -> Vec<u8> {
    let length = usize::try_from(bits / 8).unwrap_or_default();
    let mut derived = Vec::with_capacity(length.saturating_add(64));
    for counter in 1u32.. {
        if derived.len() >= length {
            break;
        }
        let (counter, bits) = (counter.to_be_bytes(), bits.to_be_bytes());
        derived.extend(hmac(
            algorithm,
            key,
            &[counter.as_slice(), label.as_bytes(), &[0], context_u, context_v, bits.as_slice()],
        ));
    }
    derived.truncate(length);
    derived
}

/// Which way a parameter goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Encrypt,
    Decrypt,
}

/// How a session hides the first parameter (`TPMT_SYM_DEF`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symmetric {
    /// It does not.
    None,
    /// AES in CFB mode with a key of so many bits.
    AesCfb(u16),
    /// XOR obfuscation with a mask from the session's hash. (The hash in the definition is not used: libtpms, `CryptUtil.c`.)
    Xor,
    /// An algorithm that the emulator does not compute.
    Unsupported,
}

impl Symmetric {
    /// Encrypts or decrypts a parameter under a session value; the nonces are the sender's (newer) first. `None` where the
    /// algorithm is not supported.
    pub(crate) fn apply(
        self,
        direction: Direction,
        hash: HashAlgorithm,
        session_value: &[u8],
        nonces: (&[u8], &[u8]),
        data: &[u8],
    ) -> Option<Vec<u8>> {
        match self {
            Self::None | Self::Unsupported => None,
            Self::AesCfb(bits) => {
                let material = kdfa(hash, session_value, "CFB", nonces.0, nonces.1, u32::from(bits).checked_add(128)?);
                let (key, iv) = material.split_at_checked(usize::from(bits / 8))?;
                match bits {
                    128 => cfb::<Aes128>(direction, key, iv, data),
                    192 => cfb::<Aes192>(direction, key, iv, data),
                    256 => cfb::<Aes256>(direction, key, iv, data),
                    _ => None,
                }
            }
            Self::Xor => {
                let bits = u32::try_from(data.len()).ok()?.checked_mul(8)?;
                let mask = kdfa(hash, session_value, "XOR", nonces.0, nonces.1, bits);
                Some(data.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect())
            }
        }
    }
}

fn cfb<C: BlockCipherEncrypt + KeyInit>(direction: Direction, key: &[u8], iv: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    let mut data = data.to_vec();
    match direction {
        Direction::Encrypt => Encryptor::<C>::new_from_slices(key, iv).ok()?.encrypt(&mut data),
        Direction::Decrypt => Decryptor::<C>::new_from_slices(key, iv).ok()?.decrypt(&mut data),
    }
    Some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        let mac = hmac(HashAlgorithm::Sha256, b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(hex::encode(mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let mac = hmac(HashAlgorithm::Sha384, b"Jefe", &[b"what do ya want for nothing?"]);
        assert!(hex::encode(mac).starts_with("af45d2e376484031617f78d2b58a6b1b"));
        let mac = hmac(HashAlgorithm::Sha512, b"Jefe", &[b"what do ya want for nothing?"]);
        assert!(hex::encode(mac).starts_with("164b7a7bfcf819e2e395fbe73b56e0a3"));
    }

    #[test]
    fn hmac_sha1_agrees_with_rfc_2202() {
        let mac = hmac(HashAlgorithm::Sha1, b"Jefe", &[b"what do ya want for nothing?"]);
        assert_eq!(hex::encode(mac), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    }

    #[test]
    fn kdfa_is_hmac_over_counter_label_contexts_and_bits() {
        let expected = hmac(HashAlgorithm::Sha256, b"key", &[b"\0\0\0\x01ATH\0uv\0\0\x01\0"]);
        assert_eq!(kdfa(HashAlgorithm::Sha256, b"key", "ATH", b"u", b"v", 256), expected);
        assert_eq!(kdfa(HashAlgorithm::Sha256, b"key", "ATH", b"u", b"v", 512).len(), 64);
    }

    #[test]
    fn aes_cfb_agrees_with_sp_800_38a() {
        let key = hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap();
        let iv = hex::decode("000102030405060708090a0b0c0d0e0f").unwrap();
        let plain = hex::decode("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51").unwrap();
        let cipher = cfb::<Aes128>(Direction::Encrypt, &key, &iv, &plain).unwrap();
        assert_eq!(hex::encode(&cipher), "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b");
        assert_eq!(cfb::<Aes128>(Direction::Decrypt, &key, &iv, &cipher).unwrap(), plain);
    }

    #[test]
    fn each_symmetric_definition_comes_back() {
        let hash = HashAlgorithm::Sha256;
        let data: Vec<u8> = (0..77).collect();
        for symmetric in [Symmetric::AesCfb(128), Symmetric::AesCfb(192), Symmetric::AesCfb(256), Symmetric::Xor] {
            let hidden = symmetric.apply(Direction::Encrypt, hash, b"value", (b"new", b"old"), &data).unwrap();
            assert_ne!(hidden, data);
            let back = symmetric.apply(Direction::Decrypt, hash, b"value", (b"new", b"old"), &hidden).unwrap();
            assert_eq!(back, data);
            let other = symmetric.apply(Direction::Decrypt, hash, b"value", (b"old", b"new"), &hidden).unwrap();
            assert_ne!(other, data);
        }
    }
}
