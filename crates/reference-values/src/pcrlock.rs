//! Component files of systemd-pcrlock: the events of a component in order, one file a variant (systemd.pcrlock(5)).

use std::collections::BTreeMap;
use std::str::FromStr;

use nitrotpm_pcr::{Bank, Chain, Digest, PcrIndex, PcrValues};
use serde::{Deserialize, Serialize};

use crate::{Image, MeasuredEvent, ReferenceValueError};

/// How many images may come from the variants of components.
pub const MAX_IMAGES: usize = 1024;
/// How large a component file may be, in bytes.
pub const MAX_LEN: usize = 4 << 20;
/// How many records it may have.
const MAX_RECORDS: usize = 16_384;

/// A component of the boot: one variant, or several of which one is booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its name, by which components are ordered: `650-uki`.
    pub name: String,
    /// Its variants: name and file.
    pub variants: Vec<(String, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
struct File {
    records: Vec<Record>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    pcr: u32,
    digests: Vec<RecordDigest>,
}

#[derive(Serialize, Deserialize)]
struct RecordDigest {
    #[serde(rename = "hashAlg")]
    algorithm: String,
    digest: String,
}

/// One image as a component file, with a newline at its end.
///
/// # Errors
/// [`ReferenceValueError::NoEvents`] where only its values are known: a component lists what is extended.
pub fn to_component(image: &Image) -> Result<String, ReferenceValueError> {
    if image.events.is_empty() {
        return Err(ReferenceValueError::NoEvents { image: image.name.escape_debug().to_string() });
    }
    let digest =
        |digest: &Digest| RecordDigest { algorithm: digest.algorithm().to_string(), digest: digest.to_string() };
    let record = |event: &MeasuredEvent| Record {
        pcr: u32::from(event.pcr.get()),
        digests: event.digests.iter().map(digest).collect(),
    };
    let file = File { records: image.events.iter().map(record).collect() };
    // Numbers and text only: writing them to memory cannot fail.
    Ok(format!("{}\n", serde_json::to_string(&file).unwrap_or_default()))
}

/// The events of one component file. `recnum`, `content` and `content_type` are ignored, as systemd does; so are digests
/// of algorithms that no bank here has.
///
/// # Errors
/// [`ReferenceValueError::Pcrlock`] for a file that is none.
pub fn read_component(name: &str, bytes: &[u8]) -> Result<Vec<MeasuredEvent>, ReferenceValueError> {
    let wrong = |what: String| ReferenceValueError::Pcrlock { component: name.escape_debug().to_string(), what };
    if bytes.len() > MAX_LEN {
        return Err(wrong(format!("it has {} bytes, and at most {MAX_LEN} are read", bytes.len())));
    }
    let file: File =
        serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string().escape_debug().to_string()))?;
    if file.records.len() > MAX_RECORDS {
        return Err(wrong(format!("it has {} records, and at most {MAX_RECORDS} are read", file.records.len())));
    }
    let mut events = Vec::with_capacity(file.records.len());
    for (position, record) in file.records.iter().enumerate() {
        let pcr = u8::try_from(record.pcr)
            .ok()
            .and_then(PcrIndex::new)
            .ok_or_else(|| wrong(format!("record {position} is of PCR {}; there are 0 to 23", record.pcr)))?;
        let mut digests: Vec<Digest> = Vec::new();
        for entry in &record.digests {
            let Ok(bank) = Bank::from_str(&entry.algorithm) else { continue };
            let digest = hex::decode(&entry.digest)
                .ok()
                .and_then(|bytes| Digest::new(bank, &bytes).ok())
                .ok_or_else(|| wrong(format!("record {position} has a {bank} digest that is none")))?;
            if digests.iter().any(|other| other.algorithm() == bank) {
                return Err(wrong(format!("record {position} has two digests of {bank}")));
            }
            digests.push(digest);
        }
        if digests.is_empty() {
            return Err(wrong(format!("record {position} has no digest of sha1, sha256, sha384 or sha512")));
        }
        events.push(MeasuredEvent { pcr, digests });
    }
    Ok(events)
}

/// The images that components give: every combination of their variants, in the order of their names.
///
/// A register has a value in the banks of which every of its records has a digest. A register that no record names has
/// none: a component file cannot say that nothing is extended.
///
/// # Errors
/// [`ReferenceValueError`]: a file that is none, more than [`MAX_IMAGES`] combinations, nothing at all.
pub fn images(components: &[Component]) -> Result<Vec<Image>, ReferenceValueError> {
    let mut ordered: Vec<&Component> = components.iter().filter(|component| !component.variants.is_empty()).collect();
    ordered.sort_by(|a, b| a.name.cmp(&b.name));
    let count = ordered.iter().try_fold(1_usize, |count, component| count.checked_mul(component.variants.len()));
    let count = count.unwrap_or(usize::MAX);
    if count > MAX_IMAGES {
        return Err(ReferenceValueError::TooManyVariants { count });
    }
    let mut combinations: Vec<(Vec<&str>, Vec<MeasuredEvent>)> = vec![Default::default()];
    for component in &ordered {
        let mut read = Vec::with_capacity(component.variants.len());
        for (name, bytes) in &component.variants {
            read.push((name.as_str(), read_component(name, bytes)?));
        }
        // A component without a choice does not tell images apart.
        let is_told = component.variants.len() > 1 || ordered.len() == 1;
        let mut longer = Vec::with_capacity(combinations.len().saturating_mul(read.len()));
        for (names, events) in &combinations {
            for (name, more) in &read {
                let names = names.iter().copied().chain(is_told.then_some(*name)).collect();
                longer.push((names, [events.as_slice(), more.as_slice()].concat()));
            }
        }
        combinations = longer;
    }
    let images: Vec<Image> = combinations
        .into_iter()
        .filter(|(_, events)| !events.is_empty())
        .map(|(names, events)| {
            let name = if names.is_empty() { "pcrlock".to_owned() } else { names.join("+") };
            Image { events: events.clone(), ..Image::new(name, values(&events)) }
        })
        .collect();
    if images.is_empty() { Err(ReferenceValueError::NoImage) } else { Ok(images) }
}

/// What the events give, in the banks that every event of a register has.
fn values(events: &[MeasuredEvent]) -> PcrValues {
    let mut chains: BTreeMap<(Bank, PcrIndex), Option<Chain>> = BTreeMap::new();
    for event in events {
        for bank in [Bank::Sha1, Bank::Sha256, Bank::Sha384, Bank::Sha512] {
            let chain = chains.entry((bank, event.pcr)).or_insert_with(|| Some(Chain::new(bank, event.pcr)));
            let digest = event.digests.iter().find(|digest| digest.algorithm() == bank);
            let extended = chain.take().zip(digest).and_then(|(mut chain, digest)| {
                chain.extend(digest).ok()?;
                Some(chain)
            });
            *chain = extended;
        }
    }
    let mut values = PcrValues::new();
    for ((_, pcr), chain) in chains {
        if let Some(chain) = chain {
            // Each key of the map comes once.
            let _inserted = values.insert(pcr, chain.value());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(pcr: u8) -> PcrIndex {
        PcrIndex::new(pcr).unwrap()
    }

    fn event(pcr: u8, byte: u8, banks: &[Bank]) -> MeasuredEvent {
        let digests = banks.iter().map(|bank| Digest::new(*bank, &vec![byte; bank.digest_len()]).unwrap()).collect();
        MeasuredEvent { pcr: index(pcr), digests }
    }

    fn component(name: &str, variants: &[(&str, Vec<MeasuredEvent>)]) -> Component {
        let file = |(name, events): &(&str, Vec<MeasuredEvent>)| {
            let image = Image { events: events.clone(), ..Image::new(*name, PcrValues::new()) };
            ((*name).to_owned(), to_component(&image).unwrap().into_bytes())
        };
        Component { name: name.to_owned(), variants: variants.iter().map(file).collect() }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let both = [Bank::Sha256, Bank::Sha384];
        let events = vec![event(4, 1, &both), event(4, 2, &both), event(7, 3, &both)];
        let image = Image { events: events.clone(), ..Image::new("web", values(&events)) };
        let text = to_component(&image).unwrap();
        assert!(
            text.starts_with("{\"records\":[{\"pcr\":4,\"digests\":[{\"hashAlg\":\"sha256\",\"digest\":\"0101"),
            "{text}"
        );
        let read = images(&[Component { name: "650-web".into(), variants: vec![("web".into(), text.into_bytes())] }]);
        assert_eq!(read.unwrap(), [image]);
        let only_values = Image::new("web", values(&events));
        assert_eq!(to_component(&only_values).unwrap_err().code(), "pcrlock.no-events");
    }

    /// Components come in the order of their names; each variant makes an image; a bank that one event lacks has no
    /// value.
    #[test]
    fn variants_are_combined_in_order() {
        let one = [Bank::Sha384];
        let action = component("350-action", &[("action", vec![event(4, 9, &[Bank::Sha256, Bank::Sha384])])]);
        let uki = component("650-uki", &[("41", vec![event(4, 41, &one)]), ("42", vec![event(4, 42, &one)])]);
        let read = images(&[uki, action]).unwrap();
        assert_eq!(read.iter().map(|image| image.name.as_str()).collect::<Vec<_>>(), ["41", "42"]);
        let mut chain = Chain::new(Bank::Sha384, index(4));
        chain.extend(&event(4, 9, &one).digests[0]).unwrap();
        chain.extend(&event(4, 42, &one).digests[0]).unwrap();
        assert_eq!(read[1].pcrs.get(Bank::Sha384, index(4)), Some(&chain.value()));
        assert_eq!(read[1].pcrs.get(Bank::Sha256, index(4)), None);
    }

    #[test]
    fn what_is_no_component_is_refused() {
        let digest = |algorithm: &str, length: usize| {
            format!("{{\"hashAlg\":\"{algorithm}\",\"digest\":\"{}\"}}", "ab".repeat(length))
        };
        let record = |pcr: u32, digests: &str| format!("{{\"records\":[{{\"pcr\":{pcr},\"digests\":[{digests}]}}]}}");
        let sha256 = digest("sha256", 32);
        assert!(read_component("ok", record(4, &sha256).as_bytes()).is_ok());
        assert!(read_component("ok", record(4, &format!("{sha256},{}", digest("sm3", 3))).as_bytes()).is_ok());
        for wrong in [
            record(24, &sha256),
            record(4, &digest("sha256", 31)),
            record(4, &format!("{sha256},{sha256}")),
            record(4, &digest("sm3", 32)),
            "[]".to_owned(),
            format!("{} ", record(4, &sha256)).repeat(2),
        ] {
            assert_eq!(read_component("wrong", wrong.as_bytes()).unwrap_err().code(), "pcrlock.malformed", "{wrong}");
        }
        let variants: Vec<_> = (0..33).map(|_| ("v", vec![event(4, 1, &[Bank::Sha384])])).collect();
        let many = [component("1", &variants), component("2", &variants)];
        assert_eq!(images(&many).unwrap_err().code(), "pcrlock.too-many-variants");
        assert_eq!(images(&[]), Err(ReferenceValueError::NoImage));
    }
}
