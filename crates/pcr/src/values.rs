//! Values of registers, and their form in JSON and TOML: `{"sha384": {"4": "<hex>"}}`.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt;
use core::marker::PhantomData;

use nitrotpm_digest_lanes::{Digest, HashAlgorithm};
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::PcrIndex;

/// Values of registers by bank and index, ordered.
///
/// In JSON: `{"sha384": {"0": "<96 lower-case hex digits>"}}`. Reading refuses unknown banks, indices from 24 on,
/// values of a wrong length, upper-case hex and names that stand twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PcrValues(BTreeMap<HashAlgorithm, BTreeMap<PcrIndex, Digest>>);

/// A register that was given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PCR {index} of bank {bank} is given twice")]
pub struct DuplicatePcr {
    /// The bank.
    pub bank: HashAlgorithm,
    /// The register.
    pub index: PcrIndex,
}

impl PcrValues {
    /// No values.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a value; the bank is the digest's algorithm.
    ///
    /// # Errors
    /// [`DuplicatePcr`] where the register already has one, be it the same.
    pub fn insert(&mut self, index: PcrIndex, value: Digest) -> Result<(), DuplicatePcr> {
        let bank = value.algorithm();
        match self.0.entry(bank).or_default().entry(index) {
            alloc::collections::btree_map::Entry::Occupied(_) => Err(DuplicatePcr { bank, index }),
            alloc::collections::btree_map::Entry::Vacant(place) => {
                place.insert(value);
                Ok(())
            }
        }
    }

    /// The value of a register.
    #[must_use]
    pub fn get(&self, bank: HashAlgorithm, index: PcrIndex) -> Option<&Digest> {
        self.0.get(&bank)?.get(&index)
    }

    /// The banks that have values, weakest first.
    pub fn banks(&self) -> impl Iterator<Item = HashAlgorithm> + '_ {
        self.0.iter().filter(|(_, registers)| !registers.is_empty()).map(|(bank, _)| *bank)
    }

    /// Every register with its value, by bank, then index.
    pub fn iter(&self) -> impl Iterator<Item = (HashAlgorithm, PcrIndex, &Digest)> + '_ {
        self.0.iter().flat_map(|(bank, registers)| registers.iter().map(|(index, value)| (*bank, *index, value)))
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Serialize for PcrValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Registers<'a>(&'a BTreeMap<PcrIndex, Digest>);
        impl Serialize for Registers<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(self.0.len()))?;
                for (index, value) in self.0 {
                    map.serialize_entry(&alloc::format!("{index}"), &alloc::format!("{value}"))?;
                }
                map.end()
            }
        }
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (bank, registers) in &self.0 {
            map.serialize_entry(bank.name(), &Registers(registers))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for PcrValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Banks(PhantomData<PcrValues>);
        impl<'de> Visitor<'de> for Banks {
            type Value = PcrValues;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from bank names (sha1, sha256, sha384, sha512) to registers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PcrValues, A::Error> {
                let mut values = PcrValues::new();
                while let Some(name) = map.next_key::<String>()? {
                    let bank: HashAlgorithm = name.parse().map_err(|error| {
                        de::Error::custom(format_args!("bank \"{}\": {error}", name.escape_debug()))
                    })?;
                    if values.0.contains_key(&bank) {
                        return Err(de::Error::custom(format_args!("bank {bank} is given twice")));
                    }
                    let registers = map.next_value_seed(Registers(bank))?;
                    values.0.insert(bank, registers);
                }
                Ok(values)
            }
        }
        deserializer.deserialize_map(Banks(PhantomData))
    }
}

/// Reads the registers of one bank.
struct Registers(HashAlgorithm);

impl<'de> de::DeserializeSeed<'de> for Registers {
    type Value = BTreeMap<PcrIndex, Digest>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Registers {
    type Value = BTreeMap<PcrIndex, Digest>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from PCR indices (\"0\" to \"23\") to values in hexadecimal")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let bank = self.0;
        let mut registers = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let index = parse_index(&name).ok_or_else(|| {
                de::Error::custom(format_args!("\"{}\" is not the index of a PCR (0 to 23)", name.escape_debug()))
            })?;
            let text = map.next_value::<String>()?;
            let value = parse_value(bank, &text).ok_or_else(|| {
                de::Error::custom(format_args!(
                    "PCR {index} of bank {bank}: expected {} lower-case hexadecimal digits",
                    bank.digest_len().saturating_mul(2)
                ))
            })?;
            if registers.insert(index, value).is_some() {
                return Err(de::Error::custom(DuplicatePcr { bank, index }));
            }
        }
        Ok(registers)
    }
}

/// One spelling an index: no sign, no leading zero.
fn parse_index(text: &str) -> Option<PcrIndex> {
    let index = PcrIndex::new(text.parse().ok()?)?;
    (alloc::format!("{index}") == text).then_some(index)
}

/// One spelling a value, so that two texts that differ are two values.
fn parse_value(bank: HashAlgorithm, text: &str) -> Option<Digest> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    Digest::new(bank, &hex::decode(text).ok()?).ok()
}
