//! Batches on several cores.

use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicUsize, Ordering};

use alloc::vec::Vec;
use nitrotpm_pcr::Backends;
use rayon::prelude::*;

use super::{BatchReplay, LogBatch};
use crate::{LogError, ParseOptions};

/// Parses and replays logs on all threads of the pool that the caller is in, `at_once` logs in a batch.
///
/// `read` is called once for each log, in any order, with the log's place in `logs` and its replay, or the reason why
/// there is none. What it returns comes back in the order of the logs.
///
/// ```
/// use core::num::NonZeroUsize;
/// use nitrotpm_eventlog::{EventType, ParseOptions, replay_parallel, writer::LogBuilder};
/// use nitrotpm_pcr::{Backends, Bank};
///
/// let mut builder = LogBuilder::crypto_agile(&[Bank::Sha384]);
/// builder.measure(4, EventType::SEPARATOR, &[0; 4]);
/// let logs = [builder.finish()?, b"no log".to_vec(), builder.finish()?];
/// let at_once = NonZeroUsize::new(32).unwrap();
/// let found = replay_parallel(&logs, at_once, &Backends::detect(), &ParseOptions::default(), |_, log| {
///     log.map(|log| log.values().len()).map_err(|error| error.code())
/// });
/// assert_eq!(found, [Ok(1), Err("event_log.truncated"), Ok(1)]);
/// # Ok::<(), nitrotpm_eventlog::LogError>(())
/// ```
pub fn replay_parallel<'d, L, R>(
    logs: &'d [L],
    at_once: NonZeroUsize,
    backends: &Backends,
    options: &ParseOptions,
    read: impl Fn(usize, Result<BatchReplay<'_, 'd>, LogError>) -> R + Sync,
) -> Vec<R>
where
    L: AsRef<[u8]> + Sync,
    R: Send,
{
    let parts: Vec<&'d [L]> = logs.chunks(at_once.get()).collect();
    let next = AtomicUsize::new(0);
    // One batch a thread, whose memory serves one part after the other.
    let workers = rayon::current_num_threads().min(parts.len());
    let mut results: Vec<(usize, Vec<R>)> = (0..workers)
        .into_par_iter()
        .with_max_len(1)
        .flat_map_iter(|_| {
            let mut batch = LogBatch::with_backends(*backends);
            let (next, parts, read) = (&next, &parts, &read);
            core::iter::from_fn(move || {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let logs: &'d [L] = parts.get(number)?;
                batch.clear();
                let pushed: Vec<_> = logs.iter().map(|log| batch.push(log.as_ref(), options)).collect();
                let replayed = batch.replay();
                let first = number.saturating_mul(at_once.get());
                let results = pushed.into_iter().enumerate().map(|(place, pushed)| {
                    // What was pushed into this batch is in it.
                    let log = pushed.and_then(|log| replayed.log(log).ok_or(LogError::Empty));
                    read(first.saturating_add(place), log)
                });
                Some((number, results.collect()))
            })
        })
        .collect();
    results.sort_unstable_by_key(|(number, _)| *number);
    results.into_iter().flat_map(|(_, results)| results).collect()
}
