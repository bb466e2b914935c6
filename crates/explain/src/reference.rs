//! What a boot is held against.

use std::collections::{BTreeMap, BTreeSet};

use nitrotpm_digest_lanes::Digest;
use nitrotpm_eventlog::writer::LogBuilder;
use nitrotpm_eventlog::{EventLog, EventType, LogError, ParseOptions};
use nitrotpm_pcr::{Bank, PcrIndex, PcrValues};
use serde::Deserialize;

/// Why a file is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// Larger than any real one.
    #[error("the reference has {length} bytes; at most {} are read", Reference::MAX_LEN)]
    TooLarge {
        /// Its length in bytes.
        length: usize,
    },
    /// JSON that is neither a prediction nor PCR values.
    #[error(
        "neither a prediction (nitrotpm predict --format json) nor PCR values like {{\"sha384\": {{\"4\": \"<hex>\"}}}}: \
         {message}"
    )]
    Json {
        /// What the reader said.
        message: String,
    },
    /// A prediction one of whose events cannot be.
    #[error("event {event} of the prediction: {what}; make it again with nitrotpm predict --format json")]
    Event {
        /// Its position in the list, from 0.
        event: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Not a log either.
    #[error("not an event log: {0}")]
    Log(#[from] LogError),
}

impl ReferenceError {
    /// Every code that [`Self::code`] can return and no other error has.
    pub const CODES: &'static [&'static str] = &["reference.too-large", "pcrs.malformed", "reference.event"];

    /// The stable code; that of the log where it is none.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "reference.too-large",
            Self::Json { .. } => "pcrs.malformed",
            Self::Event { .. } => "reference.event",
            Self::Log(error) => error.code(),
        }
    }
}

/// One image or boot that is known, by name.
///
/// Whoever gives it vouches for it: nothing in it is authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    name: String,
    superseded: Option<String>,
    values: PcrValues,
    log: Option<ReferenceLog>,
}

/// A reference whose events are known.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ReferenceLog {
    /// A log of firmware, or the one that a prediction says firmware will write.
    bytes: Vec<u8>,
    /// What each event is, by its index in the log; a prediction's words.
    words: BTreeMap<usize, String>,
    /// The registers of which the reference knows all events; `None`: all.
    registers: Option<BTreeSet<PcrIndex>>,
}

/// A prediction as `nitrotpm predict --format json` writes it.
#[derive(Deserialize)]
struct Prediction {
    schema: String,
    pcrs: PcrValues,
    events: Vec<PredictedEvent>,
}

#[derive(Deserialize)]
struct PredictedEvent {
    pcr: u8,
    #[serde(rename = "type")]
    event_type: String,
    digests: BTreeMap<String, String>,
    cause: String,
    #[serde(default)]
    data: Option<String>,
    #[serde(default)]
    by_userspace: bool,
}

impl Reference {
    /// The largest file that is read, in bytes.
    pub const MAX_LEN: usize = 64 << 20;

    /// Reads a reference: a prediction (`nitrotpm.prediction/1`), PCR values in JSON, or an event log.
    ///
    /// # Errors
    /// [`ReferenceError`] where it is none of these.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, ReferenceError> {
        if bytes.len() > Self::MAX_LEN {
            return Err(ReferenceError::TooLarge { length: bytes.len() });
        }
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Self::from_event_log(name, bytes);
        }
        let json =
            |error: serde_json::Error| ReferenceError::Json { message: error.to_string().escape_debug().to_string() };
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(json)?;
        if value.get("schema").is_none() {
            // Not through the value: it would hide a register that is given twice.
            return serde_json::from_slice(bytes).map(|values| Self::from_values(name, values)).map_err(json);
        }
        let prediction: Prediction = serde_json::from_slice(bytes).map_err(json)?;
        if prediction.schema != "nitrotpm.prediction/1" {
            let message = format!("the schema is \"{}\"", prediction.schema.escape_debug());
            return Err(ReferenceError::Json { message });
        }
        Self::from_prediction(name, prediction)
    }

    /// A reference of which only values are known.
    #[must_use]
    pub fn from_values(name: &str, values: PcrValues) -> Self {
        Self { name: name.to_owned(), superseded: None, values, log: None }
    }

    fn from_event_log(name: &str, bytes: &[u8]) -> Result<Self, ReferenceError> {
        let values = EventLog::parse(bytes, &ParseOptions::default())?.replay_all()?.values();
        let log = ReferenceLog { bytes: bytes.to_vec(), words: BTreeMap::new(), registers: None };
        Ok(Self { name: name.to_owned(), superseded: None, values, log: Some(log) })
    }

    fn from_prediction(name: &str, prediction: Prediction) -> Result<Self, ReferenceError> {
        let banks: Vec<Bank> = prediction.pcrs.banks().collect();
        let mut builder = LogBuilder::crypto_agile(&banks);
        let mut words = BTreeMap::new();
        // Event 0 is the header that the builder writes.
        let mut index = 0_usize;
        for (position, event) in prediction.events.iter().enumerate() {
            let wrong = |what| ReferenceError::Event { event: position, what };
            let event_type = EventType::NAMED
                .iter()
                .find(|known| known.name() == Some(event.event_type.as_str()))
                .ok_or_else(|| wrong("its type has no such name"))?;
            if PcrIndex::new(event.pcr).is_none() {
                return Err(wrong("there are registers 0 to 23"));
            }
            let digests: Vec<Digest> = banks
                .iter()
                .map(|bank| {
                    let text = event.digests.get(bank.name()).ok_or_else(|| wrong("a bank has no digest"))?;
                    let bytes = hex::decode(text).map_err(|_| wrong("a digest is not hexadecimal"))?;
                    Digest::new(*bank, &bytes).map_err(|_| wrong("a digest is not as long as its bank's"))
                })
                .collect::<Result<_, _>>()?;
            let data = event.data.as_deref().map(hex::decode).transpose();
            let data = data.map_err(|_| wrong("its data is not hexadecimal"))?;
            let data = data.unwrap_or_else(|| usual_data(*event_type, event.pcr, &event.cause));
            // No log of firmware has what userspace extends later.
            if event.by_userspace {
                continue;
            }
            index = index.saturating_add(1);
            words.insert(index, event.cause.clone());
            builder.record(u32::from(event.pcr), *event_type, &digests, &data);
        }
        let bytes = builder.finish()?;
        // What was written is read again, so that a reference in hand can always be compared.
        EventLog::parse(&bytes, &ParseOptions::default())?.replay_all()?;
        let registers = Some(prediction.pcrs.iter().map(|(_, pcr, _)| pcr).collect());
        let log = ReferenceLog { bytes, words, registers };
        Ok(Self { name: name.to_owned(), superseded: None, values: prediction.pcrs, log: Some(log) })
    }

    /// Marks an image that is no longer to be booted, with the reason, which may be empty.
    #[must_use]
    pub fn superseded(mut self, why: impl Into<String>) -> Self {
        self.superseded = Some(why.into());
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why it is no longer to be booted.
    #[must_use]
    pub fn why_superseded(&self) -> Option<&str> {
        self.superseded.as_deref()
    }

    /// The values of its registers, as far as they are known. A register without events has its reset value.
    #[must_use]
    pub fn value(&self, bank: Bank, pcr: PcrIndex) -> Option<Digest> {
        self.values.get(bank, pcr).copied().or_else(|| {
            let is_whole_log = self.log.as_ref().is_some_and(|log| log.registers.is_none());
            (is_whole_log && self.values.banks().any(|known| known == bank))
                .then(|| nitrotpm_pcr::reset_value(bank, pcr))
        })
    }

    /// The values that it gives itself.
    #[must_use]
    pub const fn values(&self) -> &PcrValues {
        &self.values
    }

    /// Whether its events are known.
    #[must_use]
    pub const fn has_events(&self) -> bool {
        self.log.is_some()
    }

    /// Whether it knows all events of a register.
    pub(crate) fn knows(&self, pcr: PcrIndex) -> bool {
        self.log.as_ref().is_some_and(|log| log.registers.as_ref().is_none_or(|registers| registers.contains(&pcr)))
    }

    /// Its log. It was parsed when the reference was read.
    pub(crate) fn log(&self) -> Option<EventLog<'_>> {
        self.log.as_ref().and_then(|log| EventLog::parse(&log.bytes, &ParseOptions::default()).ok())
    }

    /// What a prediction calls an event.
    pub(crate) fn words(&self, index: usize) -> Option<&str> {
        self.log.as_ref().and_then(|log| log.words.get(&index)).map(String::as_str)
    }

    /// `image "web-41" (superseded: …)`, with nothing in it that a terminal would act on.
    pub(crate) fn title(&self) -> String {
        let name = self.name.escape_debug();
        match &self.superseded {
            None => format!("image \"{name}\""),
            Some(why) if why.is_empty() => format!("image \"{name}\", found in your references as superseded"),
            Some(why) => format!("image \"{name}\", found in your references as superseded ({})", why.escape_debug()),
        }
    }
}

/// What an event carries where the prediction does not say: predictions of earlier versions have no data. Only what is
/// the same in every log, and tells what the event is about.
fn usual_data(event_type: EventType, pcr: u8, cause: &str) -> Vec<u8> {
    let tagged = |tag: u32, content: &[u8]| {
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        [tag.to_le_bytes().as_slice(), &length.to_le_bytes(), content].concat()
    };
    let section = cause.strip_prefix("name of section ").or_else(|| cause.strip_prefix("section "));
    match (event_type, pcr) {
        // UEFI_IMAGE_LOAD_EVENT without a device path.
        (EventType::EFI_BOOT_SERVICES_APPLICATION, 4) => vec![0; 32],
        (EventType::EVENT_TAG, 9) if cause.starts_with("kernel command line ") => {
            tagged(0x8F3B_22ED, b"LOADED_IMAGE::LoadOptions\0")
        }
        (EventType::EVENT_TAG, 9) if cause.starts_with("initrd of ") => tagged(0x8F3B_22EC, b"Linux initrd\0"),
        (EventType::IPL, 11) => {
            let name = section.and_then(|rest| rest.split(' ').next()).unwrap_or_default();
            name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
        }
        _ => Vec::new(),
    }
}

/// The images and boots that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    list: Vec<Reference>,
}

impl References {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Adds one.
    pub fn add(&mut self, reference: Reference) {
        self.list.push(reference);
    }

    /// All, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Reference> + '_ {
        self.list.iter()
    }
}
