//! What scripts may rely on: exit codes, JSON, and where output goes. Runs the built program on the fixtures.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics fails, and that is all"
)]

mod boots;
mod bulk;
mod corpus;
mod documents;
mod enrolment;
mod hostile;
mod logs_and_quotes;
mod policies;
mod predictions;
mod usage;
mod verify;
mod wrong_files;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// What one run gave.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    /// Standard output as the one JSON document that it must be.
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {}", self.stdout))
    }

    #[track_caller]
    fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "standard output: {}\nstandard error: {}", self.stdout, self.stderr);
        self
    }
}

/// Runs `nitrotpm` with arguments separated by spaces, `{boot}` standing for the fixtures' folder.
fn nitrotpm(arguments: &str) -> Run {
    nitrotpm_with_input(arguments, b"")
}

fn nitrotpm_with_input(arguments: &str, input: &[u8]) -> Run {
    let boots = boots();
    let arguments = arguments.split_whitespace().map(|argument| argument.replace("{boot}", boots.to_str().unwrap()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_nitrotpm"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input closes the pipe: that is no error of the test.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap_or_else(|| panic!("ended by a signal: {output:?}")),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn boots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/boot")
}

fn nonce(boot: &str) -> String {
    std::fs::read_to_string(boots().join(boot).join("nonce.hex")).unwrap().trim().to_owned()
}
