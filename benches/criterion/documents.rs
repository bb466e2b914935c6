//! Documents from bytes to verified: each backend, with ever more of the chain known.
//!
//! `cargo bench -p benches --bench documents`

#![allow(missing_docs, reason = "criterion's macros write functions without any")]

use benches::documents::{Fleet, Known};
use criterion::{Criterion, criterion_group, criterion_main};
use nitrotpm_nitro_document::Backend;

fn documents(criterion: &mut Criterion) {
    for backend in [Backend::Ring, Backend::AwsLc] {
        let mut group = criterion.benchmark_group(format!("document, {backend:?}"));
        for known in Known::ALL {
            let mut fleet = Fleet::new(known, backend);
            group.bench_function(known.name(), |bencher| bencher.iter(|| fleet.verify()));
        }
        group.finish();
    }
}

criterion_group!(benches, documents);
criterion_main!(benches);
