//! Prints how fast the hot paths are against every peer, and which targets are reached.
//!
//! `cargo run --release -p benches --bin report`. What the numbers mean: `docs/performance.md`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use benches::data::{Digests, Random};
use benches::log::{BANKS, Event, OneByOne, Product, Reader, Scalar, Walk};
use benches::peers::{AwsLc, Library, OpenSsl, Ring, RustCrypto};
use benches::swtpm::Swtpm;
use benches::{Race, Time, bound, clock_gigahertz, time_of};
use nitrotpm_digest_lanes::{Backends, DigestBytes, ExtendChain, HashAlgorithm, Message, Platform};
use nitrotpm_pcr::{Batch, LogId, PcrIndex, reset_value};

/// Rounds of a race, and how long each candidate has in one, in microseconds.
const ROUNDS: usize = 60;
const SHARE: f64 = 200.0;

/// One row of the table of targets.
struct Target {
    what: String,
    at_least: f64,
    found: Option<f64>,
}

/// What was found so far.
#[derive(Default)]
struct Report {
    targets: Vec<Target>,
}

impl Report {
    fn target(&mut self, what: impl Into<String>, at_least: f64, found: Option<f64>) {
        self.targets.push(Target { what: what.into(), at_least, found });
    }

    /// Whether none was missed; what was not measured is said, and is no miss.
    fn print(&self) -> bool {
        println!("\nTargets");
        for Target { what, at_least, found } in &self.targets {
            match found {
                Some(found) => {
                    let reached = if found >= at_least { "reached" } else { "NOT REACHED" };
                    println!("  {what:<58} at least {at_least:>6.1}x  found {found:>7.2}x  {reached}");
                }
                None => println!("  {what:<58} at least {at_least:>6.1}x  not measured"),
            }
        }
        self.targets.iter().all(|target| target.found.is_none_or(|found| found >= target.at_least))
    }
}

fn print_times(times: &[Time], unit: &str, ours: f64) {
    for Time { name, nanoseconds, noise } in times {
        let rate = 1e3 / nanoseconds;
        println!(
            "  {name:<34} {nanoseconds:>9.1} ns/{unit} {rate:>9.3} M/s  {:>6.2}x ours  (median/p20 {noise:.2})",
            nanoseconds / ours
        );
    }
}

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

fn extends<B: DigestBytes>(gigahertz: f64) -> Vec<Time> {
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

fn ratio(times: &[Time], peer: &str) -> Option<f64> {
    Some(time_of(times, peer) / time_of(times, OURS))
}

/// Messages as long as those of the event data of real logs, and long ones.
fn messages<B: DigestBytes>() {
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
        race.add(Ring::NAME, few_bytes, || few.iter().map(|text| Ring::hash::<B>(text)).last());
        race.add(AwsLc::NAME, few_bytes, || few.iter().map(|text| AwsLc::hash::<B>(text)).last());
        race.add(RustCrypto::NAME, few_bytes, || few.iter().map(|text| RustCrypto::hash::<B>(text)).last());
        let times = race.run(20, SHARE);
        let line: Vec<String> =
            times.iter().map(|time| format!("{} {:.2}", time.name, 1.0 / time.nanoseconds)).collect();
        println!("  {} messages of {length} bytes to twice that, GB/s: {}", B::ALGORITHM, line.join(", "));
    }
}

/// The corpus lies beside the project, or where the environment says.
fn corpus(path: &str) -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    std::env::var_os("NITROTPM_CORPUS").map_or_else(beside, PathBuf::from).join(path)
}

const LOG: &str = "eventlog/go-eventlog/testdata/eventlogs/tpm/ubuntu-2104-no-dbx.bin";

/// Adds a log to a batch, and the data of its events where `data` says so.
fn add_log<'d, R: Reader>(batch: &mut Batch<'d>, log: &'d [u8], data: bool) -> LogId {
    let mut adding = batch.add_log();
    let add = |event: Event<'d>| {
        for (bank, digest) in BANKS.into_iter().zip(event.digests) {
            adding.extend(bank, event.index, digest).expect("walked by its length");
        }
    };
    R::each(log, add).expect("the log was read before");
    let id = adding.finish(reset_value).expect("the same bank");
    if data {
        let add = |event: Event<'d>| {
            BANKS.iter().for_each(|bank| {
                batch.add_message(*bank, event.data);
            })
        };
        R::each(log, add).expect("the log was read before");
    }
    id
}

fn replay_batch<'d, R: Reader>(logs: &'d [Vec<u8>], batch: &mut Batch<'d>, data: bool) -> usize {
    batch.clear();
    let mut ids = [None; 64];
    for (log, id) in logs.iter().zip(&mut ids) {
        *id = Some(add_log::<R>(batch, log, data));
    }
    batch.run(&Backends::detect());
    ids.iter().flatten().flat_map(|id| BANKS.map(|bank| batch.registers(*id, bank).count())).sum()
}

fn replay_one_by_one<L: Library, R: Reader>(logs: &[Vec<u8>]) {
    for log in logs {
        let mut registers = OneByOne::<L>::new();
        R::each(log, |event| registers.extend(&event)).expect("the log was read before");
        std::hint::black_box(registers);
    }
}

fn hash_data<L: Library, R: Reader>(log: &[u8]) {
    let hash = |event: Event<'_>| {
        let sha1 = L::hash::<[u8; 20]>(event.data);
        std::hint::black_box((sha1, L::hash::<[u8; 32]>(event.data), L::hash::<[u8; 48]>(event.data)));
    };
    R::each(log, hash).expect("the log was read before");
}

/// Whole logs with one reader. All candidates read the same logs in the same way, which together are as large as a
/// second-level cache; only those that take few at a time stay with the first few.
fn logs_with<R: Reader>(report: &mut Report, logs: &[Vec<u8>]) -> f64 {
    let mut race = Race::new();
    for at_once in [64, 16, 4, 1] {
        let mut batch = Batch::new();
        let name = format!("nitrotpm, {at_once} at a time");
        race.add(name, at_once, move || replay_batch::<R>(&logs[..at_once], &mut batch, false));
    }
    fn sequential<'w, L: Library, R: Reader>(race: &mut Race<'w>, logs: &'w [Vec<u8>]) {
        race.add(format!("{}, sequential", L::NAME), logs.len(), move || replay_one_by_one::<L, R>(logs));
    }
    sequential::<Ring, R>(&mut race, logs);
    sequential::<AwsLc, R>(&mut race, logs);
    sequential::<RustCrypto, R>(&mut race, logs);
    sequential::<OpenSsl, R>(&mut race, logs);
    race.add("nitrotpm, sequential", logs.len(), move || {
        for log in logs {
            let mut registers = Scalar::new();
            R::each(log, |event| registers.extend(&event)).expect("the log was read before");
            std::hint::black_box(registers);
        }
    });
    race.add("reading the log alone", logs.len(), move || {
        for log in logs {
            R::each(log, |event| {
                std::hint::black_box(event);
            })
            .expect("the log was read before");
        }
    });
    let mut batch = Batch::new();
    race.add("nitrotpm, 64, with event data", 64, move || replay_batch::<R>(logs, &mut batch, true));
    race.add("ring, with event data", logs.len(), move || {
        for log in logs.chunks(1) {
            replay_one_by_one::<Ring, R>(log);
            log.iter().for_each(|log| hash_data::<Ring, R>(log));
        }
    });
    println!("\nWhole log, three banks, read with {}", R::NAME);
    let times = race.run(30, 800.0);
    let ours = time_of(&times, "nitrotpm, 64 at a time");
    print_times(&times, "log", ours);
    let mut target = |what: &str, at_least, peer: &str, of: &str| {
        let found = time_of(&times, peer) / time_of(&times, of);
        report.target(format!("{}: {what}", R::NAME), at_least, Some(found));
    };
    let one = "nitrotpm, 1 at a time";
    target("64 logs, sequential ring", 6.0, "ring, sequential", "nitrotpm, 64 at a time");
    target("64 logs, sequential aws-lc", 4.2, "aws-lc-rs, sequential", "nitrotpm, 64 at a time");
    target("one log, our sequential form", 1.0, "nitrotpm, sequential", one);
    target("one log, sequential aws-lc", 1.0, "aws-lc-rs, sequential", one);
    target("with event data, sequential ring", 4.0, "ring, with event data", "nitrotpm, 64, with event data");
    ours
}

fn logs(report: &mut Report) {
    let Ok(log) = std::fs::read(corpus(LOG)) else {
        println!("\nWhole logs: not measured, the corpus is not there (set NITROTPM_CORPUS)");
        report.target("whole logs", 6.0, None);
        return;
    };
    // Each copy has its own memory, as logs of different machines would, at distances that are no power of two.
    let logs: Vec<Vec<u8>> = (0..64_usize)
        .map(|number| {
            let mut copy = Vec::with_capacity(log.len() + 64 * number);
            copy.extend_from_slice(&log);
            copy
        })
        .collect();
    let mut events = Vec::new();
    Walk::each(&log, |event| events.push(event)).expect("a crypto-agile log");
    assert_same::<Walk>(&log);
    assert_same::<Product>(&log);
    println!("\nThe log: {} bytes, {} extends a bank", log.len(), events.len());
    let ours = logs_with::<Walk>(report, &logs);
    logs_with::<Product>(report, &logs);

    let swtpm = Swtpm::start().and_then(|mut swtpm| {
        // Wall time: most of it is another process.
        let mut time = |one_bank: bool| {
            let replay = |_| if one_bank { swtpm.replay_one_bank(&events) } else { swtpm.replay(&events) };
            let mut times: Vec<f64> = (0..30).map_while(replay).map(|time| time.as_nanos() as f64).collect();
            times.sort_by(f64::total_cmp);
            (times.len() == 30).then(|| times[6])
        };
        Some((time(false)?, time(true)?))
    });
    println!("\nswtpm, raw commands over one connection, wall time");
    match swtpm {
        Some((all, one)) => println!(
            "  one command an event: three banks {all:.0} ns/log ({:.0}x ours, by header walk), one bank {one:.0} ns/log",
            all / ours
        ),
        None => println!("  not measured, it is not installed or did not answer"),
    }
    report.target("header walk: 64 logs, swtpm", 150.0, swtpm.map(|(all, _)| all / ours));
    two_cores(report, &logs);
}

/// Every way gives the same registers.
fn assert_same<R: Reader>(log: &[u8]) {
    let mut expected = OneByOne::<Ring>::new();
    R::each(log, |event| expected.extend(&event)).expect("a crypto-agile log");
    let mut scalar = Scalar::new();
    R::each(log, |event| scalar.extend(&event)).expect("a crypto-agile log");
    assert_eq!(scalar.values(), expected.values(), "the sequential form differs from ring");
    for platform in Platform::available() {
        let mut batch = Batch::new();
        let id = add_log::<R>(&mut batch, log, false);
        batch.run(&Backends::forced(platform).expect("it is available"));
        let ours = BANKS.into_iter().flat_map(|bank| {
            let batch = &batch;
            PcrIndex::all().map(move |index| batch.register(id, bank, index))
        });
        for (ours, expected) in ours.zip(expected.values()) {
            assert!(ours.is_none_or(|(value, _)| value == expected), "{platform} differs from ring");
        }
    }
}

/// Wall time on one thread and two: the best of many short runs, since another process may hold a core.
fn two_cores(report: &mut Report, logs: &[Vec<u8>]) {
    let many: Vec<&[u8]> = (0..8).flat_map(|_| logs.iter().map(Vec::as_slice)).collect();
    let backends = Backends::detect();
    let at_once = NonZeroUsize::new(32).expect("not zero");
    let pools = [1, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads"));
    let mut best = [f64::MAX; 2];
    for _ in 0..60 {
        for (pool, best) in pools.iter().zip(&mut best) {
            let start = Instant::now();
            let replayed = pool.install(|| {
                nitrotpm_pcr::replay_parallel(
                    &many,
                    at_once,
                    &backends,
                    |batch, log| add_log::<Walk>(batch, log, false),
                    |batch, _, id| BANKS.map(|bank| batch.registers(id, bank).count()),
                )
            });
            *best = best.min(start.elapsed().as_secs_f64());
            assert_eq!(replayed.len(), many.len());
        }
    }
    let [one, two] = best.map(|seconds| seconds * 1e3);
    println!("\n{} logs by threads, wall time: one {one:.2} ms, two {two:.2} ms", many.len());
    report.target("two cores, one (others use the machine too)", 1.8, Some(one / two));
}

/// Replays a log a million times in batches and prints the most memory that the process ever had.
fn million() {
    let log = std::fs::read(corpus(LOG)).expect("the corpus");
    let logs: Vec<Vec<u8>> = vec![log; 64];
    let mut batch = Batch::new();
    let mut registers = 0;
    for _ in 0..1_000_000 / 64 {
        registers += replay_batch::<Product>(&logs, &mut batch, false);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown").trim();
    println!("{peak} ({registers} registers)");
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("--million") {
        million();
        return ExitCode::SUCCESS;
    }
    hashtree_rs::init();
    let gigahertz = clock_gigahertz();
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    println!("Processor{cpu}, {gigahertz:.2} GHz by a chain of dependent instructions");
    println!("Instruction sets: {}", Platform::available().map(Platform::name).collect::<Vec<_>>().join(", "));
    println!("Thread-CPU time, {ROUNDS} rounds in turns, 20th percentile. Only ratios mean anything.");

    let mut report = Report::default();
    let sha384 = extends::<[u8; 48]>(gigahertz);
    report.target("SHA-384 extend, bulk: ring", 5.3, ratio(&sha384, "ring"));
    report.target("SHA-384 extend, bulk: openssl", 4.1, ratio(&sha384, "openssl"));
    let sha256 = extends::<[u8; 32]>(gigahertz);
    report.target("SHA-256 extend, bulk: ring", 4.9, ratio(&sha256, "ring"));
    report.target("SHA-256 extend, bulk: hashtree-rs", 1.1, ratio(&sha256, "hashtree-rs"));
    let sha1 = extends::<[u8; 20]>(gigahertz);
    report.target("SHA-1 extend, bulk: ring", 20.0, ratio(&sha1, "ring"));
    report.target("SHA-1 extend, bulk: sha1", 5.4, ratio(&sha1, "sha1, sha2"));
    let sha512 = extends::<[u8; 64]>(gigahertz);
    report.target("SHA-512 extend, bulk: ring", 5.9, ratio(&sha512, "ring"));

    println!("\nMessages of unequal length");
    messages::<[u8; 20]>();
    messages::<[u8; 32]>();
    messages::<[u8; 48]>();

    logs(&mut report);

    let exe = std::env::current_exe().ok();
    let million =
        exe.and_then(|exe| Command::new(exe).arg("--million").output().ok()).filter(|output| output.status.success());
    match million {
        Some(output) => {
            println!("\nMost memory while replaying a million logs: {}", String::from_utf8_lossy(&output.stdout).trim())
        }
        None => println!("\nMost memory while replaying a million logs: not measured"),
    }
    if report.print() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
