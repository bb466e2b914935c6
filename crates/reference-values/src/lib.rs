//! Reference values as others read and write them.
//!
//! An [`Image`] is a name with the PCR values of its boot, and the events behind them where those are known. It becomes
//! a policy of this toolkit ([`policy_toml`]), statements of an AWS KMS key policy ([`kms_policy`]), component files of
//! systemd-pcrlock ([`pcrlock`]) or a CoRIM ([`corim`]), and comes back from the last two.
//!
//! What a format cannot say is refused, not left out in silence.
//!
//! ```
//! use nitrotpm_reference_values::{Caution, Image, KMS_ACTIONS, Required, kms_policy, policy_toml};
//! use nitrotpm_verifier::{Bank, Digest, PcrIndex, PcrValues};
//!
//! let mut pcrs = PcrValues::new();
//! for (index, byte) in [(4, 0xab), (12, 0x00)] {
//!     pcrs.insert(PcrIndex::new(index).ok_or("no such PCR")?, Digest::new(Bank::Sha384, &[byte; 48])?)?;
//! }
//! let image = Image::new("web-41", pcrs);
//! let policy = policy_toml("web", &[image.clone()], Required::default())?;
//! assert!(policy.contains("document = true") && policy.contains("pcrs.sha384.12"));
//!
//! let role = "arn:aws:iam::111122223333:role/Web";
//! let statements = kms_policy(&[image], role, &KMS_ACTIONS, Caution::Refuse)?;
//! assert!(statements.to_string().contains("kms:RecipientAttestation:NitroTPMPCR12"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
