//! Canonical and confidential-computing logs of real systems.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nitrotpm_eventlog::cel::CelLog;
use nitrotpm_eventlog::{CcelTable, EventLog, ParseOptions};
use nitrotpm_pcr::PcrValues;

use crate::corpus;

/// The launcher's log of Google's confidential space: every record is what it says.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn a_canonical_log_of_a_launcher_is_read_and_checked() {
    let text = corpus::read("eventlog/go-tpm-tools/agent/testdata/cel.b64");
    let bytes = STANDARD.decode(text.trim_ascii()).unwrap();
    let log = CelLog::parse(&bytes).unwrap();
    assert!(log.records().len() > 10);
    assert!(log.records().iter().all(|record| record.payload_check().name() == "verified"));
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn acpi_tables_of_tdx_machines_are_read() {
    for (name, length) in [("CCEL.bin", 65_536), ("cos-113-intel-tdx.table.bin", 262_144)] {
        let bytes = corpus::read(&format!("eventlog/go-eventlog/testdata/eventlogs/ccel/{name}"));
        let table = CcelTable::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((table.cc_type, table.log_length), (2, length), "{name}");
    }
}

/// The RTMRs that the source of the log asserts.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn a_ccel_log_is_confirmed_by_its_rtmrs() {
    let name = "eventlog/go-eventlog/testdata/eventlogs/ccel/cos-113-intel-tdx.bin";
    let bytes = corpus::read(name);
    let values: PcrValues = serde_json::from_slice(&corpus::read(&format!("{name}.pcrs.json"))).unwrap();
    let rtmrs: Vec<_> = values.iter().map(|(_, index, value)| (index.get() - 1, *value)).collect();
    let replayed = EventLog::parse(&bytes, &ParseOptions::default()).unwrap().replay_all().unwrap();
    let confirmed = replayed.confirm_rtmrs(&rtmrs).unwrap();
    assert_eq!(confirmed.confirmed().len(), rtmrs.len());
    let (number, value) = rtmrs[0];
    assert!(replayed.confirm_rtmrs(&[(number + 1, value)]).is_err());
}
