//! Candidates that take turns, so that all of them meet the same disturbances.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};

/// Processor time of this thread, in nanoseconds: what other processes do does not count.
#[must_use]
pub fn thread_nanoseconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// One way to do a piece of work.
struct Candidate<'w> {
    name: String,
    /// Units of work of one call.
    units: f64,
    work: Box<dyn FnMut() + 'w>,
    /// Nanoseconds for a unit, one a round.
    samples: Vec<f64>,
}

/// What a candidate took.
#[derive(Clone, Debug)]
pub struct Time {
    /// The candidate's name.
    pub name: String,
    /// Nanoseconds for a unit: the 20th percentile.
    pub nanoseconds: f64,
    /// The median over the 20th percentile: how noisy the machine was.
    pub noise: f64,
}

/// Candidates that are timed in one process, round after round, each for a short while.
#[derive(Default)]
pub struct Race<'w>(Vec<Candidate<'w>>);

impl<'w> Race<'w> {
    /// An empty race.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a candidate; each call of `work` does `units` units.
    pub fn add<R>(&mut self, name: impl Into<String>, units: usize, mut work: impl FnMut() -> R + 'w) {
        self.0.push(Candidate {
            name: name.into(),
            units: units as f64,
            work: Box::new(move || {
                black_box(work());
            }),
            samples: Vec::new(),
        });
    }

    /// Runs `rounds` rounds in which each candidate has about `microseconds`.
    pub fn run(mut self, rounds: usize, microseconds: f64) -> Vec<Time> {
        let calls: Vec<usize> = self
            .0
            .iter_mut()
            .map(|candidate| {
                // The first call warms the caches, the fastest of three tells how many fill the time.
                (candidate.work)();
                let fastest = (0..3).map(|_| timed(&mut candidate.work, 1)).fold(f64::MAX, f64::min);
                ((microseconds * 1e3 / fastest.max(1.0)) as usize).max(1)
            })
            .collect();
        for _ in 0..rounds {
            for (candidate, calls) in self.0.iter_mut().zip(&calls) {
                // The previous candidate's data left the caches: one call brings this one's back.
                (candidate.work)();
                let time = timed(&mut candidate.work, *calls);
                candidate.samples.push(time / (*calls as f64 * candidate.units));
            }
        }
        self.0
            .into_iter()
            .map(|mut candidate| {
                candidate.samples.sort_by(f64::total_cmp);
                let at = |part: usize| candidate.samples[candidate.samples.len() * part / 100];
                Time { nanoseconds: at(20), noise: at(50) / at(20), name: candidate.name }
            })
            .collect()
    }
}

fn timed(work: &mut dyn FnMut(), calls: usize) -> f64 {
    let start = thread_nanoseconds();
    for _ in 0..calls {
        work();
    }
    thread_nanoseconds() - start
}

/// The time of the candidate with this name.
///
/// # Panics
/// Where there is none: a report must not go on with a number that is missing.
#[must_use]
pub fn time_of(times: &[Time], name: &str) -> f64 {
    times.iter().find(|time| time.name == name).unwrap_or_else(|| panic!("nothing is named {name}")).nanoseconds
}

/// Clock of this processor in GHz, by a chain of additions that depend on each other, one a cycle.
#[must_use]
pub fn clock_gigahertz() -> f64 {
    const TURNS: u64 = 20_000;
    (0..200)
        .map(|_| {
            let start = thread_nanoseconds();
            let mut value = black_box(1_u64);
            let step = black_box(3_u64);
            for _ in 0..TURNS {
                // Eight rotations that depend on each other; the compiler cannot fold them into fewer.
                value = value.rotate_left(1) ^ step;
                value = value.rotate_left(3) ^ step;
                value = value.rotate_left(5) ^ step;
                value = value.rotate_left(7) ^ step;
            }
            black_box(value);
            // A rotation and an exclusive or: one cycle each.
            (TURNS * 8) as f64 / (thread_nanoseconds() - start)
        })
        .fold(0.0, f64::max)
}
