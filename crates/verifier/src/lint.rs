//! What in a policy is dangerous or useless though it can be read.

use nitrotpm_digest_lanes::{Digest, extend, hash};
use nitrotpm_freshness::Clock;
use nitrotpm_pcr::{Bank, PcrIndex};

use crate::outcome::Warning;
use crate::policy::{Image, Policy};
use crate::result::rfc3339;

/// PCR 7 of bank SHA-384 on an EC2 instance with Secure Boot off and no keys: every such instance has it.
///
/// SecureBoot = 0, then PK, KEK, db and dbx without content, then the separator (TCG PC Client Platform Firmware
/// Profile 1.06, section 3.3.4.8).
pub const PCR7_SECURE_BOOT_OFF: &str =
    "98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77af35";

/// The findings on a policy: of its images in their order, then of the whole. Results carry them as warnings.
#[must_use]
pub fn lint(policy: &Policy) -> Vec<Warning> {
    let mut warnings: Vec<Warning> = policy.images().iter().flat_map(|image| image_warnings(image, policy)).collect();
    for (position, image) in policy.images().iter().enumerate() {
        let (before, rest) = policy.images().split_at(position);
        warnings.extend(unreachable_warning(image, before, rest, policy));
        warnings.extend(mixture_warning(image, policy));
        warnings.extend(before.iter().filter_map(|other| separator_warning(other, image)));
    }
    if policy.require().max_age_seconds.is_some() && !policy.require().document {
        warnings.push(Warning::new(
            "policy.no-effect",
            "max_age_seconds bounds the age of a document, and the policy does not require one: evidence without it \
             passes at any age; set document = true",
        ));
    }
    warnings
}

/// [`lint`], and what ends by this time.
#[must_use]
pub fn lint_at(policy: &Policy, clock: Clock) -> Vec<Warning> {
    let mut warnings = lint(policy);
    let expired = |image: &&Image| image.not_after.is_some_and(|end| clock.time() >= end);
    for image in policy.images().iter().filter(expired) {
        let end = image.not_after.map(rfc3339).unwrap_or_default();
        warnings.push(Warning::new(
            "policy.image-expired",
            format!(
                "image \"{}\" was accepted until {end}: it can be taken out of the policy",
                image.name.escape_debug()
            ),
        ));
    }
    let images = policy.images();
    if !images.is_empty() && images.iter().all(|image| image.why_not_accepted(policy.require(), clock).is_some()) {
        warnings.push(Warning::new(
            "policy.cannot-be-met",
            "every image is expired, revoked or older than minimum_build: no evidence can satisfy this policy any more",
        ));
    }
    warnings
}

/// An image that no evidence is ever found to be of.
fn unreachable_warning(image: &Image, before: &[Image], rest: &[Image], policy: &Policy) -> Option<Warning> {
    let name = image.name.escape_debug();
    if image.revoked.is_some() {
        return None;
    }
    let why = if let Some(minimum) = policy.require().minimum_build.filter(|minimum| image.build < Some(*minimum)) {
        format!("it is older than minimum_build {minimum}")
    } else if let Some(other) = before.iter().chain(rest).find(|of| of.revoked.is_some() && of.pcrs == image.pcrs) {
        format!("image \"{}\" has the same values and is revoked, which wins", other.name.escape_debug())
    } else if let Some(other) = before.iter().find(|of| of.pcrs == image.pcrs && of.not_after.is_none()) {
        format!("image \"{}\" before it has the same values", other.name.escape_debug())
    } else {
        return None;
    };
    Some(Warning::new("policy.image-unreachable", format!("no evidence is found to be of image \"{name}\": {why}")))
}

/// Values that stand in other images, and in no single one together: nobody boots half of one image and half of another.
fn mixture_warning(image: &Image, policy: &Policy) -> Option<Warning> {
    let others: Vec<&Image> = policy.images().iter().filter(|other| other.name != image.name).collect();
    let is_in = |other: &Image, (bank, pcr, value): (Bank, PcrIndex, &Digest)| other.pcrs.get(bank, pcr) == Some(value);
    // What is the same in all images, such as a PCR 12 of zeros, tells none from another.
    let telling: Vec<_> = image.pcrs.iter().filter(|entry| !others.iter().all(|other| is_in(other, *entry))).collect();
    let each_elsewhere = telling.iter().all(|entry| others.iter().any(|other| is_in(other, *entry)));
    let together = others.iter().any(|other| telling.iter().all(|entry| is_in(other, *entry)));
    (telling.len() > 1 && each_elsewhere && !together).then(|| {
        Warning::new(
            "policy.mixed-images",
            format!(
                "each value of image \"{}\" stands in another image, and no image has them together: take the values \
                 of one boot, whole",
                image.name.escape_debug()
            ),
        )
    })
}

/// The registers that systemd 261 and later extend with `os-separator` (systemd-pcrosseparator.service).
const SEPARATED: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 14];

/// Two images that differ by os-separator in some of the registers that get it, and in others not.
fn separator_warning(a: &Image, b: &Image) -> Option<Warning> {
    let (mut with, mut without) = ((0_usize, 0_usize), 0_usize);
    for (bank, pcr, value) in a.pcrs.iter().filter(|(_, pcr, _)| SEPARATED.contains(&pcr.get())) {
        let Some(other) = b.pcrs.get(bank, pcr) else { continue };
        let separator = hash(bank, &[b"os-separator"]);
        if extend(value, &separator).ok().as_ref() == Some(other) {
            with.0 = with.0.saturating_add(1);
        } else if extend(other, &separator).ok().as_ref() == Some(value) {
            with.1 = with.1.saturating_add(1);
        } else if value == other {
            without = without.saturating_add(1);
        }
    }
    let is_mixed = with != (0, 0) && (without > 0 || (with.0 > 0 && with.1 > 0));
    is_mixed.then(|| {
        Warning::new(
            "policy.os-separator-mixed",
            format!(
                "images \"{}\" and \"{}\" differ by systemd's os-separator in some registers and not in others; it is \
                 extended into PCR 0 to 7, 9 and 12 to 14 or into none: predict both variants whole (--os-separator)",
                a.name.escape_debug(),
                b.name.escape_debug()
            ),
        )
    })
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
        if policy.require().secure_boot {
            warnings.push(Warning::new(
                "policy.cannot-be-met",
                format!(
                    "the policy requires Secure Boot, and image \"{name}\" pins the PCR 7 of a machine where it is off: \
                     no evidence is of it"
                ),
            ));
        }
    }
    if let Some(bank) = image.pcrs.banks().find(|bank| *bank != Bank::Sha384)
        && policy.require().document
        && !policy.require().quote
    {
        warnings.push(Warning::new(
            "policy.bank-not-in-document",
            format!(
                "image \"{name}\" pins PCRs of bank {bank}, and a document signs SHA-384 alone: without a quote beside \
                 it no evidence is of it; require a quote, or pin SHA-384"
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
