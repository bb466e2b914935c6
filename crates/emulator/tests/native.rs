//! What the emulator keeps outside swtpm behaves as what swtpm keeps: the same commands, the same answers.
//!
//! Two TPMs get the same commands on NV indices that libtpms can hold. One keeps them all in swtpm, the other, as it does
//! with large ones, outside. Whatever the answers' bytes are, they must be equal: public areas, Names, data, and each
//! response code. Only nonces and HMACs differ, and the client checks those.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a helper of tests fails as a test does"
)]

mod support;

use std::ops::RangeInclusive;

use nitrotpm_emulator::NitroTpm;
use support::*;

const INDICES: [u32; 3] = [0x0100_0001, 0x0180_0002, 0x01c1_0003];
const AUTHS: [&[u8]; 3] = [b"", b"right", b"another one"];
const SIZES: [u16; 9] = [1, 7, 8, 9, 100, 1023, 1024, 1025, 2048];

const OWNER_ONLY: u32 = 0x0002_0002;
const WRITEDEFINE: u32 = 1 << 13;
const WRITE_STCLEAR: u32 = 1 << 14;
const GLOBALLOCK: u32 = 1 << 15;
const POLICYWRITE: u32 = 1 << 3;
const NO_DA: u32 = 1 << 25;
const READ_STCLEAR: u32 = 1 << 31;
/// Combinations of rights and locks, some of them refused: no reading at all, bits that a client may not set.
const ATTRIBUTES: [u32; 12] = [
    AUTHREAD_AUTHWRITE,
    AUTHREAD_AUTHWRITE | NO_DA,
    AUTHREAD_AUTHWRITE | OWNER_ONLY,
    OWNER_ONLY,
    AUTHREAD_AUTHWRITE | WRITEDEFINE,
    AUTHREAD_AUTHWRITE | WRITE_STCLEAR | NO_DA,
    AUTHREAD_AUTHWRITE | READ_STCLEAR | OWNER_ONLY,
    AUTHREAD_AUTHWRITE | GLOBALLOCK,
    0x0004_0000 | POLICYWRITE,
    0x0000_0004,
    AUTHREAD_AUTHWRITE | (1 << 29),
    AUTHREAD_AUTHWRITE | (1 << 9),
];

/// xorshift64*: the same commands each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
    fn up_to(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.roll() % (range.end() - range.start() + 1)
    }
    fn one_in(&mut self, count: u64) -> bool {
        self.roll().is_multiple_of(count)
    }
    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.up_to(0..=choices.len() as u64 - 1) as usize]
    }
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.roll() as u8).collect()
    }
}

/// How a command is authorized.
#[derive(Clone, Copy, Debug)]
enum By {
    Nobody,
    Password,
    Session {
        hash: Hash,
        hide: Hide,
        attributes: u8,
        bound: bool,
        flip: bool,
        empty: bool,
    },
    /// A password, and a session beside it that encrypts or decrypts.
    PasswordBeside {
        hide: Hide,
        attributes: u8,
    },
}

#[derive(Clone, Debug)]
enum Step {
    Command { code: u32, handles: Vec<u32>, auth: Vec<u8>, by: By, parameters: Vec<u8> },
    ResetLockout,
    Reset,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Command { code, handles, auth, by, parameters } = self else { return write!(f, "{self:?}") };
        let start = hex::encode(&parameters[..parameters.len().min(24)]);
        write!(f, "{code:#x} {handles:x?} {by:?} auth {auth:?}, {} bytes {start}", parameters.len())
    }
}

fn by(dice: &mut Dice) -> By {
    let hide = dice.of(&[Hide::Nothing, Hide::Aes128, Hide::Xor]);
    let hides =
        if hide == Hide::Nothing { CONTINUE } else { CONTINUE | dice.of(&[DECRYPT, ENCRYPT, DECRYPT | ENCRYPT]) };
    match dice.up_to(0..=19) {
        0 => By::Nobody,
        1..=9 => By::Password,
        10..=11 if hide != Hide::Nothing => By::PasswordBeside { hide, attributes: hides },
        _ => By::Session {
            hash: dice.of(&[Hash::Sha256, Hash::Sha512]),
            hide,
            // Without a cipher it asks for what cannot be, now and then.
            attributes: if dice.one_in(20) { CONTINUE | dice.of(&[DECRYPT, ENCRYPT]) } else { hides },
            bound: dice.one_in(4),
            flip: dice.one_in(20),
            empty: dice.one_in(20),
        },
    }
}

fn step(dice: &mut Dice) -> Step {
    let index = dice.of(&INDICES);
    // The right value most of the time: each index has one of its own.
    let own = AUTHS[INDICES.iter().position(|other| *other == index).unwrap()];
    let auth = if dice.one_in(16) { dice.of(&AUTHS) } else { own };
    let by_owner = dice.one_in(6);
    let (authority, auth) = if by_owner { (OWNER, b"".as_slice()) } else { (index, auth) };
    let both = vec![authority, index];
    let size = u64::from(dice.of(&SIZES));
    let (code, handles, auth, mut parameters) = match dice.up_to(0..=21) {
        0..=3 => {
            let mut parameters = sized(own);
            let attributes = if dice.one_in(2) { dice.of(&ATTRIBUTES[..3]) } else { dice.of(&ATTRIBUTES) };
            parameters.extend(sized(&public(index, size as u16, attributes)));
            (0x12a, vec![OWNER], b"".as_slice(), parameters)
        }
        4..=8 => {
            let length = dice.of(&[0, 1, 1, 5, 7, 8, 100, 1023, 1024, 1025]);
            let mut parameters = sized(&dice.bytes(length));
            let offset = if dice.one_in(3) { dice.up_to(0..=2100) } else { 0 };
            parameters.extend((offset as u16).to_be_bytes());
            (0x137, both, auth, parameters)
        }
        9..=13 => {
            let mut parameters = dice.of(&[0u16, 1, 1, 5, 7, 8, 100, 1024, 1025, 2048]).to_be_bytes().to_vec();
            let offset = if dice.one_in(3) { dice.up_to(0..=2100) } else { 0 };
            parameters.extend((offset as u16).to_be_bytes());
            (0x14e, both, auth, parameters)
        }
        14 => (0x169, vec![index], b"".as_slice(), vec![]),
        15 => (dice.of(&[0x138, 0x14f]), both, auth, vec![]), // NV_WriteLock, NV_ReadLock
        16 => (0x122, vec![OWNER, index], b"".as_slice(), vec![]),
        17 => (0x13b, vec![index], auth, sized(b"changed")), // NV_ChangeAuth, which takes a policy
        18 => match dice.up_to(0..=3) {
            0 => (0x134, both, auth, vec![]),                  // NV_Increment
            1 => (0x135, both, auth, vec![0; 8]),              // NV_SetBits
            2 => (0x136, both, auth, sized(b"extended")),      // NV_Extend
            _ => (0x132, vec![OWNER], b"".as_slice(), vec![]), // NV_GlobalWriteLock
        },
        _ if dice.one_in(4) => return Step::Reset,
        _ => return Step::ResetLockout,
    };
    if dice.one_in(25) {
        // Cut short, or with something behind.
        if parameters.pop().is_none() || dice.one_in(2) {
            parameters.extend([0, 0]);
        }
    }
    Step::Command { code, handles, auth: auth.to_vec(), by: by(dice), parameters }
}

/// Executes a step; gives all that the client learns.
fn run(tpm: &NitroTpm, step: &Step) -> Result<Vec<u8>, u32> {
    let client = Client { tpm };
    let Step::Command { code, handles, auth, by, parameters } = step else {
        match step {
            Step::Reset => tpm.reset().unwrap(),
            _ => client.reset_lockout(),
        }
        return Ok(vec![]);
    };
    let names: Vec<Vec<u8>> = handles
        .iter()
        .map(|handle| match handle >> 24 {
            // The Name of an index that is not there is empty.
            1 => client.public(*handle).map(|(_, name)| name).unwrap_or_default(),
            _ => handle.to_be_bytes().to_vec(),
        })
        .collect();
    let no_authorization = *code == 0x169;
    match *by {
        By::Nobody => client.call(*code, handles, &names, vec![], parameters),
        By::Password if no_authorization => client.call(*code, handles, &names, vec![], parameters),
        By::Password => client.call(*code, handles, &names, vec![password(auth)], parameters),
        By::PasswordBeside { hide, attributes } => {
            let mut session = client.session(Hash::Sha256, hide, None, None);
            let mut sent = vec![beside(&mut session, hidable(*code, attributes, parameters))];
            if !no_authorization {
                sent.insert(0, password(auth));
            }
            let answer = client.call(*code, handles, &names, sent, parameters);
            client.flush(session.handle);
            answer
        }
        By::Session { hash, hide, attributes, bound, flip, empty } => {
            let attributes = if hide == Hide::Nothing { CONTINUE } else { hidable(*code, attributes, parameters) };
            let exists = handles.first().is_some_and(|handle| *handle == OWNER || client.public(*handle).is_ok());
            let bind = (bound && exists && !no_authorization).then_some((handles[0], auth.as_slice()));
            let mut session = client.session(hash, hide, None, bind);
            let mut sent =
                if no_authorization { beside(&mut session, attributes) } else { with(&mut session, auth, attributes) };
            (sent.flip, sent.empty) = (flip, empty);
            let answer = client.call(*code, handles, &names, vec![sent], parameters);
            client.flush(session.handle);
            answer
        }
    }
}

/// Only commands and responses that start with a TPM2B can hide it: the client needs one to encrypt.
fn hidable(code: u32, mut attributes: u8, parameters: &[u8]) -> u8 {
    let starts_sized = parameters.len() >= 2 && parameters.len() >= 2 + u16_at(parameters, 0) as usize;
    if !matches!(code, 0x12a | 0x137 | 0x136 | 0x13b) || !starts_sized {
        attributes &= !DECRYPT;
    }
    if !matches!(code, 0x14e | 0x169) {
        attributes &= !ENCRYPT;
    }
    attributes
}

fn compare(seed: u64, steps: usize) {
    let inside = NitroTpm::start().unwrap();
    let outside = NitroTpm::builder().overlay_above(0).start().unwrap();
    let mut dice = Dice(seed);
    let mut done = Vec::new();
    let (mut succeeded, mut codes) = (0, std::collections::BTreeSet::new());
    for number in 0..steps {
        let step = step(&mut dice);
        let [native, ours] = [run(&inside, &step), run(&outside, &step)];
        done.push(format!("{step} -> {}", native.as_ref().map_or_else(|code| format!("{code:#x}"), hex::encode)));
        let last = done.len().saturating_sub(12);
        assert_eq!(native, ours, "step {number} of seed {seed}, after\n{}", done[last..].join("\n"));
        match native {
            Ok(_) => succeeded += 1,
            Err(code) => _ = codes.insert(code),
        }
        let [native, ours] = [&inside, &outside].map(|tpm| INDICES.map(|index| Client { tpm }.public(index)));
        assert_eq!(native, ours, "public areas after step {number} of seed {seed}:\n{}", done[last..].join("\n"));
    }
    // The comparison means something only where much succeeds, and fails for many reasons.
    println!("seed {seed}: {succeeded} of {steps} succeeded, response codes {codes:x?}");
    assert!(succeeded > steps / 3, "{succeeded}");
    assert!(codes.len() >= 12, "{codes:x?}");
    // And where the other TPM did keep them outside.
    outside.reset().unwrap();
    let client = Client { tpm: &outside };
    let _ = client.undefine(INDICES[0]);
    client.define(INDICES[0], 100, AUTHREAD_AUTHWRITE, b"").unwrap();
    assert!(outside.directory().join("nv").join(format!("{:08x}", INDICES[0])).is_file());
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn indices_outside_swtpm_answer_as_those_inside() {
    for seed in [1, 20_261_126] {
        compare(seed, 300);
    }
}
