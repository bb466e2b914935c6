//! `nitrotpm enrol`: the verifier's side of an enrolment. The instance's side is `nitrotpm-attester enrol`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use nitrotpm_credential::{CredentialError, EndorsementKey, EnrolmentAnswer, EnrolmentRequest, PendingEnrolment};
use nitrotpm_freshness::UnixTime;
use ring::rand::SystemRandom;

use crate::args::{ChallengeArgs, CompleteArgs, EnrolCommand};
use crate::exit::{Exit, Failure};
use crate::input::{Shown, read};

pub(super) fn run(command: &EnrolCommand) -> Result<Exit, Failure> {
    match command {
        EnrolCommand::Challenge(args) => challenge(args),
        EnrolCommand::Complete(args) => complete(args),
    }
}

fn challenge(args: &ChallengeArgs) -> Result<Exit, Failure> {
    let request = EnrolmentRequest::from_json(&text(&args.request)?).map_err(failed(&args.request))?;
    let trusted = EndorsementKey::parse(&read(&args.ek)?).map_err(failed(&args.ek))?;
    let (pending, challenge) =
        request.challenge(&trusted, args.instance_id.clone(), &SystemRandom::new()).map_err(failed(&args.request))?;
    let pending = pending.to_json().map_err(failed(&args.pending))?;
    let challenge = challenge.to_json().map_err(failed(&args.out))?;
    write_new(&args.pending, pending.as_bytes())?;
    fs::write(&args.out, challenge).map_err(|error| {
        // Nobody has the challenge: nothing is pending.
        let _ = fs::remove_file(&args.pending);
        not_written(&args.out, &error)
    })?;
    Ok(Exit::Done)
}

fn complete(args: &CompleteArgs) -> Result<Exit, Failure> {
    // What can be seen to be wrong beforehand should not use the challenge up: a mistyped name, a record that is there.
    let answer = EnrolmentAnswer::from_json(&text(&args.answer)?).map_err(failed(&args.answer))?;
    if args.out.exists() {
        return Err(not_written(&args.out, &io::ErrorKind::AlreadyExists.into()));
    }
    let pending = PendingEnrolment::from_json(&take(&args.pending)?).map_err(failed(&args.pending))?;
    let record = pending.complete(&answer, Some(UnixTime::now())).map_err(failed(&args.answer))?;
    let record = record.to_json().map_err(failed(&args.out))?;
    write_new(&args.out, record.as_bytes())?;
    Ok(Exit::Done)
}

/// What an enrolment says against a file.
fn failed<E: Into<CredentialError>>(path: &Path) -> impl FnOnce(E) -> Failure {
    move |error| {
        let error = error.into();
        let message = format!("{}: {error}", Shown(path));
        if error.is_environment() {
            Failure::environment(error.code(), message)
        } else {
            Failure::invalid(error.code(), message)
        }
    }
}

fn text(path: &Path) -> Result<String, Failure> {
    // What is no text is no JSON: the reader says so, with the place.
    Ok(String::from_utf8_lossy(&read(path)?).into_owned())
}

/// Takes a file away and gives its content: of two that try, one gets it.
fn take(path: &Path) -> Result<String, Failure> {
    let mut taken = path.as_os_str().to_owned();
    taken.push(format!(".used-{}", std::process::id()));
    let taken = Path::new(&taken);
    // Renaming is the one step that only one can do.
    fs::rename(path, taken).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::NotFound => "; it is used up by one attempt, right or wrong: challenge again",
            _ => "; it must be removable, since it is used once",
        };
        Failure::environment("file.read", format!("cannot take {}: {error}{advice}", Shown(path)))
    })?;
    let content = text(taken);
    fs::remove_file(taken).map_err(|error| not_written(taken, &error))?;
    content
}

/// Writes a file that must not exist yet, readable by its owner alone.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(|error| not_written(path, &error))
}

fn not_written(path: &Path, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        io::ErrorKind::AlreadyExists => "; it is never replaced: give another name",
        _ => "",
    };
    Failure::environment("file.write", format!("cannot write {}: {error}{advice}", Shown(path)))
}
