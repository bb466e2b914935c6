//! Prints how fast the hot paths are against every peer, and which targets are reached.
//!
//! `cargo run --release -p benches --bin report`. What the numbers mean: `docs/performance.md`.
//!
//! `report PART...` measures only some: `extends`, `messages`, `logs`, `two-cores`, `signatures`, `memory`.

mod extends;
mod logs;
mod signatures;
mod table;

use std::process::{Command, ExitCode};

use benches::clock_gigahertz;
use nitrotpm_digest_lanes::Platform;

use crate::extends::{ROUNDS, extends, messages, ratio};
use crate::table::Report;

const PARTS: [&str; 6] = ["extends", "messages", "logs", "two-cores", "signatures", "memory"];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted == ["--million"] {
        logs::million();
        return ExitCode::SUCCESS;
    }
    if let Some(other) = wanted.iter().find(|wanted| !PARTS.contains(&wanted.as_str())) {
        eprintln!("{other} is nothing that is measured; `report` measures all, and some with {}", PARTS.join(", "));
        return ExitCode::from(2);
    }
    let measured = |part: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == part);
    let mut report = Report::default();
    hashtree_rs::init();
    let gigahertz = clock_gigahertz();
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |name| cpu.lines().find_map(|line| line.strip_prefix(name)).unwrap_or(": unknown");
    println!(
        "Processor{}, family{}, model{}, {gigahertz:.2} GHz by a chain of dependent instructions",
        line("model name\t"),
        line("cpu family\t"),
        line("model\t\t")
    );
    println!("Instruction sets: {}", Platform::available().map(Platform::name).collect::<Vec<_>>().join(", "));
    println!("Thread-CPU time, {ROUNDS} rounds in turns, 20th percentile. Only ratios mean anything.");

    if measured("extends") {
        let sha384 = extends::<[u8; 48]>(gigahertz);
        report.target_by_set("SHA-384 extend, bulk: ring", 5.3, 3.0, ratio(&sha384, "ring"));
        report.target_by_set("SHA-384 extend, bulk: openssl", 4.1, 2.3, ratio(&sha384, "openssl"));
        let sha256 = extends::<[u8; 32]>(gigahertz);
        report.target_by_set("SHA-256 extend, bulk: ring", 4.9, 4.5, ratio(&sha256, "ring"));
        report.target("SHA-256 extend, bulk: hashtree-rs", 1.1, ratio(&sha256, "hashtree-rs"));
        let sha1 = extends::<[u8; 20]>(gigahertz);
        report.target_by_set("SHA-1 extend, bulk: ring", 20.0, 12.0, ratio(&sha1, "ring"));
        report.target_by_set("SHA-1 extend, bulk: sha1", 5.4, 3.2, ratio(&sha1, "sha1, sha2"));
        let sha512 = extends::<[u8; 64]>(gigahertz);
        report.target_by_set("SHA-512 extend, bulk: ring", 5.9, 2.9, ratio(&sha512, "ring"));
    }
    if measured("messages") {
        println!("\nMessages of unequal length");
        messages::<[u8; 20]>();
        messages::<[u8; 32]>();
        messages::<[u8; 48]>();
    }
    if measured("logs") || measured("two-cores") {
        match logs::log() {
            Ok(log) => {
                if measured("logs") {
                    logs::logs(&mut report, &log);
                }
                if measured("two-cores") {
                    logs::two_cores(&mut report, &log);
                }
            }
            Err(error) => {
                println!("\nWhole logs: not measured: {error}; set NITROTPM_CORPUS");
                report.target("whole logs", 6.0, None);
            }
        }
    }
    if measured("signatures") {
        signatures::quotes();
        signatures::documents(&mut report);
    }
    if measured("memory") {
        memory();
    }
    if report.print() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// In a process of its own, whose peak is that of nothing else.
fn memory() {
    let exe = std::env::current_exe().ok();
    let million =
        exe.and_then(|exe| Command::new(exe).arg("--million").output().ok()).filter(|output| output.status.success());
    match million {
        Some(output) => {
            println!("\nMost memory while replaying a million logs: {}", String::from_utf8_lossy(&output.stdout).trim())
        }
        None => println!("\nMost memory while replaying a million logs: not measured"),
    }
}
