//! The fuzzer: libFuzzer with one of the targets in it.
//!
//! Built and run by `tests/fuzz/run`. What it does is told by environment variables, since libFuzzer has the command
//! line: `NITROTPM_FUZZ_TARGET` names the target; `NITROTPM_FUZZ_LIST` prints the targets, `NITROTPM_FUZZ_SEEDS` writes
//! their seeds into that folder, and either ends the program.
#![no_main]

mod check;
mod documents;
mod logs;
mod made;
mod prediction;
mod references;
mod seeds;
mod targets;
mod tpm;
mod uefi;

use std::env;
use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;

use crate::targets::{TARGETS, Target};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

static CHOSEN: OnceLock<&Target> = OnceLock::new();

fuzz_target!(
    init: {
        if env::var_os("NITROTPM_FUZZ_LIST").is_some() {
            for target in TARGETS {
                println!("{}\t{}\t{}", target.name, target.longest, target.smoke);
            }
            exit(0);
        }
        if let Some(folder) = env::var_os("NITROTPM_FUZZ_SEEDS") {
            exit(match seeds::write(Path::new(&folder)) {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("the seeds cannot be written: {error}");
                    4
                }
            });
        }
        let name = env::var("NITROTPM_FUZZ_TARGET").unwrap_or_default();
        let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
            eprintln!("NITROTPM_FUZZ_TARGET names no target: {name:?}");
            exit(2);
        };
        let _ = CHOSEN.set(target);
    },
    |data: &[u8]| {
        if let Some(target) = CHOSEN.get() {
            (target.run)(data);
        }
    }
);
