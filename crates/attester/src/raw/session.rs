//! One HMAC session (TPM 2.0 Library Part 1, section 19.6).

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use nitrotpm_tpm_wire::{Reader, Writer};
use ring::hmac;
use ring::rand::SecureRandom;

use super::{Authorization, Command, RawTpm};
use crate::AttesterError;

const START_AUTH_SESSION: Command<'_> =
    Command { name: "TPM2_StartAuthSession", code: 0x0000_0176, handles: &[], parameters: &[] };
/// `TPM_RH_NULL`
const NULL: u32 = 0x4000_0007;
/// `continueSession`
const CONTINUE: u8 = 1;
/// `TPM_ALG_NULL`
const NO_CIPHER: u16 = 0x0010;
/// The length of nonces and HMACs: SHA-512, as AWS's client has it.
const LENGTH: usize = 64;

/// An HMAC session by SHA-512, neither salted nor bound: its key is the authorization value of the entity that it
/// authorizes for, here a random one of our own.
#[derive(Debug)]
pub(crate) struct HmacSession {
    handle: u32,
    key: hmac::Key,
    nonce_caller: [u8; LENGTH],
    nonce_tpm: Vec<u8>,
}

impl HmacSession {
    /// Starts a session for the entity with this authorization value.
    pub(crate) fn start(tpm: &mut RawTpm, auth_value: &[u8], random: &dyn SecureRandom) -> Result<Self, AttesterError> {
        let mut nonce_caller = [0; LENGTH];
        random.fill(&mut nonce_caller).map_err(|_| AttesterError::Random)?;
        let mut parameters = Writer::new("TPM2_StartAuthSession");
        parameters.sized(&nonce_caller);
        parameters.sized(&[]);
        parameters.u8(0);
        parameters.u16(NO_CIPHER);
        parameters.u16(HashAlgorithm::Sha512.tpm_id());
        let command =
            Command { handles: &[(NULL, &[]), (NULL, &[])], parameters: &parameters.finish()?, ..START_AUTH_SESSION };
        let response = tpm.run(&command, Authorization::None, true)?;
        let mut reader = Reader::new(&response, "TPM2_StartAuthSession response");
        let handle = reader.u32()?;
        let nonce_tpm = reader.sized(LENGTH)?.to_vec();
        reader.finish()?;
        // A TPM leaves out zeros at the end of an authorization value.
        let zeros = auth_value.iter().rev().take_while(|byte| **byte == 0).count();
        let (auth_value, _) =
            auth_value.split_at_checked(auth_value.len().saturating_sub(zeros)).unwrap_or((auth_value, &[]));
        Ok(Self { handle, key: hmac::Key::new(hmac::HMAC_SHA512, auth_value), nonce_caller, nonce_tpm })
    }

    /// The session's handle.
    pub(crate) const fn handle(&self) -> u32 {
        self.handle
    }

    /// Writes the session's part of a command.
    pub(super) fn authorize(&self, command: &Command<'_>, area: &mut Writer) -> Result<(), AttesterError> {
        let names: Vec<_> = command.handles.iter().flat_map(|(_, name)| name.iter().copied()).collect();
        let cp_hash = hash(HashAlgorithm::Sha512, &[&command.code.to_be_bytes(), &names, command.parameters]);
        let mac = self.mac(cp_hash.as_bytes(), &self.nonce_caller, &self.nonce_tpm, CONTINUE);
        area.u32(self.handle);
        area.sized(&self.nonce_caller);
        area.u8(CONTINUE);
        area.sized(mac.as_ref());
        Ok(())
    }

    /// Checks the session's part of a response, and takes its nonce for the next command.
    pub(super) fn check(
        &mut self,
        command: &Command<'_>,
        parameters: &[u8],
        nonce: &[u8],
        attributes: u8,
        found: &[u8],
    ) -> Result<(), AttesterError> {
        let rp_hash = hash(HashAlgorithm::Sha512, &[&[0; 4], &command.code.to_be_bytes(), parameters]);
        let message = [rp_hash.as_bytes(), nonce, &self.nonce_caller, &[attributes]].concat();
        hmac::verify(&self.key, &message, found)
            .map_err(|_| AttesterError::Answer { command: command.name, detail: "its HMAC is wrong" })?;
        self.nonce_tpm = nonce.to_vec();
        Ok(())
    }

    fn mac(&self, hashed: &[u8], newer: &[u8], older: &[u8], attributes: u8) -> hmac::Tag {
        hmac::sign(&self.key, &[hashed, newer, older, &[attributes]].concat())
    }
}
