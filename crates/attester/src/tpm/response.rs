//! From libtss2's numbers to what a person can do.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::net::TcpStream;

use tss_esapi::Error;

use crate::{AttesterError, Connection};

/// Names the command that failed.
pub(super) trait Failed<T> {
    fn failed(self, command: &'static str) -> Result<T, AttesterError>;
}

impl<T> Failed<T> for tss_esapi::Result<T> {
    fn failed(self, command: &'static str) -> Result<T, AttesterError> {
        self.map_err(|error| failure(command, &error))
    }
}

/// The layers of the TSS that stand in the upper half of a response code (TSS 2.0 Overview, section "Return codes").
const TPM_LAYERS: [u32; 2] = [0x0, 0xB];
/// The layer that carries commands to the TPM and responses back.
const TRANSMISSION_LAYER: u32 = 0xA;

/// A response code, taken apart (TPM 2.0 Library Part 2, section 6.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response(pub(super) u32);

impl Response {
    /// The number of a failure of libtss2, 0 for one of the Rust wrapper.
    pub(super) fn of(error: &Error) -> Self {
        let text = match error {
            // The wrapper shows the number in its text and nowhere else.
            Error::Tss2Error(tss_esapi::constants::response_code::Tss2ResponseCode::FormatZero(code)) => {
                code.to_string()
            }
            Error::Tss2Error(tss_esapi::constants::response_code::Tss2ResponseCode::FormatOne(code)) => {
                code.to_string()
            }
            _ => return Self(0),
        };
        let number = text.rsplit_once("0x").and_then(|(_, digits)| u32::from_str_radix(digits, 16).ok());
        Self(number.unwrap_or(0))
    }

    /// Whether the TPM itself said so, or its resource manager for it.
    fn is_of_tpm(self) -> bool {
        TPM_LAYERS.contains(&(self.0 >> 16_u32))
    }

    /// The error's number within format one, without the parameter, handle or session that it is about.
    pub(super) fn format_one(self) -> Option<u32> {
        (self.is_of_tpm() && self.0 & 0x80 != 0).then_some(self.0 & 0xBF)
    }

    /// Whether `TPM2_ActivateCredential` did not open the credential, whatever stage noticed it. libtpms says
    /// `TPM_RC_FAILURE` of an RSA ciphertext that does not decrypt, other TPMs `TPM_RC_VALUE`.
    pub(super) fn is_refusal(self) -> bool {
        let about_a_parameter = self.format_one().is_some() && self.0 & 0x40 != 0;
        about_a_parameter
            || matches!(self.format_one(), Some(INTEGRITY | VALUE | SIZE))
            || self.format_zero() == Some(FAILURE)
    }

    /// A format-zero error or warning.
    fn format_zero(self) -> Option<u32> {
        (self.is_of_tpm() && self.0 & 0x80 == 0).then_some(self.0 & 0xFFF)
    }
}

/// `TPM_RC_INTEGRITY`
pub(super) const INTEGRITY: u32 = 0x09F;
const AUTH_FAIL: u32 = 0x08E;
const BAD_AUTH: u32 = 0x0A2;
const INITIALIZE: u32 = 0x100;
const FAILURE: u32 = 0x101;
const LOCKOUT: u32 = 0x921;
const NV_RATE: u32 = 0x920;
const RETRY: u32 = 0x922;
const OBJECT_MEMORY: u32 = 0x902;
const SESSION_MEMORY: u32 = 0x903;
const COMMAND_CODE: u32 = 0x143;
const NV_SPACE: u32 = 0x14B;
const NV_DEFINED: u32 = 0x14C;
const DISABLED: u32 = 0x120;
const VALUE: u32 = 0x084;
const SIZE: u32 = 0x095;
const HIERARCHY: u32 = 0x085;
const CURVE: u32 = 0x0A6;

/// What a failed command means.
pub(super) fn failure(command: &'static str, error: &Error) -> AttesterError {
    let response = Response::of(error);
    if response.0 >> 16_u32 == TRANSMISSION_LAYER {
        return AttesterError::Unreachable {
            place: "the end of the connection".to_owned(),
            detail: format!("{command} got no response ({:#x})", response.0),
        };
    }
    match (response.format_one(), response.format_zero()) {
        (Some(AUTH_FAIL | BAD_AUTH), _) => {
            return AttesterError::Authorization {
                command,
                option: "give the endorsement hierarchy's with --endorsement-auth FILE",
            };
        }
        (_, Some(INITIALIZE)) => return AttesterError::NotStarted,
        (_, Some(LOCKOUT)) => return AttesterError::LockedOut,
        _ => {}
    }
    let hint = match (response.format_one(), response.format_zero()) {
        (_, Some(RETRY | NV_RATE)) => "it is busy, try again",
        (_, Some(OBJECT_MEMORY | SESSION_MEMORY)) => {
            "it is full: other programs left objects in it; use the resource manager, or run `tpm2_flushcontext -t`"
        }
        (_, Some(NV_DEFINED)) => "something is there already; `nitrotpm-attester nv list` and `key list` show what",
        (_, Some(NV_SPACE)) => "its storage is full; remove an NV index or a persistent key that nobody needs",
        (_, Some(DISABLED)) => "it was switched off, by the firmware or by TPM2_ClearControl",
        (_, Some(COMMAND_CODE)) => "this TPM does not have the command",
        (Some(CURVE | VALUE), _) => "this TPM may not have the algorithm, try another --algorithm",
        (Some(HIERARCHY), _) => "the endorsement hierarchy is switched off, the firmware's setup switches it on",
        _ => "look the number up with `tpm2_rc_decode`",
    };
    AttesterError::Response { command, response: response.0, name: name(error), hint }
}

fn name(error: &Error) -> String {
    match error {
        Error::Tss2Error(code) => match code.kind() {
            Some(kind) if Response::of(error).is_of_tpm() => format!("{kind:?}"),
            _ => "of the TSS, not of the TPM".to_owned(),
        },
        Error::WrapperError(kind) => kind.to_string(),
    }
}

/// Why a TPM cannot be opened: the system is asked again, because libtss2 does not tell.
pub(super) fn unreachable_tpm(connection: &Connection, error: &Error) -> AttesterError {
    let place = connection.to_string();
    match connection {
        Connection::Device(path) => {
            let place = path.display().to_string();
            match OpenOptions::new().read(true).write(true).open(path) {
                Ok(_) => AttesterError::Unreachable { place, detail: error.to_string() },
                Err(cause) => match cause.kind() {
                    ErrorKind::NotFound => AttesterError::NoTpm { place },
                    ErrorKind::PermissionDenied => AttesterError::Permission { place },
                    ErrorKind::ResourceBusy => AttesterError::Busy { place },
                    _ => AttesterError::Unreachable { place, detail: cause.to_string() },
                },
            }
        }
        Connection::Swtpm { host, port } | Connection::Mssim { host, port } => {
            let detail = match TcpStream::connect((host.as_str(), *port)) {
                Ok(_) => error.to_string(),
                Err(cause) => cause.to_string(),
            };
            AttesterError::Unreachable { place, detail }
        }
        Connection::Tabrmd => AttesterError::Unreachable { place, detail: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use tss_esapi::constants::response_code::Tss2ResponseCode;

    use super::*;

    fn of(number: u32) -> AttesterError {
        failure("TPM2_Quote", &Error::Tss2Error(Tss2ResponseCode::from(number)))
    }

    #[test]
    fn responses_tell_what_to_do() {
        // Also in the resource manager's layer, and whatever handle or session they are about.
        for (number, code) in [
            (0x98E, "attester.authorization"),
            (0x9A2, "attester.authorization"),
            (0x000B_098E, "attester.authorization"),
            (0x921, "attester.locked-out"),
            (0x100, "attester.not-started"),
            (0x922, "attester.response"),
            // The same digits in a layer that is not the TPM's.
            (0x0007_098E, "attester.response"),
            (0x0007_0921, "attester.response"),
            // TSS2_TCTI_RC_IO_ERROR
            (0x000A_000A, "attester.unreachable"),
        ] {
            assert_eq!(of(number).code(), code, "{number:#x}");
        }
        assert!(of(0x902).to_string().contains("0x902"));
    }

    #[test]
    fn refusals_of_a_credential_are_told_from_other_failures() {
        for (number, refusal) in [
            (0x1DF, true),
            (0x2C4, true),
            (0x101, true),
            (0x098E, false),
            (0x0921, false),
            (0x0903, false),
            (0x0007_01DF, false),
        ] {
            assert_eq!(Response(number).is_refusal(), refusal, "{number:#x}");
        }
        assert_eq!(Response(0x2DF).format_one(), Some(INTEGRITY));
    }
}
