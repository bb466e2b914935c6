//! Boots that were changed in one way against their honest twins.

use nitrotpm_eventlog::{EventLog, ParseOptions};

use crate::corpus;

/// Cause and sentence of every difference.
fn differences(before: &str, after: &str) -> Vec<(String, String)> {
    let (before, after) =
        (corpus::read(&format!("boot/{before}/eventlog.bin")), corpus::read(&format!("boot/{after}/eventlog.bin")));
    let options = ParseOptions::default();
    let (before, after) = (EventLog::parse(&before, &options).unwrap(), EventLog::parse(&after, &options).unwrap());
    let diff = before.diff(&after).unwrap();
    diff.differences()
        .iter()
        .map(|difference| (difference.cause().name().to_owned(), format!("PCR {}: {difference}", difference.pcr())))
        .collect()
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn another_command_line_in_the_image_is_told_first() {
    let found = differences("uki-nosb", "tamper-cmdline");
    let sentences: Vec<_> = found.iter().map(|(_, sentence)| sentence.as_str()).collect();
    assert_eq!(found[0].0, "kernel-command-line", "{found:?}");
    assert_eq!(
        sentences,
        [
            "PCR 9: the command line that the kernel was started with has other contents",
            "PCR 11: the kernel command line in the image (.cmdline) has other contents",
            "PCR 4: the image \\EFI\\BOOT\\BOOTX64.EFI has other contents",
        ]
    );
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn a_signed_image_is_another_image_and_nothing_else() {
    let found = differences("uki-nosb", "uki-signed-nosb");
    assert_eq!(
        found,
        [("boot-image".to_owned(), "PCR 4: the image \\EFI\\BOOT\\BOOTX64.EFI has other contents".to_owned())]
    );
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn secure_boot_turned_on_is_told_first() {
    let found = differences("uki-signed-nosb", "uki-sb");
    assert!(found[0].1.contains("the state of Secure Boot was off and is on"), "{found:?}");
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn a_boot_loader_before_the_image_brings_its_own_command_line() {
    let found = differences("uki-sb", "sdboot-uki-sb");
    assert_eq!(found[0].0, "kernel-command-line", "{found:?}");
    assert!(found[0].1.contains("console=ttyS0"), "{found:?}");
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn a_boot_has_no_difference_to_itself() {
    for name in ["uki-nosb", "uki-sb", "shim-grub-ms"] {
        assert_eq!(differences(name, name), []);
    }
}
