//! Exit codes and failures: scripts rely on both. `nitrotpm --help` lists the exit codes, docs/reason-codes.md the rest.

use std::process::ExitCode;

use serde::Serialize;

/// How a run ended. Ordered from good to bad: several files end with the worst of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Affirmed, or done.
    Done = 0,
    /// Authentic evidence that does not satisfy the policy; a comparison or a lint that found something.
    Refused = 1,
    /// Wrong flags, or a policy that cannot be used.
    Usage = 2,
    /// Evidence that is malformed, not authentic, not trusted, stale, or not replaying.
    Invalid = 3,
    /// A file, a disk or a stream failed.
    Environment = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Refused => Self::from(1),
            Exit::Usage => Self::from(2),
            Exit::Invalid => Self::from(3),
            Exit::Environment => Self::from(4),
        }
    }
}

/// A run that could not come to an answer.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Stable, dotted, lower case.
    pub(crate) code: &'static str,
    /// What was wrong, where, and what to do next.
    pub(crate) message: String,
}

/// A failure as machine output (`nitrotpm.error/1`).
#[derive(Serialize)]
pub(crate) struct FailureReport<'a> {
    schema: &'static str,
    code: &'a str,
    message: &'a str,
}

impl Failure {
    pub(crate) fn usage(code: &'static str, message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, code, message: message.into() }
    }

    pub(crate) fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self { exit: Exit::Invalid, code, message: message.into() }
    }

    pub(crate) fn environment(code: &'static str, message: impl Into<String>) -> Self {
        Self { exit: Exit::Environment, code, message: message.into() }
    }

    /// As a person reads it on standard error: docs/reason-codes.md has more at the code.
    pub(crate) fn sentence(&self) -> String {
        format!("{} [{}]", self.message, self.code)
    }

    pub(crate) fn report(&self) -> FailureReport<'_> {
        FailureReport { schema: "nitrotpm.error/1", code: self.code, message: &self.message }
    }
}
