//! Times the uefi-eventlog library on one log: parsing, the digests of the events' data, and the extends of every bank,
//! which it does in one pass and not apart.
//!
//! Argument: the log. Prints the nanoseconds of this thread's processor time for one log, the 20th percentile of 60 rounds
//! as in the report, which starts this program.

use std::hint::black_box;
use std::process::ExitCode;

use fallible_iterator::FallibleIterator as _;
use rustix::time::{ClockId, clock_gettime};
use uefi_eventlog::Parser;

fn replay(log: &[u8]) -> Result<usize, uefi_eventlog::Error> {
    let mut parser = Parser::new(log);
    let mut events = 0;
    while let Some(event) = parser.next()? {
        black_box(event);
        events += 1;
    }
    black_box(parser.pcrs().values());
    Ok(events)
}

fn nanoseconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("give it a log");
        return ExitCode::from(2);
    };
    let log = match std::fs::read(&path) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let mut times = Vec::new();
    for _ in 0..60 {
        let start = nanoseconds();
        for _ in 0..4 {
            match replay(&log) {
                Ok(events) if events > 1 => {}
                Ok(events) => {
                    eprintln!("it reads {events} events");
                    return ExitCode::FAILURE;
                }
                Err(error) => {
                    eprintln!("it refuses the log: {error}");
                    return ExitCode::FAILURE;
                }
            }
        }
        times.push((nanoseconds() - start) / 4.0);
    }
    times.sort_by(f64::total_cmp);
    println!("{:.0}", times[times.len() / 5]);
    ExitCode::SUCCESS
}
