//! A fixed piece of work for `benches/instructions`, which counts the instructions that it takes.
//!
//! Arguments: the work (`sha1`, `sha256`, `sha384`, `sha512`, `batch`, `parse`, `logs`, `data`) and how often.

use std::hint::black_box;
use std::process::ExitCode;

use benches::data::{Digests, Random};
use nitrotpm_digest_lanes::{Backends, DigestBytes, ExtendChain, Platform};
use nitrotpm_eventlog::{EventLog, EventType, LogBatch, ParseOptions, writer::LogBuilder};
use nitrotpm_pcr::{Bank, Batch, PcrIndex, reset_value};

/// What the counting tool knows: it has no AVX-512 and no SHA instructions.
fn backends() -> Backends {
    Backends::forced(Platform::Avx2).expect("AVX2")
}

fn extend<B: DigestBytes>(times: usize) {
    let digests = Digests::<B>::new(16, 16);
    let chains = digests.chains(16);
    for _ in 0..times {
        let mut work: [_; 16] = std::array::from_fn(|i| ExtendChain { value: *chains[i][0], digests: &chains[i] });
        backends().extend_many(&mut work);
        black_box(work);
    }
}

/// One extend a register, so that the scheduler counts and not the hashing.
fn batch(times: usize) {
    let digest = Random(1).bytes(20);
    let mut batch = Batch::new();
    for _ in 0..times {
        batch.clear();
        for _ in 0..64 {
            let mut adding = batch.add_log();
            for index in PcrIndex::all() {
                adding.extend(Bank::Sha1, index, &digest).expect("20 bytes");
            }
            adding.finish(reset_value).expect("the same bank");
        }
        batch.run(&backends());
        black_box(&batch);
    }
}

/// A log as long as real ones.
fn log() -> Vec<u8> {
    let mut builder = LogBuilder::crypto_agile(&[Bank::Sha1, Bank::Sha256, Bank::Sha384]);
    let mut random = Random(2);
    for number in 0..110 {
        let pcr = if number % 3 == 0 { number % 8 } else { 8 };
        let data = random.bytes(40 + number as usize * 3);
        builder.measure(pcr, EventType::EFI_VARIABLE_DRIVER_CONFIG, &data);
    }
    builder.finish().expect("a log")
}

/// The parser and the walk over events: no hashing.
fn parse(times: usize) {
    let log = log();
    for _ in 0..times {
        let log = EventLog::parse(&log, &ParseOptions::default()).expect("a log");
        log.events().for_each(|event| {
            black_box(event);
        });
    }
}

/// From bytes to registers, and to checked data.
fn logs(times: usize, data: bool) {
    let log = log();
    let mut batch = LogBatch::with_backends(backends());
    if data {
        batch = batch.check_payloads();
    }
    for _ in 0..times {
        batch.clear();
        for _ in 0..8 {
            batch.push(&log, &ParseOptions::default()).expect("a log");
        }
        for log in batch.replay().logs() {
            log.payload_checks().for_each(|checked| {
                black_box(checked);
            });
            black_box(log.registers(Bank::Sha384).count());
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [work, times] = arguments.as_slice() else { return ExitCode::from(2) };
    let Ok(times) = times.parse() else { return ExitCode::from(2) };
    match work.as_str() {
        "sha1" => extend::<[u8; 20]>(times),
        "sha256" => extend::<[u8; 32]>(times),
        "sha384" => extend::<[u8; 48]>(times),
        "sha512" => extend::<[u8; 64]>(times),
        "batch" => batch(times),
        "parse" => parse(times),
        "logs" => logs(times, false),
        "data" => logs(times, true),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}
