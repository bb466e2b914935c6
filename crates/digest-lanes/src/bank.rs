//! The bytes of a digest as a type of their own, so that a list of digests cannot hold one of another bank.

use core::fmt;

use crate::drive::{Extending, Hashing};
use crate::kernel::Word;
use crate::stream::Streaming;
use crate::{Digest, HashAlgorithm, Platform, constants, dispatch};

/// The bytes of a digest: `[u8; 20]` (SHA-1), `[u8; 32]` (SHA-256), `[u8; 48]` (SHA-384) or `[u8; 64]` (SHA-512).
///
/// The length names the algorithm. No other type implements it.
#[expect(private_bounds, reason = "the trait is sealed: only the four lengths have kernels")]
pub trait DigestBytes:
    Bank + AsRef<[u8]> + for<'b> TryFrom<&'b [u8]> + Copy + Eq + fmt::Debug + Send + Sync + 'static
{
    /// The algorithm whose digests have this length.
    const ALGORITHM: HashAlgorithm;

    /// The bytes, borrowed from a slice of exactly this length.
    fn from_slice(bytes: &[u8]) -> Option<&Self>;

    /// The bytes as a [`Digest`].
    fn to_digest(&self) -> Digest;
}

/// What the drivers need to know of a bank.
pub(crate) trait Bank: Copy {
    /// The word that the rounds work on.
    type Word: Word;

    /// The state before the first block.
    const START: [Self::Word; 8];

    /// Length of a block in bytes.
    const BLOCK: usize;

    /// The digest's words, then zeros.
    fn to_words(&self) -> [Self::Word; 8];

    /// The digest whose words stand at the front.
    fn from_words(words: &[Self::Word; 8]) -> Self;

    /// Extends with the kernel of `platform` until `unfinished` chains have become so few that another may be better.
    fn extend_on(platform: Platform, work: &mut Extending<'_, '_, Self>, least: usize);

    /// The same for messages.
    fn hash_on(platform: Platform, work: &mut Hashing<'_, '_, Self>, least: usize);

    /// The same for messages in pieces.
    fn compress_on(platform: Platform, work: &mut Streaming<'_, '_, '_, Self>, least: usize);
}

macro_rules! bank {
    ($length:literal, $algorithm:ident, $word:ty, $start:ident, $block:literal, $dispatch:ident) => {
        impl Bank for [u8; $length] {
            type Word = $word;

            const START: [$word; 8] = constants::$start;
            const BLOCK: usize = $block;

            fn to_words(&self) -> [$word; 8] {
                let mut words = [0; 8];
                let (chunks, _) = self.as_chunks();
                words.iter_mut().zip(chunks).for_each(|(word, chunk)| *word = <$word>::from_be_bytes(*chunk));
                words
            }

            fn from_words(words: &[$word; 8]) -> Self {
                let mut bytes = [0; $length];
                let (chunks, _) = bytes.as_chunks_mut();
                chunks.iter_mut().zip(words).for_each(|(chunk, word)| *chunk = word.to_be_bytes());
                bytes
            }

            fn extend_on(platform: Platform, work: &mut Extending<'_, '_, Self>, least: usize) {
                dispatch::$dispatch(platform, work, least);
            }

            fn hash_on(platform: Platform, work: &mut Hashing<'_, '_, Self>, least: usize) {
                dispatch::$dispatch(platform, work, least);
            }

            fn compress_on(platform: Platform, work: &mut Streaming<'_, '_, '_, Self>, least: usize) {
                dispatch::$dispatch(platform, work, least);
            }
        }

        impl DigestBytes for [u8; $length] {
            const ALGORITHM: HashAlgorithm = HashAlgorithm::$algorithm;

            fn from_slice(bytes: &[u8]) -> Option<&Self> {
                bytes.try_into().ok()
            }

            fn to_digest(&self) -> Digest {
                Digest::from(*self)
            }
        }

        impl From<[u8; $length]> for Digest {
            fn from(bytes: [u8; $length]) -> Self {
                Self::new(HashAlgorithm::$algorithm, &bytes).unwrap_or(Self::zero(HashAlgorithm::$algorithm))
            }
        }
    };
}

bank!(20, Sha1, u32, START_SHA1, 64, narrow);
bank!(32, Sha256, u32, START_SHA256, 64, narrow);
bank!(48, Sha384, u64, START_SHA384, 128, wide);
bank!(64, Sha512, u64, START_SHA512, 128, wide);
