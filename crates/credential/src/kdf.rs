//! The two key derivation functions of TPM 2.0.

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use ring::hmac;
use zeroize::Zeroizing;

use crate::{CredentialError, EnrolmentError};

/// The HMAC algorithm of a hash; SHA-1 has none here, because nothing of ours is built on it.
pub(crate) fn hmac_algorithm(hash: HashAlgorithm) -> Result<hmac::Algorithm, CredentialError> {
    match hash {
        HashAlgorithm::Sha256 => Ok(hmac::HMAC_SHA256),
        HashAlgorithm::Sha384 => Ok(hmac::HMAC_SHA384),
        HashAlgorithm::Sha512 => Ok(hmac::HMAC_SHA512),
        HashAlgorithm::Sha1 => Err(EnrolmentError::Hash { hash }.into()),
    }
}

/// KDFa: derives `length` bytes from a key, a label (without its zero) and two contexts: SP 800-108 in counter mode with
/// HMAC (TPM 2.0 Library Part 1, section 11.4.10.2).
///
/// # Errors
/// [`EnrolmentError::Hash`] for SHA-1.
pub fn kdfa(
    hash: HashAlgorithm,
    key: &[u8],
    label: &str,
    context_u: &[u8],
    context_v: &[u8],
    length: u16,
) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let key = hmac::Key::new(hmac_algorithm(hash)?, key);
    let bits = u32::from(length).saturating_mul(8).to_be_bytes();
    Ok(blocks(length, |counter| {
        let mut context = hmac::Context::with_key(&key);
        for part in [&counter.to_be_bytes()[..], label.as_bytes(), &[0], context_u, context_v, &bits] {
            context.update(part);
        }
        context.sign().as_ref().to_vec()
    }))
}

/// KDFe: derives `length` bytes from the x coordinate of a shared point, a label (without its zero) and the x
/// coordinates of both parties, all as long as the curve's: SP 800-56A (TPM 2.0 Library Part 1, section 11.4.10.3).
#[must_use]
pub fn kdfe(
    algorithm: HashAlgorithm,
    shared_x: &[u8],
    label: &str,
    party_u_x: &[u8],
    party_v_x: &[u8],
    length: u16,
) -> Zeroizing<Vec<u8>> {
    blocks(length, |counter| {
        let parts = [&counter.to_be_bytes()[..], shared_x, label.as_bytes(), &[0], party_u_x, party_v_x];
        hash(algorithm, &parts).as_bytes().to_vec()
    })
}

/// Blocks for the counters 1, 2, … until there are `length` bytes.
fn blocks(length: u16, block: impl Fn(u32) -> Vec<u8>) -> Zeroizing<Vec<u8>> {
    let length = usize::from(length);
    // No block is empty: 65,535 of them are always enough.
    let derived = (1..=u32::from(u16::MAX)).flat_map(|counter| Zeroizing::new(block(counter)).to_vec()).take(length);
    // The capacity is the final one: no copy of the key stays behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    bytes.extend(derived);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &[u8] = b"seed-of-thirty-two-bytes-or-more";

    #[test]
    fn kdfa_is_counter_mode_of_sp_800_108() {
        // openssl kdf -keylen 16 -kdfopt mode:counter -kdfopt mac:HMAC -kdfopt digest:SHA256 -kdfopt key:SEED
        //   -kdfopt salt:STORAGE -kdfopt info:name-of-the-key KBKDF
        for (hash, key, label, u, v, expected) in [
            (
                HashAlgorithm::Sha256,
                SEED,
                "STORAGE",
                &b"name-of-the-key"[..],
                &b""[..],
                "a17b764d3fce7e5b2f7263c47f323f82",
            ),
            (
                HashAlgorithm::Sha384,
                SEED,
                "INTEGRITY",
                b"",
                b"",
                "c03ef2b68948b8a282790c785cfacbfe8e70f1bb4a6d1a1d6eaaddfa9bb0f4d161a5ab73795a286716c997e141c9a624",
            ),
            (
                HashAlgorithm::Sha512,
                SEED,
                "ATH",
                b"UU",
                b"VV",
                "b6d20e8bc612748eaadca8022f604be45efb87143a53a47e19432e57f596154270e2f1d98867ec3dd21808c9be6f15c7622736f84ca0a1f3ba7cf984df821cff",
            ),
            // More than one block, the last one cut.
            (
                HashAlgorithm::Sha256,
                b"seed",
                "CFB",
                b"UU",
                b"VV",
                "412695d7e7b6b9a1a9996a0ddaa797dc53d4f980a547bcc5f3185eb993f9dbce4e29027067e3769d92dab4dbefe3230d",
            ),
        ] {
            let length = u16::try_from(expected.len() / 2).unwrap();
            assert_eq!(hex::encode(&*kdfa(hash, key, label, u, v, length).unwrap()), expected, "{label}");
        }
    }

    #[test]
    fn kdfe_is_the_one_step_kdf_of_sp_800_56a() {
        // openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:<32 × 7a>
        //   -kdfopt hexinfo:<"IDENTITY\0UUUUVVVV"> SSKDF
        for (hash, expected) in [
            (HashAlgorithm::Sha256, "0925e99bd4ee89b9dc2cfffa7e9a5c5530744e58472e225bcd292a492ca2cc49"),
            (
                HashAlgorithm::Sha384,
                "9724e92dec419aabb258d81baebdaff08f305f0fd76c95287fe168a0d3961d23530d065da15273c7b1dd2fa1939e9fb5",
            ),
        ] {
            let length = expected.len() / 2;
            let shared = vec![b'z'; length];
            let derived = kdfe(hash, &shared, "IDENTITY", b"UUUU", b"VVVV", u16::try_from(length).unwrap());
            assert_eq!(hex::encode(&*derived), expected);
        }
    }

    #[test]
    fn sha1_derives_nothing() {
        assert_eq!(kdfa(HashAlgorithm::Sha1, SEED, "ATH", b"", b"", 20).unwrap_err().code(), "credential.hash");
    }
}
