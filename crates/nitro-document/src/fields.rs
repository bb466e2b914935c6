//! The payload: the fields of an attestation document, read strictly (EC2 user guide, "Validate a NitroTPM Attestation
//! Document"; the observed form is documented at each check).

use core::ops::Range;

use nitrotpm_digest_lanes::{Digest, HashAlgorithm};
use nitrotpm_pcr::{PcrIndex, PcrValues};

use crate::DocumentError;
use crate::cbor::Reader;
use crate::error::{CborFault, NotNitroTpm, printable};
use crate::names::{MAX_MODULE_ID_LEN, ModuleId, is_enclave_module_id};

/// `certificate` and each entry of `cabundle`: 1 to 1,024 bytes.
const MAX_CERTIFICATE_LEN: usize = 1024;
/// `public_key`, `user_data`, `nonce`: 0 to 1,024 bytes.
const MAX_USER_FIELD_LEN: usize = 1024;
/// The schema's indices are 0 to 31.
const MAX_PCRS: u64 = 32;
/// A real `cabundle` has 4 entries; path validation stops at 6 intermediates.
const MAX_CABUNDLE: u64 = 7;
/// A real payload has 9 keys.
const MAX_KEYS: u64 = 64;
const MAX_KEY_LEN: usize = 64;

/// The fields of a document, as they stand in it.
///
/// Optional fields that are absent and fields that are null are the same (`None`); a field of no bytes is a value of its
/// own (`Some` of nothing), as the schema's `bytes .size (0..1024)` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DocumentFields {
    /// The module: `i-<instance>-tpm<16 hex digits>`, of exactly this form.
    pub module_id: String,
    /// When the document was made, in milliseconds since 1970-01-01T00:00:00Z; never 0.
    pub timestamp_millis: u64,
    /// The hash algorithm of the registers: `SHA384`, always.
    pub digest: String,
    /// The values of registers 0 to 23, bank SHA-384.
    pub pcrs: PcrValues,
    /// Values of registers 24 to 31, which the schema allows and a TPM of the PC Client profile does not have. No real
    /// document has any.
    pub registers_beyond_23: Vec<(u8, Digest)>,
    /// The leaf certificate in DER.
    pub certificate: Vec<u8>,
    /// The certificates above it in DER, root first.
    pub cabundle: Vec<Vec<u8>>,
    /// What the requester passed as public key: any bytes, NitroTPM does not look at them.
    pub public_key: Option<Vec<u8>>,
    /// What the requester passed as user data.
    pub user_data: Option<Vec<u8>>,
    /// What the requester passed as nonce.
    pub nonce: Option<Vec<u8>>,
    /// Keys that this crate does not know, in the order of the document.
    pub unknown_keys: Vec<UnknownKey>,
}

/// A key of the payload that this crate does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownKey {
    /// The key.
    pub key: String,
    /// Its value, as the CBOR that stands in the document.
    pub value: Vec<u8>,
}

/// A key of the payload, and where its value stands.
struct Entry<'b> {
    key: &'b str,
    value: Range<usize>,
}

/// The payload's entries before any value is looked into.
struct Entries<'b> {
    payload: &'b [u8],
    base: usize,
    list: Vec<Entry<'b>>,
}

impl<'b> Entries<'b> {
    /// Reads the payload map (of definite or, as real documents have it, indefinite length): well-formed, text keys,
    /// none twice, nothing after it.
    fn read(payload: &'b [u8], base: usize) -> Result<Self, DocumentError> {
        let mut reader = Reader::new(payload, "payload", base);
        let count = reader.map_of_either_form()?;
        let mut list: Vec<Entry<'b>> = Vec::new();
        let mut read: u64 = 0;
        loop {
            let offset = reader.offset();
            let done = match count {
                Some(count) => read == count,
                None => reader.take_break()?,
            };
            if done {
                break;
            }
            if read >= MAX_KEYS {
                return Err(DocumentError::Cbor { structure: "payload", offset, fault: CborFault::TooMany });
            }
            let key = reader.text(MAX_KEY_LEN)?;
            if list.iter().any(|entry| entry.key == key) {
                return Err(DocumentError::DuplicateKey { structure: "payload", offset, key: printable(key) });
            }
            // Errors inside a known field carry its name.
            reader.set_structure(KNOWN_KEYS.iter().find(|known| **known == key).copied().unwrap_or("payload"));
            list.push(Entry { key, value: reader.skip()? });
            reader.set_structure("payload");
            read = read.saturating_add(1);
        }
        reader.end()?;
        Ok(Self { payload, base, list })
    }

    fn find(&self, key: &str) -> Option<&Entry<'b>> {
        self.list.iter().find(|entry| entry.key == key)
    }

    fn value(&self, entry: &Entry<'_>) -> &'b [u8] {
        self.payload.get(entry.value.clone()).unwrap_or_default()
    }

    /// A reader of one field's value.
    fn optional(&self, field: &'static str) -> Option<Reader<'b>> {
        let entry = self.find(field)?;
        Some(Reader::new(self.value(entry), field, self.base.saturating_add(entry.value.start)))
    }

    fn required(&self, field: &'static str) -> Result<Reader<'b>, DocumentError> {
        self.optional(field).ok_or_else(|| problem(field, "it is missing"))
    }
}

fn problem(field: &'static str, problem: impl Into<String>) -> DocumentError {
    DocumentError::Field { field, problem: problem.into() }
}

const KNOWN_KEYS: [&str; 9] = [
    "module_id",
    "digest",
    "timestamp",
    "nitrotpm_pcrs",
    "certificate",
    "cabundle",
    "public_key",
    "user_data",
    "nonce",
];

impl DocumentFields {
    /// Reads the payload, which stands at `base` in the document.
    pub(crate) fn parse(payload: &[u8], base: usize) -> Result<Self, DocumentError> {
        let entries = Entries::read(payload, base)?;
        // The type comes first: what else an enclave's document breaks is of no interest.
        check_type(&entries)?;

        let (pcrs, registers_beyond_23) = read_pcrs(entries.required("nitrotpm_pcrs")?)?;
        Ok(Self {
            module_id: read_module_id(entries.required("module_id")?)?,
            timestamp_millis: read_timestamp(entries.required("timestamp")?)?,
            digest: read_digest(entries.required("digest")?)?,
            pcrs,
            registers_beyond_23,
            certificate: read_certificate(&mut entries.required("certificate")?, "certificate")?,
            cabundle: read_cabundle(entries.required("cabundle")?)?,
            public_key: read_user_field(&entries, "public_key")?,
            user_data: read_user_field(&entries, "user_data")?,
            nonce: read_user_field(&entries, "nonce")?,
            unknown_keys: entries
                .list
                .iter()
                .filter(|entry| !KNOWN_KEYS.contains(&entry.key))
                .map(|entry| UnknownKey { key: entry.key.into(), value: entries.value(entry).to_vec() })
                .collect(),
        })
    }
}

/// Tells a NitroTPM document from one of a Nitro enclave, by the name of the register map *and* the module id: both
/// kinds have the same root, chain and signature, and a zero register of an enclave would pass for one of a TPM.
fn check_type(entries: &Entries<'_>) -> Result<(), DocumentError> {
    let enclave_module = entries
        .optional("module_id")
        .and_then(|mut reader| reader.text(usize::MAX).ok())
        .is_some_and(is_enclave_module_id);
    match (entries.find("nitrotpm_pcrs").is_some(), entries.find("pcrs").is_some()) {
        (true, true) => Err(DocumentError::WrongType(NotNitroTpm::Both)),
        (false, true) => Err(DocumentError::WrongType(NotNitroTpm::Enclave)),
        _ if enclave_module => Err(DocumentError::WrongType(NotNitroTpm::Enclave)),
        (false, false) => Err(DocumentError::WrongType(NotNitroTpm::Neither)),
        (true, false) => Ok(()),
    }
}

fn read_module_id(mut reader: Reader<'_>) -> Result<String, DocumentError> {
    let text = reader.text(MAX_MODULE_ID_LEN)?;
    match ModuleId::parse(text) {
        Some(_) => Ok(text.into()),
        None => Err(DocumentError::ModuleId { module_id: printable(text) }),
    }
}

fn read_timestamp(mut reader: Reader<'_>) -> Result<u64, DocumentError> {
    match reader.unsigned()? {
        0 => Err(DocumentError::Timestamp { timestamp_millis: 0, problem: "is no time at all".into() }),
        millis => Ok(millis),
    }
}

fn read_digest(mut reader: Reader<'_>) -> Result<String, DocumentError> {
    match reader.text(usize::MAX)? {
        "SHA384" => Ok("SHA384".into()),
        other => Err(problem("digest", format!("it is \"{}\", and a NitroTPM signs SHA384", printable(other)))),
    }
}

/// 1 to 32 registers, indices 0 to 31, values of 48 bytes: a definite map, as all real documents have it.
fn read_pcrs(mut reader: Reader<'_>) -> Result<(PcrValues, Vec<(u8, Digest)>), DocumentError> {
    let offset = reader.offset();
    let count = reader.map()?;
    if !(1..=MAX_PCRS).contains(&count) {
        return Err(DocumentError::Pcr {
            offset,
            problem: format!("{count} registers where there are 1 to {MAX_PCRS}"),
        });
    }
    let mut values = PcrValues::new();
    let mut beyond: Vec<(u8, Digest)> = Vec::new();
    for _ in 0..count {
        let offset = reader.offset();
        let pcr = |problem| DocumentError::Pcr { offset, problem };
        let index = reader.unsigned()?;
        let number = u8::try_from(index)
            .ok()
            .filter(|number| u64::from(*number) < MAX_PCRS)
            .ok_or_else(|| pcr(format!("{index} is not the index of a register (0 to 31)")))?;
        let bytes = reader.bytes(usize::MAX)?;
        let value = Digest::new(HashAlgorithm::Sha384, bytes).map_err(|_| {
            pcr(format!("the value of PCR {number} has {} bytes, and a NitroTPM's have 48", bytes.len()))
        })?;
        let duplicate = || DocumentError::DuplicateKey { structure: "nitrotpm_pcrs", offset, key: number.to_string() };
        match PcrIndex::new(number) {
            Some(index) => values.insert(index, value).map_err(|_| duplicate())?,
            None if beyond.iter().any(|(earlier, _)| *earlier == number) => return Err(duplicate()),
            None => beyond.push((number, value)),
        }
    }
    Ok((values, beyond))
}

fn read_certificate(reader: &mut Reader<'_>, field: &'static str) -> Result<Vec<u8>, DocumentError> {
    let bytes = reader.bytes(usize::MAX)?;
    match bytes.len() {
        1..=MAX_CERTIFICATE_LEN => Ok(bytes.to_vec()),
        length => {
            Err(problem(field, format!("a certificate of {length} bytes, where there are 1 to {MAX_CERTIFICATE_LEN}")))
        }
    }
}

fn read_cabundle(mut reader: Reader<'_>) -> Result<Vec<Vec<u8>>, DocumentError> {
    let count = reader.array()?;
    if !(1..=MAX_CABUNDLE).contains(&count) {
        return Err(problem("cabundle", format!("{count} certificates, where there are 1 to {MAX_CABUNDLE}")));
    }
    (0..count).map(|_| read_certificate(&mut reader, "cabundle")).collect()
}

fn read_user_field(entries: &Entries<'_>, field: &'static str) -> Result<Option<Vec<u8>>, DocumentError> {
    let Some(mut reader) = entries.optional(field) else { return Ok(None) };
    match reader.optional_bytes(usize::MAX)? {
        Some(bytes) if bytes.len() > MAX_USER_FIELD_LEN => {
            Err(problem(field, format!("{} bytes, and at most {MAX_USER_FIELD_LEN} are allowed", bytes.len())))
        }
        bytes => Ok(bytes.map(<[u8]>::to_vec)),
    }
}
