//! Quotes with anything wrong on demand.

use nitrotpm_digest_lanes::{HashAlgorithm, Hasher, hash};
use nitrotpm_pcr::{PcrIndex, PcrValues};
use nitrotpm_signature::Scheme;
use nitrotpm_tpm_wire::{
    AlgorithmId, Attest, AttestationType, Attested, ClockInfo, PcrSelection, PcrSelectionList, QuoteInfo, Structure,
};

use crate::SoftwareKey;

/// Values for registers, each its own: the digest of the bank's name and the index.
///
/// # Panics
/// For an index from 24 on, or one given twice.
#[must_use]
pub fn sample_values(registers: &[(HashAlgorithm, &[u8])]) -> PcrValues {
    let mut values = PcrValues::new();
    for (bank, indices) in registers {
        for index in *indices {
            let value = hash(*bank, &[b"sample", bank.name().as_bytes(), &[*index]]);
            values.insert(PcrIndex::new(*index).expect("an index up to 23"), value).expect("an index given once");
        }
    }
    values
}

/// A selection of registers of one bank, in three bytes.
///
/// # Panics
/// For an index from 24 on.
#[must_use]
pub fn select(bank: HashAlgorithm, indices: &[u8]) -> PcrSelection {
    let mut bitmap = vec![0_u8; 3];
    for index in indices {
        let (byte, bit) = (usize::from(index.checked_div(8).unwrap_or(0)), u32::from(index & 7));
        *bitmap.get_mut(byte).expect("an index up to 23") |= 1_u8.checked_shl(bit).unwrap_or(0);
    }
    PcrSelection { hash: bank.into(), bitmap }
}

/// A quote before it is signed: every field may be set to something wrong.
#[derive(Clone, Debug)]
pub struct QuoteBuilder {
    /// The magic, [`Attest::MAGIC`].
    pub magic: u32,
    /// The type, [`AttestationType::QUOTE`].
    pub attestation_type: AttestationType,
    /// The qualified signer: some bytes.
    pub qualified_signer: Vec<u8>,
    /// The nonce.
    pub extra_data: Vec<u8>,
    /// The clock.
    pub clock_info: ClockInfo,
    /// The firmware's version.
    pub firmware_version: u64,
    /// The selections in order.
    pub selections: Vec<PcrSelection>,
    /// The values from which the digest is computed, in the order of the selections.
    pub values: PcrValues,
    /// The digest, where it is not to be computed.
    pub pcr_digest: Option<Vec<u8>>,
    /// Bytes after the structure, signed with it.
    pub trailing: Vec<u8>,
}

/// What a quoting machine sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBytes {
    /// The `TPMS_ATTEST`.
    pub attest: Vec<u8>,
    /// The `TPMT_SIGNATURE`.
    pub signature: Vec<u8>,
}

impl QuoteBuilder {
    /// A good quote of all the registers in `values`, banks weakest first.
    #[must_use]
    pub fn new(nonce: &[u8], values: &PcrValues) -> Self {
        let selections = values
            .banks()
            .map(|bank| {
                let indices: Vec<u8> =
                    values.iter().filter(|(of, _, _)| *of == bank).map(|(_, index, _)| index.get()).collect();
                select(bank, &indices)
            })
            .collect();
        Self {
            magic: Attest::MAGIC,
            attestation_type: AttestationType::QUOTE,
            qualified_signer: [&AlgorithmId::SHA256.0.to_be_bytes()[..], &[0x5A; 32]].concat(),
            extra_data: nonce.to_vec(),
            clock_info: ClockInfo { clock: 123_456, reset_count: 7, restart_count: 1, safe: true },
            firmware_version: 0x2019_1023_0016_3636,
            selections,
            values: values.clone(),
            pcr_digest: None,
            trailing: Vec::new(),
        }
    }

    /// The digest that a TPM would compute: by `algorithm`, over the selected values in order. Banks without a name and
    /// registers without a value add nothing.
    #[must_use]
    pub fn computed_digest(&self, algorithm: HashAlgorithm) -> Vec<u8> {
        let mut hasher = Hasher::new(algorithm);
        for selection in &self.selections {
            for index in selection.indices() {
                let value = selection
                    .hash
                    .hash()
                    .zip(PcrIndex::try_from(index).ok())
                    .and_then(|(bank, index)| self.values.get(bank, index));
                hasher.update(value.map(AsRef::as_ref).unwrap_or_default());
            }
        }
        hasher.finish().as_bytes().to_vec()
    }

    /// The bytes of the attestation for a signature by `algorithm`.
    ///
    /// # Panics
    /// Where a field is longer than the structure can state.
    #[must_use]
    pub fn attest(&self, algorithm: HashAlgorithm) -> Vec<u8> {
        let info = QuoteInfo {
            pcr_select: PcrSelectionList { selections: self.selections.clone() },
            pcr_digest: self.pcr_digest.clone().unwrap_or_else(|| self.computed_digest(algorithm)),
        };
        let attested = if self.attestation_type == AttestationType::QUOTE {
            Attested::Quote(info)
        } else {
            let bytes = info.to_bytes().expect("fields that fit");
            Attested::Other { attestation_type: self.attestation_type, bytes }
        };
        let attest = Attest {
            magic: self.magic,
            qualified_signer: self.qualified_signer.clone(),
            extra_data: self.extra_data.clone(),
            clock_info: self.clock_info,
            firmware_version: self.firmware_version,
            attested,
        };
        let mut bytes = attest.to_bytes().expect("fields that fit");
        bytes.extend_from_slice(&self.trailing);
        bytes
    }

    /// Signs the quote.
    ///
    /// # Panics
    /// Where the key does not sign in the scheme: see [`SoftwareKey::sign`].
    #[must_use]
    pub fn sign(&self, key: &SoftwareKey, scheme: Scheme) -> SignedBytes {
        let attest = self.attest(scheme.hash());
        let signature = key.sign(scheme, &attest).to_bytes().expect("a signature that fits");
        SignedBytes { attest, signature }
    }

    /// Signs the quote in the scheme that the key usually fixes.
    #[must_use]
    pub fn sign_usual(&self, key: &SoftwareKey) -> SignedBytes {
        self.sign(key, key.usual_scheme())
    }
}
