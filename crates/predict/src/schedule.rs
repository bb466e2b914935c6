//! Hashes messages of several banks: what begins alike once, side by side, on all processors.

use core::cmp::Reverse;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;

use nitrotpm_digest_lanes::{Append, Backends, Digest, HashAlgorithm, Stream};

use crate::message::{Message, Piece};

/// From this much work on, in the unit of [`Task::left`], all processors share it: about a millisecond.
const WORTH_A_THREAD: usize = 4 << 20;
/// A piece that is shorter than this is hashed at once: it is not worth looking for others to hash beside it.
const SHORT: usize = 4 << 10;
/// No more are hashed side by side: in vectors that are twice as wide each message alone goes slower, up to by half.
const MOST_ABREAST: usize = 4;
/// After this many bytes of each message the work is shared out anew. A multiple of every block.
const TURN: usize = 256 << 10;

/// Messages as a tree of pieces: those that begin with the same pieces share their way from the root.
#[derive(Debug)]
struct Tree<'m> {
    nodes: Vec<Node<'m>>,
}

#[derive(Debug, Default)]
struct Node<'m> {
    bytes: &'m [u8],
    children: Vec<usize>,
    /// Whether a message ends here.
    is_end: bool,
    /// How many bytes the longest way below this node has, without its own.
    below: usize,
}

/// How pieces are told apart: those of files by their place, no byte of them is looked at.
#[derive(PartialEq, Eq, Hash)]
enum Key<'m> {
    File(*const [u8]),
    Made(&'m [u8]),
}

impl<'m> Tree<'m> {
    /// The tree, and for each message the node where it ends.
    fn new(messages: &[&'m Message<'_>]) -> (Self, Vec<usize>) {
        let mut nodes = vec![Node::default()];
        let mut known: HashMap<(usize, Key<'m>), usize> = HashMap::new();
        let mut parents = vec![0];
        let mut end_of = |message: &&'m Message<'_>| {
            let mut at = 0;
            for piece in message.pieces() {
                let key = match piece {
                    Piece::File(bytes) => Key::File(core::ptr::from_ref(*bytes)),
                    Piece::Made(bytes) => Key::Made(bytes),
                };
                at = *known.entry((at, key)).or_insert_with(|| {
                    let number = nodes.len();
                    nodes.push(Node { bytes: piece.bytes(), ..Node::default() });
                    if let Some(parent) = nodes.get_mut(at) {
                        parent.children.push(number);
                    }
                    parents.push(at);
                    number
                });
            }
            if let Some(node) = nodes.get_mut(at) {
                node.is_end = true;
            }
            at
        };
        let ends = messages.iter().map(&mut end_of).collect();
        // A child's number is larger than its parent's.
        for (number, parent) in parents.into_iter().enumerate().skip(1).rev() {
            let way = nodes.get(number).map_or(0, |node| node.below.saturating_add(node.bytes.len()));
            if let Some(parent) = nodes.get_mut(parent) {
                parent.below = parent.below.max(way);
            }
        }
        (Self { nodes }, ends)
    }
}

/// A way through the tree in one bank, as far as it was hashed.
struct Task<'m> {
    stream: Stream,
    node: usize,
    /// What is left of the node's piece.
    piece: &'m [u8],
    /// How long the rest of the way takes: its bytes, weighted by what the bank costs.
    left: usize,
}

impl Task<'_> {
    /// What can be hashed side by side: SHA-384 and SHA-512 are one function from two starts.
    const fn family(&self) -> HashAlgorithm {
        match self.stream.algorithm() {
            HashAlgorithm::Sha384 => HashAlgorithm::Sha512,
            other => other,
        }
    }

    fn measure(&mut self, below: usize) {
        // A byte of these takes about that much longer.
        let weight = if self.family() == HashAlgorithm::Sha512 { 5 } else { 2 };
        self.left = self.piece.len().saturating_add(below).saturating_mul(weight);
    }
}

/// What is to be done, and what was.
#[derive(Default)]
struct Pool<'m> {
    waiting: Vec<Task<'m>>,
    /// The families that processors are working on.
    busy: Vec<HashAlgorithm>,
    done: HashMap<(usize, HashAlgorithm), Digest>,
}

impl<'m> Pool<'m> {
    /// Hashes short pieces and follows the ways, until each has ended or waits at a long piece.
    fn follow(tree: &Tree<'m>, tasks: Vec<Task<'m>>) -> Self {
        let mut pool = Self::default();
        let mut open = tasks;
        while let Some(mut task) = open.pop() {
            let Some(node) = tree.nodes.get(task.node) else { continue };
            if task.piece.len() >= SHORT {
                task.measure(node.below);
                pool.waiting.push(task);
                continue;
            }
            task.stream.update(task.piece);
            if node.is_end {
                pool.done.insert((task.node, task.stream.algorithm()), task.stream.clone().finish());
            }
            open.extend(node.children.iter().filter_map(|child| {
                let piece = tree.nodes.get(*child)?.bytes;
                Some(Task { stream: task.stream.clone(), node: *child, piece, left: 0 })
            }));
        }
        pool
    }

    /// Takes what a processor does next; nothing where all that is left is being worked on.
    ///
    /// The longest ways go first, and several side by side, unless other processors have nothing to do. One that is much
    /// longer than all others would hold them up in the end: it goes alone, which is faster for it.
    fn take(&mut self, backends: Backends, processors: usize) -> Option<(HashAlgorithm, Vec<Task<'m>>)> {
        self.waiting.sort_by_key(|task| Reverse(task.left));
        let busy = |family| self.busy.iter().filter(|other| **other == family).count();
        let family = self.waiting.iter().map(Task::family).min_by_key(|family| busy(*family))?;
        let idle = processors.saturating_sub(self.busy.len()).saturating_sub(1);
        let mut of_family = self.waiting.iter().filter(|task| task.family() == family).map(|task| task.left);
        let (longest, second) = (of_family.next().unwrap_or_default(), of_family.next().unwrap_or_default());
        let count = if idle > 0 && second.saturating_mul(3) <= longest.saturating_mul(2) {
            1
        } else {
            backends.lanes(family).min(MOST_ABREAST).min(self.waiting.len().div_ceil(idle.saturating_add(1)))
        };
        let mut taken = 0_usize;
        let tasks = self.waiting.extract_if(.., |task| {
            let takes = task.family() == family && taken < count;
            taken = taken.saturating_add(usize::from(takes));
            takes
        });
        let tasks = tasks.collect();
        self.busy.push(family);
        Some((family, tasks))
    }
}

struct Work<'w, 'm> {
    tree: &'w Tree<'m>,
    pool: Mutex<Pool<'m>>,
    changed: Condvar,
    backends: Backends,
    processors: usize,
}

/// That a processor is at work; ended also by a panic, or the others would wait for it.
struct Turn<'t, 'w, 'm> {
    work: &'t Work<'w, 'm>,
    family: HashAlgorithm,
    result: Pool<'m>,
}

impl Drop for Turn<'_, '_, '_> {
    fn drop(&mut self) {
        let mut pool = self.work.lock();
        let place = pool.busy.iter().position(|family| *family == self.family);
        place.map(|place| pool.busy.swap_remove(place));
        pool.waiting.append(&mut self.result.waiting);
        pool.done.extend(self.result.done.drain());
        self.work.changed.notify_all();
    }
}

impl<'m> Work<'_, 'm> {
    /// A poisoned pool is still a pool: nothing in it is half done.
    fn lock(&self) -> MutexGuard<'_, Pool<'m>> {
        self.pool.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What one processor does until nothing is left.
    fn run(&self) {
        let mut pool = self.lock();
        loop {
            if let Some((family, tasks)) = pool.take(self.backends, self.processors) {
                drop(pool);
                let mut turn = Turn { work: self, family, result: Pool::default() };
                turn.result = self.turn(tasks);
                drop(turn);
                pool = self.lock();
            } else if pool.busy.is_empty() {
                return;
            } else {
                pool = self.changed.wait(pool).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
        }
    }

    fn turn(&self, mut tasks: Vec<Task<'m>>) -> Pool<'m> {
        let append = |task: &mut Task<'m>| {
            let (now, later) = task.piece.split_at_checked(TURN).unwrap_or((task.piece, &[]));
            task.piece = later;
            now
        };
        let mut parts: Vec<Append<'_, 'm>> = tasks
            .iter_mut()
            .map(|task| {
                let bytes = append(task);
                Append { stream: &mut task.stream, bytes }
            })
            .collect();
        self.backends.update_many(&mut parts);
        Pool::follow(self.tree, tasks)
    }
}

/// The digests of every message in every bank: one row a message, in the order of the banks.
///
/// A message that occurs more than once is hashed once, and so are the pieces with which several begin.
pub(crate) fn digest_all(messages: &[&Message<'_>], banks: &[HashAlgorithm]) -> Vec<Vec<Digest>> {
    let (tree, ends) = Tree::new(messages);
    let start = |bank: &HashAlgorithm| Task { stream: Stream::new(*bank), node: 0, piece: &[], left: 0 };
    let pool = Pool::follow(&tree, banks.iter().map(start).collect());
    let left = pool.waiting.iter().map(|task| task.left).fold(0, usize::saturating_add);
    let processors =
        if left < WORTH_A_THREAD { 1 } else { thread::available_parallelism().map_or(1, NonZeroUsize::get) };
    let processors = processors.min(pool.waiting.len()).max(1);
    let work =
        Work { tree: &tree, pool: Mutex::new(pool), changed: Condvar::new(), backends: Backends::detect(), processors };
    thread::scope(|scope| {
        for _ in 1..processors {
            // Where the system gives no more threads, those that are there do all of it.
            let _thread = thread::Builder::new().spawn_scoped(scope, || work.run());
        }
        work.run();
    });
    let done = work.pool.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).done;
    let row = |end: &usize| banks.iter().filter_map(|bank| done.get(&(*end, *bank)).copied()).collect();
    ends.iter().map(row).collect()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failure of the test")]
mod tests {
    use super::*;

    fn painted(length: usize) -> Vec<u8> {
        (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect()
    }

    #[track_caller]
    fn assert_rows(messages: &[Message<'_>], banks: &[HashAlgorithm]) {
        let messages: Vec<&Message<'_>> = messages.iter().collect();
        let rows = digest_all(&messages, banks);
        assert_eq!(rows.len(), messages.len());
        for (message, row) in messages.iter().zip(&rows) {
            let expected: Vec<Digest> = banks.iter().map(|bank| message.digest(*bank)).collect();
            assert_eq!(row, &expected);
        }
    }

    #[test]
    fn many_long_messages_in_every_bank() {
        let bytes = painted(3_000_000);
        let mut messages: Vec<Message<'_>> = (0..8).map(|part| Message::file(&bytes[part * 7..])).collect();
        // One again, one in short and long pieces, short ones, and none.
        messages.push(Message::file(&bytes));
        let mut pieces = Message::file(&bytes[..100]);
        for length in [5, SHORT, SHORT - 1, TURN + 3, 2 * TURN, 1] {
            pieces.push(Piece::File(&bytes[length..2 * length]));
        }
        messages.push(pieces);
        messages.extend((0..40).map(|length| Message::file(&bytes[..length * 9])));
        messages.push(Message::default());
        assert_rows(&messages, &[HashAlgorithm::Sha384]);
        assert_rows(&messages, &HashAlgorithm::ALL);
        assert_rows(&messages[..1], &[HashAlgorithm::Sha1]);
        assert_rows(&[], &HashAlgorithm::ALL);
    }

    /// What two processors take from a pool one after the other.
    fn taken(messages: &[Message<'_>], banks: &[HashAlgorithm]) -> [(HashAlgorithm, usize); 2] {
        let messages: Vec<&Message<'_>> = messages.iter().collect();
        let (tree, _) = Tree::new(&messages);
        let start = |bank: &HashAlgorithm| Task { stream: Stream::new(*bank), node: 0, piece: &[], left: 0 };
        let mut pool = Pool::follow(&tree, banks.iter().map(start).collect());
        [(); 2].map(|()| {
            let (family, tasks) = pool.take(Backends::detect(), 2).unwrap();
            assert!(tasks.iter().all(|task| task.family() == family));
            (family, tasks.len())
        })
    }

    #[test]
    fn the_longest_goes_alone_and_processors_take_different_families() {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        let abreast = |bank, most: usize| Backends::detect().lanes(bank).min(MOST_ABREAST).min(most);
        let bytes = painted(2_000_000);
        let parts =
            |lengths: &[usize]| lengths.iter().map(|length| Message::file(&bytes[..*length])).collect::<Vec<_>>();
        let image = parts(&[2_000_000, 1_000_000, 999_999, 999_998]);
        assert_eq!(taken(&image, &[Sha384]), [(Sha512, 1), (Sha512, abreast(Sha512, 3))]);
        let alike = parts(&[1_000_000, 999_999, 999_998, 999_997]);
        assert_eq!(taken(&alike, &[Sha384]), [(Sha512, abreast(Sha512, 2)), (Sha512, abreast(Sha512, 2))]);
        let both = taken(&image, &[Sha256, Sha384, Sha512]);
        assert_eq!(both, [(Sha512, abreast(Sha512, 4)), (Sha256, abreast(Sha256, 4))]);
    }

    #[test]
    fn messages_that_begin_alike_share_their_beginning() {
        let bytes = painted(100_000);
        let (front, back) = bytes.split_at(70_001);
        let begun = |more: &[Piece<'static>]| {
            let mut message = Message::file(front);
            more.iter().for_each(|piece| message.push(piece.clone()));
            message
        };
        let made = |text: &[u8]| Piece::Made(text.to_vec());
        let messages = [
            begun(&[made(b"a"), made(b"b")]),
            begun(&[]),
            begun(&[made(b"a")]),
            begun(&[made(b"a"), made(b"c")]),
            begun(&[made(b"a"), made(b"b")]),
            Message::file(back),
            Message::made(b"a".to_vec()),
        ];
        assert_rows(&messages, &HashAlgorithm::ALL);

        let (tree, ends) = Tree::new(&messages.each_ref());
        let hashed: usize = tree.nodes.iter().map(|node| node.bytes.len()).sum();
        assert_eq!(hashed, bytes.len() + "abca".len());
        assert_eq!(ends[0], ends[4]);
        assert_eq!(tree.nodes[0].below, front.len() + 2);
    }
}
