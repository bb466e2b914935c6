//! Finds the browser that tests need, so that such a test is skipped in the open when it is missing, never passed.
//!
//! Sets `cfg(chromium)` when that program is in the path.

use std::env;

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
}
