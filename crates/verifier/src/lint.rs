//! What in a policy is dangerous or useless though it can be read.

use nitrotpm_pcr::{Bank, PcrIndex};

use crate::outcome::Warning;
use crate::policy::{Image, Policy};

/// PCR 7 of bank SHA-384 on an EC2 instance with Secure Boot off and no keys: every such instance has it.
///
/// SecureBoot = 0, then PK, KEK, db and dbx without content, then the separator (TCG PC Client Platform Firmware
/// Profile 1.06, section 3.3.4.8).
const PCR7_SECURE_BOOT_OFF: &str =
    "98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77af35";

/// The findings on a policy, in the order of its images. Results carry them as warnings.
#[must_use]
pub fn warnings(policy: &Policy) -> Vec<Warning> {
    policy.images().iter().flat_map(|image| image_warnings(image, policy)).collect()
}

fn image_warnings(image: &Image, policy: &Policy) -> Vec<Warning> {
    let name = image.name.escape_debug();
    let mut warnings = Vec::new();
    let demands = |number: u8| image.pcrs.iter().any(|(_, pcr, _)| pcr.get() == number);
    // With Secure Boot, systemd-stub ignores a command line from outside; without it, anybody who can write to the ESP
    // appends one, and PCR 4 does not change (GHSA-xrv8-2pf5-f3q7).
    let secure_boot = policy.require().secure_boot || (demands(7) && !pcr7_is_off(image));
    if demands(4) && !demands(12) && !secure_boot {
        warnings.push(Warning::new(
            "policy.pcr4-without-pcr12",
            format!(
                "image \"{name}\" pins PCR 4 and not PCR 12: without Secure Boot a kernel command line can be appended \
                 that PCR 4 does not show (GHSA-xrv8-2pf5-f3q7); pin PCR 12 too"
            ),
        ));
    }
    if image.pcrs.iter().all(|(_, pcr, _)| pcr.get() <= 3) {
        warnings.push(Warning::new(
            "policy.platform-pcrs-only",
            format!(
                "image \"{name}\" pins PCR 0 to 3 only: they describe Amazon's firmware and are the same whatever is \
                 booted; pin PCR 4 and 12, or 7"
            ),
        ));
    }
    if demands(1) {
        warnings.push(Warning::new(
            "policy.unstable-pcr",
            format!("image \"{name}\" pins PCR 1, which differs between instances of one image"),
        ));
    }
    if pcr7_is_off(image) {
        warnings.push(Warning::new(
            "policy.pcr7-secure-boot-off",
            format!(
                "image \"{name}\" pins the PCR 7 of every machine whose Secure Boot is off: it tells nothing about \
                 the image"
            ),
        ));
    }
    warnings
}

fn pcr7_is_off(image: &Image) -> bool {
    PcrIndex::new(7)
        .and_then(|pcr| image.pcrs.get(Bank::Sha384, pcr))
        .is_some_and(|value| value.to_string() == PCR7_SECURE_BOOT_OFF)
}
