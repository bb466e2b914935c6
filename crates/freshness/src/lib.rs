//! Nonces and clocks: what makes evidence of today out of authentic evidence.
//!
//! Nothing here reads a clock or makes a random number. The verifier's caller says which nonce it sent and what time
//! it is; both are arguments, so that a verdict can be repeated byte for byte.
#![no_std]

extern crate alloc;

mod clock;
mod nonce;

pub use clock::Clock;
pub use nonce::{Nonce, NonceError, NonceExpectation};
pub use pki_types::UnixTime;
