//! Boots that were changed in one way against their honest twins.

use std::fs;
use std::path::{Path, PathBuf};

use nitrotpm_eventlog::{EventLog, ParseOptions};

use crate::corpus;

/// Boots that were tampered with, their honest twins, and the true cause: its name, and the sentences that tell it first.
const TAMPERED: [Tampered; 4] = [
    ("tamper-cmdline", "uki-nosb", "kernel-command-line", COMMAND_LINE, &["boot-image"]),
    ("tampered-command-line", "secure-boot-off", "kernel-command-line", COMMAND_LINE, &["boot-image"]),
    (
        "tampered-kernel",
        "secure-boot-off",
        "boot-image",
        &["PCR 11: the kernel in the image (.linux) has other contents"],
        &["boot-image"; 2],
    ),
    // Its image has another stub too; what the addon did comes first all the same.
    (
        "tampered-addon",
        "secure-boot-off",
        "kernel-command-line",
        &["PCR 9: the command line that the kernel was started with has other contents"],
        &[
            "kernel-command-line",
            "initrd",
            "boot-image",
            "boot-image",
            "boot-image",
            "boot-image",
            "boot-image",
            "boot-image",
        ],
    ),
];

/// A boot, its honest twin, the true cause, the sentences that name it first, and the causes that follow from it.
type Tampered = (&'static str, &'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const COMMAND_LINE: &[&str] = &[
    "PCR 9: the command line that the kernel was started with has other contents",
    "PCR 11: the kernel command line in the image (.cmdline) has other contents",
];

/// Where the boots of the corpus and of this repository are.
fn folders() -> [PathBuf; 2] {
    [corpus::path("boot"), Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/boot")]
}

/// A boot's log, by the name of its folder.
fn log(boot: &str) -> Vec<u8> {
    let paths = folders().map(|folder| folder.join(boot).join("eventlog.bin"));
    let path = paths.iter().find(|path| path.is_file()).unwrap_or_else(|| panic!("there is no boot {boot}"));
    fs::read(path).unwrap()
}

/// Cause and sentence of every difference.
fn differences(before: &str, after: &str) -> Vec<(String, String)> {
    let (before, after) = (log(before), log(after));
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
fn the_true_cause_of_every_tampered_boot_is_told_first() {
    for (tampered, honest, cause, sentences, following) in TAMPERED {
        // Both ways round: what was changed is as telling as what it was changed from.
        for (before, after) in [(honest, tampered), (tampered, honest)] {
            let found = differences(before, after);
            let told: Vec<_> = found.iter().map(|(_, sentence)| sentence.as_str()).collect();
            assert_eq!(&told[..sentences.len()], sentences, "{before} {after}");
            // The cause comes first, what follows from it after it, and nothing else is blamed.
            let causes: Vec<_> = found.iter().map(|(cause, _)| cause.as_str()).collect();
            assert!(causes[..sentences.len()].iter().all(|found| *found == cause), "{causes:?}");
            assert_eq!(&causes[sentences.len()..], following, "{before} {after}: {told:?}");
        }
    }
    // One that is not in the table is a boot that nobody looked at.
    let boots = folders().into_iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let names = boots.map(|boot| boot.unwrap().file_name().into_string().unwrap());
    for name in names.filter(|name| name.starts_with("tamper")) {
        assert!(TAMPERED.iter().any(|(tampered, ..)| *tampered == name), "{name} has no honest twin in the table");
    }
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
