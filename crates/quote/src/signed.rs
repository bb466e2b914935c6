//! A quote that its key signed.

use nitrotpm_digest_lanes::hash;
use nitrotpm_pcr::{Bank, PcrValues, Selection};
use nitrotpm_signature::Scheme;
use nitrotpm_tpm_wire::{Attest, ClockInfo};

use crate::{AttestationKey, QuoteError};

/// A quote whose signature, nonce and PCR values hold under [`SignedQuote::key`]. Only [`crate::UnverifiedQuote::verify`]
/// makes one.
///
/// What it says is as true as that key is a TPM's: whether it is, is not decided here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedQuote(Facts);

/// What the verification established.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) key: AttestationKey,
    pub(crate) scheme: Scheme,
    pub(crate) attest: Attest,
    pub(crate) selection: Selection,
    pub(crate) values: PcrValues,
    pub(crate) excluded: PcrValues,
    pub(crate) nonce_checked: bool,
}

impl SignedQuote {
    pub(crate) const fn new(facts: Facts) -> Self {
        Self(facts)
    }

    /// The values of exactly the registers that were quoted; without the SHA-1 bank, unless SHA-1 was allowed.
    #[must_use]
    pub const fn values(&self) -> &PcrValues {
        &self.0.values
    }

    /// The banks that were quoted and are not in [`SignedQuote::values`]: SHA-1, unless it was allowed.
    pub fn excluded_banks(&self) -> impl Iterator<Item = Bank> + '_ {
        self.0.excluded.banks()
    }

    /// The registers that were quoted, in the order in which they were signed, the excluded ones among them.
    #[must_use]
    pub const fn selection(&self) -> &Selection {
        &self.0.selection
    }

    /// Checks that every value in `given` is one that was quoted.
    ///
    /// The values of an excluded bank count as quoted: they are in the signed digest.
    ///
    /// # Errors
    /// [`QuoteError::PcrNotCovered`] for a register that was not quoted, [`QuoteError::PcrValue`] for another value;
    /// the first in order of bank and index.
    pub fn require_covered(&self, given: &PcrValues) -> Result<(), QuoteError> {
        given.iter().try_for_each(|(bank, index, value)| {
            match self.0.values.get(bank, index).or_else(|| self.0.excluded.get(bank, index)) {
                None => Err(QuoteError::PcrNotCovered { bank, index }),
                Some(quoted) if quoted != value => Err(QuoteError::PcrValue { bank, index }),
                Some(_) => Ok(()),
            }
        })
    }

    /// The TPM's clock and its counts of resets: a fact for the caller's policy. Two quotes of one TPM with the same
    /// `reset_count` are of the same boot. `safe` is false where the clock may have gone back after an unorderly
    /// shutdown.
    #[must_use]
    pub const fn clock_info(&self) -> ClockInfo {
        self.0.attest.clock_info
    }

    /// The vendor's number of the TPM's firmware. Obfuscated, as the counts are, unless the key is in the endorsement
    /// or platform hierarchy (TPM 2.0 Library Part 1, "Attestation").
    #[must_use]
    pub const fn firmware_version(&self) -> u64 {
        self.0.attest.firmware_version
    }

    /// The key that signed.
    #[must_use]
    pub const fn key(&self) -> &AttestationKey {
        &self.0.key
    }

    /// The qualifying data: the nonce that the quote was made with, checked or not.
    #[must_use]
    pub fn extra_data(&self) -> &[u8] {
        &self.0.attest.extra_data
    }

    /// Whether the nonce was compared with an expected one. If not, the quote may be of any age.
    #[must_use]
    pub const fn nonce_checked(&self) -> bool {
        self.0.nonce_checked
    }

    /// The scheme and hash of the signature.
    #[must_use]
    pub const fn signature_scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// The qualified name that the TPM gives its key. It was signed but compared with nothing: see
    /// [`SignedQuote::signer_is_child_of`].
    #[must_use]
    pub fn qualified_signer(&self) -> &[u8] {
        &self.0.attest.qualified_signer
    }

    /// Whether the qualified signer is the key's qualified name under a parent with this qualified name (TPM 2.0
    /// Library Part 1, "Qualified Name": the digest, by the key's Name algorithm, of the parent's qualified name and
    /// the key's Name). For a primary key the parent is its hierarchy: the four bytes of the handle, such as 4000000B
    /// for the endorsement hierarchy.
    ///
    /// `None` where the key's Name is not known, because no public area was given.
    #[must_use]
    pub fn signer_is_child_of(&self, parent: &[u8]) -> Option<bool> {
        let public = self.0.key.public_area()?;
        let digest = hash(public.name_alg.hash()?, &[parent, &public.name()?]);
        let expected = [&public.name_alg.0.to_be_bytes(), digest.as_bytes()].concat();
        Some(expected == self.qualified_signer())
    }
}

/// A quote whose signature and nonce hold under a key, and whose registers' values nobody gave: it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedSelection {
    /// The scheme of the signature.
    pub scheme: Scheme,
    /// Whether the nonce was compared with an expected one.
    pub nonce_checked: bool,
    /// The registers that were signed, in order.
    pub selection: Selection,
    /// The digest over their values, by the scheme's hash.
    pub pcr_digest: Vec<u8>,
    /// The TPM's clock and counters.
    pub clock_info: ClockInfo,
    /// The TPM's firmware version.
    pub firmware_version: u64,
}
