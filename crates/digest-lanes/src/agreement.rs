//! Holds every instruction set against the portable code, and all of them against another library.
#![allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failure of the test")]

extern crate std;

use std::sync::Once;
use std::vec::Vec;

use crate::{
    Append, Backends, Digest, DigestBytes, ExtendChain, HashAlgorithm, Message, Platform, Stream, extend, hash,
};

/// Every set of the processor, forced, and the choice by each table. Names once what is tested and what cannot be tested
/// here.
#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn backends() -> Vec<(&'static str, Backends)> {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        for platform in Platform::ALL {
            if platform.is_available() {
                std::eprintln!("TESTED: {platform}");
            } else {
                std::eprintln!("SKIPPED: this processor has no {platform}; its code was not tested");
            }
        }
    });
    for platform in [Platform::Avx512, Platform::Avx512Vl] {
        let required = std::env::var_os("NITROTPM_REQUIRE_AVX512").is_some_and(|value| value == "1");
        let missing = required && !platform.is_available();
        assert!(!missing, "NITROTPM_REQUIRE_AVX512 is set, but this processor has no {platform}");
    }
    let forced = Platform::available().map(|platform| (platform.name(), Backends::forced(platform).unwrap()));
    let [intel, amd] = Backends::of_each_table();
    assert!([intel, amd].contains(&Backends::detect()));
    forced.chain([("Intel's table", intel), ("AMD's table", amd)]).collect()
}

/// xorshift64*: the tests need many bytes and no secrecy.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn digest<B: DigestBytes>(&mut self) -> B {
        let mut bytes = [0; 64];
        bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.next().to_le_bytes()));
        *B::from_slice(&bytes[..B::ALGORITHM.digest_len()]).unwrap()
    }
}

/// Bytes of period 251, which is prime: a block or lane that was mixed up shows.
fn painted(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

fn one_by_one<B: DigestBytes>(start: B, digests: &[&B]) -> Digest {
    digests.iter().fold(start.to_digest(), |value, digest| extend(&value, &digest.to_digest()).unwrap())
}

/// Extends chains with every backend; each result must be that of one extend after the other.
#[track_caller]
fn assert_extends_agree<B: DigestBytes>(chains: &[(B, Vec<&B>)]) {
    let expected: Vec<_> = chains.iter().map(|(start, digests)| one_by_one(*start, digests)).collect();
    for (platform, backends) in backends() {
        let mut work: Vec<_> =
            chains.iter().map(|(value, digests)| ExtendChain { value: *value, digests: digests.as_slice() }).collect();
        backends.extend_many(&mut work);
        for (number, (done, expected)) in work.iter().zip(&expected).enumerate() {
            assert_eq!(done.value.to_digest(), *expected, "chain {number} of {}, {platform}", chains.len());
            assert!(done.digests.is_empty());
        }
    }
}

/// Every number of chains around every number of lanes, with lengths that make lanes end at different steps.
fn every_remainder<B: DigestBytes>() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let pool: Vec<B> = (0..257).map(|_| random.digest()).collect();
    for count in 0..=49 {
        for longest in [1, 2, 5, 23] {
            let chains: Vec<(B, Vec<&B>)> = (0..count)
                .map(|_| {
                    let length = random.below(longest + 1);
                    (random.digest(), (0..length).map(|_| &pool[random.below(pool.len())]).collect())
                })
                .collect();
            assert_extends_agree(&chains);
        }
    }
}

/// All ones make every addition of the first rounds carry, all zeros none.
fn carries<B: DigestBytes>() {
    let length = B::ALGORITHM.digest_len();
    let (ones, zeros) = (*B::from_slice(&[0xFF; 64][..length]).unwrap(), *B::from_slice(&[0; 64][..length]).unwrap());
    let high = *B::from_slice(&[0x80; 64][..length]).unwrap();
    let values = [ones, zeros, high];
    let mut chains = Vec::new();
    for start in values {
        for one in &values {
            for two in &values {
                chains.push((start, [one, two].repeat(4)));
            }
        }
    }
    assert_extends_agree(&chains);
}

/// Messages of every length over the first block edges, and a few longer ones.
fn every_length<B: DigestBytes>() {
    let text = painted(5000);
    let lengths: Vec<usize> = (0..=400).chain([511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4999]).collect();
    for (platform, backends) in backends() {
        // Ascending, descending, and each number of messages alone.
        let mut ascending: Vec<_> = lengths.iter().map(|length| Message::<B>::new(&text[..*length])).collect();
        let mut descending: Vec<_> = ascending.iter().rev().copied().collect();
        backends.hash_many(&mut ascending);
        backends.hash_many(&mut descending);
        for message in ascending.iter().chain(&descending) {
            let expected = hash(B::ALGORITHM, &[message.bytes]);
            assert_eq!(message.digest.to_digest(), expected, "{} bytes, {platform}", message.bytes.len());
        }
        for count in 0..=33 {
            let mut some: Vec<_> = (0..count)
                .map(|number| Message::<B>::new(&text[number..number + lengths[(number * 89 + count * 31) % 410]]))
                .collect();
            backends.hash_many(&mut some);
            for message in &some {
                let expected = hash(B::ALGORITHM, &[message.bytes]);
                assert_eq!(message.digest.to_digest(), expected, "{count} messages, {platform}");
            }
        }
    }
}

/// One long message alone, and two of which one is soon alone.
fn long_alone<B: DigestBytes>() {
    let text = painted(70_000);
    for (platform, backends) in backends() {
        for length in [2047, 2048, 2049, 2560, 3072, 3500, 10_001, 65_536, 69_999] {
            let mut messages = [Message::<B>::new(&text[1..=length]), Message::new(&text[..length / 3])];
            let expected = messages.map(|message| hash(B::ALGORITHM, &[message.bytes]));
            backends.hash_many(&mut messages[..1]);
            assert_eq!(messages[0].digest.to_digest(), expected[0], "{length} bytes, {platform}");
            backends.hash_many(&mut messages);
            assert_eq!(messages.map(|message| message.digest.to_digest()), expected, "{length} bytes, {platform}");
            let mut stream = Stream::new(B::ALGORITHM);
            for piece in text[1..=length].chunks(9_001) {
                backends.update_many(&mut [Append { stream: &mut stream, bytes: piece }]);
            }
            assert_eq!(stream.finish(), expected[0], "{length} bytes in pieces, {platform}");
        }
    }
}

/// A million, or as many as `NITROTPM_RANDOM_CHAINS` says: an emulated processor is a hundred times as slow.
#[expect(clippy::print_stderr, reason = "a test that does less says so")]
fn random_chains() -> usize {
    let Some(value) = std::env::var_os("NITROTPM_RANDOM_CHAINS") else { return 1_000_000 };
    let chains = value.to_str().and_then(|text| text.parse().ok()).filter(|chains| *chains >= 1000);
    let chains = chains.unwrap_or_else(|| panic!("NITROTPM_RANDOM_CHAINS is {value:?}: give a number, 1000 or more"));
    std::eprintln!("NITROTPM_RANDOM_CHAINS: {chains} random chains instead of a million");
    chains
}

/// Random chains against ring, which shares no code with any of the backends.
fn another_library<B: DigestBytes>() {
    let algorithm = match B::ALGORITHM {
        HashAlgorithm::Sha1 => &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
        HashAlgorithm::Sha256 => &ring::digest::SHA256,
        HashAlgorithm::Sha384 => &ring::digest::SHA384,
        HashAlgorithm::Sha512 => &ring::digest::SHA512,
    };
    let mut random = Random(0xD1B5_4A32_D192_ED03);
    let mut left = random_chains();
    while left > 0 {
        let batch = left.min(5000);
        left -= batch;
        let pool: Vec<B> = (0..1021).map(|_| random.digest()).collect();
        let digests: Vec<Vec<&B>> =
            (0..batch).map(|_| (0..1 + random.below(4)).map(|_| &pool[random.below(pool.len())]).collect()).collect();
        let starts: Vec<B> = (0..batch).map(|_| random.digest()).collect();
        let expected: Vec<_> = starts
            .iter()
            .zip(&digests)
            .map(|(start, digests)| {
                let mut register = start.as_ref().to_vec();
                for digest in digests {
                    let mut context = ring::digest::Context::new(algorithm);
                    context.update(&register);
                    context.update(digest.as_ref());
                    register.copy_from_slice(context.finish().as_ref());
                }
                register
            })
            .collect();
        for (platform, backends) in backends() {
            let mut work: Vec<_> = starts
                .iter()
                .zip(&digests)
                .map(|(value, digests)| ExtendChain { value: *value, digests: digests.as_slice() })
                .collect();
            backends.extend_many(&mut work);
            for (done, expected) in work.iter().zip(&expected) {
                assert_eq!(done.value.as_ref(), expected.as_slice(), "{platform}");
            }
        }
    }
}

macro_rules! each_bank {
    ($name:ident, $bytes:ty) => {
        mod $name {
            #[test]
            fn extends_agree_for_every_number_of_chains() {
                super::every_remainder::<$bytes>();
            }

            #[test]
            fn extends_agree_where_every_addition_carries() {
                super::carries::<$bytes>();
            }

            #[test]
            fn hashes_agree_for_every_length() {
                super::every_length::<$bytes>();
            }

            #[test]
            fn hashes_agree_for_long_messages_alone() {
                super::long_alone::<$bytes>();
            }

            #[test]
            fn random_chains_agree_with_ring() {
                super::another_library::<$bytes>();
            }
        }
    };
}

each_bank!(sha1, [u8; 20]);
each_bank!(sha256, [u8; 32]);
each_bank!(sha384, [u8; 48]);
each_bank!(sha512, [u8; 64]);

/// What the kernel says that the processor has is used: no set goes untested because it was overlooked.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn every_set_that_the_processor_lists_is_found() {
    let list = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let flags = list.lines().find_map(|line| line.strip_prefix("flags")).unwrap();
    let listed = |flag: &str| flags.split_whitespace().any(|other| other == flag);
    for (platform, flags) in [
        (Platform::ShaNi, ["sha_ni", "ssse3", "sse4_1", "avx"].as_slice()),
        (Platform::Avx2, &["avx2"]),
        (Platform::Avx512Vl, &["avx512f", "avx512vl"]),
        (Platform::Avx512, &["avx512f", "avx512bw", "avx512vl"]),
    ] {
        assert_eq!(platform.is_available(), flags.iter().all(|flag| listed(flag)), "{platform}");
    }
}

/// The choice changes only between kernels that exist, and every set can be forced or says that it is not there.
#[test]
fn a_set_that_is_missing_cannot_be_forced() {
    for platform in Platform::ALL {
        let forced = Backends::forced(platform);
        assert_eq!(forced.is_some(), platform.is_available(), "{platform}");
        let Some(forced) = forced else { continue };
        for algorithm in HashAlgorithm::ALL {
            for chains in [1, 2, 4, 8, 16, 17, 1000] {
                let chosen = forced.choose(algorithm, chains);
                let expected = platform.lanes(algorithm).map_or(Platform::Portable, |_| platform);
                assert_eq!(chosen, expected, "{algorithm}, {chains} chains");
            }
        }
    }
    assert!(Backends::forced(Platform::Portable) == Some(Backends::portable()));
}
