//! Images as a policy of this toolkit.

use std::fmt::Write as _;

use nitrotpm_verifier::Provenance;

use crate::image::rfc3339;
use crate::{Image, ReferenceValueError};

/// What a policy requires beside the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Required {
    /// An AWS-signed document.
    pub document: bool,
    /// A quote.
    pub quote: bool,
    /// An event log that replays.
    pub event_log: bool,
}

impl Default for Required {
    /// A document: what an instance has without an enrolled key.
    fn default() -> Self {
        Self { document: true, quote: false, event_log: false }
    }
}

/// A policy (`nitrotpm.policy/1`) that accepts these images, one beside the other. What should be known of each stands in
/// comments.
///
/// Where Secure Boot is on for every image, the policy demands it, and the event log that shows it.
///
/// # Errors
/// [`ReferenceValueError::NoImage`] without an image: such a policy would accept every one.
pub fn policy_toml(name: &str, images: &[Image], required: Required) -> Result<String, ReferenceValueError> {
    if images.is_empty() {
        return Err(ReferenceValueError::NoImage);
    }
    let secure_boot = images.iter().all(|image| image.secure_boot == Some(true));
    let mut text = format!("schema = \"nitrotpm.policy/1\"\nname = {}\n\n[require]\n", quoted(name));
    for (key, wanted) in [
        ("document", required.document),
        ("quote", required.quote),
        ("event_log", required.event_log || secure_boot),
        ("secure_boot", secure_boot),
    ] {
        if wanted {
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(text, "{key} = true");
        }
    }
    for image in images {
        text.push('\n');
        for note in &image.notes {
            // A line end would end the comment.
            let hidden = |c: char| if c.is_control() { c.escape_unicode().to_string() } else { c.to_string() };
            let _ = writeln!(text, "# {}", note.chars().map(hidden).collect::<String>());
        }
        let _ = write!(text, "[[image]]\nname = {}\n", quoted(&image.name));
        if let Some(build) = image.build {
            let _ = writeln!(text, "build = {build}");
        }
        if image.provenance != Provenance::Unstated {
            let _ = writeln!(text, "provenance = \"{}\"", image.provenance.name());
        }
        if let Some(end) = image.not_after {
            let _ = writeln!(text, "not_after = \"{}\"", rfc3339(end));
        }
        for (bank, index, value) in image.pcrs.iter() {
            let _ = writeln!(text, "pcrs.{bank}.{index} = \"{value}\"");
        }
    }
    Ok(text)
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use nitrotpm_freshness::UnixTime;
    use nitrotpm_pcr::{Bank, Digest, PcrIndex, PcrValues};
    use nitrotpm_verifier::Policy;

    use super::*;

    fn image(name: &str) -> Image {
        let mut pcrs = PcrValues::new();
        pcrs.insert(PcrIndex::new(4).unwrap(), Digest::ones(Bank::Sha384)).unwrap();
        pcrs.insert(PcrIndex::new(12).unwrap(), Digest::zero(Bank::Sha384)).unwrap();
        Image::new(name, pcrs)
    }

    #[test]
    fn what_is_written_is_read_by_the_verifier() {
        let full = Image {
            build: Some(41),
            not_after: Some(UnixTime::since_unix_epoch(core::time::Duration::from_secs(1_780_000_000))),
            provenance: Provenance::Captured,
            notes: vec!["PCR 1 is left out\n[[image]]".to_owned()],
            ..image("a \"name\"\n\u{7f}")
        };
        let text = policy_toml("two", &[full.clone(), image("b")], Required::default()).unwrap();
        let policy = Policy::from_toml(text.as_bytes()).unwrap();
        assert_eq!(policy.images().len(), 2, "{text}");
        let read = Image::of_policy(&policy.images()[0]);
        assert_eq!(read, Image { notes: Vec::new(), ..full }, "{text}");
        assert!(policy.require().document && !policy.require().secure_boot);
        assert_eq!(policy_toml("none", &[], Required::default()), Err(ReferenceValueError::NoImage));
    }

    #[test]
    fn secure_boot_is_demanded_where_every_image_has_it() {
        let on = Image { secure_boot: Some(true), ..image("on") };
        for (images, demanded) in [(vec![on.clone()], true), (vec![on, image("unknown")], false)] {
            let text = policy_toml("p", &images, Required::default()).unwrap();
            let policy = Policy::from_toml(text.as_bytes()).unwrap();
            assert_eq!((policy.require().secure_boot, policy.require().event_log), (demanded, demanded));
        }
    }
}
