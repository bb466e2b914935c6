//! Platform configuration registers: banks, indices, values, selections, and how a register is extended.
//!
//! A *bank* is one hash algorithm; each bank has registers 0 to 23. [`PcrValues`] holds values of any banks and
//! indices and says nothing of where they come from: whether a value is authenticated is the business of the types in
//! which a caller wraps it.
//!
//! One register goes through [`Chain`]. Thousands of them, of many logs, go through [`Batch`].
//!
//! ```
//! use nitrotpm_pcr::{Bank, Chain, Digest, PcrIndex, PcrValues};
//!
//! let pcr4 = PcrIndex::try_from(4)?;
//! let mut chain = Chain::new(Bank::Sha384, pcr4);
//! chain.extend(&Digest::from([7; 48]))?;
//!
//! let mut values = PcrValues::new();
//! values.insert(pcr4, chain.value())?;
//! assert_eq!(values.get(Bank::Sha384, pcr4), Some(&chain.value()));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;

mod batch;
mod chain;
mod index;
mod selection;
mod values;

pub use batch::{AddLog, Batch, BatchError, DigestPlaces, LogId, MessageId, recycled};
pub use chain::{Chain, reset_value};
pub use index::{PcrIndex, PcrIndexOutOfRange};
/// A bank is named by its hash algorithm.
pub use nitrotpm_digest_lanes::HashAlgorithm as Bank;
pub use nitrotpm_digest_lanes::{AlgorithmMismatch, Backends, Digest};
pub use selection::{BankSelection, Selection, SelectionError};
pub use values::{DuplicatePcr, PcrValues};
