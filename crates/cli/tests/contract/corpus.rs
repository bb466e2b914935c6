//! Every log of the corpus, shown in every format.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::nitrotpm;

/// The logs that are good, with their number of events without those that belong to no register.
fn logs() -> Vec<(PathBuf, Option<usize>)> {
    let corpus = Path::new(env!("NITROTPM_CORPUS_DIR"));
    let manifest = fs::read_to_string(corpus.join("eventlog/MANIFEST.tsv")).unwrap();
    let mut lines = manifest.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let columns = lines.next().unwrap();
    let column = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let (path, kind, expected) = (column("path"), column("kind"), column("expected_outcome"));
    let listed = lines.filter(|line| line[kind].starts_with("log:") && !line[expected].starts_with("A must error"));
    let listed = listed.map(|line| {
        let count = line[kind].rsplit(':').next().unwrap().trim_end_matches("ev").parse().unwrap();
        (corpus.join("eventlog").join(line[path]), Some(count))
    });
    let boots = fs::read_dir(corpus.join("boot")).unwrap().map(|boot| boot.unwrap().path().join("eventlog.bin"));
    listed.chain(boots.filter(|path| path.is_file()).map(|path| (path, None))).collect()
}

/// The fields that the contract names, and their shapes.
fn check(name: &str, report: &Value, count: Option<usize>) -> usize {
    assert_eq!(report["schema"], "nitrotpm.eventlog/1", "{name}");
    assert!(["crypto-agile", "sha1", "ccel"].contains(&report["format"].as_str().unwrap()), "{name}");
    let banks: Vec<_> = report["banks"].as_array().unwrap().iter().map(|bank| bank.as_str().unwrap()).collect();
    assert!(!banks.is_empty(), "{name}");
    let events = report["events"].as_array().unwrap();
    let mut end = 0;
    for (index, event) in events.iter().enumerate() {
        let at = format!("{name}: event {index}: {event}");
        assert_eq!(event["index"], index, "{at}");
        let offset = event["offset"].as_u64().unwrap();
        assert!(index == 0 || offset > end, "{at}");
        end = offset;
        assert!(event["pcr"].is_null() || event["pcr"].as_u64().unwrap() < 24, "{at}");
        assert!(event["type"].as_str().unwrap().starts_with("EV_") && event["type_code"].is_u64(), "{at}");
        for (bank, digest) in event["digests"].as_object().unwrap() {
            let digest = digest.as_str().unwrap();
            assert!(banks.contains(&bank.as_str()) || index == 0, "{at}");
            assert!(digest.len() >= 40 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{at}");
        }
        let payload = event["payload"].as_str().unwrap();
        assert!(["verified", "mismatch", "not-checkable"].contains(&payload), "{at}");
        assert_eq!(event["rule"].is_string(), payload == "verified", "{at}");
        let summary = event["decoded"]["summary"].as_str().unwrap();
        assert!(!summary.is_empty() && event["decoded"]["kind"].is_string(), "{at}");
    }
    let registered = events.iter().filter(|event| !event["pcr"].is_null()).count();
    assert_eq!(count.unwrap_or(registered), registered, "{name}");
    events.len()
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn every_log_of_the_corpus_is_shown_in_every_format() {
    // Its header does not say that it is no TPM's: it is read by a caller who knows.
    const UNMARKED: &str = "trustee/deps/eventlog/test_data/CCEL_data";
    let logs = logs();
    for (path, count) in &logs {
        let name = path.to_str().unwrap();
        let show = |arguments: &str| nitrotpm(&format!("eventlog show {name} {arguments}"));
        let report = show("--format json").expect(0).json();
        let count = check(name, &report, count.filter(|_| !name.ends_with(UNMARKED)));
        let table = show("--details").expect(0).stdout;
        let page = show("--format html").expect(0).stdout;
        assert_eq!(page.matches("<tr id=\"e").count(), count, "{name}");
        for event in report["events"].as_array().unwrap() {
            let summary = event["decoded"]["summary"].as_str().unwrap();
            assert!(table.contains(&format!("  {summary}\n")), "{name}: {summary}");
        }
        for (format, text) in [("table", &table), ("page", &page)] {
            let odd = text.chars().find(|character| *character != '\n' && nitrotpm_eventlog::is_hidden(*character));
            assert_eq!(odd, None, "{name}: {format}");
        }
    }
    assert!(logs.len() >= 70, "{} logs", logs.len());
}
