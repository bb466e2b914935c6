//! The attestation documents of this device: made by the document issuer, under a root that the state directory keeps.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use nitrotpm_document_issuer::{
    Authority, Curve, DocumentContents, Envelope, Issuer, IssuerError, Key, Payload, Pki, Profile, cbor,
};
use nitrotpm_pcr::{Bank, Digest, PcrIndex, PcrValues};

use crate::nsm::Fields;
use crate::self_test::random;
use crate::state::StateDir;
use crate::{EmulatorError, Fault};

/// The device's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceClock {
    /// The system's.
    #[default]
    System,
    /// A clock that stands still at so many milliseconds since 1970: documents of a time of one's choice.
    Fixed(u64),
}

impl DeviceClock {
    fn millis(self) -> u64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|time| u64::try_from(time.as_millis()).ok())
                .unwrap_or_default(),
            Self::Fixed(millis) => millis,
        }
    }
}

/// Makes documents.
pub(crate) struct Documents {
    issuer: Issuer,
    region: String,
    module_id: String,
    clock: DeviceClock,
}

const MINUTE: u64 = 60_000;

impl Documents {
    /// Takes root and module id from the state directory, or makes them and keeps them there.
    pub(crate) fn open(
        state: &StateDir,
        region: &str,
        module_id: Option<String>,
        clock: DeviceClock,
    ) -> Result<Self, EmulatorError> {
        let failed = |source| EmulatorError::Issuer { source };
        let issuer = match (state.read("root.key")?, state.read("root.der")?) {
            (Some(key), Some(root)) => Issuer::restore(region, root, &key).map_err(failed)?,
            _ => {
                let issuer = Issuer::new(region, clock.millis() / 1000).map_err(failed)?;
                state.write("root.der", issuer.root_der())?;
                state.write("root.key", &issuer.root_key())?;
                issuer
            }
        };
        state.write("root.pem", issuer.root_pem().as_bytes())?;
        let kept = state.read("module-id")?.and_then(|bytes| String::from_utf8(bytes).ok());
        let module_id = match (module_id, kept) {
            (Some(chosen), _) => chosen,
            (None, Some(kept)) => kept,
            (None, None) => {
                let digits = hex::encode(random::<9>()?);
                format!("i-{}-tpm0000000000000000", digits.get(..17).unwrap_or_default())
            }
        };
        if !is_module_id(&module_id) {
            return Err(EmulatorError::ModuleId { module_id });
        }
        state.write("module-id", module_id.as_bytes())?;
        Ok(Self { issuer, region: region.to_owned(), module_id, clock })
    }

    pub(crate) fn module_id(&self) -> &str {
        &self.module_id
    }

    pub(crate) fn root_pem(&self) -> String {
        self.issuer.root_pem()
    }

    pub(crate) fn set_clock(&mut self, clock: DeviceClock) {
        self.clock = clock;
    }

    /// Makes the certificates of a document that is about to be asked for. What fails here fails again, and is told, when
    /// it is asked for.
    pub(crate) fn prepare(&mut self) {
        let _ = self.issuer.prepare(&self.module_id, self.clock.millis() / 1000);
    }

    /// Makes a document.
    pub(crate) fn make(
        &mut self,
        fields: Fields,
        pcrs: PcrValues,
        faults: &BTreeSet<Fault>,
    ) -> Result<Vec<u8>, IssuerError> {
        let contents = DocumentContents {
            module_id: self.module_id.clone(),
            timestamp_millis: self.clock.millis(),
            pcrs,
            public_key: fields.public_key,
            user_data: fields.user_data,
            nonce: fields.nonce,
        };
        if faults.iter().any(|fault| fault.is_of_document()) {
            self.make_wrong(contents, faults)
        } else {
            self.issuer.issue(&contents)
        }
    }

    /// A document that is right but for the faults.
    fn make_wrong(&self, mut contents: DocumentContents, faults: &BTreeSet<Fault>) -> Result<Vec<u8>, IssuerError> {
        let has = |fault| faults.contains(&fault);
        let millis = &mut contents.timestamp_millis;
        if has(Fault::Stale) {
            *millis = millis.saturating_sub(MINUTE.saturating_mul(10));
        }
        if has(Fault::Expired) {
            *millis = millis.saturating_sub(MINUTE.saturating_mul(240));
        }
        if has(Fault::Future) {
            *millis = millis.saturating_add(MINUTE.saturating_mul(60));
        }
        let (four, seven) = (index(4), index(7));
        contents.pcrs = altered(&contents.pcrs, |at, pcrs| {
            let from = match at {
                at if has(Fault::PcrSwapped) && Some(at) == four => seven,
                at if has(Fault::PcrSwapped) && Some(at) == seven => four,
                at => Some(at),
            };
            let mut bytes = pcrs.get(Bank::Sha384, from?)?.as_bytes().to_vec();
            if has(Fault::PcrFlipped) && Some(at) == four {
                flip_last(&mut bytes);
            }
            Digest::new(Bank::Sha384, &bytes).ok()
        });
        if has(Fault::NoNonce) {
            contents.nonce = None;
        }
        if has(Fault::WrongNonce) {
            flip_last(contents.nonce.get_or_insert_with(|| vec![0; 32]));
        }
        if has(Fault::WrongPublicKey) {
            flip_last(contents.public_key.get_or_insert_with(|| vec![0; 32]));
        }
        if has(Fault::WrongKind) {
            contents.module_id = contents.module_id.replace("-tpm", "-enc");
        }

        let seconds = contents.timestamp_millis / 1000;
        let root = if has(Fault::UntrustedRoot) {
            Authority::self_signed(Profile::aws_root(seconds)?)?
        } else {
            let key = Key::from_pkcs8(Curve::P384, &self.issuer.root_key())?;
            Authority::restored(Profile::aws_root(0)?, key, self.issuer.root_der().to_vec())
        };
        let profile = Profile::aws(&contents.module_id, &self.region, seconds)?;
        let mut pki = Pki::with_root(root);
        pki.renew(&profile)?;
        let (certificate, key) = pki.issue_leaf(&profile.leaf)?;
        let mut cabundle = pki.cabundle();
        if has(Fault::ChainBroken) && cabundle.len() > 2 {
            cabundle.remove(2);
        }
        let mut payload = Payload::nitrotpm(&contents, &certificate, &cabundle);
        if has(Fault::WrongKind) {
            let ours = cbor::text("nitrotpm_pcrs");
            if let Some((key, _)) = payload.entries.iter_mut().find(|(key, _)| *key == ours) {
                *key = cbor::text("pcrs");
            }
        }
        if has(Fault::DuplicateKey) {
            payload.push("nonce", cbor::null());
        }
        let mut envelope = Envelope::sign(payload.encode(), &key)?;
        if has(Fault::WrongSignature) {
            flip_last(&mut envelope.signature);
        }
        let mut document = envelope.encode();
        if has(Fault::Truncated) {
            document.truncate(document.len().saturating_sub(16));
        }
        Ok(document)
    }
}

fn index(number: u8) -> Option<PcrIndex> {
    PcrIndex::new(number)
}

fn altered(pcrs: &PcrValues, value: impl Fn(PcrIndex, &PcrValues) -> Option<Digest>) -> PcrValues {
    let mut out = PcrValues::new();
    for at in PcrIndex::all() {
        if let Some(digest) = value(at, pcrs) {
            // Each index once: never a duplicate.
            let _ = out.insert(at, digest);
        }
    }
    out
}

fn flip_last(bytes: &mut [u8]) {
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
}

/// `i-<8 to 17 hex>-tpm<16 hex>`.
fn is_module_id(text: &str) -> bool {
    let hexadecimal = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    text.strip_prefix("i-").and_then(|rest| rest.split_once("-tpm")).is_some_and(|(instance, number)| {
        (8..=17).contains(&instance.len()) && hexadecimal(instance) && number.len() == 16 && hexadecimal(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_ids_are_told_from_others() {
        assert!(is_module_id("i-0123456789abcdef0-tpm0000000000000000"));
        for other in ["i-0123456789abcdef0-enc0000000000000000", "i-XYZ45678-tpm0000000000000000", "i-1-tpm0", ""] {
            assert!(!is_module_id(other), "{other}");
        }
    }

    #[test]
    fn root_and_module_id_stay() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        let open = |module_id| Documents::open(&state, "eu-west-1", module_id, DeviceClock::System).unwrap();
        let first = open(None);
        let second = open(None);
        assert_eq!((first.root_pem(), first.module_id()), (second.root_pem(), second.module_id()));
        let chosen = "i-0123456789abcdef0-tpm0000000000000000";
        assert_eq!(open(Some(chosen.into())).module_id(), chosen);
        assert_eq!(open(None).module_id(), chosen);
    }
}
