//! Why a document is refused.

use core::fmt;
use core::time::Duration;

use pki_types::UnixTime;

use crate::time::rfc3339;

/// Why bytes are not a document, or a document not to be believed.
///
/// Every variant is a refusal; [`Self::code`] is stable for programs, the text is one sentence or two for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The document, or its payload, is longer than AWS ever makes it.
    #[error("the {structure} has {length} bytes, more than the {limit} allowed; it is not an attestation document")]
    Size {
        /// Which part.
        structure: &'static str,
        /// How long it is.
        length: usize,
        /// How long it may be.
        limit: usize,
    },
    /// The bytes are not the strict CBOR that a document consists of.
    #[error("{structure}, byte {offset}: {fault}; the document is damaged or was not made by AWS")]
    Cbor {
        /// What was being read.
        structure: &'static str,
        /// Where, counted from the first byte of the document.
        offset: usize,
        /// What is wrong there.
        fault: CborFault,
    },
    /// A map has a key twice, so that two readers could see two documents.
    #[error("{structure}, byte {offset}: the key {key} stands twice; the document was not made by AWS")]
    DuplicateKey {
        /// The map.
        structure: &'static str,
        /// Where the key stands the second time.
        offset: usize,
        /// The key, escaped for printing.
        key: String,
    },
    /// Bytes follow where the structure ends.
    #[error(
        "{count} bytes follow the end of the {structure} at byte {offset}; pass the document alone, with nothing after it"
    )]
    TrailingBytes {
        /// The structure that ended.
        structure: &'static str,
        /// Where it ended.
        offset: usize,
        /// How many bytes follow.
        count: usize,
    },
    /// The envelope is not the `COSE_Sign1` that AWS makes.
    #[error("COSE_Sign1, byte {offset}: {fault}; the document was not made by AWS")]
    Cose {
        /// Where.
        offset: usize,
        /// What is wrong there.
        fault: CoseFault,
    },
    /// It is another kind of document.
    #[error("{0}")]
    WrongType(NotNitroTpm),
    /// A field is missing, too long, or has a value that it cannot have.
    #[error("field {field}: {problem}; the document was not made by AWS")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The module id does not have the form of a NitroTPM's.
    #[error(
        "the module id \"{module_id}\" is not of the form i-<8 to 17 hex digits>-tpm<16 hex digits>; the document was not made by AWS"
    )]
    ModuleId {
        /// The module id, escaped for printing.
        module_id: String,
    },
    /// A register has an impossible index or a value of a wrong length.
    #[error("nitrotpm_pcrs, byte {offset}: {problem}; the document was not made by AWS")]
    Pcr {
        /// Where.
        offset: usize,
        /// What is wrong.
        problem: String,
    },
    /// A certificate is not X.509 in DER.
    #[error(
        "certificate {index} of the chain (the root is 0) is not one X.509 v3 certificate in DER: {problem}; the document was not made by AWS"
    )]
    CertificateMalformed {
        /// Which one; the root is 0, the leaf the last.
        index: usize,
        /// What is wrong.
        problem: String,
    },
    /// The certificates do not form one line from the root to the leaf.
    #[error("the certificate chain is broken: {problem}; the document was not made by AWS")]
    Chain {
        /// What is wrong.
        problem: String,
    },
    /// The chain starts at a certificate that the caller does not trust.
    #[error("the chain starts at a root that is not trusted (SHA-256 {sha256}); {}", root_remedy(*.roots))]
    ChainRoot {
        /// The digest of the root's DER, in hexadecimal.
        sha256: String,
        /// How many roots are trusted.
        roots: usize,
    },
    /// A certificate's signature does not hold under the certificate before it.
    #[error("{certificate} was not signed by the certificate before it; the document was altered or not made by AWS")]
    CertificateSignature {
        /// Which one.
        certificate: CertificateId,
    },
    /// A certificate's validity ended before the time of judgement.
    #[error(
        "{certificate} expired at {}, before {}, the time of judgement; get a new document, or judge this one at the time it was made: --at {}",
        rfc3339(*.not_after), rfc3339(*.at), rfc3339(*.made)
    )]
    CertificateExpired {
        /// Which one.
        certificate: CertificateId,
        /// When it expired.
        not_after: UnixTime,
        /// The time of judgement.
        at: UnixTime,
        /// The time that the document, whose signature holds, gives for itself.
        made: UnixTime,
    },
    /// A certificate's validity begins after the time of judgement.
    #[error(
        "{certificate} is valid only from {}, after {}, the time of judgement; check the verifier's clock or the time given with --at",
        rfc3339(*.not_before), rfc3339(*.at)
    )]
    CertificateNotYetValid {
        /// Which one.
        certificate: CertificateId,
        /// When its validity begins.
        not_before: UnixTime,
        /// The time of judgement.
        at: UnixTime,
    },
    /// A certificate breaks the profile of AWS's chains.
    #[error("{certificate}: {problem}; AWS issues no such certificate for a NitroTPM")]
    CertificateProfile {
        /// Which one.
        certificate: CertificateId,
        /// The rule that it breaks.
        problem: String,
    },
    /// A certificate's name speaks of another instance, module or region than the document.
    #[error("{certificate}: {problem}; the document speaks for another machine than its certificates")]
    CertificateName {
        /// Which one.
        certificate: CertificateId,
        /// What does not fit.
        problem: String,
    },
    /// The profile check accepted the chain and the path validation did not.
    #[error(
        "the two certificate engines disagree: the profile check accepts the chain, path validation refuses it ({path_validation}); the chain is not to be trusted, and please report this document"
    )]
    ChainEnginesDisagree {
        /// What rustls-webpki said.
        path_validation: String,
    },
    /// The document's signature does not hold.
    #[error(
        "the document's signature does not hold under its certificate; the document was altered after it was signed"
    )]
    Signature,
    /// The document's time is impossible.
    #[error("the document's timestamp {timestamp_millis} (milliseconds) {problem}; the document cannot be dated")]
    Timestamp {
        /// The timestamp as it stands.
        timestamp_millis: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The document carries another nonce than the verifier sent, or none.
    #[error("{}", nonce_problem(*.present))]
    Nonce {
        /// Whether the document carries a nonce at all.
        present: bool,
    },
    /// The document is older than the caller allows.
    #[error(
        "the document was made at {}, {} seconds before the time of judgement; the greatest age allowed is {} seconds: get a new document",
        rfc3339(*.made), .age.as_secs(), .max_age.as_secs()
    )]
    Stale {
        /// When it was made.
        made: UnixTime,
        /// How old it is.
        age: Duration,
        /// How old it may be.
        max_age: Duration,
    },
}

fn root_remedy(roots: usize) -> &'static str {
    if roots == 0 {
        "no root is trusted at all: trust AWS's, or add one with --trust-root"
    } else {
        "if this document comes from a test or from another AWS partition, add its root with --trust-root"
    }
}

fn nonce_problem(present: bool) -> &'static str {
    if present {
        "the document carries another nonce than the one expected: it answers another challenge, or is replayed; ask for a new document with the nonce you sent"
    } else {
        "the document carries no nonce and one is expected; ask for a document with the nonce you sent"
    }
}

impl DocumentError {
    /// Every code that [`Self::code`] can give.
    pub const CODES: &'static [&'static str] = &[
        "document.size",
        "document.cbor",
        "document.duplicate-key",
        "document.trailing-bytes",
        "document.cose",
        "document.wrong-type",
        "document.field",
        "document.module-id",
        "document.pcr",
        "document.certificate-malformed",
        "document.chain",
        "document.chain-root",
        "document.certificate-signature",
        "document.certificate-expired",
        "document.certificate-not-yet-valid",
        "document.certificate-profile",
        "document.certificate-name",
        "document.chain-engines-disagree",
        "document.signature",
        "document.timestamp",
        "document.nonce",
        "document.stale",
    ];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Size { .. } => "document.size",
            Self::Cbor { .. } => "document.cbor",
            Self::DuplicateKey { .. } => "document.duplicate-key",
            Self::TrailingBytes { .. } => "document.trailing-bytes",
            Self::Cose { .. } => "document.cose",
            Self::WrongType(_) => "document.wrong-type",
            Self::Field { .. } => "document.field",
            Self::ModuleId { .. } => "document.module-id",
            Self::Pcr { .. } => "document.pcr",
            Self::CertificateMalformed { .. } => "document.certificate-malformed",
            Self::Chain { .. } => "document.chain",
            Self::ChainRoot { .. } => "document.chain-root",
            Self::CertificateSignature { .. } => "document.certificate-signature",
            Self::CertificateExpired { .. } => "document.certificate-expired",
            Self::CertificateNotYetValid { .. } => "document.certificate-not-yet-valid",
            Self::CertificateProfile { .. } => "document.certificate-profile",
            Self::CertificateName { .. } => "document.certificate-name",
            Self::ChainEnginesDisagree { .. } => "document.chain-engines-disagree",
            Self::Signature => "document.signature",
            Self::Timestamp { .. } => "document.timestamp",
            Self::Nonce { .. } => "document.nonce",
            Self::Stale { .. } => "document.stale",
        }
    }
}

/// Which certificate of the chain an error speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateId {
    /// Its place: the root is 0, the leaf the last.
    pub index: usize,
    /// Its subject, escaped for printing.
    pub subject: String,
}

impl fmt::Display for CertificateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "certificate {} of the chain (the root is 0), {}", self.index, self.subject)
    }
}

/// What is wrong with a piece of CBOR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CborFault {
    /// The bytes end inside an item.
    #[error("the bytes end inside an item")]
    EndOfData,
    /// A number or length is written longer than needed (RFC 8949, section 4.2.1).
    #[error("a number or length is not written in its shortest form")]
    NotMinimal,
    /// A string in chunks, or an array or map of indefinite length, where AWS writes none.
    #[error("an item of indefinite length where none is allowed")]
    IndefiniteLength,
    /// An initial byte that RFC 8949 reserves.
    #[error("a reserved initial byte")]
    Reserved,
    /// An item of another kind than the field has.
    #[error("expected {expected}, found {found}")]
    Kind {
        /// What the field holds.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// Text that is not UTF-8.
    #[error("text that is not UTF-8")]
    NotUtf8,
    /// An array, map or nesting beyond the bounds.
    #[error("more items or deeper nesting than any document has")]
    TooMany,
    /// A string longer than its field may be.
    #[error("{length} bytes where at most {limit} are allowed")]
    TooLong {
        /// How long it is.
        length: u64,
        /// How long it may be.
        limit: usize,
    },
}

/// What is wrong with the `COSE_Sign1` envelope (RFC 9052, section 4.2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoseFault {
    /// A tag other than 18, or more than one.
    #[error("tag {tag} stands where only one tag 18 (COSE_Sign1), or none, is allowed")]
    Tag {
        /// The tag.
        tag: u64,
    },
    /// Not an array of four.
    #[error("an array of {found} items where COSE_Sign1 has 4")]
    ArrayLength {
        /// How many items there are.
        found: u64,
    },
    /// The protected header names no algorithm.
    #[error("the protected header names no algorithm (label 1)")]
    AlgorithmMissing,
    /// The algorithm is not ES384.
    #[error("the algorithm is {found}, not -35 (ES384)")]
    Algorithm {
        /// The algorithm's number.
        found: i64,
    },
    /// The protected header has a label beside the algorithm, `crit` (2) among others.
    #[error(
        "the protected header has the label {label} beside the algorithm; AWS writes none, and one that is not understood cannot be ignored"
    )]
    ProtectedLabel {
        /// The label, escaped for printing.
        label: String,
    },
    /// The unprotected header is not empty.
    #[error("the unprotected header has {found} entries where it must be empty")]
    UnprotectedNotEmpty {
        /// How many entries it has.
        found: u64,
    },
    /// The signature is not 96 bytes.
    #[error("a signature of {found} bytes where ES384 has 96 (r and s, 48 each)")]
    SignatureLength {
        /// How long it is.
        found: usize,
    },
    /// No payload.
    #[error("the payload is empty")]
    PayloadEmpty,
}

/// What a document is that is none of a NitroTPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotNitroTpm {
    /// A Nitro Enclaves document, by its key `pcrs` or its module id.
    #[error(
        "this is a Nitro Enclaves document, not one of a NitroTPM: its PCRs mean something else; verify it with a tool for enclaves, or ask the instance's NitroTPM for a document"
    )]
    Enclave,
    /// Both `nitrotpm_pcrs` and `pcrs`.
    #[error(
        "the document has both nitrotpm_pcrs (NitroTPM) and pcrs (Nitro Enclaves), and no real one has both; it was not made by AWS"
    )]
    Both,
    /// Neither `nitrotpm_pcrs` nor `pcrs`.
    #[error(
        "the payload has no nitrotpm_pcrs, so this is not a NitroTPM attestation document; check that the right file was passed"
    )]
    Neither,
}

/// Text from outside made safe to print: control characters, quotes and whatever steers a terminal are escaped, and a
/// long text is cut.
pub(crate) fn printable(text: &str) -> String {
    const LIMIT: usize = 200;
    // What nearly all names are, and each verification prints five: nothing to escape.
    let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) && !matches!(byte, b'"' | b'\'' | b'\\');
    if text.len() <= LIMIT && text.bytes().all(is_plain) {
        return text.into();
    }
    let mut out: String = text.chars().take(LIMIT).flat_map(char::escape_debug).collect();
    if text.chars().nth(LIMIT).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_escaped_and_cut() {
        assert_eq!(printable("a\u{1b}[31m\n\u{202e}"), "a\\u{1b}[31m\\n\\u{202e}");
        assert_eq!(printable(&"x".repeat(1000)).chars().count(), 201);
        // What is taken as it stands is what needs no escape.
        for character in (0..=0x7F).map(char::from) {
            assert_eq!(printable(&character.to_string()), character.escape_debug().to_string());
        }
        assert_eq!(printable(&"x".repeat(200)), "x".repeat(200));
    }

    #[test]
    fn codes_are_distinct_dotted_and_lower_case() {
        let mut codes = DocumentError::CODES.to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), DocumentError::CODES.len());
        assert!(codes.iter().all(|code| {
            code.starts_with("document.") && code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'.' | b'-'))
        }));
    }

    #[test]
    fn an_expired_certificate_says_when_and_what_to_do() {
        let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let error = DocumentError::CertificateExpired {
            certificate: CertificateId { index: 4, subject: "CN=x".into() },
            not_after: time(1_770_124_322),
            at: time(1_795_564_800),
            made: time(1_770_113_522),
        };
        let text = error.to_string();
        assert!(text.contains("2026-02-03T13:12:02Z") && text.ends_with("--at 2026-02-03T10:12:02Z"), "{text}");
    }
}
