//! Batches against one extend after the other.
#![allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failure of the test")]

use alloc::vec;

use super::*;
use crate::{Chain, reset_value};

/// Digests of a log: each of `events` a register and a bank's digest.
fn log(seed: u8, events: usize, bank: HashAlgorithm) -> Vec<(PcrIndex, Vec<u8>)> {
    (0..events)
        .map(|event| {
            // Two of three events belong to PCR 8, as in real logs; the rest are spread over the others.
            let index = if event % 3 == 0 { (event * 7 + usize::from(seed)) % 24 } else { 8 };
            let byte = u8::try_from((event * 31 + usize::from(seed) * 17) % 251).unwrap();
            (PcrIndex::new(u8::try_from(index).unwrap()).unwrap(), vec![byte; bank.digest_len()])
        })
        .collect()
}

/// Adds a log of one bank.
fn add<'d>(
    batch: &mut Batch<'d>,
    bank: HashAlgorithm,
    log: &'d [(PcrIndex, Vec<u8>)],
    start: impl FnMut(HashAlgorithm, PcrIndex) -> Digest,
) -> Result<LogId, BatchError> {
    let mut adding = batch.add_log();
    for (index, digest) in log {
        adding.extend(bank, *index, digest)?;
    }
    adding.finish(start)
}

fn assert_replayed(batch: &Batch<'_>, id: LogId, log: &[(PcrIndex, Vec<u8>)], bank: HashAlgorithm) {
    for index in PcrIndex::all() {
        let mut chain = Chain::new(bank, index);
        for (_, digest) in log.iter().filter(|(of, _)| *of == index) {
            chain.extend(&Digest::new(bank, digest).unwrap()).unwrap();
        }
        let expected = (chain.extends() > 0).then(|| (chain.value(), chain.extends()));
        assert_eq!(batch.register(id, bank, index), expected, "{bank}, PCR {index}");
    }
}

/// Logs of many sizes, the empty one too, in all banks; a batch that is filled twice; and one that is reused.
#[test]
fn batches_give_what_one_extend_after_the_other_gives() {
    let sizes = [0, 1, 2, 3, 5, 24, 73, 111, 200, 7, 1, 60];
    let logs: Vec<_> = HashAlgorithm::ALL
        .into_iter()
        .flat_map(|bank| sizes.iter().zip(0..).map(move |(size, seed)| (bank, log(seed, *size, bank))))
        .collect();
    for backends in [Backends::detect(), Backends::portable()] {
        let mut batch = Batch::new();
        for _ in 0..2 {
            let mut ids = Vec::new();
            for (bank, log) in &logs {
                ids.push(add(&mut batch, *bank, log, reset_value).unwrap());
                if ids.len() == 20 {
                    // What was added later must not run what is done a second time.
                    batch.run(&backends);
                }
            }
            batch.run(&backends);
            for ((bank, log), id) in logs.iter().zip(ids) {
                assert_replayed(&batch, id, log, *bank);
            }
            batch = batch.reuse();
        }
    }
}

#[test]
fn a_start_value_is_extended_from() {
    let bank = HashAlgorithm::Sha256;
    let events = log(1, 4, bank);
    let mut batch = Batch::new();
    let start = Digest::ones(bank);
    let id = add(&mut batch, bank, &events, |_, _| start).unwrap();
    let index = events[1].0;
    assert_eq!(batch.register(id, bank, index).unwrap().0, start);
    batch.run(&Backends::detect());
    let mut chain = Chain::from_value(start);
    for (_, digest) in events.iter().filter(|(of, _)| *of == index) {
        chain.extend(&Digest::new(bank, digest).unwrap()).unwrap();
    }
    assert_eq!(batch.register(id, bank, index), Some((chain.value(), chain.extends())));
}

#[test]
fn messages_are_hashed_in_the_banks_that_were_asked_for() {
    let texts: Vec<Vec<u8>> = (0..100).map(|length| vec![0xA5; length * 3]).collect();
    let banks = |number: usize| HashAlgorithm::ALL.into_iter().skip(number % 4).step_by(2);
    let mut batch = Batch::new();
    for backends in [Backends::detect(), Backends::portable()] {
        let mut ids = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            ids.push(batch.add_message(banks(number), text));
            assert_eq!(batch.digest(ids[number], HashAlgorithm::Sha384), None);
            assert!(!batch.digest_is(ids[number], HashAlgorithm::Sha384, &[0; 48]));
            if number == 60 {
                // What is added later is hashed too, and what is done stays.
                batch.run(&backends);
            }
        }
        batch.run(&backends);
        for (number, (text, id)) in texts.iter().zip(ids).enumerate() {
            for bank in HashAlgorithm::ALL {
                let expected = nitrotpm_digest_lanes::hash(bank, &[text]);
                let asked = banks(number).any(|asked| asked == bank);
                assert_eq!(batch.digest(id, bank), asked.then_some(expected));
                assert_eq!(batch.digest_is(id, bank, expected.as_bytes()), asked);
                let zero = Digest::zero(bank);
                assert!(!batch.digest_is(id, bank, zero.as_bytes()));
                assert!(!batch.digest_is(id, bank, &expected.as_bytes()[1..]));
            }
        }
        batch.clear();
    }
}

#[test]
fn the_digests_of_an_event_are_compared_in_every_bank() {
    let [sha1, sha256, sha384] = [HashAlgorithm::Sha1, HashAlgorithm::Sha256, HashAlgorithm::Sha384];
    let places = DigestPlaces::default().with(sha1, 2).with(sha384, 24);
    let mut event = vec![0; 72];
    for (bank, at) in places.iter() {
        event[at..at + bank.digest_len()].copy_from_slice(nitrotpm_digest_lanes::hash(bank, &[b"data"]).as_bytes());
    }
    let mut batch = Batch::new();
    let message = batch.add_message([sha1, sha384], b"data");
    assert!(!batch.digests_are(message, &event, &places), "it was not hashed yet");
    batch.run(&Backends::detect());
    assert!(batch.digests_are(message, &event, &places));
    assert!(batch.digests_are(message, &event[..50], &DigestPlaces::default().with(sha1, 2)));
    assert!(!batch.digests_are(message, &event[..71], &places), "it is cut");
    assert!(!batch.digests_are(message, &event, &DigestPlaces::default()), "nothing was compared");
    assert!(!batch.digests_are(message, &event, &places.with(sha256, 30)), "it was not hashed in that bank");
    for byte in (2..22).chain(24..72) {
        event[byte] ^= 1;
        assert!(!batch.digests_are(message, &event, &places), "byte {byte} differs");
        event[byte] ^= 1;
    }
}

/// Digests of whole events beside digests one by one, in any order, are those of one by one alone.
#[test]
fn an_event_as_a_whole_is_each_of_its_digests() {
    let banks = [HashAlgorithm::Sha384, HashAlgorithm::Sha1, HashAlgorithm::Sha256];
    // 2 bytes, then the digest of 48; 2 more, then that of 20; and so on.
    let places = DigestPlaces::default()
        .with(HashAlgorithm::Sha384, 2)
        .with(HashAlgorithm::Sha1, 52)
        .with(HashAlgorithm::Sha256, 74);
    let other = DigestPlaces::default().with(HashAlgorithm::Sha384, 58);
    let events: Vec<(PcrIndex, Vec<u8>)> = (0..90_u8)
        .map(|event| (PcrIndex::new(event % 5).unwrap(), (0..106).map(|byte| byte ^ event.wrapping_mul(7)).collect()))
        .collect();
    let mut batch = Batch::new();
    for singly in [|_: usize| false, |event| event % 3 == 1, |event| event > 40, |_| true] {
        let mut adding = batch.add_log();
        adding.lay_out(places);
        let mut chains: Vec<_> =
            banks.into_iter().flat_map(|bank| PcrIndex::all().map(move |index| Chain::new(bank, index))).collect();
        for (event, (index, bytes)) in events.iter().enumerate() {
            let last = event >= 80;
            if event == 80 {
                // From here on there is one bank, and its digest stands elsewhere.
                adding.lay_out(other);
            }
            let places = if last { other } else { places };
            for (bank, chains) in banks.into_iter().zip(chains.chunks_mut(24)) {
                let Some(at) = places.of(bank) else { continue };
                let digest = &bytes[at..at + bank.digest_len()];
                chains[usize::from(*index)].extend(&Digest::new(bank, digest).unwrap()).unwrap();
                if singly(event) && !last {
                    adding.extend(bank, *index, digest).unwrap();
                }
            }
            if !singly(event) || last {
                adding.extend_event(*index, bytes).unwrap();
            }
        }
        let id = adding.finish(reset_value).unwrap();
        batch.run(&Backends::detect());
        for (bank, chains) in banks.into_iter().zip(chains.chunks(24)) {
            for (index, chain) in PcrIndex::all().zip(chains) {
                let expected = (chain.extends() > 0).then(|| (chain.value(), chain.extends()));
                assert_eq!(batch.register(id, bank, index), expected);
            }
        }
        assert_eq!(batch.registers(id, HashAlgorithm::Sha512).count(), 0);
    }
}

/// An event that ends within its last digest is refused, and one that ends with it is not.
#[test]
fn an_event_that_is_too_short_is_refused() {
    let places = DigestPlaces::default().with(HashAlgorithm::Sha384, 24).with(HashAlgorithm::Sha1, 2);
    let index = PcrIndex::new(7).unwrap();
    let bytes = [7; 72];
    let mut batch = Batch::new();
    let mut adding = batch.add_log();
    adding.lay_out(places);
    let cause = WrongLength { algorithm: HashAlgorithm::Sha384, found: 47 };
    assert_eq!(adding.extend_event(index, &bytes[..71]), Err(BatchError::DigestLength { index, cause }));
    adding.extend_event(index, &bytes).unwrap();
    let id = adding.finish(reset_value).unwrap();
    batch.run(&Backends::detect());
    assert_eq!(batch.register(id, HashAlgorithm::Sha384, index).unwrap().1, 1);
    // One that is let go of leaves nothing to the next.
    let mut adding = batch.add_log();
    adding.lay_out(places);
    adding.extend_event(index, &bytes).unwrap();
    let next = batch.add_log().finish(reset_value).unwrap();
    assert_eq!(batch.registers(next, HashAlgorithm::Sha1).count(), 0);
}

/// Refused, and the batch is as before: a log that was added earlier still replays.
#[test]
fn a_log_that_is_refused_spoils_only_itself() {
    let bank = HashAlgorithm::Sha384;
    let good = log(1, 30, bank);
    let mut short = good.clone();
    short[7].1.pop();
    let mut batch = Batch::new();
    let before = add(&mut batch, bank, &good, reset_value).unwrap();
    let digests = batch.sha384.digests.len();
    let error = add(&mut batch, bank, &short, reset_value).unwrap_err();
    let cause = WrongLength { algorithm: bank, found: 47 };
    assert_eq!(error, BatchError::DigestLength { index: short[7].0, cause });
    assert_eq!(error.code(), "batch.digest-length");
    // A start value that is wrong for a later register, and one that is wrong for a later bank.
    let other = |bank, index: PcrIndex| {
        if index.get() > 8 { Digest::zero(HashAlgorithm::Sha512) } else { reset_value(bank, index) }
    };
    let error = add(&mut batch, bank, &good, other).unwrap_err();
    assert_eq!(error.code(), "batch.start-bank");
    let wide = log(2, 30, HashAlgorithm::Sha512);
    let mut adding = batch.add_log();
    good.iter().for_each(|(index, digest)| adding.extend(bank, *index, digest).unwrap());
    wide.iter().for_each(|(index, digest)| adding.extend(HashAlgorithm::Sha512, *index, digest).unwrap());
    adding.finish(|_, index| reset_value(bank, index)).unwrap_err();
    assert_eq!(batch.sha384.digests.len(), digests);
    let after = add(&mut batch, bank, &good, reset_value).unwrap();
    batch.run(&Backends::detect());
    assert_replayed(&batch, before, &good, bank);
    assert_replayed(&batch, after, &good, bank);
}

/// Four banks in one log, each with events in other registers.
#[test]
fn banks_of_one_log_do_not_mix() {
    let logs = HashAlgorithm::ALL.map(|bank| (bank, log(bank.digest_len().try_into().unwrap(), 20, bank)));
    let mut batch = Batch::new();
    let mut adding = batch.add_log();
    for event in 0..20 {
        for (bank, log) in &logs {
            adding.extend(*bank, log[event].0, &log[event].1).unwrap();
        }
    }
    let id = adding.finish(reset_value).unwrap();
    batch.run(&Backends::detect());
    for (bank, log) in &logs {
        assert_replayed(&batch, id, log, *bank);
    }
}

/// The lists keep their memory through runs and reuse.
#[test]
fn a_second_batch_of_the_same_size_allocates_nothing() {
    let bank = HashAlgorithm::Sha384;
    let logs: Vec<_> = (0..8).map(|seed| log(seed, 50, bank)).collect();
    let mut batch = Batch::new();
    let mut memory = Vec::new();
    for _ in 0..3 {
        let mut filled = batch.reuse();
        for log in &logs {
            add(&mut filled, bank, log, reset_value).unwrap();
            filled.add_message([bank], &log[0].1);
            let mut adding = filled.add_log();
            adding.lay_out(DigestPlaces::default().with(bank, 0));
            log.iter().for_each(|(index, digest)| adding.extend_event(*index, digest).unwrap());
            adding.finish(reset_value).unwrap();
        }
        filled.run(&Backends::detect());
        let room = &filled.sha384;
        memory.push([
            (room.digests.as_ptr().addr(), room.digests.capacity()),
            (room.registers.as_ptr().addr(), room.registers.capacity()),
            (room.logs.as_ptr().addr(), room.logs.capacity()),
            room.hashed.memory(),
            filled.messages.memory(),
            filled.events.memory(),
            (room.incoming[8].as_ptr().addr(), room.incoming[8].capacity()),
            (room.order.as_ptr().addr(), room.order.capacity()),
            (room.chains.as_ptr().addr(), room.chains.capacity()),
            (room.jobs.as_ptr().addr(), room.jobs.capacity()),
        ]);
        batch = filled.reuse();
    }
    assert_eq!(memory[0], memory[1]);
    assert_eq!(memory[1], memory[2]);
}
