//! Tells the program which commit it was built from, where that is known.
//!
//! `NITROTPM_COMMIT` decides where it is set, as for a build from a source package; else git is asked.

use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=NITROTPM_COMMIT");
    let given = std::env::var("NITROTPM_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(|| {
        // Changes with each commit and each checkout.
        let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
        println!("cargo::rerun-if-changed={log}");
        // A crate unpacked inside somebody else's repository is not of that repository's commit.
        git(&["ls-files", "--error-unmatch", "build.rs"])?;
        git(&["rev-parse", "HEAD"])
    });
    if let Some(commit) = commit.filter(|commit| commit.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        println!("cargo::rustc-env=NITROTPM_BUILT_FROM={commit}");
    }
}
