//! Keys that stay in the TPM.

use nitrotpm_tpm_wire::Public;
use tss_esapi::handles::{KeyHandle, ObjectHandle, PersistentTpmHandle};
use tss_esapi::interface_types::dynamic_handles::Persistent;
use tss_esapi::interface_types::resource_handles::Provision;
use tss_esapi::interface_types::session_handles::AuthSession;

use super::response::Failed as _;
use super::{Tpm, from_tss};
use crate::key_file::Private;
use crate::{AttesterError, StoredKey};

const COMMAND: &str = "TPM2_EvictControl";
/// Handles above are the platform's (TPM 2.0 Library Part 2, section 7.5).
const OWNERS: std::ops::RangeInclusive<u32> = 0x8100_0000..=0x817F_FFFF;
const OWNER_AUTH: &str = "give the owner hierarchy's with --owner-auth FILE";

impl Tpm {
    /// Keeps a key in the TPM, at a persistent handle of the owner (0x81000000 to 0x817FFFFF), where it stays over restarts.
    ///
    /// # Errors
    /// [`AttesterError::HandleRange`], [`AttesterError::Authorization`]; a handle that is taken.
    pub fn make_persistent(&mut self, key: &StoredKey, handle: u32) -> Result<StoredKey, AttesterError> {
        let persistent = persistent_handle(handle)?;
        if !OWNERS.contains(&handle) {
            return Err(not_persistent(handle));
        }
        self.with_key(key, |tpm, loaded| {
            let kept = tpm
                .context
                .execute_with_session(Some(AuthSession::Password), |context| {
                    context.evict_control(Provision::Owner, loaded.into(), Persistent::Persistent(persistent))
                })
                .failed(COMMAND)
                .map_err(|error| error.with_option(OWNER_AUTH))?;
            tpm.close(kept)
        })?;
        Ok(StoredKey { public: key.public.clone(), private: Private::Persistent(handle) })
    }

    /// The key at a persistent handle.
    ///
    /// # Errors
    /// [`AttesterError::NoSuchHandle`], [`AttesterError::HandleRange`]; a key of another kind than RSA and ECC.
    pub fn persistent_key(&mut self, handle: u32) -> Result<StoredKey, AttesterError> {
        let public = self.with_persistent(handle, |_, _, public| Ok(public))?;
        Ok(StoredKey { public, private: Private::Persistent(handle) })
    }

    /// The handles of all persistent objects.
    ///
    /// # Errors
    /// What the TPM says.
    pub fn persistent_handles(&mut self) -> Result<Vec<u32>, AttesterError> {
        self.handles(0x8100_0000)
    }

    /// Removes a persistent key. There is no copy.
    ///
    /// # Errors
    /// [`AttesterError::NoSuchHandle`], [`AttesterError::HandleRange`], [`AttesterError::Authorization`].
    pub fn remove_persistent(&mut self, handle: u32) -> Result<(), AttesterError> {
        let persistent = persistent_handle(handle)?;
        let object = self.existing(handle, persistent.into())?;
        let removed = self
            .context
            .execute_with_session(Some(AuthSession::Password), |context| {
                context.evict_control(Provision::Owner, object, Persistent::Persistent(persistent))
            })
            .failed(COMMAND)
            .map_err(|error| error.with_option(OWNER_AUTH));
        if removed.is_err() {
            self.close(object)?;
        }
        removed.map(|_| ())
    }

    /// Lets `use_it` use the key at a persistent handle.
    pub(super) fn with_persistent<T>(
        &mut self,
        handle: u32,
        use_it: impl FnOnce(&mut Self, KeyHandle, Public) -> Result<T, AttesterError>,
    ) -> Result<T, AttesterError> {
        const COMMAND: &str = "TPM2_ReadPublic";
        let object: ObjectHandle = self.existing(handle, persistent_handle(handle)?.into())?;
        let key = KeyHandle::from(object);
        let public = self
            .context
            .execute_without_session(|context| context.read_public(key))
            .failed(COMMAND)
            .and_then(|(public, ..)| from_tss(&public, COMMAND));
        let result = public.and_then(|public| use_it(self, key, public));
        self.close(object).and(result)
    }
}

fn persistent_handle(handle: u32) -> Result<PersistentTpmHandle, AttesterError> {
    PersistentTpmHandle::new(handle).map_err(|_| not_persistent(handle))
}

const fn not_persistent(handle: u32) -> AttesterError {
    AttesterError::HandleRange { handle, kind: "a persistent key of the owner", example: "0x81010001" }
}
