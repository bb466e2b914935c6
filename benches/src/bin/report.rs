//! Prints how fast the hot paths are against every peer, and which targets are reached.
//!
//! `cargo run --release -p benches --bin report`. What the numbers mean: `docs/performance.md`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Instant;

use benches::data::{Digests, Random};
use benches::log::{BANKS, Event, replay_one_by_one, replay_scalar, walk};
use benches::peers::{AwsLc, Library, OpenSsl, Ring, RustCrypto};
use benches::swtpm::Swtpm;
use benches::{Race, Time, bound, clock_gigahertz, time_of};
use nitrotpm_digest_lanes::{Backends, DigestBytes, ExtendChain, HashAlgorithm, Message, Platform};
use nitrotpm_pcr::{BankId, Batch, Digest, reset_value};

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

fn add_log<'d>(batch: &mut Batch<'d>, events: &[Event<'d>]) -> [BankId; 3] {
    std::array::from_fn(|place| {
        let bank = BANKS[place];
        let digests = events.iter().map(|event| (event.index, event.digests[place]));
        batch.add_bank(bank, |index| reset_value(bank, index), digests).expect("walked by its length")
    })
}

fn replay_batch<'d>(logs: &'d [Vec<u8>], batch: &mut Batch<'d>, events: &mut Vec<Event<'d>>, data: bool) -> usize {
    batch.clear();
    let backends = Backends::detect();
    let mut ids = [None; 64];
    for (log, id) in logs.iter().zip(&mut ids) {
        walk(log, events).expect("the log was read before");
        *id = Some(add_log(batch, events));
        if data {
            for event in &*events {
                for bank in BANKS {
                    batch.add_message(bank, event.data);
                }
            }
        }
    }
    batch.run(&backends);
    ids.iter().flatten().flatten().map(|id| batch.registers(*id).count()).sum()
}

fn hash_data<L: Library>(events: &[Event<'_>]) {
    for event in events {
        std::hint::black_box((
            L::hash::<[u8; 20]>(event.data),
            L::hash::<[u8; 32]>(event.data),
            L::hash::<[u8; 48]>(event.data),
        ));
    }
}

fn logs(report: &mut Report) {
    let Ok(log) = std::fs::read(corpus(LOG)) else {
        println!("\nWhole logs: not measured, the corpus is not there (set NITROTPM_CORPUS)");
        report.target("parse + replay of 64 logs: sequential ring", 6.0, None);
        return;
    };
    // Each copy has its own memory, as logs of different machines would.
    let logs: Vec<Vec<u8>> = (0..64_usize)
        .map(|number| {
            let mut copy = Vec::with_capacity(log.len() + 64 * number);
            copy.extend_from_slice(&log);
            copy
        })
        .collect();
    let logs = &logs;
    let mut events = Vec::new();
    walk(&log, &mut events).expect("a crypto-agile log");
    assert_same(&events);
    println!("\nWhole log: parse, three banks ({} bytes, {} extends a bank)", log.len(), events.len());

    let mut race = Race::new();
    for at_once in [64, 16, 4, 1] {
        let (mut batch, mut events) = (Batch::new(), Vec::new());
        race.add(format!("nitrotpm, {at_once} at a time"), at_once, move || {
            replay_batch(&logs[..at_once], &mut batch, &mut events, false)
        });
    }
    fn sequential<'w, L: Library>(race: &mut Race<'w>, logs: &'w [Vec<u8>]) {
        let mut events = Vec::new();
        race.add(format!("{}, sequential", L::NAME), 4, move || {
            for log in &logs[..4] {
                walk(log, &mut events).expect("the log was read before");
                std::hint::black_box(replay_one_by_one::<L>(&events));
            }
        });
    }
    sequential::<Ring>(&mut race, logs);
    sequential::<AwsLc>(&mut race, logs);
    sequential::<RustCrypto>(&mut race, logs);
    sequential::<OpenSsl>(&mut race, logs);
    let mut own = Vec::new();
    race.add("nitrotpm, sequential", 4, move || {
        for log in &logs[..4] {
            walk(log, &mut own).expect("the log was read before");
            std::hint::black_box(replay_scalar(&own));
        }
    });
    let mut walked = Vec::new();
    race.add("walk over the headers alone", 1, move || walk(&logs[0], &mut walked));
    let (mut batch, mut found) = (Batch::new(), Vec::new());
    race.add("nitrotpm, 64, with event data", 64, move || replay_batch(logs, &mut batch, &mut found, true));
    let mut ring_events = Vec::new();
    race.add("ring, with event data", 1, move || {
        walk(&logs[0], &mut ring_events).expect("the log was read before");
        std::hint::black_box(replay_one_by_one::<Ring>(&ring_events));
        hash_data::<Ring>(&ring_events);
    });
    let times = race.run(ROUNDS, 1000.0);
    let ours = time_of(&times, "nitrotpm, 64 at a time");
    print_times(&times, "log", ours);
    let over = |peer: &str, of: &str| Some(time_of(&times, peer) / time_of(&times, of));
    report.target(
        "parse + replay of 64 logs: sequential ring",
        6.0,
        over("ring, sequential", "nitrotpm, 64 at a time"),
    );
    report.target(
        "parse + replay of 64 logs: sequential aws-lc",
        4.2,
        over("aws-lc-rs, sequential", "nitrotpm, 64 at a time"),
    );
    report.target("one log alone: our sequential form", 1.0, over("nitrotpm, sequential", "nitrotpm, 1 at a time"));
    let best = ["ring, sequential", "aws-lc-rs, sequential", "sha1, sha2, sequential", "openssl, sequential"]
        .map(|peer| time_of(&times, peer))
        .into_iter()
        .fold(f64::MAX, f64::min);
    report.target(
        "one log alone: the best sequential library",
        1.0,
        Some(best / time_of(&times, "nitrotpm, 1 at a time")),
    );
    report.target(
        "with event-data digests: sequential ring",
        4.0,
        over("ring, with event data", "nitrotpm, 64, with event data"),
    );

    let swtpm = Swtpm::start().and_then(|mut swtpm| {
        // Wall time: most of it is another process.
        let mut all: Vec<f64> =
            (0..30).map_while(|_| swtpm.replay(&events)).map(|time| time.as_nanos() as f64).collect();
        let mut one: Vec<f64> =
            (0..30).map_while(|_| swtpm.replay_one_bank(&events)).map(|time| time.as_nanos() as f64).collect();
        all.sort_by(f64::total_cmp);
        one.sort_by(f64::total_cmp);
        (all.len() == 30 && one.len() == 30).then(|| (all[6], one[6]))
    });
    if let Some((all, one)) = swtpm {
        println!(
            "  swtpm, one command for all banks   {all:>9.1} ns/log {:>9.3} M/s  {:>6.0}x ours  (wall time)",
            1e3 / all,
            all / ours
        );
        println!("  swtpm, one bank                    {one:>9.1} ns/log {:>9.3} M/s  (wall time)", 1e3 / one);
    } else {
        println!("  swtpm: not measured, it is not installed or did not answer");
    }
    report.target("parse + replay of 64 logs: swtpm", 150.0, swtpm.map(|(all, _)| all / ours));
    two_cores(report, logs);
}

/// Every way gives the same registers.
fn assert_same(events: &[Event<'_>]) {
    let (sha1, sha256, sha384) = replay_one_by_one::<Ring>(events);
    let expected: Vec<Digest> = (sha1.iter().map(DigestBytes::to_digest))
        .chain(sha256.iter().map(DigestBytes::to_digest))
        .chain(sha384.iter().map(DigestBytes::to_digest))
        .collect();
    assert_eq!(replay_scalar(events), expected, "the sequential form differs from ring");
    for platform in Platform::available() {
        let mut batch = Batch::new();
        let ids = add_log(&mut batch, events);
        batch.run(&Backends::forced(platform).expect("it is available"));
        let ours = ids.iter().flat_map(|id| nitrotpm_pcr::PcrIndex::all().map(|index| batch.register(*id, index)));
        for (ours, expected) in ours.zip(&expected) {
            assert!(ours.is_none_or(|(value, _)| value == *expected), "{platform} differs from ring");
        }
    }
}

/// Wall time: the best of a few runs, since another process may hold a core.
fn two_cores(report: &mut Report, logs: &[Vec<u8>]) {
    let many: Vec<&[u8]> = (0..32).flat_map(|_| logs.iter().map(Vec::as_slice)).collect();
    let backends = Backends::detect();
    let at_once = NonZeroUsize::new(64).expect("not zero");
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads");
        (0..12)
            .map(|_| {
                let start = Instant::now();
                let replayed = pool.install(|| {
                    nitrotpm_pcr::replay_parallel(
                        &many,
                        at_once,
                        &backends,
                        |batch, log| {
                            let mut events = Vec::with_capacity(128);
                            walk(log, &mut events).expect("the log was read before");
                            add_log(batch, &events)
                        },
                        |batch, _, ids| ids.map(|id| batch.registers(id).count()),
                    )
                });
                assert_eq!(replayed.len(), many.len());
                start.elapsed().as_secs_f64()
            })
            .fold(f64::MAX, f64::min)
    };
    let (one, two) = (run(1), run(2));
    println!("  {} logs by threads, wall time: one {:.1} ms, two {:.1} ms", many.len(), one * 1e3, two * 1e3);
    report.target("two cores: one (of a machine that others use too)", 1.8, Some(one / two));
}

/// Replays a log a million times in batches and prints the most memory that the process ever had.
fn million() {
    let log = std::fs::read(corpus(LOG)).expect("the corpus");
    let logs: Vec<Vec<u8>> = vec![log; 64];
    let (mut batch, mut events) = (Batch::new(), Vec::new());
    let mut registers = 0;
    for _ in 0..1_000_000 / 64 {
        registers += replay_batch(&logs, &mut batch, &mut events, false);
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
