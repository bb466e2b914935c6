//! `nitrotpm-attester`: makes evidence on an instance.
#![expect(clippy::print_stderr, reason = "a program's output")]

mod cli;

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use clap::Parser as _;

fn main() -> ExitCode {
    silence_libtss2();
    // Wrong usage ends here with exit code 2, `--help` with 0.
    let arguments = cli::Arguments::parse();
    match arguments.run().and_then(|output| cli::print(&output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nitrotpm-attester: {error} [{}]", error.code());
            ExitCode::from(error.exit_code())
        }
    }
}

/// libtss2 prints a line of its own for each layer that a failure passes, before the sentence that says what to do. Only
/// its environment turns that off, and it reads it once; so the program starts itself again, in the same process. A
/// `TSS2_LOG` that is set stays as it is.
fn silence_libtss2() {
    if env::var_os("TSS2_LOG").is_some() {
        return;
    }
    if let Ok(program) = env::current_exe() {
        // It returns only where it failed: then the lines stay, and nothing else.
        let _ = Command::new(program).args(env::args_os().skip(1)).env("TSS2_LOG", "all+NONE").exec();
    }
}
