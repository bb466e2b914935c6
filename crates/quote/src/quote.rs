//! A quote as it arrived, and its verification.

use nitrotpm_digest_lanes::{HashAlgorithm, Hasher};
use nitrotpm_freshness::NonceExpectation;
use nitrotpm_pcr::{PcrValues, Selection};
use nitrotpm_signature::{Backend, Scheme, SignatureBytes, SignatureError};
use nitrotpm_tpm_wire::{AlgorithmId, Attest, Attested, Signature, Structure, WireError};

use crate::selection::registers;
use crate::signed::{Facts, SignedQuote, SignedSelection};
use crate::{AttestationKey, QuoteError};

/// What the verifier expects of a quote.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct QuoteExpectations<'a> {
    /// The nonce that was sent.
    pub nonce: NonceExpectation<'a>,
    /// Whether SHA-1 is relied on: in the signature, and as a bank. Off unless set.
    pub allow_sha1: bool,
    /// The library that checks the signature.
    pub backend: Backend,
}

impl<'a> QuoteExpectations<'a> {
    /// This nonce, no SHA-1, the default backend.
    #[must_use]
    pub const fn new(nonce: NonceExpectation<'a>) -> Self {
        Self { nonce, allow_sha1: false, backend: Backend::Ring }
    }

    /// The same with SHA-1 relied on or not.
    #[must_use]
    pub const fn with_sha1(mut self, allow: bool) -> Self {
        self.allow_sha1 = allow;
        self
    }

    /// The same with another library for signatures.
    #[must_use]
    pub const fn with_backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }
}

/// A well-formed quote with its signature, as somebody sent them. Nothing in it is known to be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedQuote {
    // The bare TPMS_ATTEST: what the signature is over.
    signed_bytes: Vec<u8>,
    attest: Attest,
    pcr_digest: Vec<u8>,
    selection: Selection,
    signature: Signature,
}

/// What a quote says, for display only: none of it is verified.
#[derive(Clone, Copy, Debug)]
pub struct UnverifiedView<'a> {
    /// The attestation.
    pub attest: &'a Attest,
    /// The registers that it selects.
    pub selection: &'a Selection,
    /// The signature.
    pub signature: &'a Signature,
}

impl UnverifiedQuote {
    /// Parses a quote and its signature.
    ///
    /// `attest` is a `TPM2B_ATTEST` where its first two bytes are the count of the bytes after them, and a bare
    /// `TPMS_ATTEST` otherwise; no attestation that is accepted fits both. `signature` is a `TPMT_SIGNATURE`.
    ///
    /// Everything that can be seen without the key is checked: magic, type, and that the selection is one of registers
    /// that exist, each once, at least one.
    ///
    /// # Errors
    /// [`QuoteError::Malformed`], [`QuoteError::Magic`], [`QuoteError::Type`], or what is wrong with the selection.
    pub fn parse(attest: &[u8], signature: &[u8]) -> Result<Self, QuoteError> {
        let bare = match attest {
            [high, low, rest @ ..] if usize::from(u16::from_be_bytes([*high, *low])) == rest.len() => rest,
            _ => attest,
        };
        // Without the magic the rest may be anything: say so, and not at which byte it stops being an attestation.
        if let Some(found) = bare.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
            && found != Attest::MAGIC
        {
            return Err(QuoteError::Magic { found });
        }
        let malformed = |part| move |source: WireError| QuoteError::Malformed { part, source };
        let attest = Attest::parse(bare).map_err(malformed("quote"))?;
        let Attested::Quote(info) = &attest.attested else {
            return Err(QuoteError::Type { found: attest.attestation_type() });
        };
        let selection = registers(&info.pcr_select)?;
        let pcr_digest = info.pcr_digest.clone();
        let signature = Signature::parse(signature).map_err(malformed("signature"))?;
        Ok(Self { signed_bytes: bare.to_vec(), attest, pcr_digest, selection, signature })
    }

    /// What the quote says, for display only.
    #[must_use]
    pub const fn unverified_view(&self) -> UnverifiedView<'_> {
        UnverifiedView { attest: &self.attest, selection: &self.selection, signature: &self.signature }
    }

    /// Verifies signature and nonce with a key, and nothing of any register's value: what comes out says which registers
    /// were signed, and the digest over them.
    ///
    /// # Errors
    /// [`QuoteError`] for the first check that fails: that the key allows the signature's scheme, that the scheme's hash
    /// is not SHA-1 unless allowed, the signature, the nonce.
    pub fn verify_signature(
        &self,
        key: &AttestationKey,
        expectations: &QuoteExpectations<'_>,
    ) -> Result<SignedSelection, QuoteError> {
        let scheme = self.scheme_for(key)?;
        if scheme.hash() == HashAlgorithm::Sha1 && !expectations.allow_sha1 {
            return Err(QuoteError::Sha1Signature);
        }
        let signature = match &self.signature {
            Signature::Rsassa { signature, .. } | Signature::Rsapss { signature, .. } => SignatureBytes::Rsa(signature),
            Signature::Ecdsa { r, s, .. } => SignatureBytes::Ecdsa { r, s },
        };
        expectations.backend.verify(key.public_key(), scheme, &self.signed_bytes, signature).map_err(|source| {
            match source {
                SignatureError::Unsupported { .. } => QuoteError::SchemeUnsupported { scheme },
                source => QuoteError::Signature { source },
            }
        })?;

        let nonce_checked = match expectations.nonce {
            NonceExpectation::Expected(nonce) if nonce.matches(&self.attest.extra_data) => true,
            NonceExpectation::Expected(nonce) => {
                let (found, expected) = (self.attest.extra_data.len(), nonce.as_bytes().len());
                return Err(QuoteError::Nonce { found, expected });
            }
            NonceExpectation::NotChecked => false,
        };
        Ok(SignedSelection {
            scheme,
            nonce_checked,
            selection: self.selection.clone(),
            pcr_digest: self.pcr_digest.clone(),
            clock_info: self.attest.clock_info,
            firmware_version: self.attest.firmware_version,
        })
    }

    /// Verifies the quote with a key, and that `claimed` holds the values it was made over.
    ///
    /// Checked in this order: that the key allows the signature's scheme, that the scheme's hash is not SHA-1, the
    /// signature, the nonce, that another bank than SHA-1 is quoted, that every quoted register has a claimed value,
    /// and that the digest of those values, in the order of the selection and by the signature scheme's hash, is the
    /// quoted one (TPM 2.0 Library Part 3, `TPM2_Quote`). `claimed` may hold more: see
    /// [`SignedQuote::require_covered`].
    ///
    /// # Errors
    /// [`QuoteError`] for the first check that fails.
    pub fn verify(
        &self,
        key: &AttestationKey,
        expectations: &QuoteExpectations<'_>,
        claimed: &PcrValues,
    ) -> Result<SignedQuote, QuoteError> {
        let SignedSelection { scheme, nonce_checked, .. } = self.verify_signature(key, expectations)?;

        let relied_on = |bank| bank != HashAlgorithm::Sha1 || expectations.allow_sha1;
        if !self.selection.iter().any(|(bank, _)| relied_on(bank)) {
            return Err(QuoteError::Sha1Bank);
        }

        let (mut values, mut excluded) = (PcrValues::new(), PcrValues::new());
        let mut hasher = Hasher::new(scheme.hash());
        for (bank, index) in self.selection.iter() {
            let value = claimed.get(bank, index).ok_or(QuoteError::PcrMissing { bank, index })?;
            hasher.update(value.as_bytes());
            let target = if relied_on(bank) { &mut values } else { &mut excluded };
            // A selection names no register twice.
            target.insert(index, *value).map_err(|_| QuoteError::DuplicateBank { bank })?;
        }
        if hasher.finish().as_bytes() != self.pcr_digest {
            return Err(QuoteError::PcrDigest);
        }
        Ok(SignedQuote::new(Facts {
            key: key.clone(),
            scheme,
            attest: self.attest.clone(),
            selection: self.selection.clone(),
            values,
            excluded,
            nonce_checked,
        }))
    }

    /// The signature's scheme, where the key allows it.
    fn scheme_for(&self, key: &AttestationKey) -> Result<Scheme, QuoteError> {
        let scheme = self.signature.hash().hash().map(|hash| match &self.signature {
            Signature::Rsassa { .. } => Scheme::RsaPkcs1(hash),
            Signature::Rsapss { .. } => Scheme::RsaPss(hash),
            Signature::Ecdsa { .. } => Scheme::Ecdsa(hash),
        });
        scheme.filter(|scheme| key.allows(*scheme)).ok_or_else(|| QuoteError::Scheme {
            found: format!("{} with {}", self.signature.scheme(), hash_name(self.signature.hash())),
            allowed: key.allowed(),
        })
    }
}

/// A hash as the rest of the toolkit writes it: `sha256`.
fn hash_name(id: AlgorithmId) -> String {
    id.hash().map_or_else(|| id.to_string(), |hash| hash.to_string())
}
