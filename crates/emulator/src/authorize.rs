//! Checking a client's HMACs in the TPM's place, signing for the client, and answering it (TPM 2.0 Library Part 1, 17
//! to 21).
//!
//! The client computes with the Name of a large index, swtpm with that of its placeholder. So a command that names one is
//! checked here, given to swtpm under the client's own session with a new HMAC, and answered with swtpm's new nonce.

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use subtle::ConstantTimeEq;

use crate::EmulatorError;
use crate::crypto::{Direction, Symmetric, hmac};
use crate::device::{Device, Stop};
use crate::keys;
use crate::overlay::{NvPublic, PLACEHOLDER};
use crate::sessions::{Key, Kind};
use crate::swtpm::Blob;
use crate::wire::{
    self, Authorization, Command, Malformed, Put, Reader, Response, cc, is_nv, rc, rh, session_attribute,
};

/// What answering in a session takes. A password session takes nothing.
pub(crate) struct Keyed {
    hash: HashAlgorithm,
    symmetric: Symmetric,
    /// Key of the HMACs; `None` where the session carries none (a policy without authorization value).
    hmac_key: Option<Vec<u8>>,
    /// The client's HMAC is wrong. swtpm gets a wrong one as well, refuses it, and counts it.
    wrong: bool,
    /// Key of the parameter encryption.
    value: Vec<u8>,
    nonce_tpm: Vec<u8>,
}

/// A command and what its sessions are keyed with. Outside this module, one whose HMACs are right.
pub(crate) struct Authorized<'c> {
    pub(crate) command: &'c Command<'c>,
    keyed: Vec<Option<Keyed>>,
}

/// Whether Names are those that the client sees, or those of swtpm's placeholders.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Client,
    Native,
}

/// How many of a command's handles need authorization.
const fn authorized_handles(code: u32) -> usize {
    match code {
        cc::NV_READ_PUBLIC | cc::START_AUTH_SESSION => 0,
        cc::NV_UNDEFINE_SPACE_SPECIAL => 2,
        _ => 1,
    }
}

impl Device {
    /// Checks the HMACs of a command as the client made them. A wrong one is not judged here: swtpm gets the command with
    /// a wrong HMAC as well (as `instead`, where it does not know the command), refuses it, and counts it.
    pub(crate) fn authorize<'c>(
        &mut self,
        command: &'c Command<'c>,
        instead: Option<(u32, &[u8])>,
    ) -> Result<Authorized<'c>, Stop> {
        let keyed = self.keyed(command)?;
        let wrong = keyed.iter().flatten().any(|session| session.wrong);
        let mut authorized = Authorized { command, keyed };
        if !wrong {
            return Ok(authorized);
        }
        let (code, parameters) = instead.unwrap_or((command.code, command.parameters));
        // The client's own HMAC is not given to swtpm: by its view of the index it may be right.
        self.signed(&mut authorized, code, &command.handles, parameters, false)?;
        Err(Stop::Code(rc::FAILURE))
    }

    fn keyed(&mut self, command: &Command<'_>) -> Result<Vec<Option<Keyed>>, Stop> {
        let names = self.names(&command.handles, View::Client)?;
        let mut keyed = Vec::with_capacity(command.authorizations.len());
        for (position, authorization) in command.authorizations.iter().enumerate() {
            keyed.push(self.keyed_session(command, position, authorization)?);
        }
        for (position, (authorization, session)) in command.authorizations.iter().zip(&mut keyed).enumerate() {
            let Some(session) = session else {
                // A session that nobody knows is refused by swtpm: with what the client sent.
                continue;
            };
            let Some(table) = self.sessions.get(authorization.session) else { continue };
            let kind = table.kind;
            let cp_hash = cp_hash(session.hash, command.code, &names, command.parameters);
            let extra = extra_nonces(position, &command.authorizations, |at| {
                command.authorizations.get(at).and_then(|other| self.sessions.get(other.session)?.nonce_tpm.clone())
            });
            let matches = |key: &[u8]| {
                let mut pieces = vec![cp_hash.as_bytes(), &authorization.nonce, &session.nonce_tpm];
                pieces.extend(extra.iter().map(Vec::as_slice));
                let attributes = [authorization.attributes];
                pieces.push(&attributes);
                bool::from(hmac(session.hash, key, &pieces).ct_eq(&authorization.hmac))
            };
            match kind {
                // Without any key, an empty field is allowed, and so answered (libtpms, `SessionProcess.c`).
                Kind::Hmac if authorization.hmac.is_empty() && session.hmac_key.as_ref().is_some_and(Vec::is_empty) => {
                    session.hmac_key = None;
                }
                Kind::Hmac => session.wrong = !session.hmac_key.as_ref().is_some_and(|key| matches(key)),
                // Whether a policy demands the authorization value is known to swtpm alone; so is a password. Where
                // neither key fits, the field goes to swtpm as it is.
                Kind::Policy => {
                    let with = session.value.clone();
                    let without = session.hmac_key.take().unwrap_or_default();
                    session.hmac_key = if authorization.hmac.is_empty() {
                        None
                    } else {
                        [without, with].into_iter().find(|key| matches(key))
                    };
                }
            }
        }
        Ok(keyed)
    }

    fn keyed_session(
        &mut self,
        command: &Command<'_>,
        position: usize,
        authorization: &Authorization,
    ) -> Result<Option<Keyed>, Stop> {
        if authorization.session == rh::PASSWORD {
            return Ok(None);
        }
        self.find_key(authorization.session)?;
        let Some(session) = self.sessions.get(authorization.session).cloned() else { return Ok(None) };
        let (Key::Known(key), Some(nonce_tpm)) = (session.key, session.nonce_tpm) else {
            return Err(Stop::Code(rc::FAILURE));
        };
        let entity = command.handles.get(position).filter(|_| position < authorized_handles(command.code)).copied();
        let (mut hmac_key, mut value) = (key.clone(), key);
        if let Some(entity) = entity {
            let auth = self.auth_value(entity)?;
            let bound = match &session.bound {
                Some(bound) if bound.handle == entity => {
                    bound.auth == auth && bound.name == self.name(entity, View::Native)?
                }
                _ => false,
            };
            value.put(&auth);
            if session.kind == Kind::Hmac && !bound {
                hmac_key.put(&auth);
            }
        }
        let (hash, symmetric) = (session.hash, session.symmetric);
        Ok(Some(Keyed { hash, symmetric, hmac_key: Some(hmac_key), wrong: false, value, nonce_tpm }))
    }

    /// Finds the session's key in the TPM's state, once.
    fn find_key(&mut self, handle: u32) -> Result<(), Stop> {
        let Some(session) = self.sessions.get(handle) else { return Ok(()) };
        let (Key::InState, Some(nonce)) = (&session.key, &session.nonce_tpm) else { return Ok(()) };
        let (nonce, length) = (nonce.clone(), session.hash.digest_len());
        let volatile = self.backend.state_blob(Blob::Volatile)?;
        let key = keys::session_key(&volatile, length, &nonce).ok_or(Stop::Code(rc::FAILURE))?.to_vec();
        if let Some(session) = self.sessions.get_mut(handle) {
            session.key = Key::Known(key);
        }
        Ok(())
    }

    /// The authorization value of an NV index or hierarchy. Empty for an index that does not exist, which swtpm refuses.
    pub(crate) fn auth_value(&mut self, handle: u32) -> Result<Vec<u8>, Stop> {
        if let Some(known) = self.auths.get(&handle) {
            return Ok(known.clone());
        }
        let found = match handle {
            rh::OWNER => keys::owner_auth(&self.backend.state_blob(Blob::Permanent)?).map(<[u8]>::to_vec),
            rh::PLATFORM => keys::platform_auth(&self.backend.state_blob(Blob::Volatile)?).map(<[u8]>::to_vec),
            _ if is_nv(handle) => match self.native_public(handle)? {
                None => Some(Vec::new()),
                Some(public) => {
                    let permanent = self.backend.state_blob(Blob::Permanent)?;
                    keys::nv_auth(&permanent, &public.encode()?).map(<[u8]>::to_vec)
                }
            },
            // No other entity authorizes what the emulator answers.
            _ => Some(Vec::new()),
        };
        let mut auth = found.ok_or(Stop::Code(rc::FAILURE))?;
        // A TPM compares and computes with authorization values less their trailing zeros.
        while auth.last() == Some(&0) {
            auth.pop();
        }
        if self.overlay.contains(handle) {
            self.auths.insert(handle, auth.clone());
        }
        Ok(auth)
    }

    /// The public area that swtpm has of an index; `None` where it has none.
    pub(crate) fn native_public(&mut self, handle: u32) -> Result<Option<NvPublic>, EmulatorError> {
        if let Some(known) = self.publics.get(&handle) {
            return Ok(known.clone());
        }
        let doing = "read the public area of an NV index";
        let read =
            self.backend.query(doing, cc::NV_READ_PUBLIC, &[handle], &[], |reader| NvPublic::parse(reader.sized()?));
        let public = match read {
            Ok(public) => Some(public),
            Err(EmulatorError::Tpm { .. }) => None,
            Err(error) => return Err(error),
        };
        self.publics.insert(handle, public.clone());
        Ok(public)
    }

    /// The public area that clients see of an index.
    pub(crate) fn client_public(&mut self, handle: u32) -> Result<Option<NvPublic>, EmulatorError> {
        let size = self.overlay.data(handle).and_then(|data| u16::try_from(data.len()).ok());
        Ok(self.native_public(handle)?.map(|mut public| {
            public.size = size.unwrap_or(public.size);
            public
        }))
    }

    fn name(&mut self, handle: u32, view: View) -> Result<Vec<u8>, Stop> {
        match handle >> 24 {
            0x01 => {
                let public = match view {
                    View::Client => self.client_public(handle)?,
                    View::Native => self.native_public(handle)?,
                };
                public.map_or_else(|| Ok(Vec::new()), |public| nv_name(&public))
            }
            0x80 | 0x81 => {
                let read = self.backend.query("read a public area", cc::READ_PUBLIC, &[handle], &[], |reader| {
                    reader.sized()?;
                    reader.sized().map(<[u8]>::to_vec)
                });
                match read {
                    Err(EmulatorError::Tpm { .. }) => Ok(Vec::new()),
                    read => Ok(read?),
                }
            }
            _ => Ok(handle.to_be_bytes().to_vec()),
        }
    }

    fn names(&mut self, handles: &[u32], view: View) -> Result<Vec<Vec<u8>>, Stop> {
        handles.iter().map(|handle| self.name(*handle, view)).collect()
    }

    /// Gives swtpm a command in the client's sessions: the client's handles, nonces and attributes, another code and
    /// other (plain) parameters, new HMACs. Gives the body of the response; a refusal of swtpm is the client's answer.
    /// With `keep`, sessions go on whatever the client wants, for another command to follow.
    pub(crate) fn native(
        &mut self,
        authorized: &mut Authorized<'_>,
        code: u32,
        parameters: &[u8],
        keep: bool,
    ) -> Result<Vec<u8>, Stop> {
        let command = authorized.command;
        let parameters = match authorized.with(session_attribute::DECRYPT) {
            Some((authorization, session)) => {
                let nonces = (authorization.nonce.as_slice(), session.nonce_tpm.as_slice());
                session.hide(Direction::Encrypt, nonces, parameters)?
            }
            None => parameters.to_vec(),
        };
        self.signed(authorized, code, &command.handles.clone(), &parameters, keep)
    }

    /// Gives swtpm the client's own command with HMACs of swtpm's view, and gives its response as it is: where code and
    /// parameters are the client's, the response is right for the client too.
    pub(crate) fn resigned(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Stop> {
        let mut authorized = self.authorize(command, None)?;
        self.signed(&mut authorized, command.code, &command.handles, command.parameters, false)?;
        Ok(std::mem::take(&mut self.last_response))
    }

    fn signed(
        &mut self,
        authorized: &mut Authorized<'_>,
        code: u32,
        handles: &[u32],
        parameters: &[u8],
        keep: bool,
    ) -> Result<Vec<u8>, Stop> {
        let names = self.names(handles, View::Native)?;
        let mut authorizations = authorized.command.authorizations.clone();
        if keep {
            for authorization in &mut authorizations {
                authorization.attributes |= session_attribute::CONTINUE;
            }
        }
        for position in 0..authorizations.len() {
            let extra = extra_nonces(position, &authorizations, |at| {
                authorized.keyed.get(at).and_then(|session| session.as_ref().map(|session| session.nonce_tpm.clone()))
            });
            let session = authorized.keyed.get(position).and_then(Option::as_ref);
            let (Some(authorization), Some(session)) = (authorizations.get_mut(position), session) else { continue };
            let Some(key) = &session.hmac_key else { continue };
            let cp_hash = cp_hash(session.hash, code, &names, parameters);
            let attributes = [authorization.attributes];
            let mut pieces = vec![cp_hash.as_bytes(), &authorization.nonce, &session.nonce_tpm];
            pieces.extend(extra.iter().map(Vec::as_slice));
            pieces.push(&attributes);
            authorization.hmac = hmac(session.hash, key, &pieces);
            if session.wrong
                && let Some(byte) = authorization.hmac.first_mut()
            {
                *byte ^= 1;
            }
        }
        let command = wire::command(code, handles, &authorizations, parameters)?;
        if !matches!(code, cc::NV_READ | cc::NV_READ_PUBLIC) {
            // It may define, undefine or lock an index, or make it written.
            self.publics.clear();
        }
        let mut answer = self.backend.transact(&command)?;
        // The first use of an authorization value after a start is often answered "retry". The vendor command's client
        // does not.
        for _ in 0..3 {
            if Response::parse(&answer)?.code != rc::RETRY {
                break;
            }
            answer = self.backend.transact(&command)?;
        }
        let response = Response::parse(&answer)?;
        if response.code != rc::SUCCESS {
            return Err(Stop::Answer(answer));
        }
        let parts = response.parts(false, &authorizations)?;
        self.sessions.roll(&parts.authorizations);
        for (session, rolled) in authorized.keyed.iter_mut().zip(&parts.authorizations) {
            if let Some(session) = session {
                session.nonce_tpm.clone_from(&rolled.nonce);
            }
        }
        let body = parts.parameters.to_vec();
        self.last_response = answer;
        Ok(body)
    }
}

impl Authorized<'_> {
    /// The session with this attribute, where it is not a password.
    fn with(&self, attribute: u8) -> Option<(&Authorization, &Keyed)> {
        self.command.authorizations.iter().zip(&self.keyed).find_map(|(authorization, session)| {
            Some((authorization, session.as_ref()?)).filter(|(a, _)| a.has(attribute))
        })
    }

    /// The command's parameters with the first one in the clear.
    pub(crate) fn parameters(&self) -> Result<Vec<u8>, Stop> {
        match self.with(session_attribute::DECRYPT) {
            // The nonce of before this command: nothing was sent yet.
            Some((authorization, session)) => {
                session.hide(Direction::Decrypt, (&authorization.nonce, &session.nonce_tpm), self.command.parameters)
            }
            None => Ok(self.command.parameters.to_vec()),
        }
    }

    /// The response for the client: the first parameter encrypted where asked for, HMACs with swtpm's new nonces.
    pub(crate) fn answer(&self, parameters: &[u8]) -> Result<Vec<u8>, Stop> {
        let parameters = match self.with(session_attribute::ENCRYPT) {
            Some((authorization, session)) => {
                session.hide(Direction::Encrypt, (&session.nonce_tpm, &authorization.nonce), parameters)?
            }
            None => parameters.to_vec(),
        };
        let (success, code) = (rc::SUCCESS.to_be_bytes(), self.command.code.to_be_bytes());
        let authorizations: Vec<_> = self
            .command
            .authorizations
            .iter()
            .zip(&self.keyed)
            .map(|(sent, session)| match session {
                None => Authorization {
                    session: sent.session,
                    nonce: Vec::new(),
                    attributes: sent.attributes | session_attribute::CONTINUE,
                    hmac: Vec::new(),
                },
                Some(session) => {
                    let rp_hash = hash(session.hash, &[success.as_slice(), code.as_slice(), &parameters]);
                    let pieces =
                        [rp_hash.as_bytes(), &session.nonce_tpm, &sent.nonce, std::slice::from_ref(&sent.attributes)];
                    Authorization {
                        session: sent.session,
                        nonce: session.nonce_tpm.clone(),
                        attributes: sent.attributes,
                        hmac: session.hmac_key.as_ref().map_or_else(Vec::new, |key| hmac(session.hash, key, &pieces)),
                    }
                }
            })
            .collect();
        Ok(wire::response(&parameters, &authorizations)?)
    }

    /// Whether a session is a policy.
    pub(crate) fn has_policy(&self, device: &Device) -> bool {
        self.command
            .authorizations
            .iter()
            .any(|sent| device.sessions.get(sent.session).is_some_and(|session| session.kind == Kind::Policy))
    }
}

impl Keyed {
    /// Encrypts or decrypts the contents of the first parameter, a TPM2B.
    fn hide(&self, direction: Direction, nonces: (&[u8], &[u8]), parameters: &[u8]) -> Result<Vec<u8>, Stop> {
        let mut reader = Reader::new(parameters);
        let first = reader.sized()?;
        let first = self.symmetric.apply(direction, self.hash, &self.value, nonces, first);
        // swtpm refuses such a session where it has no algorithm; one that only the emulator lacks fails.
        let mut out = wire::sized(&first.ok_or(Stop::Code(rc::FAILURE))?)?;
        out.put(reader.rest());
        Ok(out)
    }
}

fn cp_hash(algorithm: HashAlgorithm, code: u32, names: &[Vec<u8>], parameters: &[u8]) -> nitrotpm_digest_lanes::Digest {
    let code = code.to_be_bytes();
    let mut pieces: Vec<&[u8]> = vec![&code];
    pieces.extend(names.iter().map(Vec::as_slice));
    pieces.push(parameters);
    hash(algorithm, &pieces)
}

/// The nonces of other sessions that decrypt or encrypt, which the HMAC of the first session covers (Part 1, 19.6.5).
fn extra_nonces(
    position: usize,
    authorizations: &[Authorization],
    nonce: impl Fn(usize) -> Option<Vec<u8>>,
) -> Vec<Vec<u8>> {
    if position != 0 {
        return Vec::new();
    }
    let with = |attribute| authorizations.iter().position(|authorization| authorization.has(attribute));
    let decrypt = with(session_attribute::DECRYPT).filter(|at| *at != 0);
    let encrypt = with(session_attribute::ENCRYPT).filter(|at| *at != 0 && Some(*at) != decrypt);
    [decrypt, encrypt].into_iter().flatten().filter_map(nonce).collect()
}

/// The Name of an NV index: its name algorithm and the digest of its public area (Part 1, 16).
pub(crate) fn nv_name(public: &NvPublic) -> Result<Vec<u8>, Stop> {
    let algorithm = HashAlgorithm::from_tpm_id(public.name_algorithm).ok_or(Malformed)?;
    let mut name = public.name_algorithm.to_be_bytes().to_vec();
    name.put(hash(algorithm, &[&public.encode()?]).as_bytes());
    Ok(name)
}

/// The public area of an index' placeholder.
pub(crate) fn placeholder(public: &NvPublic) -> NvPublic {
    NvPublic { size: PLACEHOLDER, ..public.clone() }
}
