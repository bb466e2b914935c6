//! The evidence bundle: one JSON file with everything an attester sends.
//!
//! Reading it checks its form and its sizes. Nothing in it is a fact: see [`crate::AuthenticatedEvidence`].

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nitrotpm_digest_lanes::{Digest, HashAlgorithm, hash};
use nitrotpm_eventlog::is_hidden;
use nitrotpm_pcr::PcrValues;
use serde::{Deserialize, Serialize};

use crate::keyed::{Keyed, optional_list};

/// The schema this version reads and writes. There are no older ones.
pub const EVIDENCE_SCHEMA: &str = "nitrotpm.evidence/1";

/// Why bytes are not an evidence bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The file is larger than any real bundle.
    #[error("the evidence has {length} bytes; at most {} are read", Evidence::MAX_LEN)]
    TooLarge {
        /// Its length in bytes.
        length: usize,
    },
    /// Not JSON, an unknown or repeated field, a value of a wrong type, base64 or hexadecimal that is none.
    #[error("the evidence is not well-formed: {message}; pack it again with `nitrotpm evidence pack`")]
    Malformed {
        /// What the reader said, with line and column; control characters escaped.
        message: String,
    },
    /// The `schema` field names something else.
    #[error("the schema is \"{found}\"; this version reads \"{EVIDENCE_SCHEMA}\" and no other")]
    Schema {
        /// What it names, escaped.
        found: String,
    },
    /// More quotes than a bundle may have.
    #[error("the evidence has {found} quotes; at most {} are read", Evidence::MAX_QUOTES)]
    TooManyQuotes {
        /// How many there are.
        found: usize,
    },
}

impl EvidenceError {
    /// Every code that [`Self::code`] can return.
    pub const CODES: &'static [&'static str] =
        &["evidence.malformed", "evidence.schema", "evidence.too-large", "evidence.too-many-quotes"];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "evidence.too-large",
            Self::Malformed { .. } => "evidence.malformed",
            Self::Schema { .. } => "evidence.schema",
            Self::TooManyQuotes { .. } => "evidence.too-many-quotes",
        }
    }
}

/// What an attester sent, parsed and untrusted.
///
/// The fields are bytes in the forms that the contract names: the document as AWS signed it, keys as `TPMT_PUBLIC`,
/// `TPM2B_PUBLIC`, DER or PEM, quotes as `TPMS_ATTEST` and `TPMT_SIGNATURE`, logs as the kernel gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// The NitroTPM attestation document: COSE_Sign1.
    pub document: Option<Vec<u8>>,
    /// The public part of the attestation key that signed the quotes.
    pub ak_public: Option<Vec<u8>>,
    /// The public part of the endorsement key.
    pub ek_public: Option<Vec<u8>>,
    /// Quotes, all by the one attestation key.
    pub quotes: Vec<QuoteBytes>,
    /// The PCR values that the quotes are said to cover.
    pub pcrs: PcrValues,
    /// The firmware's event log (`binary_bios_measurements`).
    pub event_log: Option<Vec<u8>>,
    /// The kernel's IMA list (`binary_runtime_measurements`).
    pub ima_log: Option<Vec<u8>>,
}

/// One quote: what was signed, and the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteBytes {
    /// `TPMS_ATTEST` or `TPM2B_ATTEST`.
    pub attest: Vec<u8>,
    /// `TPMT_SIGNATURE`.
    pub signature: Vec<u8>,
}

impl Evidence {
    /// The largest bundle that is read, in bytes: a log of 64 MiB in base64, and room for the rest.
    pub const MAX_LEN: usize = 96 << 20;
    /// The most quotes one bundle may have.
    pub const MAX_QUOTES: usize = 16;

    /// Reads a bundle.
    ///
    /// # Errors
    /// [`EvidenceError`] for anything but one JSON object of the schema: unknown and repeated fields, trailing bytes,
    /// base64 that is not canonical, and sizes beyond the limits are all refused.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > Self::MAX_LEN {
            return Err(EvidenceError::TooLarge { length: bytes.len() });
        }
        let Keyed(file): Keyed<File> = serde_json::from_slice(bytes)
            .map_err(|error| EvidenceError::Malformed { message: escape(&error.to_string()) })?;
        if file.schema != EVIDENCE_SCHEMA {
            return Err(EvidenceError::Schema { found: escape(&file.schema) });
        }
        let quotes = file.quotes.unwrap_or_default();
        if quotes.len() > Self::MAX_QUOTES {
            return Err(EvidenceError::TooManyQuotes { found: quotes.len() });
        }
        Ok(Self {
            document: file.document.map(Bytes::into_inner),
            ak_public: file.ak_public.map(Bytes::into_inner),
            ek_public: file.ek_public.map(Bytes::into_inner),
            quotes: quotes
                .into_iter()
                .map(|quote| QuoteBytes { attest: quote.attest.into_inner(), signature: quote.signature.into_inner() })
                .collect(),
            pcrs: file.pcrs.unwrap_or_default(),
            event_log: file.event_log.map(Bytes::into_inner),
            ima_log: file.ima_log.map(Bytes::into_inner),
        })
    }

    /// Writes the bundle: compact JSON, no newline at its end, absent parts left out.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let bytes = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| Bytes(bytes.clone()));
        let file = File {
            schema: EVIDENCE_SCHEMA.to_owned(),
            document: bytes(&self.document),
            ak_public: bytes(&self.ak_public),
            ek_public: bytes(&self.ek_public),
            quotes: (!self.quotes.is_empty()).then(|| {
                self.quotes
                    .iter()
                    .map(|quote| QuoteFile {
                        attest: Bytes(quote.attest.clone()),
                        signature: Bytes(quote.signature.clone()),
                    })
                    .collect()
            }),
            pcrs: (!self.pcrs.is_empty()).then(|| self.pcrs.clone()),
            event_log: bytes(&self.event_log),
            ima_log: bytes(&self.ima_log),
        };
        // Maps with text keys and strings only: writing them to memory cannot fail.
        serde_json::to_vec(&file).unwrap_or_default()
    }
}

/// SHA-256 of a file's bytes, as results name files.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    hash(HashAlgorithm::Sha256, &[bytes])
}

/// Makes text from outside harmless: characters that are not seen, or change how others are seen, become `\u{…}`.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "{}", character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ak_public: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ek_public: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_list")]
    quotes: Option<Vec<QuoteFile>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pcrs: Option<PcrValues>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_log: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ima_log: Option<Bytes>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QuoteFile {
    attest: Bytes,
    signature: Bytes,
}

/// Bytes written as standard base64 with padding; the one canonical spelling is read.
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Bytes {
    pub(crate) fn into_inner(self) -> Vec<u8> {
        self.0
    }
}

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("base64 text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes, E> {
                STANDARD.decode(text).map(Bytes).map_err(|error| E::custom(format_args!("not base64: {error}")))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
