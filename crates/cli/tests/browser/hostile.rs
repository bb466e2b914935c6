//! A log whose writer wants the reader's browser to run something.

use std::fs;

use nitrotpm_eventlog::writer::{LogBuilder, uefi_variable};
use nitrotpm_eventlog::{EventType, Guid};
use nitrotpm_pcr::Bank;

use crate::devtools::Browser;
use crate::{Page, seen};

/// What would run, were it not escaped: each sets the same mark.
const ATTACKS: [&str; 7] = [
    "<script>window.pwned = 1</script>",
    "</script><script>window.pwned = 1</script>",
    "</style><script>window.pwned = 1</script>",
    "<img src=x onerror=\"window.pwned = 1\">",
    "\"><svg onload='window.pwned = 1'>",
    "'><body onload=window.pwned=1 onpageshow=window.pwned=1>",
    "</td></tr></table><iframe srcdoc=\"<script>parent.pwned = 1</script>\"></iframe>",
];

/// Characters that are not seen or turn others round, and bytes that are no text.
const ODD: &[u8] = b"a\x1b[2Jb\xe2\x80\xaec\xff\xfe\0d";

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// Every attack in every kind of string that a log can have.
fn log() -> Vec<u8> {
    let mut builder = LogBuilder::crypto_agile(&[Bank::Sha1, Bank::Sha384]);
    for attack in ATTACKS {
        let bytes = attack.as_bytes();
        let mut measure = |pcr, event_type, data: &[u8]| {
            builder.measure(pcr, event_type, data);
        };
        measure(4, EventType::EFI_ACTION, bytes);
        measure(8, EventType::IPL, &[b"grub_cmd: ", bytes].concat());
        measure(8, EventType::IPL, &[b"kernel_cmdline: first\n", bytes].concat());
        measure(9, EventType::IPL, bytes);
        measure(11, EventType::IPL, &utf16(attack));
        measure(12, EventType::IPL, &utf16(attack));
        measure(0, EventType::S_CRTM_VERSION, &utf16(attack));
        measure(1, EventType::SEPARATOR, bytes);
        measure(2, EventType::TABLE_OF_DEVICES, bytes);
        measure(7, EventType(0x8401), bytes);
        measure(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &uefi_variable(Guid::ZERO, attack, bytes));
        let blob = [&[u8::try_from(bytes.len()).unwrap()], bytes, &[0; 16]].concat();
        measure(0, EventType::EFI_PLATFORM_FIRMWARE_BLOB2, &blob);
        let tag = [&7_u32.to_le_bytes(), &u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat();
        measure(9, EventType::EVENT_TAG, &tag);
        // A device path with the attack as the name of the file.
        let name = utf16(attack);
        let node = [&[4, 4], u16::try_from(name.len() + 4).unwrap().to_le_bytes().as_slice(), &name].concat();
        let lengths = [0, 0, 0, u64::try_from(node.len()).unwrap()].map(u64::to_le_bytes);
        measure(4, EventType::EFI_BOOT_SERVICES_APPLICATION, &[lengths.as_flattened(), &node].concat());
        // Cut: what is told is the error, and the bytes.
        measure(1, EventType::EFI_VARIABLE_BOOT, &uefi_variable(Guid::ZERO, attack, bytes)[..60]);
    }
    builder.measure(8, EventType::IPL, &[b"grub_cmd: ", ODD].concat());
    builder.finish().unwrap()
}

#[test]
#[cfg_attr(not(chromium), ignore = "chromium is not in the path: apt-get install chromium")]
fn l8_nothing_in_a_log_runs_in_the_browser() {
    let mut browser = Browser::start();
    // The twin: what is not escaped does run in this browser, each of the attacks that need no special place.
    for attack in [ATTACKS[0], ATTACKS[3], ATTACKS[4]] {
        browser.open(&Page::holding(format!("<!doctype html><p>{attack}</p>").as_bytes()).address(""));
        assert_eq!(browser.value("window.pwned"), 1, "{attack}");
    }

    let folder = tempfile::tempdir().unwrap();
    // The name of the file is a string from outside, too.
    let path = folder.path().join("<script>window.pwned=1<\u{202e}script>\".bin");
    fs::write(&path, log()).unwrap();
    let page = Page::of(&path, &[], 0);
    for fragment in
        ["", "#q=<script>window.pwned=1</script>&pcr=\"><script>&type=<img src=x onerror=pwned=1>&bank='", "#e24"]
    {
        browser.open(&page.address(fragment));
        assert_eq!(browser.value("window.pwned ?? null"), serde_json::Value::Null, "{fragment}");
        assert_eq!(browser.complaints(), Vec::<String>::new(), "{fragment}");
        // One script, one style, no element that the page does not make.
        let foreign =
            "document.querySelectorAll('img, svg, iframe, object, embed, form, [onload], [onerror], [style]').length";
        assert_eq!(browser.value(foreign), 0);
        assert_eq!(browser.value("[document.scripts.length, document.styleSheets.length]"), serde_json::json!([1, 1]));
    }
    browser.open(&page.address(""));
    let title = browser.value("document.title");
    assert_eq!(title, "<script>window.pwned=1<\\u{202e}script>\".bin - event log");
    let count = 1 + ATTACKS.len() * 15 + 1;
    assert_eq!(seen(&mut browser).len(), count);

    // They are shown as what they are: text.
    let summaries = browser.value("[...document.querySelectorAll('summary')].map(summary => summary.textContent)");
    let summaries: Vec<_> = summaries.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    for attack in ATTACKS {
        assert!(summaries.contains(&attack), "{attack}");
        assert!(summaries.contains(&format!("grub_cmd: {attack}").as_str()), "{attack}");
        assert!(summaries.contains(&format!("command line {attack}").as_str()), "{attack}");
    }
    assert_eq!(*summaries.last().unwrap(), "grub_cmd: a\\u{1b}[2Jb\\u{202e}c\\xff\\xfe\\u{0}d");
    // Nothing that is not seen, or turns others round, is in the page at all.
    let hidden = r"(() => { const text = document.documentElement.textContent;
        return [...text].filter(c => /[\p{Cf}\p{Cc}]/u.test(c) && c !== '\n').length; })()";
    assert_eq!(browser.value(hidden), 0);
}

/// Were something forgotten, the page's policy would still not let it run, nor send anything anywhere.
#[test]
#[cfg_attr(not(chromium), ignore = "chromium is not in the path: apt-get install chromium")]
fn the_policy_lets_nothing_but_the_pages_own_script_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.bin");
    fs::write(&path, log()).unwrap();
    let output = Page::of(&path, &[], 0);
    let html = fs::read_to_string(&output.path).unwrap();
    let attacks = "<script>window.pwned = 1</script><img src=\"data:,\" onerror=\"window.pwned = 1\">\
         <iframe srcdoc=\"<script>parent.pwned = 1</script>\"></iframe>\
         <link rel=stylesheet href=\"data:text/css,body{color:red}\"><form action=\"https://example.invalid\"></form>";
    let mut browser = Browser::start();
    let open = |browser: &mut Browser, html: &str| {
        let page = Page::holding(html.as_bytes());
        browser.open(&page.address(""));
        browser.value("window.pwned ?? null")
    };
    let with_policy = html.replace("<h1>", &format!("{attacks}<h1>"));
    assert_ne!(with_policy, html);
    assert_eq!(open(&mut browser, &with_policy), serde_json::Value::Null);
    let complaints = browser.complaints();
    assert!(complaints.iter().any(|complaint| complaint.contains("Content Security Policy")), "{complaints:?}");
    // The page's own script does run: the policy names it.
    assert_eq!(browser.value("document.getElementById('controls').hidden"), false);
    // The twin: without the policy the same runs.
    let (before, after) = with_policy.split_once("<meta http-equiv").unwrap();
    let without_policy = format!("{before}{}", after.split_once('\n').unwrap().1);
    assert_eq!(open(&mut browser, &without_policy), 1);
}
