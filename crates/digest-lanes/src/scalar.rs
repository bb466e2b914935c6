//! One message at a time, on the RustCrypto implementations (which use the processor's SHA instructions where it has
//! them).

use sha1::Sha1;
use sha2::digest::Digest as _;
use sha2::{Sha256, Sha384, Sha512};

use crate::{AlgorithmMismatch, Digest, HashAlgorithm};

/// Hashes a message given in pieces: the result is the digest of their concatenation.
#[must_use]
pub fn hash(algorithm: HashAlgorithm, pieces: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    pieces.iter().for_each(|piece| hasher.update(piece));
    hasher.finish()
}

/// Extends a PCR: `H(register ‖ measured)`, TPM 2.0 Library Part 1, section 17.2.
///
/// # Errors
/// [`AlgorithmMismatch`] where the two digests are of different banks.
pub fn extend(register: &Digest, measured: &Digest) -> Result<Digest, AlgorithmMismatch> {
    if register.algorithm() != measured.algorithm() {
        return Err(AlgorithmMismatch { register: register.algorithm(), measured: measured.algorithm() });
    }
    Ok(hash(register.algorithm(), &[register.as_bytes(), measured.as_bytes()]))
}

/// Hashes a message that arrives in pieces.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha1(Sha1),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hasher {
    /// Starts an empty message.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm) -> Self {
        Self(match algorithm {
            HashAlgorithm::Sha1 => State::Sha1(Sha1::new()),
            HashAlgorithm::Sha256 => State::Sha256(Sha256::new()),
            HashAlgorithm::Sha384 => State::Sha384(Sha384::new()),
            HashAlgorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Appends a piece to the message.
    pub fn update(&mut self, piece: &[u8]) {
        match &mut self.0 {
            State::Sha1(state) => state.update(piece),
            State::Sha256(state) => state.update(piece),
            State::Sha384(state) => state.update(piece),
            State::Sha512(state) => state.update(piece),
        }
    }

    /// The digest of all that was appended.
    #[must_use]
    pub fn finish(self) -> Digest {
        fn sealed(algorithm: HashAlgorithm, bytes: &[u8]) -> Digest {
            // The library returns exactly the algorithm's length.
            Digest::new(algorithm, bytes).unwrap_or(Digest::zero(algorithm))
        }
        match self.0 {
            State::Sha1(state) => sealed(HashAlgorithm::Sha1, &state.finalize()),
            State::Sha256(state) => sealed(HashAlgorithm::Sha256, &state.finalize()),
            State::Sha384(state) => sealed(HashAlgorithm::Sha384, &state.finalize()),
            State::Sha512(state) => sealed(HashAlgorithm::Sha512, &state.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4 examples: the digest of "abc".
    #[test]
    fn known_answers_for_abc() {
        for (algorithm, expected) in [
            (HashAlgorithm::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (HashAlgorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                HashAlgorithm::Sha384,
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                HashAlgorithm::Sha512,
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            assert_eq!(hash(algorithm, &[b"a", b"", b"bc"]).as_bytes().len(), algorithm.digest_len());
            assert_eq!(std::format!("{}", hash(algorithm, &[b"a", b"", b"bc"])), expected);
        }
    }

    #[test]
    fn registers_of_two_banks_do_not_mix() {
        let error = extend(&Digest::zero(HashAlgorithm::Sha256), &Digest::zero(HashAlgorithm::Sha384)).unwrap_err();
        assert_eq!(error, AlgorithmMismatch { register: HashAlgorithm::Sha256, measured: HashAlgorithm::Sha384 });
    }

    extern crate std;
}
