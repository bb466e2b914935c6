//! The TPM: the one place that uses tss-esapi, and with it libtss2, so that its next version is a change here alone.
//!
//! What goes in and comes out are the types of `tpm-wire`, `pcr` and `credential`.

mod capabilities;
mod keys;
mod nv;
mod pcrs;
mod persistent;
mod quote;
mod response;

use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use nitrotpm_credential::{EndorsementKey, EndorsementTemplate};
use nitrotpm_tpm_wire::{Public, Structure};
use tss_esapi::Context;
use tss_esapi::handles::{AuthHandle, KeyHandle, ObjectHandle};
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::Public as TssPublic;
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::traits::{Marshall, UnMarshall};

pub use capabilities::Capabilities;
pub use nv::{NvIndex, NvPassword};
pub use pcrs::PcrReading;
pub use quote::Quote;

use self::response::{Failed as _, Response, failure, unreachable_tpm};
use crate::connection::PATIENCE;
use crate::{AttesterError, Connection};

/// An open TPM. One program has one; without a resource manager nobody else has it at the same time.
///
/// Everything that a call loads into the TPM it unloads again, also when it fails.
#[derive(Debug)]
pub struct Tpm {
    context: Context,
}

impl Tpm {
    /// Opens the TPM.
    ///
    /// # Errors
    /// [`AttesterError`] with the reason, as far as the system tells it: no device, no permission, in use, no answer.
    pub fn open(connection: &Connection) -> Result<Self, AttesterError> {
        // Whoever had the device when libtss2 failed may be gone when the system is asked why.
        let mut gone = 0..5;
        let context = patiently(|| {
            let tcti = TctiNameConf::from_str(&connection.to_string()).map_err(|_| AttesterError::Connection {
                text: connection.to_string(),
                detail: "libtss2 refuses it",
            })?;
            Context::new(tcti).map_err(|error| match (connection, unreachable_tpm(connection, &error)) {
                (Connection::Device(path), AttesterError::Unreachable { .. }) if gone.next().is_some() => {
                    AttesterError::Busy { place: path.display().to_string() }
                }
                (_, other) => other,
            })
        })?;
        let mut tpm = Self { context };
        // The first command tells whether somebody answers, and whether the TPM was started.
        tpm.random(8)?;
        Ok(tpm)
    }

    /// Sets the password of the endorsement hierarchy, if it has one: endorsement keys and attestation keys need it.
    ///
    /// # Errors
    /// [`AttesterError::PasswordLength`].
    pub fn set_endorsement_auth(&mut self, password: &[u8]) -> Result<(), AttesterError> {
        self.set_auth(AuthHandle::Endorsement.into(), password)
    }

    /// `TPM2_GetRandom`: as many bytes as asked for, at most 48 at once on most TPMs, so it asks again.
    ///
    /// # Errors
    /// [`AttesterError::Response`], or [`AttesterError::Answer`] for a TPM that gives nothing.
    pub fn random(&mut self, count: usize) -> Result<Vec<u8>, AttesterError> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let missing = count.saturating_sub(bytes.len()).min(32);
            let more = self.context.get_random(missing).failed("TPM2_GetRandom")?;
            if more.is_empty() || more.len() > missing {
                return Err(AttesterError::Answer {
                    command: "TPM2_GetRandom",
                    detail: "it gave no bytes, or too many",
                });
            }
            bytes.extend_from_slice(&more);
        }
        Ok(bytes)
    }

    /// The endorsement key of a template: the same one each time.
    ///
    /// # Errors
    /// [`AttesterError`]: the hierarchy's password, a TPM without the algorithm.
    pub fn endorsement_key(&mut self, template: EndorsementTemplate) -> Result<EndorsementKey, AttesterError> {
        let public = self.with_primary(&template.public(), |_, _, public| Ok(public))?;
        Ok(EndorsementKey::from_public(public)?)
    }

    /// Makes a primary key of the endorsement hierarchy, lets `use_it` use it, and unloads it.
    fn with_primary<T>(
        &mut self,
        template: &Public,
        use_it: impl FnOnce(&mut Self, KeyHandle, Public) -> Result<T, AttesterError>,
    ) -> Result<T, AttesterError> {
        const COMMAND: &str = "TPM2_CreatePrimary";
        let template = to_tss(template)?;
        let primary = patiently(|| {
            self.context
                .execute_with_session(Some(AuthSession::Password), |context| {
                    context.create_primary(Hierarchy::Endorsement, template.clone(), None, None, None, None)
                })
                .failed(COMMAND)
        })?;
        let result = from_tss(&primary.out_public, COMMAND).and_then(|public| use_it(self, primary.key_handle, public));
        self.unload(primary.key_handle.into(), result)
    }

    /// Unloads an object after its use. A failure of the use comes before one of the unloading.
    fn unload<T>(&mut self, handle: ObjectHandle, result: Result<T, AttesterError>) -> Result<T, AttesterError> {
        let unloaded = self.context.flush_context(handle).failed("TPM2_FlushContext");
        let value = result?;
        unloaded?;
        Ok(value)
    }
}

/// A password that no TPM takes: the longest is the longest digest.
const fn too_long(password: &[u8]) -> AttesterError {
    AttesterError::PasswordLength { length: password.len() }
}

/// Tries again while somebody else has the TPM or fills it, and gives up after a while.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, AttesterError>) -> Result<T, AttesterError> {
    let began = Instant::now();
    loop {
        match attempt() {
            Err(error) if error.may_pass() && began.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(30)),
            outcome => return outcome,
        }
    }
}

/// A public area for libtss2.
fn to_tss(public: &Public) -> Result<TssPublic, AttesterError> {
    TssPublic::unmarshall(&public.to_bytes()?).map_err(|error| failure("Tss2_MU_TPMT_PUBLIC_Unmarshal", &error))
}

/// A public area from libtss2.
fn from_tss(public: &TssPublic, command: &'static str) -> Result<Public, AttesterError> {
    Ok(Public::parse(&public.marshall().map_err(|error| failure(command, &error))?)?)
}
