//! Where clients reach the TPM.

mod server;
mod tcp;

pub(crate) use tcp::TcpTransport;
