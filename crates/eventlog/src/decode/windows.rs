//! Windows Boot Configuration Log: the SIPA events that Windows puts into `EV_EVENT_TAG` events (wbcl.h).

use crate::LogError;
use crate::reader::Reader;

/// The type of a SIPA event. Types without a name are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SipaType(pub u32);

macro_rules! sipa_types {
    ($($code:literal $name:literal)*) => {
        impl SipaType {
            /// The name in wbcl.h, without `SIPAEVENT_`.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

sipa_types! {
    0x4001_0001 "TRUSTBOUNDARY" 0x4001_0002 "ELAM_AGGREGATION" 0x4001_0003 "LOADEDMODULE_AGGREGATION"
    0xC001_0004 "TRUSTPOINT_AGGREGATION" 0x4001_0005 "KSR_AGGREGATION"
    0x4001_0006 "KSR_SIGNED_MEASUREMENT_AGGREGATION"
    0x0003_0001 "FIRMWAREFAILURE" 0x8003_0002 "TPMFAILURE" 0x0003_0003 "INTERNALFAILURE"
    0x0002_0001 "INFORMATION" 0x0002_0002 "BOOTCOUNTER" 0x0002_0003 "TRANSFER_CONTROL"
    0x0002_0004 "APPLICATION_RETURN" 0x0002_0005 "BITLOCKER_UNLOCK" 0x0002_0006 "EVENTCOUNTER"
    0x0002_0007 "COUNTERID" 0x0002_0008 "MORBIT_NOT_CANCELABLE" 0x0002_0009 "APPLICATION_SVN"
    0x0002_000A "SVN_CHAIN_STATUS" 0x0002_000B "MORBIT_API_STATUS"
    0x0004_0001 "BOOTDEBUGGING" 0x0004_0002 "BOOT_REVOCATION_LIST"
    0x0005_0001 "OSKERNELDEBUG" 0x0005_0002 "CODEINTEGRITY" 0x0005_0003 "TESTSIGNING"
    0x0005_0004 "DATAEXECUTIONPREVENTION" 0x0005_0005 "SAFEMODE" 0x0005_0006 "WINPE"
    0x0005_0007 "PHYSICALADDRESSEXTENSION" 0x0005_0008 "OSDEVICE" 0x0005_0009 "SYSTEMROOT"
    0x0005_000A "HYPERVISOR_LAUNCH_TYPE" 0x0005_000B "HYPERVISOR_PATH" 0x0005_000C "HYPERVISOR_IOMMU_POLICY"
    0x0005_000D "HYPERVISOR_DEBUG" 0x0005_000E "DRIVER_LOAD_POLICY" 0x0005_000F "SI_POLICY"
    0x0005_0010 "HYPERVISOR_MMIO_NX_POLICY" 0x0005_0011 "HYPERVISOR_MSR_FILTER_POLICY"
    0x0005_0012 "VSM_LAUNCH_TYPE" 0x0005_0013 "OS_REVOCATION_LIST" 0x0005_0014 "SMT_STATUS"
    0x0005_0020 "VSM_IDK_INFO" 0x0005_0021 "FLIGHTSIGNING" 0x0005_0022 "PAGEFILE_ENCRYPTION_ENABLED"
    0x0005_0023 "VSM_IDKS_INFO" 0x0005_0024 "HIBERNATION_DISABLED" 0x0005_0025 "DUMPS_DISABLED"
    0x0005_0026 "DUMP_ENCRYPTION_ENABLED" 0x0005_0027 "DUMP_ENCRYPTION_KEY_DIGEST" 0x0005_0028 "LSAISO_CONFIG"
    0x0005_0029 "SBCP_INFO" 0x0005_0030 "HYPERVISOR_BOOT_DMA_PROTECTION"
    0x0006_0001 "NOAUTHORITY" 0x0006_0002 "AUTHORITYPUBKEY"
    0x0007_0001 "FILEPATH" 0x0007_0002 "IMAGESIZE" 0x0007_0003 "HASHALGORITHMID" 0x0007_0004 "AUTHENTICODEHASH"
    0x0007_0005 "AUTHORITYISSUER" 0x0007_0006 "AUTHORITYSERIAL" 0x0007_0007 "IMAGEBASE"
    0x0007_0008 "AUTHORITYPUBLISHER" 0x0007_0009 "AUTHORITYSHA1THUMBPRINT" 0x0007_000A "IMAGEVALIDATED"
    0x0007_000B "MODULE_SVN"
    0x8008_0001 "QUOTE" 0x8008_0002 "QUOTESIGNATURE" 0x8008_0003 "AIKID" 0x8008_0004 "AIKPUBDIGEST"
    0x0009_0001 "ELAM_KEYNAME" 0x0009_0002 "ELAM_CONFIGURATION" 0x0009_0003 "ELAM_POLICY" 0x0009_0004 "ELAM_MEASURED"
    0x000A_0001 "VBS_VSM_REQUIRED" 0x000A_0002 "VBS_SECUREBOOT_REQUIRED" 0x000A_0003 "VBS_IOMMU_REQUIRED"
    0x000A_0004 "VBS_MMIO_NX_REQUIRED" 0x000A_0005 "VBS_MSR_FILTERING_REQUIRED"
    0x000A_0006 "VBS_MANDATORY_ENFORCEMENT" 0x000A_0007 "VBS_HVCI_POLICY"
    0x000A_0008 "VBS_MICROSOFT_BOOT_CHAIN_REQUIRED" 0x000A_0009 "VBS_DUMP_USES_AMEROOT"
    0x000A_000A "VBS_VSM_NOSECRETS_ENFORCED"
    0x000B_0001 "KSR_SIGNATURE"
    0x000C_0001 "DRTM_STATE_AUTH" 0x000C_0002 "DRTM_SMM_LEVEL" 0x000C_0003 "DRTM_AMD_SMM_HASH"
    0x000C_0004 "DRTM_AMD_SMM_SIGNER_KEY"
}

impl SipaType {
    /// Whether the data is a list of SIPA events.
    #[must_use]
    pub const fn is_container(self) -> bool {
        self.0 & 0x4000_0000 != 0
    }

    /// Whether the type is of one of the families of wbcl.h; tags of others are not.
    pub(super) const fn is_of_windows(self) -> bool {
        matches!((self.0 & 0x3FFF_0000) >> 16, 0x1..=0xC)
    }
}

/// A SIPA event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SipaEvent<'a> {
    /// How many containers it stands in.
    pub depth: usize,
    /// The type.
    pub sipa_type: SipaType,
    /// The data; of a container, the events that follow this one.
    pub data: &'a [u8],
}

/// SIPA events, all of them checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipaEvents<'a>(&'a [u8]);

/// How deep containers may stand in each other (GHSA-hcm6-rjfh-f25p); Windows needs three.
const MOST_DEPTH: usize = 8;

impl<'a> SipaEvents<'a> {
    /// Checks a list of SIPA events.
    ///
    /// # Errors
    /// [`LogError::Truncated`] for a size beyond the end, [`LogError::Malformed`] for containers more than 8 deep; the
    /// offset is in `data`.
    pub fn parse(data: &'a [u8]) -> Result<Self, LogError> {
        Self::parse_at(data, 0)
    }

    pub(crate) fn parse_at(data: &'a [u8], offset: usize) -> Result<Self, LogError> {
        let mut walk = Walk::new(data, offset);
        while walk.next()?.is_some() {}
        Ok(Self(data))
    }

    /// The events in order: a container, then what it contains.
    pub fn events(&self) -> impl Iterator<Item = SipaEvent<'a>> + 'a {
        let mut walk = Walk::new(self.0, 0);
        // The same bytes were walked once without a fault.
        core::iter::from_fn(move || walk.next().ok().flatten())
    }
}

/// Walks into containers and out again: what is left to read, the innermost last.
struct Walk<'a> {
    levels: [Option<Reader<'a>>; MOST_DEPTH],
    depth: usize,
}

impl<'a> Walk<'a> {
    fn new(data: &'a [u8], offset: usize) -> Self {
        let mut levels = [None; MOST_DEPTH];
        if let Some(outermost) = levels.first_mut() {
            *outermost = Some(Reader::new(data, offset, "a SIPA event"));
        }
        Self { levels, depth: 0 }
    }

    fn next(&mut self) -> Result<Option<SipaEvent<'a>>, LogError> {
        loop {
            let Some(Some(reader)) = self.levels.get_mut(self.depth) else { return Ok(None) };
            if reader.is_empty() {
                let Some(outer) = self.depth.checked_sub(1) else { return Ok(None) };
                self.depth = outer;
                continue;
            }
            let (sipa_type, size) = (SipaType(reader.u32()?), reader.u32()?);
            let offset = reader.offset();
            let data = reader.take(size.into())?;
            let depth = self.depth;
            if sipa_type.is_container() {
                let inner = self.depth.saturating_add(1);
                *self.levels.get_mut(inner).ok_or(LogError::Malformed {
                    structure: "a SIPA event",
                    offset,
                    problem: "containers stand more than 8 deep in each other",
                })? = Some(Reader::new(data, offset, "a SIPA event"));
                self.depth = inner;
            }
            return Ok(Some(SipaEvent { depth, sipa_type, data }));
        }
    }
}
