//! What a TPM is and can do.

use nitrotpm_pcr::Bank;
use serde::Serialize;
use tss_esapi::constants::{CapabilityType, PropertyTag};
use tss_esapi::structures::CapabilityData;

use super::Tpm;
use super::response::Failed as _;
use crate::AttesterError;

/// `TPM_CC_VEND`: where vendor commands start.
const FIRST_VENDOR_COMMAND: u32 = 0x2000_0000;
/// The number of the command by which a NitroTPM writes an attestation document.
const DOCUMENT_COMMAND_INDEX: u16 = 1;

/// What a TPM is and can do, for a person who wants to look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// The manufacturer's four characters: `AMZN` for NitroTPM, `IBM` for swtpm.
    pub manufacturer: String,
    /// The vendor's text.
    pub vendor: String,
    /// The firmware's version, two numbers of 32 bits in hexadecimal.
    pub firmware: String,
    /// The revision of the TPM 2.0 Library, times 100.
    pub revision: u32,
    /// The active banks.
    #[serde(serialize_with = "bank_names")]
    pub banks: Vec<Bank>,
    /// The largest NV index, in bytes; a NitroTPM needs 8,192 for a document.
    pub nv_index_max: u32,
    /// How many wrong authorizations there were since the last recovery.
    pub lockout_counter: u32,
    /// How many are allowed.
    pub lockout_limit: u32,
    /// Whether the TPM lists the NitroTPM command 0x20000001 for attestation documents.
    pub attestation_document: bool,
}

fn bank_names<S: serde::Serializer>(banks: &[Bank], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(banks.iter().map(|bank| bank.name()))
}

impl Tpm {
    /// Asks the TPM what it is.
    ///
    /// # Errors
    /// What the TPM says.
    pub fn capabilities(&mut self) -> Result<Capabilities, AttesterError> {
        let mut vendor = String::new();
        for tag in [
            PropertyTag::VendorString1,
            PropertyTag::VendorString2,
            PropertyTag::VendorString3,
            PropertyTag::VendorString4,
        ] {
            vendor.push_str(&text(self.property(tag)?));
        }
        let firmware = [self.property(PropertyTag::FirmwareVersion1)?, self.property(PropertyTag::FirmwareVersion2)?];
        Ok(Capabilities {
            manufacturer: text(self.property(PropertyTag::Manufacturer)?),
            vendor,
            firmware: firmware.map(|half| format!("{half:08x}")).join("-"),
            revision: self.property(PropertyTag::Revision)?,
            banks: self.active_banks()?,
            nv_index_max: self.property(PropertyTag::NvIndexMax)?,
            lockout_counter: self.property(PropertyTag::LockoutCounter)?,
            lockout_limit: self.property(PropertyTag::MaxAuthFail)?,
            attestation_document: self.has_document_command()?,
        })
    }

    /// `TPM2_GetCapability` of one property, 0 where the TPM does not have it.
    fn property(&mut self, tag: PropertyTag) -> Result<u32, AttesterError> {
        Ok(self.context.get_tpm_property(tag).failed("TPM2_GetCapability")?.unwrap_or(0))
    }

    fn has_document_command(&mut self) -> Result<bool, AttesterError> {
        // Vendor commands come after all others: asking from the first of them on is enough.
        let (data, _) = self
            .context
            .get_capability(CapabilityType::Command, FIRST_VENDOR_COMMAND, 64)
            .failed("TPM2_GetCapability")?;
        let CapabilityData::Commands(commands) = data else { return Ok(false) };
        Ok(commands
            .iter()
            .any(|command| command.is_vendor_specific() && command.command_index() == DOCUMENT_COMMAND_INDEX))
    }
}

/// Four characters in a number, without the zeros and other bytes that are no letters.
fn text(number: u32) -> String {
    number.to_be_bytes().into_iter().filter(u8::is_ascii_graphic).map(char::from).collect()
}
