//! Opens `CiphertextForRecipient`: what AWS KMS encrypts to the recipient named in an attestation document.
//!
//! The instance makes an RSA key, puts its public part (DER `SubjectPublicKeyInfo`) into the document's `public_key`, and
//! sends the document with its request (`Recipient` with `RSAES_OAEP_SHA_256`). KMS checks the document against the key's
//! policy and answers with a CMS `EnvelopedData` (RFC 5652, section 6) that this key opens.
//!
//! KMS writes BER: lengths may be indefinite and strings in pieces, anywhere. Both are read; everything that KMS does not
//! do is refused: other algorithms, more than one recipient, bytes at the end.
//!
//! ```no_run
//! use nitrotpm_kms_recipient::{Envelope, RecipientError, RecipientKey};
//! use ring::rand::SystemRandom;
//!
//! # fn ask_kms(_: &[u8]) -> Vec<u8> { unimplemented!() }
//! let random = SystemRandom::new();
//! let key = RecipientKey::generate(&random)?;
//! let answer = ask_kms(&key.public_key_der()?);
//! let plaintext = Envelope::parse(&answer)?.open(&key, &random)?;
//! # Ok::<(), RecipientError>(())
//! ```

mod ber;
mod envelope;
mod error;
mod key;
#[cfg(test)]
mod tests;

pub use envelope::Envelope;
pub use error::RecipientError;
pub use key::RecipientKey;
