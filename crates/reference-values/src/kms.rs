//! Statements of an AWS KMS key policy.

use nitrotpm_pcr::{Bank, PcrIndex};
use nitrotpm_verifier::PCR7_SECURE_BOOT_OFF;
use serde_json::{Map, Value, json};

use crate::image::rfc3339;
use crate::{Image, ReferenceValueError};

/// The actions for which KMS looks at an attestation document (AWS KMS Developer Guide, "Condition keys for attested
/// platforms").
pub const KMS_ACTIONS: [&str; 5] =
    ["kms:Decrypt", "kms:DeriveSharedSecret", "kms:GenerateDataKey", "kms:GenerateDataKeyPair", "kms:GenerateRandom"];

/// What is done with what proves less than it seems to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caution {
    /// It is refused.
    Refuse,
    /// It is written all the same.
    Accept,
}

/// Why a key that this image alone may use is open to others; KMS sees no event log, so only PCR 7 shows Secure Boot.
#[must_use]
pub fn dangers(image: &Image) -> Vec<String> {
    let has = |pcr: u8| image.pcrs.iter().any(|(_, of, _)| of.get() == pcr);
    let pcr7 = PcrIndex::new(7).and_then(|pcr| image.pcrs.get(Bank::Sha384, pcr));
    let pcr7_is_off = pcr7.is_some_and(|value| value.to_string() == PCR7_SECURE_BOOT_OFF);
    let secure_boot = has(7) && !pcr7_is_off && image.secure_boot != Some(false);
    let name = image.name.escape_debug();
    let mut dangers = Vec::new();
    if !has(4) && !has(11) && !secure_boot {
        dangers.push(format!(
            "image \"{name}\": none of PCR 4, 11, and 7 of a machine with Secure Boot on is named, so the key is open to \
             any image; add PCR 4 and 12, or PCR 7 with Secure Boot"
        ));
    }
    if (has(4) || has(11)) && !has(12) && !secure_boot {
        let named = match (has(4), has(11)) {
            (true, true) => "4 and 11",
            (true, false) => "4",
            _ => "11",
        };
        dangers.push(format!(
            "image \"{name}\": PCR {named} without PCR 12 lets anyone append to the kernel command line while Secure Boot is \
             off (GHSA-xrv8-2pf5-f3q7); add PCR 12"
        ));
    }
    for pcr in [1, 16, 23].into_iter().filter(|pcr| has(*pcr)) {
        dangers.push(format!(
            "image \"{name}\": PCR {pcr} cannot be relied on: 1 differs between instances, 16 and 23 can be reset by \
             anyone; leave it out"
        ));
    }
    dangers
}

/// A key policy document with a statement for each image: a list of values in one statement would accept PCR 4 of one
/// image with PCR 12 of another. It is to be added to a key policy that says who administers the key.
///
/// `principal` is the ARN of a role or user, or an account id. Condition keys and operator are AWS's
/// (`kms:RecipientAttestation:NitroTPMPCR4`, `StringEqualsIgnoreCase`); an image that ceases to be accepted at some time
/// gets `DateLessThan` on `aws:CurrentTime`.
///
/// # Errors
/// [`ReferenceValueError`]: no image, a principal that is none, PCRs of another bank than SHA-384; with
/// [`Caution::Refuse`] what [`dangers`] says, and a principal that is everybody.
pub fn kms_policy(
    images: &[Image],
    principal: &str,
    actions: &[&str],
    caution: Caution,
) -> Result<Value, ReferenceValueError> {
    if images.is_empty() {
        return Err(ReferenceValueError::NoImage);
    }
    check_principal(principal, caution)?;
    let mut statements: Vec<Value> = Vec::with_capacity(images.len());
    for image in images {
        if let (Caution::Refuse, Some(danger)) = (caution, dangers(image).first()) {
            return Err(ReferenceValueError::Dangerous { what: danger.clone() });
        }
        let mut statement = statement(image, principal, actions)?;
        // Names that differ in other characters alone would give one id twice.
        if statements.iter().any(|earlier| earlier.get("Sid") == statement.get("Sid"))
            && let Some(id) = statement.get_mut("Sid")
        {
            *id = json!(format!("{}x{}", statement_id(&image.name), statements.len()));
        }
        statements.push(statement);
    }
    Ok(json!({ "Version": "2012-10-17", "Statement": statements }))
}

fn check_principal(principal: &str, caution: Caution) -> Result<(), ReferenceValueError> {
    if principal.contains(['*', '?']) {
        return match caution {
            Caution::Accept => Ok(()),
            Caution::Refuse => Err(ReferenceValueError::Dangerous {
                what:
                    "the principal \"*\" lets every AWS account in: PCRs prove what runs, not whose it is; name a role"
                        .to_owned(),
            }),
        };
    }
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    // arn:PARTITION:iam|sts::ACCOUNT:RESOURCE (IAM User Guide, "IAM identifiers").
    let parts: Vec<&str> = principal.splitn(6, ':').collect();
    let is_arn = matches!(
        parts.as_slice(),
        ["arn", partition, "iam" | "sts", "", account, resource]
            if partition.starts_with("aws") && is_account(account) && !resource.is_empty()
                && resource.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_/-".contains(&byte))
    );
    if is_arn || is_account(principal) {
        Ok(())
    } else {
        Err(ReferenceValueError::Principal { found: principal.escape_debug().to_string() })
    }
}

fn statement(image: &Image, principal: &str, actions: &[&str]) -> Result<Value, ReferenceValueError> {
    let other = image.pcrs.banks().find(|bank| *bank != Bank::Sha384);
    if let Some(bank) = other {
        return Err(ReferenceValueError::OtherBank { image: image.name.escape_debug().to_string(), bank });
    }
    let values: Map<String, Value> = image
        .pcrs
        .iter()
        .map(|(_, index, value)| (format!("kms:RecipientAttestation:NitroTPMPCR{index}"), json!(value.to_string())))
        .collect();
    let mut condition = json!({ "StringEqualsIgnoreCase": values });
    if let (Some(end), Some(condition)) = (image.not_after, condition.as_object_mut()) {
        condition.insert("DateLessThan".to_owned(), json!({ "aws:CurrentTime": rfc3339(end) }));
    }
    Ok(json!({
        "Sid": statement_id(&image.name),
        "Effect": "Allow",
        "Principal": { "AWS": principal },
        "Action": actions,
        "Resource": "*",
        "Condition": condition,
    }))
}

/// The image's name with what a statement's id may have: letters and digits.
fn statement_id(name: &str) -> String {
    "Attested".chars().chain(name.chars().filter(char::is_ascii_alphanumeric)).collect()
}

#[cfg(test)]
mod tests {
    use nitrotpm_freshness::UnixTime;
    use nitrotpm_pcr::{Digest, PcrValues};

    use super::*;

    const ROLE: &str = "arn:aws:iam::111122223333:role/MyEC2InstanceRole";

    fn image(pcrs: &[u8]) -> Image {
        let mut values = PcrValues::new();
        for pcr in pcrs {
            values.insert(PcrIndex::new(*pcr).unwrap(), Digest::new(Bank::Sha384, &[*pcr; 48]).unwrap()).unwrap();
        }
        Image::new("web 1", values)
    }

    /// The example of AWS's guide, by value: the same PCRs give the same statement.
    #[test]
    fn a_statement_is_as_aws_documents_it() {
        let actions = ["kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateRandom"];
        let policy = kms_policy(&[image(&[4, 12])], ROLE, &actions, Caution::Refuse).unwrap();
        let documented: Value = serde_json::from_str(&format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"Attestedweb1","Effect":"Allow",
                "Principal":{{"AWS":"arn:aws:iam::111122223333:role/MyEC2InstanceRole"}},
                "Action":["kms:Decrypt","kms:GenerateDataKey","kms:GenerateRandom"],"Resource":"*",
                "Condition":{{"StringEqualsIgnoreCase":{{
                  "kms:RecipientAttestation:NitroTPMPCR4":"{}",
                  "kms:RecipientAttestation:NitroTPMPCR12":"{}"}}}}}}]}}"#,
            "04".repeat(48),
            "0c".repeat(48)
        ))
        .unwrap();
        assert_eq!(policy, documented);
    }

    #[test]
    fn each_image_has_its_statement_and_its_end() {
        let end = UnixTime::since_unix_epoch(core::time::Duration::from_secs(1_780_315_200));
        let old = Image { not_after: Some(end), ..image(&[4, 12]) };
        let policy = kms_policy(&[image(&[4, 12]), old], ROLE, &KMS_ACTIONS, Caution::Refuse).unwrap();
        let [new, old] = policy["Statement"].as_array().unwrap().as_slice() else { panic!("{policy}") };
        assert_ne!(new["Sid"], old["Sid"]);
        assert_eq!(new["Condition"].get("DateLessThan"), None);
        assert_eq!(old["Condition"]["DateLessThan"], json!({ "aws:CurrentTime": "2026-06-01T12:00:00Z" }));
    }

    /// P1 and P3 of the attack ledger, each with the list that is right.
    #[test]
    fn p1_p3_an_open_key_is_refused_unless_accepted() {
        for right in [&[4, 12][..], &[7], &[4, 7, 12], &[11, 12]] {
            assert_eq!(dangers(&image(right)), Vec::<String>::new());
        }
        for (wrong, what) in [
            (&[4][..], "GHSA-xrv8-2pf5-f3q7"),
            (&[11], "GHSA-xrv8-2pf5-f3q7"),
            (&[2, 12], "open to any image"),
            (&[1, 4, 12], "differs between instances"),
        ] {
            let error = kms_policy(&[image(wrong)], ROLE, &KMS_ACTIONS, Caution::Refuse).unwrap_err();
            assert_eq!(error.code(), "predict.dangerous");
            assert!(error.to_string().contains(what), "{error}");
            assert!(kms_policy(&[image(wrong)], ROLE, &KMS_ACTIONS, Caution::Accept).is_ok());
        }
        // PCR 7 of a machine without Secure Boot shows nothing.
        let mut values = PcrValues::new();
        let off = Digest::new(Bank::Sha384, &hex::decode(PCR7_SECURE_BOOT_OFF).unwrap()).unwrap();
        values.insert(PcrIndex::new(7).unwrap(), off).unwrap();
        assert_eq!(dangers(&Image::new("off", values)).len(), 1);
    }

    #[test]
    fn a_principal_is_somebody() {
        let with = |principal: &str| kms_policy(&[image(&[4, 12])], principal, &KMS_ACTIONS, Caution::Refuse);
        for right in [ROLE, "111122223333", "arn:aws-us-gov:iam::111122223333:root"] {
            assert!(with(right).is_ok(), "{right}");
        }
        for everybody in ["*", "arn:aws:iam::111122223333:role/*", "arn:aws:iam::11112222333?:role/Web"] {
            assert_eq!(with(everybody).unwrap_err().code(), "predict.dangerous", "{everybody}");
        }
        for wrong in ["", "Web", "arn:aws:iam::1111:role/Web", "arn:aws:s3:::bucket", "arn:aws:iam::111122223333:"] {
            assert_eq!(with(wrong).unwrap_err().code(), "kms.principal", "{wrong}");
        }
        assert_eq!(kms_policy(&[], ROLE, &KMS_ACTIONS, Caution::Accept), Err(ReferenceValueError::NoImage));
        let mut values = image(&[4, 12]).pcrs;
        values.insert(PcrIndex::new(4).unwrap(), Digest::ones(Bank::Sha256)).unwrap();
        let error = kms_policy(&[Image::new("b", values)], ROLE, &KMS_ACTIONS, Caution::Accept).unwrap_err();
        assert_eq!(error.code(), "kms.other-bank");
    }
}
