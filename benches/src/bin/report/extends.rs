//! Extends and messages of each bank against each library.

use benches::data::{Digests, Random};
use benches::peers::{AwsLc, Library, OpenSsl, Ring, RustCrypto};
use benches::{Race, Time, bound, time_of};
use nitrotpm_digest_lanes::{Backends, DigestBytes, ExtendChain, HashAlgorithm, Message, Platform};

use crate::table::print_times;

/// Rounds of a race, and how long each candidate has in one, in microseconds.
pub(crate) const ROUNDS: usize = 60;
const SHARE: f64 = 200.0;

const CHAINS: usize = 64;
const LENGTH: usize = 48;
const OURS: &str = "nitrotpm, bulk";

fn one_by_one<B: DigestBytes, L: Library>(chains: &[Vec<&B>]) -> Vec<B> {
    let chain = |digests: &Vec<&B>| digests.iter().fold(*digests[0], |value, digest| L::extend(&value, digest));
    chains.iter().map(chain).collect()
}

fn bulk<B: DigestBytes>(chains: &[Vec<&B>], backends: &Backends) -> [B; CHAINS] {
    let mut work: [_; CHAINS] = std::array::from_fn(|i| ExtendChain { value: *chains[i][0], digests: &chains[i] });
    backends.extend_many(&mut work);
    work.map(|chain| chain.value)
}

pub(crate) fn extends<B: DigestBytes>(gigahertz: f64) -> Vec<Time> {
    let digests = Digests::<B>::new(CHAINS, LENGTH);
    let chains = &digests.chains(LENGTH);
    let backends = Backends::detect();
    assert_eq!(bulk(chains, &backends).as_slice(), one_by_one::<B, Ring>(chains).as_slice(), "the results differ");
    let mut race = Race::new();
    race.add(OURS, CHAINS * LENGTH, || bulk(chains, &backends));
    for platform in Platform::available().filter(|platform| platform.lanes(B::ALGORITHM).is_some()) {
        let forced = Backends::forced(platform).expect("it is available");
        race.add(format!("nitrotpm, only {platform}"), CHAINS * LENGTH, move || bulk(chains, &forced));
    }
    // Fewer for the slow ones: a call is then shorter than a share.
    let few = &chains[..2];
    fn add<'w, B: DigestBytes, L: Library>(race: &mut Race<'w>, few: &'w [Vec<&'w B>]) {
        race.add(L::NAME, few.len() * LENGTH, || one_by_one::<B, L>(few));
    }
    add::<B, Ring>(&mut race, few);
    add::<B, RustCrypto>(&mut race, few);
    add::<B, AwsLc>(&mut race, few);
    add::<B, OpenSsl>(&mut race, few);
    let pairs = Random(1).bytes(64 * CHAINS);
    if B::ALGORITHM == HashAlgorithm::Sha256 {
        let mut out = vec![0; 32 * CHAINS];
        // It hashes pairs that lie ready in memory: what it would take to put them there is not counted.
        race.add("hashtree-rs", CHAINS, move || hashtree_rs::hash(&mut out, &pairs, CHAINS));
    }
    let times = race.run(ROUNDS, SHARE);
    let ours = time_of(&times, OURS);
    println!("\n{} extend ({} bytes hashed)", B::ALGORITHM, 2 * B::ALGORITHM.digest_len());
    print_times(&times, "extend", ours);
    let least = bound::cycles_an_extend(B::ALGORITHM) / gigahertz;
    println!(
        "  instruction bound at {gigahertz:.2} GHz        {least:>9.1} ns/extend: {:.0} % of it reached",
        100.0 * least / ours
    );
    times
}

pub(crate) fn ratio(times: &[Time], peer: &str) -> Option<f64> {
    Some(time_of(times, peer) / time_of(times, OURS))
}

fn hash_each<B: DigestBytes, L: Library>(texts: &[Vec<u8>]) {
    for text in texts {
        std::hint::black_box(L::hash::<B>(text));
    }
}

/// Messages as long as those of the event data of real logs, and long ones.
pub(crate) fn messages<B: DigestBytes>() {
    let backends = Backends::detect();
    for (length, count) in [(100, 256), (1024, 64), (256 * 1024, 16)] {
        let mut random = Random(7);
        let texts: Vec<Vec<u8>> = (0..count).map(|number| random.bytes(length + number * 7919 % length)).collect();
        let texts = &texts;
        let bytes: usize = texts.iter().map(Vec::len).sum();
        let mut race = Race::new();
        race.add(OURS, bytes, || {
            let mut work: Vec<_> = texts.iter().map(|text| Message::<B>::new(text)).collect();
            backends.hash_many(&mut work);
            work.last().map(|message| message.digest)
        });
        let few = &texts[..texts.len().min(16)];
        let few_bytes: usize = few.iter().map(Vec::len).sum();
        race.add(Ring::NAME, few_bytes, || hash_each::<B, Ring>(few));
        race.add(AwsLc::NAME, few_bytes, || hash_each::<B, AwsLc>(few));
        race.add(RustCrypto::NAME, few_bytes, || hash_each::<B, RustCrypto>(few));
        let times = race.run(20, SHARE);
        let line: Vec<String> =
            times.iter().map(|time| format!("{} {:.2}", time.name, 1.0 / time.nanoseconds)).collect();
        println!("  {} messages of {length} bytes to twice that, GB/s: {}", B::ALGORITHM, line.join(", "));
    }
}
