//! Batches of real logs give what one extend after the other gives, on every instruction set.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use nitrotpm_digest_lanes::Platform;
use nitrotpm_eventlog::{EventLog, LogBatch, ParseOptions, PayloadCheck, replay_parallel};
use nitrotpm_pcr::{Backends, Bank, Chain, Digest, PcrIndex};

use crate::corpus;

/// Logs of machines of several makers, and of our own boots.
fn logs() -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<_> = fs::read_dir(corpus::path("eventlog/go-eventlog/testdata/eventlogs/tpm"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    let boots = fs::read_dir(corpus::path("boot")).unwrap().map(|entry| entry.unwrap().path().join("eventlog.bin"));
    paths.extend(boots.filter(|path| path.is_file()));
    paths.sort();
    paths.into_iter().map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}

/// One register, one extend after the other: what the specification says, without lanes or batches.
fn one_by_one(log: &EventLog<'_>, locality: u8, bank: Bank, index: PcrIndex) -> (Option<Digest>, usize) {
    let mut chain = Chain::new(bank, index);
    if index.get() == 0 {
        // PCR 0 starts at the locality that the log names.
        let mut bytes = vec![0; bank.digest_len()];
        *bytes.last_mut().unwrap() = locality;
        chain = Chain::from_value(Digest::new(bank, &bytes).unwrap());
    }
    let mut complete = true;
    for event in log.events().filter(|event| event.extends() && event.pcr() == Some(index)) {
        match event.digest(bank) {
            Some(digest) => chain.extend(&digest).unwrap(),
            None => complete = false,
        }
    }
    (complete.then_some(chain.value()), chain.extends())
}

#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
#[test]
fn the_corpus_replays_identically_on_every_instruction_set() {
    let logs = logs();
    assert!(logs.len() >= 10, "only {} logs", logs.len());
    for platform in Platform::available() {
        let mut batch = LogBatch::with_backends(Backends::forced(platform).unwrap()).check_payloads();
        let places: Vec<_> = logs
            .iter()
            .map(|(name, bytes)| {
                batch.push(bytes, &ParseOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
            })
            .collect();
        let replayed = batch.replay();
        let (mut compared, mut verified) = (0, 0);
        for ((name, _), place) in logs.iter().zip(places) {
            let found = replayed.log(place).unwrap();
            for bank in found.banks() {
                for index in PcrIndex::all() {
                    let register = found.register(bank, index);
                    let expected = one_by_one(found.log(), found.startup_locality(), bank, index);
                    assert_eq!(
                        (register.value(), register.extends()),
                        expected,
                        "{name}, {bank}, PCR {index}, {platform}"
                    );
                    compared += usize::from(register.has_events());
                }
            }
            let alone = found.log().events().filter(|event| event.extends()).map(|event| event.payload_check());
            for (checked, alone) in found.payload_checks().zip(alone) {
                assert_eq!(checked.check, alone, "{name}, event {}, {platform}", checked.event);
                verified += usize::from(matches!(alone, PayloadCheck::Verified(_)));
            }
        }
        assert!(compared >= 300, "only {compared} registers");
        assert!(verified >= 500, "only {verified} events");
    }
}

/// On several threads, in batches of several sizes, each log and each failure comes back at its place.
#[test]
fn threads_give_in_order_what_each_log_gives_alone() {
    let log = |boot: &str| {
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/boot").join(boot).join("eventlog.bin"))
            .unwrap()
    };
    let (on, off) = (log("secure-boot-on"), log("secure-boot-off"));
    let logs: Vec<Vec<u8>> = (0..40)
        .map(|number| match number % 5 {
            0 => on[..on.len() - 1 - number].to_vec(),
            1 | 2 => off.clone(),
            _ => on.clone(),
        })
        .collect();
    let alone = |log: &Vec<u8>| EventLog::parse(log, &ParseOptions::default())?.replay_all().map(|log| log.values());
    let expected: Vec<_> = logs.iter().map(alone).collect();
    assert_eq!(expected.iter().filter(|result| result.is_err()).count(), 8);
    for at_once in [1, 7, 64] {
        let at_once = NonZeroUsize::new(at_once).unwrap();
        let found = replay_parallel(&logs, at_once, &Backends::detect(), &ParseOptions::default(), |place, log| {
            (place, log.map(|log| log.values()))
        });
        assert!(found.iter().map(|(place, _)| *place).eq(0..logs.len()));
        assert!(found.into_iter().map(|(_, result)| result).eq(expected.iter().cloned()));
    }
}
