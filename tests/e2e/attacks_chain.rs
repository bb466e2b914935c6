//! The attack ledger's section D, second part: who signed the document, and until when.

use nitrotpm_document_issuer::{
    CertificateTemplate, Curve, Envelope, Extension, Key, NamePart, Payload, Profile, cbor,
};
use nitrotpm_verifier::{Clock, Trust, TrustRoots, UnixTime};

use crate::workbench::{Case, MADE, Workbench, live};

/// Alters the `cabundle`.
type Alteration = fn(&mut Vec<Vec<u8>>);
/// Picks one certificate's template.
type Template = fn(&mut Profile) -> &mut CertificateTemplate;

const TEMPLATES: [Template; 4] = [
    |profile| &mut profile.regional,
    |profile| &mut profile.zonal,
    |profile| &mut profile.instance,
    |profile| &mut profile.leaf,
];

/// Evidence under certificates of which one thing was altered before they were signed, all the rest being signed anew.
fn altered(alter: impl FnOnce(&mut Profile)) -> Case {
    Workbench::with_profile(alter).documented()
}

/// Replaces `BasicConstraints`.
fn basic(template: &mut CertificateTemplate, ca: bool, path_len: Option<u8>) {
    for extension in &mut template.extensions {
        if matches!(extension, Extension::BasicConstraints { .. }) {
            *extension = Extension::BasicConstraints { critical: true, ca, path_len };
        }
    }
}

/// Replaces `KeyUsage`.
fn usage(template: &mut CertificateTemplate, bits: u8) {
    for extension in &mut template.extensions {
        if let Extension::KeyUsage { bits: found, .. } = extension {
            *found = bits;
        }
    }
}

#[test]
fn d8_only_pinned_roots_are_anchors() {
    let (ours, attacker) = (Workbench::new(), Workbench::new());
    let twin = ours.documented();
    twin.accept();
    // The attacker's chain has the same names throughout, and verifies under the attacker's root.
    let attack = twin.with_document(attacker.document(|_| ()));
    attack.with(|case| case.trust = Trust::roots(attacker.roots())).accept();
    attack.reject("document.chain-root");
    attack.with(|case| case.trust = Trust::aws()).reject("document.chain-root");
    attack.with(|case| case.trust = Trust::roots(TrustRoots::empty())).reject("document.chain-root");
    // Our root in front of the attacker's chain.
    let mut bundle = attacker.pki.cabundle();
    bundle[0] = ours.pki.root().certificate().to_vec();
    let document = attacker.document(|payload| payload.set("cabundle", certificates(&bundle)));
    twin.with_document(document).reject("document.certificate-signature");
}

fn certificates(bundle: &[Vec<u8>]) -> Vec<u8> {
    cbor::array(&bundle.iter().map(|der| cbor::bytes(der)).collect::<Vec<_>>())
}

#[test]
fn d9_the_certificates_are_one_line_from_the_root_to_the_leaf() {
    let bench = Workbench::new();
    let twin = bench.documented();
    twin.accept();
    let cases: [(Alteration, &str); 7] = [
        (|bundle| bundle.reverse(), "document.chain-root"),
        (|bundle| bundle.swap(1, 2), "document.chain"),
        (|bundle| drop(bundle.remove(0)), "document.chain-root"),
        (|bundle| drop(bundle.remove(2)), "document.chain"),
        (|bundle| bundle.insert(2, bundle[1].clone()), "document.chain"),
        (|bundle| bundle.push(bundle[3].clone()), "document.chain"),
        (|bundle| bundle.clear(), "document.field"),
    ];
    for (alter, code) in cases {
        let mut bundle = bench.pki.cabundle();
        alter(&mut bundle);
        let document = bench.document(|payload| payload.set("cabundle", certificates(&bundle)));
        twin.with_document(document).reject(code);
    }
}

#[test]
fn d9_authorities_are_authorities_and_the_leaf_is_none() {
    altered(|_| ()).accept();
    altered(|profile| basic(&mut profile.leaf, true, None)).reject("document.certificate-profile");
    for template in TEMPLATES.iter().take(3) {
        altered(|profile| basic(template(profile), false, None)).reject("document.certificate-profile");
    }
    // A document signed by the instance's authority itself.
    let bench = Workbench::new();
    let authority = bench.pki.below().last().unwrap();
    let mut bundle = bench.pki.cabundle();
    bundle.pop();
    let payload = Payload::nitrotpm(&bench.contents, authority.certificate(), &bundle);
    let document = Envelope::sign(payload.encode(), authority.key()).unwrap().encode();
    bench.documented().with_document(document).reject("document.certificate-profile");
}

#[test]
fn d9_path_lengths_and_key_usages_are_held() {
    altered(|profile| basic(&mut profile.regional, true, Some(9))).accept();
    for (place, path_len) in [(0, Some(1)), (1, Some(0)), (0, None), (2, None)] {
        altered(|profile| basic(TEMPLATES[place](profile), true, path_len)).reject("document.certificate-profile");
    }
    altered(|profile| usage(&mut profile.leaf, 0x80)).accept();
    altered(|profile| usage(&mut profile.leaf, 0x04)).reject("document.certificate-profile");
    for template in TEMPLATES.iter().take(3) {
        altered(|profile| usage(template(profile), 0x80)).reject("document.certificate-profile");
        let without = |extension: &Extension| !matches!(extension, Extension::KeyUsage { .. });
        altered(|profile| template(profile).extensions.retain(without)).reject("document.certificate-profile");
    }
}

#[test]
fn d9_other_curves_and_unknown_critical_extensions_are_refused() {
    let unknown = |critical| Extension::Other { oid: vec![1, 3, 6, 1, 4, 1, 99_999, 1], critical, value: vec![5, 0] };
    for template in TEMPLATES {
        altered(|profile| template(profile).extensions.push(unknown(false))).accept();
        altered(|profile| template(profile).extensions.push(unknown(true))).reject("document.certificate-profile");
    }
    for template in TEMPLATES.iter().take(3) {
        altered(|profile| template(profile).curve = Curve::P256).reject("document.certificate-profile");
    }
    // The leaf's signature is then shorter; as long as it should be, the key is what is wrong.
    let bench = Workbench::with_profile(|profile| profile.leaf.curve = Curve::P256);
    let mut envelope = bench.envelope();
    envelope.signature.resize(96, 0);
    bench.documented().with_document(envelope.encode()).reject("document.certificate-profile");
}

#[test]
fn d9_both_engines_must_accept() {
    // An extended key usage, of which the profile says nothing and path validation does.
    let usage = |last: u8| Extension::Other {
        oid: vec![2, 5, 29, 37],
        critical: false,
        value: vec![0x30, 0x0A, 0x06, 0x08, 0x2B, 6, 1, 5, 5, 7, 3, last],
    };
    let (server, client) = (1, 2);
    altered(|profile| profile.leaf.extensions.push(usage(client))).accept();
    altered(|profile| profile.leaf.extensions.push(usage(server))).reject("document.chain-engines-disagree");
}

#[test]
fn d9_the_names_speak_of_one_machine() {
    altered(|_| ()).accept();
    let names = [
        "0123456789abcdef.eu-west-1.aws.nitro-enclaves",
        "0123456789abcdef.zonal.eu-west-1.aws.nitro-enclaves",
        "i-0fedcba9876543210.eu-central-1.aws.nitro-enclaves",
        "i-0fedcba9876543210-tpm0000000000000000.eu-central-1.aws",
    ];
    for (template, name) in TEMPLATES.iter().zip(names) {
        altered(|profile| template(profile).set_name(NamePart::CommonName, name)).reject("document.certificate-name");
    }
}

#[test]
fn d10_a_chain_that_was_accepted_is_judged_by_the_clock_again() {
    // One and the same trust, used for every run: nothing of an earlier acceptance may outlive the certificates.
    let bench = Workbench::new();
    let twin = bench.documented();
    for _ in 0..2 {
        twin.accept();
        twin.with(|case| case.clock = live(MADE + 3 * 3600 + 1)).reject("document.certificate-expired");
        twin.with(|case| case.clock = live(MADE - 4)).reject("document.certificate-not-yet-valid");
    }
    // The same certificates but one, under the same names.
    let other = Workbench::new();
    let mut bundle = bench.pki.cabundle();
    bundle[2] = other.pki.cabundle()[2].clone();
    let document = bench.document(|payload| payload.set("cabundle", certificates(&bundle)));
    let result = twin.with_document(document).judge();
    let code = result.reasons()[0].code;
    assert!(["document.certificate-signature", "document.chain"].contains(&code), "{}", result.to_json());
}

#[test]
fn d12_every_certificate_is_valid_at_the_clock() {
    let root: Template = |profile| &mut profile.root;
    for template in [root].into_iter().chain(TEMPLATES) {
        // Judged at MADE + 60.
        altered(|profile| template(profile).not_after = MADE + 60).accept();
        altered(|profile| template(profile).not_after = MADE + 59).reject("document.certificate-expired");
        altered(|profile| template(profile).not_before = MADE + 61).reject("document.certificate-not-yet-valid");
    }
}

#[test]
fn d12_now_and_then_are_two_questions_with_two_answers() {
    let bench = Workbench::new();
    let months_later = bench.documented().with(|case| case.clock = live(MADE + 180 * 86_400));
    let result = months_later.reject("document.certificate-expired");
    assert!(result.to_json().contains("\"time_mode\":\"live\""));
    let made = UnixTime::since_unix_epoch(core::time::Duration::from_secs(MADE));
    let audit = months_later.with(|case| case.clock = Clock::Audit(made)).accept();
    assert!(audit.to_json().contains("\"time_mode\":\"audit\""));
}

#[test]
fn d12_what_was_altered_is_not_called_expired() {
    let bench = Workbench::new();
    let late = bench.documented().with(|case| case.clock = live(MADE + 180 * 86_400));
    late.reject("document.certificate-expired");
    let mut envelope = bench.envelope();
    envelope.signature[95] ^= 1;
    late.with_document(envelope.encode()).reject("document.signature");
    // Nor one that somebody else signed.
    let stranger = Key::generate(Curve::P384).unwrap();
    let document = Envelope::sign(bench.payload().encode(), &stranger).unwrap().encode();
    late.with_document(document).reject("document.signature");
}
