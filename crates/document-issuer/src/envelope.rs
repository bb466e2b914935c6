//! The `COSE_Sign1` around a payload (RFC 9052, section 4.2).

use crate::{IssuerError, Key, cbor};

/// The protected header of every document: `{1: -35}`, the algorithm ES384.
pub const PROTECTED_HEADER: [u8; 4] = [0xA1, 0x01, 0x38, 0x22];

/// The parts of a `COSE_Sign1`. Nothing is checked, so that a test can write what AWS never does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Tags before the array, outermost first; AWS writes none.
    pub tags: Vec<u64>,
    /// The content of the protected header's byte string.
    pub protected: Vec<u8>,
    /// The unprotected header, one CBOR item.
    pub unprotected: Vec<u8>,
    /// The content of the payload's byte string.
    pub payload: Vec<u8>,
    /// The content of the signature's byte string.
    pub signature: Vec<u8>,
}

impl Envelope {
    /// Signs a payload as AWS does: no tag, `{1: -35}` protected, nothing unprotected.
    ///
    /// # Errors
    /// [`IssuerError::Crypto`] where no signature can be made.
    pub fn sign(payload: Vec<u8>, key: &Key) -> Result<Self, IssuerError> {
        let mut envelope = Self {
            tags: Vec::new(),
            protected: PROTECTED_HEADER.to_vec(),
            unprotected: cbor::map(&[]),
            payload,
            signature: Vec::new(),
        };
        envelope.sign_again(key)?;
        Ok(envelope)
    }

    /// Signs the parts as they are now.
    ///
    /// # Errors
    /// [`IssuerError::Crypto`] where no signature can be made.
    pub fn sign_again(&mut self, key: &Key) -> Result<(), IssuerError> {
        self.signature = key.sign(&self.signed_bytes())?;
        Ok(())
    }

    /// What is signed: `["Signature1", protected, h'', payload]` (RFC 9052, section 4.4).
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        cbor::array(&[
            cbor::text("Signature1"),
            cbor::bytes(&self.protected),
            cbor::bytes(&[]),
            cbor::bytes(&self.payload),
        ])
    }

    /// The bytes of the document.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let array = cbor::array(&[
            cbor::bytes(&self.protected),
            self.unprotected.clone(),
            cbor::bytes(&self.payload),
            cbor::bytes(&self.signature),
        ]);
        self.tags.iter().rev().fold(array, |item, tag| cbor::tagged(*tag, &item))
    }
}
