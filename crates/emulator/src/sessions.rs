//! What the emulator remembers of the client's sessions: enough to answer in their place.

use std::collections::BTreeMap;

use nitrotpm_digest_lanes::HashAlgorithm;

use crate::crypto::Symmetric;
use crate::wire::{Authorization, Malformed, Reader, rh, session_attribute};

/// What a session is for (`TPM_SE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Hmac,
    /// A policy or trial session.
    Policy,
}

/// A session's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Known. Empty for a session that is neither salted nor bound.
    Known(Vec<u8>),
    /// To be found in the TPM's state when first needed.
    InState,
}

/// What a session is bound to. It stays bound as long as name and authorization value stay what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) handle: u32,
    pub(crate) name: Vec<u8>,
    pub(crate) auth: Vec<u8>,
}

/// A session that a client started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) kind: Kind,
    pub(crate) hash: HashAlgorithm,
    pub(crate) symmetric: Symmetric,
    pub(crate) key: Key,
    /// The last nonceTPM. Unknown for a session that was started under encryption and not used since.
    pub(crate) nonce_tpm: Option<Vec<u8>>,
    pub(crate) bound: Option<Bound>,
}

impl Session {
    /// Reads what a TPM2_StartAuthSession asked for. `None` where the hash is not one of a TPM's four.
    pub(crate) fn requested(handles: &[u32], parameters: &[u8]) -> Option<Self> {
        let read = || {
            let mut reader = Reader::new(parameters);
            reader.sized()?; // nonceCaller
            reader.sized()?; // encryptedSalt
            let kind = if reader.u8()? == 0 { Kind::Hmac } else { Kind::Policy };
            let symmetric = match reader.u16()? {
                0x0010 => Symmetric::None,
                0x0006 => {
                    let bits = reader.u16()?;
                    // Mode CFB is the only one for parameters.
                    if reader.u16()? == 0x0043 { Symmetric::AesCfb(bits) } else { Symmetric::Unsupported }
                }
                0x000a => {
                    reader.u16()?; // a hash that is not used
                    Symmetric::Xor
                }
                _ => {
                    reader.take(4)?; // key bits and mode of another block cipher
                    Symmetric::Unsupported
                }
            };
            let hash = HashAlgorithm::from_tpm_id(reader.u16()?).ok_or(Malformed)?;
            let keyless = handles.iter().all(|handle| *handle == rh::NULL);
            let key = if keyless { Key::Known(Vec::new()) } else { Key::InState };
            Ok::<_, Malformed>(Self { kind, hash, symmetric, key, nonce_tpm: None, bound: None })
        };
        read().ok()
    }
}

/// The client's sessions by their handles.
#[derive(Default)]
pub(crate) struct Sessions(BTreeMap<u32, Session>);

impl Sessions {
    pub(crate) fn insert(&mut self, handle: u32, session: Session) {
        self.0.insert(handle, session);
    }

    pub(crate) fn get(&self, handle: u32) -> Option<&Session> {
        self.0.get(&handle)
    }

    pub(crate) fn get_mut(&mut self, handle: u32) -> Option<&mut Session> {
        self.0.get_mut(&handle)
    }

    pub(crate) fn remove(&mut self, handle: u32) {
        self.0.remove(&handle);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes the new nonces of a successful response, and forgets the sessions that ended with it.
    pub(crate) fn roll(&mut self, authorizations: &[Authorization]) {
        for authorization in authorizations {
            if authorization.has(session_attribute::CONTINUE) {
                if let Some(session) = self.0.get_mut(&authorization.session) {
                    session.nonce_tpm = Some(authorization.nonce.clone());
                }
            } else {
                self.0.remove(&authorization.session);
            }
        }
    }
}
