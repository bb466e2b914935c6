//! How much memory a log takes: everything counts that the process has allocated at one time, so this is one test in a
//! program of its own.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test that panics or overflows fails, and that is all"
)]

use std::fmt::Write as _;

use nitrotpm_eventlog::writer::{LogBuilder, WrittenEvent, uefi_variable};
use nitrotpm_eventlog::{EarlyApplications, EventLog, EventType, LogError, ParseOptions, guid};
use nitrotpm_pcr::Bank;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The most that was allocated at one time while `work` ran, beside what was there before.
fn peak<T>(work: impl FnOnce() -> T) -> usize {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    work();
    ALLOCATOR.peak_usage() - before
}

/// Counts what is written, and keeps nothing.
struct Counting(usize);

impl std::fmt::Write for Counting {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Parses, replays, confirms and shows all of a log; how many events and characters there were.
fn walk(bytes: &[u8]) -> (usize, usize) {
    let log = EventLog::parse(bytes, &ParseOptions::default()).unwrap();
    let replayed = log.replay_all().unwrap();
    let values = replayed.values();
    let confirmed = replayed.confirm(&values, values.iter().map(|(bank, index, _)| (bank, index))).unwrap();
    let _ = (confirmed.secure_boot(), confirmed.boot_path(EarlyApplications::Report), confirmed.firmware());
    let mut shown = Counting(0);
    let mut events = 0;
    for event in log.events() {
        events += 1;
        write!(shown, "{} {} {}", event.index(), event.event_type(), event.payload_check().name()).unwrap();
        match event.decode() {
            Ok(decoded) => write!(shown, "{decoded}").unwrap(),
            Err(error) => write!(shown, "{error}").unwrap(),
        }
    }
    let _ = log.quirks();
    (events, shown.0)
}

/// `count` copies of an event after the header of a log with one bank.
fn repeated(bank: Bank, event: WrittenEvent, count: usize) -> Vec<u8> {
    let mut builder = LogBuilder::crypto_agile(&[bank]);
    let mut bytes = builder.finish().unwrap();
    let event = builder.push(event).finish().unwrap().split_off(bytes.len());
    bytes.reserve_exact(event.len() * count);
    (0..count).for_each(|_| bytes.extend_from_slice(&event));
    bytes
}

#[test]
fn r4_the_largest_logs_take_less_than_four_times_their_size() {
    let global = guid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
    let large = vec![0x41; 1 << 20];
    let text = [b"kernel_cmdline: ".as_slice(), &"\u{202e}a".as_bytes().repeat(1 << 18)].concat();
    let variable = uefi_variable(global, "Boot0001", &large);
    let unused = |data: &[u8]| WrittenEvent::measured(23, EventType::UNUSED, &[Bank::Sha1], b"", data);
    let one = |event_type, data: &[u8]| WrittenEvent::measured(5, event_type, &[Bank::Sha384], data, data);
    let cases: [(&str, Vec<u8>, usize); 5] = [
        ("a million tiny events", repeated(Bank::Sha1, unused(b""), 1_000_000), 1_000_001),
        ("texts, half of them bidirectional marks", repeated(Bank::Sha384, one(EventType::IPL, &text), 4), 5),
        ("variables", repeated(Bank::Sha384, one(EventType::EFI_VARIABLE_BOOT2, &variable), 16), 17),
        ("events of Windows", repeated(Bank::Sha384, one(EventType::EVENT_TAG, &large), 16), 17),
        ("partition tables", repeated(Bank::Sha384, one(EventType::EFI_GPT_EVENT, &large), 16), 17),
    ];
    for (what, bytes, expected) in &cases {
        let mut found = (0, 0);
        let used = peak(|| found = walk(bytes));
        assert_eq!(found.0, *expected, "{what}");
        // The log itself is one of the four.
        assert!(used < 3 * bytes.len(), "{what}: {used} bytes beside a log of {}", bytes.len());
        // Texts and events are shown as they are read; a replay keeps where the digests are, sixteen bytes for each.
        let kept = (1 << 20) + 16 * expected;
        assert!(used < kept, "{what}: {used} bytes beside a log of {}", bytes.len());
    }

    // Twice the events, and no more than twice the memory.
    let (half, whole) = (repeated(Bank::Sha1, unused(b""), 100_000), repeated(Bank::Sha1, unused(b""), 200_000));
    let (of_half, of_whole) = (peak(|| walk(&half)), peak(|| walk(&whole)));
    assert!(of_whole <= 2 * of_half + 4096, "{of_half} bytes for half, {of_whole} for the whole");

    // At the limit a log is read, and one byte above it is refused before anything is looked at.
    let header = LogBuilder::crypto_agile(&[Bank::Sha1]).finish().unwrap().len();
    let mut full = repeated(Bank::Sha1, unused(&vec![0; ParseOptions::MAX_SIZE - header - 38]), 1);
    assert_eq!(full.len(), ParseOptions::MAX_SIZE);
    assert!(peak(|| walk(&full)) < 1 << 20);
    full.push(0);
    let used = peak(|| {
        let error = EventLog::parse(&full, &ParseOptions::default()).unwrap_err();
        assert!(matches!(error, LogError::TooLarge { .. }), "{error}");
    });
    assert!(used < 4096, "{used}");
}
