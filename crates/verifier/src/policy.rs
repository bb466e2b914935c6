//! The appraisal policy: what evidence must show, and which images are accepted.
//!
//! A policy only tightens. Which keys are trusted is not its business (see [`crate::Trust`]), and it cannot switch a
//! check off.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nitrotpm_digest_lanes::Digest;
use nitrotpm_eventlog::ima::{AllowList, AllowListError};
use nitrotpm_freshness::{Clock, UnixTime};
use nitrotpm_nitro_document::is_instance_id;
use nitrotpm_pcr::{Bank, PcrIndex, PcrValues};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::evidence::{escape, sha256};
use crate::keyed::{keyed, list, optional};
use crate::result::rfc3339;
use crate::revocations::Revocations;

/// The schema this version reads.
pub const POLICY_SCHEMA: &str = "nitrotpm.policy/1";

/// Why a file is not a policy. Each is an error of whoever wrote or passed it, never of the evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Larger than any real policy.
    #[error("the policy has {length} bytes; at most {} are read", Policy::MAX_LEN)]
    TooLarge {
        /// Its length in bytes.
        length: usize,
    },
    /// Not TOML, an unknown or repeated key, a value of a wrong type or length.
    #[error("the policy cannot be read: {message}")]
    Malformed {
        /// What the reader said, with the line.
        message: String,
    },
    /// The `schema` key names something else.
    #[error("the policy's schema is \"{found}\"; this version reads \"{POLICY_SCHEMA}\"")]
    Schema {
        /// What it names.
        found: String,
    },
    /// Nothing is required and no image is named: any evidence would pass.
    #[error("the policy demands nothing; name an [[image]] with its PCRs, or set a requirement under [require]")]
    Empty,
    /// An image without PCRs: any boot would be that image.
    #[error("image \"{image}\" names no PCRs; give at least one, for instance pcrs.sha384 = {{ 4 = \"<96 hex>\" }}")]
    ImageWithoutPcrs {
        /// The image's name.
        image: String,
    },
    /// Two images of one name.
    #[error("two images are named \"{image}\"; a result could not say which one matched")]
    DuplicateImage {
        /// The name.
        image: String,
    },
    /// PCR 16 or 23: software can reset them at will.
    #[error("image \"{image}\" names PCR {pcr}, which software may reset at any time: it proves nothing about a boot")]
    ResettablePcr {
        /// The image's name.
        image: String,
        /// The register.
        pcr: PcrIndex,
    },
    /// All zeros for a register that firmware always extends.
    #[error(
        "image \"{image}\" expects zeros in PCR {pcr} of bank {bank}; firmware extends PCR 0 to 7 on every boot, so only \
         a machine that measured nothing would match"
    )]
    ZeroPcr {
        /// The image's name.
        image: String,
        /// The bank.
        bank: Bank,
        /// The register.
        pcr: PcrIndex,
    },
    /// `minimum_build` without an image that has a build number.
    #[error("minimum_build is set, but image \"{image}\" has no build number to compare")]
    BuildMissing {
        /// The image without one.
        image: String,
    },
    /// No image is left that evidence could match.
    #[error(
        "no image is left that evidence could be of: each is revoked or older than minimum_build, or none is named"
    )]
    NothingAcceptable,
    /// An instance id that is none.
    #[error("\"{found}\" is not an instance id; they look like i-0123456789abcdef0")]
    InstanceId {
        /// What was found.
        found: String,
    },
    /// A table of revocations that revokes nothing, or a digest in it that is none.
    #[error("[revocations] {problem}")]
    Revocations {
        /// What is wrong.
        problem: &'static str,
    },
    /// The list of files that IMA may have measured cannot be read.
    #[error("{0}; it is what `sha256sum FILE...` prints")]
    ImaAllowList(#[from] AllowListError),
}

impl PolicyError {
    /// Every code that [`Self::code`] can return.
    pub const CODES: &'static [&'static str] = &[
        "policy.build-missing",
        "policy.duplicate-image",
        "policy.empty",
        "policy.ima-allow-list",
        "policy.image-without-pcrs",
        "policy.instance-id",
        "policy.malformed",
        "policy.nothing-acceptable",
        "policy.resettable-pcr",
        "policy.revocations",
        "policy.schema",
        "policy.too-large",
        "policy.zero-pcr",
    ];

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "policy.too-large",
            Self::Malformed { .. } => "policy.malformed",
            Self::Schema { .. } => "policy.schema",
            Self::Empty => "policy.empty",
            Self::ImageWithoutPcrs { .. } => "policy.image-without-pcrs",
            Self::DuplicateImage { .. } => "policy.duplicate-image",
            Self::ResettablePcr { .. } => "policy.resettable-pcr",
            Self::ZeroPcr { .. } => "policy.zero-pcr",
            Self::BuildMissing { .. } => "policy.build-missing",
            Self::NothingAcceptable => "policy.nothing-acceptable",
            Self::InstanceId { .. } => "policy.instance-id",
            Self::Revocations { .. } => "policy.revocations",
            Self::ImaAllowList(_) => "policy.ima-allow-list",
        }
    }
}

/// What a policy requires beside an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Requirements {
    /// An AWS-signed NitroTPM document.
    pub document: bool,
    /// A quote by a trusted attestation key.
    pub quote: bool,
    /// An event log that replays to the authenticated PCRs.
    pub event_log: bool,
    /// Secure Boot shown to be enabled by the event log.
    pub secure_boot: bool,
    /// The document's greatest age in seconds.
    pub max_age_seconds: Option<u64>,
    /// The lowest build number of an image that is accepted.
    pub minimum_build: Option<u64>,
    /// The instances that are accepted; empty: any. Shown by the document or the enrolment record.
    pub instance_ids: Vec<String>,
}

/// One accepted image: its PCR values belong together and are never mixed with another image's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Image {
    /// Its name, shown in results.
    pub name: String,
    /// All of these must be authenticated and equal.
    pub pcrs: PcrValues,
    /// A number that grows with each build.
    #[serde(default)]
    pub build: Option<u64>,
    /// Where the values come from.
    #[serde(default)]
    pub provenance: Provenance,
    /// Why the image is no longer accepted. Evidence of it is refused with this text, whatever else matches.
    #[serde(default)]
    pub revoked: Option<String>,
    /// When the image ceases to be accepted: evidence of it that is judged at this time or later is refused. A rollout
    /// gives the old image one.
    #[serde(default, deserialize_with = "optional_time")]
    pub not_after: Option<UnixTime>,
    /// The file that has the image's expected events, beside the policy: a prediction or a known good log. The engine
    /// does not read it; a program that explains refusals does.
    #[serde(default)]
    pub reference: Option<String>,
}

impl Image {
    /// Why evidence of this image is not accepted at this time, whatever it shows; none where it is.
    #[must_use]
    pub fn why_not_accepted(&self, require: &Requirements, clock: Clock) -> Option<String> {
        if let Some(why) = &self.revoked {
            return Some(format!("revoked: {why}"));
        }
        if let Some(end) = self.not_after.filter(|end| clock.time() >= *end) {
            return Some(format!("accepted until {}", rfc3339(end)));
        }
        let minimum = require.minimum_build.filter(|minimum| self.build < Some(*minimum))?;
        Some(format!("older than build {minimum}"))
    }
}

/// RFC 3339 text, as every other time of this project.
fn optional_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnixTime>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time: jiff::Timestamp = text.parse().map_err(|_| {
        D::Error::custom(format!("\"{}\" is no time like 2026-12-01T00:00:00Z (RFC 3339)", escape(&text)))
    })?;
    let since_epoch = time.as_duration().try_into().map_err(|_| D::Error::custom("the time is before 1970"))?;
    Ok(Some(UnixTime::since_unix_epoch(since_epoch)))
}

/// Where reference values come from; shown in the result, since values captured from a machine are only as good as that
/// machine was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Provenance {
    /// The policy does not say.
    #[default]
    Unstated,
    /// Computed from the files of the image.
    Predicted,
    /// Read from a running machine.
    Captured,
}

impl Provenance {
    /// As files and results write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unstated => "unstated",
            Self::Predicted => "predicted",
            Self::Captured => "captured",
        }
    }
}

/// A policy that was read and demands something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    name: Option<String>,
    require: Requirements,
    images: Vec<Image>,
    revocations: Option<Revocations>,
    ima_allow_list: Option<Arc<ImaAllowList>>,
    sha256: Digest,
}

/// A list of files, and which file it was read from.
#[derive(Debug, PartialEq, Eq)]
struct ImaAllowList {
    list: AllowList,
    sha256: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    name: Option<String>,
    #[serde(default, deserialize_with = "keyed")]
    require: Requirements,
    #[serde(default, deserialize_with = "list")]
    image: Vec<Image>,
    #[serde(default, deserialize_with = "optional")]
    revocations: Option<Revocations>,
}

impl Policy {
    /// The largest policy that is read, in bytes.
    pub const MAX_LEN: usize = 4 << 20;

    /// Reads a policy in TOML.
    ///
    /// # Errors
    /// [`PolicyError`]; an unknown key is one, and so is a policy that demands nothing.
    pub fn from_toml(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > Self::MAX_LEN {
            return Err(PolicyError::TooLarge { length: bytes.len() });
        }
        let file: File = toml::from_slice(bytes)
            .map_err(|error| PolicyError::Malformed { message: escape_lines(&error.to_string()) })?;
        if file.schema != POLICY_SCHEMA {
            return Err(PolicyError::Schema { found: escape(&file.schema) });
        }
        check_images(&file.image)?;
        let require = &file.require;
        if let Some(minimum) = require.minimum_build {
            if let Some(image) = file.image.iter().find(|image| image.build.is_none()) {
                return Err(PolicyError::BuildMissing { image: escape(&image.name) });
            }
            if file.image.iter().all(|image| image.build < Some(minimum) || image.revoked.is_some()) {
                return Err(PolicyError::NothingAcceptable);
            }
        }
        if !file.image.is_empty() && file.image.iter().all(|image| image.revoked.is_some()) {
            return Err(PolicyError::NothingAcceptable);
        }
        if let Some(id) = require.instance_ids.iter().find(|id| !is_instance_id(id)) {
            return Err(PolicyError::InstanceId { found: escape(id) });
        }
        if let Some(problem) = file.revocations.as_ref().and_then(Revocations::problem) {
            return Err(PolicyError::Revocations { problem });
        }
        // Age and instance alone demand nothing of what was booted or of who says so.
        if file.image.is_empty() && !(require.document || require.quote || require.event_log || require.secure_boot) {
            return Err(PolicyError::Empty);
        }
        Ok(Self {
            name: file.name,
            require: file.require,
            images: file.image,
            revocations: file.revocations,
            ima_allow_list: None,
            sha256: sha256(bytes),
        })
    }

    /// The same policy, which also demands an IMA list that the signed PCR 10 proves, and that names no file but those of
    /// `text`, each with a digest given there: what `sha256sum` prints, see [`AllowList::parse`]. It is no part of the
    /// policy's file because of its size; results name it by its own digest.
    ///
    /// # Errors
    /// [`PolicyError::ImaAllowList`].
    pub fn with_ima_allow_list(self, text: &[u8]) -> Result<Self, PolicyError> {
        let list = ImaAllowList { list: AllowList::parse(text)?, sha256: sha256(text) };
        Ok(Self { ima_allow_list: Some(Arc::new(list)), ..self })
    }

    /// The files that IMA may have measured, where the policy demands it.
    #[must_use]
    pub fn ima_allow_list(&self) -> Option<&AllowList> {
        self.ima_allow_list.as_deref().map(|list| &list.list)
    }

    /// SHA-256 of the text from which the allow-list was read.
    #[must_use]
    pub fn ima_allow_list_sha256(&self) -> Option<Digest> {
        self.ima_allow_list.as_deref().map(|list| list.sha256)
    }

    /// What must not have been loaded, and how up to date the machine's own revocations must be.
    #[must_use]
    pub const fn revocations(&self) -> Option<&Revocations> {
        self.revocations.as_ref()
    }

    /// The policy's name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What is required beside an image.
    #[must_use]
    pub const fn require(&self) -> &Requirements {
        &self.require
    }

    /// The images, in the order of the file.
    #[must_use]
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// SHA-256 of the file's bytes; results carry it.
    #[must_use]
    pub const fn sha256(&self) -> Digest {
        self.sha256
    }

    /// The document's greatest age.
    #[must_use]
    pub fn max_age(&self) -> Option<Duration> {
        self.require.max_age_seconds.map(Duration::from_secs)
    }
}

fn check_images(images: &[Image]) -> Result<(), PolicyError> {
    let mut names = BTreeSet::new();
    for image in images {
        let name = || escape(&image.name);
        if !names.insert(image.name.as_str()) {
            return Err(PolicyError::DuplicateImage { image: name() });
        }
        if image.pcrs.is_empty() {
            return Err(PolicyError::ImageWithoutPcrs { image: name() });
        }
        for (bank, pcr, value) in image.pcrs.iter() {
            if pcr.is_resettable() {
                return Err(PolicyError::ResettablePcr { image: name(), pcr });
            }
            if pcr.get() <= 7 && value.is_zero() {
                return Err(PolicyError::ZeroPcr { image: name(), bank, pcr });
            }
        }
    }
    Ok(())
}

/// The TOML reader's messages have several lines that point at the place: those line ends are kept. It quotes a whole
/// line of the file, which is all of it where another file was taken for a policy: what nobody would read is cut.
fn escape_lines(text: &str) -> String {
    const WIDEST: usize = 160;
    let line = |line: &str| {
        let kept: String = line.chars().take(WIDEST).collect();
        format!("{}{}", escape(&kept), if kept.len() < line.len() { "…" } else { "" })
    };
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}
