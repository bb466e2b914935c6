//! `cargo bench -p benches --bench extend`: extends and hashes by instruction set and number of chains.
//!
//! Criterion times by the wall clock, so that on a shared machine its numbers are for finding a change in one place;
//! comparisons with other libraries are in the report.

use std::time::Duration;

use benches::data::{Digests, Random};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use nitrotpm_digest_lanes::{Backends, DigestBytes, ExtendChain, Message, Platform};

const LENGTH: usize = 24;

fn extend<B: DigestBytes>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("extend {}", B::ALGORITHM));
    group.sample_size(10).measurement_time(Duration::from_millis(300)).warm_up_time(Duration::from_millis(100));
    let digests = Digests::<B>::new(64, LENGTH);
    let chains = digests.chains(LENGTH);
    for platform in Platform::available().filter(|platform| platform.lanes(B::ALGORITHM).is_some()) {
        let backends = Backends::forced(platform).expect("it is available");
        for number in [1, 4, 64] {
            group.throughput(Throughput::Elements((number * LENGTH) as u64));
            group.bench_function(BenchmarkId::new(platform.name(), number), |bencher| {
                bencher.iter(|| {
                    let mut work: [_; 64] =
                        std::array::from_fn(|i| ExtendChain { value: *chains[i][0], digests: &chains[i] });
                    backends.extend_many(&mut work[..number]);
                    work[0].value
                });
            });
        }
    }
}

fn hash<B: DigestBytes>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("hash {}", B::ALGORITHM));
    group.sample_size(10).measurement_time(Duration::from_millis(300)).warm_up_time(Duration::from_millis(100));
    let mut random = Random(3);
    let texts: Vec<Vec<u8>> = (0..64).map(|number| random.bytes(40 + number * 29 % 500)).collect();
    group.throughput(Throughput::Bytes(texts.iter().map(|text| text.len() as u64).sum()));
    for platform in Platform::available().filter(|platform| platform.lanes(B::ALGORITHM).is_some()) {
        let backends = Backends::forced(platform).expect("it is available");
        group.bench_function(platform.name(), |bencher| {
            bencher.iter(|| {
                let mut work: Vec<_> = texts.iter().map(|text| Message::<B>::new(text)).collect();
                backends.hash_many(&mut work);
                work[0].digest
            });
        });
    }
}

fn all(criterion: &mut Criterion) {
    extend::<[u8; 20]>(criterion);
    extend::<[u8; 32]>(criterion);
    extend::<[u8; 48]>(criterion);
    extend::<[u8; 64]>(criterion);
    hash::<[u8; 32]>(criterion);
    hash::<[u8; 48]>(criterion);
}

criterion_group!(benches, all);
criterion_main!(benches);
