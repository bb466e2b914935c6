//! The vendor command and large indices by raw bytes: each row of the table of answers is a test.
//!
//! Rows that nobody could compare with the real device are assumptions: `nitrotpm_emulator::ASSUMPTIONS` names them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a helper of tests fails as a test does")]

mod support;

use nitrotpm_emulator::NitroTpm;
use nitrotpm_freshness::{Clock, Nonce, NonceExpectation, UnixTime};
use nitrotpm_nitro_document::{DocumentExpectations, TrustRoots, UnverifiedDocument, VerifiedDocument};
use nitrotpm_pcr::Bank;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::*;

const INDEX: u32 = 0x0180_0010;

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()))
}

fn verify(tpm: &NitroTpm, document: &[u8], nonce: &[u8]) -> VerifiedDocument {
    let mut roots = TrustRoots::empty();
    roots.add_pem(tpm.root_pem().as_bytes()).unwrap();
    let nonce = Nonce::new(nonce).unwrap();
    let expectations = DocumentExpectations::new(Clock::Live(now()), NonceExpectation::Expected(&nonce));
    UnverifiedDocument::parse(document).unwrap().verify(&roots, &expectations).unwrap()
}

/// A TPM with a large index that holds a request, and its authorization value.
fn prepared() -> (NitroTpm, Vec<u8>) {
    let tpm = NitroTpm::start().unwrap();
    let auth = random(64);
    let client = Client { tpm: &tpm };
    client.define(INDEX, 8192, AUTHREAD_AUTHWRITE, &auth).unwrap();
    client.write(INDEX, &auth, &attestation(None, None, Some(b"nonce"))).unwrap();
    (tpm, auth)
}

fn plain_session(client: &Client<'_>) -> Session {
    client.session(Hash::Sha512, Hide::Nothing, None, None)
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_document_in_a_salted_session_verifies_and_says_what_was_asked() {
    let (tpm, auth) = prepared();
    let client = Client { tpm: &tpm };
    let key = client.storage_key();
    let mut session = client.session(Hash::Sha512, Hide::Nothing, Some(&key), None);
    let fields = [random(1024), random(1024), random(1024)];
    client.write(INDEX, &auth, &attestation(Some(&fields[0]), Some(&fields[1]), Some(&fields[2]))).unwrap();
    client.nsm(INDEX, &mut session, &auth).unwrap();
    let document = response(&client.read(INDEX, &auth, 8192).unwrap()).unwrap();
    let verified = verify(&tpm, &document, &fields[2]);
    assert_eq!(verified.public_key(), Some(fields[0].as_slice()));
    assert_eq!(verified.user_data(), Some(fields[1].as_slice()));
    assert_eq!(verified.pcrs(), &tpm.pcrs(Bank::Sha384).unwrap());
    assert_eq!(verified.pcrs().len(), 24);
    assert_eq!(verified.module_id(), tpm.module_id());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_every_kind_of_session_is_accepted() {
    let (tpm, auth) = prepared();
    let client = Client { tpm: &tpm };
    let key = client.storage_key();
    for hash in [Hash::Sha256, Hash::Sha512] {
        for (salt, bind) in [(None, None), (Some(&key), None), (None, Some((INDEX, auth.as_slice())))] {
            let mut session = client.session(hash, Hide::Nothing, salt, bind);
            // The nonce rolls: the same session twice.
            client.nsm(INDEX, &mut session, &auth).unwrap();
            client.write(INDEX, &auth, &attestation(None, None, Some(b"again"))).unwrap();
            client.nsm(INDEX, &mut session, &auth).unwrap();
            let document = response(&client.read(INDEX, &auth, 8192).unwrap()).unwrap();
            verify(&tpm, &document, b"again");
            client.flush(session.handle);
            client.write(INDEX, &auth, &attestation(None, None, None)).unwrap();
        }
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_index_never_written_is_nv_uninitialized() {
    let tpm = NitroTpm::start().unwrap();
    let client = Client { tpm: &tpm };
    client.define(INDEX, 8192, AUTHREAD_AUTHWRITE, b"a").unwrap();
    let mut session = plain_session(&client);
    assert_eq!(client.nsm(INDEX, &mut session, b"a"), Err(0x14a));
    client.write(INDEX, b"a", &attestation(None, None, None)).unwrap();
    client.nsm(INDEX, &mut session, b"a").unwrap();
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_wrong_hmac_auth_or_name_is_auth_fail_and_counted() {
    let (tpm, auth) = prepared();
    let client = Client { tpm: &tpm };
    let name = client.name(INDEX);
    let call = |session: &mut Session, auth: &[u8], name: &[u8], flip: bool| {
        let mut sent = with(session, auth, CONTINUE);
        sent.flip = flip;
        client.call(NSM, &[INDEX, INDEX], &[name.to_vec(), name.to_vec()], vec![sent], &[]).map(|_| ())
    };
    let mut session = plain_session(&client);
    assert_eq!(call(&mut session, &auth, &name, false), Ok(()));
    assert_eq!(call(&mut session, &auth, &name, true), Err(0x98e));
    // The session lives on, with its nonce.
    assert_eq!(call(&mut session, &auth, &name, false), Ok(()));
    client.reset_lockout();
    assert_eq!(call(&mut session, b"wrong", &name, false), Err(0x98e));
    client.reset_lockout();
    // The Name of the placeholder is not the index' Name.
    let mut placeholder = client.public(INDEX).unwrap().0;
    let size = placeholder.len() - 2;
    placeholder[size..].copy_from_slice(&[0, 8]);
    let native = [&[0, 0x0d][..], &<sha2::Sha512 as sha2::Digest>::digest(&placeholder)].concat();
    assert_eq!(call(&mut session, &auth, &native, false), Err(0x98e));
    client.reset_lockout();
    assert_eq!(call(&mut session, &auth, &name, false), Ok(()));
    // Counted: three of them, and the next good one is locked out.
    for _ in 0..3 {
        assert_eq!(call(&mut session, b"wrong", &name, false), Err(0x98e));
    }
    assert_eq!(call(&mut session, &auth, &name, false), Err(0x921));
    client.reset_lockout();
    assert_eq!(call(&mut session, &auth, &name, false), Ok(()));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_wrong_hmac_defines_nothing_and_a_missing_one_is_none_without_a_key() {
    let tpm = NitroTpm::start().unwrap();
    let client = Client { tpm: &tpm };
    let mut parameters = sized(b"a");
    parameters.extend(sized(&public(INDEX, 8192, AUTHREAD_AUTHWRITE)));
    let names = [OWNER.to_be_bytes().to_vec()];
    let mut session = plain_session(&client);
    // One bit wrong, any of them: the emulator must not repair it on the way to swtpm.
    let mut sent = with(&mut session, b"", CONTINUE);
    sent.flip = true;
    assert_eq!(client.call(0x12a, &[OWNER], &names, vec![sent], &parameters), Err(0x9a2));
    assert_eq!(client.public(INDEX), Err(0x18b));
    // No HMAC where there is no key to make one with, as a TPM allows; and not where there is one.
    let mut sent = with(&mut session, b"", CONTINUE);
    sent.empty = true;
    assert_eq!(client.call(0x12a, &[OWNER], &names, vec![sent], &parameters), Ok(vec![]));
    client.write(INDEX, b"a", &attestation(None, None, None)).unwrap();
    let name = client.name(INDEX);
    let mut sent = with(&mut session, b"a", CONTINUE);
    sent.empty = true;
    assert_eq!(client.call(NSM, &[INDEX, INDEX], &[name.clone(), name], vec![sent], &[]), Err(0x98e));
    client.nsm(INDEX, &mut session, b"a").unwrap();
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_parameters_are_rc_size() {
    let (tpm, auth) = prepared();
    let client = Client { tpm: &tpm };
    let (mut session, name) = (plain_session(&client), client.name(INDEX));
    let names = [name.clone(), name];
    let call = |session: &mut Session, parameters: &[u8]| {
        client.call(NSM, &[INDEX, INDEX], &names, vec![with(session, &auth, CONTINUE)], parameters).map(|_| ())
    };
    assert_eq!(call(&mut session, &[0, 0]), Err(0x095));
    assert_eq!(call(&mut session, &[]), Ok(()));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_without_sessions_is_auth_missing() {
    let (tpm, _) = prepared();
    let client = Client { tpm: &tpm };
    assert_eq!(client.call(NSM, &[INDEX, INDEX], &[], vec![], &[]), Err(0x125));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_password_session_is_judged_by_its_password() {
    let (tpm, auth) = prepared();
    let client = Client { tpm: &tpm };
    assert_eq!(client.call(NSM, &[INDEX, INDEX], &[], vec![password(b"no")], &[]), Err(0x98e));
    assert_eq!(client.call(NSM, &[INDEX, INDEX], &[], vec![password(&auth)], &[]), Ok(vec![]));
    let document = response(&client.read(INDEX, &auth, 8192).unwrap()).unwrap();
    verify(&tpm, &document, b"nonce");
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_unknown_or_flushed_session_is_reference_s0() {
    let (tpm, auth) = prepared();
    let client = Client { tpm: &tpm };
    let mut session = plain_session(&client);
    client.nsm(INDEX, &mut session, &auth).unwrap();
    let mut unknown = session.clone();
    unknown.handle = 0x0200_0030;
    assert_eq!(client.nsm(INDEX, &mut unknown, &auth), Err(0x918));
    client.flush(session.handle);
    assert_eq!(client.nsm(INDEX, &mut session, &auth), Err(0x918));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_undefined_index_is_handle_1() {
    let (tpm, _) = prepared();
    let client = Client { tpm: &tpm };
    let other = INDEX + 1;
    assert_eq!(client.call(NSM, &[other, other], &[], vec![password(b"")], &[]), Err(0x18b));
    let mut session = plain_session(&client);
    let sent = vec![with(&mut session, b"", CONTINUE)];
    assert_eq!(client.call(NSM, &[other, other], &[vec![], vec![]], sent, &[]), Err(0x18b));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_second_handle_not_nv_is_value_handle_2() {
    let (tpm, _) = prepared();
    let client = Client { tpm: &tpm };
    assert_eq!(client.call(NSM, &[OWNER, OWNER], &[], vec![password(b"")], &[]), Err(0x284));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_owner_without_ownerread_is_nv_authorization() {
    let (tpm, _) = prepared();
    let client = Client { tpm: &tpm };
    assert_eq!(client.call(NSM, &[OWNER, INDEX], &[], vec![password(b"")], &[]), Err(0x149));
    // The twin that may.
    let other = INDEX + 1;
    client.define(other, 8192, AUTHREAD_AUTHWRITE | 0x0002_0002, b"a").unwrap();
    client.write(other, b"a", &attestation(None, None, None)).unwrap();
    assert_eq!(client.call(NSM, &[OWNER, other], &[], vec![password(b"")], &[]), Ok(vec![]));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_continue_session_0_ends_the_session() {
    let (tpm, auth) = prepared();
    let client = Client { tpm: &tpm };
    let (mut session, name) = (plain_session(&client), client.name(INDEX));
    let sent = vec![with(&mut session, &auth, 0)];
    assert_eq!(client.call(NSM, &[INDEX, INDEX], &[name.clone(), name], sent, &[]), Ok(vec![]));
    assert_eq!(client.nsm(INDEX, &mut session, &auth), Err(0x918));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_an_index_of_8193_bytes_is_rc_size() {
    let tpm = NitroTpm::start().unwrap();
    let client = Client { tpm: &tpm };
    assert_eq!(client.define(INDEX, 8193, AUTHREAD_AUTHWRITE, b"a"), Err(0x2d5));
    assert_eq!(client.define(INDEX, 8192, AUTHREAD_AUTHWRITE, b"a"), Ok(()));
    assert_eq!(client.define(INDEX, 8192, AUTHREAD_AUTHWRITE, b"a"), Err(0x14c));
    // A counter has eight bytes, and a placeholder of eight must not make one of 8,192.
    assert!(client.define(INDEX + 1, 8192, AUTHREAD_AUTHWRITE | 0x10, b"a").is_err());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn row_a_small_index_is_buffer_too_small() {
    let tpm = NitroTpm::start().unwrap();
    let client = Client { tpm: &tpm };
    for size in [100, 2048] {
        client.define(INDEX, size, AUTHREAD_AUTHWRITE, b"a").unwrap();
        client.write(INDEX, b"a", &attestation(None, None, None)).unwrap();
        let mut session = plain_session(&client);
        client.nsm(INDEX, &mut session, b"a").unwrap();
        let contents = client.read(INDEX, b"a", usize::from(size)).unwrap();
        assert_eq!(response(&contents), Err("BufferTooSmall".into()), "{size} bytes");
        // The session of a translated command goes on.
        client.nsm(INDEX, &mut session, b"a").unwrap();
        client.flush(session.handle);
        client.undefine(INDEX).unwrap();
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn rows_of_nsm_errors() {
    use nitrotpm_document_issuer::cbor;
    let (tpm, auth) = prepared();
    let client = Client { tpm: &tpm };
    let mut session = plain_session(&client);
    let mut ask = |request: &[u8]| {
        let mut padded = request.to_vec();
        padded.resize(8192, 0xff);
        client.write(INDEX, &auth, &padded).unwrap();
        client.nsm(INDEX, &mut session, &auth).unwrap();
        response(&client.read(INDEX, &auth, 8192).unwrap()).map(|document| document.len())
    };
    let full = [7; 1024];
    assert!(ask(&attestation(Some(&full), Some(&full), Some(&full))).unwrap() > 7000);
    let over = [7; 1025];
    for request in [
        attestation(Some(&over), None, None),
        attestation(None, Some(&over), None),
        attestation(None, None, Some(&over)),
    ] {
        assert_eq!(ask(&request), Err("InputTooLarge".into()));
    }
    let text = cbor::map(&[(cbor::text("nonce"), cbor::text("x"))]);
    let truncated = attestation(None, Some(&full), None)[..40].to_vec();
    for request in [
        cbor::map(&[(cbor::text("Attestation"), text)]),
        vec![0xff; 64],
        truncated,
        cbor::map(&[(cbor::text("Foo"), cbor::map(&[]))]),
    ] {
        assert_eq!(ask(&request), Err("InvalidArgument".into()));
    }
    let describe = cbor::map(&[(cbor::text("index"), cbor::unsigned(0))]);
    assert_eq!(ask(&cbor::map(&[(cbor::text("DescribePCR"), describe)])), Err("InvalidOperation".into()));
    assert_eq!(ask(&cbor::text("DescribeNSM")), Err("variant DescribeNSM".into()));
    assert_eq!(ask(&cbor::text("GetRandom")), Err("variant GetRandom".into()));
    assert!(ask(&attestation(None, None, None)).is_ok());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn rows_of_rights_on_the_index() {
    let tpm = NitroTpm::start().unwrap();
    let client = Client { tpm: &tpm };
    // (attributes, NSM): read only cannot be answered; write only cannot be asked.
    for (attributes, expected) in [(0x0004_0002, Err(0x12f)), (0x0002_0004, Err(0x12f)), (0x0204_0004, Ok(()))] {
        client.define(INDEX, 8192, attributes, b"a").unwrap();
        let mut parameters = sized(&attestation(None, None, None));
        parameters.extend([0, 0]);
        let writer = if attributes & 4 != 0 { INDEX } else { OWNER };
        let auth: &[u8] = if attributes & 4 != 0 { b"a" } else { b"" };
        client.call(0x137, &[writer, INDEX], &[], vec![password(auth)], &parameters).unwrap();
        let mut session = plain_session(&client);
        assert_eq!(client.nsm(INDEX, &mut session, b"a"), expected, "{attributes:#x}");
        // Whatever it was, the session's nonce is what the client thinks.
        let name = client.name(INDEX);
        let again = client.call(0x169, &[INDEX], &[name], vec![beside(&mut session, CONTINUE | AUDIT)], &[]);
        assert_eq!(again, Err(0x982));
        client.flush(session.handle);
        client.undefine(INDEX).unwrap();
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_write_locked_index_is_not_answered_in() {
    let tpm = NitroTpm::start().unwrap();
    let client = Client { tpm: &tpm };
    client.define(INDEX, 8192, AUTHREAD_AUTHWRITE | 0x4000, b"a").unwrap(); // WRITE_STCLEAR
    client.write(INDEX, b"a", &attestation(None, None, None)).unwrap();
    let mut session = plain_session(&client);
    client.nsm(INDEX, &mut session, b"a").unwrap();
    let name = client.name(INDEX);
    let sent = vec![with(&mut session, b"a", CONTINUE)];
    client.call(0x138, &[INDEX, INDEX], &[name.clone(), name], sent, &[]).unwrap();
    assert_eq!(client.nsm(INDEX, &mut session, b"a"), Err(0x148));
    assert_eq!(client.write(INDEX, b"a", b"x"), Err(0x148));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn large_indices_read_and_write_under_encryption() {
    let tpm = NitroTpm::start().unwrap();
    let client = Client { tpm: &tpm };
    let key = client.storage_key();
    for hide in [Hide::Aes128, Hide::Xor] {
        for (hash, bind) in [(Hash::Sha256, false), (Hash::Sha512, false), (Hash::Sha512, true)] {
            // A TPM drops trailing zeros of authorization values, and this client does not.
            let mut auth = random(32);
            auth[31] |= 1;
            let mut owner = client.session(hash, hide, Some(&key), None);
            let mut parameters = sized(&auth);
            parameters.extend(sized(&public(INDEX, 8192, AUTHREAD_AUTHWRITE)));
            let names = [OWNER.to_be_bytes().to_vec()];
            let sent = vec![with(&mut owner, b"", CONTINUE | DECRYPT)];
            client.call(0x12a, &[OWNER], &names, sent, &parameters).unwrap();

            let data = random(1024);
            let mut parameters = sized(&data);
            parameters.extend(7000u16.to_be_bytes());
            let name = client.name(INDEX);
            let names = [name.clone(), name];
            let sent = vec![with(&mut owner, &auth, CONTINUE | DECRYPT)];
            client.call(0x137, &[INDEX, INDEX], &names, sent, &parameters).unwrap();

            // Bound after the first write, which changed the Name.
            let bind = bind.then_some((INDEX, auth.as_slice()));
            let mut reader = client.session(hash, hide, Some(&key), bind);
            let name = client.name(INDEX);
            let names = [name.clone(), name];
            let mut range = 1024u16.to_be_bytes().to_vec();
            range.extend(7000u16.to_be_bytes());
            let sent = vec![with(&mut reader, &auth, CONTINUE | ENCRYPT)];
            let read = client.call(0x14e, &[INDEX, INDEX], &names, sent, &range).unwrap();
            assert_eq!(&read[2..], data);

            // Authorized by password, encrypted by a session beside it.
            let sent = vec![password(&auth), beside(&mut owner, CONTINUE | ENCRYPT)];
            let read = client.call(0x14e, &[INDEX, INDEX], &names, sent, &range).unwrap();
            assert_eq!(&read[2..], data);
            let mut other = client.session(Hash::Sha256, hide, None, None);
            let sent = vec![with(&mut reader, &auth, CONTINUE), beside(&mut other, CONTINUE | ENCRYPT)];
            let read = client.call(0x14e, &[INDEX, INDEX], &names, sent, &range).unwrap();
            assert_eq!(&read[2..], data);
            let sent = vec![with(&mut reader, &auth, CONTINUE), beside(&mut other, CONTINUE | DECRYPT)];
            client.call(0x137, &[INDEX, INDEX], &names, sent, &parameters).unwrap();

            // NV_ReadPublic in an encrypting session, as AWS's client does.
            let sent = vec![beside(&mut owner, CONTINUE | ENCRYPT)];
            let public = client.call(0x169, &[INDEX], &names[..1], sent, &[]).unwrap();
            assert_eq!(public, client.call(0x169, &[INDEX], &[], vec![], &[]).unwrap());
            assert_eq!(u16_at(&public, 14), 8192);

            // And gone, in a session that authorizes with an empty value.
            let names = [OWNER.to_be_bytes().to_vec(), client.name(INDEX)];
            let sent = vec![with(&mut owner, b"", 0)];
            client.call(0x122, &[OWNER, INDEX], &names, sent, &[]).unwrap();
            assert_eq!(client.public(INDEX), Err(0x18b));
            client.flush(reader.handle);
            client.flush(other.handle);
        }
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn ranges_of_a_large_index_are_those_of_a_tpm() {
    let (tpm, auth) = prepared();
    let client = Client { tpm: &tpm };
    let read = |size: u16, offset: u16| {
        let parameters = [size.to_be_bytes(), offset.to_be_bytes()].concat();
        client.call(0x14e, &[INDEX, INDEX], &[], vec![password(&auth)], &parameters).map(|read| read.len() - 2)
    };
    assert_eq!(read(1024, 7168), Ok(1024));
    assert_eq!(read(0, 8192), Ok(0));
    assert_eq!(read(1, 8192), Err(0x146));
    assert_eq!(read(1024, 7169), Err(0x146));
    assert_eq!(read(1025, 0), Err(0x1c4));
    let write = |size: usize, offset: u16| {
        let mut parameters = sized(&vec![1; size]);
        parameters.extend(offset.to_be_bytes());
        client.call(0x137, &[INDEX, INDEX], &[], vec![password(&auth)], &parameters).map(|_| ())
    };
    assert_eq!(write(1024, 7168), Ok(()));
    assert_eq!(write(1, 8192), Err(0x146));
    assert_eq!(write(1025, 0), Err(0x1d5));
    // What was not written is 0xFF.
    let contents = client.read(INDEX, &auth, 8192).unwrap();
    assert!(contents[1024..7168].iter().all(|byte| *byte == 0xff));
    assert!(contents[7168..].iter().all(|byte| *byte == 1));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn an_owner_password_is_found_for_hmac_sessions() {
    let tpm = NitroTpm::start().unwrap();
    let client = Client { tpm: &tpm };
    client.call(0x129, &[OWNER], &[], vec![password(b"")], &sized(b"the owner's")).unwrap();
    let mut session = plain_session(&client);
    let mut parameters = sized(b"a");
    parameters.extend(sized(&public(INDEX, 8192, AUTHREAD_AUTHWRITE)));
    let names = [OWNER.to_be_bytes().to_vec()];
    let mut define = |auth: &[u8]| {
        client.call(0x12a, &[OWNER], &names, vec![with(&mut session, auth, CONTINUE)], &parameters).map(|_| ())
    };
    assert_eq!(define(b""), Err(0x9a2));
    assert_eq!(define(b"the owner's"), Ok(()));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn what_would_tell_of_the_placeholder_is_refused() {
    let (tpm, auth) = prepared();
    let client = Client { tpm: &tpm };
    let policy = client.session_of_type(1, Hash::Sha256, Hide::Nothing, None, None);
    let operand = [sized(b"x"), vec![0, 0, 0, 0]].concat();
    let handles = [INDEX, INDEX, policy.handle];
    assert_eq!(client.call(0x149, &handles, &[], vec![password(&auth)], &operand), Err(0x143));
    let handles = [NULL, INDEX, INDEX];
    let sent = vec![password(b""), password(&auth)];
    assert_eq!(client.call(0x184, &handles, &[], sent, &[0, 0, 0, 0x10, 0, 8, 0, 0]), Err(0x143));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn the_authorization_value_can_be_changed() {
    let tpm = NitroTpm::start().unwrap();
    let client = Client { tpm: &tpm };
    // Only a policy may change it: PolicyCommandCode(NV_ChangeAuth) and PolicyAuthValue are what a TPM demands, so an index
    // without policy refuses, in swtpm's words.
    client.define(INDEX, 8192, AUTHREAD_AUTHWRITE, b"a").unwrap();
    let mut session = plain_session(&client);
    let name = client.name(INDEX);
    let sent = vec![with(&mut session, b"a", CONTINUE)];
    let changed = client.call(0x13b, &[INDEX], &[name], sent, &sized(b"b"));
    assert_eq!(changed, Err(0x124));
    client.undefine(INDEX).unwrap();

    // One whose policy is PolicyCommandCode(NV_ChangeAuth) alone.
    let policy = [&[0; 64][..], &[0, 0, 0x01, 0x6c], &[0, 0, 0x01, 0x3b]].concat();
    let mut area = public(INDEX, 8192, AUTHREAD_AUTHWRITE | 0x0200_0000);
    area.splice(10..12, sized(&<sha2::Sha512 as sha2::Digest>::digest(&policy)));
    let parameters = [sized(b"a"), sized(&area)].concat();
    client.call(0x12a, &[OWNER], &[], vec![password(b"")], &parameters).unwrap();
    client.write(INDEX, b"a", &attestation(None, None, None)).unwrap();
    client.nsm(INDEX, &mut session, b"a").unwrap();
    let mut policy = client.session_of_type(1, Hash::Sha512, Hide::Nothing, None, None);
    let code = [policy.handle.to_be_bytes(), [0, 0, 0x01, 0x3b]].concat();
    client.call(0x16c, &[], &[], vec![], &code).unwrap();
    let names = [client.name(INDEX)];
    let sent = vec![with(&mut policy, b"", CONTINUE)];
    client.call(0x13b, &[INDEX], &names, sent, &sized(b"b")).unwrap();
    // The old value is none any more, for the vendor command as for any other.
    assert_eq!(client.nsm(INDEX, &mut session, b"a"), Err(0x9a2));
    assert_eq!(client.read(INDEX, b"a", 8), Err(0x9a2));
    client.nsm(INDEX, &mut session, b"b").unwrap();
    assert!(response(&client.read(INDEX, b"b", 8192).unwrap()).is_ok());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn clear_takes_the_owners_large_indices() {
    let (tpm, _) = prepared();
    let client = Client { tpm: &tpm };
    client.call(0x126, &[LOCKOUT], &[], vec![password(b"")], &[]).unwrap();
    assert_eq!(client.public(INDEX), Err(0x18b));
    assert_eq!(std::fs::read_dir(tpm.directory().join("nv")).unwrap().count(), 0);
    client.define(INDEX, 100, AUTHREAD_AUTHWRITE, b"a").unwrap();
    assert_eq!(u16_at(&client.public(INDEX).unwrap().0, 12), 100);
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_large_index_survives_a_restart_and_a_reset() {
    let directory = tempfile::tempdir().unwrap();
    let start = || NitroTpm::builder().state_dir(directory.path()).start().unwrap();
    let tpm = start();
    let data = random(8192);
    let auth = random(32);
    Client { tpm: &tpm }.define(INDEX, 8192, AUTHREAD_AUTHWRITE, &auth).unwrap();
    Client { tpm: &tpm }.write(INDEX, &auth, &data).unwrap();
    let (public, root, module) = (Client { tpm: &tpm }.public(INDEX), tpm.root_pem(), tpm.module_id());
    tpm.reset().unwrap();
    assert_eq!(Client { tpm: &tpm }.read(INDEX, &auth, 8192).unwrap(), data);
    drop(tpm);
    let tpm = start();
    let client = Client { tpm: &tpm };
    assert_eq!(client.read(INDEX, &auth, 8192).unwrap(), data);
    assert_eq!((client.public(INDEX), tpm.root_pem(), tpm.module_id()), (public, root, module));
    let mut session = plain_session(&client);
    client.write(INDEX, &auth, &attestation(None, None, None)).unwrap();
    client.nsm(INDEX, &mut session, &auth).unwrap();
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn capabilities_are_nitrotpms() {
    let tpm = NitroTpm::start().unwrap();
    let client = Client { tpm: &tpm };
    let ask = |capability: u32, first: u32, count: u32| {
        let parameters: Vec<u8> = [capability, first, count].iter().flat_map(|field| field.to_be_bytes()).collect();
        client.call(0x17a, &[], &[], vec![], &parameters).unwrap()
    };
    let property = |property: u32| {
        let answer = ask(6, property, 1);
        assert_eq!(u32_at(&answer, 9), property);
        u32_at(&answer, 13)
    };
    assert_eq!(property(0x105), 0x414d_5a4e);
    assert_eq!(property(0x106), 0x4e69_7472);
    assert_eq!(property(0x107), 0x6f54_504d);
    assert_eq!(property(0x117), 8192);
    let commands = ask(2, 0x11f, 254);
    assert_eq!(u32_at(&commands, commands.len() - 4), 0x2400_0001);
}
