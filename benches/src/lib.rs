//! How the speed of the hot paths is measured.
//!
//! Nothing is asserted on absolute times: the machine is shared and its clock varies. All candidates run in one
//! process in turns ([`Race`]), by the thread's own processor time, and the 20th percentile counts.

pub mod bound;
pub mod data;
#[cfg(feature = "peers")]
pub mod documents;
#[cfg(feature = "peers")]
pub mod log;
#[cfg(feature = "peers")]
pub mod peers;
mod race;
#[cfg(feature = "peers")]
pub mod swtpm;

pub use race::{Race, Time, clock_gigahertz, thread_nanoseconds, time_of};
