//! tpm2-tools work through the emulator, unmodified.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::path::Path;
use std::process::Command;

use nitrotpm_emulator::NitroTpm;
use nitrotpm_pcr::{Bank, PcrIndex};

/// Runs a line of tpm2-tools in `directory`, and gives what it printed.
#[track_caller]
fn tool(tcti: &str, directory: &Path, line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap())
        .args(words)
        .current_dir(directory)
        .env("TPM2TOOLS_TCTI", tcti)
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[cfg_attr(not(all(swtpm, tpm2_tools)), ignore = "swtpm or tpm2-tools are not there: apt-get install swtpm tpm2-tools")]
fn extend_quote_and_check_over_tcp() {
    let tpm = NitroTpm::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let run = |line: &str| tool(&tpm.tcti(), directory.path(), line);
    let digest = "11".repeat(48);
    run(&format!("tpm2_pcrextend 4:sha384={digest}"));
    let index = PcrIndex::new(4).unwrap();
    assert!(!tpm.pcrs(Bank::Sha384).unwrap().get(Bank::Sha384, index).unwrap().is_zero());
    // Without a resource manager the tools leave loaded objects behind.
    let run = |line: &str| {
        run(line);
        run("tpm2_flushcontext -t");
    };
    run("tpm2_createek -c ek.ctx -G rsa -u ek.pub");
    run("tpm2_createak -C ek.ctx -c ak.ctx -G ecc -g sha256 -s ecdsa -u ak.pub -n ak.name");
    run("tpm2_quote -c ak.ctx -l sha384:0,4,7 -q 0102030405060708 -m q.msg -s q.sig -o q.pcrs -g sha256");
    run("tpm2_checkquote -u ak.pub -m q.msg -s q.sig -f q.pcrs -q 0102030405060708 -g sha256");
    tpm.reset().unwrap();
    assert!(tpm.pcrs(Bank::Sha384).unwrap().get(Bank::Sha384, index).unwrap().is_zero());
}
