//! `nitrotpm-emulator`: a NitroTPM on a developer's machine.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use nitrotpm_emulator::{ASSUMPTIONS, DeviceClock, EmulatorError, Fault, NitroTpm};
use nitrotpm_pcr::Bank;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The environment failed: no swtpm, no permission, no space (contract/cli.md).
const ENVIRONMENT_FAILED: u8 = 4;
const WRONG_USAGE: u8 = 2;
const LOG_INVALID: u8 = 3;

/// A NitroTPM made of swtpm, for tests without AWS.
#[derive(Parser)]
#[command(name = "nitrotpm-emulator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a TPM until it is stopped (SIGTERM, SIGINT, SIGHUP, or `swtpm_ioctl -s` on its control port).
    ///
    /// When the TPM is ready, one line of JSON on standard output says where it is reached.
    #[command(after_help = "\
Examples:
  nitrotpm-emulator run --state /tmp/my-tpm
  nitrotpm-emulator run --state /tmp/my-tpm --tcp 4321 --boot-log eventlog.bin
  nitrotpm-emulator run --state /tmp/my-tpm --fuse /tmp/my-tpm0 --fault stale

It ends with 0 after a signal, 2 for wrong usage, 3 for a boot log that is none, 4 where the environment failed.")]
    Run(Box<Run>),
    /// Lists what the device can be told to do wrong.
    Faults,
    /// Lists what is assumed of the real device, because nobody documents it.
    Assumptions,
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
    /// Offer the TPM as a file that behaves as /dev/tpm0 does (FUSE)
    #[arg(long, value_name = "PATH")]
    fuse: Option<PathBuf>,
    /// Offer the TPM on a pseudo terminal; PATH becomes a symbolic link to it
    #[arg(long, value_name = "PATH")]
    pty: Option<PathBuf>,
    /// Offer the TPM on a Unix socket, and its control on PATH.ctrl, as libtss2's `swtpm:path=PATH` expects it
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// Extend the events of this log into the PCRs, as the firmware that wrote it did; - for standard input
    #[arg(long, value_name = "FILE")]
    boot_log: Option<PathBuf>,
    /// The module id in documents: i-<8 to 17 hexadecimal digits>-tpm<16 hexadecimal digits> [default: made up once]
    #[arg(long, value_name = "ID")]
    module_id: Option<String>,
    /// The region in the names of certificates
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    region: String,
    /// Stand the device's clock still at this time (RFC 3339), which documents and certificates then have
    #[arg(long, value_name = "RFC3339", value_parser = parse_clock)]
    clock: Option<u64>,
    /// Something that the device does wrong; may be given more than once. Names: `nitrotpm-emulator faults`
    #[arg(long = "fault", value_name = "NAME")]
    faults: Vec<Fault>,
}

/// A time in milliseconds since 1970, before which there is no document.
fn parse_clock(text: &str) -> Result<u64, &'static str> {
    let time: Timestamp = text.parse().map_err(|_| "expected a time like 2026-02-03T11:00:00Z (RFC 3339)")?;
    u64::try_from(time.as_millisecond()).map_err(|_| "the time is before 1970-01-01T00:00:00Z")
}

/// No boot log is larger: the parser takes no more.
const LARGEST_BOOT_LOG: u64 = 64 << 20;

/// Reads the boot log to its end; one byte too many is enough for the parser to refuse it.
fn read_boot_log(path: &Path) -> io::Result<Vec<u8>> {
    let mut log = Vec::new();
    let limit = LARGEST_BOOT_LOG.saturating_add(1);
    if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut log)?;
    } else {
        File::open(path)?.take(limit).read_to_end(&mut log)?;
    }
    Ok(log)
}

fn main() -> ExitCode {
    let lines: Vec<String> = match Arguments::parse().command {
        Command::Run(run) => {
            return match serve(*run) {
                Ok(code) => code,
                Err(error) => {
                    complain(&error.to_string());
                    ExitCode::from(match error {
                        EmulatorError::ModuleId { .. } => WRONG_USAGE,
                        EmulatorError::BootLog { .. } | EmulatorError::BootLogLocality { .. } => LOG_INVALID,
                        _ => ENVIRONMENT_FAILED,
                    })
                }
            };
        }
        Command::Faults => Fault::ALL.iter().map(|fault| format!("{fault:<20}{}", fault.meaning())).collect(),
        Command::Assumptions => ASSUMPTIONS.iter().map(|(request, answer)| format!("{request}: {answer}")).collect(),
    };
    let mut output = io::stdout().lock();
    match lines.iter().try_for_each(|line| writeln!(output, "{line}")) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that went away (`| head`) is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => complain(&format!("the list cannot be written ({error})")),
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
    let mut builder = NitroTpm::builder().state_dir(run.state).region(run.region);
    if let Some(module_id) = run.module_id {
        builder = builder.module_id(module_id);
    }
    if let Some(milliseconds) = run.clock {
        builder = builder.clock(DeviceClock::Fixed(milliseconds));
    }
    for fault in run.faults {
        builder = builder.fault(fault);
    }
    if let Some(port) = run.tcp {
        builder = builder.tcp_port(port);
    }
    if let Some(path) = &run.boot_log {
        match read_boot_log(path) {
            Ok(log) => builder = builder.boot_log(log),
            Err(error) => {
                return Ok(complain(&format!(
                    "--boot-log {} cannot be read ({error}): check the path",
                    path.display()
                )));
            }
        }
    }
    if let Some(path) = &run.fuse {
        builder = builder.fuse(path);
    }
    if let Some(path) = &run.pty {
        builder = builder.pty(path);
    }
    if let Some(path) = &run.unix {
        builder = builder.unix(path);
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
    let names = |banks: &[Bank]| banks.iter().map(|bank| bank.name()).collect::<Vec<_>>();
    let boot_log = tpm.boot_log_report().map(|report| {
        serde_json::json!({
            "extended": report.extended,
            "banks": names(&report.banks),
            "banks_without_digests": names(&report.banks_without_digests),
            "banks_switched_off": names(&report.banks_switched_off),
        })
    });
    let ready = serde_json::json!({
        "schema": "nitrotpm.emulator/1",
        "state": tpm.directory(),
        "module_id": tpm.module_id(),
        "root": tpm.directory().join("root.pem"),
        "tcti": tpm.tcti(),
        "tcp": tpm.tcp_port(),
        "fuse": run.fuse,
        "pty": run.pty,
        "unix": run.unix,
        "boot_log": boot_log,
    });
    let mut output = io::stdout();
    if let Err(error) = writeln!(output, "{ready}").and_then(|()| output.flush()) {
        return Ok(complain(&format!("the ready line cannot be written ({error})")));
    }
    loop {
        if signals.pending().next().is_some() || tpm.is_shut_down() {
            return Ok(ExitCode::SUCCESS);
        }
        if !tpm.is_running() {
            return Ok(complain(
                "swtpm has ended or no longer answers: see swtpm.log in the state directory, and start again",
            ));
        }
        // A signal that arrives just before the sleep waits this long.
        std::thread::sleep(Duration::from_millis(50));
    }
}
