//! What IMA measured, against the files that a policy allows.

use nitrotpm_eventlog::ima::ImaList;
use nitrotpm_pcr::{Bank, PcrIndex};
use nitrotpm_verifier::{Outcome, Policy};

use crate::bundles::boot;
use crate::corpus;
use crate::workbench::{Workbench, only, outcome};

/// The files of a boot as `sha256sum` would print them; the boot aggregate is none.
fn honest_list(name: &str) -> String {
    let bytes = corpus::read(&format!("boot/{name}/ima.bin"));
    let list = ImaList::parse(&bytes).unwrap();
    let lines = list.entries().iter().skip(1).map(|entry| {
        let digest = entry.file_digest().unwrap();
        format!("{}  {}\n", hex::encode(digest.digest), entry.file_name().unwrap())
    });
    // A file that was not read is no fault.
    lines.chain([format!("{}  /usr/bin/unused\n", "5a".repeat(32))]).collect()
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn an_honest_list_is_accepted_and_one_changed_digest_refused() {
    for name in ["uki-sb", "sdboot-uki-sb", "shim-grub-ms", "uki-sb-stub257"] {
        for (folder, quote) in [("rsa", "quote"), ("ecc", "quote256"), ("rsa", "quoteall")] {
            let honest = honest_list(name);
            let twin = boot(name, folder, quote).with(|case| case.ima_allow_list = Some(honest.clone()));
            let result = twin.accept();
            assert_eq!(outcome(&result, "policy.ima_allow_list"), Some(Outcome::Pass));
            let json: serde_json::Value = serde_json::from_str(&result.to_json()).unwrap();
            let sha256 = nitrotpm_digest_lanes::hash(Bank::Sha256, &[honest.as_bytes()]).to_string();
            assert_eq!(json["ima_allow_list_sha256"], sha256.as_str());

            let first = honest.chars().next().unwrap();
            let other = if first == '0' { '1' } else { '0' };
            let changed = honest.replacen(first, &other.to_string(), 1);
            let result = twin.with(|case| case.ima_allow_list = Some(changed)).refuse("ima_log.not-allowed");
            let [reason] = result.reasons() else { panic!("{}", result.to_json()) };
            assert!(reason.message.contains("/lib/modules/efivarfs.ko with digest 40186e58"), "{}", reason.message);

            let elsewhere = honest.replace("/lib/modules/efivarfs.ko", "/lib/modules/efivarfs.ko ");
            let result = twin.with(|case| case.ima_allow_list = Some(elsewhere)).refuse("ima_log.not-allowed");
            assert!(result.reasons()[0].message.contains("does not name"), "{}", result.to_json());
        }
    }
}

/// The list can only tighten: it never makes up for what is missing.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn a_list_that_is_not_proven_is_refused_where_one_is_allowed() {
    let twin = boot("uki-sb", "rsa", "quote").with(|case| case.ima_allow_list = Some(honest_list("uki-sb")));
    twin.accept();
    twin.with(|case| case.evidence.ima_log = None).refuse("ima_log.missing");
    let foreign = corpus::read("boot/shim-grub-ms/ima.bin");
    twin.with(|case| case.evidence.ima_log = Some(foreign)).reject("event_log.ima-replay");
    // An entry more than PCR 10 proves is a warning, and not appraised.
    let mut longer = corpus::read("boot/uki-sb/ima.bin");
    longer.extend_from_within(106..);
    let result = twin.with(|case| case.evidence.ima_log = Some(longer)).accept();
    assert!(result.warnings().iter().any(|warning| warning.code == "ima_log.unproven"));
    // Nothing of a list that no signature covers.
    let bench = Workbench::new();
    let without = only(&bench.bank(Bank::Sha384), |_, pcr| pcr != 10);
    let case = bench.pinned().with(|case| {
        case.evidence.quotes = vec![bench.quote_of(&without, |_| ())];
        case.evidence.pcrs = without;
        case.evidence.ima_log = Some(corpus::read("boot/uki-sb/ima.bin"));
        case.ima_allow_list = Some(honest_list("uki-sb"));
    });
    case.refuse("ima_log.missing");
    case.with(|case| case.ima_allow_list = None).accept();
}

/// Many files that are not allowed are counted, not all named: a result stays readable.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn a_long_list_is_appraised_quickly_and_told_briefly() {
    let bytes = corpus::read("eventlog/charra/logs/ima/binary_runtime_measurements");
    let list = ImaList::parse(&bytes).unwrap();
    let pcr10 = PcrIndex::new(10).unwrap();
    // What the kernel would have extended gives the value that the software TPM quotes.
    let mut chain = nitrotpm_pcr::Chain::new(Bank::Sha384, pcr10);
    list.entries().iter().for_each(|entry| chain.extend(&entry.hash_of_data(Bank::Sha384)).unwrap());
    let bench = Workbench::new();
    let values = crate::workbench::changed(&bench.bank(Bank::Sha384), Bank::Sha384, 10, Some(chain.value()));
    let mut allowed: String = (0..100_000).map(|number| format!("{:064x}  /usr/share/{number}\n", number)).collect();
    let twin = bench.pinned().with(|case| {
        case.evidence.quotes = vec![bench.quote_of(&values, |_| ())];
        case.evidence.pcrs = values;
        case.evidence.ima_log = Some(bytes.clone());
    });
    let case = twin.with(|case| case.ima_allow_list = Some(allowed.clone()));
    let result = case.refuse("ima_log.not-allowed");
    assert_eq!(result.reasons().len(), 21);
    assert!(result.reasons()[20].message.contains("1629 more entries"), "{}", result.reasons()[20].message);
    for entry in list.entries().iter().skip(1) {
        let name = entry.file_name().unwrap().to_string();
        allowed.push_str(&format!("{}  {name}\n", hex::encode(entry.file_digest().unwrap().digest)));
    }
    twin.with(|case| case.ima_allow_list = Some(allowed)).accept();
}

#[test]
fn a_text_that_is_no_allow_list_is_a_fault_of_the_caller() {
    let bench = Workbench::new();
    let policy = Policy::from_toml(bench.pinned().policy.as_bytes()).unwrap();
    assert!(policy.clone().with_ima_allow_list(format!("{}  /a\n", "5a".repeat(32)).as_bytes()).is_ok());
    let error = policy.with_ima_allow_list(b"\nrubbish\n").unwrap_err();
    assert_eq!(error.code(), "policy.ima-allow-list");
    assert!(error.to_string().contains("line 2"), "{error}");
}
