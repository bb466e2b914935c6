//! The boots under `fixtures/` against what was predicted from their images, and the tampered ones against the policies
//! made from those predictions.

use std::fs;
use std::path::Path;

use nitrotpm_freshness::{Nonce, NonceExpectation};
use nitrotpm_pcr::{Bank, PcrValues};
use nitrotpm_verifier::{AttestationKey, AttestationResult, Clock, Policy, Request, Trust, UnixTime, Verdict, verify};

fn file(boot: &str, name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/boot").join(boot).join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(boot: &str, name: &str) -> serde_json::Value {
    serde_json::from_slice(&file(boot, name)).unwrap()
}

/// The registers that a boot has and its prediction does not.
fn differing(boot: &str, prediction_of: &str) -> Vec<u8> {
    let predicted: PcrValues = serde_json::from_value(json(prediction_of, "prediction.json")["pcrs"].clone()).unwrap();
    let measured: PcrValues = serde_json::from_value(json(boot, "evidence.json")["pcrs"].clone()).unwrap();
    assert_eq!(predicted.iter().filter(|(bank, ..)| *bank == Bank::Sha384).count(), 11, "2-4, 6-9 and 11-14");
    let different = predicted.iter().filter(|(bank, index, value)| measured.get(*bank, *index).unwrap() != *value);
    different.map(|(_, index, _)| index.get()).collect()
}

/// Holds a boot against the policy made from the image of another, which may be the same.
fn appraise(boot: &str, policy_of: &str) -> AttestationResult {
    let policy = Policy::from_toml(&file(policy_of, "predicted-policy.toml")).unwrap();
    let nonce = Nonce::from_hex(&String::from_utf8(file(boot, "nonce.hex")).unwrap()).unwrap();
    let trust = Trust::aws().pin(AttestationKey::parse(&file(boot, "ak.pub")).unwrap());
    let clock = Clock::Audit(UnixTime::since_unix_epoch(core::time::Duration::from_secs(1_795_478_400)));
    let request = Request::new(NonceExpectation::Expected(&nonce), clock);
    verify(&file(boot, "evidence.json"), &policy, &trust, &request)
}

/// Whose prediction a tampered boot is held against, and where it differs from it.
const TAMPERED: [(&str, &str, &[u8]); 3] = [
    ("tampered-command-line", "secure-boot-off", &[4, 9, 11]),
    ("tampered-kernel", "secure-boot-off", &[4, 11]),
    ("tampered-addon", "tampered-addon", &[4, 9, 12]),
];

#[test]
fn a_boot_measures_what_its_image_predicts_and_a_tampered_one_does_not() {
    assert_eq!(differing("secure-boot-off", "secure-boot-off"), [0; 0]);
    for (boot, prediction, expected) in TAMPERED {
        assert_eq!(differing(boot, prediction), expected, "{boot}");
    }
}

/// `policy new --image` made the policy from the image alone.
#[test]
fn the_policy_from_the_image_affirms_its_boot_and_refuses_the_tampered_ones() {
    assert_eq!(appraise("secure-boot-off", "secure-boot-off").verdict(), Verdict::Affirmed);
    for (boot, image, _) in TAMPERED {
        let result = appraise(boot, image);
        assert_eq!(result.verdict(), Verdict::Refused, "{boot}");
        assert_eq!(result.reasons()[0].code, "pcr.mismatch", "{boot}");
    }
}
