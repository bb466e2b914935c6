//! Our reading of logs against that of `tpm2_eventlog` (Debian's tpm2-tools): the same events with the same digests, and
//! the same PCRs. Each difference is named here and explained in docs/event-logs.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nitrotpm_eventlog::{EventLog, EventType, Format, ParseOptions};
use nitrotpm_pcr::{Bank, Chain, Digest, PcrIndex};

use crate::corpus;

/// Why `tpm2_eventlog` may refuse a log, and what it says then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// A log of RTMRs: its header stands in register 1.
    Ccel,
    /// Zeros to the end of the area, which it takes for events.
    TailOfZeros,
    /// The first event is an `EV_NO_ACTION` that is no Spec ID event.
    NoSpecId,
    /// Windows' records with index 0xFFFFFFFF in a crypto-agile log.
    OutOfBand,
    /// The same in a SHA-1 log: it ends by a segmentation fault (5.4).
    OutOfBandCrash,
}

impl Refusal {
    /// What its standard error must say; nothing where it was ended by a signal.
    const fn sentence(self) -> &'static str {
        match self {
            Self::Ccel => "bad pcrIndex for EV_NO_ACTION event",
            Self::TailOfZeros => "corrupted log, insufficient size for event header",
            Self::NoSpecId => "invalid eventDataSize in specid event",
            Self::OutOfBand => "PCR Index -1 is out of bounds",
            Self::OutOfBandCrash => "",
        }
    }
}

const REFUSED: [(&str, Refusal); 16] = [
    ("derived/immune/IMN-SUPERMICRO-EPP-MSDefender.evidence.json.event_log_z.0.bin", Refusal::OutOfBand),
    ("derived/immune/IMN-SUPERMICRO-WBCL-Quote-AIKs.evidence.json.event_log_z.0.bin", Refusal::OutOfBand),
    ("derived/immune/IMN-SUPERMICRO-no-epp.evidence.json.event_log_z.0.bin", Refusal::OutOfBand),
    ("dstack/cc-eventlog/samples/ccel.bin", Refusal::Ccel),
    ("go-attestation/attest/testdata/short_no_action_eventlog", Refusal::NoSpecId),
    ("go-eventlog/testdata/eventlogs/ccel/CCEL_unpadded.data.bin", Refusal::Ccel),
    ("go-eventlog/testdata/eventlogs/ccel/cos-113-intel-tdx.bin", Refusal::Ccel),
    ("go-eventlog/testdata/eventlogs/ccel/event_log.bin", Refusal::Ccel),
    ("immune-guard-oss/apisrv/pkg/eventlog/testdata/tpm2_windows_lenovo_yogax1v2", Refusal::OutOfBand),
    ("immune-guard-oss/apisrv/pkg/eventlog/testdata/windows_event_log", Refusal::OutOfBandCrash),
    ("immune-guard-oss/apisrv/test/supermicro-WBCL-OSLOAD-quoted.log", Refusal::OutOfBand),
    ("intel-trustauthority-go/go-tdx/test/resources/CCEL.data.bin", Refusal::Ccel),
    ("trustee/deps/eventlog/test_data/CCEL_AAEL_alibabacloud", Refusal::Ccel),
    ("trustee/deps/eventlog/test_data/CCEL_data", Refusal::TailOfZeros),
    ("trustee/deps/eventlog/test_data/CCEL_data_grub", Refusal::Ccel),
    ("trustee/deps/eventlog/test_data/CCEL_data_ovmf", Refusal::Ccel),
];

/// Logs that it reads and we refuse: the manifest calls them bad.
const ONLY_THEIRS: [(&str, &str); 1] = [("derived/inline/specid_invalid_version_1_2.bin", "event_log.version")];

/// Logs whose PCR 0 differs: it extends `EV_NO_ACTION` events and takes no notice of the locality that one of them gives.
const NO_ACTION_EXTENDED: [&str; 12] = [
    "derived/immune/DESKTOP-MIMU51J-EPP-ESET.evidence.json.event_log_z.0.bin",
    "derived/immune/IMN-DELL-WBCL-BootCtrs.evidence.json.event_log_z.0.bin",
    "derived/immune/failed-1.evidence.json.event_log.0.bin",
    "derived/immune/failed-2.evidence.json.event_log.0.bin",
    "derived/immune/good-1.evidence.json.event_log.0.bin",
    "derived/immune/issue926-x1carbon-ancient.evidence.json.event_log.0.bin",
    "derived/immune/issue926-x1carbon-before.evidence.json.event_log.0.bin",
    "go-eventlog/testdata/eventlogs/tpm/glinux-alex.bin",
    "go-tpm-tools/internal/test/eventlogs/confidential-gke-debug-251000_eventlog.bin",
    "go-tpm-tools/internal/test/eventlogs/eventlogwithsp800155.bin",
    "intel-trustauthority-go/go-tpm/test_data/binary_bios_measurements20",
    "keylime/test/data/create-mb-policy/binary_bios_measurements",
];

/// What `tpm2_eventlog` says of a log.
#[derive(Debug, Default)]
struct Theirs {
    events: Vec<TheirEvent>,
    /// By bank and register.
    pcrs: BTreeMap<(String, u8), String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct TheirEvent {
    pcr: String,
    event_type: String,
    size: String,
    digests: BTreeMap<String, String>,
}

/// Reads what of its YAML is compared. A parser for YAML does not read it: 5.4 leaves out the dash before the events of a
/// SHA-1 log, and writes strings of the log unescaped. The lines that count stand at fixed columns, where no string does.
fn read_theirs(text: &str) -> Theirs {
    let mut theirs = Theirs::default();
    let (mut in_pcrs, mut algorithm, mut bank) = (false, String::new(), String::new());
    for line in text.lines() {
        if line == "pcrs:" {
            in_pcrs = true;
        } else if in_pcrs {
            if let Some((index, value)) = line.strip_prefix("    ").and_then(|line| line.split_once(": 0x")) {
                theirs.pcrs.insert((bank.clone(), index.trim().parse().unwrap()), value.to_owned());
            } else if let Some(name) = line.strip_prefix("  ").and_then(|line| line.strip_suffix(':')) {
                name.clone_into(&mut bank);
            }
        } else if let Some(pcr) = line.strip_prefix("  PCRIndex: ") {
            theirs.events.push(TheirEvent { pcr: pcr.to_owned(), ..TheirEvent::default() });
        } else if let Some(event) = theirs.events.last_mut() {
            if let Some(name) = line.strip_prefix("  EventType: ") {
                name.clone_into(&mut event.event_type);
            } else if let Some(size) = line.strip_prefix("  EventSize: ") {
                size.clone_into(&mut event.size);
            } else if let Some(name) = line.strip_prefix("  - AlgorithmId: ") {
                name.clone_into(&mut algorithm);
            } else if let Some(digest) = line.strip_prefix("    Digest: ").filter(|_| event.size.is_empty()) {
                event.digests.insert(algorithm.clone(), digest.trim_matches('"').to_owned());
            } else if let Some(digest) = line.strip_prefix("  Digest: ").filter(|_| event.size.is_empty()) {
                event.digests.insert("sha1".to_owned(), digest.trim_matches('"').to_owned());
            }
        }
    }
    theirs
}

/// The same of our reading.
fn our_events(log: &EventLog<'_>) -> Vec<TheirEvent> {
    log.events()
        .map(|event| TheirEvent {
            pcr: event.register().to_string(),
            event_type: event.event_type().to_string(),
            size: event.data().len().to_string(),
            digests: event.digests().map(|(algorithm, digest)| (algorithm.to_string(), hex::encode(digest))).collect(),
        })
        .collect()
}

/// The value of PCR 0 where `EV_NO_ACTION` is extended, and the locality is not looked at.
fn pcr0_with_no_action(log: &EventLog<'_>, bank: Bank) -> Digest {
    let pcr0 = PcrIndex::new(0).unwrap();
    let mut chain = Chain::new(bank, pcr0);
    for event in log.events().skip(1).filter(|event| event.pcr() == Some(pcr0)) {
        chain.extend(&event.digest(bank).unwrap()).unwrap();
    }
    chain.value()
}

/// The logs of the corpus and of this repository: the name in the tables above, and where it is.
fn logs() -> Vec<(String, PathBuf)> {
    let manifest = String::from_utf8(corpus::read("eventlog/MANIFEST.tsv")).unwrap();
    let listed = manifest.lines().skip(1).filter_map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        fields[7].starts_with("log:").then(|| (fields[0].to_owned(), corpus::path(&format!("eventlog/{}", fields[0]))))
    });
    let boots = [corpus::path("boot"), Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/boot")];
    let boots = boots.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).filter_map(|boot| {
        let path = boot.unwrap().path().join("eventlog.bin");
        path.is_file().then(|| (path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned(), path))
    });
    listed.chain(boots).collect()
}

/// Compares one log that both read; gives whether PCR 0 was the one that differs.
fn compare(name: &str, log: &EventLog<'_>, theirs: &Theirs) -> bool {
    let ours = our_events(log);
    assert_eq!(ours.len(), theirs.events.len(), "{name}: number of events");
    for (index, (our, their)) in ours.iter().zip(&theirs.events).enumerate() {
        // Types that it has no name for it calls unknown.
        let named = their.event_type.starts_with("EV_");
        let expected = TheirEvent {
            event_type: if named { our.event_type.clone() } else { their.event_type.clone() },
            pcr: our.pcr.clone(),
            size: our.size.clone(),
            digests: our.digests.clone(),
        };
        assert_eq!(*their, expected, "{name}: event {index}, {}", our.event_type);
        assert!(named || our.event_type.starts_with("EV_0x"), "{name}: {our:?}");
    }
    let replayed = log.replay_all().unwrap();
    let values: BTreeMap<_, _> = replayed
        .banks()
        .iter()
        .flat_map(|bank| {
            let name = bank.bank().name().to_owned();
            // A register of whose bank no event has a digest holds nothing: it does not list it.
            let extended = bank.with_events().filter(|(_, register)| register.extends() > 0);
            extended.map(move |(index, register)| ((name.clone(), index.get()), register.partial_value()))
        })
        .collect();
    let registers: BTreeSet<_> = theirs.pcrs.keys().cloned().collect();
    assert_eq!(registers, values.keys().cloned().collect(), "{name}: registers");
    let mut differs = false;
    for ((bank, index), theirs) in &theirs.pcrs {
        let ours = values[&(bank.clone(), *index)];
        if *theirs == ours.to_string() {
            continue;
        }
        assert!(*index == 0 && NO_ACTION_EXTENDED.contains(&name), "{name}: PCR {index} of {bank}");
        assert_eq!(*theirs, pcr0_with_no_action(log, ours.algorithm()).to_string(), "{name}: PCR 0 of {bank}");
        assert!(log.events().skip(1).any(|event| event.event_type() == EventType::NO_ACTION), "{name}");
        differs = true;
    }
    differs
}

#[test]
#[cfg_attr(
    not(all(corpus, tpm2_tools)),
    ignore = "the corpus or tpm2_eventlog is not there: set NITROTPM_CORPUS, apt-get install tpm2-tools"
)]
fn tpm2_eventlog_reads_the_same_events_and_pcrs() {
    let (mut same, mut differing, mut refused) = (0, 0, 0);
    let logs = logs();
    for (name, path) in &logs {
        let bytes = fs::read(path).unwrap();
        let output = Command::new("tpm2_eventlog").arg(path).output().unwrap();
        let listed = REFUSED.iter().find(|(refused, _)| refused == name).map(|(_, reason)| *reason);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let reason = listed.unwrap_or_else(|| panic!("{name}: tpm2_eventlog refuses it: {said}"));
            assert!(said.contains(reason.sentence()), "{name}: {reason:?}: {said}");
            assert_eq!(output.status.code().is_none(), reason == Refusal::OutOfBandCrash, "{name}: {}", output.status);
            // We read it, as what it is.
            let source = if reason == Refusal::TailOfZeros { nitrotpm_eventlog::Source::Ccel } else { <_>::default() };
            let log = EventLog::parse(&bytes, &ParseOptions::default().with_source(source));
            let log = log.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(log.format() == Format::Ccel, matches!(reason, Refusal::Ccel | Refusal::TailOfZeros), "{name}");
            let out_of_band = matches!(reason, Refusal::OutOfBand | Refusal::OutOfBandCrash);
            assert_eq!(log.out_of_band().next().is_some(), out_of_band, "{name}");
            assert_eq!(log.header().is_none() && reason == Refusal::NoSpecId, reason == Refusal::NoSpecId, "{name}");
            refused += 1;
            continue;
        }
        let log = match EventLog::parse(&bytes, &ParseOptions::default()) {
            Ok(log) => log,
            Err(error) => {
                assert!(ONLY_THEIRS.contains(&(name.as_str(), error.code())), "{name}: {error}");
                continue;
            }
        };
        let theirs = read_theirs(&String::from_utf8_lossy(&output.stdout));
        if compare(name, &log, &theirs) { differing += 1 } else { same += 1 }
    }
    let listed = (NO_ACTION_EXTENDED.len(), REFUSED.len());
    assert_eq!(same + differing + refused + ONLY_THEIRS.len(), logs.len());
    assert!(same >= 49, "{same} logs are read alike");
    // A later version may do better, and then reads more logs alike.
    assert!(differing <= listed.0 && refused <= listed.1, "{differing} {refused}");
}

#[test]
fn their_text_is_read_by_its_columns() {
    let theirs = read_theirs(
        "---\nversion: 1\nevents:\n- EventNum: 0\n  PCRIndex: 0\n  EventType: EV_NO_ACTION\n  Digest: \"00\"\n  \
         EventSize: 45\n  SpecID:\n  - Signature: Spec ID Event03\n- EventNum: 1\n  PCRIndex: 4\n  EventType: EV_IPL\n  \
         DigestCount: 2\n  Digests:\n  - AlgorithmId: sha1\n    Digest: \"aa\"\n  - AlgorithmId: sha256\n    Digest: \"bb\"\n  \
         EventSize: 3\n  Event:\n    String: |-\n      PCRIndex: 9\n    Digest: \"cc\"\npcrs:\n  sha1:\n    0  : 0xab\n    14 : 0xcd\n",
    );
    assert_eq!(theirs.events.len(), 2);
    let digests = [("sha1", "aa"), ("sha256", "bb")].map(|(name, digest)| (name.to_owned(), digest.to_owned()));
    assert_eq!(theirs.events[1].digests, digests.into());
    assert_eq!((theirs.events[1].pcr.as_str(), theirs.events[1].size.as_str()), ("4", "3"));
    assert_eq!(theirs.pcrs, [(("sha1".into(), 0), "ab".into()), (("sha1".into(), 14), "cd".into())].into());
}
