//! Rubbish by raw bytes, and the rows of the table of answers that are the emulator's own choice.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a helper of tests fails as a test does"
)]

mod support;

use std::time::{Duration, Instant};

use nitrotpm_emulator::NitroTpm;
use support::*;

const INDEX: u32 = 0x0180_0040;
const NO_DA: u32 = 0x0200_0000;

fn prepared(attributes: u32) -> NitroTpm {
    let tpm = NitroTpm::start().unwrap();
    let client = Client { tpm: &tpm };
    client.define(INDEX, 8192, attributes, b"a").unwrap();
    if attributes & 4 != 0 {
        client.write(INDEX, b"a", &attestation(None, None, None)).unwrap();
    } else {
        let parameters = [sized(&attestation(None, None, None)), vec![0, 0]].concat();
        client.call(0x137, &[OWNER, INDEX], &[], vec![password(b"")], &parameters).unwrap();
    }
    tpm
}

/// Any answer is one: a header whose size is right, and for a refusal nothing more. Within a second, whatever was asked.
#[track_caller]
fn answered(tpm: &NitroTpm, command: &[u8], what: &str) -> u32 {
    let start = Instant::now();
    let answer = tpm.execute(command);
    assert!(start.elapsed() < Duration::from_secs(1), "{what}: {:?}", start.elapsed());
    assert!(answer.len() >= 10, "{what}: {answer:x?}");
    assert_eq!(u32_at(&answer, 2) as usize, answer.len(), "{what}");
    let code = u32_at(&answer, 6);
    assert!(code == 0 || answer.len() == 10, "{what}: {answer:x?}");
    code
}

/// The vendor command as AWS's client sends it, in a session: 159 bytes.
fn vendor_command(client: &Client<'_>, session: &Session) -> Vec<u8> {
    let name = client.name(INDEX);
    let nonce = random(64);
    let hashed = [&NSM.to_be_bytes()[..], &name, &name].concat();
    let digest = <sha2::Sha512 as sha2::Digest>::digest(&hashed);
    let signed = [&digest[..], &nonce, &session.nonce, &[CONTINUE]].concat();
    let mut mac = <hmac::Hmac<sha2::Sha512> as hmac::KeyInit>::new_from_slice(b"a").unwrap();
    hmac::Mac::update(&mut mac, &signed);
    let mac = hmac::Mac::finalize(mac).into_bytes();
    let area = [&session.handle.to_be_bytes()[..], &sized(&nonce), &[CONTINUE], &sized(&mac)].concat();
    let area_size = (area.len() as u32).to_be_bytes();
    message(0x8002, NSM, &[&INDEX.to_be_bytes()[..], &INDEX.to_be_bytes(), &area_size, &area].concat())
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn the_vendor_command_cut_short_or_altered_is_answered_and_the_next_one_served() {
    let tpm = prepared(AUTHREAD_AUTHWRITE | NO_DA);
    let client = Client { tpm: &tpm };
    let mut session = client.session(Hash::Sha512, Hide::Nothing, None, None);
    let command = vendor_command(&client, &session);
    assert_eq!(command.len(), 159);

    for length in 0..command.len() {
        let mut cut = command[..length].to_vec();
        // As it is, and with a size field that fits.
        assert_ne!(answered(&tpm, &cut, &format!("{length} bytes")), 0);
        if length >= 6 {
            cut[2..6].copy_from_slice(&(length as u32).to_be_bytes());
            assert_ne!(answered(&tpm, &cut, &format!("{length} bytes, and so it says")), 0);
        }
    }
    for at in 0..command.len() {
        for value in [command[at] ^ 1, 0, 0xff] {
            let mut altered = command.clone();
            altered[at] = value;
            if altered == command {
                continue;
            }
            let code = answered(&tpm, &altered, &format!("byte {at} is {value:#x}"));
            assert_ne!(code, 0, "byte {at} is {value:#x}");
        }
    }
    for more in [1, 2, 1000] {
        let mut longer = command.clone();
        longer.extend(vec![0; more]);
        let size = (longer.len() as u32).to_be_bytes();
        longer[2..6].copy_from_slice(&size);
        // Parameters, where the command has none.
        assert_eq!(answered(&tpm, &longer, &format!("{more} bytes more")), 0x095);
    }
    // None of them moved the session's nonce, nor ended the session.
    assert_eq!(answered(&tpm, &command, "as it was"), 0);
    assert_eq!(answered(&tpm, &command, "a replay"), 0x9a2);
    session.nonce.clear();
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn any_command_with_rubbish_behind_it_is_answered() {
    let tpm = prepared(AUTHREAD_AUTHWRITE | NO_DA);
    let client = Client { tpm: &tpm };
    // A size of 0xffff, a session area that claims four gigabytes, ones, zeros, and noise, behind every command code.
    let bodies = [
        vec![0xff; 40],
        vec![0; 40],
        [INDEX.to_be_bytes(), INDEX.to_be_bytes(), [0xff; 4]].concat(),
        random(64),
        vec![],
    ];
    // Startup, Shutdown, Clear and their like are commands too; those that end or empty the TPM are left out, and self-tests,
    // which are slow and not rubbish.
    let spared = [0x126, 0x127, 0x128, 0x142, 0x143, 0x144, 0x145];
    for code in (0x11f..0x198).filter(|code| !spared.contains(code)).chain([0, NSM, NSM + 1, 0x2000_0000, u32::MAX]) {
        for tag in [0x8001, 0x8002, 0, 0xffff] {
            for body in &bodies {
                answered(&tpm, &message(tag, code, body), &format!("tag {tag:#x}, code {code:#x}, {body:x?}"));
            }
        }
    }
    client.write(INDEX, b"a", &attestation(None, None, None)).unwrap();
    assert_eq!(client.call(NSM, &[INDEX, INDEX], &[], vec![password(b"a")], &[]), Ok(vec![]));
    response(&client.read(INDEX, b"a", 8192).unwrap()).unwrap();
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn rows_of_sessions_that_are_not_for_it() {
    let tpm = prepared(AUTHREAD_AUTHWRITE);
    let client = Client { tpm: &tpm };
    let name = client.name(INDEX);
    let names = [name.clone(), name];
    let mut session = client.session(Hash::Sha512, Hide::Aes128, None, None);
    let mut ask = |attributes: u8| {
        let sent = vec![with(&mut session, b"a", CONTINUE | attributes)];
        client.call(NSM, &[INDEX, INDEX], &names, sent, &[])
    };
    assert_eq!(ask(0), Ok(vec![]));
    assert_eq!(ask(AUDIT), Err(0x982));
    assert_eq!(ask(ENCRYPT), Err(0x982));
    client.write(INDEX, b"a", &attestation(None, None, None)).unwrap();
    assert_eq!(ask(0), Ok(vec![]), "the session lives on");
    // Decryption has nothing to decrypt: by bytes, for the client has none to encrypt.
    let mut command = vendor_command(&client, &session);
    command[18 + 4 + 4 + 66] |= DECRYPT;
    assert_eq!(answered(&tpm, &command, "a session that decrypts"), 0x982);
    // A policy.
    let mut policy = client.session_of_type(1, Hash::Sha512, Hide::Nothing, None, None);
    let sent = vec![with(&mut policy, b"a", CONTINUE)];
    assert_eq!(client.call(NSM, &[INDEX, INDEX], &names, sent, &[]), Err(0x124));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_owner_without_ownerwrite_is_nv_authorization() {
    // The owner reads and does not write; the twin does both.
    let tpm = prepared(AUTHREAD_AUTHWRITE | 0x0002_0000);
    let client = Client { tpm: &tpm };
    let ask = || client.call(NSM, &[OWNER, INDEX], &[], vec![password(b"")], &[]);
    assert_eq!(ask(), Err(0x149));
    client.undefine(INDEX).unwrap();
    client.define(INDEX, 8192, AUTHREAD_AUTHWRITE | 0x0002_0002, b"a").unwrap();
    client.write(INDEX, b"a", &attestation(None, None, None)).unwrap();
    assert_eq!(ask(), Ok(vec![]));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn rows_of_requests_that_nitrotpm_may_not_have() {
    use nitrotpm_document_issuer::cbor;
    let tpm = prepared(AUTHREAD_AUTHWRITE);
    let client = Client { tpm: &tpm };
    let ask = |request: &[u8]| {
        let mut padded = request.to_vec();
        padded.resize(8192, 0xff);
        client.write(INDEX, b"a", &padded).unwrap();
        client.call(NSM, &[INDEX, INDEX], &[], vec![password(b"a")], &[]).unwrap();
        response(&client.read(INDEX, b"a", 8192).unwrap()).map(|document| document.len())
    };
    let field = |name: &str| cbor::map(&[(cbor::text(name), cbor::unsigned(4))]);
    for (request, name) in
        [("DescribePCR", "index"), ("ExtendPCR", "index"), ("LockPCR", "index"), ("LockPCRs", "range")]
    {
        let request = cbor::map(&[(cbor::text(request), field(name))]);
        assert_eq!(ask(&request), Err("InvalidOperation".into()));
    }
    // Too deep to be one, a map that never ends, a length that is a lie, and a second item that nobody asks for.
    let deep = [vec![0xa1; 4000], vec![0x60; 4000]].concat();
    let mut lie = attestation(None, None, None);
    lie.extend([0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    for (request, expected) in [
        (deep, Err("InvalidArgument".into())),
        (vec![0xbf; 8192], Err("InvalidArgument".into())),
        ([&[0xa1][..], &cbor::text("Attestation"), &[0x5b], &[0xff; 8]].concat(), Err("InvalidArgument".into())),
    ] {
        assert_eq!(ask(&request), expected);
    }
    assert!(ask(&lie).is_ok(), "what follows the request is padding");
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_policysecret_on_a_large_index_is_refused() {
    let tpm = prepared(AUTHREAD_AUTHWRITE);
    let client = Client { tpm: &tpm };
    let policy = client.session_of_type(1, Hash::Sha256, Hide::Nothing, None, None);
    let parameters = [vec![0; 6], vec![0; 4]].concat();
    let secret = |index: u32| client.call(0x151, &[index, policy.handle], &[], vec![password(b"a")], &parameters);
    assert_eq!(secret(INDEX), Err(0x143));
    client.define(INDEX + 1, 100, AUTHREAD_AUTHWRITE, b"a").unwrap();
    assert!(secret(INDEX + 1).is_ok());
}
