//! What a prediction is turned into: AWS's JSON, an event log, the values that a policy names.

use std::fmt::Write as _;

use nitrotpm_eventlog::LogError;
use nitrotpm_eventlog::writer::LogBuilder;
use nitrotpm_pcr::{Bank, Digest, PcrIndex};
use serde_json::{Map, Value, json};

use crate::{Danger, PredictError, PredictedEvent, Prediction};

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
    /// The PCRs that identify an image: 4 and 12; with Secure Boot on also 7. Of these the ones that could be predicted.
    ///
    /// PCR 11 is not among them: userspace goes on extending it, so that its value depends on when it is read.
    #[must_use]
    pub fn identifying_pcrs(&self) -> Vec<PcrIndex> {
        let wanted: &[u8] = if self.secure_boot() { &[4, 7, 12] } else { &[4, 12] };
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

    /// The prediction as a JSON document, schema `nitrotpm.prediction/1`: the PCRs, the events in order, and under
    /// `unpredictable` the reason of each PCR without a value. Of an event, `data` is what a log carries, in hexadecimal.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let digests = |event: &PredictedEvent| -> Map<String, Value> {
            let named = event.digests.iter().map(|digest| (digest.algorithm().to_string(), json!(digest.to_string())));
            named.collect()
        };
        let event = |event: &PredictedEvent| {
            json!({
                "pcr": event.pcr.get(),
                "type": event.event_type.to_string(),
                "digests": digests(event),
                "cause": event.cause,
                "data": event.data.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
                "by_userspace": event.by_userspace,
            })
        };
        let reasons = self.unpredictable().map(|(index, reason)| (index.to_string(), json!(reason)));
        let mut pcrs: Map<String, Value> = Map::new();
        for (bank, index, value) in self.pcrs().iter() {
            let registers = pcrs.entry(bank.name()).or_insert_with(|| json!({}));
            if let Some(registers) = registers.as_object_mut() {
                registers.insert(index.to_string(), json!(value.to_string()));
            }
        }
        json!({
            "schema": "nitrotpm.prediction/1",
            "secure_boot": self.secure_boot(),
            "pcrs": pcrs,
            "events": self.events().iter().map(event).collect::<Vec<_>>(),
            "unpredictable": reasons.collect::<Map<_, _>>(),
        })
    }

    /// The predicted events as a crypto-agile log, as firmware would write them: it replays to the predicted PCRs,
    /// except for what userspace extends later. Registers without a prediction have no event.
    ///
    /// # Errors
    /// What [`LogBuilder::finish`] says; an event is never as large as that.
    pub fn to_event_log(&self) -> Result<Vec<u8>, LogError> {
        let mut builder = LogBuilder::crypto_agile(self.banks());
        for event in self.events().iter().filter(|event| !event.by_userspace) {
            builder.record(u32::from(event.pcr.get()), event.event_type, &event.digests, &event.data);
        }
        builder.finish()
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

    /// Whether Secure Boot is on.
    #[must_use]
    pub const fn secure_boot(&self) -> bool {
        self.secure_boot
    }

    /// What was accepted although it is dangerous; empty with [`Caution::Refuse`].
    #[must_use]
    pub fn accepted_dangers(&self) -> &[Danger] {
        &self.accepted
    }
}

#[cfg(test)]
mod tests {
    use nitrotpm_uefi::SecureBootVariables;

    use super::*;
    use crate::testing::{Authority, uki};
    use crate::{Boot, PeImage};

    fn prediction(banks: &[Bank]) -> Prediction {
        let variables = SecureBootVariables::default();
        let bytes = uki("252");
        let images = [PeImage::parse("web.efi", &bytes).unwrap()];
        Boot::new(&variables, &images).predict(banks).unwrap()
    }

    fn indices(pcrs: &[u8]) -> Vec<PcrIndex> {
        pcrs.iter().map(|pcr| PcrIndex::new(*pcr).unwrap()).collect()
    }

    fn image(pcrs: &[u8], caution: Caution) -> Result<ReferenceImage, PredictError> {
        prediction(&[Bank::Sha384]).reference_image("web 1", Bank::Sha384, &indices(pcrs), caution)
    }

    fn value(pcr: u8) -> String {
        let index = PcrIndex::new(pcr).unwrap();
        prediction(&[Bank::Sha384]).pcrs().get(Bank::Sha384, index).unwrap().to_string()
    }

    #[test]
    fn awss_form_has_its_names_and_order() {
        let text = prediction(&[Bank::Sha256, Bank::Sha384]).to_aws_json().unwrap();
        let expected = format!(
            "{{\n  \"Measurements\": {{\n    \"HashAlgorithm\": \"SHA384\",\n    \"PCR4\": \"{}\",\n    \"PCR7\": \"{}\",\n    \
             \"PCR12\": \"{}\"\n  }}\n}}",
            value(4),
            value(7),
            value(12)
        );
        assert_eq!(text, expected);
        assert_eq!(prediction(&[Bank::Sha256]).to_aws_json().unwrap_err().code(), "predict.not-predicted");
    }

    /// P1 and P3 of the attack ledger, each with the list that is right.
    #[test]
    fn p1_p3_dangerous_lists_are_refused_unless_accepted() {
        assert!(image(&[4, 12], Caution::Refuse).unwrap().accepted_dangers().is_empty());
        for (pcrs, danger) in [
            (&[4][..], Danger::CommandLineOpen),
            (&[11], Danger::CommandLineOpen),
            (&[7], Danger::SecureBootOff),
            (&[2, 12], Danger::NoImage),
            (&[], Danger::NoImage),
            (&[1, 4, 12], Danger::Volatile(1)),
            (&[4, 12, 16], Danger::Volatile(16)),
        ] {
            assert_eq!(image(pcrs, Caution::Refuse), Err(PredictError::Dangerous(danger)));
        }
        assert_eq!(image(&[4], Caution::Accept).unwrap().accepted_dangers(), [Danger::CommandLineOpen]);
        // What has no value cannot be accepted into being.
        assert_eq!(image(&[1, 4, 12], Caution::Accept).unwrap_err().code(), "predict.not-predicted");
    }

    #[test]
    fn identifying_pcrs_follow_secure_boot() {
        assert_eq!(prediction(&[Bank::Sha384]).identifying_pcrs(), indices(&[4, 12]));
        let authority = Authority::new("issuer", true);
        let bytes = authority.issue("signer").sign(&uki("252"));
        let list = nitrotpm_uefi::SignatureFile::read(&authority.certificate, Some(nitrotpm_uefi::guids::SHIM_LOCK));
        let list = list.unwrap().into_content();
        let variables = SecureBootVariables { pk: list.clone(), kek: list.clone(), db: list, dbx: Vec::new() };
        let images = [PeImage::parse("web.efi", &bytes).unwrap()];
        let on = Boot::new(&variables, &images).predict(&[Bank::Sha384]).unwrap();
        assert_eq!(on.identifying_pcrs(), indices(&[4, 7, 12]));
        // With Secure Boot on, PCR 7 alone identifies who signed.
        assert!(on.reference_image("a", Bank::Sha384, &indices(&[7]), Caution::Refuse).is_ok());
    }

    #[test]
    fn json_says_what_is_known_and_why_the_rest_is_not() {
        let json = prediction(&[Bank::Sha384]).to_json();
        assert_eq!(json["schema"], "nitrotpm.prediction/1");
        assert_eq!(json["pcrs"]["sha384"]["4"], value(4));
        assert_eq!(json["events"][0]["type"], "EV_EFI_VARIABLE_DRIVER_CONFIG");
        assert_eq!(json["events"][0]["digests"]["sha384"].as_str().map(str::len), Some(96));
        assert!(json["unpredictable"]["1"].as_str().unwrap().contains("differs between instances"));
        assert_eq!(json["pcrs"]["sha384"].get("1"), None);
    }

    #[test]
    fn the_expected_log_replays_to_the_predicted_registers() {
        use nitrotpm_eventlog::{EventLog, ParseOptions};
        let predicted = prediction(&[Bank::Sha256, Bank::Sha384]);
        let bytes = predicted.to_event_log().unwrap();
        let log = EventLog::parse(&bytes, &ParseOptions::default()).unwrap();
        let replayed = log.replay_all().unwrap().values();
        for (bank, index, value) in predicted.pcrs().iter().filter(|(_, _, value)| !value.is_zero()) {
            assert_eq!(replayed.get(bank, index), Some(value), "{bank} {index}");
        }
    }
}
