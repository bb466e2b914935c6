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
fn messages_are_hashed() {
    let texts: Vec<Vec<u8>> = (0..100).map(|length| vec![0xA5; length * 3]).collect();
    let mut batch = Batch::new();
    let ids: Vec<_> = texts.iter().map(|text| batch.add_message(HashAlgorithm::Sha384, text)).collect();
    assert_eq!(batch.digest(ids[0]), None);
    assert!(!batch.digest_is(ids[0], &[0; 48]));
    batch.run(&Backends::detect());
    for (text, id) in texts.iter().zip(ids) {
        let expected = nitrotpm_digest_lanes::hash(HashAlgorithm::Sha384, &[text]);
        assert_eq!(batch.digest(id), Some(expected));
        assert!(batch.digest_is(id, expected.as_bytes()) && !batch.digest_is(id, &[0; 48]));
    }
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
            filled.add_message(bank, &log[0].1);
        }
        filled.run(&Backends::detect());
        let room = &filled.sha384;
        memory.push([
            (room.digests.as_ptr().addr(), room.digests.capacity()),
            (room.registers.as_ptr().addr(), room.registers.capacity()),
            (room.logs.as_ptr().addr(), room.logs.capacity()),
            (room.messages.as_ptr().addr(), room.messages.capacity()),
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
