//! What changed on a kernel command line of which only the digest is known.

use std::collections::BTreeSet;

use nitrotpm_digest_lanes::{Digest, hash};
use nitrotpm_pcr::Bank;

/// Arguments that are added to a command line to get in, to switch a protection off, or to look around.
const SUSPECTS: &[&str] = &[
    "init=/bin/sh",
    "init=/bin/bash",
    "init=/bin/dash",
    "init=/usr/bin/sh",
    "init=/usr/bin/bash",
    "init=/sysroot/bin/sh",
    "init=/sysroot/bin/bash",
    "rdinit=/bin/sh",
    "rdinit=/bin/bash",
    "rdinit=/sysroot/bin/sh",
    "single",
    "1",
    "s",
    "S",
    "emergency",
    "rescue",
    "rw",
    "ro",
    "quiet",
    "debug",
    "break",
    "break=top",
    "break=init",
    "break=mount",
    "break=premount",
    "break=bottom",
    "rd.break",
    "rd.break=pre-mount",
    "rd.break=pre-pivot",
    "rd.break=cleanup",
    "rd.shell",
    "rd.shell=1",
    "rd.debug",
    "rd.emergency=shell",
    "rd.systemd.unit=emergency.target",
    "rd.systemd.unit=rescue.target",
    "rd.systemd.debug_shell",
    "rd.systemd.debug_shell=1",
    "rd.systemd.verity=0",
    "rd.systemd.verity=no",
    "systemd.unit=emergency.target",
    "systemd.unit=rescue.target",
    "systemd.unit=multi-user.target",
    "systemd.debug_shell",
    "systemd.debug_shell=1",
    "systemd.debug-shell",
    "systemd.debug-shell=1",
    "systemd.verity=0",
    "systemd.verity=no",
    "systemd.volatile=no",
    "systemd.volatile=state",
    "systemd.volatile=overlay",
    "systemd.log_level=debug",
    "systemd.log_target=console",
    "systemd.gpt_auto=0",
    "systemd.gpt_auto=1",
    "systemd.firstboot=1",
    "systemd.import_credentials=no",
    "selinux=0",
    "enforcing=0",
    "apparmor=0",
    "security=none",
    "lockdown=none",
    "module.sig_enforce=0",
    "ima=off",
    "ima_appraise=off",
    "ima_appraise=fix",
    "ima_appraise=log",
    "evm=fix",
    "audit=0",
    "mitigations=off",
    "nokaslr",
    "nosmep",
    "nosmap",
    "nopti",
    "iommu=off",
    "init_on_alloc=0",
    "efi=debug",
    "loglevel=7",
    "ignore_loglevel",
    "earlyprintk=serial",
    "console=tty0",
    "console=ttyS0",
    "console=ttyS0,115200",
    "console=ttyS0,115200n8",
    "console=hvc0",
    "ip=dhcp",
    "root=/dev/sda1",
    "root=/dev/nvme0n1p1",
];

/// How a command line is hashed: as the kernel's EFI stub gets it (UTF-16 with NUL), and as the section has it.
pub(crate) fn digests(line: &str, bank: Bank) -> [Digest; 2] {
    let wide: Vec<u8> = line.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    [hash(bank, &[&wide]), hash(bank, &[line.as_bytes()])]
}

/// Whether a digest is that of this line.
pub(crate) fn is_of(line: &str, digest: &Digest) -> bool {
    digests(line, digest.algorithm()).contains(digest)
}

/// What happened to the line, where the digest found is that of a line that differs in one argument.
///
/// `known` are lines of other images. At most a few hundred lines are hashed.
pub(crate) fn change(line: &str, found: &Digest) -> Option<String> {
    // A line of megabytes is none.
    if line.len() > 4096 {
        return None;
    }
    let arguments: Vec<&str> = line.split(' ').collect();
    let key = |argument: &str| argument.split('=').next().unwrap_or_default().to_owned();
    for argument in SUSPECTS {
        if is_of(&format!("{line} {argument}"), found) || is_of(&format!("{argument} {line}"), found) {
            return Some(format!("has `{argument}` added"));
        }
    }
    for (position, argument) in arguments.iter().enumerate() {
        let with = |other: Option<&str>| {
            let (before, after) = arguments.split_at(position);
            let parts = before.iter().copied().chain(other).chain(after.iter().skip(1).copied());
            parts.collect::<Vec<_>>().join(" ")
        };
        if is_of(&with(None), found) {
            return Some(format!("lacks `{}`", argument.escape_debug()));
        }
        for other in SUSPECTS.iter().filter(|other| key(other) == key(argument) || is_switch(other, argument)) {
            if is_of(&with(Some(other)), found) {
                return Some(format!("has `{other}` instead of `{}`", argument.escape_debug()));
            }
        }
    }
    // Twice the same, and the same without what stands twice.
    let unique: BTreeSet<&str> = arguments.iter().copied().collect();
    unique
        .iter()
        .find(|argument| is_of(&format!("{line} {argument}"), found))
        .map(|argument| format!("has `{}` twice", argument.escape_debug()))
}

/// Arguments without a value that stand for each other.
fn is_switch(a: &str, b: &str) -> bool {
    matches!((a, b), ("ro", "rw") | ("rw", "ro") | ("debug", "quiet") | ("quiet", "debug"))
}

/// What [`change`] tries, for a person.
pub(crate) const SEARCHED: &str =
    "one argument left out, and one of 89 well-known ones added or put in another's place";

/// The command line in the words of a prediction, where the digest proves it.
pub(crate) fn of_words(words: &str, digest: &Digest) -> Option<String> {
    let line = words.strip_prefix("kernel command line \"")?.strip_suffix('"')?;
    is_of(line, digest).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(line: &str) -> Digest {
        digests(line, Bank::Sha384)[0]
    }

    #[test]
    fn one_argument_added_lost_or_changed_is_found() {
        let line = "console=ttyS0 panic=5 ro";
        for (found, words) in [
            ("console=ttyS0 panic=5 ro init=/bin/sh", "has `init=/bin/sh` added"),
            ("rd.break console=ttyS0 panic=5 ro", "has `rd.break` added"),
            ("console=ttyS0 ro", "lacks `panic=5`"),
            ("console=ttyS0 panic=5 rw", "has `rw` instead of `ro`"),
            ("console=tty0 panic=5 ro", "has `console=tty0` instead of `console=ttyS0`"),
            ("console=ttyS0 panic=5 ro panic=5", "has `panic=5` twice"),
        ] {
            assert_eq!(change(line, &wide(found)).as_deref(), Some(words), "{found}");
        }
        assert_eq!(change(line, &wide("something else")), None);
        // The section has the line as it is, without NUL.
        assert!(change(line, &hash(Bank::Sha256, &[b"console=ttyS0 panic=5 ro single"])).is_some());
    }

    #[test]
    fn what_is_said_to_be_tried_is_the_length_of_the_list() {
        assert!(SEARCHED.contains(&format!("one of {} ", SUSPECTS.len())), "{}", SUSPECTS.len());
    }

    #[test]
    fn the_words_of_a_prediction_count_where_the_digest_proves_them() {
        assert_eq!(of_words("kernel command line \"ro\"", &wide("ro")).as_deref(), Some("ro"));
        assert_eq!(of_words("kernel command line \"ro\"", &wide("rw")), None);
    }
}
