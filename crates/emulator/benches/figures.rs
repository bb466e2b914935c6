//! The emulator's figures in one run: how long things take, what they need, and the goals they are held against.
//!
//! `cargo bench -p nitrotpm-emulator` prints them; the exit code is 1 where a goal is missed. Programs whose documents are
//! timed are named in NITROTPM_ATTESTER (`nitrotpm-attester`) and NITRO_TPM_ATTEST (AWS's client, which
//! `tests/interop/aws-client` builds); a figure that could not be taken is printed with the reason.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::print_stdout,
    missing_docs,
    reason = "a measurement ends where something fails, and prints"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nitrotpm_emulator::NitroTpm;
use support::*;

const INDEX: u32 = 0x0180_0010;

struct Report {
    missed: bool,
}

impl Report {
    fn figure(&mut self, name: &str, value: f64, unit: &str, goal: f64) {
        let holds = value < goal;
        self.missed |= !holds;
        println!("{name:<58}{value:>9.2} {unit:<4} goal {goal:>6} {}", if holds { "" } else { "MISSED" });
    }
    fn not_taken(name: &str, reason: &str) {
        println!("{name:<58}not taken: {reason}");
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    milliseconds(times[times.len() / 2])
}

fn timed<T>(action: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = action();
    (value, start.elapsed())
}

fn main() -> ExitCode {
    if !cfg!(swtpm) {
        println!("nothing was measured: swtpm is not there, apt-get install swtpm");
        return ExitCode::from(4);
    }
    let mut report = Report { missed: false };
    start_up(&mut report);
    vendor_command(&mut report);
    quotes(&mut report);
    whole_documents(&mut report);
    ExitCode::from(u8::from(report.missed))
}

fn start_up(report: &mut Report) {
    let (first, took) = timed(|| NitroTpm::start().unwrap());
    println!("{:<58}{:>9.2} ms", "first start in this process", milliseconds(took));
    drop(first);
    let times = (0..20).map(|_| timed(|| NitroTpm::start().unwrap()).1).collect();
    report.figure("start of a new TPM after the first", median(times), "ms", 300.0);
    let state = tempfile::tempdir().unwrap();
    let start = || NitroTpm::builder().state_dir(state.path()).start().unwrap();
    drop(start());
    let times = (0..20).map(|_| timed(start).1).collect();
    report.figure("start of a TPM that has been there before", median(times), "ms", 300.0);
    let program = tempfile::tempdir().unwrap();
    let ((program, _), took) = timed(|| Program::start(program.path(), &[]));
    println!("{:<58}{:>9.2} ms", "start of the program, with both endorsement keys made", milliseconds(took));
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes: f64 = line.split_whitespace().next().unwrap().parse().unwrap();
    report.figure("memory of the program at its highest", kibibytes / 1024.0, "MiB", 50.0);
}

fn vendor_command(report: &mut Report) {
    let tpm = NitroTpm::start().unwrap();
    let client = Client { tpm: &tpm };
    let auth = random(64);
    client.define(INDEX, 8192, AUTHREAD_AUTHWRITE, &auth).unwrap();
    let key = client.storage_key();
    for (title, length) in
        [("vendor command, no arguments", 0), ("vendor command, three arguments of 1,024 bytes", 1024)]
    {
        let field = random(length);
        let field = (length > 0).then_some(field.as_slice());
        let request = attestation(field, field, field);
        let times = (0..200)
            .map(|_| {
                client.write(INDEX, &auth, &request).unwrap();
                // A salted session for each, whose key is looked for in the command: as with AWS's client.
                let mut session = client.session(Hash::Sha512, Hide::Nothing, Some(&key), None);
                let name = client.name(INDEX);
                let sent = vec![with(&mut session, &auth, 0)];
                timed(|| client.call(NSM, &[INDEX, INDEX], &[name.clone(), name], sent, &[]).unwrap()).1
            })
            .collect();
        report.figure(title, median(times), "ms", 2.0);
    }
    for (title, code, parameters) in [
        ("NV_Write of 1,024 bytes", 0x137, [sized(&[7; 1024]), vec![0, 0]].concat()),
        ("NV_Read of 1,024 bytes", 0x14e, vec![4, 0, 0, 0]),
    ] {
        let mut session = client.session(Hash::Sha512, Hide::Nothing, Some(&key), None);
        let name = client.name(INDEX);
        let mut run = || {
            let sent = vec![with(&mut session, &auth, CONTINUE)];
            timed(|| client.call(code, &[INDEX, INDEX], &[name.clone(), name.clone()], sent, &parameters).unwrap()).1
        };
        let times = (0..200).map(|_| run()).collect();
        println!("{title:<58}{:>9.2} ms", median(times));
        client.flush(session.handle);
    }
}

/// swtpm alone, on a socket, as the emulator offers its own.
struct Alone(Child);

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn swtpm_alone(directory: &Path) -> (Alone, UnixStream) {
    let place = directory.join("alone");
    let child = Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "startup-clear", "--tpmstate"])
        .arg(format!("dir={}", directory.display()))
        .arg("--server")
        .arg(format!("type=unixio,path={}", place.display()))
        .arg("--ctrl")
        .arg(format!("type=unixio,path={}.ctrl", place.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let alone = Alone(child);
    let start = Instant::now();
    loop {
        match UnixStream::connect(&place) {
            Ok(stream) => return (alone, stream),
            Err(error) => assert!(start.elapsed() < Duration::from_secs(10), "{error}"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Executes a command, again where a TPM says so: the first use of a key after a start.
fn succeeds(tpm: &dyn Executes, command: &[u8]) -> Vec<u8> {
    let mut answer = tpm.execute(command);
    if u32_at(&answer, 6) == 0x922 {
        answer = tpm.execute(command);
    }
    assert_eq!(u32_at(&answer, 6), 0);
    answer
}

/// A restricted signing key in the owner hierarchy.
fn signing_key(client: &Client<'_>, rsa: bool) -> u32 {
    let mut template = vec![0, if rsa { 1 } else { 0x23 }, 0, 0x0b, 0x00, 0x05, 0x00, 0x72, 0, 0, 0, 0x10];
    if rsa {
        template.extend([0, 0x14, 0, 0x0b, 8, 0, 0, 0, 0, 0, 0, 0]);
    } else {
        template.extend([0, 0x18, 0, 0x0b, 0, 3, 0, 0x10, 0, 0, 0, 0]);
    }
    let parameters = [sized(&[0; 4]), sized(&template), vec![0; 6]].concat();
    u32_at(&succeeds(client.tpm, &by_password(0x131, &[OWNER], b"", &parameters)), 10)
}

fn quotes(report: &mut Report) {
    let places = tempfile::tempdir().unwrap();
    let ours = places.path().join("sock");
    let _tpm = NitroTpm::builder().unix(&ours).start().unwrap();
    let ours = Connected::to(UnixStream::connect(&ours).unwrap());
    let (_alone, stream) = swtpm_alone(places.path());
    let alone = Connected::to(stream);
    for (name, rsa) in [("ECDSA P-256", false), ("RSA-2048", true)] {
        // All of the SHA-384 bank, under a nonce of 32 bytes.
        let parameters = [sized(&[9; 32]), vec![0, 0x10, 0, 0, 0, 1, 0, 0x0c, 3, 0xff, 0xff, 0xff]].concat();
        let prepared: Vec<_> = [&ours as &dyn Executes, &alone]
            .into_iter()
            .map(|tpm| {
                let key = signing_key(&Client { tpm }, rsa);
                (tpm, key, by_password(0x158, &[key], b"", &parameters))
            })
            .collect();
        let mut times = [Vec::new(), Vec::new()];
        // In turns, so that both see the same machine.
        for _ in 0..300 {
            for ((tpm, _, command), times) in prepared.iter().zip(&mut times) {
                times.push(timed(|| succeeds(*tpm, command)).1);
            }
        }
        for (tpm, key, _) in &prepared {
            Client { tpm: *tpm }.flush(*key);
        }
        let [ours, alone] = times.map(median);
        println!("{:<58}{alone:>9.2} ms", format!("quote, {name}, swtpm alone"));
        report.figure(
            &format!("quote, {name}, through the emulator"),
            ours,
            "ms",
            (alone * 1.1 * 1000.0).round() / 1000.0,
        );
    }
}

fn whole_documents(report: &mut Report) {
    let places = tempfile::tempdir().unwrap();
    let device = places.path().join("tpm0");
    let builder = NitroTpm::builder();
    let tpm = if cfg!(fuse) { builder.fuse(&device) } else { builder.pty(&device) }.start().unwrap();
    let client = Client { tpm: &tpm };
    let times = (0..50)
        .map(|_| {
            timed(|| {
                client.define(INDEX, 8192, AUTHREAD_AUTHWRITE, b"a").unwrap();
                client.write(INDEX, b"a", &attestation(None, None, Some(&[5; 32]))).unwrap();
                let mut session = client.session(Hash::Sha512, Hide::Nothing, None, None);
                client.nsm(INDEX, &mut session, b"a").unwrap();
                client.flush(session.handle);
                response(&client.read(INDEX, b"a", 8192).unwrap()).unwrap();
                client.undefine(INDEX).unwrap();
            })
            .1
        })
        .collect();
    println!("{:<58}{:>9.2} ms", "a whole document, by TPM commands in this process", median(times));
    let times = (0..50).map(|_| timed(|| tpm.document(None, None, None).unwrap()).1).collect();
    println!("{:<58}{:>9.2} ms", "of that, PCRs and signature", median(times));

    let endorsement_key =
        median((0..10).map(|_| timed(|| tpm.ek_public(nitrotpm_emulator::EkKind::Rsa2048).unwrap()).1).collect());
    println!("{:<58}{endorsement_key:>9.2} ms", "making the RSA endorsement key, which is swtpm's work");
    let large = places.path().join("argument");
    std::fs::write(&large, random(1024)).unwrap();
    for (title, variable, goal, prefix) in [
        ("a whole document, by nitrotpm-attester", "NITROTPM_ATTESTER", 150.0, vec!["document"]),
        ("a whole document, by AWS's client, without making the key", "NITRO_TPM_ATTEST", 400.0, vec![]),
    ] {
        let Some(program) = std::env::var_os(variable) else {
            Report::not_taken(title, &format!("{variable} names no program"));
            continue;
        };
        let run = |arguments: &[&str]| {
            let mut command = Command::new(&program);
            command.env("TPM_DEVICE", &device).env("TCTI", format!("device:{}", device.display()));
            command.args(&prefix).args(arguments).stdout(Stdio::null());
            timed(|| assert!(command.status().unwrap().success())).1
        };
        let argument = large.to_str().unwrap();
        let all = ["--nonce", argument, "--user-data", argument, "--public-key", argument];
        for (kind, arguments) in [("no arguments", &[][..]), ("largest arguments", &all)] {
            let took = median((0..9).map(|_| run(arguments)).collect());
            // AWS's client makes the key each time: the goal is of the rest.
            let aside = if prefix.is_empty() { endorsement_key } else { 0.0 };
            report.figure(&format!("{title}, {kind}"), took - aside, "ms", goal);
        }
    }
}
