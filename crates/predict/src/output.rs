//! What a prediction is turned into: AWS's JSON, a policy, KMS key policy statements.

use std::fmt::Write as _;

use nitrotpm_pcr::{Bank, Digest, PcrIndex};
use serde_json::{Map, Value, json};

use crate::{Danger, PredictError, Prediction};

/// The actions for which KMS looks at an attestation document (AWS KMS Developer Guide, "Condition keys for attested
/// platforms").
pub const KMS_ACTIONS: [&str; 5] =
    ["kms:Decrypt", "kms:DeriveSharedSecret", "kms:GenerateDataKey", "kms:GenerateDataKeyPair", "kms:GenerateRandom"];

/// One accepted image: its name and the values of the PCRs that identify it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceImage {
    name: String,
    secure_boot: bool,
    bank: Bank,
    pcrs: Vec<(PcrIndex, Digest)>,
    /// What was accepted although it is dangerous.
    accepted: Vec<Danger>,
}

/// What a reference image may be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caution {
    /// What proves nothing, or less than it seems to, is refused.
    Refuse,
    /// It is written all the same, and said.
    Accept,
}

impl Prediction {
    /// The PCRs that identify an image: 4, 11 and 12 where Secure Boot is off; with it on also 7. Of these the ones that
    /// could be predicted.
    #[must_use]
    pub fn identifying_pcrs(&self) -> Vec<PcrIndex> {
        let wanted: &[u8] = if self.secure_boot() { &[4, 7, 11, 12] } else { &[4, 11, 12] };
        let known =
            |index: &PcrIndex| self.banks().first().is_some_and(|bank| self.pcrs().get(*bank, *index).is_some());
        wanted.iter().filter_map(|pcr| PcrIndex::new(*pcr)).filter(known).collect()
    }

    /// Takes the values of one bank for an image of a policy.
    ///
    /// # Errors
    /// [`PredictError::NotPredicted`] for a PCR without a value. With [`Caution::Refuse`],
    /// [`PredictError::Dangerous`]: PCR 4 without 12, or PCR 7 without 4, where Secure Boot is off; none of 4, 7 and
    /// 11; PCR 1, 16 or 23.
    pub fn reference_image(
        &self,
        name: &str,
        bank: Bank,
        pcrs: &[PcrIndex],
        caution: Caution,
    ) -> Result<ReferenceImage, PredictError> {
        let accepted = dangers(pcrs, self.secure_boot());
        if let (Some(danger), Caution::Refuse) = (accepted.first(), caution) {
            return Err(PredictError::Dangerous(*danger));
        }
        let mut pcrs = pcrs.to_vec();
        pcrs.sort_unstable();
        pcrs.dedup();
        let mut values = Vec::with_capacity(pcrs.len());
        for index in pcrs {
            let value = self.pcrs().get(bank, index).ok_or_else(|| PredictError::NotPredicted {
                pcr: index.get(),
                reason: self
                    .unpredictable()
                    .find(|(unknown, _)| *unknown == index)
                    .map_or_else(|| format!("bank {bank} was not asked for"), |(_, reason)| reason.to_owned()),
            })?;
            values.push((index, *value));
        }
        Ok(ReferenceImage { name: name.into(), secure_boot: self.secure_boot(), bank, pcrs: values, accepted })
    }

    /// What AWS's `nitro-tpm-pcr-compute` prints for the same boot, byte for byte, without the newline at the end.
    ///
    /// # Errors
    /// [`PredictError::NotPredicted`] where one of PCR 4, 7 and 12 has no SHA-384 value.
    pub fn to_aws_json(&self) -> Result<String, PredictError> {
        let indices: Vec<PcrIndex> = [4, 7, 12].into_iter().filter_map(PcrIndex::new).collect();
        let image = self.reference_image("", Bank::Sha384, &indices, Caution::Accept)?;
        // In this order: a map would sort PCR12 before PCR4.
        let mut text = "{\n  \"Measurements\": {\n    \"HashAlgorithm\": \"SHA384\"".to_owned();
        for (index, value) in &image.pcrs {
            let _ = write!(text, ",\n    \"PCR{index}\": \"{value}\"");
        }
        text.push_str("\n  }\n}");
        Ok(text)
    }
}

/// What is dangerous about relying on these PCRs and no others.
fn dangers(pcrs: &[PcrIndex], secure_boot: bool) -> Vec<Danger> {
    let has = |pcr: u8| pcrs.iter().any(|index| index.get() == pcr);
    let mut dangers = Vec::new();
    if !has(4) && !has(7) && !has(11) {
        dangers.push(Danger::NoImage);
    }
    if !secure_boot {
        if has(7) && !has(4) && !has(11) {
            dangers.push(Danger::SecureBootOff);
        }
        if (has(4) || has(11)) && !has(12) {
            dangers.push(Danger::CommandLineOpen);
        }
    }
    dangers.extend([1, 16, 23].into_iter().filter(|pcr| has(*pcr)).map(Danger::Volatile));
    dangers
}

impl ReferenceImage {
    /// The image's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The registers and their values, ascending.
    #[must_use]
    pub fn pcrs(&self) -> &[(PcrIndex, Digest)] {
        &self.pcrs
    }

    /// What was accepted although it is dangerous; empty with [`Caution::Refuse`].
    #[must_use]
    pub fn accepted_dangers(&self) -> &[Danger] {
        &self.accepted
    }

    /// An AWS key policy statement that lets `principal` use the key from this image alone.
    ///
    /// `principal` is the ARN of a role or user. Condition keys and operator are AWS's
    /// (`kms:RecipientAttestation:NitroTPMPCR4`, `StringEqualsIgnoreCase`).
    ///
    /// # Errors
    /// [`PredictError::Dangerous`] for a principal that is everybody, unless `caution` accepts it, and
    /// [`PredictError::NotPredicted`] for another bank than SHA-384: the document has no other.
    pub fn to_kms_statement(&self, principal: &str, actions: &[&str], caution: Caution) -> Result<Value, PredictError> {
        if principal.contains('*') && caution == Caution::Refuse {
            return Err(PredictError::Dangerous(Danger::AnyPrincipal));
        }
        if self.bank != Bank::Sha384 {
            let pcr = self.pcrs.first().map_or(0, |(index, _)| index.get());
            let reason = format!("KMS compares SHA-384 values, and this image has {} ones", self.bank);
            return Err(PredictError::NotPredicted { pcr, reason });
        }
        let conditions: Map<String, Value> = self
            .pcrs
            .iter()
            .map(|(index, value)| (format!("kms:RecipientAttestation:NitroTPMPCR{index}"), json!(value.to_string())))
            .collect();
        Ok(json!({
            "Sid": self.statement_id(),
            "Effect": "Allow",
            "Principal": { "AWS": principal },
            "Action": actions,
            "Resource": "*",
            "Condition": { "StringEqualsIgnoreCase": conditions },
        }))
    }

    /// The image's name with what a statement's id may have: letters and digits.
    fn statement_id(&self) -> String {
        let name = self.name.chars().filter(char::is_ascii_alphanumeric);
        "Attested".chars().chain(name).collect()
    }
}

/// A policy of this toolkit (`nitrotpm.policy/1`) that accepts these images, one beside the other.
///
/// It demands a document, and Secure Boot where every image was predicted with it on.
#[must_use]
pub fn policy_toml(name: &str, images: &[ReferenceImage]) -> String {
    let mut text = format!("schema = \"nitrotpm.policy/1\"\nname = {}\n\n[require]\ndocument = true\n", quoted(name));
    if !images.is_empty() && images.iter().all(|image| image.secure_boot) {
        // The claim comes from the event log.
        text.push_str("event_log = true\nsecure_boot = true\n");
    }
    for image in images {
        let _ = write!(text, "\n[[image]]\nname = {}\n", quoted(&image.name));
        for (index, value) in &image.pcrs {
            let _ = writeln!(text, "pcrs.{}.{index} = \"{value}\"", image.bank);
        }
    }
    text
}

/// Statements for each image, as a key policy document of their own.
///
/// # Errors
/// What [`ReferenceImage::to_kms_statement`] says.
pub fn kms_policy(
    images: &[ReferenceImage],
    principal: &str,
    actions: &[&str],
    caution: Caution,
) -> Result<Value, PredictError> {
    let statements: Vec<Value> = images
        .iter()
        .map(|image| image.to_kms_statement(principal, actions, caution))
        .collect::<Result<_, PredictError>>()?;
    Ok(json!({ "Version": "2012-10-17", "Statement": statements }))
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
