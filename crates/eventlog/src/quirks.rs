//! Where a log does not follow the specification, and is accepted none the less: each by name.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::decode::Decoded;
use crate::payload::ERROR_SEPARATOR;
use crate::{EventLog, EventType, Format, Register, Rule, SpecIdVersion, Tail};

/// A known way in which a log differs from the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Quirk {
    /// A SHA-1 log: no digest of it resists a collision (tpm2-tools#2179, systemd#35820).
    Sha1Log,
    /// No Spec ID event heads the log (go-attestation pull request 208).
    NoSpecId,
    /// The size of an UINTN in the header is neither 1 (32 bits) nor 2 (64 bits).
    OddUintnSize,
    /// An event's digests stand in another order than the header's (Hyper-V).
    DigestOrder,
    /// An event has fewer digests than the header declares (Windows after boot).
    FewerDigests,
    /// Zeros follow the locality (coreboot: Dasharo#1476).
    PaddedStartupLocality,
    /// Only a variable's contents are measured, not its name.
    VariableDataOnly,
    /// The last byte of an authority is not measured (shim#184, go-attestation#157).
    AuthorityWithoutLastByte,
    /// The terminating NUL of GRUB's text is measured (RHEL 8).
    GrubTextWithNul,
    /// Bytes that belong to nothing follow a variable or an image's description (shim).
    TrailingPayloadBytes,
    /// A separator with other data than zeros, ones or the error value: `WBCL` of Windows, single bytes of some BIOS.
    OddSeparator,
    /// A register has more than one separator.
    SeveralSeparators,
    /// The digest of a separator says that the firmware failed, and its data says something else.
    ErrorSeparatorText,
    /// The variable SecureBoot has no contents.
    EmptySecureBoot,
    /// The firmware followed more than one boot option.
    SeveralBootAttempts,
    /// The version of the first code is measured by another digest than that of its data (tpm2-tools#3457).
    CrtmVersionDigest,
    /// A record that belongs to no register (Windows).
    OutOfBandRecord,
    /// 0xFF bytes to the end of the area.
    TailOfOnes,
    /// Zero bytes to the end of the area.
    TailOfZeros,
}

impl Quirk {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1Log => "sha1-log",
            Self::NoSpecId => "no-spec-id",
            Self::OddUintnSize => "odd-uintn-size",
            Self::DigestOrder => "digest-order",
            Self::FewerDigests => "fewer-digests",
            Self::PaddedStartupLocality => "padded-startup-locality",
            Self::VariableDataOnly => "variable-data-only",
            Self::AuthorityWithoutLastByte => "authority-without-last-byte",
            Self::GrubTextWithNul => "grub-text-with-nul",
            Self::TrailingPayloadBytes => "trailing-payload-bytes",
            Self::OddSeparator => "odd-separator",
            Self::SeveralSeparators => "several-separators",
            Self::ErrorSeparatorText => "error-separator-text",
            Self::EmptySecureBoot => "empty-secure-boot",
            Self::SeveralBootAttempts => "several-boot-attempts",
            Self::CrtmVersionDigest => "crtm-version-digest",
            Self::OutOfBandRecord => "out-of-band-record",
            Self::TailOfOnes => "tail-of-ones",
            Self::TailOfZeros => "tail-of-zeros",
        }
    }
}

/// A quirk of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundQuirk {
    /// The quirk.
    pub quirk: Quirk,
    /// The event that has it first, or `None` where it is the log's as a whole.
    pub event: Option<usize>,
    /// How many events have it: 1 where it is the log's as a whole.
    pub count: usize,
}

impl EventLog<'_> {
    /// The quirks of the log, each once with the first event that has it. A log without any gives an empty list.
    ///
    /// They are facts about the log as it was given: nothing here is proven.
    #[must_use]
    pub fn quirks(&self) -> Vec<FoundQuirk> {
        let mut found = Found(Vec::new());
        if self.format() == Format::Sha1 {
            found.add(Quirk::Sha1Log, None);
        }
        match self.header() {
            None => found.add(Quirk::NoSpecId, None),
            Some(header) if header.version == SpecIdVersion::Event03 && !matches!(header.uintn_size, 1 | 2) => {
                found.add(Quirk::OddUintnSize, None);
            }
            Some(_) => {}
        }
        match self.tail() {
            Tail::Ones { .. } => found.add(Quirk::TailOfOnes, None),
            Tail::Zeros { .. } => found.add(Quirk::TailOfZeros, None),
            Tail::None => {}
        }
        let mut separators = BTreeSet::new();
        let mut attempts = 0_usize;
        for event in self.events().skip(usize::from(self.header().is_some())) {
            let mut add = |quirk| found.add(quirk, Some(event.index()));
            if event.register() == Register::OutOfBand {
                add(Quirk::OutOfBandRecord);
            }
            if event.digests().count() < self.banks().len() {
                add(Quirk::FewerDigests);
            }
            let place = |algorithm| self.banks().iter().position(|bank| bank.algorithm == algorithm);
            if !event.digests().map(|(algorithm, _)| place(algorithm)).is_sorted() {
                add(Quirk::DigestOrder);
            }
            match event.payload_check().rule() {
                Some(Rule::VariableData) => add(Quirk::VariableDataOnly),
                Some(Rule::EventDataWithoutLastByte) => add(Quirk::AuthorityWithoutLastByte),
                Some(Rule::TextAfterPrefixWithNul) => add(Quirk::GrubTextWithNul),
                None if event.event_type() == EventType::S_CRTM_VERSION => add(Quirk::CrtmVersionDigest),
                _ => {}
            }
            match event.decode() {
                Ok(Decoded::StartupLocality { padding: 1.., .. }) => add(Quirk::PaddedStartupLocality),
                Ok(Decoded::Variable(variable)) => {
                    if !variable.trailing.is_empty() {
                        add(Quirk::TrailingPayloadBytes);
                    }
                    if variable.name.is("SecureBoot") && variable.data.is_empty() {
                        add(Quirk::EmptySecureBoot);
                    }
                }
                Ok(Decoded::ImageLoad(image)) if !image.trailing.is_empty() => add(Quirk::TrailingPayloadBytes),
                Ok(Decoded::Separator(data)) => {
                    if !separators.insert(event.register()) {
                        add(Quirk::SeveralSeparators);
                    }
                    if event.payload_check().rule().is_none() {
                        add(Quirk::ErrorSeparatorText);
                    } else if ![[0; 4], [0xFF; 4], ERROR_SEPARATOR].iter().any(|usual| usual == data) {
                        add(Quirk::OddSeparator);
                    }
                }
                Ok(Decoded::Text(text)) if text.is("Calling EFI Application from Boot Option") => {
                    attempts = attempts.saturating_add(1);
                    if attempts == 2 {
                        add(Quirk::SeveralBootAttempts);
                    }
                }
                _ => {}
            }
        }
        found.0.sort_unstable();
        found.0
    }
}

struct Found(Vec<FoundQuirk>);

impl Found {
    fn add(&mut self, quirk: Quirk, event: Option<usize>) {
        match self.0.iter_mut().find(|found| found.quirk == quirk) {
            Some(found) => found.count = found.count.saturating_add(1),
            None => self.0.push(FoundQuirk { quirk, event, count: 1 }),
        }
    }
}
