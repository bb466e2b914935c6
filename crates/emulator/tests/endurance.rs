//! Many documents and many clients: nothing leaks.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a helper of tests fails as a test does"
)]

mod support;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nitrotpm_emulator::NitroTpm;
use support::*;

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A document as AWS's client asks for one, in a session of its own.
fn one_document(client: &Client<'_>, index: u32, nonce: &[u8]) -> Duration {
    let auth = random(64);
    client.define(index, 8192, AUTHREAD_AUTHWRITE, &auth).unwrap();
    client.write(index, &auth, &attestation(None, None, Some(nonce))).unwrap();
    let mut session = client.session(Hash::Sha512, Hide::Nothing, None, None);
    let start = Instant::now();
    client.nsm(index, &mut session, &auth).unwrap();
    let took = start.elapsed();
    client.flush(session.handle);
    let document = response(&client.read(index, &auth, 8192).unwrap()).unwrap();
    assert!(document.windows(nonce.len()).any(|window| window == nonce));
    client.undefine(index).unwrap();
    took
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn eight_clients_and_hundreds_of_documents_leave_nothing() {
    let tpm = NitroTpm::start().unwrap();
    one_document(&Client { tpm: &tpm }, 0x0180_0000, b"warm up");
    let files = open_files();
    let times: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> = (0..8u32)
            .map(|number| {
                let tpm = &tpm;
                scope.spawn(move || {
                    let client = Client { tpm };
                    (0..25u32)
                        .map(|turn| {
                            one_document(
                                &client,
                                0x0180_0000 + number,
                                &[number.to_be_bytes(), turn.to_be_bytes()].concat(),
                            )
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert_eq!(times.len(), 200);
    let client = Client { tpm: &tpm };
    for kind in [0x01, 0x81, 0x02, 0x80] {
        assert_eq!(handles(&client, kind), 0, "{kind:#x}");
    }
    assert_eq!(fs::read_dir(tpm.directory().join("nv")).unwrap().count(), 0);
    // Other tests of this file open files too: a leak of one a document would show.
    assert!(open_files() < files + 100);
}
