//! Whether the page can be read: in light and dark, on wide and narrow screens.

use serde_json::json;

use crate::devtools::Browser;
use crate::{Page, expected, fixture, seen};

/// The least contrast of text with what is behind it (WCAG 2.2, success criterion 1.4.3).
const LEAST_CONTRAST: f64 = 4.5;

/// The contrast of every element that has text of its own, the lowest first.
const CONTRASTS: &str = r"(() => {
    const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
    const light = (colour) => {
        const [r, g, b] = numbers(colour).map((part) => part / 255)
            .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (numbers(colour)[3] !== 0) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    const found = [...document.body.querySelectorAll('*')]
        .filter((element) => element.tagName !== 'SCRIPT' && element.checkVisibility()
            && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== ''))
        .map((element) => {
            const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
            return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.tagName + '.' + element.className];
        });
    return found.sort((a, b) => a[0] - b[0]);
})()";

#[test]
#[cfg_attr(not(chromium), ignore = "chromium is not in the path: apt-get install chromium")]
fn the_page_is_readable_in_light_and_dark_on_wide_and_narrow_screens() {
    // A page with everything on it: a mismatch, quirks, all details open.
    let tampered = expected("tampered-command-line", |_| {});
    let log = fixture("secure-boot-off/eventlog.bin");
    let page = Page::of(&log, &["--pcrs", tampered.path().to_str().unwrap()], 1);
    let mut browser = Browser::start();
    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        browser.ask("Emulation.setEmulatedMedia", features);
        for width in [360, 800, 1400] {
            let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500 });
            browser.ask("Emulation.setDeviceMetricsOverride", size);
            browser.open(&page.address(""));
            browser.click("#open");
            assert_eq!(seen(&mut browser).len(), 37, "{scheme} {width}");
            let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(browser.value(overflow), 0, "{scheme} {width}: the page is wider than the screen");
            let banks = "[...document.querySelectorAll('#pcrs tbody')].filter(bank => bank.checkVisibility()).length";
            assert_eq!(browser.value(banks), 1, "{scheme} {width}");
            let contrasts = browser.value(CONTRASTS);
            let lowest = &contrasts[0];
            assert!(contrasts.as_array().unwrap().len() > 300, "{contrasts}");
            assert!(lowest[0].as_f64().unwrap() >= LEAST_CONTRAST, "{scheme} {width}: {lowest}");
        }
        backgrounds.push(browser.value("getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(backgrounds[0], backgrounds[1], "light and dark look the same");
}
