//! What a confirmed log says about the boot.

mod secure_boot;

pub use secure_boot::{SecureBootState, SecureBootUnknown};
