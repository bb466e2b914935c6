//! Finds the programs that tests need, so that such a test is skipped in the open when one is missing, never passed.
//!
//! Sets `cfg(swtpm)`, `cfg(swtpm_ioctl)` and `cfg(tpm2_tools)` when the programs are in the path, and `cfg(fuse)` where file
//! systems can be mounted by FUSE.

use std::env;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rerun-if-env-changed=NITROTPM_REQUIRE_SWTPM");

    let required = env::var_os("NITROTPM_REQUIRE_SWTPM").is_some_and(|value| !value.is_empty() && value != "0");
    for (cfg, program, package) in [
        ("swtpm", "swtpm", "swtpm"),
        ("swtpm_ioctl", "swtpm_ioctl", "swtpm-tools"),
        ("tpm2_tools", "tpm2_pcrread", "tpm2-tools"),
    ] {
        println!("cargo::rustc-check-cfg=cfg({cfg})");
        let mut found = false;
        for folder in env::var_os("PATH").iter().flat_map(|path| env::split_paths(path).collect::<Vec<_>>()) {
            let path = folder.join(program);
            // Cargo runs this again each time while the file is missing, and so sees one that appears.
            println!("cargo::rerun-if-changed={}", path.display());
            if path.is_file() {
                found = true;
                break;
            }
        }
        if found {
            println!("cargo::rustc-cfg={cfg}");
        } else if required {
            println!("cargo::error=NITROTPM_REQUIRE_SWTPM is set and {program} is missing: apt-get install {package}");
            return ExitCode::FAILURE;
        }
    }
    println!("cargo::rustc-check-cfg=cfg(fuse)");
    if can_mount() {
        println!("cargo::rustc-cfg=fuse");
    }
    ExitCode::SUCCESS
}

/// The device, and either the capability to mount (CAP_SYS_ADMIN, bit 21) or the program that has it.
fn can_mount() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capable = capabilities.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or_default();
    let helper = env::var_os("PATH")
        .iter()
        .flat_map(|path| env::split_paths(path).collect::<Vec<_>>())
        .any(|folder| folder.join("fusermount3").is_file());
    Path::new("/dev/fuse").exists() && (capable & (1 << 21) != 0 || helper)
}
