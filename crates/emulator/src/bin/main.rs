//! `nitrotpm-emulator`: a NitroTPM on a developer's machine.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use nitrotpm_emulator::{EmulatorError, NitroTpm};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The environment failed: no swtpm, no permission, no space (contract/cli.md).
const ENVIRONMENT_FAILED: u8 = 4;

/// A NitroTPM made of swtpm, for tests without AWS.
#[derive(Parser)]
#[command(name = "nitrotpm-emulator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a TPM until it is stopped (SIGTERM, SIGINT or SIGHUP).
    ///
    /// When the TPM is ready, one line of JSON on standard output says where it is reached.
    Run(Run),
}

#[derive(Args)]
struct Run {
    /// The directory that holds the TPM's state; a new TPM is made where there is none
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Offer the TPM on this TCP port, with control on the next one, as libtss2's swtpm TCTI expects it
    /// [default: two free ports]
    #[arg(long, value_name = "PORT")]
    tcp: Option<u16>,
}

fn main() -> ExitCode {
    let Command::Run(run) = Arguments::parse().command;
    match serve(run) {
        Ok(code) => code,
        Err(error) => complain(&error.to_string()),
    }
}

fn complain(message: &str) -> ExitCode {
    // Nobody is left to tell where standard error is closed.
    let _ = writeln!(io::stderr(), "nitrotpm-emulator: {message}");
    ExitCode::from(ENVIRONMENT_FAILED)
}

fn serve(run: Run) -> Result<ExitCode, EmulatorError> {
    // Before the TPM is there, so that no signal ends this process without shutting it down.
    let mut signals = match Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        Ok(signals) => signals,
        Err(error) => return Ok(complain(&format!("signals cannot be handled ({error})"))),
    };
    let mut builder = NitroTpm::builder().state_dir(run.state);
    if let Some(port) = run.tcp {
        builder = builder.tcp_port(port);
    }
    let tpm = builder.start()?;
    match tpm.write_ek_public() {
        Ok(()) => {}
        // A TPM in use may have an endorsement password, or no room: the keys of before stay in the directory.
        Err(error @ EmulatorError::Tpm { .. }) => {
            let _ = writeln!(io::stderr(), "nitrotpm-emulator: ek-pub.der and ek-pub.tpmt are not renewed: {error}");
        }
        Err(error) => return Err(error),
    }
    let ready = serde_json::json!({
        "schema": "nitrotpm.emulator/1",
        "state": tpm.directory(),
        "tcti": tpm.tcti(),
        "tcp": tpm.tcp_port(),
    });
    let mut output = io::stdout();
    if let Err(error) = writeln!(output, "{ready}").and_then(|()| output.flush()) {
        return Ok(complain(&format!("the ready line cannot be written ({error})")));
    }
    loop {
        if signals.pending().next().is_some() {
            return Ok(ExitCode::SUCCESS);
        }
        if !tpm.is_running() {
            return Ok(complain("swtpm has ended: see swtpm.log in the state directory, and start again"));
        }
        // A signal that arrives just before the sleep waits this long.
        std::thread::sleep(Duration::from_millis(50));
    }
}
