//! One source of randomness for all: a [`SecureRandom`] of ring's as the generator that the `rsa` crate asks for.
//!
//! ```
//! use nitrotpm_randomness::RingRandom;
//! use rand_core::TryRng;
//! use ring::rand::SystemRandom;
//!
//! let mut bytes = [0; 32];
//! RingRandom(&SystemRandom::new()).try_fill_bytes(&mut bytes)?;
//! assert_ne!(bytes, [0; 32]);
//! # Ok::<(), nitrotpm_randomness::NoRandomness>(())
//! ```

use core::fmt;

use rand_core::{TryCryptoRng, TryRng};
use ring::rand::SecureRandom;

/// ring's randomness in the traits of `rand_core`.
pub struct RingRandom<'a>(pub &'a dyn SecureRandom);

/// The system gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system gave no random bytes")
    }
}

impl core::error::Error for NoRandomness {}

impl TryRng for RingRandom<'_> {
    type Error = NoRandomness;

    fn try_next_u32(&mut self) -> Result<u32, NoRandomness> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, NoRandomness> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        self.0.fill(bytes).map_err(|_| NoRandomness)
    }
}

impl TryCryptoRng for RingRandom<'_> {}
