//! The attack ledger's section L at the level of a verdict: what a log may and may not do to it.

use nitrotpm_digest_lanes::hash;
use nitrotpm_eventlog::writer::{WrittenEvent, uefi_variable};
use nitrotpm_eventlog::{EventType, guid};
use nitrotpm_pcr::{Bank, Chain, Digest};

use crate::workbench::{BANKS, Boot, Case, Workbench, changed, index, only, policy, warnings};

const SHA256: Bank = Bank::Sha256;
const SHA384: Bank = Bank::Sha384;

/// Evidence with quotes of both banks and another log.
fn both_banks(bench: &Workbench) -> Case {
    bench.pinned().with(|case| {
        case.evidence.quotes = vec![bench.quote_of(&bench.pcrs, |_| ())];
        case.evidence.pcrs = bench.pcrs.clone();
    })
}

#[test]
fn l9_a_bank_that_the_log_does_not_cover_is_reported() {
    // Firmware measures into SHA-256 alone; SHA-384 is the operating system's to extend at will (CVE-2021-42299).
    let bench = Workbench::new();
    let twin = both_banks(&bench);
    let result = twin.accept();
    assert!(!warnings(&result).contains(&"event_log.bank-not-covered"));
    assert_eq!(result.claims().replayed.keys().copied().collect::<Vec<_>>(), ["sha256", "sha384"]);
    let narrow = Boot::new(true, &[SHA256]).bytes();
    let attack = twin.with(|case| case.evidence.event_log = Some(narrow));
    // Where the policy demands a log, it demands it of the registers that it names.
    let result = attack.refuse("event_log.bank-not-in-log");
    assert_eq!(result.reasons()[0].bank, Some("sha384"));
    // In the bank that the log has, everything holds.
    let image = only(&bench.pcrs, |bank, pcr| bank == SHA256 && [4, 7].contains(&pcr));
    let covered = attack.with(|case| case.policy = policy("quote = true\nevent_log = true", &image));
    assert!(warnings(&covered.accept()).contains(&"event_log.bank-not-covered"));
    // A policy that demands no log gets the warning.
    let lax = attack.with(|case| case.policy = policy("quote = true", &bench.image_pcrs()));
    assert!(warnings(&lax.accept()).contains(&"event_log.bank-not-covered"));
}

#[test]
fn l9_a_log_of_none_of_the_signed_banks_is_refused() {
    let bench = Workbench::new();
    let twin = bench.pinned();
    twin.accept();
    let log = Boot::new(true, &[SHA256]).bytes();
    twin.with(|case| case.evidence.event_log = Some(log)).reject("event_log.bank-missing");
}

#[test]
fn l9_registers_that_firmware_never_extended_are_refused() {
    // A bank in which firmware measured nothing: PCR 0 to 7 hold zeros, and what the log has was extended later.
    let bench = Workbench::new();
    let twin = bench.pinned();
    twin.accept();
    let mut late = Boot::new(true, &BANKS);
    late.log.events_mut().retain(|event| event.event_type == EventType::NO_ACTION || event.pcr > 7);
    let bench = Workbench::with_boot(late);
    let image = only(&bench.pcrs, |bank, pcr| bank == SHA384 && pcr == 11);
    let attack = bench.pinned().with(|case| case.policy = policy("quote = true\nevent_log = true", &image));
    let result = attack.reject("event_log.never-extended");
    assert_eq!((result.reasons()[0].bank, result.reasons()[0].pcr), (Some("sha384"), Some(0)));
    // One register is enough.
    let mut boot = Boot::new(true, &BANKS);
    boot.log.events_mut().retain(|event| event.event_type == EventType::NO_ACTION || event.pcr != 3);
    let bench = Workbench::with_boot(boot);
    let result = bench.pinned().reject("event_log.never-extended");
    assert_eq!(result.reasons()[0].pcr, Some(3));
}

#[test]
fn l10_every_signed_bank_of_the_log_must_replay() {
    let bench = Workbench::new();
    let twin = both_banks(&bench);
    twin.accept();
    // The log is right in one bank and wrong in the other, each in turn.
    for (place, wrong) in BANKS.iter().enumerate() {
        let mut boot = bench.boot.clone();
        let event = boot.log.events().iter().position(|event| event.pcr == 4).unwrap();
        let digest = &mut boot.log.events_mut()[event].digests[place].1;
        digest[0] ^= 1;
        let attack = twin.with(|case| case.evidence.event_log = Some(boot.bytes()));
        let result = attack.reject("event_log.replay-mismatch");
        assert_eq!((result.reasons()[0].bank, result.reasons()[0].pcr), (Some(wrong.name()), Some(4)));
        assert_eq!(result.reasons()[0].expected, bench.pcrs.get(*wrong, index(4)).map(Digest::to_string));
    }
}

#[test]
fn l10_every_register_of_the_boot_must_replay() {
    let bench = Workbench::new();
    let twin = bench.pinned();
    twin.accept();
    for pcr in 0..10 {
        let mut chain = Chain::from_value(*bench.pcrs.get(SHA384, index(pcr)).unwrap());
        chain.extend(&hash(SHA384, &[b"not in the log"])).unwrap();
        let values = changed(&bench.bank(SHA384), SHA384, pcr, Some(chain.value()));
        let attack = twin.with(|case| {
            case.evidence.quotes = vec![bench.quote_of(&values, |_| ())];
            case.evidence.pcrs = values;
            case.policy = policy("quote = true", &only(&bench.image_pcrs(), |_, at| at == 12));
        });
        let result = attack.reject("event_log.replay-mismatch");
        assert_eq!(result.reasons()[0].pcr, Some(pcr));
    }
    // What the running system extends is named, and nothing is claimed from it.
    let mut chain = Chain::from_value(*bench.pcrs.get(SHA384, index(11)).unwrap());
    chain.extend(&hash(SHA384, &[b"boot phase"])).unwrap();
    let values = changed(&bench.bank(SHA384), SHA384, 11, Some(chain.value()));
    let later = twin.with(|case| {
        case.evidence.quotes = vec![bench.quote_of(&values, |_| ())];
        case.evidence.pcrs = values;
        case.policy = policy("quote = true", &only(&bench.image_pcrs(), |_, at| at == 4));
    });
    let result = later.accept();
    assert!(warnings(&result).contains(&"event_log.not-covered"));
    assert!(!result.claims().replayed["sha384"].contains(&11));
}

#[test]
fn l14_what_no_digest_covers_changes_no_verdict() {
    let bench = Workbench::new();
    let twin = bench.pinned();
    let honest = twin.accept();
    let altered = |alter: &dyn Fn(&mut Boot)| {
        let mut boot = bench.boot.clone();
        alter(&mut boot);
        twin.with(|case| case.evidence.event_log = Some(boot.bytes())).accept()
    };
    let at = |pcr: u32, event_type| {
        let of = |event: &nitrotpm_eventlog::writer::WrittenEvent| event.pcr == pcr && event.event_type == event_type;
        bench.boot.log.events().iter().position(of).unwrap()
    };
    let image = at(4, EventType::EFI_BOOT_SERVICES_APPLICATION);
    let relabelled = altered(&|boot| boot.log.events_mut()[image].event_type = EventType::COMPACT_HASH);
    let swapped = altered(&|boot| boot.log.events_mut()[image].data = b"a friendly name".to_vec());
    let unused = altered(&|boot| {
        boot.log.no_action(6, b"appended");
    });
    let reordered = altered(&|boot| boot.log.events_mut().swap(image, image + 1));
    for result in [relabelled, swapped, unused, reordered] {
        assert_eq!((result.pcrs(), result.claims()), (honest.pcrs(), honest.claims()));
    }
    // The variable SecureBoot with other data than was measured: no claim, whatever it says.
    let state = at(7, EventType::EFI_VARIABLE_DRIVER_CONFIG);
    let lie = altered(&|boot| *boot.log.events_mut()[state].data.last_mut().unwrap() = 0);
    assert_eq!(lie.claims().secure_boot, "unknown");
    let off = Workbench::with_boot(Boot::new(false, &BANKS));
    let require = "quote = true\nevent_log = true\nsecure_boot = true";
    let twin = off.pinned().with(|case| case.policy = policy(require, &off.image_pcrs()));
    twin.refuse("secure_boot.disabled");
    let mut boot = off.boot.clone();
    *boot.log.events_mut()[state].data.last_mut().unwrap() = 1;
    twin.with(|case| case.evidence.event_log = Some(boot.bytes())).refuse("secure_boot.unknown");
}

#[test]
fn l24_an_empty_log_is_refused() {
    let bench = Workbench::new();
    let twin = bench.pinned();
    twin.accept();
    twin.with(|case| case.evidence.event_log = Some(Vec::new())).reject("event_log.empty");
    // A header and nothing else.
    let mut empty = bench.boot.clone();
    empty.log.events_mut().truncate(1);
    twin.with(|case| case.evidence.event_log = Some(empty.bytes())).reject("event_log.nothing-measured");
    // No log is no empty log: the policy says whether one is needed.
    let none = twin.with(|case| case.evidence.event_log = None);
    none.refuse("event_log.missing");
    let lax = none.with(|case| case.policy = policy("quote = true", &bench.image_pcrs()));
    assert_eq!(lax.accept().claims().secure_boot, "unknown");
}

#[test]
fn l24_the_log_of_another_boot_is_refused_and_explained() {
    let bench = Workbench::new();
    let twin = bench.pinned();
    twin.accept();
    let other = Boot::new(false, &BANKS);
    let result = twin.with(|case| case.evidence.event_log = Some(other.bytes())).reject("event_log.replay-mismatch");
    let [reason] = result.reasons() else { panic!("{}", result.to_json()) };
    assert_eq!((reason.pcr, reason.bank), (Some(7), Some("sha384")));
    assert_eq!(reason.expected, bench.pcrs.get(SHA384, index(7)).map(Digest::to_string));
    assert_eq!(reason.found, other.pcrs().get(SHA384, index(7)).map(Digest::to_string));
    assert!(reason.message.contains("events"), "{}", reason.message);
}

#[test]
fn l6_a_log_cut_short_is_refused() {
    let bench = Workbench::new();
    let twin = bench.pinned();
    twin.accept();
    let log = bench.boot.bytes();
    let cut = |length: usize| twin.with(|case| case.evidence.event_log = Some(log[..length].to_vec()));
    cut(log.len() - 1).reject("event_log.truncated");
    // At the end of an event the rest is a whole log, and not that of this boot.
    let mut shorter = bench.boot.clone();
    shorter.log.events_mut().pop();
    let length = shorter.bytes().len();
    cut(length).reject("event_log.replay-mismatch");
}

/// The digest of the loader of [`Boot::new`].
fn loader(bank: Bank) -> Digest {
    hash(bank, &[b"the unified kernel image"])
}

/// A signature list of these SHA-256 digests.
fn list_of(digests: &[Digest]) -> Vec<u8> {
    let kind = guid!("c1c41626-504c-4092-aca9-41f936934328").to_bytes();
    let size = u32::try_from(28 + 48 * digests.len()).unwrap().to_le_bytes();
    let entries = digests.iter().flat_map(|digest| [&[7; 16], digest.as_bytes()].concat());
    [kind.as_slice(), &size, &[0; 4], &48_u32.to_le_bytes()].concat().into_iter().chain(entries).collect()
}

/// A boot through shim, whose dbx and SBAT level are given.
fn through_shim(dbx: &[Digest], sbat_level: &str) -> Boot {
    let mut boot = Boot::new(true, &BANKS);
    let is_dbx = |event: &WrittenEvent| event.data.windows(6).any(|name| name == b"d\0b\0x\0");
    let event = boot.log.events_mut().iter_mut().find(|event| is_dbx(event)).unwrap();
    let data = uefi_variable(guid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f"), "dbx", &list_of(dbx));
    *event = WrittenEvent::measured(7, EventType::EFI_VARIABLE_DRIVER_CONFIG, &BANKS, &data, &data);
    let shim = guid!("605dab50-e046-4300-abb6-3dd810dd8b23");
    let level = uefi_variable(shim, "SbatLevel", sbat_level.as_bytes());
    boot.log.measure(7, EventType::EFI_VARIABLE_AUTHORITY, &level);
    boot
}

#[test]
fn l23_a_revoked_loader_is_refused() {
    let (known, missing) = (hash(SHA256, &[b"a hole of 2020"]), hash(SHA256, &[b"a hole of 2026"]));
    let demands = |table: &str| format!("\n[revocations]\n{table}\n");
    let bench = Workbench::with_boot(through_shim(&[known], "sbat,1,2024010900\nshim,4\n"));
    let all = format!(
        "images = [\"{}\", \"{}\"]\nown_dbx = true\ndbx = [\"{known}\"]\nminimum_sbat_level = 2024010900",
        hash(SHA384, &[b"a hole"]),
        hash(SHA256, &[b"a hole"]),
    );
    let twin = both_banks(&bench).with(|case| case.policy.push_str(&demands(&all)));
    let honest = twin.accept();
    assert!(honest.checks().iter().any(|check| check.id == "policy.revocations"));
    let with = |table: &str| twin.with(|case| case.policy = case.policy.replace(&all, table));

    // The loader is one that the policy names, in either bank.
    for bank in BANKS {
        let result = with(&format!("images = [\"{}\"]", loader(bank))).refuse("revocations.image");
        let [reason] = result.reasons() else { panic!("{}", result.to_json()) };
        assert_eq!((reason.bank, reason.pcr), (Some(bank.name()), Some(4)));
        assert_eq!(reason.found, Some(loader(bank).to_string()));
        let event = &bench.boot.log.events()[reason.event.unwrap()];
        assert_eq!(event.event_type, EventType::EFI_BOOT_SERVICES_APPLICATION);
    }
    // The machine's own dbx has it, and the firmware loaded it nevertheless.
    let held = Workbench::with_boot(through_shim(&[known, loader(SHA256)], "sbat,1,2024010900\n"));
    let own = both_banks(&held).with(|case| case.policy.push_str(&demands("own_dbx = true")));
    let result = own.refuse("revocations.image");
    assert!(result.reasons()[0].message.contains("own dbx"), "{}", result.to_json());
    own.with(|case| case.policy = case.policy.replace(&demands("own_dbx = true"), "")).accept();
    // dbx lacks an entry.
    let result = with(&format!("dbx = [\"{known}\", \"{missing}\"]")).refuse("revocations.dbx");
    assert_eq!(result.reasons()[0].expected, Some(missing.to_string()));
    // shim is older than what revokes it, or was not there.
    with("minimum_sbat_level = 2025010100").refuse("revocations.sbat-level");
    with("minimum_sbat_level = 2022052400").accept();
    let without = Workbench::new();
    let level = demands("minimum_sbat_level = 1");
    both_banks(&without).with(|case| case.policy.push_str(&level)).refuse("revocations.sbat-level");
    // Whoever ran after shim measured a friendlier level: the lower one counts.
    let mut twice = through_shim(&[known], "sbat,1,2021030218\n");
    let shim = guid!("605dab50-e046-4300-abb6-3dd810dd8b23");
    twice.log.measure(7, EventType::EFI_VARIABLE_AUTHORITY, &uefi_variable(shim, "SbatLevel", b"sbat,1,2025010100\n"));
    let level = demands("minimum_sbat_level = 2024010900");
    let twice = Workbench::with_boot(twice);
    both_banks(&twice).with(|case| case.policy.push_str(&level)).refuse("revocations.sbat-level");
}

#[test]
fn l23_what_the_log_does_not_prove_is_not_taken_as_clean() {
    let bench = Workbench::with_boot(through_shim(&[loader(SHA256)], "sbat,1,2024010900\n"));
    let sha384 = format!("\n[revocations]\nimages = [\"{}\"]\n", hash(SHA384, &[b"a hole"]));
    let twin = bench.pinned().with(|case| case.policy.push_str(&sha384));
    twin.accept();
    let with = |table: &str| bench.pinned().with(|case| case.policy.push_str(&format!("\n[revocations]\n{table}\n")));
    // Only SHA-384 is signed: what the log says of SHA-256 is anybody's word.
    let result = with(&format!("images = [\"{}\"]", loader(SHA256))).refuse("revocations.not-shown");
    assert_eq!(result.reasons()[0].bank, Some("sha256"));
    with("own_dbx = true").refuse("revocations.not-shown");
    // No log, and none demanded otherwise.
    let no_log = twin.with(|case| {
        case.evidence.event_log = None;
        case.policy = case.policy.replace("event_log = true", "");
    });
    no_log.refuse("revocations.not-shown");
    // PCR 7 proves nothing of dbx where it breaks a rule.
    let mut odd = bench.boot.clone();
    odd.log.measure(7, EventType::EFI_ACTION, b"an action that nobody knows");
    let odd = Workbench::with_boot(odd);
    let dbx = format!("\n[revocations]\ndbx = [\"{}\"]\n", loader(SHA256));
    odd.pinned().with(|case| case.policy.push_str(&dbx)).refuse("revocations.not-shown");
    odd.pinned().accept();
}
