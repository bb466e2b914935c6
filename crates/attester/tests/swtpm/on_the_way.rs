//! Somebody between the attester and the TPM, who listens, replays and loses.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use nitrotpm_attester::{AttesterError, Connection, DocumentOptions, DocumentRequest, Protection, request_document};
use nitrotpm_emulator::NitroTpm;
use ring::rand::SystemRandom;

use crate::documents::{handles, is_clean};

const NV_READ: u32 = 0x14E;
const NV_WRITE: u32 = 0x137;
const START_AUTH_SESSION: u32 = 0x176;
const CREATE_PRIMARY: u32 = 0x131;

/// Passes commands on, one connection at a time, and does with the responses what it is told to.
struct Between {
    port: u16,
    /// All that went by, in both directions.
    heard: Arc<Mutex<Vec<u8>>>,
    /// The codes of the commands that went by.
    commands: Arc<Mutex<Vec<u32>>>,
}

/// What becomes of a response: by the number of its command, that command's code, and the response.
type Meddle = Box<dyn FnMut(usize, u32, Vec<u8>) -> Option<Vec<u8>> + Send>;

impl Between {
    fn start(tpm: &NitroTpm, mut meddle: Meddle) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (heard, commands) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (to_tpm, listening, counting) = (tpm.tcp_port(), Arc::clone(&heard), Arc::clone(&commands));
        // It ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                let mut tpm = TcpStream::connect(("127.0.0.1", to_tpm)).unwrap();
                while let Some(command) = message(&mut client) {
                    tpm.write_all(&command).unwrap();
                    let response = message(&mut tpm).unwrap();
                    listening.lock().unwrap().extend_from_slice(&[command.as_slice(), &response].concat());
                    let code = u32::from_be_bytes(*command[6..].first_chunk().unwrap());
                    let number = counting.lock().unwrap().len();
                    counting.lock().unwrap().push(code);
                    match meddle(number, code, response) {
                        Some(response) => client.write_all(&response).unwrap(),
                        None => break,
                    }
                }
            }
        });
        Self { port, heard, commands }
    }

    fn heard(&self, bytes: &[u8]) -> bool {
        self.heard.lock().unwrap().windows(bytes.len()).any(|window| window == bytes)
    }

    fn ask(&self, protection: Protection, owner_auth: &[u8], user_data: &[u8]) -> Result<Vec<u8>, AttesterError> {
        let connection = Connection::Swtpm { host: "127.0.0.1".to_owned(), port: self.port };
        let request = DocumentRequest { user_data: Some(user_data), ..DocumentRequest::default() };
        let options = DocumentOptions { owner_auth, protection, interrupted: &AtomicBool::new(false) };
        request_document(&connection, &request, &options, &SystemRandom::new())
    }
}

/// A command or a response, whose third to sixth byte are its length; `None` at the end.
fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 6];
    stream.read_exact(&mut bytes).ok()?;
    bytes.resize(usize::try_from(u32::from_be_bytes(*bytes[2..].first_chunk().unwrap())).unwrap(), 0);
    stream.read_exact(&mut bytes[6..]).ok()?;
    Some(bytes)
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn who_listens_hears_neither_passwords_nor_the_document() {
    const PASSWORD: &[u8] = b"the owner's password";
    const DATA: &[u8] = b"what is attested";
    let tpm = NitroTpm::start().unwrap();
    // TPM2_HierarchyChangeAuth of the owner hierarchy to these 20 bytes.
    let change = hex::decode("8002000000310000012940000001000000094000000900000000000014").unwrap();
    let change = [change.as_slice(), PASSWORD].concat();
    assert_eq!(tpm.execute(&change)[6..10], [0; 4]);
    for (protection, heard) in [(Protection::Salted, false), (Protection::Unsalted, true), (Protection::Password, true)]
    {
        let between = Between::start(&tpm, Box::new(|_, _, response| Some(response)));
        let document = between.ask(protection, PASSWORD, DATA).unwrap();
        assert!(document.windows(DATA.len()).any(|window| window == DATA));
        // From the middle of a certificate, which went by in one piece.
        let middle = &document[document.len() / 2..][..16];
        assert_eq!([PASSWORD, DATA, middle].map(|bytes| between.heard(bytes)), [heard; 3], "{protection:?}");
        assert!(is_clean(&tpm), "{protection:?}");
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn who_lets_no_session_come_about_hears_no_password() {
    const PASSWORD: &[u8] = b"the owner's password";
    let tpm = NitroTpm::start().unwrap();
    let change = hex::decode("8002000000310000012940000001000000094000000900000000000014").unwrap();
    assert_eq!(tpm.execute(&[change.as_slice(), PASSWORD].concat())[6..10], [0; 4]);
    // From the index on, every answer is lost, and so are all later sessions.
    let mut broken = false;
    let between = Between::start(
        &tpm,
        Box::new(move |_, code, response| {
            broken |= code == NV_WRITE;
            (!broken).then_some(response)
        }),
    );
    let error = between.ask(Protection::Salted, PASSWORD, b"what is attested").unwrap_err();
    assert_eq!(error.code(), "attester.unreachable", "{error}");
    assert!(!between.heard(PASSWORD));
    // The index could not be removed without it. With the way free again, all is well.
    assert_eq!(handles(&tpm, 0x01), 1);
    tpm.reset().unwrap();
    let between = Between::start(&tpm, Box::new(|_, _, response| Some(response)));
    assert!(between.ask(Protection::Salted, PASSWORD, b"what is attested").is_ok());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn an_earlier_answer_is_not_taken_for_a_later_one() {
    let tpm = NitroTpm::start().unwrap();
    for (protection, taken) in
        [(Protection::Salted, false), (Protection::Unsalted, false), (Protection::Password, true)]
    {
        let mut first: Option<Vec<u8>> = None;
        let replayed = Arc::new(AtomicBool::new(false));
        let replaying = Arc::clone(&replayed);
        // The second reading of the index gets the answer that the first got.
        let between = Between::start(
            &tpm,
            Box::new(move |_, code, response| match &first {
                Some(first) if code == NV_READ && !replaying.swap(true, Ordering::Relaxed) => Some(first.clone()),
                None if code == NV_READ => {
                    first = Some(response.clone());
                    Some(response)
                }
                _ => Some(response),
            }),
        );
        let outcome = between.ask(protection, b"", b"what is attested");
        assert!(replayed.load(Ordering::Relaxed), "{protection:?}");
        match outcome {
            // With passwords nothing shows it here; to the verifier the document's signature does.
            Ok(_) => assert!(taken, "{protection:?}"),
            Err(error) => assert_eq!((error.code(), taken), ("attester.answer", false), "{protection:?}: {error}"),
        }
        assert!(is_clean(&tpm), "{protection:?}");
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn whatever_answer_is_lost_the_index_is_removed() {
    let tpm = NitroTpm::start().unwrap();
    for protection in [Protection::Salted, Protection::Unsalted] {
        let between = Between::start(&tpm, Box::new(|_, _, response| Some(response)));
        between.ask(protection, b"", b"all is well").unwrap();
        let commands = between.commands.lock().unwrap().clone();
        for (lost, code) in commands.iter().enumerate() {
            let between =
                Between::start(&tpm, Box::new(move |number, _, response| (number != lost).then_some(response)));
            let error = between.ask(protection, b"", b"all is well").unwrap_err();
            assert_eq!(error.code(), "attester.unreachable", "{protection:?} {lost} {code:#x}: {error}");
            assert_eq!(handles(&tpm, 0x01), 0, "{protection:?} {lost} {code:#x}");
            if [START_AUTH_SESSION, CREATE_PRIMARY].contains(code) {
                // Its handle was in the answer that is lost: only a resource manager, or a reset, removes it.
                tpm.reset().unwrap();
            }
            assert!(is_clean(&tpm), "{protection:?} {lost} {code:#x}");
        }
    }
}
