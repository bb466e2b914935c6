//! Finds what tests need, so that such a test is skipped in the open when it is missing, never passed.
//!
//! Sets `cfg(chromium)` when that program is in the path, and `cfg(corpus)` when the corpus is there; then
//! `NITROTPM_CORPUS_DIR` says where. That a corpus which is asked for is missing is an error of the tests' own package.

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rustc-check-cfg=cfg(chromium)");
    let path = env::var_os("PATH").unwrap_or_default();
    for program in env::split_paths(&path).map(|folder| folder.join("chromium")) {
        // Cargo runs this again each time while the file is missing, and so sees one that appears.
        println!("cargo::rerun-if-changed={}", program.display());
        if program.is_file() {
            println!("cargo::rustc-cfg=chromium");
            break;
        }
    }

    println!("cargo::rerun-if-env-changed=NITROTPM_CORPUS");
    println!("cargo::rustc-check-cfg=cfg(corpus)");
    let chosen = env::var_os("NITROTPM_CORPUS").filter(|value| !value.is_empty()).map(PathBuf::from);
    // A path that is not absolute is meant from the project's root.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let corpus = root.join(chosen.unwrap_or_else(|| PathBuf::from("../shared/corpus")));
    let marker = corpus.join("eventlog/MANIFEST.tsv");
    println!("cargo::rerun-if-changed={}", marker.display());
    if marker.is_file() {
        println!("cargo::rustc-cfg=corpus");
    }
    println!("cargo::rustc-env=NITROTPM_CORPUS_DIR={}", corpus.canonicalize().unwrap_or(corpus).display());
}
