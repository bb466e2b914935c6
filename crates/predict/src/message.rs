//! What gets hashed.

use nitrotpm_digest_lanes::{Digest, HashAlgorithm, Hasher};

/// A part of a message.
#[derive(Clone, Debug)]
pub(crate) enum Piece<'a> {
    /// Bytes of a file that the caller holds.
    File(&'a [u8]),
    /// Bytes made here.
    Made(Vec<u8>),
}

impl Piece<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::File(bytes) => bytes,
            Self::Made(bytes) => bytes,
        }
    }
}

/// Bytes that are measured, in pieces: nothing of a file is copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message<'a>(Vec<Piece<'a>>);

impl<'a> Message<'a> {
    pub(crate) fn made(bytes: impl Into<Vec<u8>>) -> Self {
        Self(vec![Piece::Made(bytes.into())])
    }

    pub(crate) fn file(bytes: &'a [u8]) -> Self {
        Self(vec![Piece::File(bytes)])
    }

    /// Appends a piece; one without bytes is left out, so that equal messages are made of equal pieces.
    pub(crate) fn push(&mut self, piece: Piece<'a>) {
        if !piece.bytes().is_empty() {
            self.0.push(piece);
        }
    }

    /// Appends another message.
    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|piece| piece.bytes().len()).fold(0, usize::saturating_add)
    }

    pub(crate) fn pieces(&self) -> &[Piece<'a>] {
        &self.0
    }

    pub(crate) fn digest(&self, algorithm: HashAlgorithm) -> Digest {
        let mut hasher = Hasher::new(algorithm);
        self.0.iter().for_each(|piece| hasher.update(piece.bytes()));
        hasher.finish()
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failure of the test")]
mod tests {
    use nitrotpm_digest_lanes::hash;

    use super::*;

    #[test]
    fn pieces_are_one_message() {
        let mut message = Message::file(b"ab");
        message.push(Piece::Made(b"c".to_vec()));
        message.push(Piece::Made(vec![0; 5000]));
        let flat = [b"abc".as_slice(), &[0; 5000]].concat();
        assert_eq!(message.len(), flat.len());
        for bank in HashAlgorithm::ALL {
            assert_eq!(message.digest(bank), hash(bank, &[&flat]));
        }
    }
}
