//! A NitroTPM for everybody: the stock swtpm, with what EC2's device adds to a TPM.
//!
//! The emulator starts swtpm as a child, owns it, and offers it to clients. Most commands pass through byte for byte. Two
//! things are added:
//!
//! * NV indices of up to 8,192 bytes, which libtpms cannot hold. Their contents are kept here; swtpm has a placeholder,
//!   does all checks on it, and the command is signed again under the client's own session.
//! * The vendor command 0x20000001, which answers the NSM request in an NV index: an attestation document that differs
//!   from AWS's in nothing but its root.
//!
//! Session keys and authorization values are read from swtpm's state. Nothing here links libtss2 or OpenSSL.
//!
//! ```no_run
//! use nitrotpm_emulator::{Fault, NitroTpm};
//!
//! let tpm = NitroTpm::start()?;
//! let document = tpm.document(None, None, Some(b"the verifier's nonce"))?;
//! println!("{} bytes, to be verified under\n{}", document.len(), tpm.root_pem());
//! println!("libtss2 reaches it by {}", tpm.tcti());
//!
//! // From now on it lies.
//! tpm.set_faults([Fault::WrongSignature]);
//! # Ok::<(), nitrotpm_emulator::EmulatorError>(())
//! ```
//!
//! What is assumed of the real device, because nobody documents it, is listed in [`ASSUMPTIONS`].

mod authorize;
mod backend;
mod boot_log;
mod crypto;
mod device;
mod documents;
mod ek;
mod error;
mod faults;
mod keys;
mod nsm;
mod nv;
mod observe;
mod overlay;
mod self_test;
mod sessions;
mod state;
mod swtpm;
mod tpm;
mod transport;
mod vendor;
mod wire;

pub use boot_log::BootLogReport;
pub use documents::DeviceClock;
pub use ek::{EkKind, EkPublic};
pub use error::EmulatorError;
pub use faults::{Fault, UnknownFault};
pub use tpm::{NitroTpm, NitroTpmBuilder};
pub use vendor::ASSUMPTIONS;
