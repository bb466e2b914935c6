//! Payloads of real logs, decoded all the way down.

use std::collections::BTreeMap;

use nitrotpm_eventlog::{Decoded, Event, EventLog, EventType, ParseOptions, VariableContents};

use crate::corpus;

/// Calls `look` with every event of every log of the corpus, and of the measured boots.
fn for_every_event(mut look: impl FnMut(&str, &Event<'_>)) {
    let manifest = String::from_utf8(corpus::read("eventlog/MANIFEST.tsv")).unwrap();
    let logs = manifest.lines().skip(1).filter_map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        fields[7].starts_with("log:").then(|| format!("eventlog/{}", fields[0]))
    });
    let boots = ["uki-nosb", "uki-sb", "sdboot-uki-sb", "shim-grub-ms", "uki-nosb-stub254", "uki-sb-stub257"];
    for name in logs.chain(boots.map(|boot| format!("boot/{boot}/eventlog.bin"))) {
        let bytes = corpus::read(&name);
        let Ok(log) = EventLog::parse(&bytes, &ParseOptions::default()) else { continue };
        log.events().for_each(|event| look(&name, &event));
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn every_payload_decodes_down_to_its_parts() {
    let mut kinds = BTreeMap::new();
    let mut subjects = BTreeMap::new();
    let mut failures = Vec::new();
    for_every_event(|name, event| {
        let mut fail = |what: &dyn std::fmt::Display| failures.push(format!("{name}: event {}: {what}", event.index()));
        let decoded = match event.decode() {
            Ok(decoded) => decoded,
            Err(error) => return fail(&error),
        };
        *kinds.entry(decoded.kind()).or_insert(0) += 1;
        match decoded {
            Decoded::Variable(variable) if event.event_type() == EventType::EFI_VARIABLE_AUTHORITY => {
                let is_key = ["db", "vendor_db", "Shim"].iter().any(|key| variable.name.is(key));
                match variable.authority_entry() {
                    Some(entry) if entry.certificate_subject().is_some() => {}
                    _ if is_key => fail(&"no certificate"),
                    _ => {}
                }
            }
            Decoded::Variable(variable) => match variable.contents() {
                Ok(VariableContents::SignatureLists(lists)) => {
                    for subject in lists.entries().filter_map(|entry| entry.certificate_subject()) {
                        *subjects.entry(subject.to_string()).or_insert(0) += 1;
                    }
                }
                Ok(VariableContents::LoadOption(option)) => {
                    assert!(!option.path.to_string().contains("Path(4,4"), "{name}: {}", option.path);
                }
                Ok(_) => {}
                Err(error) => fail(&error),
            },
            Decoded::ImageLoad(image) => match image.path() {
                Ok(path) => assert!(!path.to_string().contains('\0'), "{name}"),
                Err(error) => fail(&error),
            },
            Decoded::Gpt(gpt) => assert_eq!(gpt.partitions().count(), usize::try_from(gpt.count()).unwrap()),
            _ => {}
        }
    });
    assert_eq!(failures, Vec::<String>::new());
    for (kind, least) in [
        ("variable", 800),
        ("image-load", 190),
        ("grub", 1_000),
        ("gpt", 50),
        ("windows", 60),
        ("firmware-blob", 110),
        ("handoff-tables", 30),
        ("tagged", 19),
        ("platform-id", 4),
        ("startup-locality", 11),
    ] {
        assert!(kinds.get(kind).copied().unwrap_or(0) >= least, "{kind}: {kinds:?}");
    }
    for subject in
        ["Microsoft Windows Production PCA 2011", "Microsoft Corporation UEFI CA 2011", "Lenovo UEFI CA 2014"]
    {
        assert!(subjects.contains_key(subject), "{subject}: {subjects:?}");
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn paths_of_the_measured_boots_are_text() {
    let bytes = corpus::read("boot/uki-sb/eventlog.bin");
    let log = EventLog::parse(&bytes, &ParseOptions::default()).unwrap();
    let images: Vec<_> = log
        .events()
        .filter_map(|event| match event.decode() {
            Ok(Decoded::ImageLoad(image)) => Some(image.path().unwrap().to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(
        images,
        ["PciRoot(0x0)/Pci(0x1,0x0)/NVMe(0x1,00-00-00-00-00-00-00-00)/\
         HD(1,GPT,66666666-7777-8888-9999-aaaaaaaaaaaa,0x800,0x237df)/\\EFI\\BOOT\\BOOTX64.EFI"]
    );
}
