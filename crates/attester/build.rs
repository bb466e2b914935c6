//! Finds swtpm, so that a test which needs it is skipped in the open when it is missing, never passed.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo::rustc-check-cfg=cfg(swtpm)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rerun-if-env-changed=NITROTPM_REQUIRE_SWTPM");
    let path = env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = env::split_paths(&path).map(|folder| folder.join("swtpm")).collect();
    // Cargo runs this again when one of them appears.
    for place in &places {
        println!("cargo::rerun-if-changed={}", place.display());
    }
    let required = env::var_os("NITROTPM_REQUIRE_SWTPM").is_some_and(|value| !value.is_empty() && value != "0");
    if places.iter().any(|place| place.is_file()) {
        println!("cargo::rustc-cfg=swtpm");
    } else if required {
        println!("cargo::error=NITROTPM_REQUIRE_SWTPM is set and there is no swtpm: apt-get install swtpm");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
