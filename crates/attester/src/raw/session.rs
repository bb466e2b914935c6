//! HMAC sessions, salted and with encrypted parameters where there is a key to salt with (TPM 2.0 Library Part 1, sections
//! 19.6 and 21).

use aes::Aes128;
use aes::cipher::KeyIvInit;
use nitrotpm_credential::{EndorsementKey, SharedSecret, kdfa};
use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use nitrotpm_tpm_wire::{Public, Reader, Structure, Writer};
use ring::hmac;
use ring::rand::SecureRandom;
use zeroize::Zeroizing;

use super::{Authorization, Command, Encrypted, RawTpm};
use crate::AttesterError;
use crate::key_file::parent_template;

/// `TPM_RH_NULL`, as a handle and as a hierarchy.
const NULL: u32 = 0x4000_0007;
/// `TPMA_SESSION`: `continueSession`, `decrypt` (the command's first parameter is encrypted), `encrypt` (the response's).
const CONTINUE: u8 = 0x01;
const DECRYPT: u8 = 0x20;
const ENCRYPT: u8 = 0x40;
/// `TPM_ALG_NULL`, `TPM_ALG_AES`, `TPM_ALG_CFB`
const NO_CIPHER: u16 = 0x0010;
const AES: u16 = 0x0006;
const CFB: u16 = 0x0043;
/// The length of nonces, HMACs and session keys: SHA-512, as AWS's client has it.
const LENGTH: usize = 64;
const HASH: HashAlgorithm = HashAlgorithm::Sha512;

/// A decryption key in the TPM to which the salts of sessions are encrypted: a P-256 key of the null hierarchy, made for
/// one run. That hierarchy has no password, and the key is made in a few milliseconds.
///
/// Nothing vouches for it. It keeps secrets from who listens on the way to the TPM, not from who stands in it; that is also
/// all that an endorsement key read over the same way would do.
#[derive(Debug)]
pub(crate) struct SaltKey {
    handle: u32,
    key: EndorsementKey,
}

impl SaltKey {
    /// `TPM2_CreatePrimary`.
    pub(crate) fn create(tpm: &mut RawTpm) -> Result<Self, AttesterError> {
        let mut parameters = Writer::new("TPM2_CreatePrimary");
        parameters.sized(&[0; 4]); // neither password nor data
        parameters.sized(&parent_template().to_bytes()?);
        parameters.sized(&[]);
        parameters.u32(0);
        let command = Command {
            name: "TPM2_CreatePrimary",
            code: 0x0000_0131,
            handles: &[(NULL, &[])],
            parameters: &parameters.finish()?,
        };
        let response = tpm.run(&command, Authorization::Password(b""), true)?;
        let mut reader = Reader::new(&response, "TPM2_CreatePrimary response");
        let handle = reader.u32()?;
        let public = Public::parse(reader.sized(usize::from(u16::MAX))?)?;
        // What follows tells how the key was made.
        Ok(Self { handle, key: EndorsementKey::from_public(public)? })
    }

    /// The key's handle, to unload it.
    pub(crate) const fn handle(&self) -> u32 {
        self.handle
    }
}

/// What a session's parameters are encrypted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cipher {
    /// AES-128 in CFB mode.
    Aes,
    /// Nothing.
    None,
}

/// An HMAC session by SHA-512. Every command has a nonce of its own, so that no earlier response fits a later command.
pub(crate) struct HmacSession<'r> {
    handle: u32,
    /// Empty for a session without a salt: its HMACs are then keyed with passwords alone.
    key: Zeroizing<Vec<u8>>,
    cipher: Cipher,
    nonce_caller: [u8; LENGTH],
    nonce_tpm: Vec<u8>,
    random: &'r dyn SecureRandom,
}

impl<'r> HmacSession<'r> {
    /// Starts a session, with a salt for the key if there is one.
    pub(crate) fn start(
        tpm: &mut RawTpm,
        salt_key: Option<&SaltKey>,
        cipher: Cipher,
        random: &'r dyn SecureRandom,
    ) -> Result<Self, AttesterError> {
        let nonce_caller = fresh(random)?;
        let salt = salt_key
            .map(|key| SharedSecret::new(key.key.public_key(), key.key.name_hash(), "SECRET", random))
            .transpose()?;
        let mut parameters = Writer::new("TPM2_StartAuthSession");
        parameters.sized(&nonce_caller);
        parameters.sized(salt.as_ref().map(|salt| salt.encrypted.as_slice()).unwrap_or_default());
        parameters.u8(0);
        match cipher {
            Cipher::Aes => [AES, 128, CFB].into_iter().for_each(|field| parameters.u16(field)),
            Cipher::None => parameters.u16(NO_CIPHER),
        }
        parameters.u16(HASH.tpm_id());
        let command = Command {
            name: "TPM2_StartAuthSession",
            code: 0x0000_0176,
            handles: &[(salt_key.map_or(NULL, SaltKey::handle), &[]), (NULL, &[])],
            parameters: &parameters.finish()?,
        };
        let response = tpm.run(&command, Authorization::None, true)?;
        let mut reader = Reader::new(&response, "TPM2_StartAuthSession response");
        let handle = reader.u32()?;
        let nonce_tpm = reader.sized(LENGTH)?.to_vec();
        reader.finish()?;
        let key = match &salt {
            Some(salt) => kdfa(HASH, &salt.secret, "ATH", &nonce_tpm, &nonce_caller, HASH_LENGTH)?,
            None => Zeroizing::default(),
        };
        Ok(Self { handle, key, cipher, nonce_caller, nonce_tpm, random })
    }

    /// The session's handle, to end it.
    pub(crate) const fn handle(&self) -> u32 {
        self.handle
    }

    /// Encrypts the command's first parameter if asked to, and writes the session's part of the command.
    pub(super) fn authorize(
        &mut self,
        command: &Command<'_>,
        password: &[u8],
        encrypted: Encrypted,
        parameters: &mut [u8],
        area: &mut Writer,
    ) -> Result<(), AttesterError> {
        self.nonce_caller = fresh(self.random)?;
        let key = self.with(password);
        if self.cipher == Cipher::Aes && encrypted == Encrypted::Command {
            let stream = self.stream(&key, &self.nonce_caller, &self.nonce_tpm)?;
            cfb_mode::Encryptor::<Aes128>::new_from_slices(&stream.0, &stream.1)
                .map_err(|_| CIPHER)?
                .encrypt(first_parameter(command, parameters)?);
        }
        let attributes = self.attributes(encrypted);
        let names: Vec<_> = command.handles.iter().flat_map(|(_, name)| name.iter().copied()).collect();
        let cp_hash = hash(HASH, &[&command.code.to_be_bytes(), &names, parameters]);
        let key = hmac::Key::new(hmac::HMAC_SHA512, &key);
        let message = [cp_hash.as_bytes(), &self.nonce_caller, &self.nonce_tpm, &[attributes]].concat();
        area.u32(self.handle);
        area.sized(&self.nonce_caller);
        area.u8(attributes);
        area.sized(hmac::sign(&key, &message).as_ref());
        Ok(())
    }

    /// Checks the session's part of a response, takes its nonce for the next command, and decrypts the first parameter.
    pub(super) fn check(
        &mut self,
        command: &Command<'_>,
        password: &[u8],
        encrypted: Encrypted,
        parameters: &mut [u8],
        found: &ResponseArea<'_>,
    ) -> Result<(), AttesterError> {
        let rp_hash = hash(HASH, &[&[0; 4], &command.code.to_be_bytes(), parameters]);
        let key = self.with(password);
        let message = [rp_hash.as_bytes(), found.nonce, &self.nonce_caller, &[found.attributes]].concat();
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA512, &key), &message, found.hmac)
            .map_err(|_| AttesterError::Answer { command: command.name, detail: "its HMAC is wrong" })?;
        if found.attributes & !CONTINUE != self.attributes(encrypted) & !CONTINUE {
            return Err(AttesterError::Answer { command: command.name, detail: "it is not encrypted as was asked" });
        }
        self.nonce_tpm = found.nonce.to_vec();
        if self.cipher == Cipher::Aes && encrypted == Encrypted::Response {
            let stream = self.stream(&key, &self.nonce_tpm, &self.nonce_caller)?;
            cfb_mode::Decryptor::<Aes128>::new_from_slices(&stream.0, &stream.1)
                .map_err(|_| CIPHER)?
                .decrypt(first_parameter(command, parameters)?);
        }
        Ok(())
    }

    fn attributes(&self, encrypted: Encrypted) -> u8 {
        match (self.cipher, encrypted) {
            (Cipher::Aes, Encrypted::Command) => CONTINUE | DECRYPT,
            (Cipher::Aes, Encrypted::Response) => CONTINUE | ENCRYPT,
            _ => CONTINUE,
        }
    }

    /// The session's key and a password, of which a TPM leaves out zeros at the end.
    fn with(&self, password: &[u8]) -> Zeroizing<Vec<u8>> {
        let zeros = password.iter().rev().take_while(|byte| **byte == 0).count();
        let (password, _) = password.split_at_checked(password.len().saturating_sub(zeros)).unwrap_or_default();
        Zeroizing::new([&self.key, password].concat())
    }

    /// Key and initialization vector of one parameter.
    fn stream(&self, key: &[u8], newer: &[u8], older: &[u8]) -> Result<Stream, AttesterError> {
        let bytes = kdfa(HASH, key, "CFB", newer, older, 32)?;
        let (key, vector) = bytes.split_at_checked(16).unwrap_or_default();
        Ok((Zeroizing::new(key.to_vec()), vector.to_vec()))
    }
}

type Stream = (Zeroizing<Vec<u8>>, Vec<u8>);

const HASH_LENGTH: u16 = 64;
const CIPHER: AttesterError =
    AttesterError::Answer { command: "AES-128", detail: "the session's key has another length than its cipher" };

/// What a response says of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseArea<'a> {
    pub(super) nonce: &'a [u8],
    pub(super) attributes: u8,
    pub(super) hmac: &'a [u8],
}

/// The content of the first parameter, without its size.
fn first_parameter<'p>(command: &Command<'_>, parameters: &'p mut [u8]) -> Result<&'p mut [u8], AttesterError> {
    let length = parameters.first_chunk().map(|size| usize::from(u16::from_be_bytes(*size)));
    length
        .and_then(|length| parameters.get_mut(2..length.checked_add(2)?))
        .ok_or(AttesterError::Answer { command: command.name, detail: "its first parameter is shorter than it states" })
}

fn fresh(random: &dyn SecureRandom) -> Result<[u8; LENGTH], AttesterError> {
    let mut nonce = [0; LENGTH];
    random.fill(&mut nonce).map_err(|_| AttesterError::Random)?;
    Ok(nonce)
}

impl std::fmt::Debug for HmacSession<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HmacSession({:#x}, {:?})", self.handle, self.cipher)
    }
}
