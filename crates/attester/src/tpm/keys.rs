//! Attestation keys, and opening challenges with them.

use nitrotpm_credential::{Challenge, EnrolmentAnswer};
use nitrotpm_tpm_wire::{ObjectAttributes, Reader};
use tss_esapi::constants::SessionType;
use tss_esapi::handles::{AuthHandle, KeyHandle, SessionHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{Digest, EncryptedSecret, IdObject, Nonce, Private as TssPrivate, SymmetricDefinition};
use zeroize::Zeroizing;

use super::response::{Failed as _, INTEGRITY, Response, failure};
use super::{Tpm, from_tss, patiently, to_tss};
use crate::key_file::{Private, parent_template};
use crate::{AttesterError, KeyAlgorithm, StoredKey};

impl Tpm {
    /// Makes an attestation key. It is in the TPM only while it is used.
    ///
    /// # Errors
    /// [`AttesterError`]: the endorsement hierarchy's password, a TPM without the algorithm.
    pub fn create_key(&mut self, algorithm: KeyAlgorithm) -> Result<StoredKey, AttesterError> {
        const COMMAND: &str = "TPM2_Create";
        let template = to_tss(&algorithm.template())?;
        patiently(|| {
            self.with_primary(&parent_template(), |tpm, parent, _| {
                let created = tpm
                    .context
                    .execute_with_session(Some(AuthSession::Password), |context| {
                        context.create(parent, template.clone(), None, None, None, None)
                    })
                    .failed(COMMAND)?;
                let public = from_tss(&created.out_public, COMMAND)?;
                Ok(StoredKey { public, private: Private::Wrapped(created.out_private.value().to_vec()) })
            })
        })
    }

    /// Loads a key, lets `use_it` use it, and unloads it.
    pub(super) fn with_key<T>(
        &mut self,
        key: &StoredKey,
        use_it: impl FnOnce(&mut Self, KeyHandle) -> Result<T, AttesterError>,
    ) -> Result<T, AttesterError> {
        const COMMAND: &str = "TPM2_Load";
        let private = match &key.private {
            Private::Wrapped(private) => TssPrivate::try_from(private.as_slice()).failed(COMMAND)?,
            Private::Persistent(handle) => return self.with_persistent(*handle, |tpm, loaded, _| use_it(tpm, loaded)),
        };
        let public = to_tss(&key.public)?;
        // The parent goes before the key is used: a TPM without a resource manager has three places.
        let handle = patiently(|| {
            self.with_primary(&parent_template(), |tpm, parent, _| {
                let (private, public) = (private.clone(), public.clone());
                let loaded = tpm
                    .context
                    .execute_with_session(Some(AuthSession::Password), |context| context.load(parent, private, public));
                loaded.map_err(|error| match Response::of(&error).format_one() {
                    Some(INTEGRITY) => AttesterError::ForeignKey,
                    _ => failure(COMMAND, &error),
                })
            })
        })?;
        let result = use_it(self, handle);
        self.unload(handle.into(), result)
    }

    /// `TPM2_ActivateCredential`: opens a challenge, which succeeds only in the TPM and for the key it was made for.
    ///
    /// # Errors
    /// [`AttesterError::ChallengeForAnotherKey`], [`AttesterError::ChallengeRefused`],
    /// [`AttesterError::ChallengeKeyType`].
    pub fn activate(&mut self, key: &StoredKey, challenge: &Challenge) -> Result<EnrolmentAnswer, AttesterError> {
        let found = key.public.name().unwrap_or_default();
        if found != challenge.ak_name() {
            let expected = hex::encode(challenge.ak_name());
            return Err(AttesterError::ChallengeForAnotherKey { expected, found: hex::encode(found) });
        }
        let template = challenge.endorsement_template().ok_or(AttesterError::ChallengeKeyType)?;
        let credential = challenge.credential();
        let refused = |_| AttesterError::ChallengeRefused;
        let blob = IdObject::try_from(content(&credential.credential_blob)?).map_err(refused)?;
        let secret = EncryptedSecret::try_from(content(&credential.encrypted_secret)?).map_err(refused)?;
        let template = template.public();
        let needs_policy = !template.attributes.contains(ObjectAttributes::USER_WITH_AUTH);
        self.with_key(key, |tpm, key_handle| {
            tpm.with_primary(&template, |tpm, endorsement_key, _| {
                if !needs_policy {
                    return tpm.activate_loaded(key_handle, endorsement_key, AuthSession::Password, blob, secret);
                }
                let session = tpm.endorsement_session()?;
                let handle = SessionHandle::from(session).into();
                let result = tpm
                    .satisfy_endorsement_policy(session)
                    .and_then(|()| tpm.activate_loaded(key_handle, endorsement_key, session, blob, secret));
                // libtss2 has the TPM keep a session after its use.
                tpm.unload(handle, result)
            })
        })
    }

    fn activate_loaded(
        &mut self,
        key: KeyHandle,
        endorsement_key: KeyHandle,
        session: AuthSession,
        blob: IdObject,
        secret: EncryptedSecret,
    ) -> Result<EnrolmentAnswer, AttesterError> {
        let sessions = (Some(AuthSession::Password), Some(session), None);
        let opened = self
            .context
            .execute_with_sessions(sessions, |context| context.activate_credential(key, endorsement_key, blob, secret));
        match opened {
            Ok(secret) => Ok(EnrolmentAnswer::new(Zeroizing::new(secret.value().to_vec()))),
            // Whatever is wrong with the credential or with the secret: the challenge is not for this pair of keys.
            Err(error) if Response::of(&error).is_refusal() => Err(AttesterError::ChallengeRefused),
            Err(error) => Err(failure("TPM2_ActivateCredential", &error)),
        }
    }

    fn endorsement_session(&mut self) -> Result<AuthSession, AttesterError> {
        const COMMAND: &str = "TPM2_StartAuthSession";
        self.context
            .start_auth_session(
                None,
                None,
                None,
                SessionType::Policy,
                SymmetricDefinition::Null,
                HashingAlgorithm::Sha256,
            )
            .failed(COMMAND)?
            .ok_or(AttesterError::Answer { command: COMMAND, detail: "it gave no session" })
    }

    /// `PolicyA` of the TCG EK Credential Profile: who knows the endorsement hierarchy's password.
    fn satisfy_endorsement_policy(&mut self, session: AuthSession) -> Result<(), AttesterError> {
        const COMMAND: &str = "TPM2_PolicySecret";
        let policy = PolicySession::try_from(session).failed(COMMAND)?;
        self.context
            .execute_with_session(Some(AuthSession::Password), |context| {
                context.policy_secret(
                    policy,
                    AuthHandle::Endorsement,
                    Nonce::default(),
                    Digest::default(),
                    Nonce::default(),
                    None,
                )
            })
            .failed(COMMAND)
            .map(|_| ())
    }
}

/// What follows a size of two bytes, all of it.
fn content(bytes: &[u8]) -> Result<&[u8], AttesterError> {
    let mut reader = Reader::new(bytes, "TPM2B");
    let inner = reader.sized(usize::from(u16::MAX))?;
    reader.finish()?;
    Ok(inner)
}
