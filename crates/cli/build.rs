//! Finds what tests need, so that such a test is skipped in the open when it is missing, never passed.
//!
//! Sets `cfg(chromium)` when that program is in the path, and `cfg(corpus)` when the corpus is there; then
//! `NITROTPM_CORPUS_DIR` says where. That a corpus which is asked for is missing is an error of the tests' own package.
//!
//! Cargo takes a file that is not there as changed, and would build the program anew each time: only what is there is
//! named to it.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
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
