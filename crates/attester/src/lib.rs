//! Makes evidence on an instance: attestation keys, quotes, enrolment, the whole bundle.
//!
//! This is the attester's side: it needs a TPM and libtss2 (Debian: `libtss2-dev`). Whoever verifies needs neither, and
//! uses none of this.
//!
//! ```no_run
//! use nitrotpm_attester::{AttesterError, Connection, KeyAlgorithm, Tpm, all_but_sha1};
//!
//! let mut tpm = Tpm::open(&Connection::of_this_machine())?;
//! let key = tpm.create_key(KeyAlgorithm::P256)?;
//! let selection = all_but_sha1(&mut tpm)?;
//! let quote = tpm.quote(&key, b"the verifier's nonce", &selection)?;
//! # Ok::<(), AttesterError>(())
//! ```

mod collect;
mod connection;
mod document;
mod encoding;
mod error;
mod evidence;
mod key_file;
mod nsm;
mod raw;
mod selection;
mod tpm;

pub use collect::{Collection, EVENT_LOG, IMA_LOG, LogFile};
pub use connection::Connection;
pub use document::{DocumentOptions, Protection, request_document};
pub use error::AttesterError;
pub use evidence::Evidence;
pub use key_file::{KeyAlgorithm, StoredKey};
pub use nsm::DocumentRequest;
pub use selection::{all_but_sha1, parse_selection};
pub use tpm::{Capabilities, NvIndex, NvPassword, PcrReading, Quote, Tpm};
