//! Why a quote is not accepted.

use core::fmt;

use nitrotpm_pcr::{Bank, PcrIndex};
use nitrotpm_signature::{Scheme, SignatureError};
use nitrotpm_tpm_wire::{AlgorithmId, AsymmetricScheme, AttestationType, EccCurve, ObjectAttributes, WireError};

/// Why a quote, or the key for it, is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuoteError {
    /// Bytes that are not the structure they should be.
    #[error("the {part} is malformed: {source}")]
    Malformed {
        /// `quote`, `signature` or `key`.
        part: &'static str,
        /// Where and why.
        source: WireError,
    },
    /// A key that is not accepted.
    #[error("the attestation key is not accepted: {0}")]
    Key(#[from] KeyProblem),
    /// The signed bytes do not say that a TPM made them.
    #[error(
        "the quote starts {found:#010x} and not 0xff544347: it is no attestation, or one that its signer made up without a TPM"
    )]
    Magic {
        /// The first four bytes.
        found: u32,
    },
    /// The TPM signed something else than a quote.
    #[error("the TPM signed {found}, not a quote; only a quote speaks of PCRs")]
    Type {
        /// What it is.
        found: AttestationType,
    },
    /// No register is selected: the signature proves nothing about the boot.
    #[error("the quote selects no PCR, so it says nothing about what was booted; quote the PCRs that the policy names")]
    SelectionEmpty,
    /// A bank that the toolkit cannot compute.
    #[error("the quote selects PCRs of bank {bank}, which is not supported; quote sha256 or sha384")]
    UnknownBank {
        /// The bank's algorithm.
        bank: AlgorithmId,
    },
    /// A bank that is selected twice.
    #[error("the quote selects bank {bank} twice, which no TPM does by itself; quote each bank once")]
    DuplicateBank {
        /// The bank.
        bank: Bank,
    },
    /// A bitmap shorter than the 3 bytes of a platform TPM.
    #[error("the quote's bitmap for bank {bank} has {bytes} bytes; a platform TPM writes 3")]
    Bitmap {
        /// The bank.
        bank: Bank,
        /// Its length.
        bytes: usize,
    },
    /// A register that does not exist.
    #[error("the quote selects PCR {index} of bank {bank}; PCRs go from 0 to 23")]
    Register {
        /// The bank.
        bank: Bank,
        /// The number.
        index: u32,
    },
    /// The signature's scheme is not one for this key.
    #[error("the quote is signed with {found}, the key allows {allowed}; sign with the key's own scheme")]
    Scheme {
        /// Scheme and hash of the signature.
        found: String,
        /// What the key allows.
        allowed: String,
    },
    /// A scheme that fits the key and cannot be computed.
    #[error("the quote is signed with {scheme}, which cannot be checked; use a key with SHA-256 or SHA-384")]
    SchemeUnsupported {
        /// The scheme.
        scheme: Scheme,
    },
    /// A signature that uses SHA-1.
    #[error(
        "the quote is signed with SHA-1, which proves too little; use a key with SHA-256 or SHA-384, or allow SHA-1"
    )]
    Sha1Signature,
    /// A quote of nothing but SHA-1 registers.
    #[error("the quote selects the sha1 bank only, which proves too little; quote sha256 or sha384, or allow SHA-1")]
    Sha1Bank,
    /// The signature does not hold.
    #[error("the quote's signature by this key does not hold: {source}")]
    Signature {
        /// Why.
        source: SignatureError,
    },
    /// The quote does not carry the expected nonce.
    #[error(
        "the quote's nonce ({found} bytes) is not the one sent ({expected} bytes): it was made for another request"
    )]
    Nonce {
        /// Length of the nonce in the quote.
        found: usize,
        /// Length of the nonce sent. The bytes stay out of messages: they may reach the attester.
        expected: usize,
    },
    /// The value of a quoted register was not given.
    #[error("the quote covers PCR {index} of bank {bank} and no value for it was given; send all the quoted values")]
    PcrMissing {
        /// The bank.
        bank: Bank,
        /// The register.
        index: PcrIndex,
    },
    /// The values given are not the quoted ones.
    #[error(
        "the PCR values given are not the ones that were quoted: one or more was altered or read at another time; read and quote again"
    )]
    PcrDigest,
    /// A value that the quote does not cover.
    #[error("PCR {index} of bank {bank} is not covered by the quote, so its value is not proved; quote it as well")]
    PcrNotCovered {
        /// The bank.
        bank: Bank,
        /// The register.
        index: PcrIndex,
    },
    /// A value other than the quoted one.
    #[error("PCR {index} of bank {bank} was quoted with another value than the one given")]
    PcrValue {
        /// The bank.
        bank: Bank,
        /// The register.
        index: PcrIndex,
    },
}

/// Why a key cannot be an attestation key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyProblem {
    /// No bytes.
    #[error("there is nothing in it; write it with `tpm2_readpublic`")]
    Empty,
    /// Bytes in none of the accepted forms.
    #[error(
        "it starts {start:#010x} and is none of PEM, DER SubjectPublicKeyInfo, TPM2B_PUBLIC and TPMT_PUBLIC; write it with \
         `tpm2_readpublic`"
    )]
    Form {
        /// Its first four bytes, zeros where there are fewer.
        start: u32,
    },
    /// The key's numbers or encoding.
    #[error(transparent)]
    Numbers(#[from] SignatureError),
    /// A curve that is not supported.
    #[error("it is on {curve}; use P-256 or P-384")]
    Curve {
        /// The curve.
        curve: EccCurve,
    },
    /// A modulus of another size than stated.
    #[error("it states {stated} bits and its modulus has {found}: the public area was altered")]
    Size {
        /// What the parameters say.
        stated: u16,
        /// What the modulus has.
        found: usize,
    },
    /// A key that fixes no scheme for quotes.
    #[error(
        "its scheme is {}{}; an attestation key fixes RSASSA or RSAPSS (RSA), ECDSA (EC), and a hash",
        .scheme.scheme(), hash_of(*.scheme)
    )]
    Scheme {
        /// The scheme found.
        scheme: AsymmetricScheme,
    },
    /// A key that signs what a TPM did not make, or that can leave its TPM.
    #[error("as an attestation key it {}; make it restricted, signing, and fixed to its TPM", Unfit(*.missing, *.forbidden))]
    Attributes {
        /// The attributes that it lacks.
        missing: ObjectAttributes,
        /// The attributes that it must not have.
        forbidden: ObjectAttributes,
    },
}

fn hash_of(scheme: AsymmetricScheme) -> String {
    match scheme {
        AsymmetricScheme::Hashed { hash, .. } | AsymmetricScheme::Ecdaa { hash, .. } => format!(" with {hash}"),
        AsymmetricScheme::Null | AsymmetricScheme::Bare { .. } => String::new(),
    }
}

/// Prints which attributes are missing and which are too many.
struct Unfit(ObjectAttributes, ObjectAttributes);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (verb, attributes) in [("lacks", self.0), ("must not have", self.1)] {
            let names: Vec<_> = attributes.names().collect();
            if !names.is_empty() {
                write!(f, "{separator}{verb} {}", names.join(", "))?;
                separator = " and ";
            }
        }
        Ok(())
    }
}

impl KeyProblem {
    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty | Self::Form { .. } => "quote.key-form",
            Self::Numbers(source) => source.code(),
            Self::Curve { .. } => "quote.key-curve",
            Self::Size { .. } => "quote.key-size",
            Self::Scheme { .. } => "quote.key-scheme",
            Self::Attributes { .. } => "quote.key-attributes",
        }
    }
}

impl QuoteError {
    /// Every code that [`QuoteError::code`] can return: this crate's own, those of [`WireError`], and those that
    /// [`SignatureError`] has for keys.
    pub const CODES: &'static [&'static str] = &[
        "quote.magic",
        "quote.type",
        "quote.selection-empty",
        "quote.selection-invalid",
        "quote.bank-unknown",
        "quote.scheme",
        "quote.scheme-unsupported",
        "quote.sha1-not-allowed",
        "quote.signature",
        "quote.nonce",
        "quote.pcr-missing",
        "quote.pcr-digest",
        "quote.pcr-not-covered",
        "quote.pcr-value",
        "quote.key-form",
        "quote.key-curve",
        "quote.key-size",
        "quote.key-scheme",
        "quote.key-attributes",
        "tpm.truncated",
        "tpm.trailing-bytes",
        "tpm.too-long",
        "tpm.too-many",
        "tpm.algorithm",
        "tpm.value",
        "key.rsa-size",
        "key.rsa-modulus",
        "key.rsa-exponent",
        "key.ec-coordinate",
        "key.ec-point",
        "key.spki",
        "key.algorithm",
        "key.pem",
    ];

    /// The stable reason code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { source, .. } => source.code(),
            Self::Key(problem) => problem.code(),
            Self::Magic { .. } => "quote.magic",
            Self::Type { .. } => "quote.type",
            Self::SelectionEmpty => "quote.selection-empty",
            Self::UnknownBank { .. } => "quote.bank-unknown",
            Self::DuplicateBank { .. } | Self::Bitmap { .. } | Self::Register { .. } => "quote.selection-invalid",
            Self::Scheme { .. } => "quote.scheme",
            Self::SchemeUnsupported { .. } => "quote.scheme-unsupported",
            Self::Sha1Signature | Self::Sha1Bank => "quote.sha1-not-allowed",
            Self::Signature { .. } => "quote.signature",
            Self::Nonce { .. } => "quote.nonce",
            Self::PcrMissing { .. } => "quote.pcr-missing",
            Self::PcrDigest => "quote.pcr-digest",
            Self::PcrNotCovered { .. } => "quote.pcr-not-covered",
            Self::PcrValue { .. } => "quote.pcr-value",
        }
    }

    /// The register that the error is about, where it is about one.
    #[must_use]
    pub const fn register(&self) -> Option<(Bank, PcrIndex)> {
        match self {
            Self::PcrMissing { bank, index } | Self::PcrNotCovered { bank, index } | Self::PcrValue { bank, index } => {
                Some((*bank, *index))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use nitrotpm_digest_lanes::HashAlgorithm;
    use nitrotpm_tpm_wire::WireErrorKind;

    use super::*;

    #[test]
    fn every_error_has_a_listed_code_and_one_sentence() {
        let (bank, index) = (Bank::Sha384, PcrIndex::new(4).unwrap());
        let none = ObjectAttributes(0);
        let errors = [
            QuoteError::Magic { found: 0 },
            QuoteError::Type { found: AttestationType::CERTIFY },
            QuoteError::SelectionEmpty,
            QuoteError::DuplicateBank { bank },
            QuoteError::Bitmap { bank, bytes: 2 },
            QuoteError::Register { bank, index: 24 },
            QuoteError::UnknownBank { bank: AlgorithmId(0x12) },
            QuoteError::Scheme { found: "a".to_owned(), allowed: "b".to_owned() },
            QuoteError::SchemeUnsupported { scheme: Scheme::Ecdsa(HashAlgorithm::Sha512) },
            QuoteError::Sha1Signature,
            QuoteError::Sha1Bank,
            QuoteError::Signature { source: SignatureError::Wrong },
            QuoteError::Nonce { found: 0, expected: 32 },
            QuoteError::PcrMissing { bank, index },
            QuoteError::PcrDigest,
            QuoteError::PcrNotCovered { bank, index },
            QuoteError::PcrValue { bank, index },
            KeyProblem::Form { start: 1 }.into(),
            KeyProblem::Empty.into(),
            KeyProblem::Curve { curve: EccCurve::NIST_P521 }.into(),
            KeyProblem::Size { stated: 2048, found: 2047 }.into(),
            KeyProblem::Scheme { scheme: AsymmetricScheme::Null }.into(),
            KeyProblem::Attributes { missing: ObjectAttributes::RESTRICTED, forbidden: none }.into(),
        ];
        let mut codes: Vec<_> = errors.iter().map(QuoteError::code).collect();
        codes.dedup();
        let own: Vec<_> = QuoteError::CODES.iter().copied().filter(|code| code.starts_with("quote.")).collect();
        assert_eq!(codes, own);
        for error in errors {
            let text = error.to_string();
            assert!(text.len() > 40 && !text.contains(['\n', '{', '}']) && !text.ends_with('.'), "{text}");
        }
        let below = QuoteError::Malformed {
            part: "quote",
            source: WireError { structure: "TPMS_ATTEST", offset: 3, kind: WireErrorKind::Trailing { count: 1 } },
        };
        assert_eq!(below.code(), "tpm.trailing-bytes");
        assert!(
            below.to_string().starts_with("the quote is malformed: TPMS_ATTEST at byte 3: bytes follow the structure")
        );
        assert_eq!(QuoteError::from(KeyProblem::from(SignatureError::RsaExponent)).code(), "key.rsa-exponent");
    }
}
