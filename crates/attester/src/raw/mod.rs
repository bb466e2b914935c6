//! A TPM without libtss2: commands as bytes, for the one command that libtss2 does not know.
//!
//! Only what an attestation document needs is here: NV indices, sessions, the vendor command.

mod channel;
mod command;
mod session;

pub(crate) use channel::Channel;
pub(crate) use command::{Authorization, Command, Encrypted, RawTpm};
pub(crate) use session::{Cipher, HmacSession, SaltKey};
