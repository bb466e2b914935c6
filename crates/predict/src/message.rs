//! What gets hashed, and hashing many of it in several banks side by side.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::thread;

use nitrotpm_digest_lanes::{self as lanes, Backends, Digest, DigestBytes, HashAlgorithm, Hasher};

/// From this many bytes of messages on, all processors share the work.
const WORTH_A_THREAD: usize = 1 << 20;

/// A part of a message.
#[derive(Clone, Debug)]
pub(crate) enum Piece<'a> {
    /// Bytes of a file that the caller holds.
    File(&'a [u8]),
    /// Bytes made here.
    Made(Vec<u8>),
}

impl Piece<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::File(bytes) => bytes,
            Self::Made(bytes) => bytes,
        }
    }

    /// Whether both are the same without looking at the bytes of files.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(two)) => core::ptr::eq(*one, *two),
            (Self::Made(one), Self::Made(two)) => one == two,
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

    fn is_same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(one, two)| one.is_same(two))
    }

    pub(crate) fn digest(&self, algorithm: HashAlgorithm) -> Digest {
        let mut hasher = Hasher::new(algorithm);
        self.0.iter().for_each(|piece| hasher.update(piece.bytes()));
        hasher.finish()
    }

    /// The bytes in one piece; only a message of several pieces is copied.
    fn flat(&self) -> Cow<'_, [u8]> {
        match self.0.as_slice() {
            [one] => Cow::Borrowed(one.bytes()),
            many => Cow::Owned(many.iter().map(Piece::bytes).collect::<Vec<_>>().concat()),
        }
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
    let mut unique: Vec<(usize, &Message<'_>)> =
        messages.iter().copied().enumerate().filter(|(position, _)| firsts.get(*position) == Some(position)).collect();
    // The longest first: they keep lanes and processors busy to the end.
    unique.sort_by_key(|(_, message)| core::cmp::Reverse(message.len()));
    let total = unique.iter().map(|(_, message)| message.len()).fold(0, usize::saturating_add);
    let processors =
        if total < WORTH_A_THREAD { 1 } else { thread::available_parallelism().map_or(1, NonZeroUsize::get) };

    let done: Vec<(usize, Digest)> = if processors <= banks.len() {
        // A bank is a job: its messages go side by side.
        let flat: Vec<Cow<'_, [u8]>> = unique.iter().map(|(_, message)| message.flat()).collect();
        let positions = || unique.iter().map(|(position, _)| *position);
        on_processors(processors, banks.to_vec(), |bank| positions().zip(side_by_side(bank, &flat)).collect())
    } else {
        let jobs = unique.iter().flat_map(|message| banks.iter().map(move |bank| (*message, *bank))).collect();
        on_processors(processors, jobs, |((position, message), bank)| vec![(position, message.digest(bank))])
    };
    let find = |first: usize, bank: HashAlgorithm| {
        let mut found = done.iter().filter(|(position, digest)| *position == first && digest.algorithm() == bank);
        found.next().map(|(_, digest)| *digest)
    };
    firsts.iter().map(|first| banks.iter().filter_map(|bank| find(*first, *bank)).collect()).collect()
}

/// Does the jobs in order on this many processors; the results come in any order.
fn on_processors<J: Send, R: Send>(processors: usize, mut jobs: Vec<J>, work: impl Fn(J) -> Vec<R> + Sync) -> Vec<R> {
    jobs.reverse();
    let workers = processors.min(jobs.len());
    let queue = Mutex::new(jobs);
    let run = || {
        let mut done = Vec::new();
        // A poisoned queue is still a queue: no job is half taken. The lock is released before the work begins.
        let next = || queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
        while let Some(job) = next() {
            done.extend(work(job));
        }
        done
    };
    thread::scope(|scope| {
        let helpers: Vec<_> = (1..workers).map(|_| scope.spawn(run)).collect();
        let mut done = run();
        for helper in helpers {
            match helper.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    })
}

fn side_by_side(bank: HashAlgorithm, messages: &[Cow<'_, [u8]>]) -> Vec<Digest> {
    fn of<B: DigestBytes>(messages: &[Cow<'_, [u8]>]) -> Vec<Digest> {
        let mut work: Vec<lanes::Message<'_, B>> = messages.iter().map(|bytes| lanes::Message::new(bytes)).collect();
        Backends::detect().hash_many(&mut work);
        work.iter().map(|message| message.digest.to_digest()).collect()
    }
    match bank {
        HashAlgorithm::Sha1 => of::<[u8; 20]>(messages),
        HashAlgorithm::Sha256 => of::<[u8; 32]>(messages),
        HashAlgorithm::Sha384 => of::<[u8; 48]>(messages),
        HashAlgorithm::Sha512 => of::<[u8; 64]>(messages),
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

    #[test]
    fn many_long_messages_on_all_processors() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|value| value.to_le_bytes()[0]).collect();
        let messages: Vec<Message<'_>> = (0..9)
            .map(|part| if part == 8 { Message::file(&bytes) } else { Message::file(&bytes[part * 7..]) })
            .collect();
        let messages: Vec<&Message<'_>> = messages.iter().collect();
        // One bank goes message by message where there are several processors.
        let alone = digest_all(&messages, &[HashAlgorithm::Sha384]);
        let rows = digest_all(&messages, &HashAlgorithm::ALL);
        for (message, row) in messages.iter().zip(&rows) {
            assert_eq!(row.len(), 4);
            assert!(row.iter().all(|digest| *digest == message.digest(digest.algorithm())));
        }
        assert!(alone.iter().zip(&rows).all(|(alone, row)| alone[..] == row[2..3]));
        // The last is the first again.
        assert_eq!(rows[0], rows[8]);
    }
}
