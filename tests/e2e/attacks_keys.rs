//! The attack ledger's section E, as far as a library decides it: which key is whose.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nitrotpm_pcr::Bank;
use nitrotpm_testkit::{QuoteBuilder, SoftwareKey};
use nitrotpm_tpm_wire::Structure;
use nitrotpm_verifier::{AttestationKey, Enrolment, QuoteBytes, Trust};

use crate::workbench::{Case, INSTANCE, MODULE, NONCE, Workbench, changed, only, policy};

const SHA384: Bank = Bank::Sha384;
const OTHER_INSTANCE: &str = "i-0fedcba9876543210";

/// An enrolment record of these keys.
fn enrolment(ak: &SoftwareKey, ek: &SoftwareKey, instance: Option<&str>) -> Enrolment {
    let instance = instance.map_or_else(String::new, |id| format!(", \"instance_id\": \"{id}\""));
    let record = format!(
        "{{\"schema\": \"nitrotpm.enrolment/1\", \"ek_public\": \"{}\", \"ak_public\": \"{}\"{instance}}}",
        STANDARD.encode(ek.public_key().to_spki_der()),
        STANDARD.encode(ak.attestation_area().to_bytes().unwrap()),
    );
    Enrolment::from_json(record.as_bytes()).unwrap()
}

fn enrolled(bench: &Workbench, ek: &SoftwareKey, instance: Option<&str>) -> Case {
    let record = enrolment(&bench.ak, ek, instance);
    bench.pinned().with(|case| {
        case.trust = Trust::roots(bench.roots()).enrol(record);
        case.evidence.ek_public = Some(ek.public_key().to_spki_der());
    })
}

#[test]
fn e2_the_verdict_names_exactly_the_keys_that_were_used() {
    let bench = Workbench::new();
    let ek = SoftwareKey::p384();
    let twin = enrolled(&bench, &ek, Some(INSTANCE));
    let result = twin.accept();
    let claims = result.claims();
    assert_eq!((claims.ak_binding, claims.instance_id.as_deref()), ("enrolled", Some(INSTANCE)));
    let digest = |key: &SoftwareKey| hex::encode(AttestationKey::from_public_key(key.public_key()).sha256());
    assert_eq!(claims.ak_sha256, Some(digest(&bench.ak)));
    assert_eq!(claims.ek_sha256, Some(digest(&ek)));
    // The same key in another form is the same key, and has the same digest.
    let area = ek.attestation_area().to_bytes().unwrap();
    let other_form = twin.with(|case| case.evidence.ek_public = Some(area)).accept();
    assert_eq!(other_form.claims(), claims);
    // Another endorsement key beside the enrolled attestation key, and none that can be read.
    for other in [SoftwareKey::p384().public_key().to_spki_der(), b"no key".to_vec()] {
        twin.with(|case| case.evidence.ek_public = Some(other)).reject("enrolment.ek-mismatch");
    }
    // The other pair's attestation key.
    let stranger = Workbench::new();
    let attack = twin.with(|case| {
        case.evidence.ak_public = Some(stranger.ak_public());
        case.evidence.quotes = vec![stranger.quote(|_| ())];
    });
    attack.reject("quote.key-untrusted");
}

#[test]
fn e2_an_endorsement_key_that_nobody_vouches_for_is_not_claimed() {
    let bench = Workbench::new();
    let twin = bench.pinned();
    let without = twin.accept();
    let ek = SoftwareKey::p384().public_key().to_spki_der();
    let with = twin.with(|case| case.evidence.ek_public = Some(ek)).accept();
    assert_eq!((with.claims(), &with.claims().ek_sha256), (without.claims(), &None));
}

#[test]
fn e5_a_document_never_enrols_a_key_for_quotes_alone() {
    let bench = Workbench::new();
    let twin = bench.bound();
    twin.accept();
    // Later, without the document.
    let attack = twin.with(|case| {
        case.evidence.document = None;
        case.policy = policy("quote = true", &bench.image_pcrs());
    });
    attack.reject("quote.key-untrusted");
    attack.with(|case| case.evidence.ak_public = None).reject("quote.key-missing");
    // With the document, and a quote of registers that it does not have.
    let values = bench.bank(Bank::Sha256);
    let attack = twin.with(|case| {
        case.evidence.quotes = vec![bench.quote_of(&values, |_| ())];
        case.evidence.pcrs = values;
    });
    attack.reject("quote.not-bound");
    // Registers that software resets tie nothing.
    let values = only(&bench.pcrs, |bank, pcr| bank == SHA384 && [16, 23].contains(&pcr));
    let attack = twin.with(|case| {
        case.evidence.quotes = vec![bench.quote_of(&values, |_| ())];
        case.evidence.pcrs = values;
    });
    attack.reject("quote.not-bound");
}

#[test]
fn e5_a_software_key_in_a_genuine_document_signs_no_other_values() {
    // Whoever is root chooses the document's key. Its quotes then say nothing that the document does not say.
    let bench = Workbench::new();
    let twin = bench.bound();
    twin.accept();
    for pcr in [0, 4, 7, 11, 23] {
        let forged = nitrotpm_digest_lanes::hash(SHA384, &[b"what the attacker wishes"]);
        let values = changed(&bench.bank(SHA384), SHA384, pcr, Some(forged));
        let attack = twin.with(|case| {
            case.evidence.quotes = vec![bench.quote_of(&values, |_| ())];
            case.evidence.pcrs = values;
        });
        let result = attack.reject("evidence.document-quote-mismatch");
        assert_eq!(result.reasons()[0].pcr, Some(pcr));
        assert_eq!(result.reasons()[0].found, Some(forged.to_string()));
    }
    // In a bank that the document does not have, its quote may say anything: nothing of it is authenticated.
    let mut values = changed(&bench.pcrs, Bank::Sha256, 4, Some(nitrotpm_digest_lanes::hash(Bank::Sha256, &[b"x"])));
    let attack = twin.with(|case| {
        case.evidence.quotes = vec![bench.quote_of(&values, |_| ())];
        case.evidence.pcrs = values.clone();
    });
    assert_eq!(attack.accept().pcrs(), &bench.bank(SHA384));
    values = only(&values, |bank, pcr| (bank, pcr) == (Bank::Sha256, 4));
    attack.with(|case| case.policy = policy("quote = true", &values)).refuse("pcr.not-authenticated");
}

#[test]
fn e5_where_keys_are_pinned_a_documents_key_is_not_accepted() {
    let bench = Workbench::new();
    bench.bound().accept();
    let other = AttestationKey::from_public(SoftwareKey::p256().attestation_area()).unwrap();
    bench.bound().with(|case| case.trust = case.trust.clone().pin(other)).reject("quote.key-untrusted");
}

#[test]
fn e6_a_self_made_key_is_refused_before_any_policy_runs() {
    let bench = Workbench::new();
    let twin = bench.pinned();
    twin.accept();
    // Everything is right but the key, whose owner is the attacker.
    let attacker = Workbench::new();
    let attack = twin.with(|case| {
        case.evidence.ak_public = Some(attacker.ak_public());
        case.evidence.quotes = vec![attacker.quote(|_| ())];
    });
    let result = attack.reject("quote.key-untrusted");
    assert!(result.checks().iter().all(|check| !check.id.starts_with("policy.")), "{}", result.to_json());
    // Whether the policy asks for much or little, and whether any key is trusted at all.
    let little = "schema = \"nitrotpm.policy/1\"\nrequire.quote = true";
    attack.with(|case| case.policy = little.into()).reject("quote.key-untrusted");
    attack.with(|case| case.trust = Trust::roots(bench.roots())).reject("quote.key-untrusted");
    // Nor under the trusted key's name.
    let attack = twin.with(|case| case.evidence.quotes = vec![attacker.quote(|_| ())]);
    attack.reject("quote.signature");
    attack.with(|case| case.evidence.ak_public = None).reject("quote.signature");
}

#[test]
fn e7_evidence_of_another_instance_is_refused() {
    let bench = Workbench::new();
    let accepts = |ids: &str| {
        let require = format!("document = true\ninstance_ids = [{ids}]");
        bench.bound().with(|case| case.policy = policy(&require, &bench.image_pcrs()))
    };
    let both = format!("\"{OTHER_INSTANCE}\", \"{INSTANCE}\"");
    assert_eq!(accepts(&both).accept().claims().instance_id.as_deref(), Some(INSTANCE));
    accepts(&format!("\"{INSTANCE}\"")).accept();
    accepts(&format!("\"{OTHER_INSTANCE}\"")).refuse("instance.not-accepted");
    // The same PCRs without anything that says whose they are.
    let require = format!("quote = true\ninstance_ids = [\"{INSTANCE}\"]");
    let nameless = bench.pinned().with(|case| case.policy = policy(&require, &bench.image_pcrs()));
    nameless.refuse("instance.unknown");
}

#[test]
fn e7_an_enrolment_of_another_instance_is_refused() {
    let bench = Workbench::new();
    let ek = SoftwareKey::p384();
    let record = |instance| enrolment(&bench.ak, &ek, Some(instance));
    let with = |instance| bench.bound().with(|case| case.trust = case.trust.clone().enrol(record(instance)));
    with(INSTANCE).accept();
    with(OTHER_INSTANCE).reject("enrolment.instance-mismatch");
    // By the record alone.
    let require = format!("quote = true\ninstance_ids = [\"{INSTANCE}\"]");
    let by_record = |instance| {
        enrolled(&bench, &ek, Some(instance)).with(|case| case.policy = policy(&require, &bench.image_pcrs()))
    };
    by_record(INSTANCE).accept();
    by_record(OTHER_INSTANCE).refuse("instance.not-accepted");
}

#[test]
fn e7_the_accepted_instance_beside_another_ones_boot_is_refused() {
    // Two machines are enrolled. The good one's SHA-384 comes with a quote by the accepted one of something else.
    let (good, accepted) = (Workbench::new(), Workbench::new());
    let (ek_good, ek_accepted) = (SoftwareKey::p384(), SoftwareKey::p384());
    let require = format!("quote = true\ninstance_ids = [\"{INSTANCE}\"]");
    let trust = Trust::roots(good.roots()).enrol(enrolment(&good.ak, &ek_good, Some(OTHER_INSTANCE))).enrol(enrolment(
        &accepted.ak,
        &ek_accepted,
        Some(INSTANCE),
    ));
    let case = |quotes: Vec<QuoteBytes>| {
        good.pinned().with(|case| {
            case.trust = trust.clone();
            case.evidence.ak_public = None;
            case.evidence.quotes = quotes;
            case.evidence.pcrs = good.pcrs.clone();
            case.policy = policy(&require, &good.image_pcrs());
        })
    };
    let sha256 = good.bank(Bank::Sha256);
    case(vec![accepted.quote(|_| ()), accepted.quote_of(&sha256, |_| ())]).accept();
    let result = case(vec![good.quote(|_| ()), accepted.quote_of(&sha256, |_| ())]).reject("quote.signature");
    assert_eq!(result.reasons()[0].quote, Some(1));
}

#[test]
fn e7_a_document_beside_a_quote_that_it_shares_nothing_with_is_refused() {
    // The document names the accepted instance; the registers of the policy come from another trusted machine.
    let (named, other) = (Workbench::new(), Workbench::new());
    let sha256 = other.bank(Bank::Sha256);
    let image = only(&sha256, |_, pcr| [4, 7].contains(&pcr));
    let require = format!("document = true\nquote = true\ninstance_ids = [\"{INSTANCE}\"]");
    let attack = named.bound().with(|case| {
        case.trust = case.trust.clone().pin(other.attestation_key());
        case.evidence.ak_public = Some(other.ak_public());
        case.evidence.quotes = vec![other.quote_of(&sha256, |_| ())];
        case.evidence.pcrs = sha256.clone();
        case.policy = policy(&require, &image);
    });
    attack.reject("quote.not-bound");
    // A quote that has the document's registers too shows that both are of one state.
    let twin = attack.with(|case| {
        case.evidence.quotes = vec![other.quote_of(&other.pcrs, |_| ())];
        case.evidence.pcrs = other.pcrs.clone();
    });
    twin.accept();
    // So does an enrolment record for the document's own instance.
    let ek = SoftwareKey::p384();
    let record = |instance| enrolment(&other.ak, &ek, instance);
    let by_record = |record| attack.with(|case| case.trust = Trust::roots(named.roots()).enrol(record));
    by_record(record(Some(INSTANCE))).accept();
    by_record(record(None)).reject("quote.not-bound");
}

#[test]
fn e7_the_module_speaks_for_its_own_instance() {
    let bench = Workbench::new();
    let twin = bench.documented();
    twin.accept();
    assert!(MODULE.starts_with(INSTANCE));
    let module = nitrotpm_document_issuer::cbor::text(&format!("{OTHER_INSTANCE}-tpm0000000000000000"));
    let document = bench.document(|payload| payload.set("module_id", module));
    twin.with_document(document).reject("document.certificate-name");
}

/// A quote by the testkit carries the nonce as the machines' do.
#[test]
fn the_workbench_signs_what_the_testkit_signs() {
    let bench = Workbench::new();
    let signed = QuoteBuilder::new(&NONCE, &bench.bank(SHA384)).sign_usual(&bench.ak);
    assert_eq!(signed.attest, bench.quote(|_| ()).attest);
}
