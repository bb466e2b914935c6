//! NV indices, for a person who wants to look, and the commands that clear.

use nitrotpm_tpm_wire::AlgorithmId;
use serde::Serialize;
use tss_esapi::attributes::{NvIndexAttributes, NvIndexAttributesBuilder};
use tss_esapi::constants::{CapabilityType, NvIndexType, PropertyTag};
use tss_esapi::handles::{AuthHandle, NvIndexHandle, NvIndexTpmHandle, ObjectHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles::{NvAuth, Provision};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Auth, CapabilityData, MaxNvBuffer, NvPublic};

use super::response::Failed as _;
use super::{Tpm, too_long};
use crate::AttesterError;

const OWNER_AUTH: &str = "give the owner hierarchy's with --owner-auth FILE";

/// An NV index, as its public area describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NvIndex {
    /// Its handle, 0x01000000 to 0x01FFFFFF.
    #[serde(serialize_with = "hexadecimal")]
    pub handle: u32,
    /// Its size in bytes.
    pub size: usize,
    /// The algorithm of its Name.
    #[serde(serialize_with = "display")]
    pub name_algorithm: AlgorithmId,
    /// Its attributes, by the names of TPM 2.0 Library Part 2, section 13.4.
    pub attributes: Vec<&'static str>,
}

fn hexadecimal<S: serde::Serializer>(handle: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{handle:#010x}"))
}

fn display<S: serde::Serializer>(id: &AlgorithmId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// Who reads or writes an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NvPassword<'a> {
    /// Who knows the index's own password; empty for one that has none.
    Index(&'a [u8]),
    /// Who knows the owner hierarchy's: [`Tpm::set_owner_auth`].
    Owner,
}

impl Tpm {
    /// Sets the password of the owner hierarchy, if it has one: NV indices and persistent keys are made and removed with it.
    ///
    /// # Errors
    /// [`AttesterError::PasswordLength`].
    pub fn set_owner_auth(&mut self, password: &[u8]) -> Result<(), AttesterError> {
        self.set_auth(AuthHandle::Owner.into(), password)
    }

    pub(super) fn set_auth(&mut self, handle: ObjectHandle, password: &[u8]) -> Result<(), AttesterError> {
        let auth = Auth::try_from(password).map_err(|_| too_long(password))?;
        self.context.tr_set_auth(handle, auth).failed("Esys_TR_SetAuth")
    }

    /// All NV indices, by their handles.
    ///
    /// # Errors
    /// What the TPM says.
    pub fn nv_indices(&mut self) -> Result<Vec<NvIndex>, AttesterError> {
        let handles = self.handles(0x0100_0000)?;
        handles.into_iter().map(|handle| self.with_index(handle, |_, _, public| Ok(describe(handle, public)))).collect()
    }

    /// The handles of a kind, which is the first of them.
    pub(super) fn handles(&mut self, first: u32) -> Result<Vec<u32>, AttesterError> {
        const COMMAND: &str = "TPM2_GetCapability";
        let (data, _) = self.context.get_capability(CapabilityType::Handles, first, 254).failed(COMMAND)?;
        let CapabilityData::Handles(list) = data else {
            return Err(AttesterError::Answer { command: COMMAND, detail: "it answered another question" });
        };
        Ok(list.into_inner().into_iter().map(u32::from).collect())
    }

    /// Reads all of an index.
    ///
    /// # Errors
    /// [`AttesterError::NoSuchHandle`], [`AttesterError::NvAccess`], [`AttesterError::Authorization`].
    pub fn nv_read(&mut self, handle: u32, password: NvPassword<'_>) -> Result<Vec<u8>, AttesterError> {
        const COMMAND: &str = "TPM2_NV_Read";
        let chunk = self.nv_chunk()?;
        self.with_index(handle, |tpm, index, public| {
            let attributes = public.attributes();
            let allowed = match password {
                NvPassword::Index(_) => attributes.auth_read(),
                NvPassword::Owner => attributes.owner_read(),
            };
            tpm.allow(handle, index, password, allowed, "read")?;
            if !attributes.written() {
                return Err(AttesterError::NvAccess { handle, detail: "nothing was written to it yet".to_owned() });
            }
            let mut data = Vec::new();
            while data.len() < public.data_size() {
                let offset = u16::try_from(data.len()).unwrap_or(u16::MAX);
                let size = chunk.min(u16::try_from(public.data_size().saturating_sub(data.len())).unwrap_or(chunk));
                let part = tpm
                    .context
                    .execute_with_session(Some(AuthSession::Password), |context| {
                        context.nv_read(nv_auth(password, index), index, size, offset)
                    })
                    .failed(COMMAND)
                    .map_err(|error| about(error, password))?;
                if part.value().is_empty() {
                    return Err(AttesterError::Answer { command: COMMAND, detail: "it gave nothing" });
                }
                data.extend_from_slice(part.value());
            }
            Ok(data)
        })
    }

    /// Writes to the front of an index.
    ///
    /// # Errors
    /// As [`Tpm::nv_read`]; data that are longer than the index.
    pub fn nv_write(&mut self, handle: u32, password: NvPassword<'_>, data: &[u8]) -> Result<(), AttesterError> {
        let chunk = usize::from(self.nv_chunk()?);
        self.with_index(handle, |tpm, index, public| {
            let attributes = public.attributes();
            let allowed = match password {
                NvPassword::Index(_) => attributes.auth_write(),
                NvPassword::Owner => attributes.owner_write(),
            };
            tpm.allow(handle, index, password, allowed, "written")?;
            if data.len() > public.data_size() {
                let detail = format!("it has {} bytes, and the data {}", public.data_size(), data.len());
                return Err(AttesterError::NvAccess { handle, detail });
            }
            let mut offset = 0_usize;
            for part in data.chunks(chunk) {
                let buffer = MaxNvBuffer::try_from(part).failed("TPM2_NV_Write")?;
                tpm.context
                    .execute_with_session(Some(AuthSession::Password), |context| {
                        let offset = u16::try_from(offset).unwrap_or(u16::MAX);
                        context.nv_write(nv_auth(password, index), index, buffer, offset)
                    })
                    .failed("TPM2_NV_Write")
                    .map_err(|error| about(error, password))?;
                offset = offset.saturating_add(part.len());
            }
            Ok(())
        })
    }

    /// Makes an index that its password reads and writes, and the owner's.
    ///
    /// # Errors
    /// [`AttesterError::Authorization`]; what the TPM says of handle and size.
    pub fn nv_define(&mut self, handle: u32, size: u16, password: &[u8]) -> Result<(), AttesterError> {
        const COMMAND: &str = "TPM2_NV_DefineSpace";
        let attributes = NvIndexAttributesBuilder::new()
            .with_auth_read(true)
            .with_auth_write(true)
            .with_owner_read(true)
            .with_owner_write(true)
            // A wrong password here should not lock out everything else.
            .with_no_da(true)
            .with_nv_index_type(NvIndexType::Ordinary)
            .build()
            .failed(COMMAND)?;
        let public = NvPublic::builder()
            .with_nv_index(nv_handle(handle)?)
            .with_index_name_algorithm(HashingAlgorithm::Sha256)
            .with_index_attributes(attributes)
            .with_data_area_size(usize::from(size))
            .build()
            .failed(COMMAND)?;
        let auth = Auth::try_from(password).map_err(|_| too_long(password))?;
        let index = self
            .context
            .execute_with_session(Some(AuthSession::Password), |context| {
                context.nv_define_space(Provision::Owner, Some(auth), public)
            })
            .failed(COMMAND)
            .map_err(|error| about(error, NvPassword::Owner))?;
        self.close(index.into())
    }

    /// Removes an index and what is in it.
    ///
    /// # Errors
    /// [`AttesterError::NoSuchHandle`], [`AttesterError::Authorization`].
    pub fn nv_undefine(&mut self, handle: u32) -> Result<(), AttesterError> {
        let index = self.existing(handle, nv_handle(handle)?.into())?;
        let removed = self
            .context
            .execute_with_session(Some(AuthSession::Password), |context| {
                context.nv_undefine_space(Provision::Owner, index.into())
            })
            .failed("TPM2_NV_UndefineSpace")
            .map_err(|error| about(error, NvPassword::Owner));
        if removed.is_err() {
            self.close(index)?;
        }
        removed
    }

    /// `TPM2_Clear` by the lockout hierarchy: every key of the TPM becomes useless, attestation keys too; owner's NV indices
    /// and persistent keys are removed; passwords of owner, endorsement and lockout become empty.
    ///
    /// # Errors
    /// [`AttesterError::Authorization`], [`AttesterError::LockedOut`]; a TPM that has it disabled.
    pub fn clear(&mut self, lockout_auth: &[u8]) -> Result<(), AttesterError> {
        self.set_auth(AuthHandle::Lockout.into(), lockout_auth)?;
        self.context
            .execute_with_session(Some(AuthSession::Password), |context| context.clear(AuthHandle::Lockout))
            .failed("TPM2_Clear")
            .map_err(|error| error.with_option("give the lockout hierarchy's with --lockout-auth FILE"))
    }

    fn with_index<T>(
        &mut self,
        handle: u32,
        use_it: impl FnOnce(&mut Self, NvIndexHandle, &NvPublic) -> Result<T, AttesterError>,
    ) -> Result<T, AttesterError> {
        let object = self.existing(handle, nv_handle(handle)?.into())?;
        let index = NvIndexHandle::from(object);
        let public =
            self.context.execute_without_session(|context| context.nv_read_public(index)).failed("TPM2_NV_ReadPublic");
        let result = public.and_then(|(public, _)| use_it(self, index, &public));
        self.close(object).and(result)
    }

    /// What is at a handle, for libtss2.
    pub(super) fn existing(&mut self, handle: u32, tpm_handle: TpmHandle) -> Result<ObjectHandle, AttesterError> {
        /// `TPM_RC_HANDLE`
        const NOT_THERE: u32 = 0x08B;
        self.context.execute_without_session(|context| context.tr_from_tpm_public(tpm_handle)).map_err(|error| {
            match super::Response::of(&error).format_one() {
                Some(NOT_THERE) => AttesterError::NoSuchHandle { handle },
                _ => super::failure("Esys_TR_FromTPMPublic", &error),
            }
        })
    }

    /// Lets libtss2 forget a handle.
    pub(super) fn close(&mut self, mut handle: ObjectHandle) -> Result<(), AttesterError> {
        self.context.tr_close(&mut handle).failed("Esys_TR_Close")
    }

    fn allow(
        &mut self,
        handle: u32,
        index: NvIndexHandle,
        password: NvPassword<'_>,
        allowed: bool,
        action: &str,
    ) -> Result<(), AttesterError> {
        if !allowed {
            let whose = match password {
                NvPassword::Index(_) => "its own password; try the owner's with --owner-auth FILE",
                NvPassword::Owner => "the owner's password; try its own with --auth FILE",
            };
            return Err(AttesterError::NvAccess { handle, detail: format!("it is not {action} with {whose}") });
        }
        match password {
            NvPassword::Index(password) => self.set_auth(index.into(), password),
            NvPassword::Owner => Ok(()),
        }
    }

    /// How much is read or written at once.
    fn nv_chunk(&mut self) -> Result<u16, AttesterError> {
        let size =
            self.context.get_tpm_property(PropertyTag::NvBufferMax).failed("TPM2_GetCapability")?.unwrap_or(1024);
        Ok(u16::try_from(size.clamp(64, 1024)).unwrap_or(1024))
    }
}

fn nv_auth(password: NvPassword<'_>, index: NvIndexHandle) -> NvAuth {
    match password {
        NvPassword::Index(_) => NvAuth::NvIndex(index),
        NvPassword::Owner => NvAuth::Owner,
    }
}

/// Which option gives the password that is missing or wrong.
fn about(error: AttesterError, password: NvPassword<'_>) -> AttesterError {
    error.with_option(match password {
        NvPassword::Index(_) => "give the index's with --auth FILE",
        NvPassword::Owner => OWNER_AUTH,
    })
}

fn nv_handle(handle: u32) -> Result<NvIndexTpmHandle, AttesterError> {
    NvIndexTpmHandle::new(handle).map_err(|_| AttesterError::HandleRange {
        handle,
        kind: "an NV index",
        example: "0x01800001",
    })
}

fn describe(handle: u32, public: &NvPublic) -> NvIndex {
    let found = public.attributes();
    let kind = match found.index_type() {
        Ok(NvIndexType::Ordinary) | Err(_) => None,
        Ok(NvIndexType::Counter) => Some("counter"),
        Ok(NvIndexType::Bits) => Some("bits"),
        Ok(NvIndexType::Extend) => Some("extend"),
        Ok(NvIndexType::PinFail) => Some("pinFail"),
        Ok(NvIndexType::PinPass) => Some("pinPass"),
    };
    let attributes = kind.into_iter().chain(names(found)).collect();
    let name_algorithm = AlgorithmId(public.name_algorithm().into());
    NvIndex { handle, size: public.data_size(), name_algorithm, attributes }
}

fn names(found: NvIndexAttributes) -> impl Iterator<Item = &'static str> {
    [
        ("ppWrite", found.pp_write()),
        ("ownerWrite", found.owner_write()),
        ("authWrite", found.auth_write()),
        ("policyWrite", found.policy_write()),
        ("policyDelete", found.policy_delete()),
        ("writeLocked", found.write_locked()),
        ("writeAll", found.write_all()),
        ("writeDefine", found.write_define()),
        ("writeSTClear", found.write_stclear()),
        ("globalLock", found.global_lock()),
        ("ppRead", found.pp_read()),
        ("ownerRead", found.owner_read()),
        ("authRead", found.auth_read()),
        ("policyRead", found.policy_read()),
        ("noDA", found.no_da()),
        ("orderly", found.orderly()),
        ("clearSTClear", found.clear_stclear()),
        ("readLocked", found.read_locked()),
        ("written", found.written()),
        ("platformCreate", found.platform_create()),
        ("readSTClear", found.read_stclear()),
    ]
    .into_iter()
    .filter_map(|(name, set)| set.then_some(name))
}
