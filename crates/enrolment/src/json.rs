//! What all the JSON documents have in common.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serializer};
use zeroize::Zeroizing;

use crate::EnrolmentError;

/// A JSON document with a schema of its own. Unknown and repeated fields are errors.
pub trait Document: Serialize + DeserializeOwned {
    /// What a person calls it.
    const DOCUMENT: &'static str;
    /// The value of its field `schema`.
    const SCHEMA: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// [`EnrolmentError::Json`], [`EnrolmentError::Schema`].
    fn read(text: &str) -> Result<Self, EnrolmentError> {
        /// All that is looked at first, so that a wrong file is told by its name.
        #[derive(Deserialize)]
        struct Schema {
            schema: String,
        }
        let malformed = |detail| EnrolmentError::Json { document: Self::DOCUMENT, detail };
        if text.len() > MAX_LEN {
            return Err(malformed(format!("it has {} bytes, and none of ours has more than {MAX_LEN}", text.len())));
        }
        // A list of the values, without their names, is what serde takes for a structure too.
        if text.trim_start().starts_with('[') {
            return Err(malformed("it is a JSON array where an object is expected".to_owned()));
        }
        let Schema { schema } = serde_json::from_str(text).map_err(|error| malformed(describe(&error)))?;
        if schema != Self::SCHEMA {
            // It goes to a terminal.
            let found = schema.chars().take(64).flat_map(char::escape_debug).collect();
            return Err(EnrolmentError::Schema { document: Self::DOCUMENT, expected: Self::SCHEMA, found });
        }
        serde_json::from_str(text).map_err(|error| malformed(describe(&error)))
    }

    /// Writes it, in one line without a newline.
    ///
    /// # Errors
    /// [`EnrolmentError::Json`] where it cannot be written.
    fn write(&self) -> Result<Zeroizing<String>, EnrolmentError> {
        serde_json::to_string(self)
            .map(Zeroizing::new)
            .map_err(|error| EnrolmentError::Json { document: Self::DOCUMENT, detail: describe(&error) })
    }
}

/// Two public areas in base64 and change.
const MAX_LEN: usize = 16 * 1024;

/// Where it is wrong and how, without the value: serde's own text repeats it, and a value may be a secret.
fn describe(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Io => "it cannot be written",
        serde_json::error::Category::Syntax => "it is not JSON",
        serde_json::error::Category::Data => "a field is missing, unknown, repeated or not of its type",
        serde_json::error::Category::Eof => "it ends too early",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

/// Bytes as base64 with padding.
pub mod base64_bytes {
    use super::*;

    /// Writes them.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(bytes)))
    }

    /// Reads them.
    ///
    /// # Errors
    /// The deserializer's; text that is something else.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        STANDARD.decode(text.as_bytes()).map_err(|_| D::Error::custom("not base64"))
    }
}

/// Bytes as hexadecimal.
pub mod hex_bytes {
    use super::*;

    /// Writes them.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    /// Reads them.
    ///
    /// # Errors
    /// The deserializer's; text that is something else.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(deserializer)?).map_err(|_| D::Error::custom("not hexadecimal"))
    }
}
