//! The pages of `nitrotpm eventlog` in a real browser: it is searched and filtered, and nothing in a log runs.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics fails, and that is all"
)]

#[cfg_attr(not(chromium), allow(dead_code, reason = "its tests are skipped"))]
mod devtools;
#[cfg_attr(not(chromium), allow(dead_code, reason = "its tests are skipped"))]
mod hostile;
#[cfg_attr(not(chromium), allow(dead_code, reason = "its tests are skipped"))]
mod looks;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::devtools::Browser;

/// A page in a folder of its own.
struct Page {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Page {
    fn holding(html: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.html");
        std::fs::write(&path, html).unwrap();
        Self { _folder: folder, path }
    }

    /// What the program makes of a log.
    fn of(log: &Path, arguments: &[&str], code: i32) -> Self {
        let output = Command::new(env!("CARGO_BIN_EXE_nitrotpm"))
            .args(["eventlog", "show", "--format", "html"])
            .arg(log)
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        Self::holding(&output.stdout)
    }

    /// Its address with a fragment.
    fn address(&self, fragment: &str) -> String {
        format!("file://{}{fragment}", self.path.display())
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/boot").join(name)
}

/// The numbers of the events that can be seen.
fn seen(browser: &mut Browser) -> Vec<u64> {
    let rows = browser.value(
        "[...document.querySelectorAll('#events tbody tr')].filter(row => row.checkVisibility()).map(row => +row.id.slice(1))",
    );
    rows.as_array().unwrap().iter().map(|row| row.as_u64().unwrap()).collect()
}

fn fragment(browser: &mut Browser) -> String {
    browser.value("location.hash").as_str().unwrap().to_owned()
}

#[test]
#[cfg_attr(not(chromium), ignore = "chromium is not in the path: apt-get install chromium")]
fn events_are_searched_and_filtered() {
    let page = Page::of(&fixture("secure-boot-on/eventlog.bin"), &[], 0);
    let mut browser = Browser::start();
    browser.open(&page.address(""));
    assert_eq!(seen(&mut browser).len(), 37);
    assert_eq!(browser.value("document.title"), "eventlog.bin - event log");
    assert_eq!(browser.value("document.getElementById('count').textContent"), "37 events");

    // A key brings the search, and every word must be there.
    browser.press("/");
    browser.type_text("INITRD linux");
    assert_eq!(seen(&mut browser), [34]);
    assert_eq!(fragment(&mut browser), "#q=INITRD+linux");
    assert_eq!(browser.value("document.getElementById('count').textContent"), "1 of 37 events");
    browser.type_text(" nowhere");
    assert_eq!(seen(&mut browser), Vec::<u64>::new());
    assert_eq!(browser.value("document.getElementById('nothing').checkVisibility()"), true);
    browser.click("#reset");
    assert_eq!(seen(&mut browser).len(), 37);

    // Chips of registers add up; type and payload narrow.
    browser.click("label:has(input[value='4']) .chip");
    assert_eq!(seen(&mut browser), [14, 19, 24]);
    browser.click("label:has(input[value='5']) .chip");
    assert_eq!(seen(&mut browser), [14, 19, 20, 23, 24, 35, 36]);
    let choose = |browser: &mut Browser, control: &str, value: &str| {
        browser.value(&format!(
            "(() => {{ const control = document.getElementById({control:?}); control.value = {value:?}; \
             control.dispatchEvent(new Event('input')); }})()"
        ))
    };
    choose(&mut browser, "type", "EV_EFI_ACTION");
    assert_eq!(seen(&mut browser), [14, 35, 36]);
    choose(&mut browser, "check", "mismatch");
    assert_eq!(seen(&mut browser), Vec::<u64>::new());
    choose(&mut browser, "check", "verified");
    assert_eq!(fragment(&mut browser), "#pcr=4,5&type=EV_EFI_ACTION&check=verified");

    // A digest finds its event, whatever bank is shown.
    browser.click("#reset");
    browser.press("/");
    browser.type_text("fba4721f72b35d920e15691e12ca49d35abec58b");
    assert_eq!(seen(&mut browser), [26]);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[cfg_attr(not(chromium), ignore = "chromium is not in the path: apt-get install chromium")]
fn an_address_shows_the_same_to_somebody_else() {
    let page = Page::of(&fixture("secure-boot-on/eventlog.bin"), &[], 0);
    let mut browser = Browser::start();
    browser.open(&page.address("#pcr=4,9&q=linux&bank=sha1"));
    assert_eq!(seen(&mut browser), [33, 34]);
    assert_eq!(
        browser.value("[document.getElementById('q').value, document.getElementById('bank').value]"),
        json!(["linux", "sha1"])
    );
    let banks = "[...document.querySelectorAll('#pcrs tbody')].filter(bank => bank.checkVisibility()).map(bank => bank.dataset.bank)";
    assert_eq!(browser.value(banks), json!(["sha1"]));

    // Without a bank that of a NitroTPM is shown, in the events too; every bank where that is asked for.
    browser.open(&page.address(""));
    assert_eq!(browser.value(banks), json!(["sha384"]));
    browser.click("#e24 summary");
    let digests = "[...document.querySelectorAll('#e24 .digest')].filter(digest => digest.checkVisibility()).length";
    assert_eq!(browser.value(digests), 1);
    browser.open(&page.address("#bank="));
    assert_eq!(browser.value(banks), json!(["sha1", "sha256", "sha384", "sha512"]));
    browser.click("#open");
    assert_eq!(browser.value(digests), 4);

    // An event's own address opens it, also from within the page.
    browser.open(&page.address("#e24"));
    let open = "[...document.querySelectorAll('details[open]')].map(details => details.closest('tr').id)";
    assert_eq!(browser.value(open), json!(["e24"]));
    browser.click("#e24 td.n a");
    assert_eq!(seen(&mut browser).len(), 37);
    // A register's address shows its events.
    browser.click("#pcrs tbody[data-bank=sha384] a[href='#pcr=7']");
    browser.value("new Promise(done => setTimeout(done, 50))");
    assert_eq!(seen(&mut browser), [4, 5, 6, 7, 8, 9, 22]);

    // What is no value of a control shows everything.
    browser.open(&page.address("#pcr=99&type=EV_NONE&check=x&bank=md5"));
    assert_eq!(seen(&mut browser).len(), 37);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[cfg_attr(not(chromium), ignore = "chromium is not in the path: apt-get install chromium")]
fn everything_is_there_without_a_script() {
    let page = Page::of(&fixture("secure-boot-on/eventlog.bin"), &[], 0);
    let mut browser = Browser::start();
    browser.ask("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    browser.open(&page.address("#e24"));
    // The protocol reads the page though the page's own script does not run.
    assert_eq!(seen(&mut browser).len(), 37);
    assert_eq!(browser.value("document.getElementById('controls').checkVisibility()"), false);
    assert_eq!(
        browser.value("[...document.querySelectorAll('#pcrs tbody')].filter(bank => bank.checkVisibility()).length"),
        4
    );
    browser.click("#e24 summary");
    let fields = "[...document.querySelectorAll('#e24 dt')].filter(part => part.checkVisibility()).map(part => part.textContent)";
    let fields = browser.value(fields);
    for field in ["device path", "length", "sha1", "sha256", "sha384", "sha512", "data"] {
        assert!(fields.as_array().unwrap().contains(&json!(field)), "{field}: {fields}");
    }
    let dump = browser.value("document.querySelector('#e24 pre').textContent");
    assert!(dump.as_str().unwrap().starts_with("000000  "), "{dump}");
}

/// PCRs in a file: those of a boot without PCR 10, which IMA extends, after a change.
fn expected(boot: &str, change: impl FnOnce(&mut Value)) -> tempfile::NamedTempFile {
    let text = std::fs::read(fixture(boot).join("pcrs.json")).unwrap();
    let mut values: Value = serde_json::from_slice(&text).unwrap();
    values.as_object_mut().unwrap().values_mut().for_each(|bank| {
        bank.as_object_mut().unwrap().remove("10");
    });
    change(&mut values);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), values.to_string()).unwrap();
    file
}

#[test]
#[cfg_attr(not(chromium), ignore = "chromium is not in the path: apt-get install chromium")]
fn a_mismatch_is_told_with_the_event_that_explains_it() {
    let log = fixture("secure-boot-on/eventlog.bin");
    let good = expected("secure-boot-on", |_| {});
    let page = Page::of(&log, &["--pcrs", good.path().to_str().unwrap()], 0);
    let mut browser = Browser::start();
    browser.open(&page.address(""));
    let verdict = "document.querySelector('.verdict').innerText";
    assert_eq!(browser.value(verdict), "Match. The log gives all 92 values that were expected.");

    // The value that PCR 5 has before ExitBootServices succeeded: the log's last event was not extended.
    let bytes = std::fs::read(&log).unwrap();
    let parsed = nitrotpm_eventlog::EventLog::parse(&bytes, &nitrotpm_eventlog::ParseOptions::default()).unwrap();
    let pcr5 = nitrotpm_pcr::PcrIndex::new(5).unwrap();
    let mut chain = nitrotpm_pcr::Chain::new(nitrotpm_pcr::Bank::Sha384, pcr5);
    for event in parsed.events().filter(|event| event.pcr() == Some(pcr5) && event.index() < 36) {
        chain.extend(&event.digest(nitrotpm_pcr::Bank::Sha384).unwrap()).unwrap();
    }
    let bad = expected("secure-boot-on", |values| values["sha384"]["5"] = json!(chain.value().to_string()));
    let page = Page::of(&log, &["--pcrs", bad.path().to_str().unwrap()], 1);
    browser.open(&page.address(""));
    let told = browser.value(verdict);
    let told = told.as_str().unwrap();
    assert!(told.starts_with("Mismatch. The log does not give 1 of the 92 values"), "{told}");
    assert!(told.contains("PCR 5 of sha384: the register's first 3 events fit; event 36"), "{told}");
    assert!(told.contains(&chain.value().to_string()), "{told}");
    let row =
        "document.querySelector('#pcrs tbody[data-bank=sha384] tr:has(a[href=\"#pcr=5\"]) td:last-child').innerText";
    assert_eq!(browser.value(row), "✗ mismatch");
    browser.click(".verdict a");
    browser.value("new Promise(done => setTimeout(done, 50))");
    assert_eq!(browser.value("document.querySelector('details[open]').closest('tr').id"), "e36");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
#[cfg_attr(not(chromium), ignore = "chromium is not in the path: apt-get install chromium")]
fn two_boots_are_compared_on_a_page() {
    let output = Command::new(env!("CARGO_BIN_EXE_nitrotpm"))
        .args(["eventlog", "diff", "--format", "html"])
        .args(["secure-boot-off/eventlog.bin", "tampered-command-line/eventlog.bin"].map(fixture))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let page = Page::holding(&output.stdout);
    let mut browser = Browser::start();
    for width in [360, 1400] {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500 });
        browser.ask("Emulation.setDeviceMetricsOverride", size);
        browser.open(&page.address(""));
        let rows =
            "[...document.querySelectorAll('#diff tbody tr')].map(row => row.querySelector('td.mark').innerText)";
        assert_eq!(browser.value(rows), json!(["kernel-command-line", "kernel-command-line", "boot-image"]));
        let verdict = browser.value("document.querySelector('.verdict').innerText");
        assert_eq!(verdict, "3 differences. The most likely cause of the others stands first.");
        browser.click("#diff details:first-of-type summary");
        let digest = browser
            .value("[...document.querySelectorAll('#diff .digest')].find(part => part.checkVisibility()).innerText");
        assert_eq!(digest.as_str().unwrap().len(), 40);
        let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.value(overflow), 0, "{width}");
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}

#[test]
#[cfg_attr(not(chromium), ignore = "chromium is not in the path: apt-get install chromium")]
fn a_page_of_some_events_says_so() {
    let page = Page::of(&fixture("secure-boot-on/eventlog.bin"), &["--pcr", "4,7", "--type", "efi_variable"], 0);
    let mut browser = Browser::start();
    browser.open(&page.address(""));
    assert_eq!(seen(&mut browser), [4, 5, 6, 7, 8, 22]);
    let told = browser.value("document.querySelector('.verdict.note').innerText");
    assert_eq!(told, "This page was made with 6 of the log's 37 events.");
}
