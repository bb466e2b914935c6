//! Finds what tests need, so that such a test is skipped in the open when it is missing, never passed; and tells the
//! program which commit it was built from, where that is known.
//!
//! Sets `cfg(chromium)` when that program is in the path, and `cfg(corpus)` when the corpus is there; then
//! `NITROTPM_CORPUS_DIR` says where. That a corpus which is asked for is missing is an error of the tests' own package.
//! `NITROTPM_COMMIT` decides which commit it is where it is set, as for a build from a source package; else git is asked.
//!
//! Cargo takes a file that is not there as changed, and would build the program anew each time: only what is there is
//! named to it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    find_chromium();
    find_corpus();
    name_commit();
}

fn find_chromium() {
    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rustc-check-cfg=cfg(chromium)");
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).filter(|folder| folder.is_dir()).collect();
    match folders.iter().map(|folder| folder.join("chromium")).find(|program| program.is_file()) {
        Some(program) => {
            println!("cargo::rerun-if-changed={}", program.display());
            println!("cargo::rustc-cfg=chromium");
        }
        // A folder changes when a program is installed into it.
        None => folders.iter().for_each(|folder| println!("cargo::rerun-if-changed={}", folder.display())),
    }
}

fn find_corpus() {
    println!("cargo::rerun-if-env-changed=NITROTPM_CORPUS");
    println!("cargo::rustc-check-cfg=cfg(corpus)");
    let chosen = env::var_os("NITROTPM_CORPUS").filter(|value| !value.is_empty()).map(PathBuf::from);
    // A path that is not absolute is meant from the project's root.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let corpus = root.join(chosen.unwrap_or_else(|| PathBuf::from("../shared/corpus")));
    let marker = corpus.join("eventlog/MANIFEST.tsv");
    if marker.is_file() {
        println!("cargo::rerun-if-changed={}", marker.display());
        println!("cargo::rustc-cfg=corpus");
    }
    println!("cargo::rustc-env=NITROTPM_CORPUS_DIR={}", corpus.canonicalize().unwrap_or(corpus).display());
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn name_commit() {
    println!("cargo::rerun-if-env-changed=NITROTPM_COMMIT");
    let given = env::var("NITROTPM_COMMIT").ok().filter(|commit| !commit.is_empty());
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
