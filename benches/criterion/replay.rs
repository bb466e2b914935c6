//! `cargo bench -p benches --bench replay`: batches of logs, made here, so that the corpus is not needed.

use std::time::Duration;

use benches::data::Random;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use nitrotpm_pcr::{Backends, Bank, Batch, PcrIndex, reset_value};

/// Extends of a log, by register: as in a log of an Ubuntu machine, where PCR 8 has two thirds.
const EXTENDS: [(u8, usize); 11] =
    [(0, 3), (1, 6), (2, 1), (3, 1), (4, 4), (5, 4), (6, 1), (7, 7), (8, 73), (9, 9), (14, 2)];
const BANKS: [Bank; 3] = [Bank::Sha1, Bank::Sha256, Bank::Sha384];

fn replay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replay");
    group.sample_size(10).measurement_time(Duration::from_millis(500)).warm_up_time(Duration::from_millis(100));
    let mut random = Random(5);
    // Three digests one after the other, as they stand in an event.
    let logs: Vec<Vec<(PcrIndex, Vec<u8>)>> = (0..64)
        .map(|_| {
            let registers = EXTENDS.iter().flat_map(|(index, extends)| std::iter::repeat_n(*index, *extends));
            registers.map(|index| (PcrIndex::new(index).expect("below 24"), random.bytes(100))).collect()
        })
        .collect();
    for at_once in [1, 4, 16, 64] {
        group.throughput(Throughput::Elements(at_once as u64));
        let mut batch = Batch::new();
        let backends = Backends::detect();
        group.bench_function(BenchmarkId::new("logs", at_once), |bencher| {
            bencher.iter(|| {
                batch.clear();
                for log in &logs[..at_once] {
                    let mut adding = batch.add_log();
                    for (index, digests) in log {
                        for (bank, range) in BANKS.into_iter().zip([0..20, 20..52, 52..100]) {
                            adding.extend(bank, *index, &digests[range]).expect("as long as the bank's");
                        }
                    }
                    adding.finish(reset_value).expect("the same bank");
                }
                batch.run(&backends);
            });
        });
    }
}

criterion_group!(benches, replay);
criterion_main!(benches);
