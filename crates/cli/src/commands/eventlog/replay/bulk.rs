//! Many logs: read, replayed and reported in portions, by as many threads as there are cores.
//!
//! Every thread takes the next portion of paths, works on it, waits for its turn and writes: results come in the order
//! of the paths, and no more is in memory than one portion a thread.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nitrotpm_eventlog::{LogBatch, ParseOptions};
use nitrotpm_pcr::PcrValues;
use serde::Serialize;

use super::paths::{Found, Paths};
use super::report::{self, Report, Style};
use crate::args::{Format, ReplayArgs};
use crate::exit::{Exit, Failure};
use crate::input::{Shown, not_a_log, read};
use crate::text::{BAD, NOTE, Styled, complain};

/// Logs of a portion: as many as fill the lanes.
const AT_ONCE: usize = 64;
/// A portion with so many bytes is full.
const PORTION_BYTES: usize = 4 << 20;
/// Files above this size are worked on by one thread at a time.
const LARGE: u64 = 2 << 20;

/// What one run is about.
struct Job<'a> {
    expected: Option<&'a PcrValues>,
    style: Style,
    format: Format,
    check_payloads: bool,
    /// Held by the thread that has a large file in memory.
    large: Mutex<()>,
    input: Mutex<Input>,
    output: Mutex<Output>,
    turn: Condvar,
}

struct Input {
    paths: Paths,
    /// How many portions were taken.
    taken: u64,
}

struct Output {
    /// The portion that is written next.
    next: u64,
    totals: Totals,
    /// Standard output failed, or its reader went away: no thread goes on.
    stopped: bool,
    failure: Option<Failure>,
    progress: ProgressBar,
}

/// What is counted over all files.
#[derive(Clone, Copy, Default)]
struct Totals {
    files: u64,
    events: u64,
    replayed: u64,
    affirmed: u64,
    refused: u64,
    malformed: u64,
    unreadable: u64,
    skipped: u64,
    exit: Option<Exit>,
}

/// What a portion gave.
#[derive(Default)]
struct Written {
    text: String,
    complaints: String,
    totals: Totals,
}

/// A failure as an element of the array: `nitrotpm.error/1` with the file's name.
#[derive(Serialize)]
struct FailedFile<'a> {
    #[serde(flatten)]
    report: crate::exit::FailureReport<'a>,
    file: String,
}

pub(super) fn run(args: &ReplayArgs, expected: Option<&PcrValues>, style: Style) -> Result<Exit, Failure> {
    let started = Instant::now();
    let format = args.format.format;
    let paths = Paths::new(args.files.clone(), args.files_from.as_deref(), args.null)?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let job = Job {
        expected,
        style,
        format,
        check_payloads: args.check_payloads,
        large: Mutex::new(()),
        input: Mutex::new(Input { paths, taken: 0 }),
        output: Mutex::new(Output {
            next: 0,
            totals: Totals::default(),
            stopped: false,
            failure: None,
            progress: progress(style),
        }),
        turn: Condvar::new(),
    };
    if format == Format::Json {
        lock(&job.output).write("[");
    }
    std::thread::scope(|scope| {
        // One more than there are cores: while one waits for the disk or for its turn, the others work.
        for _ in 0..threads {
            scope.spawn(|| job.work());
        }
        job.work();
    });
    let mut output = lock(&job.output);
    if format == Format::Json {
        output.write("]\n");
    }
    output.progress.finish_and_clear();
    let totals = output.totals;
    if style == Style::Line {
        let summary = totals.summary(expected.is_some(), started.elapsed().as_secs_f64());
        match format {
            Format::Text => output.write(&format!("{summary}\n")),
            Format::Json => complain(&summary),
        }
    }
    match output.failure.take() {
        Some(failure) => Err(failure),
        // Nothing was compared: that is no success of a comparison. Where nobody reads, nothing is looked for.
        None if expected.is_some() && totals.files == 0 && !output.stopped => {
            complain(&format!(
                "{} no event log was found, so nothing was compared; check the path",
                Styled(BAD, "nitrotpm:")
            ));
            Ok(Exit::Environment)
        }
        None => Ok(totals.exit.unwrap_or(Exit::Done)),
    }
}

/// Shown where somebody watches, and where the results do not go by on the same screen.
fn progress(style: Style) -> ProgressBar {
    let watched = style == Style::Line && std::io::stderr().is_terminal() && !std::io::stdout().is_terminal();
    let target = if watched { ProgressDrawTarget::stderr_with_hz(5) } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(None, target);
    let template = ProgressStyle::with_template("{spinner} {human_pos} files in {elapsed}, {per_sec}");
    template.map_or(bar.clone(), |template| bar.with_style(template))
}

/// A thread that panicked has told so; what it held is counters and text.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Job<'_> {
    /// Works on portion after portion until there are no more.
    fn work(&self) {
        let _alarm = Alarm(self);
        let mut batch = self.new_batch();
        let mut paths = Vec::new();
        let mut files = Vec::new();
        loop {
            let portion = {
                let mut input = lock(&self.input);
                paths.extend(input.paths.by_ref().take(AT_ONCE));
                if paths.is_empty() {
                    return;
                }
                let taken = input.taken;
                input.taken = taken.saturating_add(1);
                taken
            };
            let mut written = Written::default();
            let mut paths = paths.drain(..).peekable();
            while paths.peek().is_some() {
                // A large file, and its memory, are let go of before the turn is waited for.
                let mut large = None;
                let mut bytes = 0_usize;
                while bytes < PORTION_BYTES
                    && let Some(path) = paths.next()
                {
                    let (path, read) = match path {
                        Found::File(path) => {
                            let read = self.read(&path, &mut large);
                            (path, read)
                        }
                        Found::Failed(path, failure) => (path, Err(failure)),
                        Found::Skipped(reason) => {
                            add(&mut written.totals.skipped, 1);
                            // Writing to a String cannot fail, here and below.
                            let _ = writeln!(written.complaints, "{} skipped: {reason}", Styled(NOTE, "nitrotpm:"));
                            continue;
                        }
                    };
                    bytes = bytes.saturating_add(read.as_ref().map_or(0, Vec::len));
                    files.push((path, read));
                }
                if large.is_some() {
                    // Payloads are then checked event by event: a list of all would be larger than the file.
                    self.replay(&files, LogBatch::new(), &mut written);
                } else {
                    batch = self.replay(&files, batch, &mut written);
                }
                files.clear();
            }
            if !self.write(portion, written) {
                return;
            }
        }
    }

    fn new_batch(&self) -> LogBatch<'static> {
        if self.check_payloads { LogBatch::new().check_payloads() } else { LogBatch::new() }
    }

    /// Reads a file; one that is large waits until no other thread has one in memory.
    fn read<'j>(&'j self, path: &Path, large: &mut Option<MutexGuard<'j, ()>>) -> Result<Vec<u8>, Failure> {
        let failed =
            |error: std::io::Error| Failure::environment("file.read", format!("cannot read {}: {error}", Shown(path)));
        let mut take_large = || {
            if large.is_none() {
                *large = Some(lock(&self.large));
            }
        };
        if path == Path::new("-") {
            take_large();
            return read(path);
        }
        let file = File::open(path).map_err(failed)?;
        // The kernel reports 0 for its logs: the size is a guess, and the log is read to its end.
        let size = file.metadata().map_err(failed)?.len();
        let limit = u64::try_from(ParseOptions::MAX_SIZE).unwrap_or(u64::MAX);
        let too_large = || {
            let message = format!("{} has more than {limit} bytes: it is no event log", Shown(path));
            Err(Failure::invalid("file.too-large", message))
        };
        if size > limit {
            return too_large();
        }
        if size > LARGE {
            take_large();
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size.min(limit).saturating_add(1)).unwrap_or_default());
        let mut file = file.take(limit.saturating_add(1));
        (&mut file).take(LARGE.max(size)).read_to_end(&mut bytes).map_err(failed)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length >= LARGE) {
            take_large();
        }
        file.read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > ParseOptions::MAX_SIZE {
            return too_large();
        }
        Ok(bytes)
    }

    /// Replays what was read and writes down the answers. Returns the batch, emptied.
    fn replay(
        &self,
        files: &[(PathBuf, Result<Vec<u8>, Failure>)],
        batch: LogBatch<'static>,
        written: &mut Written,
    ) -> LogBatch<'static> {
        let mut batch = batch.reuse();
        let pushed: Vec<_> = files
            .iter()
            .map(|(path, bytes)| match bytes {
                Ok(bytes) => {
                    batch.push(bytes, &ParseOptions::default()).map_err(|error| not_a_log(path, bytes, &error))
                }
                Err(failure) => Err(failure.clone()),
            })
            .collect();
        let replayed = batch.replay();
        for ((path, _), pushed) in files.iter().zip(pushed) {
            let report = pushed.and_then(|log| {
                let log =
                    replayed.log(log).ok_or_else(|| report::invalid(path, &nitrotpm_eventlog::LogError::Empty))?;
                Report::new(path, &log, self.expected, self.style, self.format, self.check_payloads)
            });
            self.answer(path, report, written);
        }
        batch.reuse()
    }

    fn answer(&self, path: &Path, report: Result<Report, Failure>, written: &mut Written) {
        let totals = &mut written.totals;
        add(&mut totals.files, 1);
        if self.format == Format::Json && !written.text.is_empty() {
            written.text.push(',');
        }
        let exit = match report {
            Ok(report) => {
                add(&mut totals.replayed, 1);
                add(&mut totals.events, u64::try_from(report.events()).unwrap_or_default());
                if self.expected.is_some() {
                    add(if report.exit() == Exit::Done { &mut totals.affirmed } else { &mut totals.refused }, 1);
                }
                report.write(&mut written.text, self.style, self.format);
                report.exit()
            }
            Err(failure) => {
                let unreadable = failure.exit == Exit::Environment;
                add(if unreadable { &mut totals.unreadable } else { &mut totals.malformed }, 1);
                match self.format {
                    Format::Json => {
                        let failed = FailedFile { report: failure.report(), file: Shown(path).to_string() };
                        written.text.push_str(&serde_json::to_string(&failed).unwrap_or_default());
                    }
                    Format::Text if self.style == Style::Line => {
                        let word = if unreadable { "unreadable" } else { "malformed" };
                        let _ = writeln!(written.text, "{}  {}  {}", Styled(BAD, word), Shown(path), failure.code);
                    }
                    Format::Text => {}
                }
                let _ = writeln!(written.complaints, "{} {}", Styled(BAD, "nitrotpm:"), failure.sentence());
                failure.exit
            }
        };
        totals.exit = totals.exit.max(Some(exit));
    }

    /// Waits for the portion's turn and writes it. `false` where nobody reads any more.
    fn write(&self, portion: u64, written: Written) -> bool {
        let mut output = lock(&self.output);
        while output.next != portion && !output.stopped {
            output = self.turn.wait(output).unwrap_or_else(PoisonError::into_inner);
        }
        if !output.stopped {
            let separator = self.format == Format::Json && output.totals.files > 0 && written.totals.files > 0;
            if separator {
                output.write(",");
            }
            output.write(&written.text);
            output.totals.add(&written.totals);
            output.progress.set_position(output.totals.files);
            if !written.complaints.is_empty() {
                let bar = output.progress.clone();
                bar.suspend(|| complain(written.complaints.trim_end()));
            }
        }
        output.next = portion.saturating_add(1);
        self.turn.notify_all();
        !output.stopped
    }
}

/// Should a thread panic, the others must not wait for its turn to be over.
struct Alarm<'j, 'a>(&'j Job<'a>);

impl Drop for Alarm<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            lock(&self.0.output).stopped = true;
            self.0.turn.notify_all();
        }
    }
}

impl Output {
    fn write(&mut self, text: &str) {
        if self.stopped {
            return;
        }
        let mut out = anstream::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.stopped = true;
            // A reader that went away (`| head`) is no failure, and there is nothing more to do.
            if error.kind() != ErrorKind::BrokenPipe {
                let message = format!("cannot write to standard output: {error}");
                self.failure = Some(Failure::environment("output.write", message));
            }
        }
    }
}

fn add(to: &mut u64, count: u64) {
    *to = to.saturating_add(count);
}

impl Totals {
    fn add(&mut self, other: &Self) {
        add(&mut self.files, other.files);
        add(&mut self.events, other.events);
        add(&mut self.replayed, other.replayed);
        add(&mut self.affirmed, other.affirmed);
        add(&mut self.refused, other.refused);
        add(&mut self.malformed, other.malformed);
        add(&mut self.unreadable, other.unreadable);
        add(&mut self.skipped, other.skipped);
        self.exit = self.exit.max(other.exit);
    }

    fn summary(&self, compared: bool, seconds: f64) -> String {
        let Self { files, events, replayed, affirmed, refused, malformed, unreadable, skipped, .. } = self;
        let verdicts = if compared { format!(" ({affirmed} affirmed, {refused} refused)") } else { String::new() };
        let skipped = if *skipped > 0 { format!(", {skipped} skipped that are no files") } else { String::new() };
        format!(
            "{files} files: {replayed} replayed{verdicts}, {malformed} malformed, {unreadable} unreadable{skipped}; \
             {events} events in {seconds:.1} s"
        )
    }
}
