//! Reference values as others read and write them.
//!
//! An [`Image`] is a name with the PCR values of its boot, and the events behind them where those are known. It becomes
//! a policy of this toolkit ([`policy_toml`]), statements of an AWS KMS key policy ([`kms_policy`]), component files of
//! systemd-pcrlock ([`pcrlock`]) or a CoRIM ([`corim`]), and comes back from the last two.
//!
//! What a format cannot say is refused, not left out in silence.

pub mod corim;
mod error;
mod image;
mod kms;
mod merge;
pub mod pcrlock;
mod policy;

pub use error::ReferenceValueError;
pub use image::{Image, MeasuredEvent};
pub use kms::{Caution, KMS_ACTIONS, dangers, kms_policy};
pub use merge::merge;
pub use policy::{Required, policy_toml};
