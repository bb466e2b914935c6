//! Loaders that must not have been loaded, and the revocations that a machine must know.
//!
//! An image that Secure Boot once allowed stays signed when a hole is found in it (BootHole, CVE-2023-21563): what keeps
//! it out is the firmware's dbx, or shim's SBAT level. A policy may demand both, and name what was never to be loaded.
//! All of it rests on what the log proves: digests of PCR 4, and the variables and authorities of PCR 7.

use nitrotpm_eventlog::{ConfirmedLog, SecureBootFacts, SignatureLists, SignatureType};
use nitrotpm_pcr::{Bank, Digest, PcrIndex};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::outcome::Reason;

/// The register into which firmware, shim and systemd-stub measure the images that they load.
const IMAGE_REGISTER: u8 = 4;

/// `[revocations]` of a policy. At least one of the four is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Revocations {
    /// Authenticode digests of images that must not have been loaded, each in the bank that its length tells.
    pub images: Vec<RevokedDigest>,
    /// No image may have been loaded that the machine's own dbx has. Such entries are of SHA-256: that bank must be signed.
    pub own_dbx: bool,
    /// SHA-256 digests that the machine's dbx must have as entries.
    pub dbx: Vec<RevokedDigest>,
    /// The lowest SBAT level: the number in the first line of shim's `SbatLevel` (`sbat,1,2024010900`).
    pub minimum_sbat_level: Option<u64>,
}

/// A digest in hexadecimal, of 32, 48 or 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RevokedDigest(Digest);

impl RevokedDigest {
    /// The digest, in the bank of its length.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.0
    }
}

impl<'de> Deserialize<'de> for RevokedDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(&text).map_err(|_| D::Error::custom("a digest is not hexadecimal"))?;
        let banks = [Bank::Sha256, Bank::Sha384, Bank::Sha512];
        let bank = banks.into_iter().find(|bank| bank.digest_len() == bytes.len());
        bank.and_then(|bank| Digest::new(bank, &bytes).ok())
            .map(Self)
            .ok_or_else(|| D::Error::custom("a digest has not 32, 48 or 64 bytes"))
    }
}

impl Revocations {
    /// What is wrong with the table as it was read.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if self.images.is_empty() && !self.needs_facts() {
            return Some("revokes nothing; give images, own_dbx, dbx or minimum_sbat_level, or leave it out");
        }
        let of_dbx = |digest: &RevokedDigest| digest.0.algorithm() != Bank::Sha256;
        self.dbx.iter().any(of_dbx).then_some("names a digest for dbx that is not of SHA-256")
    }

    /// Whether PCR 7 is asked for.
    const fn needs_facts(&self) -> bool {
        self.own_dbx || !self.dbx.is_empty() || self.minimum_sbat_level.is_some()
    }

    /// Everything that speaks against the boot that the log proves, or that the log does not show.
    pub(crate) fn appraise(&self, log: Option<&ConfirmedLog<'_>>) -> Vec<Reason> {
        let Some(log) = log else {
            return vec![Reason::new(
                "revocations.not-shown",
                "the policy has revocations, and the evidence has no event log that would show what was loaded; collect it",
            )];
        };
        if !self.needs_facts() {
            return self.images(log, None);
        }
        let not_shown = |why: String| Reason::new("revocations.not-shown", why);
        let facts = match log.secure_boot_facts() {
            Ok(facts) => facts,
            Err(unknown) => {
                let mut reasons = self.images(log, None);
                reasons.push(not_shown(format!("the event log does not show dbx and the SBAT level: {unknown}")));
                return reasons;
            }
        };
        let dbx = facts.dbx.and_then(|dbx| SignatureLists::parse(dbx).ok());
        let mut reasons = self.images(log, dbx);
        if self.own_dbx && dbx.is_none() {
            reasons
                .push(not_shown("PCR 7 has no dbx that could be read, and the policy asks for what it forbids".into()));
        }
        reasons.extend(self.dbx(dbx));
        reasons.extend(self.sbat_level(&facts));
        reasons
    }

    /// No proven digest of PCR 4 is revoked.
    fn images(&self, log: &ConfirmedLog<'_>, dbx: Option<SignatureLists<'_>>) -> Vec<Reason> {
        let Some(pcr) = PcrIndex::new(IMAGE_REGISTER) else { return Vec::new() };
        let mut reasons = Vec::new();
        for bank in [Bank::Sha256, Bank::Sha384, Bank::Sha512] {
            let needed = self.images.iter().any(|revoked| revoked.0.algorithm() == bank)
                || (self.own_dbx && bank == Bank::Sha256);
            if needed && !log.banks_of(pcr).any(|confirmed| confirmed == bank) {
                let mut reason = Reason::new(
                    "revocations.not-shown",
                    format!(
                        "the policy revokes images by {bank} digests, and the event log proves none of that bank for PCR \
                         4; quote the bank, or revoke by digests of one that is signed"
                    ),
                );
                reason.bank = Some(bank.name());
                reason.pcr = Some(IMAGE_REGISTER);
                reasons.push(reason);
            }
        }
        let in_dbx = |digest: &Digest| {
            self.own_dbx
                && digest.algorithm() == Bank::Sha256
                && dbx.is_some_and(|lists| {
                    lists.entries().any(|entry| entry.kind == SignatureType::SHA256 && entry.data == digest.as_bytes())
                })
        };
        for event in log.events_of(pcr) {
            // One reason an event, whichever of its digests is revoked.
            let revoked = event.proven_digests().find_map(|digest| {
                let by_policy = self.images.iter().any(|revoked| revoked.0 == digest);
                let by = if by_policy { "by the policy" } else { "by the machine's own dbx" };
                (by_policy || in_dbx(&digest)).then_some((digest, by))
            });
            if let Some((digest, by)) = revoked {
                let mut reason = Reason::new(
                    "revocations.image",
                    format!(
                        "event {} in PCR 4 measured an image that is revoked {by}; boot a current one",
                        event.index()
                    ),
                )
                .register(digest.algorithm(), pcr);
                reason.event = Some(event.index());
                reason.found = Some(digest.to_string());
                reasons.push(reason);
            }
        }
        reasons
    }

    /// Every digest that dbx must have is there.
    fn dbx(&self, dbx: Option<SignatureLists<'_>>) -> Option<Reason> {
        let has = |wanted: &RevokedDigest| {
            dbx.is_some_and(|lists| {
                lists.entries().any(|entry| entry.kind == SignatureType::SHA256 && entry.data == wanted.0.as_bytes())
            })
        };
        let missing: Vec<_> = self.dbx.iter().filter(|wanted| !has(wanted)).collect();
        let first = missing.first()?;
        let mut reason = Reason::new(
            "revocations.dbx",
            format!(
                "the machine's dbx lacks {} of the {} entries that the policy demands; install the current dbx",
                missing.len(),
                self.dbx.len()
            ),
        );
        reason.expected = Some(first.0.to_string());
        Some(reason)
    }

    fn sbat_level(&self, facts: &SecureBootFacts<'_>) -> Option<Reason> {
        let minimum = self.minimum_sbat_level?;
        // shim measures it once; where two stand, the lower one counts.
        let level = facts
            .authorities
            .iter()
            .filter(|authority| authority.variable.name.is("SbatLevel"))
            .map(|authority| sbat_level(authority.variable.data))
            .min();
        let problem = match level {
            Some(Some(level)) if level >= minimum => return None,
            Some(Some(level)) => {
                format!("is {level}, and the policy accepts {minimum} and later; update shim's SbatLevel")
            }
            Some(None) => "cannot be read".to_owned(),
            None => "is not in the event log: shim did not measure it, or was not used".to_owned(),
        };
        Some(Reason::new("revocations.sbat-level", format!("the SBAT level {problem}")))
    }
}

/// The number in the first line, `sbat,1,NUMBER` (shim, "SBAT.md"). Its end must be there: of an old shim's authority the
/// last byte is not proven.
fn sbat_level(data: &[u8]) -> Option<u64> {
    let end = data.iter().position(|byte| *byte == b'\n')?;
    let number = data.get(..end)?.strip_prefix(b"sbat,1,")?;
    let digits = core::str::from_utf8(number).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_from_the_first_line() {
        assert_eq!(sbat_level(b"sbat,1,2024010900\nshim,4\ngrub,3\n"), Some(2_024_010_900));
        for other in [&b""[..], b"sbat,1,2024010900", b"sbat,2,1\n", b"sbat,1,\n", b"sbat,1,+1\n", b"x\nsbat,1,1\n"] {
            assert_eq!(sbat_level(other), None, "{other:?}");
        }
    }
}
