//! Finds the corpus, so that a test which needs it is skipped in the open when it is missing, never passed.
//!
//! Sets `cfg(corpus)` when the corpus is there, and tells the tests where (`NITROTPM_CORPUS_DIR`); sets `cfg(swtpm)` and
//! `cfg(tpm2_tools)` when those programs are in the path.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo::rustc-check-cfg=cfg(corpus)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=NITROTPM_CORPUS");
    println!("cargo::rerun-if-env-changed=NITROTPM_REQUIRE_CORPUS");

    println!("cargo::rerun-if-env-changed=PATH");
    let path = env::var_os("PATH").unwrap_or_default();
    // A file that is not there counts as changed and would build the tests anew each time; a folder changes when a program
    // is installed into it.
    let folders: Vec<PathBuf> = env::split_paths(&path).filter(|folder| folder.is_dir()).collect();
    for (cfg, program) in [("swtpm", "swtpm"), ("tpm2_tools", "tpm2_eventlog")] {
        println!("cargo::rustc-check-cfg=cfg({cfg})");
        match folders.iter().map(|folder| folder.join(program)).find(|program| program.is_file()) {
            Some(program) => {
                println!("cargo::rerun-if-changed={}", program.display());
                println!("cargo::rustc-cfg={cfg}");
            }
            None => folders.iter().for_each(|folder| println!("cargo::rerun-if-changed={}", folder.display())),
        }
    }

    let chosen = env::var_os("NITROTPM_CORPUS").filter(|value| !value.is_empty());
    let required = env::var_os("NITROTPM_REQUIRE_CORPUS").is_some_and(|value| !value.is_empty() && value != "0");
    // A path that is not absolute is meant from the project's root, wherever cargo runs this.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let corpus = root.join(chosen.as_ref().map_or_else(|| PathBuf::from("../shared/corpus"), PathBuf::from));
    let marker = corpus.join("boot/README.md");
    let there = marker.is_file();
    // Cargo runs this again each time while the file is missing, and so sees a corpus that appears.
    println!("cargo::rerun-if-changed={}", marker.display());

    if there {
        println!("cargo::rustc-cfg=corpus");
    } else if chosen.is_some() {
        println!(
            "cargo::error=NITROTPM_CORPUS names {}, and no corpus is there (it has boot/README.md)",
            corpus.display()
        );
        return ExitCode::FAILURE;
    } else if required {
        println!(
            "cargo::error=NITROTPM_REQUIRE_CORPUS is set and there is no corpus at {}: put it there or name another \
             place in NITROTPM_CORPUS",
            corpus.display()
        );
        return ExitCode::FAILURE;
    }

    println!("cargo::rustc-env=NITROTPM_CORPUS_DIR={}", corpus.canonicalize().unwrap_or(corpus).display());
    ExitCode::SUCCESS
}
