//! A NitroTPM for everybody: the stock swtpm, with what EC2's device adds to a TPM.
//!
//! The emulator starts swtpm as a child and owns it, and offers it to clients. Most commands pass through byte for byte.
//!
//! Nothing here links libtss2 or OpenSSL.
#![expect(dead_code, reason = "the overlay, which comes next, uses them")]

mod backend;
mod device;
mod error;
mod state;
mod swtpm;
mod tpm;
mod transport;
mod wire;

pub use error::EmulatorError;
pub use tpm::{NitroTpm, NitroTpmBuilder};
