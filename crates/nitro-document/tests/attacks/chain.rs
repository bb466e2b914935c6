//! Certificates: roots, order, signatures, profile, names, two engines.

use nitrotpm_document_issuer::{
    Authority, CertificateTemplate, Curve, Envelope, Extension, Key, NamePart, Payload, Pki, Profile, cbor,
};
use nitrotpm_freshness::{Clock, NonceExpectation};
use nitrotpm_nitro_document::{DocumentError, DocumentExpectations, TrustRoots, UnverifiedDocument};

use crate::support::{INSTANCE, MADE, MODULE, Parts, REGION, profile, refused, time};

/// Picks one certificate's template.
type Template = fn(&mut Profile) -> &mut CertificateTemplate;

/// Parts whose certificates were altered in one thing before they were signed. The chain is signed anew throughout, so
/// that nothing else is wrong with it.
fn altered(alter: impl FnOnce(&mut Profile)) -> Parts {
    let mut profile = profile();
    alter(&mut profile);
    Parts::with_profile(&profile)
}

#[track_caller]
fn refuses(alter: impl FnOnce(&mut Profile), code: &str) -> DocumentError {
    Parts::aws().accepted();
    let parts = altered(alter);
    parts.refuses(&parts.document(), code)
}

/// The index and the problem of a certificate that breaks the profile.
#[track_caller]
fn profile_problem(alter: impl FnOnce(&mut Profile)) -> (usize, String) {
    match refuses(alter, "document.certificate-profile") {
        DocumentError::CertificateProfile { certificate, problem } => (certificate.index, problem),
        other => panic!("{other}"),
    }
}

fn drop_extension(template: &mut CertificateTemplate, unwanted: fn(&Extension) -> bool) {
    template.extensions.retain(|extension| !unwanted(extension));
}

const fn is_basic(extension: &Extension) -> bool {
    matches!(extension, Extension::BasicConstraints { .. })
}

const fn is_usage(extension: &Extension) -> bool {
    matches!(extension, Extension::KeyUsage { .. })
}

/// Replaces `BasicConstraints`.
fn basic(template: &mut CertificateTemplate, critical: bool, ca: bool, path_len: Option<u8>) {
    for extension in template.extensions.iter_mut().filter(|extension| is_basic(extension)) {
        *extension = Extension::BasicConstraints { critical, ca, path_len };
    }
}

/// Replaces `KeyUsage`.
fn usage(template: &mut CertificateTemplate, critical: bool, bits: u8) {
    for extension in template.extensions.iter_mut().filter(|extension| is_usage(extension)) {
        *extension = Extension::KeyUsage { critical, bits };
    }
}

/// The document with another `cabundle`.
fn with_bundle(parts: &Parts, alter: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<u8> {
    let mut bundle = parts.pki.cabundle();
    alter(&mut bundle);
    let bundle: Vec<_> = bundle.iter().map(|der| cbor::bytes(der)).collect();
    parts.with_payload(|payload| payload.set("cabundle", cbor::array(&bundle)))
}

#[test]
fn d8_a_root_of_ones_own_in_the_document_is_no_anchor() {
    let ours = Parts::aws();
    ours.accepted();
    // The same names throughout, other keys.
    let attacker = Parts::aws();
    attacker.accepted();
    let error = ours.refuses(&attacker.document(), "document.chain-root");
    assert!(matches!(error, DocumentError::ChainRoot { roots: 1, .. }), "{error}");
    refused(verify_under(&TrustRoots::aws(), &attacker.document()), "document.chain-root");
    let error = refused(verify_under(&TrustRoots::empty(), &attacker.document()), "document.chain-root");
    assert!(error.to_string().contains("no root is trusted at all"), "{error}");
}

fn verify_under(
    roots: &TrustRoots,
    document: &[u8],
) -> Result<nitrotpm_nitro_document::VerifiedDocument, DocumentError> {
    let expectations = DocumentExpectations::new(Clock::Audit(time(MADE)), NonceExpectation::NotChecked);
    UnverifiedDocument::parse(document)?.verify(roots, &expectations)
}

#[test]
fn d8_the_trusted_root_before_a_strangers_chain_does_not_make_it_ours() {
    let ours = Parts::aws();
    let attacker = Parts::aws();
    attacker.accepted();
    let root = ours.pki.root().certificate().to_vec();
    // The names fit; the first intermediate is signed by another key.
    let document = with_bundle(&attacker, |bundle| bundle[0] = root);
    let error = ours.refuses(&document, "document.certificate-signature");
    assert!(matches!(error, DocumentError::CertificateSignature { certificate } if certificate.index == 1));
}

#[test]
fn d8_a_root_with_the_trusted_name_and_key_but_other_bytes_is_no_anchor() {
    let ours = Parts::aws();
    ours.accepted();
    let mut template = ours.pki.root().template().clone();
    template.serial[0] ^= 1;
    let twin = ours.pki.root().issue(&template, ours.pki.root().key()).unwrap();
    ours.refuses(&with_bundle(&ours, |bundle| bundle[0] = twin), "document.chain-root");
}

#[test]
fn d8_more_roots_may_be_trusted_and_each_stands_for_itself() {
    let (ours, other) = (Parts::aws(), Parts::aws());
    let mut roots = TrustRoots::aws();
    roots.add_der(ours.pki.root().certificate()).unwrap();
    verify_under(&roots, &ours.document()).unwrap();
    refused(verify_under(&roots, &other.document()), "document.chain-root");
    roots.add_pem(other.pki.root().certificate_pem().as_bytes()).unwrap();
    verify_under(&roots, &other.document()).unwrap();
    assert_eq!(roots.len(), 3);
}

#[test]
fn only_a_self_signed_p384_authority_can_become_a_trust_root() {
    let parts = Parts::aws();
    let mut roots = TrustRoots::empty();
    roots.add_der(parts.pki.root().certificate()).unwrap();
    for refused in [
        parts.pki.below()[0].certificate().to_vec(),
        parts.certificate.clone(),
        [parts.pki.root().certificate(), &[0]].concat(),
        self_signed(|template| template.curve = Curve::P256),
        self_signed(|template| basic(template, true, false, None)),
        self_signed(|template| usage(template, true, 0x80)),
        {
            // A root whose own signature is another key's.
            let mut template = parts.pki.root().template().clone();
            template.serial[0] ^= 1;
            parts.pki.root().issue(&template, &parts.key).unwrap()
        },
    ] {
        assert!(roots.add_der(&refused).is_err());
    }
    assert_eq!(roots.len(), 1);
}

fn self_signed(alter: impl FnOnce(&mut CertificateTemplate)) -> Vec<u8> {
    let mut template = Profile::aws_root(MADE).unwrap();
    alter(&mut template);
    Authority::self_signed(template).unwrap().certificate().to_vec()
}

#[test]
fn d9_shuffled_missing_duplicated_and_extra_certificates_are_refused() {
    let parts = Parts::aws();
    parts.accepts(&with_bundle(&parts, |_| {}));
    let stranger = Parts::aws().pki.below()[1].certificate().to_vec();
    type Alter<'a> = Box<dyn FnOnce(&mut Vec<Vec<u8>>) + 'a>;
    let leaf = parts.certificate.clone();
    let cases: Vec<(Alter<'_>, &str)> = vec![
        (Box::new(|bundle| bundle.swap(1, 2)), "document.chain"),
        (Box::new(|bundle| bundle.swap(2, 3)), "document.chain"),
        (Box::new(|bundle| bundle.reverse()), "document.chain-root"),
        (Box::new(|bundle| drop(bundle.remove(0))), "document.chain-root"),
        (Box::new(|bundle| drop(bundle.remove(1))), "document.chain"),
        (Box::new(|bundle| drop(bundle.remove(2))), "document.chain"),
        (Box::new(|bundle| drop(bundle.remove(3))), "document.chain"),
        (Box::new(|bundle| bundle.truncate(1)), "document.chain"),
        (Box::new(|bundle| bundle.insert(1, bundle[0].clone())), "document.certificate-profile"),
        (Box::new(|bundle| bundle.insert(2, bundle[1].clone())), "document.chain"),
        (Box::new(|bundle| bundle.push(bundle[3].clone())), "document.chain"),
        (Box::new(|bundle| bundle.push(leaf)), "document.chain"),
        (Box::new(|bundle| bundle.push(stranger)), "document.chain"),
    ];
    for (alter, code) in cases {
        parts.refuses(&with_bundle(&parts, alter), code);
    }
}

#[test]
fn d9_a_certificate_of_another_chain_with_the_same_names_is_refused() {
    // Two chains with the same names and other keys.
    let profile = profile();
    let (parts, other) = (Parts::with_profile(&profile), Parts::with_profile(&profile));
    parts.accepts(&parts.document());
    for place in 1..4 {
        let document = with_bundle(&parts, |bundle| bundle[place] = other.pki.cabundle()[place].clone());
        let error = parts.refuses(&document, "document.certificate-signature");
        assert!(matches!(error, DocumentError::CertificateSignature { certificate } if certificate.index == place));
    }
    let document = parts.with_payload(|payload| payload.set("certificate", cbor::bytes(&other.certificate)));
    parts.refuses(&document, "document.certificate-signature");
}

#[test]
fn d9_the_leaf_is_no_ca_and_the_issuers_are() {
    let (index, problem) = profile_problem(|profile| basic(&mut profile.leaf, true, true, None));
    assert_eq!((index, problem.contains("is a CA")), (4, true), "{problem}");
    for (place, alter) in authorities() {
        let (index, problem) = profile_problem(|profile| basic(alter(profile), true, false, None));
        assert_eq!((index, problem.contains("not a CA")), (place, true), "{problem}");
    }
}

/// The intermediates' places and templates.
fn authorities() -> [(usize, Template); 3] {
    [(1, |profile| &mut profile.regional), (2, |profile| &mut profile.zonal), (3, |profile| &mut profile.instance)]
}

#[test]
fn d9_a_document_signed_by_an_authority_instead_of_a_leaf_is_refused() {
    let parts = Parts::aws();
    parts.accepted();
    // The instance's own certificate as the document's.
    let instance = parts.pki.below()[2].certificate().to_vec();
    let mut bundle = parts.pki.cabundle();
    bundle.pop();
    let payload = Payload::nitrotpm(&parts.contents, &instance, &bundle);
    let document = Envelope::sign(payload.encode(), parts.pki.below()[2].key()).unwrap().encode();
    let error = parts.refuses(&document, "document.certificate-profile");
    assert!(error.to_string().contains("is a CA"), "{error}");
}

#[test]
fn d9_a_leaf_cannot_issue_another_leaf() {
    // Path lengths that leave room for one more, so that they do not stop it.
    let mut profile = profile();
    basic(&mut profile.regional, true, true, Some(3));
    basic(&mut profile.zonal, true, true, Some(2));
    basic(&mut profile.instance, true, true, Some(1));
    let parts = Parts::with_profile(&profile);
    parts.accepted();
    // Whoever holds a leaf's key issues a leaf for himself.
    let key = Key::from_pkcs8(Curve::P384, &parts.key.to_pkcs8()).unwrap();
    let owner = Authority::restored(profile.leaf.clone(), key, parts.certificate.clone());
    let forged = owner.issue_authority(profile.leaf).unwrap();
    let mut bundle = parts.pki.cabundle();
    bundle.push(parts.certificate.clone());
    let payload = Payload::nitrotpm(&parts.contents, forged.certificate(), &bundle);
    let document = Envelope::sign(payload.encode(), forged.key()).unwrap().encode();
    let error = parts.refuses(&document, "document.certificate-profile");
    let DocumentError::CertificateProfile { certificate, problem } = error else { panic!("{error}") };
    assert_eq!((certificate.index, problem.contains("not a CA")), (4, true), "{problem}");
}

#[test]
fn d9_path_lengths_are_respected_and_present() {
    // Longer ones than AWS's are no violation; exact ones are AWS's.
    let parts = altered(|profile| basic(&mut profile.regional, true, true, Some(200)));
    parts.accepted();
    for (exceeded, place) in [(1, 1), (0, 1), (0, 2)] {
        let (index, problem) = profile_problem(|profile| {
            let template = if place == 1 { &mut profile.regional } else { &mut profile.zonal };
            basic(template, true, true, Some(exceeded));
        });
        assert_eq!((index, problem.contains("is exceeded")), (place, true), "{problem}");
    }
    for (place, alter) in authorities() {
        let (index, problem) = profile_problem(|profile| basic(alter(profile), true, true, None));
        assert_eq!((index, problem.contains("without a path length")), (place, true), "{problem}");
    }
    // The root may have one, and then it counts.
    let with_root_limit = |limit| {
        let mut profile = profile();
        basic(&mut profile.root, true, true, Some(limit));
        Parts::with_profile(&profile)
    };
    with_root_limit(3).accepted();
    let parts = with_root_limit(2);
    parts.refuses(&parts.document(), "document.certificate-profile");
}

#[test]
fn d9_constraints_are_there_once_and_critical() {
    let templates: [(usize, Template); 4] = [
        (1, |profile| &mut profile.regional),
        (2, |profile| &mut profile.zonal),
        (3, |profile| &mut profile.instance),
        (4, |profile| &mut profile.leaf),
    ];
    for (place, template) in templates {
        assert_eq!(profile_problem(|profile| drop_extension(template(profile), is_basic)).0, place);
        assert_eq!(profile_problem(|profile| drop_extension(template(profile), is_usage)).0, place);
        let (index, problem) = profile_problem(|profile| {
            for extension in &mut template(profile).extensions {
                if let Extension::BasicConstraints { critical, .. } = extension {
                    *critical = false;
                }
            }
        });
        assert_eq!((index, problem.contains("not critical")), (place, true), "{problem}");
        let (index, problem) = profile_problem(|profile| {
            let template = template(profile);
            template.extensions.extend(template.extensions.clone());
        });
        assert_eq!((index, problem.contains("twice")), (place, true), "{problem}");
    }
}

#[test]
fn d9_key_usage_is_what_each_certificate_needs() {
    // The leaf's need not be critical, and may be.
    altered(|profile| usage(&mut profile.leaf, true, 0x80)).accepted();
    for bits in [0x00, 0x40, 0x84, 0xC4, 0x04] {
        assert_eq!(profile_problem(|profile| usage(&mut profile.leaf, false, bits)).0, 4);
    }
    for (place, template) in authorities() {
        altered(|profile| usage(template(profile), true, 0x04)).accepted();
        for bits in [0x00, 0x80, 0x82, 0xC2] {
            assert_eq!(profile_problem(|profile| usage(template(profile), true, bits)).0, place);
        }
        assert_eq!(profile_problem(|profile| usage(template(profile), false, 0x86)).0, place);
    }
}

#[test]
fn d9_another_curve_or_hash_is_refused() {
    // A P-256 key anywhere; below it the signatures are then ecdsa-with-SHA256.
    for (place, template) in authorities() {
        let (index, problem) = profile_problem(|profile| template(profile).curve = Curve::P256);
        assert_eq!((index, problem.contains("P-384")), (place, true), "{problem}");
    }
    // The leaf's signature has 64 bytes then: padded, so that nothing before the key stops it.
    Parts::aws().accepted();
    let parts = altered(|profile| profile.leaf.curve = Curve::P256);
    let mut envelope = parts.envelope();
    envelope.signature.resize(96, 0);
    let error = parts.refuses(&envelope.encode(), "document.certificate-profile");
    assert!(matches!(error, DocumentError::CertificateProfile { certificate, .. } if certificate.index == 4));
}

#[test]
fn d9_an_unknown_critical_extension_is_refused_and_an_uncritical_one_is_not() {
    let extension = |critical| Extension::Other { oid: vec![1, 3, 6, 1, 4, 1, 99_999, 1], critical, value: vec![5, 0] };
    altered(|profile| {
        for template in [&mut profile.regional, &mut profile.zonal, &mut profile.instance, &mut profile.leaf] {
            template.extensions.push(extension(false));
        }
    })
    .accepted();
    let (index, problem) = profile_problem(|profile| profile.leaf.extensions.push(extension(true)));
    assert_eq!((index, problem.contains("1.3.6.1.4.1.99999.1")), (4, true), "{problem}");
    for (place, template) in authorities() {
        assert_eq!(profile_problem(|profile| template(profile).extensions.push(extension(true))).0, place);
    }
}

#[test]
fn d9_what_one_engine_refuses_is_refused_though_the_other_accepts() {
    // An extended key usage: the profile has no rule for it, path validation has.
    let usage = |oid: &[u8]| Extension::Other {
        oid: vec![2, 5, 29, 37],
        critical: false,
        value: [&[0x30, 0x0A, 0x06, 0x08], oid].concat(),
    };
    let (server, client) = ([0x2B, 6, 1, 5, 5, 7, 3, 1], [0x2B, 6, 1, 5, 5, 7, 3, 2]);
    altered(|profile| profile.leaf.extensions.push(usage(&client))).accepted();
    let error = refuses(|profile| profile.leaf.extensions.push(usage(&server)), "document.chain-engines-disagree");
    assert!(error.to_string().contains("engines disagree"), "{error}");
    // Name constraints that are none: webpki reads them, the profile has no rule for them.
    let constraints =
        Extension::Other { oid: vec![2, 5, 29, 30], critical: false, value: vec![0x30, 0x02, 0x05, 0x00] };
    refuses(|profile| profile.zonal.extensions.push(constraints), "document.chain-engines-disagree");
}

#[test]
fn d12_each_certificate_must_be_valid_at_the_clock() {
    let parts = Parts::aws();
    parts.accepted();
    let templates: [(usize, Template); 5] = [
        (0, |profile| &mut profile.root),
        (1, |profile| &mut profile.regional),
        (2, |profile| &mut profile.zonal),
        (3, |profile| &mut profile.instance),
        (4, |profile| &mut profile.leaf),
    ];
    for (place, template) in templates {
        // Verified at MADE + 60.
        altered(|profile| template(profile).not_after = MADE + 60).accepted();
        let error = refuses(|profile| template(profile).not_after = MADE + 59, "document.certificate-expired");
        assert!(matches!(error, DocumentError::CertificateExpired { certificate, .. } if certificate.index == place));
        let error = refuses(|profile| template(profile).not_before = MADE + 61, "document.certificate-not-yet-valid");
        assert!(
            matches!(error, DocumentError::CertificateNotYetValid { certificate, .. } if certificate.index == place)
        );
    }
}

#[test]
fn e7_the_names_speak_of_one_module_one_instance_one_region() {
    let name_problem = |alter: fn(&mut Profile), place: usize| {
        let error = refuses(alter, "document.certificate-name");
        assert!(
            matches!(&error, DocumentError::CertificateName { certificate, .. } if certificate.index == place),
            "{error}"
        );
    };
    let cn = NamePart::CommonName;
    assert_eq!((INSTANCE, REGION), ("i-0123456789abcdef0", "eu-central-1"));
    // Leaf: another module, another instance, another suffix.
    name_problem(
        |p| p.leaf.set_name(NamePart::CommonName, "i-0123456789abcdef0-tpm0000000000000001.eu-central-1.aws"),
        4,
    );
    name_problem(
        |p| p.leaf.set_name(NamePart::CommonName, "i-0fedcba9876543210-tpm0000000000000000.eu-central-1.aws"),
        4,
    );
    name_problem(
        |p| p.leaf.set_name(NamePart::CommonName, "i-0123456789abcdef0-tpm0000000000000000.eu-central-1.example"),
        4,
    );
    name_problem(|p| p.leaf.set_name(NamePart::CommonName, "i-0123456789abcdef0-tpm0000000000000000"), 4);
    // Leaf of another region than the instance's certificate.
    name_problem(|p| p.leaf.set_name(NamePart::CommonName, "i-0123456789abcdef0-tpm0000000000000000.eu-west-1.aws"), 3);
    // Instance: another one, another region.
    name_problem(
        |p| p.instance.set_name(NamePart::CommonName, "i-0fedcba9876543210.eu-central-1.aws.nitro-enclaves"),
        3,
    );
    name_problem(|p| p.instance.set_name(NamePart::CommonName, "i-0123456789abcdef0.eu-west-1.aws.nitro-enclaves"), 3);
    // Zone and region of another region.
    name_problem(|p| p.zonal.set_name(NamePart::CommonName, "0123456789abcdef.zonal.eu-west-1.aws.nitro-enclaves"), 2);
    name_problem(|p| p.regional.set_name(NamePart::CommonName, "0123456789abcdef.eu-west-1.aws.nitro-enclaves"), 1);
    // No common name at all.
    let error = refuses(|p| p.leaf.subject.retain(|(part, _)| *part != cn), "document.certificate-profile");
    assert!(error.to_string().contains("common name"), "{error}");
}

#[test]
fn e7_a_leaf_of_another_instance_cannot_sign_for_this_one() {
    let parts = Parts::aws();
    parts.accepted();
    // The document names another instance than its certificates, and is signed by their key.
    let document = parts.with_payload(|payload| {
        payload.set("module_id", cbor::text("i-0fedcba9876543210-tpm0000000000000000"));
    });
    parts.refuses(&document, "document.certificate-name");
}

#[test]
fn certificates_are_one_der_structure_each() {
    let parts = Parts::aws();
    parts.accepted();
    for junk in [vec![0x30, 0x00], vec![0xFF; 40], parts.certificate[..parts.certificate.len() - 1].to_vec()] {
        let document = parts.with_payload(|payload| payload.set("certificate", cbor::bytes(&junk)));
        let error = parts.refuses(&document, "document.certificate-malformed");
        assert!(matches!(error, DocumentError::CertificateMalformed { index: 4, .. }), "{error}");
    }
    let trailing = [parts.certificate.as_slice(), &[0]].concat();
    let document = parts.with_payload(|payload| payload.set("certificate", cbor::bytes(&trailing)));
    parts.refuses(&document, "document.certificate-malformed");
}

#[test]
fn other_partitions_chains_verify_under_their_own_roots() {
    // nsm-api, section 2.1: the root of a partition is CN=<partition>.nitro-enclaves.
    let mut profile = Profile::aws(MODULE, "cn-north-1", MADE).unwrap();
    for template in
        [&mut profile.root, &mut profile.regional, &mut profile.zonal, &mut profile.instance, &mut profile.leaf]
    {
        let name = template.common_name().replace("aws.nitro-enclaves", "aws-cn.nitro-enclaves");
        let name = name.strip_suffix(".aws").map_or(name.clone(), |start| format!("{start}.aws-cn"));
        template.set_name(NamePart::CommonName, &name);
    }
    let parts = Parts::with_profile(&profile);
    assert_eq!(parts.accepts(&parts.document()).region(), "cn-north-1");
    let _: &Pki = &parts.pki;
}
