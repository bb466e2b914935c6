//! Batches of real logs give what one extend after the other gives, on every instruction set.

use std::fs;

use nitrotpm_digest_lanes::Platform;
use nitrotpm_eventlog::{EventLog, ParseOptions};
use nitrotpm_pcr::{Backends, Bank, Batch, Digest, PcrIndex, reset_value};

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

/// PCR 0 starts at the locality that the log names.
fn start(bank: Bank, index: PcrIndex, locality: u8) -> Digest {
    if index.get() != 0 {
        return reset_value(bank, index);
    }
    let mut bytes = vec![0; bank.digest_len()];
    *bytes.last_mut().unwrap() = locality;
    Digest::new(bank, &bytes).unwrap()
}

#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
#[test]
fn the_corpus_replays_identically_on_every_instruction_set() {
    let logs = logs();
    let replayed: Vec<_> = logs
        .iter()
        .map(|(name, bytes)| {
            let log =
                EventLog::parse(bytes, &ParseOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, log.replay_all().unwrap_or_else(|error| panic!("{name}: {error}")))
        })
        .collect();
    assert!(replayed.len() >= 10, "only {} logs", replayed.len());
    for platform in Platform::available() {
        let mut batch = Batch::new();
        let mut ids = Vec::new();
        for (_, replayed) in &replayed {
            let mut adding = batch.add_log();
            for event in replayed.log().events().filter(|event| event.extends()) {
                for (algorithm, digest) in event.digests() {
                    if let (Some(bank), Some(index)) = (algorithm.bank(), event.pcr()) {
                        adding.extend(bank, index, digest).unwrap();
                    }
                }
            }
            let locality = replayed.startup_locality();
            ids.push(adding.finish(|bank, index| start(bank, index, locality)).unwrap());
        }
        batch.run(&Backends::forced(platform).unwrap());
        let mut compared = 0;
        for ((name, replayed), id) in replayed.iter().zip(ids) {
            for bank in replayed.banks() {
                for (index, register) in bank.with_events() {
                    let found = batch.register(id, bank.bank(), index);
                    let expected = register.value().map(|value| (value, register.extends()));
                    assert_eq!(found, expected, "{name}, {}, PCR {index}, {platform}", bank.bank());
                    compared += 1;
                }
            }
        }
        assert!(compared >= 300, "only {compared} registers");
    }
}
