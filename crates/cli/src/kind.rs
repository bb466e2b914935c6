//! What a file that cannot be read as what it should be looks like: most often it is another of our own files.

use std::path::Path;

use nitrotpm_eventlog::{EventLog, ParseOptions};

use crate::input::Shown;
use crate::text::{NOTE, Styled, complain};

/// What a file can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Empty,
    Evidence,
    Prediction,
    Pcrs,
    Policy,
    Document,
    EventLog,
    Quote,
    Signature,
    TpmPublic,
    Pem,
    Der,
    UefiData,
    Base64,
    Hex,
    ImaList,
    PortableExecutable,
    Elf,
    Compressed,
    /// A JSON document of which nothing else is known.
    Json,
}

impl Kind {
    /// With what to do about it, where there is something.
    const fn description(self) -> &'static str {
        match self {
            Self::Empty => "the file is empty",
            Self::Evidence => "it looks like evidence (nitrotpm verify, nitrotpm evidence show)",
            Self::Prediction => "it looks like a prediction (nitrotpm predict --format json)",
            Self::Pcrs => "it looks like PCR values (--pcrs)",
            Self::Policy => "it looks like a policy (--policy)",
            Self::Document => "it looks like an attestation document (nitrotpm document verify)",
            Self::EventLog => "it looks like an event log (nitrotpm eventlog show)",
            Self::Quote => "it looks like a quote (--attest)",
            Self::Signature => "it looks like the signature of a quote (--signature)",
            Self::TpmPublic => "it looks like a TPM's public key",
            Self::Pem => "it looks like PEM: a key or a certificate",
            Self::Der => "it looks like DER: a key or a certificate",
            Self::UefiData => "it looks like EC2's uefi-data (nitrotpm uefi-data show)",
            Self::Base64 => "it looks like base64; decode it with `base64 -d`",
            Self::Hex => "it looks like hexadecimal text; decode it with `xxd -r -p`",
            Self::ImaList => "it looks like a list of IMA (--ima-log)",
            Self::PortableExecutable => "it looks like an EFI image (nitrotpm predict --image)",
            Self::Elf => "it looks like a program",
            Self::Compressed => "it looks compressed; unpack it",
            Self::Json => "it looks like JSON of another kind",
        }
    }

    /// What bytes look like, by their beginning; a guess for people, nothing that decides.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [] => return Some(Self::Empty),
            [0x84, 0x44, ..] | [0xd2, 0x84, 0x44, ..] => return Some(Self::Document),
            [0xff, b'T', b'C', b'G', ..] => return Some(Self::Quote),
            // A SEQUENCE that is all of it, or of more than 127 bytes.
            [0x30, 0x81 | 0x82, ..] => return Some(Self::Der),
            [0x30, length, rest @ ..] if usize::from(*length) == rest.len() => return Some(Self::Der),
            [b'M', b'Z', ..] => return Some(Self::PortableExecutable),
            [0x7f, b'E', b'L', b'F', ..] => return Some(Self::Elf),
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0xfd, b'7', b'z', ..] => return Some(Self::Compressed),
            // TPMT_SIGNATURE: RSASSA, RSAPSS or ECDSA with a hash.
            [0, 0x14 | 0x16 | 0x18, 0, 0x04 | 0x0b | 0x0c | 0x0d, ..] => return Some(Self::Signature),
            // TPMT_PUBLIC, and TPM2B_PUBLIC with its size before it: RSA or ECC with a hash for the name.
            [0, 0x01 | 0x23, 0, 0x04 | 0x0b | 0x0c | 0x0d, ..]
            | [_, _, 0, 0x01 | 0x23, 0, 0x04 | 0x0b | 0x0c | 0x0d, ..] => return Some(Self::TpmPublic),
            _ if bytes.starts_with(b"-----BEGIN ") => return Some(Self::Pem),
            _ if bytes.starts_with(b"AMZNUEFI") => return Some(Self::UefiData),
            // PCR 10, a digest of 20 bytes, the length and name of a template.
            _ if bytes.starts_with(&[10, 0, 0, 0]) && bytes.get(28..).is_some_and(|name| name.starts_with(b"ima")) => {
                return Some(Self::ImaList);
            }
            _ => {}
        }
        std::str::from_utf8(bytes)
            .ok()
            .and_then(Self::of_text)
            .or_else(|| EventLog::parse(bytes, &ParseOptions::default()).is_ok().then_some(Self::EventLog))
    }

    fn of_text(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.starts_with('{') {
            let beginning: String = text.chars().take(200).filter(|character| !character.is_whitespace()).collect();
            return Some(if text.contains("\"nitrotpm.evidence/1\"") {
                Self::Evidence
            } else if text.contains("\"nitrotpm.prediction/1\"") {
                Self::Prediction
            } else if beginning.starts_with("{\"sha") {
                Self::Pcrs
            } else {
                Self::Json
            });
        }
        if text.contains("nitrotpm.policy/1") {
            return Some(Self::Policy);
        }
        let only = |also: &[u8], is: fn(&u8) -> bool| {
            text.len() >= 64 && text.bytes().all(|byte| is(&byte) || byte.is_ascii_whitespace() || also.contains(&byte))
        };
        if text.starts_with("QU1aTlVFRk") {
            Some(Self::UefiData)
        } else if only(b"", u8::is_ascii_hexdigit) {
            Some(Self::Hex)
        } else if only(b"+/=", u8::is_ascii_alphanumeric) && !text.contains(' ') {
            Some(Self::Base64)
        } else {
            None
        }
    }
}

/// What to add to the message that these bytes are none of what was `wanted`: empty, or `; it looks like …`.
pub(crate) fn hint(bytes: &[u8], wanted: &[Kind]) -> String {
    Kind::of(bytes)
        .filter(|kind| !wanted.contains(kind))
        .map(|kind| format!("; {}", kind.description()))
        .unwrap_or_default()
}

/// The same as a sentence of its own on standard error, where the answer itself is a result on standard output.
pub(crate) fn complain_of(path: &Path, bytes: &[u8], wanted: &[Kind]) {
    if let Some(kind) = Kind::of(bytes).filter(|kind| !wanted.contains(kind)) {
        complain(&format!("{} {}: {}", Styled(NOTE, "nitrotpm:"), Shown(path), kind.description()));
    }
}
