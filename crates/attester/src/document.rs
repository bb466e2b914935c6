//! Attestation documents: NitroTPM's vendor command.
//!
//! The request is written into an NV index made for it, the command turns it into the answer, and the index is removed
//! again, also after a failure or a signal. AWS's client does the same; this one makes no endorsement key, takes an index
//! nobody else takes, and checks that every answer is the TPM's and is the answer to what was asked.

use std::sync::atomic::{AtomicBool, Ordering};

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use nitrotpm_tpm_wire::{Reader, Writer};
use ring::rand::SecureRandom;
use zeroize::Zeroizing;

use crate::nsm::{DocumentRequest, NsmResponse, decode};
use crate::raw::{Authorization, Channel, Cipher, Command, Encrypted, HmacSession, RawTpm, SaltKey};
use crate::{AttesterError, Connection};

/// The owner's range of NV indices (TCG Registry of Reserved TPM 2.0 Handles, section 2.2): 0x01800000 to 0x01BFFFFF.
const OWNER_INDICES: u32 = 0x0180_0000;
const OWNER_INDICES_MASK: u32 = 0x003F_FFFF;
/// `TPM_RH_OWNER`, and its Name.
const OWNER: u32 = 0x4000_0001;
const OWNER_NAME: [u8; 4] = OWNER.to_be_bytes();
/// `TPMA_NV`: `AUTHREAD`, `AUTHWRITE`.
const ATTRIBUTES: u32 = 0x0004_0004;
/// `TPMA_NV`: `WRITTEN`, which becomes part of the index's Name.
const WRITTEN: u32 = 0x2000_0000;
/// What NitroTPM wants for a document.
const INDEX_SIZE: u16 = 8192;
/// `TPM_RC_NV_DEFINED`
const NV_DEFINED: u32 = 0x14C;
/// `TPM_RC_SIZE` of the second parameter: the index is larger than the TPM has any.
const INDEX_TOO_LARGE: u32 = 0x2D5;
/// `TPM_PT_NV_BUFFER_MAX`
const NV_BUFFER_MAX: u32 = 0x12C;

/// How a request and its document are protected on their way to the TPM and back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// Sessions whose keys are agreed with a key of the TPM: passwords do not leave this program, the request and the
    /// document are encrypted, and every answer is checked to be the TPM's.
    #[default]
    Salted,
    /// A session keyed with the index's own random password, which the TPM is sent in the clear, and so are the owner's
    /// password, the request and the document. Answers are checked to be those of who knows that password.
    Unsalted,
    /// Passwords, in the clear. Nothing shows that the answer is the TPM's.
    Password,
}

/// How to ask for documents.
#[derive(Clone, Copy, Debug)]
pub struct DocumentOptions<'a> {
    /// The owner hierarchy's password, empty if it has none: needed to make an index.
    pub owner_auth: &'a [u8],
    /// How the way to the TPM is protected; [`Protection::Salted`] unless the device refuses that.
    pub protection: Protection,
    /// Set from a signal handler: the index is removed and [`AttesterError::Interrupted`] returned.
    pub interrupted: &'a AtomicBool,
}

/// Asks NitroTPM for an attestation document (COSE, as it is signed). Nothing else may have the TPM open meanwhile, unless
/// it is the resource manager's.
///
/// # Errors
/// [`AttesterError::NoDocuments`] for a TPM that is no NitroTPM, [`AttesterError::Nsm`] with NitroTPM's own word,
/// [`AttesterError::FieldLength`], and what the TPM and the way to it say.
pub fn request_document(
    connection: &Connection,
    request: &DocumentRequest<'_>,
    options: &DocumentOptions<'_>,
    random: &dyn SecureRandom,
) -> Result<Vec<u8>, AttesterError> {
    let request = request.encode()?;
    let tpm = RawTpm::new(Channel::open(connection)?);
    let mut steps = Steps { tpm, options, random, index: None, salt_key: None, session: None };
    let result = steps.run(&request);
    let cleaned = steps.clean_up(result.is_err());
    match (result, cleaned) {
        // Interrupted says that nothing was left.
        (Ok(_) | Err(AttesterError::Interrupted), Err(left)) => Err(left),
        (result, _) => result,
    }
}

/// An NV index of ours.
struct Index {
    handle: u32,
    password: Zeroizing<[u8; 64]>,
    /// Whether it was written to, which changes its Name.
    written: bool,
}

impl Index {
    /// One of a random handle: two runs at once do not meet, and where they do, one takes another.
    fn random(random: &dyn SecureRandom) -> Result<Self, AttesterError> {
        let fill = |bytes: &mut [u8]| random.fill(bytes).map_err(|_| AttesterError::Random);
        let mut password = Zeroizing::new([0; 64]);
        fill(&mut *password)?;
        let mut offset = [0; 4];
        fill(&mut offset)?;
        let handle = OWNER_INDICES | (u32::from_be_bytes(offset) & OWNER_INDICES_MASK);
        Ok(Self { handle, password, written: false })
    }

    fn name(&self) -> Result<Vec<u8>, AttesterError> {
        let area = public_area(self.handle, if self.written { ATTRIBUTES | WRITTEN } else { ATTRIBUTES })?;
        let digest = hash(HashAlgorithm::Sha512, &[&area]);
        Ok([&HashAlgorithm::Sha512.tpm_id().to_be_bytes(), digest.as_bytes()].concat())
    }
}

/// `TPMS_NV_PUBLIC`.
fn public_area(handle: u32, attributes: u32) -> Result<Vec<u8>, AttesterError> {
    let mut area = Writer::new("TPMS_NV_PUBLIC");
    area.u32(handle);
    area.u16(HashAlgorithm::Sha512.tpm_id());
    area.u32(attributes);
    area.sized(&[]);
    area.u16(INDEX_SIZE);
    Ok(area.finish()?)
}

/// The steps, and what they leave in the TPM until it is cleaned up.
struct Steps<'a> {
    tpm: RawTpm,
    options: &'a DocumentOptions<'a>,
    random: &'a dyn SecureRandom,
    salt_key: Option<SaltKey>,
    session: Option<HmacSession<'a>>,
    index: Option<Index>,
}

const VENDOR_COMMAND: &str = "the NitroTPM command 0x20000001";

impl<'a> Steps<'a> {
    fn run(&mut self, request: &[u8]) -> Result<Vec<u8>, AttesterError> {
        let chunk = nv_buffer(&mut self.tpm)?;
        self.start_session()?;
        self.define()?;
        let mut offset = 0_u16;
        for part in request.chunks(usize::from(chunk)) {
            let mut parameters = Writer::new("TPM2_NV_Write");
            parameters.sized(part);
            parameters.u16(offset);
            self.authorized("TPM2_NV_Write", 0x0000_0137, &parameters.finish()?, Encrypted::Command)?;
            if let Some(index) = &mut self.index {
                index.written = true;
            }
            offset = offset.saturating_add(u16::try_from(part.len()).unwrap_or(u16::MAX));
        }
        self.vendor_command()?;
        let mut answer = Vec::new();
        loop {
            let offset = u16::try_from(answer.len()).unwrap_or(u16::MAX);
            let size = chunk.min(INDEX_SIZE.saturating_sub(offset));
            if size == 0 {
                return Err(AttesterError::Answer {
                    command: VENDOR_COMMAND,
                    detail: "its answer does not end within the index",
                });
            }
            let parameters = [size.to_be_bytes(), offset.to_be_bytes()].concat();
            let read = self.authorized("TPM2_NV_Read", 0x0000_014E, &parameters, Encrypted::Response)?;
            let mut reader = Reader::new(&read, "TPM2_NV_Read response");
            let part = reader.sized(usize::from(size))?;
            reader.finish()?;
            if part.len() != usize::from(size) {
                return Err(AttesterError::Answer {
                    command: "TPM2_NV_Read",
                    detail: "it gave less than was asked for",
                });
            }
            answer.extend_from_slice(part);
            if let NsmResponse::Document(document) = decode(&answer)? {
                return Ok(document);
            }
        }
    }

    fn start_session(&mut self) -> Result<(), AttesterError> {
        self.session = match self.options.protection {
            Protection::Salted => {
                let key = &*self.salt_key.insert(SaltKey::create(&mut self.tpm)?);
                Some(HmacSession::start(&mut self.tpm, Some(key), Cipher::Aes, self.random)?)
            }
            Protection::Unsalted => Some(HmacSession::start(&mut self.tpm, None, Cipher::None, self.random)?),
            Protection::Password => None,
        };
        Ok(())
    }

    /// `TPM2_NV_DefineSpace`.
    fn define(&mut self) -> Result<(), AttesterError> {
        let mut attempts = 0..8;
        loop {
            let index = Index::random(self.random)?;
            let mut parameters = Writer::new("TPM2_NV_DefineSpace");
            parameters.sized(&*index.password);
            parameters.sized(&public_area(index.handle, ATTRIBUTES)?);
            let command = Command {
                name: "TPM2_NV_DefineSpace",
                code: 0x0000_012A,
                handles: &[(OWNER, &OWNER_NAME)],
                parameters: &Zeroizing::new(parameters.finish()?),
            };
            let owner = owner_authorization(&mut self.session, self.options, Encrypted::Command)?;
            match self.tpm.run(&command, owner, false) {
                Ok(_) => {
                    self.index = Some(index);
                    return Ok(());
                }
                Err(AttesterError::Response { response: NV_DEFINED, .. }) if attempts.next().is_some() => {}
                Err(AttesterError::Response { response: INDEX_TOO_LARGE, .. }) => {
                    return Err(AttesterError::NoDocuments { detail: "it keeps no NV index of 8,192 bytes" });
                }
                Err(error) => {
                    // Where the answer was lost, the index may be there.
                    if matches!(error, AttesterError::Unreachable { .. } | AttesterError::Answer { .. }) {
                        self.index = Some(index);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// The command as AWS's client sends it, byte for byte in its form: a session of its own, salted and without a cipher.
    /// One session at a time: a TPM has room for three, and others may be at work.
    fn vendor_command(&mut self) -> Result<(), AttesterError> {
        let protected = self.salt_key.is_some();
        if protected {
            self.change_session(Cipher::None)?;
        }
        self.authorized(VENDOR_COMMAND, 0x2000_0001, &[], Encrypted::Nothing)?;
        if protected {
            self.change_session(Cipher::Aes)?;
        }
        Ok(())
    }

    fn change_session(&mut self, cipher: Cipher) -> Result<(), AttesterError> {
        if let Some(session) = self.session.take() {
            flush(&mut self.tpm, session.handle())?;
        }
        self.session = Some(HmacSession::start(&mut self.tpm, self.salt_key.as_ref(), cipher, self.random)?);
        Ok(())
    }

    /// A command on the index, authorized by the index.
    fn authorized(
        &mut self,
        name: &'static str,
        code: u32,
        parameters: &[u8],
        encrypted: Encrypted,
    ) -> Result<Vec<u8>, AttesterError> {
        if self.options.interrupted.load(Ordering::Relaxed) {
            return Err(AttesterError::Interrupted);
        }
        let Some(index) = &self.index else {
            return Err(AttesterError::Answer { command: name, detail: "there is no index to use it on" });
        };
        let entity = index.name()?;
        let handle = (index.handle, entity.as_slice());
        let command = Command { name, code, handles: &[handle, handle], parameters };
        let authorization = match &mut self.session {
            Some(session) => Authorization::Hmac { session, password: &*index.password, encrypted },
            None if self.options.protection == Protection::Password => Authorization::Password(&*index.password),
            None => return Err(AttesterError::Answer { command: name, detail: "there is no session to use it in" }),
        };
        self.tpm.run(&command, authorization, false)
    }

    /// Removes what is there: the index, the session, the key. Tries all, whatever becomes of the first; the first failure
    /// is told.
    fn clean_up(&mut self, failed: bool) -> Result<(), AttesterError> {
        let mut outcome = Ok(());
        if failed && self.options.protection != Protection::Password && self.index.is_some() {
            // What failed may have left the session's two ends with different nonces: the index is removed in a new one.
            // Neither of these may be there any more, and then they need not be removed.
            let _ = self.end_session();
            outcome = self.start_session();
        }
        if let Some(mut index) = self.index.take() {
            let mut undefined = self.undefine(&index);
            if matches!(undefined, Err(AttesterError::Authorization { .. })) && self.session.is_some() {
                // An answer that was lost may have written to it, and the password of the owner was right before.
                index.written = !index.written;
                undefined = self.undefine(&index);
            }
            outcome = outcome.and(undefined);
        }
        outcome.and(self.end_session())
    }

    /// `TPM2_NV_UndefineSpace`.
    fn undefine(&mut self, index: &Index) -> Result<(), AttesterError> {
        let name = index.name()?;
        let handles = [(OWNER, OWNER_NAME.as_slice()), (index.handle, name.as_slice())];
        let command = Command { name: "TPM2_NV_UndefineSpace", code: 0x0000_0122, handles: &handles, parameters: &[] };
        let owner = owner_authorization(&mut self.session, self.options, Encrypted::Nothing)?;
        self.tpm.run(&command, owner, false).map(|_| ())
    }

    fn end_session(&mut self) -> Result<(), AttesterError> {
        let session = self.session.take().map_or(Ok(()), |session| flush(&mut self.tpm, session.handle()));
        let key = self.salt_key.take().map_or(Ok(()), |key| flush(&mut self.tpm, key.handle()));
        session.and(key)
    }
}

/// The owner's authorization. An unsalted session would be keyed with the owner's password, from which a listener could
/// guess it: the password goes as it is then, as everything does. Where a salted session was asked for and there is none,
/// because somebody on the way lets none come about, a password is not sent at all.
fn owner_authorization<'s, 'r>(
    session: &'s mut Option<HmacSession<'r>>,
    options: &'s DocumentOptions<'_>,
    encrypted: Encrypted,
) -> Result<Authorization<'s, 'r>, AttesterError> {
    match session {
        Some(session) if options.protection == Protection::Salted => {
            Ok(Authorization::Hmac { session, password: options.owner_auth, encrypted })
        }
        None if options.protection == Protection::Salted && !options.owner_auth.is_empty() => {
            Err(AttesterError::Answer { command: "TPM2_StartAuthSession", detail: "there is no session to use" })
        }
        _ => Ok(Authorization::Password(options.owner_auth)),
    }
}

/// `TPM2_FlushContext`.
fn flush(tpm: &mut RawTpm, handle: u32) -> Result<(), AttesterError> {
    let parameters = handle.to_be_bytes();
    let command = Command { name: "TPM2_FlushContext", code: 0x0000_0165, handles: &[], parameters: &parameters };
    tpm.run(&command, Authorization::None, false).map(|_| ())
}

/// `TPM2_GetCapability`: how much `TPM2_NV_Read` and `TPM2_NV_Write` move at once, 64 to 1,024 bytes.
fn nv_buffer(tpm: &mut RawTpm) -> Result<u16, AttesterError> {
    /// `TPM_CAP_TPM_PROPERTIES`
    const PROPERTIES: u32 = 6;
    let parameters = [PROPERTIES, NV_BUFFER_MAX, 1].map(u32::to_be_bytes).concat();
    let command = Command { name: "TPM2_GetCapability", code: 0x0000_017A, handles: &[], parameters: &parameters };
    let response = tpm.run(&command, Authorization::None, false)?;
    let mut reader = Reader::new(&response, "TPM2_GetCapability response");
    reader.u8()?;
    reader.u32()?;
    let found = match (reader.count(1)?, reader.u32(), reader.u32()) {
        (1, Ok(NV_BUFFER_MAX), Ok(value)) => value,
        _ => 1024,
    };
    Ok(u16::try_from(found.clamp(64, 1024)).unwrap_or(1024))
}
