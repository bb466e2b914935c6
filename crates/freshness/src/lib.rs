//! Nonces and clocks: what makes evidence of today out of authentic evidence.
//!
//! Nothing here reads a clock or makes a random number. The verifier's caller says which nonce it sent and what time
//! it is; both are arguments, so that a verdict can be repeated byte for byte.
//!
//! ```
//! use nitrotpm_freshness::{Clock, Nonce, NonceExpectation, UnixTime};
//!
//! // What was sent, 16 random bytes or more, and what came back.
//! let sent = Nonce::from_hex("8f4e2b1c7d6a5f0e9c3b2a1d4e5f6071")?;
//! assert!(sent.matches(&answer()));
//! let expectation = NonceExpectation::Expected(&sent);
//!
//! // Judged now, or as of the time of an earlier verdict.
//! let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
//! let now = Clock::Live(UnixTime::since_unix_epoch(since_1970));
//! let then = Clock::Audit(UnixTime::since_unix_epoch(core::time::Duration::from_secs(1_770_113_522)));
//! # let _ = (expectation, now, then);
//! # fn answer() -> Vec<u8> {
//! #     vec![0x8f, 0x4e, 0x2b, 0x1c, 0x7d, 0x6a, 0x5f, 0x0e, 0x9c, 0x3b, 0x2a, 0x1d, 0x4e, 0x5f, 0x60, 0x71]
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]

extern crate alloc;

mod clock;
mod nonce;

pub use clock::Clock;
pub use nonce::{Nonce, NonceError, NonceExpectation};
pub use pki_types::UnixTime;
