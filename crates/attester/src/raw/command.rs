//! Commands and responses (TPM 2.0 Library Part 1, section 18).

use std::thread;
use std::time::{Duration, Instant};

use nitrotpm_tpm_wire::{Reader, Writer};
use zeroize::Zeroizing;

use super::session::ResponseArea;
use super::{Channel, HmacSession};
use crate::AttesterError;
use crate::connection::PATIENCE;

const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
/// `TPM_RS_PW`
const PASSWORD: u32 = 0x4000_0009;
/// `TPM_RC_YIELDED`, `TPM_RC_TESTING`, `TPM_RC_RETRY`: the same command again is all it takes.
const AGAIN: [u32; 3] = [0x908, 0x90A, 0x922];
/// How often a command is sent again.
const ATTEMPTS: u32 = 50;
/// `TPM_RC_OBJECT_MEMORY`, `TPM_RC_SESSION_MEMORY`: it is full, by others who are at work at the same time.
const FULL: [u32; 2] = [0x902, 0x903];

/// A command with the handles it names.
#[derive(Clone, Debug)]
pub(crate) struct Command<'a> {
    /// The name in the TPM 2.0 Library, for messages.
    pub(crate) name: &'static str,
    /// The command code.
    pub(crate) code: u32,
    /// The handles, each with the Name of its entity.
    pub(crate) handles: &'a [(u32, &'a [u8])],
    /// The parameters.
    pub(crate) parameters: &'a [u8],
}

/// Who authorizes a command, by its first handle.
#[derive(Debug)]
pub(crate) enum Authorization<'a, 'r> {
    /// Nobody: the command needs no authorization.
    None,
    /// A password.
    Password(&'a [u8]),
    /// A session, which also checks that the response is the TPM's.
    Hmac {
        /// The session.
        session: &'a mut HmacSession<'r>,
        /// The password of the entity, of which the TPM sees an HMAC only.
        password: &'a [u8],
        /// What is encrypted, if the session has a cipher.
        encrypted: Encrypted,
    },
}

/// Which first parameter a session encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encrypted {
    /// None: neither starts with a size, or there is none.
    Nothing,
    /// The command's.
    Command,
    /// The response's.
    Response,
}

/// A TPM that takes commands as bytes.
#[derive(Debug)]
pub(crate) struct RawTpm {
    channel: Channel,
}

impl RawTpm {
    pub(crate) const fn new(channel: Channel) -> Self {
        Self { channel }
    }

    /// Sends a command; gives the response's handle, if it has one, and its parameters.
    ///
    /// # Errors
    /// The response code if it is not success; a response that is malformed or not the TPM's.
    pub(crate) fn run(
        &mut self,
        command: &Command<'_>,
        mut authorization: Authorization<'_, '_>,
        with_handle: bool,
    ) -> Result<Vec<u8>, AttesterError> {
        let bytes = encode(command, &mut authorization)?;
        let began = Instant::now();
        let mut response = self.channel.transact(&bytes)?;
        let mut attempts = 0..ATTEMPTS;
        // The TPM has not changed its nonces: the bytes are still right.
        loop {
            let code = response_code(&response);
            if AGAIN.contains(&code) && attempts.next().is_some() {
                thread::sleep(Duration::from_millis(10));
            } else if FULL.contains(&code) && began.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(30));
            } else {
                break;
            }
            response = self.channel.transact(&bytes)?;
        }
        decode(command, authorization, &response, with_handle)
    }
}

fn encode(command: &Command<'_>, authorization: &mut Authorization<'_, '_>) -> Result<Vec<u8>, AttesterError> {
    let mut area = Writer::new("authorization area");
    let mut parameters = Zeroizing::new(command.parameters.to_vec());
    match authorization {
        Authorization::None => {}
        Authorization::Password(password) => {
            area.u32(PASSWORD);
            area.sized(&[]);
            area.u8(0);
            area.sized(password);
        }
        Authorization::Hmac { session, password, encrypted } => {
            session.authorize(command, password, *encrypted, &mut parameters, &mut area)?;
        }
    }
    let area = area.finish()?;
    let mut body = Writer::new("command");
    body.u32(command.code);
    command.handles.iter().for_each(|(handle, _)| body.u32(*handle));
    if !area.is_empty() {
        body.count(area.len());
        body.bytes(&area);
    }
    body.bytes(&parameters);
    let body = body.finish()?;
    let mut whole = Writer::new("command");
    whole.u16(if area.is_empty() { NO_SESSIONS } else { SESSIONS });
    whole.count(body.len().saturating_add(6));
    whole.bytes(&body);
    Ok(whole.finish()?)
}

fn response_code(response: &[u8]) -> u32 {
    response.get(6..).and_then(|rest| rest.first_chunk()).map_or(0, |code| u32::from_be_bytes(*code))
}

fn decode(
    command: &Command<'_>,
    authorization: Authorization<'_, '_>,
    response: &[u8],
    with_handle: bool,
) -> Result<Vec<u8>, AttesterError> {
    let wrong = |detail| AttesterError::Answer { command: command.name, detail };
    let mut reader = Reader::new(response, "response");
    let tag = reader.u16()?;
    reader.u32()?;
    let code = reader.u32()?;
    if code != 0 {
        return Err(refusal(command.name, code));
    }
    let handle = if with_handle { reader.take(4)? } else { &[] };
    if tag == NO_SESSIONS {
        if !matches!(authorization, Authorization::None) {
            return Err(wrong("it carries no sessions where the command did"));
        }
        return Ok([handle, reader.remaining()].concat());
    }
    if tag != SESSIONS || matches!(authorization, Authorization::None) {
        return Err(wrong("its tag is not the command's"));
    }
    let length = usize::try_from(reader.u32()?).map_err(|_| wrong("its parameters are too long"))?;
    let mut parameters = reader.take(length)?.to_vec();
    let area = ResponseArea { nonce: reader.sized(64)?, attributes: reader.u8()?, hmac: reader.sized(64)? };
    reader.finish()?;
    if let Authorization::Hmac { session, password, encrypted } = authorization {
        session.check(command, password, encrypted, &mut parameters, &area)?;
    }
    Ok([handle, &parameters].concat())
}

/// What a response code means.
fn refusal(command: &'static str, response: u32) -> AttesterError {
    // Format one: the parameter, handle or session it is about is left out.
    let number = if response & 0x80 == 0 { response } else { response & 0xBF };
    let (name, hint) = match number {
        0x100 => return AttesterError::NotStarted,
        0x921 => return AttesterError::LockedOut,
        0x08E | 0x0A2 => {
            return AttesterError::Authorization {
                command,
                option: "give the owner hierarchy's with --owner-auth FILE",
            };
        }
        0x143 => return AttesterError::NoDocuments { detail: "it does not know the command" },
        0x14B => (
            "NV_SPACE",
            "its storage is full: a run that was killed leaves an index behind, see `tpm2_getcap handles-nv-index` and \
             `tpm2_nvundefine`",
        ),
        0x902 | 0x903 => (
            "OBJECT_MEMORY or SESSION_MEMORY",
            "it is full: other programs left objects in it; use the resource manager, or run `tpm2_flushcontext -t`",
        ),
        0x14C => ("NV_DEFINED", "another program took the same index, try again"),
        _ => ("see the TPM 2.0 Library", "look the number up with `tpm2_rc_decode`"),
    };
    AttesterError::Response { command, response, name: name.to_owned(), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: Command<'_> =
        Command { name: "TPM2_Test", code: 0x1234, handles: &[(0x0180_0000, &[])], parameters: &[0xAA] };

    #[test]
    fn commands_are_laid_out_as_the_library_says() {
        let plain = encode(&COMMAND, &mut Authorization::None).unwrap();
        assert_eq!(hex::encode(plain), "80010000000f0000123401800000aa");
        let with_password = encode(&COMMAND, &mut Authorization::Password(b"pw")).unwrap();
        assert_eq!(
            hex::encode(with_password),
            "80020000001e0000123401800000\
             0000000b40000009000000000270 77aa"
                .replace(' ', "")
        );
    }

    #[test]
    fn responses_that_do_not_fit_are_refused() {
        let run = |hexadecimal: &str| {
            let bytes = hex::decode(hexadecimal.replace(' ', "")).unwrap();
            decode(&COMMAND, Authorization::Password(b""), &bytes, false).map_err(|error| error.code())
        };
        assert_eq!(run("8002 00000014 00000000 00000001 bb 0000 01 0000"), Ok(vec![0xBB]));
        // No sessions, a parameter size beyond the end, bytes at the end, no authorization area.
        for wrong in [
            "8001 0000000a 00000000",
            "8002 00000014 00000000 000000ff bb 0000 01 0000",
            "8002 00000015 00000000 00000001 bb 0000 01 0000 00",
            "8002 0000000f 00000000 00000001 bb",
            "8003 00000014 00000000 00000001 bb 0000 01 0000",
        ] {
            assert!(run(wrong).is_err(), "{wrong}");
        }
        assert_eq!(run("8001 0000000a 00000921"), Err("attester.locked-out"));
        assert_eq!(run("8001 0000000a 0000098e"), Err("attester.authorization"));
        assert_eq!(run("8001 0000000a 00000143"), Err("attester.no-documents"));
    }
}
