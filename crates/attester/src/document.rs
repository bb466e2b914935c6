//! Attestation documents: NitroTPM's vendor command.
//!
//! The request is written into an NV index made for it, the command turns it into the answer, and the index is removed
//! again, also after a failure or a signal. AWS's client does the same; this one makes no endorsement key, takes an index
//! nobody else takes, and checks that the answer is the TPM's.

use std::sync::atomic::{AtomicBool, Ordering};

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use nitrotpm_tpm_wire::{Reader, Writer};
use ring::rand::SecureRandom;
use zeroize::Zeroizing;

use crate::nsm::{DocumentRequest, NsmResponse, decode};
use crate::raw::{Authorization, Channel, Command, HmacSession, RawTpm};
use crate::{AttesterError, Connection};

/// The owner's range of NV indices (TCG Registry of Reserved TPM 2.0 Handles, section 2.2): 0x01800000 to 0x01BFFFFF.
const OWNER_INDICES: u32 = 0x0180_0000;
const OWNER_INDICES_MASK: u32 = 0x003F_FFFF;
/// `TPM_RH_OWNER`
const OWNER: u32 = 0x4000_0001;
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

/// How to ask for documents.
#[derive(Clone, Copy, Debug)]
pub struct DocumentOptions<'a> {
    /// The owner hierarchy's password, empty if it has none: needed to make an index.
    pub owner_auth: &'a [u8],
    /// Authorizes with passwords in place of an HMAC session. The answer is then not checked to be the TPM's; for a
    /// device that refuses sessions.
    pub password_session: bool,
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
    let mut tpm = RawTpm::new(Channel::open(connection)?);
    let chunk = nv_buffer(&mut tpm)?;
    let index = Index::define(&mut tpm, options.owner_auth, random)?;
    let mut steps = Steps { tpm, index, chunk, session: None, options };
    let result = steps.run(&request, random);
    let cleaned = steps.clean_up();
    let document = result?;
    cleaned?;
    Ok(document)
}

/// An NV index of ours.
struct Index {
    handle: u32,
    auth_value: Zeroizing<[u8; 64]>,
}

impl Index {
    /// `TPM2_NV_DefineSpace` at a random handle: two runs at once do not meet, and where they do, one takes another.
    fn define(tpm: &mut RawTpm, owner_auth: &[u8], random: &dyn SecureRandom) -> Result<Self, AttesterError> {
        let fill = |bytes: &mut [u8]| random.fill(bytes).map_err(|_| AttesterError::Random);
        let mut auth_value = Zeroizing::new([0; 64]);
        fill(&mut *auth_value)?;
        let mut attempts = 0..8;
        loop {
            let mut offset = [0; 4];
            fill(&mut offset)?;
            let handle = OWNER_INDICES | (u32::from_be_bytes(offset) & OWNER_INDICES_MASK);
            let mut parameters = Writer::new("TPM2_NV_DefineSpace");
            parameters.sized(&*auth_value);
            parameters.sized(&public_area(handle, ATTRIBUTES)?);
            let command = Command {
                name: "TPM2_NV_DefineSpace",
                code: 0x0000_012A,
                handles: &[(OWNER, &[])],
                parameters: &Zeroizing::new(parameters.finish()?),
            };
            match tpm.run(&command, Authorization::Password(owner_auth), false) {
                Ok(_) => return Ok(Self { handle, auth_value }),
                Err(AttesterError::Response { response: NV_DEFINED, .. }) if attempts.next().is_some() => {}
                Err(AttesterError::Response { response: INDEX_TOO_LARGE, .. }) => {
                    return Err(AttesterError::NoDocuments { detail: "it keeps no NV index of 8,192 bytes" });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The index's Name, before or after it was written for the first time.
    fn name(&self, written: bool) -> Result<Vec<u8>, AttesterError> {
        let area = public_area(self.handle, if written { ATTRIBUTES | WRITTEN } else { ATTRIBUTES })?;
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

/// The steps between making the index and removing it.
struct Steps<'a> {
    tpm: RawTpm,
    index: Index,
    chunk: u16,
    session: Option<HmacSession>,
    options: &'a DocumentOptions<'a>,
}

impl Steps<'_> {
    fn run(&mut self, request: &[u8], random: &dyn SecureRandom) -> Result<Vec<u8>, AttesterError> {
        if !self.options.password_session {
            self.session = Some(HmacSession::start(&mut self.tpm, &*self.index.auth_value, random)?);
        }
        let mut offset = 0_u16;
        for part in request.chunks(usize::from(self.chunk)) {
            let mut parameters = Writer::new("TPM2_NV_Write");
            parameters.sized(part);
            parameters.u16(offset);
            self.authorized("TPM2_NV_Write", 0x0000_0137, &parameters.finish()?, offset > 0)?;
            offset = offset.saturating_add(u16::try_from(part.len()).unwrap_or(u16::MAX));
        }
        self.authorized("the NitroTPM command 0x20000001", 0x2000_0001, &[], true)?;
        let mut answer = Vec::new();
        loop {
            let offset = u16::try_from(answer.len()).unwrap_or(u16::MAX);
            let size = self.chunk.min(INDEX_SIZE.saturating_sub(offset));
            if size == 0 {
                return Err(AttesterError::Answer {
                    command: "the NitroTPM command 0x20000001",
                    detail: "its answer does not end within the index",
                });
            }
            let parameters = [size.to_be_bytes(), offset.to_be_bytes()].concat();
            let read = self.authorized("TPM2_NV_Read", 0x0000_014E, &parameters, true)?;
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

    /// A command on the index, authorized by the index.
    fn authorized(
        &mut self,
        name: &'static str,
        code: u32,
        parameters: &[u8],
        written: bool,
    ) -> Result<Vec<u8>, AttesterError> {
        if self.options.interrupted.load(Ordering::Relaxed) {
            return Err(AttesterError::Interrupted);
        }
        let entity = self.index.name(written)?;
        let handle = (self.index.handle, entity.as_slice());
        let command = Command { name, code, handles: &[handle, handle], parameters };
        let authorization = match &mut self.session {
            Some(session) => Authorization::Hmac(session),
            None => Authorization::Password(&*self.index.auth_value),
        };
        self.tpm.run(&command, authorization, false)
    }

    /// Removes the session and the index. Tries both, whatever becomes of the first.
    fn clean_up(&mut self) -> Result<(), AttesterError> {
        let flushed = match self.session.take() {
            Some(session) => {
                let parameters = session.handle().to_be_bytes();
                let command =
                    Command { name: "TPM2_FlushContext", code: 0x0000_0165, handles: &[], parameters: &parameters };
                self.tpm.run(&command, Authorization::None, false).map(|_| ())
            }
            None => Ok(()),
        };
        let handles = [(OWNER, &[][..]), (self.index.handle, &[][..])];
        let command = Command { name: "TPM2_NV_UndefineSpace", code: 0x0000_0122, handles: &handles, parameters: &[] };
        self.tpm.run(&command, Authorization::Password(self.options.owner_auth), false)?;
        flushed
    }
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
