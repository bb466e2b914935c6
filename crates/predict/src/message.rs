//! What gets hashed, and hashing many of it in several banks side by side.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::thread;

use nitrotpm_digest_lanes::{Digest, HashAlgorithm, Hasher};

/// From this many bytes of messages on, all processors share the work.
const WORTH_A_THREAD: usize = 1 << 20;
/// Zeros are hashed from here.
static ZEROS: [u8; 4096] = [0; 4096];

/// A part of a message.
#[derive(Clone, Debug)]
pub(crate) enum Piece<'a> {
    /// Bytes of a file that the caller holds.
    File(&'a [u8]),
    /// Bytes made here.
    Made(Vec<u8>),
    /// As many zeros.
    Zeros(usize),
}

impl Piece<'_> {
    fn len(&self) -> usize {
        match self {
            Self::File(bytes) => bytes.len(),
            Self::Made(bytes) => bytes.len(),
            Self::Zeros(count) => *count,
        }
    }

    /// Whether both are the same without looking at the bytes of files.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(two)) => core::ptr::eq(*one, *two),
            (Self::Made(one), Self::Made(two)) => one == two,
            (Self::Zeros(one), Self::Zeros(two)) => one == two,
            _ => false,
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
        if piece.len() > 0 {
            self.0.push(piece);
        }
    }

    /// Appends another message.
    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(Piece::len).fold(0, usize::saturating_add)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(one, two)| one.is_same(two))
    }

    pub(crate) fn digest(&self, algorithm: HashAlgorithm) -> Digest {
        let mut hasher = Hasher::new(algorithm);
        for piece in &self.0 {
            match piece {
                Piece::File(bytes) => hasher.update(bytes),
                Piece::Made(bytes) => hasher.update(bytes),
                Piece::Zeros(count) => {
                    let mut left = *count;
                    while left > 0 {
                        let zeros = ZEROS.get(..left.min(ZEROS.len())).unwrap_or(&ZEROS);
                        hasher.update(zeros);
                        left = left.saturating_sub(zeros.len());
                    }
                }
            }
        }
        hasher.finish()
    }
}

/// The digests of every message in every bank: one row a message, in the order of the banks.
///
/// A message that occurs more than once is hashed once.
pub(crate) fn digest_all(messages: &[&Message<'_>], banks: &[HashAlgorithm]) -> Vec<Vec<Digest>> {
    // For each message the position of the first one like it.
    let firsts: Vec<usize> = messages
        .iter()
        .map(|message| messages.iter().position(|other| other.is_same(message)).unwrap_or_default())
        .collect();
    let mut jobs: Vec<(usize, HashAlgorithm)> = firsts
        .iter()
        .enumerate()
        .filter(|(position, first)| position == *first)
        .flat_map(|(position, _)| banks.iter().map(move |bank| (position, *bank)))
        .collect();
    let size = |position: &usize| messages.get(*position).map_or(0, |message| message.len());
    // The longest are taken from the end first, so that no worker ends with a long one.
    jobs.sort_by_key(|(position, _)| size(position));
    let total = jobs.iter().map(|(position, _)| size(position)).fold(0, usize::saturating_add);
    let workers = if total < WORTH_A_THREAD {
        1
    } else {
        thread::available_parallelism().map_or(1, NonZeroUsize::get).min(jobs.len())
    };

    let queue = Mutex::new(jobs);
    let work = || {
        let mut done = Vec::new();
        // A poisoned queue is still a queue: no job is half taken.
        while let Some((position, bank)) = queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop() {
            if let Some(message) = messages.get(position) {
                done.push(((position, bank), message.digest(bank)));
            }
        }
        done
    };
    let done: Vec<((usize, HashAlgorithm), Digest)> = thread::scope(|scope| {
        let helpers: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for helper in helpers {
            match helper.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    let find = |job: (usize, HashAlgorithm)| done.iter().find(|(made, _)| *made == job).map(|(_, digest)| *digest);
    firsts.iter().map(|first| banks.iter().filter_map(|bank| find((*first, *bank))).collect()).collect()
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
        message.push(Piece::Zeros(5000));
        let flat = [b"abc".as_slice(), &[0; 5000]].concat();
        assert_eq!(message.len(), flat.len());
        for bank in HashAlgorithm::ALL {
            assert_eq!(message.digest(bank), hash(bank, &[&flat]));
        }
    }

    #[test]
    fn many_long_messages_on_all_processors() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|value| value.to_le_bytes()[0]).collect();
        let messages: Vec<Message<'_>> = (0..9)
            .map(|part| if part == 8 { Message::file(&bytes) } else { Message::file(&bytes[part * 7..]) })
            .collect();
        let messages: Vec<&Message<'_>> = messages.iter().collect();
        let rows = digest_all(&messages, &HashAlgorithm::ALL);
        for (message, row) in messages.iter().zip(&rows) {
            assert_eq!(row.len(), 4);
            assert!(row.iter().all(|digest| *digest == message.digest(digest.algorithm())));
        }
        // The last is the first again.
        assert_eq!(rows[0], rows[8]);
    }
}
