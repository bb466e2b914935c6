//! Where clients reach the TPM.

mod fuse;
mod pty;
mod server;
mod tcp;
mod unix;

pub(crate) use fuse::FuseTransport;
pub(crate) use pty::PtyTransport;
pub(crate) use tcp::TcpTransport;
pub(crate) use unix::UnixTransport;
