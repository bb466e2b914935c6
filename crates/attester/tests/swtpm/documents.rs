//! Documents of the emulator: the whole way from the vendor command to a verdict, and a device that is ill.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nitrotpm_attester::{
    AttesterError, Collection, Connection, DocumentOptions, DocumentRequest, KeyAlgorithm, LogFile, Protection,
    StoredKey, Tpm, request_document,
};
use nitrotpm_credential::{CandidateKey, EndorsementKey, EndorsementTemplate, EnrolmentRequest};
use nitrotpm_emulator::{EkKind, Fault, NitroTpm};
use nitrotpm_pcr::PcrIndex;
use nitrotpm_verifier::{
    AttestationResult, Clock, Enrolment, Nonce, NonceExpectation, Policy, Request, Trust, TrustRoots, UnixTime, Verdict,
};
use ring::rand::SystemRandom;

const PROTECTIONS: [Protection; 3] = [Protection::Salted, Protection::Unsalted, Protection::Password];

fn connection(tpm: &NitroTpm) -> Connection {
    tpm.tcti().parse().unwrap()
}

fn ask(tpm: &NitroTpm, request: &DocumentRequest<'_>) -> Result<Vec<u8>, AttesterError> {
    ask_with(tpm, request, Protection::Salted, b"")
}

fn ask_with(
    tpm: &NitroTpm,
    request: &DocumentRequest<'_>,
    protection: Protection,
    owner_auth: &[u8],
) -> Result<Vec<u8>, AttesterError> {
    ask_at(&connection(tpm), request, protection, owner_auth)
}

fn ask_at(
    connection: &Connection,
    request: &DocumentRequest<'_>,
    protection: Protection,
    owner_auth: &[u8],
) -> Result<Vec<u8>, AttesterError> {
    let options = DocumentOptions { owner_auth, protection, interrupted: &AtomicBool::new(false) };
    request_document(connection, request, &options, &SystemRandom::new())
}

/// How many handles of a kind there are, by `TPM2_GetCapability`: 0x01 NV indices, 0x02 loaded sessions, 0x80 objects.
pub(crate) fn handles(tpm: &NitroTpm, kind: u8) -> u32 {
    let command = [&[0x80, 1, 0, 0, 0, 22, 0, 0, 1, 0x7A, 0, 0, 0, 1, kind, 0, 0, 0, 0, 0, 0, 64][..]].concat();
    let response = tpm.execute(&command);
    assert_eq!(response[6..10], [0; 4], "GetCapability");
    u32::from_be_bytes(*response[15..].first_chunk().unwrap())
}

pub(crate) fn is_clean(tpm: &NitroTpm) -> bool {
    [0x01, 0x02, 0x80].iter().all(|kind| handles(tpm, *kind) == 0)
}

fn roots(tpm: &NitroTpm) -> TrustRoots {
    let mut roots = TrustRoots::empty();
    roots.add_pem(tpm.root_pem().as_bytes()).unwrap();
    roots
}

fn verify(evidence: &str, policy: &str, trust: &Trust, nonce: &[u8]) -> AttestationResult {
    let nonce = Nonce::new(nonce).unwrap();
    let now = UnixTime::since_unix_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
    let request = Request::new(NonceExpectation::Expected(&nonce), Clock::Live(now));
    let policy = format!("schema = \"nitrotpm.policy/1\"\nname = \"test\"\n[require]\n{policy}\n");
    nitrotpm_verifier::verify(evidence.as_bytes(), &Policy::from_toml(policy.as_bytes()).unwrap(), trust, &request)
}

fn codes(result: &AttestationResult) -> Vec<&str> {
    result.reasons().iter().map(|reason| reason.code).collect()
}

fn collect(tpm: &NitroTpm, key: &StoredKey, document: bool) -> String {
    let collection = Collection {
        key,
        nonce: b"the verifier's nonce",
        endorsement_key: Some(EndorsementTemplate::Rsa2048),
        event_log: LogFile::LeftOut,
        ima_log: LogFile::LeftOut,
    };
    let public_key = key.public_key_der().unwrap();
    let request =
        DocumentRequest { nonce: Some(collection.nonce), public_key: Some(&public_key), ..DocumentRequest::default() };
    let open = || Tpm::open(&connection(tpm));
    let evidence = collection.collect(&open, &mut || document.then(|| ask(tpm, &request)).transpose()).unwrap();
    evidence.to_json().unwrap()
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_document_carries_what_was_asked_and_leaves_nothing_behind() {
    let tpm = NitroTpm::start().unwrap();
    let most = [0xA5; 1024];
    let requests = [
        DocumentRequest::default(),
        DocumentRequest { nonce: Some(b"n"), ..DocumentRequest::default() },
        DocumentRequest { user_data: Some(&most), nonce: Some(&most), public_key: Some(&most) },
    ];
    for request in requests {
        for protection in PROTECTIONS {
            let bytes = ask_with(&tpm, &request, protection, b"").unwrap();
            let document = nitrotpm_nitro_document::UnverifiedDocument::parse(&bytes).unwrap();
            let now = UnixTime::since_unix_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
            let expectations =
                nitrotpm_nitro_document::DocumentExpectations::new(Clock::Live(now), NonceExpectation::NotChecked);
            let verified = document.verify(&roots(&tpm), &expectations).unwrap();
            assert_eq!(
                (verified.user_data(), verified.nonce(), verified.public_key()),
                (request.user_data, request.nonce, request.public_key)
            );
            assert!(is_clean(&tpm));
        }
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn collected_evidence_is_affirmed_under_the_right_root_and_nonce() {
    let tpm = NitroTpm::start().unwrap();
    let key = Tpm::open(&connection(&tpm)).unwrap().create_key(KeyAlgorithm::P256).unwrap();
    let evidence = collect(&tpm, &key, true);
    assert!(is_clean(&tpm));
    let policy = "document = true\nquote = true";
    let nonce = b"the verifier's nonce";
    let result = verify(&evidence, policy, &Trust::roots(roots(&tpm)), nonce);
    assert_eq!((result.verdict(), codes(&result)), (Verdict::Affirmed, vec![]));
    let result = verify(&evidence, policy, &Trust::roots(roots(&tpm)), b"another nonce");
    assert_eq!((result.verdict(), codes(&result)), (Verdict::Invalid, vec!["document.nonce"]));
    let result = verify(&evidence, policy, &Trust::aws(), nonce);
    assert_eq!((result.verdict(), codes(&result)), (Verdict::Invalid, vec!["document.chain-root"]));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn e5_a_quote_alone_is_trusted_after_an_enrolment_only() {
    let tpm = NitroTpm::start().unwrap();
    let mut opened = Tpm::open(&connection(&tpm)).unwrap();
    let key = opened.create_key(KeyAlgorithm::P256).unwrap();
    let other = opened.create_key(KeyAlgorithm::P256).unwrap();
    // The endorsement key as the EC2 API gives it, in each of its forms.
    for (kind, template) in
        [(EkKind::Rsa2048, EndorsementTemplate::Rsa2048), (EkKind::EccP384, EndorsementTemplate::P384)]
    {
        let from_ec2 = tpm.ek_public(kind).unwrap();
        for bytes in [&from_ec2.der, &from_ec2.tpmt] {
            let trusted = EndorsementKey::parse(bytes).unwrap();
            let candidate = CandidateKey::from_public(key.public().clone()).unwrap();
            let request = EnrolmentRequest::new(opened.endorsement_key(template).unwrap(), candidate);
            let (pending, challenge) = request.challenge(&trusted, None, &SystemRandom::new()).unwrap();
            let answer = opened.activate(&key, &challenge).unwrap();
            let record = pending.complete(&answer, None).unwrap().to_json().unwrap();
            assert!(Enrolment::from_json(record.as_bytes()).is_ok());
        }
    }
    let trusted = EndorsementKey::parse(&tpm.ek_public(EkKind::Rsa2048).unwrap().tpmt).unwrap();
    let candidate = CandidateKey::from_public(key.public().clone()).unwrap();
    let (pending, challenge) =
        EnrolmentRequest::new(trusted.clone(), candidate).challenge(&trusted, None, &SystemRandom::new()).unwrap();
    let answer = opened.activate(&key, &challenge).unwrap();
    let record = pending.complete(&answer, None).unwrap().to_json().unwrap();
    drop(opened);

    let enrolled = || Trust::roots(roots(&tpm)).enrol(Enrolment::from_json(record.as_bytes()).unwrap());
    let evidence = collect(&tpm, &key, false);
    let nonce = b"the verifier's nonce";
    let result = verify(&evidence, "quote = true", &enrolled(), nonce);
    assert_eq!((result.verdict(), codes(&result)), (Verdict::Affirmed, vec![]));
    // Without the record, and by another key of the same TPM, which nobody enrolled.
    for (evidence, trust) in [(evidence, Trust::roots(roots(&tpm))), (collect(&tpm, &other, false), enrolled())] {
        let result = verify(&evidence, "quote = true", &trust, nonce);
        assert_eq!((result.verdict(), codes(&result)), (Verdict::Invalid, vec!["quote.key-untrusted"]));
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn an_ill_device_gives_a_code_and_is_left_clean() {
    let tpm = NitroTpm::start().unwrap();
    for (fault, code) in [
        (Fault::WrongHmac, "attester.answer"),
        (Fault::Garbage, "attester.answer"),
        (Fault::BufferTooSmall, "attester.nsm"),
        (Fault::InternalError, "attester.nsm"),
        (Fault::Failing, "attester.response"),
        (Fault::Retry, "attester.response"),
        (Fault::Lockout, "attester.locked-out"),
        (Fault::NoVendorCommand, "attester.no-documents"),
        (Fault::DroppedResponse, "attester.unreachable"),
    ] {
        tpm.set_faults([fault]);
        let error = ask(&tpm, &DocumentRequest::default()).unwrap_err();
        assert_eq!(error.code(), code, "{fault:?}");
        assert!(is_clean(&tpm), "{fault:?}");
        tpm.set_faults([]);
        assert!(ask(&tpm, &DocumentRequest::default()).is_ok(), "after {fault:?}");
    }
    // What a document says is for the verifier to judge; slow is not ill.
    tpm.set_faults([Fault::Slow]);
    assert!(ask(&tpm, &DocumentRequest::default()).is_ok());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn an_interruption_leaves_nothing_behind() {
    let tpm = NitroTpm::start().unwrap();
    let options =
        DocumentOptions { owner_auth: b"", protection: Protection::Salted, interrupted: &AtomicBool::new(true) };
    let error = request_document(&connection(&tpm), &DocumentRequest::default(), &options, &SystemRandom::new());
    assert_eq!(error.unwrap_err().code(), "attester.interrupted");
    assert!(is_clean(&tpm));

    // The program, by a signal while the device takes its two seconds.
    tpm.set_faults([Fault::Slow]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for command in ["document", "collect --no-ima-log --event-log /dev/null"] {
        let program = Command::new(env!("CARGO_BIN_EXE_nitrotpm-attester"))
            .args(["--tcti", &tpm.tcti()])
            .args(command.split(' '))
            .arg("--out")
            .arg(&out)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // In the emulator the index is there while the command is at work.
        for _ in 0..400 {
            if handles_now(&tpm) {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        assert!(Command::new("kill").arg(program.id().to_string()).status().unwrap().success());
        let output = program.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains("[attester.interrupted]"), "{said}");
        assert!(!out.exists() && is_clean(&tpm), "{command}");
    }
}

/// Whether an index is defined. The emulator serves one command at a time, so this may wait for the slow one.
fn handles_now(tpm: &NitroTpm) -> bool {
    handles(tpm, 0x01) > 0
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn an_owner_password_is_asked_for_and_taken() {
    let tpm = NitroTpm::start().unwrap();
    // TPM2_HierarchyChangeAuth of the owner hierarchy to "pw".
    let change = hex::decode("80020000001f00000129400000010000000940000009000000000000027077").unwrap();
    assert_eq!(tpm.execute(&change)[6..10], [0; 4]);
    let error = ask(&tpm, &DocumentRequest::default()).unwrap_err();
    assert_eq!(error.code(), "attester.authorization");
    assert!(error.to_string().contains("--owner-auth"), "{error}");
    for protection in PROTECTIONS {
        let error = ask_with(&tpm, &DocumentRequest::default(), protection, b"wrong").unwrap_err();
        assert_eq!(error.code(), "attester.authorization", "{protection:?}");
        assert!(is_clean(&tpm));
        assert!(ask_with(&tpm, &DocumentRequest::default(), protection, b"pw").is_ok(), "{protection:?}");
        assert!(is_clean(&tpm));
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn many_in_a_row_and_several_at_once_do_not_collide() {
    let tpm = NitroTpm::start().unwrap();
    for _ in 0..30 {
        ask(&tpm, &DocumentRequest::default()).unwrap();
    }
    // The emulator serves all at once, as a TPM without a resource manager would: with places for three.
    let connection = connection(&tpm);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    ask_at(&connection, &DocumentRequest::default(), Protection::Salted, b"").unwrap();
                }
            });
        }
    });
    assert!(is_clean(&tpm));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn several_programs_collect_at_once_over_one_device() {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("tpm0");
    fs::write(&device, b"").unwrap();
    let tpm = NitroTpm::builder().fuse(&device).start().unwrap();
    for tcti in [format!("device:{}", device.display()), tpm.tcti()] {
        let programs: Vec<_> = (0..4)
            .map(|_| {
                Command::new(env!("CARGO_BIN_EXE_nitrotpm-attester"))
                    .args([
                        "--tcti",
                        &tcti,
                        "collect",
                        "--no-ima-log",
                        "--event-log",
                        "/dev/null",
                        "--out",
                        "/dev/null",
                    ])
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for program in programs {
            let output = program.wait_with_output().unwrap();
            assert!(output.status.success(), "{tcti}: {}", String::from_utf8_lossy(&output.stderr));
        }
        assert!(is_clean(&tpm), "{tcti}");
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn evidence_of_a_device_whose_registers_move_is_of_one_moment() {
    let tpm = NitroTpm::start().unwrap();
    let key = Tpm::open(&connection(&tpm)).unwrap().create_key(KeyAlgorithm::P256).unwrap();
    let public_key = key.public_key_der().unwrap();
    let nonce = b"the verifier's nonce";
    let collection =
        Collection { key: &key, nonce, endorsement_key: None, event_log: LogFile::LeftOut, ima_log: LogFile::LeftOut };
    let request = DocumentRequest { nonce: Some(nonce), public_key: Some(&public_key), ..DocumentRequest::default() };
    let mut documents = 0;
    let evidence = collection
        .collect(&|| Tpm::open(&connection(&tpm)), &mut || {
            documents += 1;
            // Before the first document and after the second: quote and document, then document and reading, differ.
            let extend = || Tpm::open(&connection(&tpm))?.measure(PcrIndex::new(10).unwrap(), b"a file was opened");
            if documents == 1 {
                extend()?;
            }
            let document = ask(&tpm, &request)?;
            if documents == 2 {
                extend()?;
            }
            Ok(Some(document))
        })
        .unwrap();
    assert_eq!(documents, 3);
    let result =
        verify(&evidence.to_json().unwrap(), "document = true\nquote = true", &Trust::roots(roots(&tpm)), nonce);
    assert_eq!((result.verdict(), codes(&result)), (Verdict::Affirmed, vec![]));
}
