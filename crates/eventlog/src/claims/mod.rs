//! What a confirmed log says about the boot.

mod boot_path;
mod firmware;
mod marker;
mod operating_system;
mod secure_boot;

pub use boot_path::{BootPath, BootPathUnknown, EarlyApplications, ExitBootServices};
pub use firmware::{FirmwareFacts, PlatformSeparator};
pub use operating_system::{
    CommandLine, CommandLineSource, MeasuredFile, OperatingSystemUnknown, UkiMeasurements, UkiSection,
};
pub use secure_boot::{Authority, SecureBootFacts, SecureBootState, SecureBootUnknown};
