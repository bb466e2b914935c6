//! A small machine of our own: PKI, attestation key, boot with its log and PCRs, policy. Each attack takes the evidence
//! that it would send, alters one thing, and looks at the verdict.

use core::time::Duration;

use nitrotpm_document_issuer::{DocumentContents, Envelope, Key, Payload, Pki, Profile};
use nitrotpm_eventlog::writer::{LogBuilder, uefi_variable};
use nitrotpm_eventlog::{EventLog, EventType, Guid, LogError, ParseOptions, guid};
use nitrotpm_nitro_document::DocumentError;
use nitrotpm_pcr::{Bank, Chain, Digest, PcrIndex, PcrValues};
use nitrotpm_quote::QuoteError;
use nitrotpm_testkit::{QuoteBuilder, SoftwareKey};
use nitrotpm_tpm_wire::Structure;
use nitrotpm_verifier::{
    AttestationKey, AttestationResult, Clock, ClockInfo, Evidence, EvidenceError, Nonce, NonceExpectation, Outcome,
    Policy, QuoteBytes, REFUSAL_CODES, Request, Trust, TrustRoots, UnixTime, Verdict, VerifyError, WARNING_CODES,
    verify,
};

pub(crate) const INSTANCE: &str = "i-0123456789abcdef0";
pub(crate) const MODULE: &str = "i-0123456789abcdef0-tpm0000000000000000";
pub(crate) const REGION: &str = "eu-central-1";
/// When the evidence was made: 2026-06-01T12:00:00.250Z.
pub(crate) const MADE: u64 = 1_780_315_200;
pub(crate) const MADE_MILLIS: u64 = 1_780_315_200_250;
pub(crate) const NONCE: [u8; 32] = *b"32 bytes that the verifier chose";
/// The banks that the machine has.
pub(crate) const BANKS: [Bank; 2] = [Bank::Sha256, Bank::Sha384];

const GLOBAL: Guid = guid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
const DATABASE: Guid = guid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f");

pub(crate) fn index(number: u8) -> PcrIndex {
    PcrIndex::new(number).unwrap()
}

pub(crate) fn live(seconds: u64) -> Clock {
    Clock::Live(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

/// The values without one register, or with another value for it.
pub(crate) fn changed(values: &PcrValues, bank: Bank, pcr: u8, new: Option<Digest>) -> PcrValues {
    let mut copy = only(values, |of, at| (of, at) != (bank, pcr));
    if let Some(value) = new {
        copy.insert(index(pcr), value).unwrap();
    }
    copy
}

/// Some of the values.
pub(crate) fn only(values: &PcrValues, keep: impl Fn(Bank, u8) -> bool) -> PcrValues {
    let mut copy = PcrValues::new();
    for (bank, pcr, value) in values.iter().filter(|(bank, pcr, _)| keep(*bank, pcr.get())) {
        assert_eq!(value.algorithm(), bank);
        copy.insert(pcr, *value).unwrap();
    }
    copy
}

/// A boot as its log tells it.
#[derive(Clone, Debug)]
pub(crate) struct Boot {
    pub(crate) log: LogBuilder,
}

impl Boot {
    /// Firmware, a boot loader image, an initrd, a unified kernel image's sections; Secure Boot on or off.
    pub(crate) fn new(secure_boot: bool, banks: &[Bank]) -> Self {
        let mut log = LogBuilder::crypto_agile(banks);
        log.measure(0, EventType::S_CRTM_VERSION, b"firmware 1\0");
        let keys = |contents: &'static [u8]| if secure_boot { contents } else { &[] };
        for (namespace, name, contents) in [
            (GLOBAL, "SecureBoot", [u8::from(secure_boot)].as_slice()),
            (GLOBAL, "PK", keys(b"platform key")),
            (GLOBAL, "KEK", keys(b"key exchange key")),
            (DATABASE, "db", keys(b"allowed")),
            (DATABASE, "dbx", keys(b"forbidden")),
        ] {
            log.measure(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &uefi_variable(namespace, name, contents));
        }
        log.measure(1, EventType::EFI_VARIABLE_BOOT, &uefi_variable(GLOBAL, "BootOrder", &[0, 0]));
        log.measure(4, EventType::EFI_ACTION, b"Calling EFI Application from Boot Option");
        for pcr in 0..8 {
            log.measure(pcr, EventType::SEPARATOR, &[0; 4]);
        }
        if secure_boot {
            log.measure(7, EventType::EFI_VARIABLE_AUTHORITY, &uefi_variable(DATABASE, "db", b"allowed"));
        }
        log.measure_as(4, EventType::EFI_BOOT_SERVICES_APPLICATION, b"the unified kernel image", &[0; 32]);
        log.measure(11, EventType::IPL, b".\0l\0i\0n\0u\0x\0\0\0");
        log.measure_as(11, EventType::IPL, b"the kernel", b"k\0\0\0");
        log.measure_as(9, EventType::EVENT_TAG, b"the initrd", b"initrd");
        log.measure(5, EventType::EFI_ACTION, b"Exit Boot Services Invocation");
        Self { log }
    }

    /// The same boot with a command line appended from outside, as systemd-stub measures it.
    pub(crate) fn with_appended_command_line(mut self) -> Self {
        self.log.measure_as(12, EventType::IPL, b"init=/bin/sh", b"init=/bin/sh");
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.log.finish().unwrap()
    }

    /// What a TPM holds after this boot: all 24 registers of every bank.
    pub(crate) fn pcrs(&self) -> PcrValues {
        let bytes = self.bytes();
        let log = EventLog::parse(&bytes, &ParseOptions::default()).unwrap();
        let replayed = log.replay_all().unwrap().values();
        let mut values = PcrValues::new();
        for bank in log.known_banks() {
            for pcr in PcrIndex::all() {
                let reset = Chain::new(bank, pcr).value();
                values.insert(pcr, replayed.get(bank, pcr).copied().unwrap_or(reset)).unwrap();
            }
        }
        values
    }
}

/// A policy's text with one image of these registers.
pub(crate) fn policy(require: &str, pcrs: &PcrValues) -> String {
    format!("schema = \"nitrotpm.policy/1\"\n[require]\n{require}\n{}", image("the image", "", pcrs))
}

/// One image of a policy.
pub(crate) fn image(name: &str, more: &str, pcrs: &PcrValues) -> String {
    let mut text = format!("[[image]]\nname = \"{name}\"\n{more}\n");
    for bank in pcrs.banks() {
        text.push_str(&format!("[image.pcrs.{bank}]\n"));
        for (_, pcr, value) in pcrs.iter().filter(|(of, _, _)| *of == bank) {
            text.push_str(&format!("{pcr} = \"{value}\"\n"));
        }
    }
    text
}

/// The machine, its keys, and AWS's as far as we need them.
pub(crate) struct Workbench {
    pub(crate) boot: Boot,
    pub(crate) pcrs: PcrValues,
    pub(crate) ak: SoftwareKey,
    pub(crate) pki: Pki,
    pub(crate) leaf: Vec<u8>,
    pub(crate) leaf_key: Key,
    pub(crate) contents: DocumentContents,
}

impl Workbench {
    /// Secure Boot on, a P-256 attestation key.
    pub(crate) fn new() -> Self {
        Self::with(Boot::new(true, &BANKS), SoftwareKey::p256(), |_| ())
    }

    pub(crate) fn with_key(ak: SoftwareKey) -> Self {
        Self::with(Boot::new(true, &BANKS), ak, |_| ())
    }

    pub(crate) fn with_boot(boot: Boot) -> Self {
        Self::with(boot, SoftwareKey::p256(), |_| ())
    }

    /// Certificates altered before they are signed.
    pub(crate) fn with_profile(alter: impl FnOnce(&mut Profile)) -> Self {
        Self::with(Boot::new(true, &BANKS), SoftwareKey::p256(), alter)
    }

    fn with(boot: Boot, ak: SoftwareKey, alter: impl FnOnce(&mut Profile)) -> Self {
        let mut profile = Profile::aws(MODULE, REGION, MADE).unwrap();
        alter(&mut profile);
        let pki = Pki::generate(&profile).unwrap();
        let (leaf, leaf_key) = pki.issue_leaf(&profile.leaf).unwrap();
        let pcrs = boot.pcrs();
        let contents = DocumentContents {
            module_id: MODULE.into(),
            timestamp_millis: MADE_MILLIS,
            pcrs: pcrs.clone(),
            public_key: Some(ak.public_key().to_sec1().unwrap_or_else(|| ak.public_key().to_spki_der())),
            user_data: None,
            nonce: Some(NONCE.to_vec()),
        };
        Self { boot, pcrs, ak, pki, leaf, leaf_key, contents }
    }

    /// The attestation key as a TPM would write it.
    pub(crate) fn ak_public(&self) -> Vec<u8> {
        self.ak.attestation_area().to_bytes().unwrap()
    }

    pub(crate) fn attestation_key(&self) -> AttestationKey {
        AttestationKey::parse(&self.ak_public()).unwrap()
    }

    /// The registers of one bank.
    pub(crate) fn bank(&self, bank: Bank) -> PcrValues {
        only(&self.pcrs, |of, _| of == bank)
    }

    /// A quote of all SHA-384 registers with one thing altered before it is signed.
    pub(crate) fn quote(&self, alter: impl FnOnce(&mut QuoteBuilder)) -> QuoteBytes {
        self.quote_of(&self.bank(Bank::Sha384), alter)
    }

    pub(crate) fn quote_of(&self, values: &PcrValues, alter: impl FnOnce(&mut QuoteBuilder)) -> QuoteBytes {
        let mut builder = QuoteBuilder::new(&NONCE, values);
        alter(&mut builder);
        let signed = builder.sign_usual(&self.ak);
        QuoteBytes { attest: signed.attest, signature: signed.signature }
    }

    pub(crate) fn payload(&self) -> Payload {
        Payload::nitrotpm(&self.contents, &self.leaf, &self.pki.cabundle())
    }

    pub(crate) fn envelope(&self) -> Envelope {
        Envelope::sign(self.payload().encode(), &self.leaf_key).unwrap()
    }

    /// The document with its payload altered before it is signed.
    pub(crate) fn document(&self, alter: impl FnOnce(&mut Payload)) -> Vec<u8> {
        let mut payload = self.payload();
        alter(&mut payload);
        self.document_of(payload.encode())
    }

    /// The document with other bytes as its payload.
    pub(crate) fn document_of(&self, payload: Vec<u8>) -> Vec<u8> {
        Envelope::sign(payload, &self.leaf_key).unwrap().encode()
    }

    /// The document with its envelope altered before it is signed.
    pub(crate) fn enveloped(&self, alter: impl FnOnce(&mut Envelope)) -> Vec<u8> {
        let mut envelope = self.envelope();
        alter(&mut envelope);
        envelope.sign_again(&self.leaf_key).unwrap();
        envelope.encode()
    }

    pub(crate) fn roots(&self) -> TrustRoots {
        let mut roots = TrustRoots::empty();
        roots.add_der(self.pki.root().certificate()).unwrap();
        roots
    }

    /// What identifies the image: SHA-384 PCRs 4, 7, 11, 12.
    pub(crate) fn image_pcrs(&self) -> PcrValues {
        only(&self.pcrs, |bank, pcr| bank == Bank::Sha384 && [4, 7, 11, 12].contains(&pcr))
    }

    /// A quote by a key that the caller pinned, and the log.
    pub(crate) fn pinned(&self) -> Case {
        let mut evidence = Evidence::default();
        evidence.ak_public = Some(self.ak_public());
        evidence.quotes = vec![self.quote(|_| ())];
        evidence.pcrs = self.bank(Bank::Sha384);
        evidence.event_log = Some(self.boot.bytes());
        self.case(evidence, Trust::roots(self.roots()).pin(self.attestation_key()), "quote = true\nevent_log = true")
    }

    /// A document that carries the key, a quote by it, and the log.
    pub(crate) fn bound(&self) -> Case {
        let mut case = self.pinned();
        case.evidence.document = Some(self.document(|_| ()));
        case.trust = Trust::roots(self.roots());
        case.policy = policy("document = true\nquote = true\nevent_log = true", &self.image_pcrs());
        case
    }

    /// A document and the log.
    pub(crate) fn documented(&self) -> Case {
        let mut evidence = Evidence::default();
        evidence.document = Some(self.document(|_| ()));
        evidence.event_log = Some(self.boot.bytes());
        self.case(evidence, Trust::roots(self.roots()), "document = true\nevent_log = true")
    }

    fn case(&self, evidence: Evidence, trust: Trust, require: &str) -> Case {
        Case {
            evidence,
            trust,
            policy: policy(require, &self.image_pcrs()),
            nonce: Some(NONCE.to_vec()),
            clock: live(MADE + 60),
            previous: None,
            ima_allow_list: None,
        }
    }
}

/// Evidence with everything it is judged by.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) evidence: Evidence,
    pub(crate) trust: Trust,
    pub(crate) policy: String,
    /// The nonce that was sent; `None` where the caller chooses by name not to check it.
    pub(crate) nonce: Option<Vec<u8>>,
    pub(crate) clock: Clock,
    pub(crate) previous: Option<ClockInfo>,
    /// The files that IMA may have measured, as `sha256sum` prints them.
    pub(crate) ima_allow_list: Option<String>,
}

impl Case {
    pub(crate) fn judge(&self) -> AttestationResult {
        self.judge_bytes(&self.evidence.to_json())
    }

    /// The verdict on other bytes than those of the bundle.
    #[track_caller]
    pub(crate) fn judge_bytes(&self, evidence: &[u8]) -> AttestationResult {
        let mut policy = Policy::from_toml(self.policy.as_bytes()).unwrap();
        if let Some(list) = &self.ima_allow_list {
            policy = policy.with_ima_allow_list(list.as_bytes()).unwrap();
        }
        let nonce = self.nonce.as_deref().map(|bytes| Nonce::new(bytes).unwrap());
        let expectation = nonce.as_ref().map_or(NonceExpectation::NotChecked, NonceExpectation::Expected);
        let request = Request::new(expectation, self.clock);
        let request = self.previous.map_or(request, |previous| request.after(previous));
        let result = verify(evidence, &policy, &self.trust, &request);
        assert_eq!(result.to_json(), verify(evidence, &policy, &self.trust, &request).to_json());
        self.check(&result);
        result
    }

    /// What holds of every result.
    #[track_caller]
    fn check(&self, result: &AttestationResult) {
        let affirmed = result.verdict() == Verdict::Affirmed;
        assert_eq!(result.reasons().is_empty(), affirmed, "{}", result.to_json());
        let failed = result.checks().iter().filter(|check| check.outcome == Outcome::Fail).count();
        assert_eq!(failed == 0, affirmed, "{}", result.to_json());
        if result.verdict() == Verdict::Invalid {
            // Nothing of what could not be verified comes out.
            assert_eq!(result.checks().last().map(|check| check.outcome), Some(Outcome::Fail));
            assert!(result.pcrs().is_empty() && result.image().is_none());
            assert_eq!((result.claims().ak_binding, result.claims().secure_boot), ("none", "unknown"));
            assert!(result.claims().document.is_none() && result.claims().quotes.is_empty());
        }
        for reason in result.reasons() {
            let listed: &[&[&str]] = if result.verdict() == Verdict::Refused {
                &[REFUSAL_CODES]
            } else {
                &[VerifyError::CODES, EvidenceError::CODES, DocumentError::CODES, QuoteError::CODES, LogError::CODES]
            };
            assert!(listed.iter().any(|codes| codes.contains(&reason.code)), "{} is not listed", reason.code);
            assert!(reason.message.len() > 30 && !reason.message.contains('\n'), "{}", reason.message);
            // E3: no message gives away what was expected.
            let nonce = self.nonce.as_ref().map(hex::encode).unwrap_or_else(|| "-".repeat(9));
            assert!(!reason.message.contains(&nonce), "{}", reason.message);
        }
        assert!(result.warnings().iter().all(|warning| WARNING_CODES.contains(&warning.code)));
    }

    #[track_caller]
    pub(crate) fn accept(&self) -> AttestationResult {
        let result = self.judge();
        assert_eq!(result.verdict(), Verdict::Affirmed, "{}", result.to_json());
        result
    }

    /// Authentic, and not as the policy wants it: for this reason alone.
    #[track_caller]
    pub(crate) fn refuse(&self, code: &str) -> AttestationResult {
        self.ends(&self.evidence.to_json(), Verdict::Refused, code)
    }

    /// Not authentic, and so on: for this reason alone.
    #[track_caller]
    pub(crate) fn reject(&self, code: &str) -> AttestationResult {
        self.ends(&self.evidence.to_json(), Verdict::Invalid, code)
    }

    /// The same for other bytes than those of the bundle.
    #[track_caller]
    pub(crate) fn reject_bytes(&self, evidence: &[u8], code: &str) -> AttestationResult {
        self.ends(evidence, Verdict::Invalid, code)
    }

    #[track_caller]
    fn ends(&self, evidence: &[u8], verdict: Verdict, code: &str) -> AttestationResult {
        let result = self.judge_bytes(evidence);
        assert_eq!(result.verdict(), verdict, "{}", result.to_json());
        let mut codes: Vec<_> = result.reasons().iter().map(|reason| reason.code).collect();
        codes.dedup();
        assert_eq!(codes, [code], "{}", result.to_json());
        result
    }

    /// The same with one thing altered.
    #[must_use]
    pub(crate) fn with(&self, alter: impl FnOnce(&mut Self)) -> Self {
        let mut altered = self.clone();
        alter(&mut altered);
        altered
    }

    /// The same with another quote.
    #[must_use]
    pub(crate) fn with_quote(&self, quote: QuoteBytes) -> Self {
        self.with(|case| case.evidence.quotes = vec![quote])
    }

    /// The same with another document.
    #[must_use]
    pub(crate) fn with_document(&self, document: Vec<u8>) -> Self {
        self.with(|case| case.evidence.document = Some(document))
    }
}

/// The codes of a result's warnings.
pub(crate) fn warnings(result: &AttestationResult) -> Vec<&'static str> {
    result.warnings().iter().map(|warning| warning.code).collect()
}

/// What a check found, `None` where it did not run.
pub(crate) fn outcome(result: &AttestationResult, id: &str) -> Option<Outcome> {
    result.checks().iter().find(|check| check.id == id).map(|check| check.outcome)
}

#[test]
fn every_kind_of_evidence_is_affirmed_as_it_is() {
    let bench = Workbench::new();
    let pinned = bench.pinned().accept();
    assert_eq!((pinned.claims().ak_binding, pinned.claims().secure_boot), ("pinned", "enabled"));
    assert!(pinned.claims().instance_id.is_none());
    let bound = bench.bound().accept();
    assert_eq!((bound.claims().ak_binding, bound.claims().instance_id.as_deref()), ("document", Some(INSTANCE)));
    let documented = bench.documented().accept();
    assert_eq!((documented.claims().ak_binding, documented.pcrs()), ("none", &bench.bank(Bank::Sha384)));
    for key in [SoftwareKey::p384(), SoftwareKey::rsa2048()] {
        let bench = Workbench::with_key(key);
        bench.pinned().accept();
        bench.bound().accept();
    }
    let off = Workbench::with_boot(Boot::new(false, &BANKS)).bound();
    assert_eq!(off.accept().claims().secure_boot, "disabled");
    let off = off.with(|case| case.policy = case.policy.replace("quote = true", "quote = true\nsecure_boot = true"));
    off.refuse("secure_boot.disabled");
}
