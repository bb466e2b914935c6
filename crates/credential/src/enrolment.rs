//! From a request to a record.

use std::fmt;

use nitrotpm_digest_lanes::{HashAlgorithm, hash};
use nitrotpm_freshness::UnixTime;
use nitrotpm_tpm_wire::Structure;
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    CandidateKey, Credential, CredentialError, EndorsementKey, EndorsementTemplate, EnrolmentRecord, InstanceId,
};
use nitrotpm_enrolment::{Document, base64_bytes, hex_bytes};

/// What the attester asks for: that this key be enrolled, which it says lives beside that endorsement key.
///
/// JSON: `{"schema": "nitrotpm.enrolment-request/1", "ek_public": b64, "ak_public": b64}`, both `TPM2B_PUBLIC` or
/// `TPMT_PUBLIC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentRequest {
    endorsement_key: EndorsementKey,
    candidate: CandidateKey,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestJson {
    schema: String,
    #[serde(with = "base64_bytes")]
    ek_public: Vec<u8>,
    #[serde(with = "base64_bytes")]
    ak_public: Vec<u8>,
}

impl Document for RequestJson {
    const DOCUMENT: &'static str = "enrolment request";
    const SCHEMA: &'static str = "nitrotpm.enrolment-request/1";
}

impl EnrolmentRequest {
    /// Puts a request together.
    #[must_use]
    pub const fn new(endorsement_key: EndorsementKey, candidate: CandidateKey) -> Self {
        Self { endorsement_key, candidate }
    }

    /// The key that asks to be enrolled.
    #[must_use]
    pub const fn candidate(&self) -> &CandidateKey {
        &self.candidate
    }

    /// Challenges the TPM with the endorsement key `trusted`, which must come from elsewhere than the attester: from the
    /// EC2 API, or from an inventory. The identifier of the instance, if it is known, is what the source of the key says,
    /// never what the attester says.
    ///
    /// # Errors
    /// [`CredentialError::EndorsementKeyMismatch`] where the request was made beside another endorsement key;
    /// [`CredentialError::Random`].
    pub fn challenge(
        &self,
        trusted: &EndorsementKey,
        instance_id: Option<InstanceId>,
        random: &dyn SecureRandom,
    ) -> Result<(PendingEnrolment, Challenge), CredentialError> {
        if !self.endorsement_key.same_key(trusted) {
            return Err(CredentialError::EndorsementKeyMismatch);
        }
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        random.fill(&mut *secret).map_err(|_| CredentialError::Random)?;
        let credential = Credential::make(trusted, self.candidate.name(), &*secret, random)?;
        let pending = PendingEnrolment {
            endorsement_key: trusted.clone(),
            candidate: self.candidate.clone(),
            instance_id,
            answer_sha256: sha256(&*secret),
        };
        Ok((pending, Challenge { credential, ak_name: self.candidate.name().to_vec() }))
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`CredentialError`]: malformed, or keys that are not fit.
    pub fn from_json(text: &str) -> Result<Self, CredentialError> {
        let json = RequestJson::read(text)?;
        Ok(Self::new(EndorsementKey::parse(&json.ek_public)?, CandidateKey::parse(&json.ak_public)?))
    }

    /// Writes the request, for the verifier.
    ///
    /// # Errors
    /// [`CredentialError`] where a public area is too long to be written.
    pub fn to_json(&self) -> Result<String, CredentialError> {
        let json = RequestJson {
            schema: RequestJson::SCHEMA.to_owned(),
            ek_public: self.endorsement_key.public().to_tpm2b()?,
            ak_public: self.candidate.public().to_tpm2b()?,
        };
        Ok(json.write()?.to_string())
    }
}

/// As long as the digest of every endorsement key's Name hash.
const SECRET_LEN: usize = 32;

fn sha256(secret: &[u8]) -> Vec<u8> {
    hash(HashAlgorithm::Sha256, &[secret]).as_bytes().to_vec()
}

/// A challenge on its way to the TPM: nothing in it is secret.
///
/// JSON: `{"schema": "nitrotpm.enrolment-challenge/1", "credential_blob": b64, "encrypted_secret": b64, "ak_name": hex}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    credential: Credential,
    ak_name: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChallengeJson {
    schema: String,
    #[serde(with = "base64_bytes")]
    credential_blob: Vec<u8>,
    #[serde(with = "base64_bytes")]
    encrypted_secret: Vec<u8>,
    #[serde(with = "hex_bytes")]
    ak_name: Vec<u8>,
}

impl Document for ChallengeJson {
    const DOCUMENT: &'static str = "enrolment challenge";
    const SCHEMA: &'static str = "nitrotpm.enrolment-challenge/1";
}

impl Challenge {
    /// What `TPM2_ActivateCredential` takes.
    #[must_use]
    pub const fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The Name of the key that the challenge was made for: a help to find it. The TPM checks the one in the credential.
    #[must_use]
    pub fn ak_name(&self) -> &[u8] {
        &self.ak_name
    }

    /// The template of the endorsement key that the challenge was made for, told by the length of the encrypted secret:
    /// `None` for keys of other sizes.
    #[must_use]
    pub fn endorsement_template(&self) -> Option<EndorsementTemplate> {
        // A size, then a ciphertext of the modulus' length, or two coordinates with a size each.
        match self.credential.encrypted_secret.len() {
            258 => Some(EndorsementTemplate::Rsa2048),
            70 => Some(EndorsementTemplate::P256),
            102 => Some(EndorsementTemplate::P384),
            _ => None,
        }
    }

    /// Reads a challenge.
    ///
    /// # Errors
    /// [`CredentialError`] where it is malformed.
    pub fn from_json(text: &str) -> Result<Self, CredentialError> {
        let ChallengeJson { credential_blob, encrypted_secret, ak_name, .. } = ChallengeJson::read(text)?;
        Ok(Self { credential: Credential { credential_blob, encrypted_secret }, ak_name })
    }

    /// Writes the challenge, for the attester.
    ///
    /// # Errors
    /// None in practice: every challenge can be written.
    pub fn to_json(&self) -> Result<String, CredentialError> {
        let json = ChallengeJson {
            schema: ChallengeJson::SCHEMA.to_owned(),
            credential_blob: self.credential.credential_blob.clone(),
            encrypted_secret: self.credential.encrypted_secret.clone(),
            ak_name: self.ak_name.clone(),
        };
        Ok(json.write()?.to_string())
    }
}

/// What the TPM gave back.
///
/// JSON: `{"schema": "nitrotpm.enrolment-answer/1", "secret": b64}`.
#[derive(Clone)]
pub struct EnrolmentAnswer(Zeroizing<Vec<u8>>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerJson {
    schema: String,
    #[serde(with = "base64_bytes")]
    secret: Vec<u8>,
}

impl Document for AnswerJson {
    const DOCUMENT: &'static str = "enrolment answer";
    const SCHEMA: &'static str = "nitrotpm.enrolment-answer/1";
}

impl EnrolmentAnswer {
    /// Takes what `TPM2_ActivateCredential` returned.
    #[must_use]
    pub const fn new(secret: Zeroizing<Vec<u8>>) -> Self {
        Self(secret)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// [`CredentialError`] where it is malformed.
    pub fn from_json(text: &str) -> Result<Self, CredentialError> {
        Ok(Self(Zeroizing::new(AnswerJson::read(text)?.secret)))
    }

    /// Writes the answer, for the verifier.
    ///
    /// # Errors
    /// None in practice: every answer can be written.
    pub fn to_json(&self) -> Result<Zeroizing<String>, CredentialError> {
        let mut json = AnswerJson { schema: AnswerJson::SCHEMA.to_owned(), secret: self.0.to_vec() };
        let text = json.write();
        zeroize::Zeroize::zeroize(&mut json.secret);
        Ok(text?)
    }
}

impl fmt::Debug for EnrolmentAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrolmentAnswer(secret)")
    }
}

/// What the verifier keeps between challenge and answer. It can be used once: [`PendingEnrolment::complete`] takes it.
///
/// It holds a digest of the secret, not the secret: who reads the verifier's disk cannot answer.
///
/// JSON: `{"schema": "nitrotpm.enrolment-pending/1", "ek_public": b64, "ak_public": b64, "instance_id": text or absent,
/// "answer_sha256": hex}`. Whoever stores it removes it before the attempt, so that two attempts cannot both find it.
#[derive(Debug)]
#[must_use = "without it nothing can be enrolled"]
pub struct PendingEnrolment {
    endorsement_key: EndorsementKey,
    candidate: CandidateKey,
    instance_id: Option<InstanceId>,
    answer_sha256: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PendingJson {
    schema: String,
    #[serde(with = "base64_bytes")]
    ek_public: Vec<u8>,
    #[serde(with = "base64_bytes")]
    ak_public: Vec<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance_id: Option<String>,
    #[serde(with = "hex_bytes")]
    answer_sha256: Vec<u8>,
}

impl Document for PendingJson {
    const DOCUMENT: &'static str = "pending enrolment";
    const SCHEMA: &'static str = "nitrotpm.enrolment-pending/1";
}

impl PendingEnrolment {
    /// Compares the answer, in constant time, and makes the record. `at` is the verifier's time, if the record is to
    /// carry one. Right or wrong, the challenge is used up.
    ///
    /// # Errors
    /// [`CredentialError::Answer`] for a wrong answer, whatever is wrong with it; [`crate::EnrolmentError::Time`].
    pub fn complete(self, answer: &EnrolmentAnswer, at: Option<UnixTime>) -> Result<EnrolmentRecord, CredentialError> {
        if !bool::from(sha256(&answer.0).ct_eq(&self.answer_sha256)) {
            return Err(CredentialError::Answer);
        }
        Ok(EnrolmentRecord::new(self.endorsement_key, self.candidate, self.instance_id, at)?)
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// [`CredentialError`] where it is malformed.
    pub fn from_json(text: &str) -> Result<Self, CredentialError> {
        let json = PendingJson::read(text)?;
        Ok(Self {
            endorsement_key: EndorsementKey::parse(&json.ek_public)?,
            candidate: CandidateKey::parse(&json.ak_public)?,
            instance_id: json.instance_id.map(|text| text.parse()).transpose()?,
            answer_sha256: json.answer_sha256,
        })
    }

    /// Writes it, to be stored where the attester does not reach.
    ///
    /// # Errors
    /// [`CredentialError`] where a public area is too long to be written.
    pub fn to_json(&self) -> Result<String, CredentialError> {
        let json = PendingJson {
            schema: PendingJson::SCHEMA.to_owned(),
            ek_public: self.endorsement_key.public().to_tpm2b()?,
            ak_public: self.candidate.public().to_tpm2b()?,
            instance_id: self.instance_id.as_ref().map(InstanceId::to_string),
            answer_sha256: self.answer_sha256.clone(),
        };
        Ok(json.write()?.to_string())
    }
}
