//! Verifies TPM 2.0 quotes: the signature, the nonce, and that the PCR values are the ones that were signed.
//!
//! A quote goes one way. [`UnverifiedQuote::parse`] takes bytes; nothing can be read from it but a view for display.
//! [`UnverifiedQuote::verify`] takes the key, what is expected, and the values that the attester *claims* its registers
//! had, and only where everything holds makes a [`SignedQuote`], which has the values. It says that they are signed by
//! that key. Whether the key is a TPM's, and whose, is decided by who calls: see [`SignedQuote::key`].
//!
//! ```
//! use nitrotpm_digest_lanes::HashAlgorithm;
//! use nitrotpm_freshness::{Nonce, NonceExpectation};
//! use nitrotpm_quote::{AttestationKey, QuoteExpectations, UnverifiedQuote};
//! # use nitrotpm_testkit::{QuoteBuilder, SoftwareKey, sample_values};
//! # let software_key = SoftwareKey::p384();
//! # let claimed = sample_values(&[(HashAlgorithm::Sha384, &[4, 7])]);
//! # let sent = QuoteBuilder::new(b"sixteen bytes at", &claimed).sign_usual(&software_key);
//! # let key_file = software_key.public_key().to_spki_der();
//!
//! let key = AttestationKey::parse(&key_file)?;
//! let nonce = Nonce::new(b"sixteen bytes at").unwrap();
//! let expectations = QuoteExpectations::new(NonceExpectation::Expected(&nonce));
//!
//! let quote = UnverifiedQuote::parse(&sent.attest, &sent.signature)?;
//! let signed = quote.verify(&key, &expectations, &claimed)?;
//! assert_eq!(signed.values(), &claimed);
//! # Ok::<(), nitrotpm_quote::QuoteError>(())
//! ```

mod error;
mod key;
mod quote;
mod selection;
mod signed;

#[cfg(test)]
mod ledger_tests;

pub use error::{KeyProblem, QuoteError};
pub use key::{AttestationKey, parse_public_key};
pub use nitrotpm_tpm_wire::ClockInfo;
pub use quote::{QuoteExpectations, UnverifiedQuote, UnverifiedView};
pub use signed::{SignedQuote, SignedSelection};
