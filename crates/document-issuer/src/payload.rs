//! The document's payload, entry by entry.

use nitrotpm_pcr::Bank;

use crate::{DocumentContents, cbor};

/// How the payload map is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapForm {
    /// `bf … ff`: what NitroTPM writes.
    Indefinite,
    /// `a9 …`: what Nitro Enclaves wrote until 2025.
    Definite,
}

/// The payload map: keys and values as CBOR, in order. Nothing is checked, so that a test can write what AWS never does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Keys with values, each one CBOR item, in order.
    pub entries: Vec<(Vec<u8>, Vec<u8>)>,
    /// How the map is written.
    pub form: MapForm,
}

impl Payload {
    /// The payload as a NitroTPM writes it: this order of keys, a map of indefinite length, null for what is absent.
    #[must_use]
    pub fn nitrotpm(contents: &DocumentContents, certificate: &[u8], cabundle: &[Vec<u8>]) -> Self {
        let registers: Vec<_> = contents
            .pcrs
            .iter()
            .filter(|(bank, _, _)| *bank == Bank::Sha384)
            .map(|(_, index, value)| (cbor::unsigned(u8::from(index).into()), cbor::bytes(value.as_bytes())))
            .collect();
        let cabundle: Vec<_> = cabundle.iter().map(|certificate| cbor::bytes(certificate)).collect();
        let optional = |field: &Option<Vec<u8>>| field.as_ref().map_or_else(cbor::null, |bytes| cbor::bytes(bytes));
        let entries = vec![
            (cbor::text("module_id"), cbor::text(&contents.module_id)),
            (cbor::text("digest"), cbor::text("SHA384")),
            (cbor::text("timestamp"), cbor::unsigned(contents.timestamp_millis)),
            (cbor::text("nitrotpm_pcrs"), cbor::map(&registers)),
            (cbor::text("certificate"), cbor::bytes(certificate)),
            (cbor::text("cabundle"), cbor::array(&cabundle)),
            (cbor::text("public_key"), optional(&contents.public_key)),
            (cbor::text("user_data"), optional(&contents.user_data)),
            (cbor::text("nonce"), optional(&contents.nonce)),
        ];
        Self { entries, form: MapForm::Indefinite }
    }

    /// Replaces the value of a text key by one CBOR item, or adds the key at the end.
    pub fn set(&mut self, key: &str, value: Vec<u8>) {
        let key = cbor::text(key);
        match self.entries.iter_mut().find(|(found, _)| *found == key) {
            Some((_, place)) => *place = value,
            None => self.entries.push((key, value)),
        }
    }

    /// Adds a text key at the end, though it may be there.
    pub fn push(&mut self, key: &str, value: Vec<u8>) {
        self.entries.push((cbor::text(key), value));
    }

    /// Removes a text key.
    pub fn remove(&mut self, key: &str) {
        let key = cbor::text(key);
        self.entries.retain(|(found, _)| *found != key);
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self.form {
            MapForm::Indefinite => cbor::indefinite_map(&self.entries),
            MapForm::Definite => cbor::map(&self.entries),
        }
    }
}
