#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, and that is all")]

use std::collections::BTreeSet;

use nitrotpm_digest_lanes::{Digest, extend, hash};
use nitrotpm_eventlog::writer::LogBuilder;
use nitrotpm_eventlog::{Cause, EventLog, EventType, ParseOptions};
use nitrotpm_pcr::{Bank, PcrIndex};

use crate::{Boot, Explanation, Mismatch, Reference, ReferenceError, References, compare, explain};

const BANK: Bank = Bank::Sha384;

fn index(pcr: u8) -> PcrIndex {
    PcrIndex::new(pcr).unwrap()
}

/// A boot of a unified kernel image, as firmware and systemd-stub log it.
struct Image<'a> {
    loader: Option<&'a str>,
    kernel: &'a str,
    initrd: &'a str,
    line: &'a str,
}

const WEB_42: Image<'_> = Image { loader: None, kernel: "6.1", initrd: "initrd 42", line: "ro quiet" };

impl Image<'_> {
    fn log(&self) -> Vec<u8> {
        let mut log = LogBuilder::crypto_agile(&[Bank::Sha256, BANK]);
        let wide = |text: &str| text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        log.measure(4, EventType::EFI_ACTION, b"Calling EFI Application from Boot Option");
        log.measure(4, EventType::SEPARATOR, &[0; 4]);
        log.measure(7, EventType::SEPARATOR, &[0; 4]);
        let image = |log: &mut LogBuilder, content: &str| {
            log.measure_as(4, EventType::EFI_BOOT_SERVICES_APPLICATION, content.as_bytes(), &[0; 32]);
        };
        if let Some(loader) = self.loader {
            image(&mut log, loader);
            log.measure(12, EventType::IPL, &wide(self.line));
        }
        image(&mut log, &format!("{} {} {}", self.kernel, self.initrd, self.line));
        for (name, content) in [(".linux", self.kernel), (".cmdline", self.line), (".initrd", self.initrd)] {
            log.measure_as(11, EventType::IPL, &[name.as_bytes(), &[0]].concat(), &wide(name));
            log.measure_as(11, EventType::IPL, content.as_bytes(), &wide(name));
        }
        let tagged = |tag: u32, content: &[u8]| {
            [&tag.to_le_bytes(), &u32::try_from(content.len()).unwrap().to_le_bytes(), content].concat()
        };
        let options = tagged(0x8F3B_22ED, b"LOADED_IMAGE::LoadOptions\0");
        log.measure_as(9, EventType::EVENT_TAG, &wide(self.line), &options);
        log.measure_as(9, EventType::EVENT_TAG, self.initrd.as_bytes(), &tagged(0x8F3B_22EC, b"Linux initrd\0"));
        log.finish().unwrap()
    }

    fn reference(&self, name: &str) -> Reference {
        Reference::read(name, &self.log()).unwrap()
    }

    /// The expected image's registers that this boot does not have, explained.
    fn explained(&self, expected: &Image<'_>, pcrs: &[u8], references: &References) -> Vec<Explanation> {
        let bytes = self.log();
        let log = EventLog::parse(&bytes, &ParseOptions::default()).unwrap();
        let (found, wanted) = (self.reference("found"), expected.reference("wanted"));
        let value = |reference: &Reference, pcr: u8| reference.value(BANK, index(pcr)).unwrap();
        let mismatches: Vec<_> = pcrs
            .iter()
            .map(|pcr| Mismatch {
                bank: BANK,
                pcr: index(*pcr),
                expected: value(&wanted, *pcr),
                found: Some(value(&found, *pcr)),
            })
            .filter(|mismatch| Some(mismatch.expected) != mismatch.found)
            .collect();
        let proven: BTreeSet<_> = PcrIndex::all().map(|pcr| (BANK, pcr)).collect();
        explain(&Boot { log: Some(&log), proven: &proven }, &mismatches, references)
    }
}

fn known(references: &[Reference]) -> References {
    let mut known = References::new();
    references.iter().for_each(|reference| known.add(reference.clone()));
    known
}

#[test]
fn an_initrd_of_a_superseded_image_is_named() {
    let old = Image { initrd: "initrd 41", ..WEB_42 };
    let references = known(&[WEB_42.reference("web-42"), old.reference("web-41").superseded("web-42 is out")]);
    let explained = old.explained(&WEB_42, &[4, 12], &references);
    let [only] = explained.as_slice() else { panic!("{explained:?}") };
    assert_eq!((only.cause, only.reference.as_deref()), (Cause::Initrd, Some("web-42")));
    assert!(
        only.message.contains("the initrd")
            && only.message.contains("built for image \"web-41\", found in your references as superseded"),
        "{}",
        only.message
    );
    // Without the old image among the references the cause is the same, and no image is named.
    let explained = old.explained(&WEB_42, &[4, 12], &known(&[WEB_42.reference("web-42")]));
    assert_eq!(explained[0].cause, Cause::Initrd);
    assert!(!explained[0].message.contains("web-41"));
}

#[test]
fn a_loader_before_the_image_is_the_cause_of_its_command_line() {
    let found = Image { loader: Some("systemd-boot"), ..WEB_42 };
    let explained = found.explained(&WEB_42, &[4, 12], &known(&[WEB_42.reference("web-42")]));
    assert_eq!(explained.iter().map(|of| of.cause).collect::<Vec<_>>(), [Cause::BootImage; 2]);
    let passed_on = explained[0].differences.iter().find(|entry| entry.pcr == index(12)).unwrap();
    assert!(passed_on.message.contains("it is the image's own, passed on by a boot loader"), "{passed_on:?}");
    // And the other way round: the loader is gone.
    let explained = WEB_42.explained(&found, &[4, 12], &known(&[found.reference("web-42")]));
    assert_eq!(explained[0].cause, Cause::BootImage);
}

#[test]
fn another_build_is_another_image_and_one_changed_part_is_that_part() {
    let references = known(&[WEB_42.reference("web-42")]);
    let build = Image { kernel: "6.2", initrd: "initrd 43", line: "ro quiet", ..WEB_42 };
    let explained = build.explained(&WEB_42, &[4, 9, 11], &references);
    assert_eq!(explained[0].cause, Cause::BootImage);
    assert!(explained[0].message.contains("as in another build"), "{}", explained[0].message);
    let kernel = Image { kernel: "6.1 altered", ..WEB_42 };
    assert_eq!(kernel.explained(&WEB_42, &[4], &references)[0].cause, Cause::BootImage);
    let line = Image { line: "ro quiet selinux=0", ..WEB_42 };
    assert_eq!(line.explained(&WEB_42, &[4], &references)[0].cause, Cause::KernelCommandLine);
}

#[test]
fn an_event_that_no_signed_value_proves_is_said_to_be_none() {
    let line = Image { line: "rw", ..WEB_42 };
    let bytes = line.log();
    let log = EventLog::parse(&bytes, &ParseOptions::default()).unwrap();
    let (found, wanted) = (line.reference("found"), WEB_42.reference("wanted"));
    let value = |reference: &Reference| reference.value(BANK, index(11)).unwrap();
    let mismatch = Mismatch { bank: BANK, pcr: index(11), expected: value(&wanted), found: Some(value(&found)) };
    let references = known(&[WEB_42.reference("web-42")]);
    for (proven, said) in [(BTreeSet::new(), true), (PcrIndex::all().map(|pcr| (BANK, pcr)).collect(), false)] {
        let explained = explain(&Boot { log: Some(&log), proven: &proven }, &[mismatch], &references);
        assert_eq!(explained[0].message.contains("no signed value proves"), said, "{}", explained[0].message);
    }
}

/// Where only values are known: a known image, what systemd extends, one event of a known image.
#[test]
fn values_alone_are_searched_and_what_was_searched_is_said() {
    let values = |image: &Image<'_>, name: &str| Reference::from_values(name, image.reference(name).values().clone());
    let old = Image { initrd: "initrd 41", ..WEB_42 };
    let references = known(&[values(&WEB_42, "web-42"), values(&old, "web-41").superseded("")]);
    let explained = old.explained(&WEB_42, &[4], &references);
    assert_eq!(explained[0].message, "the value is that of image \"web-41\", found in your references as superseded");

    let value = WEB_42.reference("a").value(BANK, index(4)).unwrap();
    let separated = extend(&value, &hash(BANK, &[b"os-separator"])).unwrap();
    let none = BTreeSet::new();
    let ask = |expected: Digest, found: Digest, references: &References| {
        let mismatch = Mismatch { bank: BANK, pcr: index(4), expected, found: Some(found) };
        explain(&Boot { log: None, proven: &none }, &[mismatch], references).remove(0)
    };
    assert!(ask(value, separated, &References::new()).message.contains("extended with os-separator"));
    assert!(ask(separated, value, &References::new()).message.contains("without os-separator"));
    let unknown = ask(value, hash(BANK, &[b"?"]), &References::new());
    assert_eq!(unknown.message, "no cause was found among what is known");
    assert!(unknown.searched.unwrap().contains("systemd"));
}

/// Mixed images: the boot has one event of each of two.
#[test]
fn one_event_of_a_known_image_in_place_of_another_is_found() {
    // The expected value is known, and that image's log is not; the log of a third one has the event that is missing.
    let third = Image { kernel: "6.1", initrd: "initrd 42", line: "ro quiet", loader: Some("loader") };
    let found = Image { initrd: "initrd 41", ..WEB_42 };
    let explained = found.explained(&WEB_42, &[9], &known(&[third.reference("third")]));
    // PCR 9 of the third is that of the expected one, so its log is the reference.
    assert_eq!(explained[0].reference.as_deref(), Some("third"));
    let explained = found.explained(&WEB_42, &[4], &known(&[third.reference("third")]));
    assert!(explained[0].message.contains("stands in place of one of image \"third\""), "{}", explained[0].message);
}

#[test]
fn a_prediction_is_compared_where_it_knows_all_events() {
    let prediction = |digest: &str, kind: &str| {
        let pcrs = "{\"sha384\": {\"12\": \"".to_owned() + &"00".repeat(48) + "\"}}";
        format!(
            "{{\"schema\": \"nitrotpm.prediction/1\", \"pcrs\": {pcrs}, \"events\": [{{\"pcr\": 12, \"type\": \"{kind}\", \
             \"digests\": {{\"sha384\": \"{digest}\"}}, \"cause\": \"\\u001b[31m\"}}]}}"
        )
    };
    let good = Reference::read("web", prediction(&"ab".repeat(48), "EV_IPL").as_bytes()).unwrap();
    let bytes = WEB_42.log();
    let log = EventLog::parse(&bytes, &ParseOptions::default()).unwrap();
    let differences = compare(&good, &log, None, &[]).unwrap();
    // PCR 4 and 7 of the boot have events, and the prediction does not speak of them.
    let [only] = differences.as_slice() else { panic!("{differences:?}") };
    assert_eq!((only.pcr, only.event), (index(12), None));
    assert!(!only.message.contains('\u{1b}'), "{}", only.message);
    for (digest, kind, what) in [
        ("ab".repeat(47), "EV_IPL", "as long as"),
        ("xx".repeat(48), "EV_IPL", "not hexadecimal"),
        ("ab".repeat(48), "EV_NONE", "no such name"),
    ] {
        let error = Reference::read("web", prediction(&digest, kind).as_bytes()).unwrap_err();
        assert_eq!(error.code(), "reference.event");
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn what_is_no_reference_is_refused() {
    for (bytes, code) in [
        (b"{}x".as_slice(), "pcrs.malformed"),
        (b"{\"schema\": \"nitrotpm.result/1\", \"pcrs\": {}, \"events\": []}", "pcrs.malformed"),
        (b"{\"sha384\": {\"4\": \"00\"}}", "pcrs.malformed"),
        (b"", "event_log.empty"),
    ] {
        assert_eq!(Reference::read("web", bytes).map_err(|error| error.code()), Err(code));
    }
    let large = vec![b' '; Reference::MAX_LEN + 1];
    assert_eq!(Reference::read("web", &large), Err(ReferenceError::TooLarge { length: Reference::MAX_LEN + 1 }));
    let values = Reference::read("web", b"{\"sha384\": {}}").unwrap();
    assert!(!values.has_events() && values.values().is_empty());
}

/// A prediction of an earlier version has no data: what its events are about follows from their words.
#[test]
fn a_prediction_without_data_names_the_part_too() {
    let mut events = Vec::new();
    let hex = |text: &[u8]| hash(BANK, &[text]).to_string();
    let wide = |text: &str| text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let mut event = |pcr: u8, kind: &str, hashed: &[u8], cause: &str| {
        events.push(format!(
            "{{\"pcr\": {pcr}, \"type\": \"{kind}\", \"digests\": {{\"sha384\": \"{}\"}}, \"cause\": \"{cause}\"}}",
            hex(hashed)
        ));
    };
    event(4, "EV_EFI_ACTION", b"Calling EFI Application from Boot Option", "firmware begins to boot");
    event(4, "EV_SEPARATOR", &[0; 4], "separator");
    let image = format!("{} {} {}", WEB_42.kernel, WEB_42.initrd, WEB_42.line);
    event(4, "EV_EFI_BOOT_SERVICES_APPLICATION", image.as_bytes(), "firmware loads web.efi");
    for (name, content) in [(".linux", WEB_42.kernel), (".cmdline", WEB_42.line), (".initrd", WEB_42.initrd)] {
        event(11, "EV_IPL", &[name.as_bytes(), &[0]].concat(), &format!("name of section {name}"));
        event(11, "EV_IPL", content.as_bytes(), &format!("section {name} of web.efi, 9 bytes"));
    }
    event(9, "EV_EVENT_TAG", &wide(WEB_42.line), &format!("kernel command line \\\"{}\\\"", WEB_42.line));
    event(9, "EV_EVENT_TAG", WEB_42.initrd.as_bytes(), "initrd of web.efi, 9 bytes");
    let values = WEB_42.reference("values");
    let pcr = |pcr: u8| format!("\"{pcr}\": \"{}\"", values.value(BANK, index(pcr)).unwrap());
    let prediction = format!(
        "{{\"schema\": \"nitrotpm.prediction/1\", \"pcrs\": {{\"sha384\": {{{}, {}, {}, {}}}}}, \"events\": [{}]}}",
        pcr(4),
        pcr(9),
        pcr(11),
        pcr(12),
        events.join(", ")
    );
    let good = Reference::read("web-42", prediction.as_bytes()).unwrap();
    let same = WEB_42.log();
    let same = EventLog::parse(&same, &ParseOptions::default()).unwrap();
    assert_eq!(compare(&good, &same, None, &[]).unwrap(), []);
    let line = Image { line: "ro quiet rd.break", ..WEB_42 };
    let explained = line.explained(&WEB_42, &[4, 12], &known(std::slice::from_ref(&good)));
    assert_eq!(explained[0].cause, Cause::KernelCommandLine);
    assert!(explained[0].message.contains("has `rd.break` added"), "{}", explained[0].message);
    let initrd = Image { initrd: "initrd 41", ..WEB_42 };
    assert_eq!(initrd.explained(&WEB_42, &[4], &known(&[good]))[0].cause, Cause::Initrd);
}

/// An addon brings an image and a command line that is not the image's: the line is what matters.
#[test]
fn a_foreign_command_line_comes_before_the_image_that_brought_it() {
    let mut log = WEB_42.log();
    let parsed = EventLog::parse(&log, &ParseOptions::default()).unwrap();
    let mut builder = LogBuilder::from_log(&parsed);
    builder.measure_as(4, EventType::EFI_BOOT_SERVICES_APPLICATION, b"addon", &[0; 32]);
    let wide: Vec<u8> = "init=/bin/sh".encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    builder.measure(12, EventType::IPL, &wide);
    log = builder.finish().unwrap();
    let found = EventLog::parse(&log, &ParseOptions::default()).unwrap();
    let differences = compare(&WEB_42.reference("web-42"), &found, None, &[]).unwrap();
    assert_eq!(differences[0].cause, Cause::KernelCommandLine);
    assert!(differences[0].message.contains("init=/bin/sh"), "{}", differences[0].message);
}

/// A log can have as many events as its writer likes: what is told of them, and what it costs, is bounded.
#[test]
fn a_hostile_log_does_not_make_the_answer_long() {
    let mut log = LogBuilder::crypto_agile(&[BANK]);
    let wide = |text: &str| text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for number in 0..5_000_u32 {
        log.measure(12, EventType::IPL, &wide(&format!("line {number}")));
        log.measure(11, EventType::IPL, &number.to_le_bytes());
    }
    let bytes = log.finish().unwrap();
    let log = EventLog::parse(&bytes, &ParseOptions::default()).unwrap();
    let found = Reference::read("found", &bytes).unwrap();
    let references = known(&[WEB_42.reference("web-42")]);
    let mismatches: Vec<_> = [4, 9, 11, 12]
        .map(|pcr| Mismatch {
            bank: BANK,
            pcr: index(pcr),
            expected: WEB_42.reference("wanted").value(BANK, index(pcr)).unwrap(),
            found: found.value(BANK, index(pcr)),
        })
        .to_vec();
    let proven: BTreeSet<_> = PcrIndex::all().map(|pcr| (BANK, pcr)).collect();
    let began = std::time::Instant::now();
    let explained = explain(&Boot { log: Some(&log), proven: &proven }, &mismatches, &references);
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    for explanation in &explained {
        assert_eq!(explanation.differences.len(), 32);
        assert!(explanation.more_differences > 4_000, "{}", explanation.more_differences);
    }
    // And without a reference: the search ends.
    let explained = explain(&Boot { log: Some(&log), proven: &proven }, &mismatches, &References::new());
    assert!(explained.iter().all(|explanation| explanation.searched.is_some()));
}
