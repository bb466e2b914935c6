//! IMA lists: both forms, replay, violations, the boot aggregate, appraisal.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use nitrotpm_digest_lanes::{Digest, extend, hash};
use nitrotpm_pcr::{Bank, PcrValues};

use super::pcr;
use crate::LogError;
use crate::ima::{AllowList, BankRule, BootAggregate, FindingKind, ImaList};

/// An entry to be written: template, fields; a violation where the hash is to be zero.
struct Written {
    template: &'static str,
    fields: Vec<Vec<u8>>,
    violation: bool,
}

fn digest_field(contents: &[u8]) -> Vec<u8> {
    [b"sha256:\0".as_slice(), hash(Bank::Sha256, &[contents]).as_bytes()].concat()
}

fn file(template: &'static str, name: &str, contents: &[u8]) -> Written {
    let mut fields = vec![digest_field(contents), format!("{name}\0").into_bytes()];
    if template != "ima-ng" {
        fields.push(b"\x03\x02".to_vec());
    }
    Written { template, fields, violation: false }
}

impl Written {
    fn data(&self) -> Vec<u8> {
        self.fields
            .iter()
            .flat_map(|field| [u32::try_from(field.len()).unwrap().to_le_bytes().as_slice(), field].concat())
            .collect()
    }

    fn template_hash(&self) -> Vec<u8> {
        if self.violation { vec![0; 20] } else { hash(Bank::Sha1, &[&self.data()]).as_bytes().to_vec() }
    }

    fn binary(&self) -> Vec<u8> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let data = self.data();
        [
            10_u32.to_le_bytes().as_slice(),
            &self.template_hash(),
            &length(self.template.as_bytes()),
            self.template.as_bytes(),
            &length(&data),
            &data,
        ]
        .concat()
    }

    fn ascii(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let name = String::from_utf8(self.fields[1].clone()).unwrap();
        let mut line = format!(
            "10 {} {} sha256:{} {}",
            hex(&self.template_hash()),
            self.template,
            hex(&self.fields[0][8..]),
            name.trim_end_matches('\0')
        );
        self.fields.iter().skip(2).for_each(|field| line.push_str(&format!(" {}", hex(field))));
        line + "\n"
    }
}

fn binary(list: &[Written]) -> Vec<u8> {
    list.iter().flat_map(Written::binary).collect()
}

fn list() -> Vec<Written> {
    let mut violation = file("ima-ng", "/var/log/wtmp", b"");
    violation.violation = true;
    vec![
        file("ima-sig", "boot_aggregate", b"registers"),
        file("ima-ng", "/usr/bin/true", b"true"),
        file("ima-sig", "/a name with spaces", b"spaces"),
        violation,
        file("ima-buf", ".ima", b"key"),
    ]
}

/// What a bank holds after these entries.
fn value(list: &[Written], bank: Bank, rule: BankRule) -> Digest {
    list.iter().fold(Digest::zero(bank), |value, entry| {
        let mut padded = entry.template_hash();
        padded.resize(bank.digest_len(), 0);
        let measured = match rule {
            _ if entry.violation => Digest::ones(bank),
            BankRule::Hashed => hash(bank, &[&entry.data()]),
            BankRule::PaddedSha1 => Digest::new(bank, &padded).unwrap(),
        };
        extend(&value, &measured).unwrap()
    })
}

fn holding(value: Digest) -> PcrValues {
    let mut values = PcrValues::new();
    values.insert(pcr(10), value).unwrap();
    values
}

#[test]
fn both_forms_give_the_same_entries() {
    let written = list();
    let bytes = binary(&written);
    let text: String = written.iter().map(Written::ascii).collect();
    let (binary, ascii) = (ImaList::parse(&bytes).unwrap(), ImaList::parse(text.as_bytes()).unwrap());
    assert_eq!(binary.entries().len(), 5);
    for (a, b) in binary.entries().iter().zip(ascii.entries()) {
        assert_eq!(
            (a.index(), a.template_hash(), a.template(), a.data()),
            (b.index(), b.template_hash(), b.template(), b.data())
        );
        assert_eq!(a.template_hash_is_right(), (!a.is_violation()).then_some(true));
    }
    let third = &binary.entries()[2];
    assert_eq!(third.file_name().unwrap().to_string(), "/a name with spaces");
    assert_eq!(third.file_digest().unwrap().digest, hash(Bank::Sha256, &[b"spaces"]).as_bytes());
    assert_eq!(
        (third.file_digest().unwrap().algorithm, third.third_field()),
        (b"sha256".as_slice(), Some([3, 2].as_slice()))
    );
    assert_eq!(binary.entries()[1].third_field(), None);
}

#[test]
fn the_first_template_has_no_length_and_a_padded_name() {
    let mut hashed = [[7; 20].as_slice(), b"/sbin/init"].concat();
    hashed.resize(20 + 256, 0);
    let template_hash = hash(Bank::Sha1, &[&hashed]);
    let bytes = [
        10_u32.to_le_bytes().as_slice(),
        template_hash.as_bytes(),
        &3_u32.to_le_bytes(),
        b"ima",
        &[7; 20],
        &10_u32.to_le_bytes(),
        b"/sbin/init",
    ]
    .concat();
    let list = ImaList::parse(&bytes).unwrap();
    let entry = &list.entries()[0];
    assert_eq!(
        (entry.template_hash_is_right(), entry.file_name().unwrap().to_string().as_str()),
        (Some(true), "/sbin/init")
    );
    assert_eq!(entry.file_digest().unwrap().digest, [7; 20]);
    let text = format!("10 {template_hash} ima {} /sbin/init\n", "07".repeat(20));
    assert_eq!(ImaList::parse(text.as_bytes()).unwrap().entries()[0].data(), entry.data());
}

#[test]
fn l25_each_bank_is_confirmed_by_the_rule_that_holds() {
    let written = list();
    let bytes = binary(&written);
    let parsed = ImaList::parse(&bytes).unwrap();
    for bank in Bank::ALL {
        for rule in [BankRule::Hashed, BankRule::PaddedSha1] {
            let confirmed = parsed.confirm(&holding(value(&written, bank, rule)), bank, pcr(10)).unwrap();
            // In the SHA-1 bank both rules are one.
            let expected = if bank == Bank::Sha1 { BankRule::Hashed } else { rule };
            assert_eq!((confirmed.rule(), confirmed.entries().len(), confirmed.unproven()), (expected, 5, 0));
            assert_eq!(confirmed.entries().iter().filter(|entry| confirmed.is_proven(entry)).count(), 4);
        }
    }
}

#[test]
fn l25_a_list_longer_than_the_quote_is_proven_up_to_it() {
    let written = list();
    let bytes = binary(&written);
    let parsed = ImaList::parse(&bytes).unwrap();
    for length in 1..written.len() {
        let quoted = holding(value(&written[..length], Bank::Sha256, BankRule::Hashed));
        let confirmed = parsed.confirm(&quoted, Bank::Sha256, pcr(10)).unwrap();
        assert_eq!((confirmed.entries().len(), confirmed.unproven()), (length, written.len() - length));
    }
    // A register that nothing was extended into proves no list.
    let untouched = holding(Digest::zero(Bank::Sha256));
    let error = parsed.confirm(&untouched, Bank::Sha256, pcr(10)).unwrap_err();
    assert_eq!((error.code(), matches!(error, LogError::ImaReplay { entries: 5, .. })), ("event_log.ima-replay", true));
    let error = parsed.confirm(&untouched, Bank::Sha384, pcr(10)).unwrap_err();
    assert_eq!(error.code(), "event_log.not-authenticated");
}

#[test]
fn l25_a_changed_entry_is_not_confirmed() {
    let good = list();
    let quoted = holding(value(&good, Bank::Sha256, BankRule::Hashed));
    let mut bad = list();
    bad[1] = file("ima-ng", "/usr/bin/true", b"other");
    let bytes = binary(&bad);
    let error = ImaList::parse(&bytes).unwrap().confirm(&quoted, Bank::Sha256, pcr(10)).unwrap_err();
    assert_eq!(error.code(), "event_log.ima-replay");

    // In a bank of padded hashes the data can be changed beside its hash: it is then not proven.
    let quoted = holding(value(&good, Bank::Sha256, BankRule::PaddedSha1));
    let mut bytes = binary(&good);
    let at = bytes.windows(4).position(|window| window == b"true").unwrap();
    bytes[at..at + 4].copy_from_slice(b"evil");
    let parsed = ImaList::parse(&bytes).unwrap();
    let confirmed = parsed.confirm(&quoted, Bank::Sha256, pcr(10)).unwrap();
    assert!(!confirmed.is_proven(&confirmed.entries()[1]) && confirmed.is_proven(&confirmed.entries()[2]));
    assert_eq!(AllowList::default().appraise(&confirmed).findings[0].kind, FindingKind::NotProven);
}

#[test]
fn the_boot_aggregate_is_compared_with_authenticated_registers() {
    let mut registers = PcrValues::new();
    (0..10).for_each(|index| registers.insert(pcr(index), hash(Bank::Sha256, &[&[index]])).unwrap());
    let joined =
        |last: u8| (0..=last).flat_map(|index| hash(Bank::Sha256, &[&[index]]).as_bytes().to_vec()).collect::<Vec<_>>();
    for (contents, expected) in [
        (joined(9), BootAggregate::Matches { bank: Bank::Sha256, last: 9 }),
        (joined(7), BootAggregate::Matches { bank: Bank::Sha256, last: 7 }),
        (b"other".to_vec(), BootAggregate::Differs),
    ] {
        let written = [file("ima-ng", "boot_aggregate", &contents)];
        let bytes = binary(&written);
        let quoted = holding(value(&written, Bank::Sha256, BankRule::Hashed));
        let confirmed = ImaList::parse(&bytes).unwrap().confirm(&quoted, Bank::Sha256, pcr(10)).unwrap();
        assert_eq!(confirmed.boot_aggregate(&registers), expected);
        assert_eq!(confirmed.boot_aggregate(&PcrValues::new()), BootAggregate::NotCheckable);
    }
    let written = [file("ima-ng", "/init", b"x")];
    let bytes = binary(&written);
    let quoted = holding(value(&written, Bank::Sha256, BankRule::Hashed));
    let confirmed = ImaList::parse(&bytes).unwrap().confirm(&quoted, Bank::Sha256, pcr(10)).unwrap();
    assert_eq!(confirmed.boot_aggregate(&registers), BootAggregate::Missing);
}

#[test]
fn an_allow_list_of_a_hundred_thousand_entries() {
    let digest = |contents: &[u8]| hash(Bank::Sha256, &[contents]).as_bytes().to_vec();
    let many = (0..100_000_u32).map(|n| (format!("/usr/lib/{n}").into_bytes(), n.to_le_bytes().to_vec()));
    let allowed =
        many.chain([(b"/usr/bin/true".to_vec(), digest(b"true")), (b"/a name with spaces".to_vec(), digest(b"x"))]);
    let allow_list: AllowList = allowed.collect();
    assert_eq!((allow_list.len(), allow_list.is_empty()), (100_002, false));
    let written = list();
    let bytes = binary(&written);
    let quoted = holding(value(&written, Bank::Sha256, BankRule::Hashed));
    let confirmed = ImaList::parse(&bytes).unwrap().confirm(&quoted, Bank::Sha256, pcr(10)).unwrap();
    let appraisal = allow_list.appraise(&confirmed);
    let findings: Vec<_> = appraisal.findings.iter().map(|finding| (finding.entry, finding.kind.name())).collect();
    assert_eq!(
        (appraisal.files, findings.as_slice()),
        (1, [(2, "other-digest"), (3, "violation"), (4, "not-listed")].as_slice())
    );
}

/// Only the first entry can be the boot aggregate: a file may have that name.
#[test]
fn a_file_called_boot_aggregate_is_a_file() {
    let written = [file("ima-ng", "boot_aggregate", b"a"), file("ima-ng", "boot_aggregate", b"b")];
    let bytes = binary(&written);
    let quoted = holding(value(&written, Bank::Sha256, BankRule::Hashed));
    let confirmed = ImaList::parse(&bytes).unwrap().confirm(&quoted, Bank::Sha256, pcr(10)).unwrap();
    let appraisal = AllowList::default().appraise(&confirmed);
    assert_eq!(appraisal.findings.iter().map(|finding| finding.entry).collect::<Vec<_>>(), [1]);
}

#[test]
fn l6_a_list_that_is_cut_or_changed_never_panics_and_never_is_shorter_in_silence() {
    let written = list();
    let bytes = binary(&written);
    let mut ends = vec![0];
    written.iter().for_each(|entry| ends.push(ends.last().unwrap() + entry.binary().len()));
    for length in 0..bytes.len() {
        let parsed = ImaList::parse_binary(&bytes[..length]);
        assert_eq!(parsed.is_ok(), length > 0 && ends.contains(&length), "cut at {length}");
        let mut changed = bytes.clone();
        changed[length..].iter_mut().take(4).for_each(|byte| *byte = 0xFF);
        if let Ok(list) = ImaList::parse(&changed) {
            list.entries().iter().for_each(|entry| {
                let _ = (entry.file_name(), entry.file_digest(), entry.third_field(), entry.template_hash_is_right());
            });
        }
    }
}

#[test]
fn l4_lines_that_are_no_entries_are_refused() {
    let good = file("ima-ng", "/x", b"x").ascii();
    assert!(ImaList::parse_ascii(good.as_bytes()).is_ok());
    for (bad, code) in [
        (good.replacen("10 ", "24 ", 1), "event_log.register"),
        (good.replacen("10 ", "ten ", 1), "event_log.malformed"),
        (good.replacen("ima-ng", "ima-own", 1), "event_log.malformed"),
        (good.replacen("sha256:", "sha256", 1), "event_log.malformed"),
        (good.replacen("10 ", "10 00", 1), "event_log.malformed"),
        ("this-is-no-list".to_string(), "event_log.malformed"),
        (String::new(), "event_log.empty"),
        ("\n\n".to_string(), "event_log.empty"),
    ] {
        assert_eq!(ImaList::parse_ascii(bad.as_bytes()).unwrap_err().code(), code, "{bad}");
    }
    assert_eq!(ImaList::parse_binary(&[]).unwrap_err(), LogError::Empty);
    let mut long_name = file("ima-ng", "/x", b"x").binary();
    long_name[24..28].copy_from_slice(&256_u32.to_le_bytes());
    assert_eq!(ImaList::parse_binary(&long_name).unwrap_err().code(), "event_log.malformed");
}

#[test]
fn an_allow_list_is_what_sha256sum_prints() {
    let digest = "5a".repeat(32);
    let text = format!(
        "# of image web-41\n\n{digest}  /usr/bin/true\n{digest} */usr/bin/a b\r\n\\{digest}  /tmp/a\\\\b\\nc\n{}  /usr/bin/true\n",
        "A5".repeat(48)
    );
    let list = AllowList::parse(text.as_bytes()).unwrap();
    assert_eq!(list.len(), 4);
    for path in ["/usr/bin/true", "/usr/bin/a b", "/tmp/a\\b\nc"] {
        assert!(list.allows(path.as_bytes(), &[0x5A; 32]), "{path}");
    }
    assert!(list.allows(b"/usr/bin/true", &[0xA5; 48]));
    let same: AllowList = [
        (b"/usr/bin/true".as_slice(), [0x5A; 32].as_slice()),
        (b"/usr/bin/a b", &[0x5A; 32]),
        (b"/tmp/a\\b\nc", &[0x5A; 32]),
        (b"/usr/bin/true", &[0xA5; 48]),
    ]
    .into_iter()
    .collect();
    assert_eq!(list, same);
}

#[test]
fn a_text_that_is_no_allow_list_is_refused_with_its_line() {
    let digest = "5a".repeat(32);
    let good = format!("{digest}  /usr/bin/true\n");
    for (line, problem) in [
        ("/usr/bin/true".to_string(), "two spaces"),
        (digest.clone(), "two spaces"),
        (format!("{digest}  "), "two spaces"),
        (format!("{digest} /usr/bin/true"), "two spaces"),
        (format!("{digest}\t/usr/bin/true"), "two spaces"),
        (format!("sha256:{digest}  /usr/bin/true"), "hexadecimal"),
        (format!("{}  /usr/bin/true", &digest[1..]), "hexadecimal"),
        (format!("{}  /usr/bin/true", &digest[2..]), "hexadecimal"),
        (format!("\\{digest}  /tmp/a\\tb"), "backslash"),
        (format!("\\{digest}  /tmp/a\\"), "backslash"),
    ] {
        let error = AllowList::parse(format!("{good}{line}\n").as_bytes()).unwrap_err();
        assert_eq!(error.line, 2, "{line}");
        assert!(error.to_string().contains(problem), "{line}: {error}");
    }
    for empty in ["", "\n\n", "# nothing\n"] {
        assert!(AllowList::parse(empty.as_bytes()).unwrap_err().to_string().contains("no file"));
    }
}
