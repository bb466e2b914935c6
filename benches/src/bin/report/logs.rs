//! Whole logs, from bytes to registers.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use benches::log::{BANKS, Event, OneByOne, Product, Reader, Scalar, Walk};
use benches::peers::{AwsLc, Library, OpenSsl, Ring, RustCrypto};
use benches::swtpm::Swtpm;
use benches::{Race, time_of};
use nitrotpm_digest_lanes::{Backends, ExtendChain, Platform};
use nitrotpm_eventlog::{EventLog, LogBatch, ParseOptions, PayloadCheck, replay_parallel};
use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};

use crate::table::{Report, print_times};

/// The corpus lies beside the project, or where the environment says.
fn corpus(path: &str) -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    std::env::var_os("NITROTPM_CORPUS").map_or_else(beside, PathBuf::from).join(path)
}

const LOG: &str = "eventlog/go-eventlog/testdata/eventlogs/tpm/ubuntu-2104-no-dbx.bin";

/// From bytes to registers, with the product's own batch.
fn replay_batch<'d>(logs: &'d [Vec<u8>], batch: &mut LogBatch<'d>) -> usize {
    batch.clear();
    for log in logs {
        batch.push(log, &ParseOptions::default()).expect("the log was read before");
    }
    let replayed = batch.replay();
    let mut found = 0;
    for log in replayed.logs() {
        found += log.banks().map(|bank| log.registers(bank).count()).sum::<usize>();
        found += log.payload_checks().filter(|checked| checked.check == PayloadCheck::Mismatch).count();
    }
    found
}

fn replay_one_by_one<L: Library>(logs: &[Vec<u8>]) {
    for log in logs {
        let mut registers = OneByOne::<L>::new();
        Product::each(log, |event| registers.extend(&event)).expect("the log was read before");
        std::hint::black_box(registers);
    }
}

fn hash_data<L: Library>(log: &[u8]) {
    let hash = |event: Event<'_>| {
        let sha1 = L::hash::<[u8; 20]>(event.data);
        std::hint::black_box((sha1, L::hash::<[u8; 32]>(event.data), L::hash::<[u8; 48]>(event.data)));
    };
    Product::each(log, hash).expect("the log was read before");
}

fn read_alone<R: Reader>(logs: &[Vec<u8>]) {
    for log in logs {
        R::each(log, |event| {
            std::hint::black_box(event);
        })
        .expect("the log was read before");
    }
}

/// All candidates read the same logs, which together are as large as a second-level cache; only those that take few at a
/// time stay with the first few.
fn race(report: &mut Report, logs: &[Vec<u8>]) -> f64 {
    let mut race = Race::new();
    for at_once in [64, 16, 4, 1] {
        let mut batch = LogBatch::new();
        race.add(format!("nitrotpm, {at_once} at a time"), at_once, move || replay_batch(&logs[..at_once], &mut batch));
    }
    race.add("nitrotpm, replay_all", logs.len(), move || {
        for log in logs {
            let log = EventLog::parse(log, &ParseOptions::default()).expect("the log was read before");
            std::hint::black_box(log.replay_all().expect("it was replayed before"));
        }
    });
    fn sequential<'w, L: Library>(race: &mut Race<'w>, logs: &'w [Vec<u8>]) {
        race.add(format!("{}, sequential", L::NAME), logs.len(), move || replay_one_by_one::<L>(logs));
    }
    sequential::<Ring>(&mut race, logs);
    sequential::<AwsLc>(&mut race, logs);
    sequential::<RustCrypto>(&mut race, logs);
    sequential::<OpenSsl>(&mut race, logs);
    race.add("nitrotpm, sequential", logs.len(), move || {
        for log in logs {
            let mut registers = Scalar::new();
            Product::each(log, |event| registers.extend(&event)).expect("the log was read before");
            std::hint::black_box(registers);
        }
    });
    race.add("parsing alone", logs.len(), move || {
        for log in logs {
            std::hint::black_box(EventLog::parse(log, &ParseOptions::default()).expect("the log was read before"));
        }
    });
    race.add("parsing, and reading every event", logs.len(), move || read_alone::<Product>(logs));
    race.add("a walk over headers, nothing checked", logs.len(), move || read_alone::<Walk>(logs));
    for at_once in [64, 16] {
        let mut batch = LogBatch::new().check_payloads();
        race.add(format!("nitrotpm, {at_once}, data checked"), at_once, move || {
            replay_batch(&logs[..at_once], &mut batch)
        });
    }
    race.add("ring, data hashed", logs.len(), move || {
        for log in logs.chunks(1) {
            replay_one_by_one::<Ring>(log);
            log.iter().for_each(|log| hash_data::<Ring>(log));
        }
    });
    println!("\nWhole logs, three banks, from bytes to registers");
    let times = race.run(30, 800.0);
    let ours = time_of(&times, "nitrotpm, 64 at a time");
    print_times(&times, "log", ours);
    let ratio = |peer: &str, of: &str| Some(time_of(&times, peer) / time_of(&times, of));
    let (batch, one) = ("nitrotpm, 64 at a time", "nitrotpm, 1 at a time");
    report.target_by_set("64 logs: sequential ring", 6.0, 3.5, ratio("ring, sequential", batch));
    report.target_by_set("64 logs: sequential aws-lc", 4.2, 2.4, ratio("aws-lc-rs, sequential", batch));
    report.target("one log: our sequential form", 1.0, ratio("nitrotpm, sequential", one));
    report.target("one log: sequential aws-lc", 1.0, ratio("aws-lc-rs, sequential", one));
    let data = ratio("ring, data hashed", "nitrotpm, 64, data checked");
    report.target_by_set("64 logs with event data: sequential ring", 4.0, 3.0, data);
    ours
}

/// The log that is replayed, or why there is none.
pub(crate) fn log() -> Result<Vec<u8>, String> {
    let path = corpus(LOG);
    std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
}

pub(crate) fn logs(report: &mut Report, log: &[u8]) {
    let logs = copies(log);
    let mut events = Vec::new();
    Walk::each(log, |event| events.push(event)).expect("a crypto-agile log");
    assert_same(log);
    println!("\nThe log: {} bytes, {} extends a bank", log.len(), events.len());
    let ours = race(report, &logs);

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
            "  one command an event: three banks {all:.0} ns/log ({:.0}x ours), one bank {one:.0} ns/log",
            all / ours
        ),
        None => println!("  not measured, it is not installed or did not answer"),
    }
    report.target_by_set("64 logs: swtpm", 150.0, 80.0, swtpm.map(|(all, _)| all / ours));
    uefi_eventlog(ours);
    whole_process(ours);
}

/// Each copy has its own memory, as logs of different machines would, at distances that are no power of two.
fn copies(log: &[u8]) -> Vec<Vec<u8>> {
    let copy = |number: usize| {
        let mut copy = Vec::with_capacity(log.len() + 64 * number);
        copy.extend_from_slice(log);
        copy
    };
    (0..64).map(copy).collect()
}

/// Every way gives the same registers.
fn assert_same(log: &[u8]) {
    let mut expected = OneByOne::<Ring>::new();
    Walk::each(log, |event| expected.extend(&event)).expect("a crypto-agile log");
    let mut scalar = Scalar::new();
    Product::each(log, |event| scalar.extend(&event)).expect("a crypto-agile log");
    assert_eq!(scalar.values(), expected.values(), "the sequential form differs from ring");
    for platform in Platform::available() {
        let mut batch = LogBatch::with_backends(Backends::forced(platform).expect("it is available"));
        let place = batch.push(log, &ParseOptions::default()).expect("a log");
        let replayed = batch.replay();
        let ours = replayed.log(place).expect("it was pushed");
        let ours = BANKS.into_iter().flat_map(|bank| {
            nitrotpm_pcr::PcrIndex::all()
                .map(move |index| ours.register(bank, index).value().expect("every digest is there"))
        });
        assert!(ours.eq(expected.values()), "{platform} differs from ring");
    }
}

/// A peer with a workspace of its own, built here: its dependencies are none that the project's lock file should name.
fn uefi_eventlog(ours: f64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("uefi-eventlog");
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/uefi-eventlog");
    let measured = || {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let build = Command::new(cargo)
            .args(["build", "--quiet", "--release", "--locked", "--manifest-path"])
            .arg(folder.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .output()
            .map_err(|error| error.to_string())?;
        if !build.status.success() {
            return Err(String::from_utf8_lossy(&build.stderr).into_owned());
        }
        let program = target.join("release/uefi-eventlog-peer");
        let output = Command::new(program).arg(corpus(LOG)).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr });
        said.trim().parse::<f64>().map_err(|_| said.into_owned())
    };
    match measured() {
        Ok(time) => println!(
            "uefi-eventlog, which checks event data in the same pass, thread-CPU time: {time:.0} ns/log ({:.0}x ours)",
            time / ours
        ),
        Err(why) => println!("uefi-eventlog: not measured: {}", why.lines().next().unwrap_or("no reason was given")),
    }
}

/// A peer that is a program: its start is most of it, but that is how it is used.
fn whole_process(ours: f64) {
    let file = corpus(LOG);
    let run = |program: &Path| {
        let start = Instant::now();
        let status = Command::new(program).arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        status.success().then(|| start.elapsed().as_nanos() as f64)
    };
    let mut times: Vec<f64> = (0..20).map_while(|_| run(Path::new("tpm2_eventlog"))).collect();
    times.sort_by(f64::total_cmp);
    match times.get(4).filter(|_| times.len() == 20) {
        Some(time) => {
            println!("tpm2_eventlog, a process a log, wall time: {time:.0} ns/log ({:.0}x ours)", time / ours)
        }
        None => println!("tpm2_eventlog: not measured, it is not installed or failed"),
    }
}

/// Wall time on one thread and two: the best of many short runs, since another process may hold a core.
pub(crate) fn two_cores(report: &mut Report, log: &[u8]) {
    let logs = copies(log);
    let many: Vec<&[u8]> = (0..8).flat_map(|_| logs.iter().map(Vec::as_slice)).collect();
    let backends = Backends::detect();
    let at_once = NonZeroUsize::new(32).expect("not zero");
    let pools = [1, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads"));
    let mut best = [f64::MAX; 2];
    // What two cores give at most just then: the same kernels on data that never leaves the first cache. Two processors of
    // a virtual machine may be one core, and then come to far less than twice one.
    let mut kernels = [f64::MAX; 2];
    for _ in 0..200 {
        for (pool, best) in pools.iter().zip(&mut kernels) {
            let start = Instant::now();
            pool.install(|| (0..2).into_par_iter().with_max_len(1).for_each(|_| extend_in_cache(&backends)));
            *best = best.min(start.elapsed().as_secs_f64());
        }
        for (pool, best) in pools.iter().zip(&mut best) {
            let start = Instant::now();
            let replayed = pool.install(|| {
                replay_parallel(&many, at_once, &backends, &ParseOptions::default(), |_, log| {
                    let log = log.expect("the log was read before");
                    BANKS.map(|bank| log.registers(bank).count())
                })
            });
            *best = best.min(start.elapsed().as_secs_f64());
            assert_eq!(replayed.len(), many.len());
        }
    }
    let [one, two] = best.map(|seconds| seconds * 1e3);
    let [one_alone, two_together] = kernels;
    println!("\n{} logs by threads, wall time: one {one:.2} ms, two {two:.2} ms", many.len());
    println!("  two threads of extends that stay in the first cache: {:.2}x one", one_alone / two_together);
    report.target("two cores: one (wall time: needs two quiet cores)", 1.8, Some(one / two));
}

/// Some milliseconds of extends of SHA-384.
fn extend_in_cache(backends: &Backends) {
    let digests: [[u8; 48]; 8] = std::array::from_fn(|number| [number as u8; 48]);
    let lists: Vec<&[u8; 48]> = digests.iter().cycle().take(64).collect();
    for _ in 0..64 {
        let mut chains = [(); 16].map(|()| ExtendChain { value: [0; 48], digests: lists.as_slice() });
        backends.extend_many(&mut chains);
        std::hint::black_box(chains);
    }
}

/// Replays a log a million times in batches and prints the most memory that the process ever had.
pub(crate) fn million() {
    let log = std::fs::read(corpus(LOG)).expect("the corpus");
    let logs: Vec<Vec<u8>> = vec![log; 64];
    let mut batch = LogBatch::new();
    let mut registers = 0;
    for _ in 0..1_000_000 / 64 {
        registers += replay_batch(&logs, &mut batch);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown").trim();
    println!("{peak} ({registers} registers)");
}
