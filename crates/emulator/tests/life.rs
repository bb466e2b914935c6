//! Starting, ending, being killed, starting again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails as a test does")]

mod support;

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nitrotpm_emulator::{EmulatorError, NitroTpm};
use nitrotpm_pcr::Bank;
use support::*;

const GET_RANDOM: [u8; 12] = [0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 8];

fn process_is_there(process: u32) -> bool {
    // A zombie is not there any more.
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[track_caller]
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_new_tpm_answers_and_has_the_banks_of_ec2() {
    let tpm = NitroTpm::start().unwrap();
    let response = tpm.execute(&GET_RANDOM);
    assert_eq!(response.len(), 20);
    assert_eq!(response.get(6..10), Some([0, 0, 0, 0].as_slice()));
    assert_eq!(tpm.pcrs(Bank::Sha1).unwrap().len(), 0);
    for bank in [Bank::Sha256, Bank::Sha384, Bank::Sha512] {
        assert_eq!(tpm.pcrs(bank).unwrap().len(), 24);
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn dropping_it_ends_swtpm_and_removes_the_directory() {
    let tpm = NitroTpm::start().unwrap();
    let (process, directory) = (tpm.swtpm_process(), tpm.directory().to_path_buf());
    assert!(process_is_there(process) && directory.is_dir());
    drop(tpm);
    assert!(!process_is_there(process));
    assert!(!directory.exists());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_killed_swtpm_is_a_failing_tpm_and_the_next_start_works() {
    let directory = tempfile::tempdir().unwrap();
    let tpm = NitroTpm::builder().state_dir(directory.path()).start().unwrap();
    assert!(tpm.is_running());
    assert!(Command::new("kill").args(["-9", &tpm.swtpm_process().to_string()]).status().unwrap().success());
    wait_until("swtpm goes", || !tpm.is_running());
    let asked = Instant::now();
    assert_eq!(tpm.execute(&GET_RANDOM), [0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x01]);
    assert!(asked.elapsed() < Duration::from_secs(1));
    drop(tpm);
    let tpm = NitroTpm::builder().state_dir(directory.path()).start().unwrap();
    assert_eq!(tpm.execute(&GET_RANDOM).len(), 20);
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_state_directory_serves_one_emulator_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let first = NitroTpm::builder().state_dir(directory.path()).start().unwrap();
    let second = NitroTpm::builder().state_dir(directory.path()).start();
    assert!(matches!(second, Err(EmulatorError::StateBusy { .. })), "{second:?}");
    drop(first);
    NitroTpm::builder().state_dir(directory.path()).start().unwrap();
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_suspended_state_is_switched_on_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    drop(NitroTpm::builder().state_dir(directory.path()).start().unwrap());
    // What `swtpm_ioctl -v` leaves, and what swtpm would go on from instead of starting.
    fs::write(directory.path().join("swtpm/tpm2-00.volatilestate"), [0; 100]).unwrap();
    let tpm = NitroTpm::builder().state_dir(directory.path()).start().unwrap();
    assert_eq!(tpm.execute(&GET_RANDOM).len(), 20);
}

#[test]
fn a_missing_swtpm_is_said_so() {
    let tpm = NitroTpm::builder().swtpm("/nonexistent/swtpm").start();
    let error = tpm.unwrap_err();
    assert!(matches!(error, EmulatorError::SwtpmMissing { .. }));
    assert!(error.to_string().contains("apt-get install swtpm"), "{error}");
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_command_with_a_wrong_size_is_refused_and_the_next_one_served() {
    let tpm = NitroTpm::start().unwrap();
    let mut wrong = GET_RANDOM.to_vec();
    wrong.push(0);
    for bad in [&[][..], &GET_RANDOM[..9], &wrong, &vec![0x80; 5000]] {
        assert_eq!(tpm.execute(bad), [0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x42]);
    }
    assert_eq!(tpm.execute(&GET_RANDOM).len(), 20);
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn many_run_side_by_side() {
    let threads: Vec<_> = (0..8)
        .map(|_| {
            thread::spawn(|| {
                let tpm = NitroTpm::start().unwrap();
                assert_eq!(tpm.execute(&GET_RANDOM).len(), 20);
                (tpm.tcp_port(), tpm.execute(&GET_RANDOM), tpm)
            })
        })
        .collect();
    let tpms: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let mut ports: Vec<u16> = tpms.iter().map(|(port, ..)| *port).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 8);
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn the_program_ends_with_its_signal_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (mut child, ready) = Program::start(directory.path(), &[]);
    assert_eq!(ready["schema"], "nitrotpm.emulator/1");
    let swtpm = children(child.0.id());
    assert_eq!(swtpm.len(), 1);
    Command::new("kill").args(["-TERM", &child.0.id().to_string()]).status().unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
    assert!(!process_is_there(swtpm[0]));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_killed_program_takes_swtpm_with_it_and_starts_again() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let (child, _) = Program::start(directory.path(), &[]);
        let swtpm = children(child.0.id());
        assert_eq!(swtpm.len(), 1);
        drop(child); // killed
        // Started again at once, while the old swtpm may still be ending.
        let tpm = NitroTpm::builder().state_dir(directory.path()).start().unwrap();
        assert_eq!(tpm.execute(&GET_RANDOM).len(), 20);
        wait_until("swtpm follows its owner", || !process_is_there(swtpm[0]));
    }
}

#[test]
fn wrong_usage_is_told_from_a_failing_environment() {
    let directory = tempfile::tempdir().unwrap();
    let code = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_nitrotpm-emulator"))
            .args(["run", "--state"])
            .arg(directory.path())
            .args(arguments)
            .env("SWTPM", "/nonexistent/swtpm")
            .output()
            .unwrap();
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
        output.status.code()
    };
    assert_eq!(code(&["--fault", "no-such-fault"]), Some(2));
    assert_eq!(code(&["--clock", "yesterday"]), Some(2));
    assert_eq!(code(&["--clock", "1969-12-31T23:59:59Z"]), Some(2));
    assert_eq!(code(&["--module-id", "i-1"]), Some(2));
    assert_eq!(code(&["--boot-log", "/dev/null"]), Some(3));
    assert_eq!(code(&["--boot-log", "/nonexistent"]), Some(4));
    assert_eq!(code(&[]), Some(4));
}

/// `nitrotpm-emulator faults | head -1` is no failure; a full disk is one.
#[test]
fn a_list_whose_reader_goes_away_is_no_failure() {
    for (line, code) in [("faults | true", 0), ("assumptions | true", 0), ("faults > /dev/full", 4)] {
        let line = format!("\"$1\" {line}; exit ${{PIPESTATUS[0]}}");
        let program = env!("CARGO_BIN_EXE_nitrotpm-emulator");
        let output = Command::new("bash").args(["-c", &line, "bash", program]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {output:?}");
        assert_eq!(output.stderr.is_empty(), code == 0, "{line}: {output:?}");
    }
}

/// What is asked to be opened without end is not kept in memory.
#[test]
fn a_boot_log_without_an_end_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_nitrotpm-emulator"))
        .args(["run", "--boot-log", "/dev/zero", "--state"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}
