//! Event logs of every kind.

use nitrotpm_eventlog::cel::{CelContent, CelLog};
use nitrotpm_eventlog::ima::{AllowList, ImaList};
use nitrotpm_eventlog::writer::{LogBuilder, WrittenEvent};
use nitrotpm_eventlog::{
    CcelTable, Decoded, DevicePath, EarlyApplications, EventLog, EventType, Format, LoadOption, LogError, ParseOptions,
    ReplayedLog, SignatureLists, SipaEvents, Source, VariableContents,
};
use nitrotpm_eventlog_html::Page;
use nitrotpm_pcr::{Bank, PcrIndex, PcrValues, reset_value};

use crate::check::{Choices, bounded, shown, shown_in_lines};

/// An error says where, and that place is in the input.
#[track_caller]
fn refused(error: &LogError, length: usize) {
    shown(error);
    assert!(LogError::CODES.contains(&error.code()), "{}", error.code());
    if let Some(offset) = error.offset() {
        assert!(offset <= length, "offset {offset} in {length} bytes: {error}");
    }
}

/// A log of bytes as they are.
pub(crate) fn event_log(data: &[u8]) {
    let mut used = None;
    for source in [Source::Any, Source::Tpm, Source::Ccel] {
        let options = ParseOptions::default().with_source(source);
        match bounded(data, 1, || EventLog::parse(data, &options)) {
            // What was used once as a log of this format need not be again.
            Ok(log) if used == Some(log.format()) => {}
            Ok(log) => {
                used = Some(log.format());
                use_log(&log, data);
            }
            Err(error) => refused(&error, data.len()),
        }
    }
    if let Err(error) = CcelTable::parse(data) {
        refused(&error, data.len());
    }
}

fn use_log(log: &EventLog<'_>, data: &[u8]) {
    let mut end = 0;
    for (index, event) in log.events().enumerate() {
        assert_eq!(event.index(), index);
        assert!(event.offset() >= end && event.data_offset() >= event.offset());
        end = event.data_offset() + event.data().len();
        assert!(end <= data.len());
        assert_eq!(data.get(event.data_offset()..end), Some(event.data()));
        let mut algorithms: Vec<_> = event.digests().map(|(algorithm, _)| algorithm).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        assert_eq!(algorithms.len(), event.digests().count(), "an algorithm twice in event {index}");
        event.digests().for_each(|(_, digest)| assert!(!digest.is_empty()));
        shown(format_args!("{} {} {}", event.event_type(), event.register(), event.payload_check().name()));
        match bounded(event.data(), 4, || event.decode()) {
            Ok(decoded) => use_decoded(decoded),
            Err(error) => refused(&error, data.len()),
        }
    }
    assert_eq!(log.events().count(), log.event_count());
    let last = log.event_count().saturating_sub(1);
    assert_eq!(log.event(last), log.events().last());
    let _ = log.quirks();
    written_again(log);
    match log.diff(log) {
        Ok(diff) => assert!(diff.differences().is_empty()),
        Err(error) => refused(&error, data.len()),
    }
    match log.replay_all() {
        Ok(replayed) => use_replayed(&replayed),
        Err(error) => refused(&error, data.len()),
    }
}

/// What was parsed is written as it was, but for its tail.
fn written_again(log: &EventLog<'_>) {
    let builder = LogBuilder::from_log(log);
    let Ok(bytes) = builder.finish() else { return };
    let options =
        ParseOptions::default().with_source(if log.format() == Format::Ccel { Source::Ccel } else { Source::Any });
    let again = EventLog::parse(&bytes, &options).expect("what was parsed and written can be parsed");
    assert!(log.events().map(parts).eq(again.events().map(parts)));
    assert_eq!(LogBuilder::from_log(&again).finish().expect("written before"), bytes);
}

fn parts<'a>(event: nitrotpm_eventlog::Event<'a>) -> (Option<PcrIndex>, EventType, Vec<u8>, &'a [u8]) {
    let digests = event.digests().flat_map(|(id, digest)| [id.0.to_le_bytes().as_slice(), digest].concat()).collect();
    (event.pcr(), event.event_type(), digests, event.data())
}

fn use_replayed(replayed: &ReplayedLog<'_>) {
    // A replay as the specification has it. PCR 0 is left out, whose start depends on the locality, and so are the registers
    // of CCEL logs.
    let log = replayed.log();
    for bank in replayed.banks() {
        let mut values: Vec<_> = PcrIndex::all().map(|index| Some(reset_value(bank.bank(), index))).collect();
        for event in log.events().filter(nitrotpm_eventlog::Event::extends) {
            let Some(value) = event.pcr().and_then(|index| values.get_mut(usize::from(index.get()))) else { continue };
            let digest = event.digest(bank.bank());
            *value = value.zip(digest).and_then(|(value, digest)| nitrotpm_digest_lanes::extend(&value, &digest).ok());
        }
        for (index, value) in PcrIndex::all().zip(values) {
            let register = bank.register(index);
            assert_eq!(register.missing_digest().is_none(), register.value().is_some());
            if index.get() > 0 && log.format() != Format::Ccel {
                assert_eq!(register.value(), value, "PCR {index}");
            }
        }
    }
    let values = replayed.values();
    if log.format() == Format::Ccel || values.is_empty() {
        return;
    }
    let requested = || values.iter().map(|(bank, index, _)| (bank, index));
    let Ok(confirmed) = replayed.confirm(&values, requested()) else { panic!("a log is confirmed by its own values") };
    for pcr in PcrIndex::all() {
        for event in confirmed.events_of(pcr) {
            if let Some(proven) = event.proven_data() {
                assert!(proven.len() <= event.event().data().len());
            }
        }
    }
    match confirmed.secure_boot_facts() {
        Ok(facts) => drop(facts),
        Err(unknown) => shown(unknown),
    }
    match confirmed.boot_path(EarlyApplications::Report) {
        Ok(path) => drop(path.images()),
        Err(unknown) => shown(unknown),
    }
    let _ = (confirmed.firmware(), confirmed.confirmed());
    let _ = (confirmed.grub_command_line(), confirmed.grub_commands(), confirmed.systemd_command_lines());
    let _ = (confirmed.uki(), confirmed.measured_files(), confirmed.shim_lists());
    let _ = confirmed.kernel_measured_command_line("root=/dev/vda2 ro");
    let _ = log.quirks();

    // One register says something else: it is found, and explained in words. The search is bounded, and on a long log the
    // bound is what takes the time.
    let Some((bank, index, _)) = values.iter().next().filter(|_| log.event_count() <= 24) else { return };
    let mut other = PcrValues::new();
    other.insert(index, reset_value(bank, index)).expect("one value");
    if let Err(LogError::Mismatch { mismatches, .. }) = replayed.confirm(&other, [(bank, index)]) {
        for explanation in replayed.explain(&mismatches) {
            shown(explanation);
            assert!(explanation.event().is_none_or(|event| event < log.event_count()));
        }
    }
}

/// Walks into what was decoded and shows all of it.
fn use_decoded(decoded: Decoded<'_>) {
    shown(&decoded);
    match decoded {
        Decoded::Variable(variable) => {
            shown(variable.name);
            if let Some(subject) = variable.authority_entry().and_then(|entry| entry.certificate_subject()) {
                shown(subject);
            }
            match variable.contents() {
                Ok(VariableContents::SignatureLists(lists)) => use_lists(lists),
                Ok(VariableContents::LoadOption(option)) => use_option(option),
                Ok(VariableContents::Text(text)) => shown(text),
                Ok(_) => {}
                Err(error) => shown(error),
            }
        }
        Decoded::ImageLoad(image) => match image.path() {
            Ok(path) => use_path(path),
            Err(error) => shown(error),
        },
        Decoded::Gpt(gpt) => {
            assert!(gpt.partitions().count() <= gpt.entries().count());
            gpt.partitions().for_each(|partition| shown(partition.name));
        }
        Decoded::Windows(events) => assert!(events.events().all(|event| event.depth <= 8)),
        Decoded::Text(text) | Decoded::Grub { text, .. } => shown(text),
        Decoded::HandoffTables(tables) => drop(tables.tables().count()),
        _ => {}
    }
}

fn use_lists(lists: SignatureLists<'_>) {
    lists.entries().filter_map(|entry| entry.certificate_subject()).for_each(shown);
}

fn use_option(option: LoadOption<'_>) {
    shown(option.description);
    use_path(option.path);
}

fn use_path(path: DevicePath<'_>) {
    shown(&path);
    path.nodes().for_each(drop);
    if let Some(file) = path.file() {
        shown(file);
    }
}

/// The structures inside of events, from bytes of their own.
pub(crate) fn payloads(data: &[u8]) {
    match bounded(data, 4, || SignatureLists::parse(data)) {
        Ok(lists) => use_lists(lists),
        Err(error) => refused(&error, data.len()),
    }
    match DevicePath::parse(data) {
        Ok(path) => use_path(path),
        Err(error) => refused(&error, data.len()),
    }
    match LoadOption::parse(data) {
        Ok(option) => use_option(option),
        Err(error) => refused(&error, data.len()),
    }
    match SipaEvents::parse(data) {
        Ok(events) => drop(events.events().count()),
        Err(error) => refused(&error, data.len()),
    }
    // The same bytes as the data of an event of each type, where each decoder finds them.
    let mut builder = LogBuilder::crypto_agile(&[Bank::Sha256]);
    for (event_type, pcr) in EventType::NAMED.iter().flat_map(|named| [(*named, 0), (*named, 7), (*named, 14)]) {
        builder.record(pcr, event_type, &[nitrotpm_digest_lanes::Digest::zero(Bank::Sha256)], data);
    }
    let bytes = builder.finish().expect("a log of one payload is written");
    let options = ParseOptions::default();
    match EventLog::parse(&bytes, &options) {
        Ok(log) => {
            for event in log.events() {
                match event.decode() {
                    Ok(decoded) => use_decoded(decoded),
                    Err(error) => refused(&error, bytes.len()),
                }
            }
        }
        // The payload is a second header, or a locality that is not allowed.
        Err(error) => refused(&error, bytes.len()),
    }
}

/// A log whose shape is right, from choices: banks, and events with registers, types and data.
fn built(choices: &mut Choices<'_>) -> LogBuilder {
    let flags = choices.byte();
    let banks: Vec<Bank> =
        Bank::ALL.into_iter().enumerate().filter(|(bit, _)| flags >> bit & 1 == 1).map(|(_, bank)| bank).collect();
    let mut builder = match flags >> 4 & 3 {
        0 if flags >> 6 == 1 => LogBuilder::sha1(),
        1 if !banks.is_empty() => LogBuilder::ccel(&banks),
        _ if banks.is_empty() => LogBuilder::crypto_agile(&[Bank::Sha384]),
        _ => LogBuilder::crypto_agile(&banks),
    };
    let limit = if builder.events().first().is_some_and(|header| header.pcr == 1) { 5 } else { 24 };
    for _ in 0..64 {
        if choices.is_empty() {
            break;
        }
        let (pcr, kind) = (choices.byte(), choices.byte());
        let named = EventType::NAMED.get(usize::from(kind)).copied();
        let event_type = named.unwrap_or(EventType(u32::from_le_bytes([kind, 0, 0, pcr])));
        let data = choices.part();
        // One register in four has data that its digest does not prove.
        let hashed = if pcr & 0x80 == 0 { data } else { b"something else" };
        builder.measure_as(u32::from(pcr & 0x7F) % limit, event_type, hashed, data);
    }
    builder
}

/// A log of the right shape: all that follows parsing is reached.
pub(crate) fn built_log(data: &[u8]) {
    let builder = built(&mut Choices(data));
    let bytes = builder.finish().expect("a built log is written");
    match EventLog::parse(&bytes, &ParseOptions::default()) {
        Ok(log) => {
            let again = LogBuilder::from_log(&log);
            assert_eq!(again.events(), builder.events(), "parsing undoes writing");
            assert_eq!(again.finish().expect("written before"), bytes);
            use_log(&log, &bytes);
            // Writing a page takes longer than all the rest: short logs have to do.
            if log.event_count() <= 8 {
                page(&bytes, &log);
            }
        }
        Err(error) => refused(&error, bytes.len()),
    }
}

/// The page of a log: its own script and nothing that a log brought along.
fn page(bytes: &[u8], log: &EventLog<'_>) {
    let page = match log.replay_all() {
        Ok(replayed) => Page::new("log", bytes, log).with_replay(&replayed).to_html(),
        Err(error) => Page::new("log", bytes, log).without_replay(&error).to_html(),
    };
    shown_in_lines(&page);
    assert_eq!(page.matches("<script").count(), 1, "the page's own script");
}

/// Two logs compared, and one explained by the values of the other.
pub(crate) fn two_logs(data: &[u8]) {
    let mut choices = Choices(data);
    let first = choices.part();
    let (first, second) = (built(&mut Choices(first)), built(&mut choices));
    let (Ok(first), Ok(second)) = (first.finish(), second.finish()) else { return };
    let options = ParseOptions::default();
    let (Ok(a), Ok(b)) = (EventLog::parse(&first, &options), EventLog::parse(&second, &options)) else { return };
    let (forth, back) = match (a.diff(&b), b.diff(&a)) {
        (Ok(forth), Ok(back)) => (forth, back),
        (Err(one), Err(other)) => return assert_eq!(one.code(), other.code()),
        _ => panic!("logs can be compared one way only"),
    };
    assert_eq!(forth.differences().is_empty(), back.differences().is_empty());
    forth.differences().iter().for_each(shown);
    let (Ok(a), Ok(b)) = (a.replay_all(), b.replay_all()) else { return };
    let values = b.values();
    let requested: Vec<_> = values.iter().map(|(bank, index, _)| (bank, index)).collect();
    match a.confirm(&values, requested) {
        Ok(_) => {}
        Err(LogError::Mismatch { mismatches, .. }) => {
            let explanations = a.explain(&mismatches);
            assert_eq!(explanations.len(), mismatches.len());
            explanations.iter().for_each(shown);
        }
        Err(error) => shown(error),
    }
}

/// Canonical event logs in whatever encoding.
pub(crate) fn cel(data: &[u8]) {
    let parsed = [
        bounded(data, 64, || CelLog::parse(data)),
        bounded(data, 64, || CelLog::parse_tlv(data)),
        bounded(data, 64, || CelLog::parse_cbor(data)),
        bounded(data, 64, || CelLog::parse_json(data)),
    ];
    for log in parsed {
        match log {
            Ok(log) => use_cel(&log),
            Err(error) => refused(&error, data.len()),
        }
    }
}

fn use_cel(log: &CelLog) {
    assert!(!log.records().is_empty());
    match log.to_cbor() {
        Ok(bytes) => {
            let again = CelLog::parse(&bytes).expect("what was written can be read");
            assert_eq!(again.records().len(), log.records().len());
            assert_eq!(again.to_cbor().as_ref(), Ok(&bytes));
        }
        Err(error) => shown(error),
    }
    for record in log.records() {
        let _ = record.payload_check();
        if let CelContent::PcClient { event_type, .. } = record.content {
            shown(event_type);
        }
    }
    let firmware =
        LogBuilder::crypto_agile(&[Bank::Sha256]).measure(4, EventType::SEPARATOR, &[0; 4]).finish().expect("written");
    let firmware = EventLog::parse(&firmware, &ParseOptions::default()).expect("written");
    let _ = firmware.replay_all().expect("replays").followed_by(log).values();
}

/// IMA lists, binary and text.
pub(crate) fn ima(data: &[u8]) {
    for list in [
        bounded(data, 16, || ImaList::parse(data)),
        bounded(data, 16, || ImaList::parse_binary(data)),
        bounded(data, 16, || ImaList::parse_ascii(data)),
    ] {
        match list {
            Ok(list) => use_list(&list),
            Err(error) => refused(&error, data.len()),
        }
    }
}

fn use_list(list: &ImaList<'_>) {
    let mut pairs = Vec::new();
    for entry in list.entries() {
        shown(entry.template());
        let _ = (entry.third_field(), entry.template_hash_is_right());
        if let Some(name) = entry.file_name() {
            shown(name);
        }
        if let (Some(name), Some(digest)) = (entry.file_name(), entry.file_digest()) {
            pairs.push((name.bytes().to_vec(), digest.digest.to_vec()));
        }
    }
    let allowed: AllowList = pairs.into_iter().collect();
    // What the kernel would extend gives the value that confirms the list.
    let Some(pcr) = list.entries().first().map(|entry| entry.pcr()) else { return };
    let mut value = reset_value(Bank::Sha256, pcr);
    for entry in list.entries().iter().filter(|entry| entry.pcr() == pcr) {
        let digest = if entry.is_violation() {
            nitrotpm_digest_lanes::Digest::ones(Bank::Sha256)
        } else {
            entry.hash_of_data(Bank::Sha256)
        };
        value = nitrotpm_digest_lanes::extend(&value, &digest).expect("one bank");
    }
    let mut values = PcrValues::new();
    values.insert(pcr, value).expect("one value");
    let confirmed = list.confirm(&values, Bank::Sha256, pcr).expect("the list gives this value");
    assert_eq!(confirmed.unproven(), 0);
    let _ = confirmed.boot_aggregate(&values);
    let appraisal = allowed.appraise(&confirmed);
    assert!(appraisal.findings.iter().all(|finding| matches!(finding.kind.name(), "violation" | "unknown-template")));
}

/// A list of files that IMA may have measured.
pub(crate) fn allow_list(data: &[u8]) {
    match bounded(data, 64, || AllowList::parse(data)) {
        Ok(list) => assert!(!list.is_empty()),
        Err(error) => {
            shown(error);
            assert!(error.line <= data.len() + 1);
        }
    }
}

/// For seeds: the events of a log in the form that [`built`] reads.
pub(crate) fn choices_of(log: &EventLog<'_>) -> Vec<u8> {
    let flags = Bank::ALL
        .iter()
        .enumerate()
        .filter(|(_, bank)| log.has_bank(**bank))
        .fold(0x30, |flags, (bit, _)| flags | 1 << bit);
    let mut bytes = vec![flags];
    let events: Vec<WrittenEvent> = LogBuilder::from_log(log).events().iter().skip(1).cloned().collect();
    for event in events.iter().filter(|event| event.data.len() < 2048) {
        let kind =
            EventType::NAMED.iter().position(|named| *named == event.event_type).and_then(|at| u8::try_from(at).ok());
        bytes.extend([u8::try_from(event.pcr).unwrap_or(23), kind.unwrap_or(0xFF)]);
        bytes.extend(crate::check::part(&event.data));
    }
    bytes
}
