//! Finds the programs that tests need, so that such a test is skipped in the open when one is missing, never passed.
//!
//! Sets `cfg(swtpm)`, `cfg(swtpm_ioctl)` and `cfg(tpm2_tools)` when the programs are in the path, and `cfg(fuse)` where file
//! systems can be mounted by FUSE, `cfg(fusermount)` where a user who is not root can.

use std::env;
use std::fs;
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
    // Whether this process can mount by itself, and whether anybody can by fusermount3.
    println!("cargo::rustc-check-cfg=cfg(fuse, fusermount)");
    println!("cargo::rerun-if-changed=/usr/bin/fusermount3");
    let [by_itself, by_program] = can_mount();
    if by_itself || by_program {
        println!("cargo::rustc-cfg=fuse");
    }
    if by_program {
        println!("cargo::rustc-cfg=fusermount");
    }
    ExitCode::SUCCESS
}

/// The device, and the capability to mount (CAP_SYS_ADMIN, bit 21), or a program that can have it: not in a container that
/// keeps it from all its processes.
fn can_mount() -> [bool; 2] {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capable = |set: &str| {
        let capabilities = status.lines().find_map(|line| line.strip_prefix(set));
        capabilities.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_some_and(|bits| bits & (1 << 21) != 0)
    };
    let helper = env::var_os("PATH")
        .iter()
        .flat_map(|path| env::split_paths(path).collect::<Vec<_>>())
        .any(|folder| folder.join("fusermount3").is_file());
    let usable = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok();
    [usable && capable("CapEff:"), usable && helper && capable("CapBnd:")]
}
