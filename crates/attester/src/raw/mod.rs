//! A TPM without libtss2: commands as bytes, for the one command that libtss2 does not know.
//!
//! Only what an attestation document needs is here: NV indices, one session, the vendor command.

mod channel;
mod command;
mod session;

pub(crate) use channel::Channel;
pub(crate) use command::{Authorization, Command, RawTpm};
pub(crate) use session::HmacSession;
