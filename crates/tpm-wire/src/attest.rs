//! What a TPM says about itself and signs.

use alloc::vec::Vec;
use core::fmt;

use crate::{PcrSelectionList, Reader, Structure, WireError, WireErrorKind, Writer};

/// A `TPM_ST` of an attestation, known or not (TPM 2.0 Library Part 2, section 6.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttestationType(pub u16);

impl AttestationType {
    /// `TPM_ST_ATTEST_NV`.
    pub const NV: Self = Self(0x8014);
    /// `TPM_ST_ATTEST_COMMAND_AUDIT`.
    pub const COMMAND_AUDIT: Self = Self(0x8015);
    /// `TPM_ST_ATTEST_SESSION_AUDIT`.
    pub const SESSION_AUDIT: Self = Self(0x8016);
    /// `TPM_ST_ATTEST_CERTIFY`.
    pub const CERTIFY: Self = Self(0x8017);
    /// `TPM_ST_ATTEST_QUOTE`: the only one that speaks of PCRs.
    pub const QUOTE: Self = Self(0x8018);
    /// `TPM_ST_ATTEST_TIME`.
    pub const TIME: Self = Self(0x8019);
    /// `TPM_ST_ATTEST_CREATION`.
    pub const CREATION: Self = Self(0x801A);
    /// `TPM_ST_ATTEST_NV_DIGEST`.
    pub const NV_DIGEST: Self = Self(0x801C);
}

impl fmt::Display for AttestationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Self::NV => "an NV certification",
            Self::COMMAND_AUDIT => "a command audit",
            Self::SESSION_AUDIT => "a session audit",
            Self::CERTIFY => "a key certification",
            Self::QUOTE => "a quote",
            Self::TIME => "a time attestation",
            Self::CREATION => "a creation certification",
            Self::NV_DIGEST => "an NV digest certification",
            Self(other) => return write!(f, "type {other:#06x}"),
        })
    }
}

/// `TPMS_CLOCK_INFO`: the TPM's clock and how often it was reset (TPM 2.0 Library Part 2, section 10.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockInfo {
    /// Milliseconds that the TPM was powered since its clock was last set.
    pub clock: u64,
    /// How often the TPM was reset: the same number, the same boot. Signed by a key outside the endorsement and
    /// platform hierarchies it is obfuscated, but still the same number within one boot.
    pub reset_count: u32,
    /// How often the TPM was shut down or resumed since the reset.
    pub restart_count: u32,
    /// Whether no later value of the clock was ever reported.
    pub safe: bool,
}

impl Structure for ClockInfo {
    const NAME: &'static str = "TPMS_CLOCK_INFO";

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let clock = reader.u64()?;
        let reset_count = reader.u32()?;
        let restart_count = reader.u32()?;
        let start = reader.offset();
        let safe = match reader.u8()? {
            0 => false,
            1 => true,
            other => {
                return Err(reader.error_at(start, WireErrorKind::Value { field: "safe", value: other.into() }));
            }
        };
        Ok(Self { clock, reset_count, restart_count, safe })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u64(self.clock);
        writer.u32(self.reset_count);
        writer.u32(self.restart_count);
        writer.u8(self.safe.into());
    }
}

/// `TPMS_QUOTE_INFO`: what a quote says of PCRs (TPM 2.0 Library Part 2, section 10.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteInfo {
    /// Which registers, in the order of their values in the digest.
    pub pcr_select: PcrSelectionList,
    /// The digest of their values, by the signature scheme's hash; at most 64 bytes.
    pub pcr_digest: Vec<u8>,
}

impl Structure for QuoteInfo {
    const NAME: &'static str = "TPMS_QUOTE_INFO";

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self { pcr_select: reader.structure()?, pcr_digest: reader.sized(64)?.to_vec() })
    }

    fn write(&self, writer: &mut Writer) {
        self.pcr_select.write(writer);
        writer.sized(&self.pcr_digest);
    }
}

/// What an attestation attests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attested {
    /// Values of PCRs.
    Quote(QuoteInfo),
    /// Something else.
    Other {
        /// What, which is not [`AttestationType::QUOTE`].
        attestation_type: AttestationType,
        /// Its bytes, up to the end of the input.
        bytes: Vec<u8>,
    },
}

/// `TPMS_ATTEST`: what a TPM signs (TPM 2.0 Library Part 2, section 10.12). Any magic and type are kept: whether they
/// are right is for the caller to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attest {
    /// [`Attest::MAGIC`] in everything a TPM made itself.
    pub magic: u32,
    /// The qualified name of the signing key; at most 66 bytes.
    pub qualified_signer: Vec<u8>,
    /// The caller's qualifying data: a nonce; at most 66 bytes.
    pub extra_data: Vec<u8>,
    /// The TPM's clock.
    pub clock_info: ClockInfo,
    /// The vendor's number of the TPM's firmware, obfuscated as the counters are.
    pub firmware_version: u64,
    /// What is attested, with the type.
    pub attested: Attested,
}

impl Attest {
    /// `TPM_GENERATED_VALUE`: 0xFF, "TCG". A restricted key signs nothing that starts like this unless the TPM made it
    /// (TPM 2.0 Library Part 2, section 6.2).
    pub const MAGIC: u32 = 0xFF54_4347;

    /// The type.
    #[must_use]
    pub const fn attestation_type(&self) -> AttestationType {
        match &self.attested {
            Attested::Quote(_) => AttestationType::QUOTE,
            Attested::Other { attestation_type, .. } => *attestation_type,
        }
    }
}

/// An algorithm and the largest digest: the largest `TPM2B_NAME` and `TPM2B_DATA`.
const NAME_LIMIT: usize = 66;

impl Structure for Attest {
    const NAME: &'static str = "TPMS_ATTEST";

    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let magic = reader.u32()?;
        let attestation_type = AttestationType(reader.u16()?);
        Ok(Self {
            magic,
            qualified_signer: reader.sized(NAME_LIMIT)?.to_vec(),
            extra_data: reader.sized(NAME_LIMIT)?.to_vec(),
            clock_info: reader.structure()?,
            firmware_version: reader.u64()?,
            attested: if attestation_type == AttestationType::QUOTE {
                Attested::Quote(reader.structure()?)
            } else {
                Attested::Other { attestation_type, bytes: reader.remaining().to_vec() }
            },
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.u32(self.magic);
        writer.u16(self.attestation_type().0);
        writer.sized(&self.qualified_signer);
        writer.sized(&self.extra_data);
        self.clock_info.write(writer);
        writer.u64(self.firmware_version);
        match &self.attested {
            Attested::Quote(info) => info.write(writer),
            Attested::Other { bytes, .. } => writer.bytes(bytes),
        }
    }
}
