//! What stands in a page, and what must not.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics fails, and that is all"
)]

use std::fmt::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nitrotpm_eventlog::writer::{LogBuilder, uefi_variable};
use nitrotpm_eventlog::{EventLog, EventType, Guid, LogError, ParseOptions, is_hidden};
use nitrotpm_pcr::{Bank, PcrIndex, PcrValues, reset_value};

use crate::{DiffPage, Page};

fn parse(bytes: &[u8]) -> EventLog<'_> {
    EventLog::parse(bytes, &ParseOptions::default()).unwrap()
}

/// The page of a log with its replay.
fn page(bytes: &[u8]) -> String {
    let log = parse(bytes);
    let replayed = log.replay_all().unwrap();
    Page::new("log.bin", bytes, &log).with_replay(&replayed).to_html()
}

fn boot() -> LogBuilder {
    boot_with("SecureBoot", "Calling EFI Application from Boot Option")
}

/// A boot with the name of a variable and an action.
fn boot_with(variable: &str, action: &str) -> LogBuilder {
    let mut builder = LogBuilder::crypto_agile(&[Bank::Sha256, Bank::Sha384]);
    builder.measure(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &uefi_variable(Guid::ZERO, variable, &[1]));
    builder.measure(4, EventType::EFI_ACTION, action.as_bytes());
    builder.measure_as(4, EventType::EFI_BOOT_SERVICES_APPLICATION, b"image", &[0; 32]);
    builder.measure(4, EventType::SEPARATOR, &[0; 4]);
    builder
}

/// Every element is closed by its own kind, in order; the elements, by name.
fn elements(html: &str) -> Vec<String> {
    const EMPTY: [&str; 4] = ["!doctype", "meta", "input", "br"];
    let (mut open, mut found) = (Vec::new(), Vec::new());
    let mut rest = html;
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').unwrap();
        rest = after;
        let name = tag.split([' ', '\n']).next().unwrap();
        if let Some(closed) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed), "before {}", &after[..after.len().min(80)]);
            continue;
        }
        found.push(name.to_owned());
        if matches!(name, "script" | "style") {
            rest = after.split_once(&format!("</{name}>")).unwrap().1;
        } else if !EMPTY.contains(&name) {
            open.push(name.to_owned());
        }
    }
    assert_eq!(open, Vec::<String>::new());
    found
}

#[test]
fn a_page_is_whole_and_the_same_each_time() {
    let bytes = boot().finish().unwrap();
    let html = page(&bytes);
    let found = elements(&html);
    assert_eq!(found.iter().filter(|name| *name == "details").count(), 5);
    assert_eq!(found.iter().filter(|name| *name == "script").count(), 1);
    assert_eq!(html, page(&bytes));
    for text in [
        "<td class=\"t\">EV_EFI_ACTION</td>",
        "Calling EFI Application from Boot Option",
        "SecureBoot",
        &parse(&bytes).replay(Bank::Sha384).unwrap().register(PcrIndex::new(4).unwrap()).value().unwrap().to_string(),
    ] {
        assert!(html.contains(text), "{text}");
    }
}

#[test]
fn l8_what_a_log_says_is_text_and_nothing_else() {
    let plain = elements(&page(&boot().finish().unwrap()));
    let hostile = "</td><script>alert('1')</script>\"&<b>";
    let builder = boot_with(hostile, &format!("{hostile}a\u{1b}[2J\u{202e}b\u{7f}\u{feff}"));
    let bytes = builder.finish().unwrap();
    let log = parse(&bytes);
    let html = Page::new(hostile, &bytes, &log).with_replay(&log.replay_all().unwrap()).to_html();
    // The same elements, though every string is another one.
    assert_eq!(elements(&html), plain);
    assert!(html.contains("&lt;/td&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;&lt;b&gt;"));
    assert!(html.contains("a\\u{1b}[2J\\u{202e}b\\u{7f}\\u{feff}"));
    assert!(html.chars().all(|character| character == '\n' || !is_hidden(character)));
}

/// A real log with one byte changed, all over: whatever still parses gives a page of the same make.
#[test]
fn l8_a_log_with_a_changed_byte_gives_a_whole_page() {
    const KNOWN: [&str; 38] = [
        "!doctype", "a", "body", "br", "button", "dd", "details", "div", "dl", "dt", "em", "fieldset", "footer", "h1",
        "h2", "head", "html", "input", "label", "li", "meta", "option", "p", "pre", "script", "select", "span",
        "strong", "style", "summary", "table", "tbody", "td", "th", "thead", "title", "tr", "ul",
    ];
    let honest = include_bytes!("../../../fixtures/boot/secure-boot-on/eventlog.bin");
    let mut pages = 0;
    for at in (0..honest.len()).step_by(199) {
        let mut bytes = honest.to_vec();
        // What HTML, a terminal and UTF-8 give a meaning.
        bytes[at] = [b'<', b'"', b'&', 0x1B, 0xFF, 0][at % 6];
        let Ok(log) = EventLog::parse(&bytes, &ParseOptions::default()) else { continue };
        let html = match log.replay_all() {
            Ok(replayed) => Page::new("", &bytes, &log).with_replay(&replayed).to_html(),
            Err(error) => Page::new("", &bytes, &log).without_replay(&error).to_html(),
        };
        let found = elements(&html);
        assert!(found.iter().all(|name| KNOWN.contains(&name.as_str())), "byte {at}: {found:?}");
        assert!(html.chars().all(|character| character == '\n' || !is_hidden(character)), "byte {at}");
        pages += 1;
    }
    assert!(pages > 45, "{pages} pages");
}

#[test]
fn the_policy_names_the_pages_own_script_and_style() {
    let html = page(&boot().finish().unwrap());
    let policy = html.split_once("content=\"default-src").unwrap().1.split_once('"').unwrap().0;
    for name in ["script", "style"] {
        let source = html.split_once(&format!("<{name}>")).unwrap().1.split_once(&format!("</{name}>")).unwrap().0;
        let digest = nitrotpm_digest_lanes::hash(Bank::Sha256, &[source.as_bytes()]);
        let allowed = format!("{name}-src 'sha256-{}'", STANDARD.encode(digest.as_bytes()));
        assert!(policy.contains(&allowed), "{policy}");
    }
    assert!(policy.starts_with(" 'none';") && policy.ends_with("base-uri 'none'; form-action 'none'"), "{policy}");
    // Nothing names another place.
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("src="), "something is loaded");
}

#[test]
fn what_was_expected_is_told_with_what_explains_a_mismatch() {
    let bytes = boot().finish().unwrap();
    let log = parse(&bytes);
    let replayed = log.replay_all().unwrap();
    let show = |expected: &PcrValues| {
        let requested = expected.iter().map(|(bank, index, _)| (bank, index));
        let mismatches = match replayed.confirm(expected, requested) {
            Ok(_) => Vec::new(),
            Err(LogError::Mismatch { mismatches }) => mismatches,
            Err(error) => panic!("{error}"),
        };
        let explanations = replayed.explain(&mismatches);
        let html = Page::new("", &bytes, &log)
            .with_replay(&replayed)
            .with_expected(expected, &mismatches, &explanations)
            .to_html();
        elements(&html);
        html
    };
    let mut good = replayed.values();
    let unused = [11, 12, 13, 15].map(|index| PcrIndex::new(index).unwrap());
    unused.into_iter().for_each(|index| good.insert(index, reset_value(Bank::Sha384, index)).unwrap());
    let html = show(&good);
    assert!(html.contains("<strong>Match.</strong> The log gives all 8 values"), "{html}");
    assert!(html.contains("PCR 11-13, 15</td>") && !html.contains("✗ mismatch"));

    let mut bad = PcrValues::new();
    let pcr4 = PcrIndex::new(4).unwrap();
    bad.insert(pcr4, reset_value(Bank::Sha384, pcr4)).unwrap();
    let html = show(&bad);
    assert!(html.contains("<strong>Mismatch.</strong> The log does not give 1 of the 1 values"));
    assert!(html.contains("PCR 4 of sha384: nothing was extended into it"));
    assert!(html.contains("✗ mismatch"));
}

#[test]
fn a_log_that_cannot_be_replayed_or_is_shown_in_part_says_so() {
    let mut builder = boot();
    builder.startup_locality(3).startup_locality(3);
    let bytes = builder.finish().unwrap();
    let log = parse(&bytes);
    let error = log.replay_all().unwrap_err();
    let only_actions = |event: &nitrotpm_eventlog::Event<'_>| event.event_type() == EventType::EFI_ACTION;
    let html = Page::new("", &bytes, &log).without_replay(&error).only(&only_actions).to_html();
    elements(&html);
    assert!(html.contains("The log cannot be replayed.") && html.contains("is given twice"));
    assert!(
        html.contains("This page was made with 1 of the log&#39;s 7 events")
            || html.contains("1 of the log's 7 events")
    );
    assert_eq!(html.matches("<tr id=").count(), 1);
}

#[test]
fn two_logs_are_compared_on_a_page_without_a_script() {
    let hostile = "<script>alert(1)</script>\u{202e}";
    let (before, after) = (boot().finish().unwrap(), boot_with("SecureBoot", hostile).finish().unwrap());
    let (before, after) = (parse(&before), parse(&after));
    let html = DiffPage::new(hostile, "b", &before.diff(&after).unwrap()).to_html();
    let found = elements(&html);
    assert!(!found.contains(&"script".to_owned()) && !html.contains("script-src"));
    assert_eq!(found.iter().filter(|name| *name == "details").count(), 2);
    assert!(html.contains("<strong>2 differences.</strong>"), "{html}");
    assert!(
        html.contains("the action &quot;&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}&quot; is measured and was not")
    );
    assert!(html.chars().all(|character| character == '\n' || !is_hidden(character)));

    let html = DiffPage::new("a", "b", &before.diff(&before).unwrap()).to_html();
    elements(&html);
    assert!(html.contains("The same measurements."));
}

/// Counts what is written and keeps nothing.
struct Counted(usize);

impl Write for Counted {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[test]
fn a_page_grows_with_its_log_and_no_faster() {
    let size = |events: u32, data: usize| {
        let mut builder = LogBuilder::crypto_agile(&[Bank::Sha1]);
        builder.events_mut().reserve(5_000);
        for _ in 0..events {
            builder.record(9, EventType::IPL, &[nitrotpm_pcr::Digest::zero(Bank::Sha1)], &vec![b'<'; data]);
        }
        let bytes = builder.finish().unwrap();
        let mut counted = Counted(0);
        Page::new("", &bytes, &parse(&bytes)).write(&mut counted).unwrap();
        counted.0
    };
    assert!(size(5_000, 0) < 1_000 * 5_000);
    // One event of 1 MiB: its bytes are not all dumped, and the page says so.
    let large = size(1, 1 << 20);
    assert!(large < 12 * (1 << 20), "{large}");
}
