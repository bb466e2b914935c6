//! Structures that are written by their keys, and in no other way.
//!
//! What serde derives for a structure also reads a list of its values in the order of the source: a second way to write
//! the same, without the keys by which unknown and repeated ones are refused.

use core::fmt;
use core::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A structure read from keys and values alone.
pub(crate) struct Keyed<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Keyed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByKeys<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ByKeys<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("named fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(ByKeys(PhantomData)).map(Self)
    }
}

/// For a field.
pub(crate) fn keyed<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Keyed::deserialize(deserializer).map(|Keyed(value)| value)
}

/// For a field that may be left out.
pub(crate) fn optional<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::<Keyed<T>>::deserialize(deserializer).map(|value| value.map(|Keyed(value)| value))
}

/// For a field that is a list.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Vec::<Keyed<T>>::deserialize(deserializer).map(|values| values.into_iter().map(|Keyed(value)| value).collect())
}

/// For a field that is a list and may be left out.
pub(crate) fn optional_list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let values = Option::<Vec<Keyed<T>>>::deserialize(deserializer)?;
    Ok(values.map(|values| values.into_iter().map(|Keyed(value)| value).collect()))
}
