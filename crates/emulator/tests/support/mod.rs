//! A client of its own: TPM commands made of bytes, sessions, HMACs both ways. It shares no code with the emulator.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a helper of tests fails as a test does, and each test uses a part of it"
)]

use aes::Aes128;
use cfb_mode::cipher::KeyIvInit;
use hmac::{Hmac, KeyInit, Mac};
use nitrotpm_emulator::NitroTpm;
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256, Sha384, Sha512};

pub(crate) const OWNER: u32 = 0x4000_0001;
pub(crate) const NULL: u32 = 0x4000_0007;
pub(crate) const PASSWORD: u32 = 0x4000_0009;
pub(crate) const LOCKOUT: u32 = 0x4000_000a;
pub(crate) const ENDORSEMENT: u32 = 0x4000_000b;

pub(crate) const CONTINUE: u8 = 0x01;
pub(crate) const DECRYPT: u8 = 0x20;
pub(crate) const ENCRYPT: u8 = 0x40;
pub(crate) const AUDIT: u8 = 0x80;

pub(crate) const NSM: u32 = 0x2000_0001;
pub(crate) const AUTHREAD_AUTHWRITE: u32 = 0x0004_0004;

pub(crate) fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    const fn id(self) -> u16 {
        match self {
            Self::Sha256 => 0x000b,
            Self::Sha512 => 0x000d,
        }
    }
    const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
    fn hmac(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
                mac.update(bytes);
                mac.finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let mut mac = Hmac::<Sha512>::new_from_slice(key).unwrap();
                mac.update(bytes);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }
    fn kdfa(self, key: &[u8], label: &str, u: &[u8], v: &[u8], bits: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let mut counter = 1u32;
        while out.len() * 8 < bits as usize {
            let mut message = counter.to_be_bytes().to_vec();
            message.extend(label.as_bytes());
            message.push(0);
            message.extend(u);
            message.extend(v);
            message.extend(bits.to_be_bytes());
            out.extend(self.hmac(key, &message));
            counter += 1;
        }
        out.truncate(bits as usize / 8);
        out
    }
}

/// How a session hides parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hide {
    Nothing,
    Aes128,
    Xor,
}

#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) handle: u32,
    pub(crate) hash: Hash,
    pub(crate) hide: Hide,
    pub(crate) key: Vec<u8>,
    pub(crate) nonce: Vec<u8>,
    /// The session is bound to what it is used for: the authorization value is not in the HMAC's key.
    pub(crate) bound: bool,
    pub(crate) policy: bool,
}

/// One use of a session in a command.
pub(crate) struct Use<'a> {
    pub(crate) session: Option<&'a mut Session>,
    /// The authorization value, where the session authorizes a handle.
    pub(crate) auth: Option<Vec<u8>>,
    pub(crate) attributes: u8,
    pub(crate) flip: bool,
    /// Sends no HMAC at all.
    pub(crate) empty: bool,
}

pub(crate) fn password(value: &[u8]) -> Use<'static> {
    Use { session: None, auth: Some(value.to_vec()), attributes: 0, flip: false, empty: false }
}

pub(crate) fn with<'a>(session: &'a mut Session, auth: &[u8], attributes: u8) -> Use<'a> {
    Use { session: Some(session), auth: Some(auth.to_vec()), attributes, flip: false, empty: false }
}

pub(crate) fn beside(session: &mut Session, attributes: u8) -> Use<'_> {
    Use { session: Some(session), auth: None, attributes, flip: false, empty: false }
}

pub(crate) fn sized(bytes: &[u8]) -> Vec<u8> {
    let mut out = (bytes.len() as u16).to_be_bytes().to_vec();
    out.extend(bytes);
    out
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap())
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub(crate) fn message(tag: u16, code: u32, body: &[u8]) -> Vec<u8> {
    let mut out = tag.to_be_bytes().to_vec();
    out.extend((10 + body.len() as u32).to_be_bytes());
    out.extend(code.to_be_bytes());
    out.extend(body);
    out
}

/// Where commands are executed.
pub(crate) trait Executes {
    fn execute(&self, command: &[u8]) -> Vec<u8>;
}

impl Executes for NitroTpm {
    fn execute(&self, command: &[u8]) -> Vec<u8> {
        Self::execute(self, command)
    }
}

/// A connection of one client.
pub(crate) struct Connected<S>(std::cell::RefCell<S>);

impl<S: std::io::Read + std::io::Write> Connected<S> {
    pub(crate) const fn to(stream: S) -> Self {
        Self(std::cell::RefCell::new(stream))
    }
}

impl<S: std::io::Read + std::io::Write> Executes for Connected<S> {
    fn execute(&self, command: &[u8]) -> Vec<u8> {
        let mut stream = self.0.borrow_mut();
        stream.write_all(command).unwrap();
        let mut answer = vec![0; 10];
        stream.read_exact(&mut answer).unwrap();
        let mut rest = vec![0; u32_at(&answer, 2) as usize - 10];
        stream.read_exact(&mut rest).unwrap();
        answer.extend(rest);
        answer
    }
}

/// The client.
pub(crate) struct Client<'t> {
    pub(crate) tpm: &'t dyn Executes,
}

impl Client<'_> {
    /// Executes a command and checks the response: its HMACs, its encryption. Gives the parameters, or the response code.
    pub(crate) fn call(
        &self,
        code: u32,
        handles: &[u32],
        names: &[Vec<u8>],
        mut uses: Vec<Use<'_>>,
        parameters: &[u8],
    ) -> Result<Vec<u8>, u32> {
        let mut body: Vec<u8> = handles.iter().flat_map(|handle| handle.to_be_bytes()).collect();
        if uses.is_empty() {
            body.extend(parameters);
            let response = self.tpm.execute(&message(0x8001, code, &body));
            return match u32_at(&response, 6) {
                0 => Ok(response[10..].to_vec()),
                code => Err(code),
            };
        }
        let nonces: Vec<Vec<u8>> = uses
            .iter()
            .map(|sent| sent.session.as_ref().map_or_else(Vec::new, |session| random(session.hash.len())))
            .collect();
        let mut parameters = parameters.to_vec();
        for (sent, nonce) in uses.iter().zip(&nonces) {
            if let Some(session) = &sent.session
                && sent.attributes & DECRYPT != 0
            {
                parameters = hide(session, sent.auth.as_deref(), (nonce, &session.nonce), &parameters, true);
            }
        }
        let other = |attribute: u8| {
            let at = uses.iter().position(|sent| sent.attributes & attribute != 0).filter(|at| *at > 0)?;
            Some((at, uses[at].session.as_ref()?.nonce.clone()))
        };
        let (decrypt, encrypt) = (other(DECRYPT), other(ENCRYPT));
        let mut extra = Vec::new();
        extra.extend(decrypt.iter().flat_map(|(_, nonce)| nonce.clone()));
        if encrypt.as_ref().map(|(at, _)| at) != decrypt.as_ref().map(|(at, _)| at) {
            extra.extend(encrypt.iter().flat_map(|(_, nonce)| nonce.clone()));
        }
        let mut area = Vec::new();
        for (at, (sent, nonce)) in uses.iter().zip(&nonces).enumerate() {
            match &sent.session {
                None => {
                    area.extend(PASSWORD.to_be_bytes());
                    area.extend([0, 0, 0]);
                    area.extend(sized(sent.auth.as_ref().unwrap()));
                }
                Some(session) => {
                    let mut hashed = code.to_be_bytes().to_vec();
                    hashed.extend(names.concat());
                    hashed.extend(&parameters);
                    let mut signed = session.hash.digest(&hashed);
                    signed.extend(nonce);
                    signed.extend(&session.nonce);
                    if at == 0 {
                        signed.extend(&extra);
                    }
                    signed.push(sent.attributes);
                    let mut mac = session.hash.hmac(&hmac_key(session, sent.auth.as_deref()), &signed);
                    if sent.flip {
                        mac[0] ^= 1;
                    }
                    if sent.empty || (session.policy && session.key.is_empty()) {
                        mac.clear();
                    }
                    area.extend(session.handle.to_be_bytes());
                    area.extend(sized(nonce));
                    area.push(sent.attributes);
                    area.extend(sized(&mac));
                }
            }
        }
        body.extend((area.len() as u32).to_be_bytes());
        body.extend(area);
        body.extend(&parameters);
        let command = message(0x8002, code, &body);
        let mut response = self.tpm.execute(&command);
        // As ESYS does; AWS's vendor command is sent once.
        if u32_at(&response, 6) == 0x922 && code != NSM {
            response = self.tpm.execute(&command);
        }
        if u32_at(&response, 6) != 0 {
            assert_eq!(response.len(), 10);
            return Err(u32_at(&response, 6));
        }
        assert_eq!(u16_at(&response, 0), 0x8002);
        assert_eq!(u32_at(&response, 2) as usize, response.len());
        let length = u32_at(&response, 10) as usize;
        let mut out = response[14..14 + length].to_vec();
        let mut rest = &response[14 + length..];
        let hashed = [&[0; 4][..], &code.to_be_bytes(), &out].concat();
        for (sent, nonce) in uses.iter_mut().zip(&nonces) {
            let nonce_length = u16_at(rest, 0) as usize;
            let new_nonce = rest[2..2 + nonce_length].to_vec();
            let attributes = rest[2 + nonce_length];
            let mac_length = u16_at(rest, 3 + nonce_length) as usize;
            let mac = rest[5 + nonce_length..5 + nonce_length + mac_length].to_vec();
            rest = &rest[5 + nonce_length + mac_length..];
            let Some(session) = &mut sent.session else {
                assert_eq!((nonce_length, attributes, mac_length), (0, 1, 0));
                continue;
            };
            assert_eq!(attributes, sent.attributes);
            let mut signed = session.hash.digest(&hashed);
            signed.extend(&new_nonce);
            signed.extend(nonce);
            signed.push(attributes);
            let mut expected = session.hash.hmac(&hmac_key(session, sent.auth.as_deref()), &signed);
            let keyless = hmac_key(session, sent.auth.as_deref()).is_empty();
            if (sent.empty && keyless) || (session.policy && session.key.is_empty()) {
                expected.clear();
            }
            assert_eq!(mac, expected, "the response's HMAC");
            session.nonce = new_nonce;
            if sent.attributes & ENCRYPT != 0 {
                out = hide(session, sent.auth.as_deref(), (&session.nonce, nonce), &out, false);
            }
        }
        assert!(rest.is_empty());
        Ok(out)
    }

    /// Starts a session: neither salted nor bound, or salted under a loaded P-256 storage key, or bound.
    pub(crate) fn session(
        &self,
        hash: Hash,
        hide: Hide,
        salt: Option<&StorageKey>,
        bind: Option<(u32, &[u8])>,
    ) -> Session {
        self.session_of_type(0, hash, hide, salt, bind)
    }

    pub(crate) fn session_of_type(
        &self,
        kind: u8,
        hash: Hash,
        hide: Hide,
        salt: Option<&StorageKey>,
        bind: Option<(u32, &[u8])>,
    ) -> Session {
        let nonce_caller = random(hash.len());
        let (encrypted_salt, salt_value) = salt.map_or_else(Default::default, StorageKey::salt);
        let mut parameters = sized(&nonce_caller);
        parameters.extend(sized(&encrypted_salt));
        parameters.push(kind);
        match hide {
            Hide::Nothing => parameters.extend([0x00, 0x10]),
            Hide::Aes128 => parameters.extend([0x00, 0x06, 0x00, 0x80, 0x00, 0x43]),
            Hide::Xor => parameters.extend([0x00, 0x0a, 0x00, 0x0b]),
        }
        parameters.extend(hash.id().to_be_bytes());
        let handles = [salt.map_or(NULL, |key| key.handle), bind.map_or(NULL, |(handle, _)| handle)];
        let response = loop {
            match self.call(0x176, &handles, &[], vec![], &parameters) {
                // A TPM has room for three sessions, and the others are other clients'.
                Err(0x903) => std::thread::sleep(std::time::Duration::from_millis(2)),
                answer => break answer.unwrap(),
            }
        };
        let nonce = response[6..].to_vec();
        assert_eq!(u16_at(&response, 4) as usize, nonce.len());
        let mut secret = bind.map_or_else(Vec::new, |(_, auth)| auth.to_vec());
        secret.extend(salt_value);
        let key = if salt.is_none() && bind.is_none() {
            Vec::new()
        } else {
            hash.kdfa(&secret, "ATH", &nonce, &nonce_caller, hash.len() as u32 * 8)
        };
        let bound = bind.is_some();
        Session { handle: u32_at(&response, 0), hash, hide, key, nonce, bound, policy: kind != 0 }
    }

    pub(crate) fn flush(&self, handle: u32) {
        self.call(0x165, &[], &[], vec![], &handle.to_be_bytes()).unwrap();
    }

    /// A storage key on P-256 in the owner hierarchy, loaded.
    pub(crate) fn storage_key(&self) -> StorageKey {
        let mut template = vec![0, 0x23, 0, 0x0b, 0x00, 0x03, 0x04, 0x72, 0, 0];
        template.extend([0, 0x06, 0, 0x80, 0, 0x43, 0, 0x10, 0, 0x03, 0, 0x10, 0, 0, 0, 0]);
        let mut parameters = sized(&[0, 0, 0, 0]);
        parameters.extend(sized(&template));
        parameters.extend([0, 0, 0, 0, 0, 0]);
        let mut body = OWNER.to_be_bytes().to_vec();
        body.extend([0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0]);
        body.extend(parameters);
        let response = self.tpm.execute(&message(0x8002, 0x131, &body));
        assert_eq!(u32_at(&response, 6), 0, "CreatePrimary");
        let public = &response[20..20 + u16_at(&response, 18) as usize];
        // x and y are the last two TPM2Bs, 32 bytes each.
        let point = &public[public.len() - 68..];
        let mut sec1 = vec![4];
        sec1.extend(&point[2..34]);
        sec1.extend(&point[36..68]);
        StorageKey { handle: u32_at(&response, 10), sec1 }
    }

    /// Defines an index in the owner hierarchy.
    pub(crate) fn define(&self, index: u32, size: u16, attributes: u32, auth: &[u8]) -> Result<(), u32> {
        let mut parameters = sized(auth);
        parameters.extend(sized(&public(index, size, attributes)));
        self.call(0x12a, &[OWNER], &[], vec![password(b"")], &parameters).map(|_| ())
    }

    pub(crate) fn undefine(&self, index: u32) -> Result<(), u32> {
        self.call(0x122, &[OWNER, index], &[], vec![password(b"")], &[]).map(|_| ())
    }

    /// Writes by password, in pieces.
    pub(crate) fn write(&self, index: u32, auth: &[u8], data: &[u8]) -> Result<(), u32> {
        for (number, piece) in data.chunks(1024).enumerate() {
            let mut parameters = sized(piece);
            parameters.extend((number as u16 * 1024).to_be_bytes());
            self.call(0x137, &[index, index], &[], vec![password(auth)], &parameters)?;
        }
        Ok(())
    }

    /// Reads by password, in pieces.
    pub(crate) fn read(&self, index: u32, auth: &[u8], size: usize) -> Result<Vec<u8>, u32> {
        let mut data = Vec::new();
        while data.len() < size {
            let length = (size - data.len()).min(1024) as u16;
            let mut parameters = length.to_be_bytes().to_vec();
            parameters.extend((data.len() as u16).to_be_bytes());
            data.extend(&self.call(0x14e, &[index, index], &[], vec![password(auth)], &parameters)?[2..]);
        }
        Ok(data)
    }

    /// Public area and Name of an index.
    pub(crate) fn public(&self, index: u32) -> Result<(Vec<u8>, Vec<u8>), u32> {
        let response = self.call(0x169, &[index], &[], vec![], &[])?;
        let length = u16_at(&response, 0) as usize;
        Ok((response[2..2 + length].to_vec(), response[4 + length..].to_vec()))
    }

    pub(crate) fn name(&self, index: u32) -> Vec<u8> {
        self.public(index).unwrap().1
    }

    /// The vendor command in a session.
    pub(crate) fn nsm(&self, index: u32, session: &mut Session, auth: &[u8]) -> Result<(), u32> {
        let name = self.name(index);
        self.call(NSM, &[index, index], &[name.clone(), name], vec![with(session, auth, CONTINUE)], &[]).map(|_| ())
    }

    pub(crate) fn reset_lockout(&self) {
        self.call(0x139, &[LOCKOUT], &[], vec![password(b"")], &[]).unwrap();
    }
}

/// `TPMS_NV_PUBLIC` with the name algorithm of AWS's client.
pub(crate) fn public(index: u32, size: u16, attributes: u32) -> Vec<u8> {
    let mut out = index.to_be_bytes().to_vec();
    out.extend([0, 0x0d]);
    out.extend(attributes.to_be_bytes());
    out.extend([0, 0]);
    out.extend(size.to_be_bytes());
    out
}

fn hmac_key(session: &Session, auth: Option<&[u8]>) -> Vec<u8> {
    let mut key = session.key.clone();
    if !session.bound && !session.policy {
        key.extend(auth.unwrap_or_default());
    }
    key
}

fn hide(session: &Session, auth: Option<&[u8]>, nonces: (&[u8], &[u8]), parameters: &[u8], encrypt: bool) -> Vec<u8> {
    let length = u16_at(parameters, 0) as usize;
    let (first, rest) = parameters[2..].split_at(length);
    let mut value = session.key.clone();
    value.extend(auth.unwrap_or_default());
    let mut first = first.to_vec();
    match session.hide {
        Hide::Nothing => unreachable!("the session hides nothing"),
        Hide::Aes128 => {
            let material = session.hash.kdfa(&value, "CFB", nonces.0, nonces.1, 256);
            let (key, iv) = material.split_at(16);
            if encrypt {
                cfb_mode::Encryptor::<Aes128>::new_from_slices(key, iv).unwrap().encrypt(&mut first);
            } else {
                cfb_mode::Decryptor::<Aes128>::new_from_slices(key, iv).unwrap().decrypt(&mut first);
            }
        }
        Hide::Xor => {
            let mask = session.hash.kdfa(&value, "XOR", nonces.0, nonces.1, length as u32 * 8);
            first.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        }
    }
    [&sized(&first), rest].concat()
}

pub(crate) struct StorageKey {
    pub(crate) handle: u32,
    sec1: Vec<u8>,
}

impl StorageKey {
    /// An encrypted salt and the salt: one-pass ECDH and KDFe.
    fn salt(&self) -> (Vec<u8>, Vec<u8>) {
        let ephemeral = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).unwrap();
        let ours = ephemeral.compute_public_key().unwrap().as_ref().to_vec();
        let salt = agree_ephemeral(ephemeral, &UnparsedPublicKey::new(&ECDH_P256, &self.sec1), |z| {
            let mut hashed = vec![0, 0, 0, 1];
            hashed.extend(z);
            hashed.extend(b"SECRET\0");
            hashed.extend(&ours[1..33]);
            hashed.extend(&self.sec1[1..33]);
            Sha256::digest(&hashed).to_vec()
        })
        .unwrap();
        ([sized(&ours[1..33]), sized(&ours[33..65])].concat(), salt)
    }
}

/// CBOR of an attestation request.
pub(crate) fn attestation(public_key: Option<&[u8]>, user_data: Option<&[u8]>, nonce: Option<&[u8]>) -> Vec<u8> {
    use nitrotpm_document_issuer::cbor;
    let optional = |field: Option<&[u8]>| field.map_or_else(cbor::null, cbor::bytes);
    cbor::map(&[(
        cbor::text("Attestation"),
        cbor::map(&[
            (cbor::text("user_data"), optional(user_data)),
            (cbor::text("nonce"), optional(nonce)),
            (cbor::text("public_key"), optional(public_key)),
        ]),
    )])
}

/// The document of an NSM response, or the name of its error.
pub(crate) fn response(contents: &[u8]) -> Result<Vec<u8>, String> {
    let mut decoder = minicbor::Decoder::new(contents);
    assert_eq!(decoder.map().unwrap(), Some(1));
    match decoder.str().unwrap() {
        "Error" => Err(decoder.str().unwrap().to_owned()),
        "Attestation" => {
            assert_eq!(decoder.map().unwrap(), Some(1));
            assert_eq!(decoder.str().unwrap(), "document");
            let document = decoder.bytes().unwrap().to_vec();
            assert!(contents[decoder.position()..].iter().all(|byte| *byte == 0xff), "0xFF follows");
            Ok(document)
        }
        other => Err(format!("variant {other}")),
    }
}

pub(crate) fn sha384(bytes: &[u8]) -> Vec<u8> {
    Sha384::digest(bytes).to_vec()
}

/// A command authorized by password, as bytes.
pub(crate) fn by_password(code: u32, handles: &[u32], auth: &[u8], parameters: &[u8]) -> Vec<u8> {
    let mut body: Vec<u8> = handles.iter().flat_map(|handle| handle.to_be_bytes()).collect();
    body.extend((9 + auth.len() as u32).to_be_bytes());
    body.extend(PASSWORD.to_be_bytes());
    body.extend([0, 0, 0]);
    body.extend(sized(auth));
    body.extend(parameters);
    message(0x8002, code, &body)
}

/// How many handles of a kind there are (0x01 indices, 0x02 sessions, 0x80 objects, 0x81 persistent ones).
pub(crate) fn handles(client: &Client<'_>, kind: u32) -> u32 {
    let parameters: Vec<u8> = [1, kind << 24, 254].iter().flat_map(|field| field.to_be_bytes()).collect();
    u32_at(&client.call(0x17a, &[], &[], vec![], &parameters).unwrap(), 5)
}

/// The processes that `parent` started.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        if after_name.split(' ').nth(1) == Some(parent.to_string().as_str()) {
            found.extend(entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
        }
    }
    found
}

/// `nitrotpm-emulator run`. Killed at the latest when dropped: it does not outlive a test that fails.
pub(crate) struct Program(pub(crate) std::process::Child);

impl Program {
    /// Starts it and gives what its ready line says.
    pub(crate) fn start(state: &std::path::Path, arguments: &[&std::ffi::OsStr]) -> (Self, serde_json::Value) {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_nitrotpm-emulator"));
        command.args(["run", "--state"]).arg(state).args(arguments);
        Self::spawn(command, state)
    }

    pub(crate) fn spawn(mut command: std::process::Command, state: &std::path::Path) -> (Self, serde_json::Value) {
        use std::io::{BufRead, BufReader};
        let mut program = Self(command.stdout(std::process::Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = std::fs::read_to_string(state.join("swtpm.log")).unwrap_or_default();
        assert!(!line.is_empty(), "the program did not start; swtpm says: {log}");
        (program, serde_json::from_str(&line).unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
