//! An image with its reference values.

use nitrotpm_freshness::UnixTime;
use nitrotpm_pcr::{Digest, PcrIndex, PcrValues};
use nitrotpm_verifier::{Image as PolicyImage, Provenance};

use crate::ReferenceValueError;

/// One event that a boot measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasuredEvent {
    /// The register.
    pub pcr: PcrIndex,
    /// One digest a bank.
    pub digests: Vec<Digest>,
}

/// One accepted image: its name and the values of the PCRs that identify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// Its values, of any banks.
    pub pcrs: PcrValues,
    /// Whether Secure Boot is on; `None` where nothing says so.
    pub secure_boot: Option<bool>,
    /// Where the values come from.
    pub provenance: Provenance,
    /// A number that grows with each build.
    pub build: Option<u64>,
    /// When it ceases to be accepted.
    pub not_after: Option<UnixTime>,
    /// What a person who reads the policy should know, one line each.
    pub notes: Vec<String>,
    /// The events in order, where they are known; of all registers, not only those of `pcrs`.
    pub events: Vec<MeasuredEvent>,
}

impl Image {
    /// An image of which only values are known.
    #[must_use]
    pub fn new(name: impl Into<String>, pcrs: PcrValues) -> Self {
        Self {
            name: name.into(),
            pcrs,
            secure_boot: None,
            provenance: Provenance::Unstated,
            build: None,
            not_after: None,
            notes: Vec::new(),
            events: Vec::new(),
        }
    }

    /// An image of a policy.
    #[must_use]
    pub fn of_policy(image: &PolicyImage) -> Self {
        Self {
            provenance: image.provenance,
            build: image.build,
            not_after: image.not_after,
            ..Self::new(&image.name, image.pcrs.clone())
        }
    }

    /// Keeps these registers alone.
    ///
    /// # Errors
    /// [`ReferenceValueError::NoValue`] for a register that has no value in any bank.
    pub fn select(mut self, pcrs: &[PcrIndex]) -> Result<Self, ReferenceValueError> {
        if let Some(missing) = pcrs.iter().find(|pcr| !self.pcrs.iter().any(|(_, of, _)| of == **pcr)) {
            return Err(ReferenceValueError::NoValue { image: self.name, pcr: *missing });
        }
        let mut kept = PcrValues::new();
        for (_, pcr, value) in self.pcrs.iter().filter(|(_, pcr, _)| pcrs.contains(pcr)) {
            // Each register of a bank comes once from values that hold it once.
            let _inserted = kept.insert(pcr, *value);
        }
        self.pcrs = kept;
        Ok(self)
    }
}

/// A time as RFC 3339 text in UTC.
pub(crate) fn rfc3339(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| "9999-12-31T23:59:59Z".to_owned(), |time| time.to_string())
}
