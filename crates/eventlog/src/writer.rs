//! Writes logs: for tests, for predictions, for emulated machines.
//!
//! Nothing is checked that a parser has to check: a log that breaks a rule can be written, so that its refusal can be
//! tested.

use alloc::vec::Vec;

use nitrotpm_digest_lanes::hash;
use nitrotpm_pcr::{Bank, Digest};

use crate::{AlgorithmId, DeclaredBank, EventLog, EventType, Format, LogError};

/// An event to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenEvent {
    /// The register.
    pub pcr: u32,
    /// The type.
    pub event_type: EventType,
    /// The digests in order. A SHA-1 log has exactly one, of 20 bytes.
    pub digests: Vec<(AlgorithmId, Vec<u8>)>,
    /// The data.
    pub data: Vec<u8>,
}

impl WrittenEvent {
    /// An event with a digest of `hashed` for each bank.
    #[must_use]
    pub fn measured(pcr: u32, event_type: EventType, banks: &[Bank], hashed: &[u8], data: &[u8]) -> Self {
        Self::with_digests(pcr, event_type, &banks.iter().map(|bank| hash(*bank, &[hashed])).collect::<Vec<_>>(), data)
    }

    /// An event with given digests.
    #[must_use]
    pub fn with_digests(pcr: u32, event_type: EventType, digests: &[Digest], data: &[u8]) -> Self {
        let digests = digests.iter().map(|digest| (digest.algorithm().into(), digest.as_bytes().to_vec())).collect();
        Self { pcr, event_type, digests, data: data.to_vec() }
    }
}

/// The layout of the log to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    CryptoAgile,
    Sha1,
}

/// Builds a log event by event.
///
/// ```
/// use nitrotpm_eventlog::{EventType, writer::LogBuilder};
/// use nitrotpm_pcr::Bank;
///
/// let mut builder = LogBuilder::crypto_agile(&[Bank::Sha256, Bank::Sha384]);
/// builder.startup_locality(3);
/// builder.measure(0, EventType::S_CRTM_VERSION, b"1\0.\x000\0\0\0");
/// // The digest of an image is that of the image; the data only describes it.
/// builder.measure_as(4, EventType::EFI_BOOT_SERVICES_APPLICATION, b"the image", &[0; 32]);
/// builder.measure(0, EventType::SEPARATOR, &[0; 4]);
/// let bytes = builder.finish()?;
/// # Ok::<(), nitrotpm_eventlog::LogError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LogBuilder {
    layout: Layout,
    banks: Vec<Bank>,
    /// Every event, the header first where there is one.
    events: Vec<WrittenEvent>,
}

impl LogBuilder {
    /// A crypto-agile log with these banks, headed by a Spec ID event of version 2.0.
    #[must_use]
    pub fn crypto_agile(banks: &[Bank]) -> Self {
        let declared: Vec<_> = banks
            .iter()
            .map(|bank| DeclaredBank {
                algorithm: (*bank).into(),
                size: u16::try_from(bank.digest_len()).unwrap_or(u16::MAX),
            })
            .collect();
        Self::with_header(banks, spec_id_event_03(&declared, &[]))
    }

    /// A crypto-agile log with this header data; `banks` are those that [`LogBuilder::measure`] computes.
    #[must_use]
    pub fn with_header(banks: &[Bank], header_data: Vec<u8>) -> Self {
        Self { layout: Layout::CryptoAgile, banks: banks.to_vec(), events: [header_event(header_data)].into() }
    }

    /// A CCEL log: as a crypto-agile one, with the header in register 1.
    #[must_use]
    pub fn ccel(banks: &[Bank]) -> Self {
        let mut builder = Self::crypto_agile(banks);
        builder.events.iter_mut().for_each(|header| header.pcr = 1);
        builder
    }

    /// A SHA-1 log without a header event.
    #[must_use]
    pub fn sha1() -> Self {
        Self { layout: Layout::Sha1, banks: [Bank::Sha1].into(), events: Vec::new() }
    }

    /// A SHA-1 log headed by a Spec ID event with this data.
    #[must_use]
    pub fn sha1_with_header(header_data: Vec<u8>) -> Self {
        Self { events: [header_event(header_data)].into(), ..Self::sha1() }
    }

    /// The log that was parsed, to be changed and written again. Its tail is not kept.
    #[must_use]
    pub fn from_log(log: &EventLog<'_>) -> Self {
        let layout = if log.format() == Format::Sha1 { Layout::Sha1 } else { Layout::CryptoAgile };
        let events = log
            .events()
            .map(|event| WrittenEvent {
                pcr: event.pcr().map_or(u32::MAX, |index| index.get().into()),
                event_type: event.event_type(),
                digests: event.digests().map(|(algorithm, bytes)| (algorithm, bytes.to_vec())).collect(),
                data: event.data().to_vec(),
            })
            .collect();
        Self { layout, banks: log.known_banks().collect(), events }
    }

    /// The events so far, the header first where there is one.
    #[must_use]
    pub fn events(&self) -> &[WrittenEvent] {
        &self.events
    }

    /// The events so far, to be changed.
    pub const fn events_mut(&mut self) -> &mut Vec<WrittenEvent> {
        &mut self.events
    }

    /// Adds an event whose digests are those of its data.
    pub fn measure(&mut self, pcr: u32, event_type: EventType, data: &[u8]) -> &mut Self {
        self.measure_as(pcr, event_type, data, data)
    }

    /// Adds an event whose digests are those of `hashed`, while its data is `data`.
    pub fn measure_as(&mut self, pcr: u32, event_type: EventType, hashed: &[u8], data: &[u8]) -> &mut Self {
        self.push(WrittenEvent::measured(pcr, event_type, &self.banks, hashed, data))
    }

    /// Adds an event with given digests.
    pub fn record(&mut self, pcr: u32, event_type: EventType, digests: &[Digest], data: &[u8]) -> &mut Self {
        self.push(WrittenEvent::with_digests(pcr, event_type, digests, data))
    }

    /// Adds an `EV_NO_ACTION` event, whose digests are zero.
    pub fn no_action(&mut self, pcr: u32, data: &[u8]) -> &mut Self {
        let zeros: Vec<_> = self.banks.iter().map(|bank| Digest::zero(*bank)).collect();
        self.record(pcr, EventType::NO_ACTION, &zeros, data)
    }

    /// Adds the event that gives the locality at which the platform started.
    pub fn startup_locality(&mut self, locality: u8) -> &mut Self {
        self.no_action(0, &[b"StartupLocality\0".as_slice(), &[locality]].concat())
    }

    /// Adds an event.
    pub fn push(&mut self, event: WrittenEvent) -> &mut Self {
        self.events.push(event);
        self
    }

    /// The log's bytes.
    ///
    /// # Errors
    /// [`LogError::Unwritable`] for an event of a SHA-1 log, or a header, that has not exactly one SHA-1 digest, for
    /// counts and sizes that do not fit their fields, and for a last event of zeros only, which would be read as padding.
    pub fn finish(&self) -> Result<Vec<u8>, LogError> {
        let mut bytes = Vec::new();
        let mut last = 0;
        for (index, event) in self.events.iter().enumerate() {
            let refuse = |problem| LogError::Unwritable { event: index, problem };
            last = bytes.len();
            bytes.extend(event.pcr.to_le_bytes());
            bytes.extend(event.event_type.0.to_le_bytes());
            if self.layout == Layout::Sha1 || (index == 0 && self.begins_with_header()) {
                match event.digests.as_slice() {
                    [(_, digest)] if digest.len() == 20 => bytes.extend(digest),
                    _ => return Err(refuse("it needs exactly one digest of 20 bytes")),
                }
            } else {
                let count = u32::try_from(event.digests.len()).map_err(|_| refuse("it has too many digests"))?;
                bytes.extend(count.to_le_bytes());
                for (algorithm, digest) in &event.digests {
                    bytes.extend(algorithm.0.to_le_bytes());
                    bytes.extend(digest);
                }
            }
            let size = u32::try_from(event.data.len()).map_err(|_| refuse("its data is 4 GiB or more"))?;
            bytes.extend(size.to_le_bytes());
            bytes.extend(&event.data);
        }
        if bytes.get(last..).is_some_and(|event| !event.is_empty() && event.iter().all(|byte| *byte == 0)) {
            let event = self.events.len().saturating_sub(1);
            return Err(LogError::Unwritable { event, problem: "it ends the log and is all zeros, as padding is" });
        }
        Ok(bytes)
    }

    fn begins_with_header(&self) -> bool {
        self.events.first().is_some_and(|event| crate::spec_id::is_spec_id(&event.data))
    }
}

fn header_event(data: Vec<u8>) -> WrittenEvent {
    let digests = [(Bank::Sha1.into(), [0; 20].to_vec())].into();
    WrittenEvent { pcr: 0, event_type: EventType::NO_ACTION, digests, data }
}

/// The data of the header event of a crypto-agile log (TCG PC Client Platform Firmware Profile 1.06, section 10.4.5.1).
#[must_use]
pub fn spec_id_event_03(declared: &[DeclaredBank], vendor_info: &[u8]) -> Vec<u8> {
    let mut data = b"Spec ID Event03\0".to_vec();
    // Platform class client, version 2.0, errata 0, UINTN of 64 bits.
    data.extend([0, 0, 0, 0, 0, 2, 0, 2]);
    data.extend(u32::try_from(declared.len()).unwrap_or(u32::MAX).to_le_bytes());
    for bank in declared {
        data.extend(bank.algorithm.0.to_le_bytes());
        data.extend(bank.size.to_le_bytes());
    }
    data.push(u8::try_from(vendor_info.len()).unwrap_or(u8::MAX));
    data.extend(vendor_info.iter().take(usize::from(u8::MAX)));
    data
}

/// `UEFI_VARIABLE_DATA` (TCG PC Client Platform Firmware Profile 1.06, section 10.2.6).
#[must_use]
pub fn uefi_variable(guid: uguid::Guid, name: &str, contents: &[u8]) -> Vec<u8> {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut data = guid.to_bytes().to_vec();
    data.extend(u64::try_from(name.len() / 2).unwrap_or(u64::MAX).to_le_bytes());
    data.extend(u64::try_from(contents.len()).unwrap_or(u64::MAX).to_le_bytes());
    data.extend(name);
    data.extend(contents);
    data
}
