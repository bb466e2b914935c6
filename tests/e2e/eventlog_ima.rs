//! IMA lists of real systems.

use nitrotpm_eventlog::ima::{BankRule, BootAggregate, ImaList};
use nitrotpm_pcr::{Bank, PcrIndex, PcrValues};

use crate::corpus;

/// In all measured boots the kernel had SHA-1 and SHA-256 when IMA started, and not SHA-384 and SHA-512.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn lists_of_the_measured_boots_are_confirmed_in_four_banks() {
    let pcr10 = PcrIndex::new(10).unwrap();
    for name in ["uki-nosb", "uki-sb", "sdboot-uki-sb", "shim-grub-ms", "uki-nosb-stub254", "uki-sb-stub257"] {
        let pcrs: PcrValues = serde_json::from_slice(&corpus::read(&format!("boot/{name}/pcrs.json"))).unwrap();
        for file in ["ima.bin", "ima.ascii"] {
            let bytes = corpus::read(&format!("boot/{name}/{file}"));
            let list = ImaList::parse(&bytes).unwrap();
            for (bank, rule) in [
                (Bank::Sha1, BankRule::Hashed),
                (Bank::Sha256, BankRule::Hashed),
                (Bank::Sha384, BankRule::PaddedSha1),
                (Bank::Sha512, BankRule::PaddedSha1),
            ] {
                let confirmed = list.confirm(&pcrs, bank, pcr10).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!((confirmed.rule(), confirmed.unproven()), (rule, 0), "{name} {file} {bank}");
                let expected = BootAggregate::Matches { bank: Bank::Sha256, last: 9 };
                assert_eq!(confirmed.boot_aggregate(&pcrs), expected, "{name} {file} {bank}");
            }
        }
    }
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn public_lists_have_right_template_hashes() {
    for (name, entries, violations) in [
        ("charra/logs/ima/binary_runtime_measurements", 1_650, 0),
        ("immune-guard-oss/apisrv/test/h12ssl.binary_measurements", 2_365, 2),
        ("charra/logs/ima/ascii_runtime_measurements", 1_646, 0),
        ("derived/keylime-ima/keyrings.ascii", 1, 0),
        ("derived/keylime-ima/signatures.ascii", 2, 0),
    ] {
        let bytes = corpus::read(&format!("eventlog/{name}"));
        let list = ImaList::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(list.entries().len(), entries, "{name}");
        let found = list.entries().iter().filter(|entry| entry.is_violation()).count();
        assert_eq!(found, violations, "{name}");
        let wrong = list.entries().iter().filter(|entry| entry.template_hash_is_right() == Some(false)).count();
        assert_eq!(wrong, 0, "{name}");
    }
    for name in
        ["rust-keylime/keylime/test-data/invalid_ima_log.txt", "rust-keylime/keylime/test-data/empty_ima_log.txt"]
    {
        assert!(ImaList::parse(&corpus::read(&format!("eventlog/{name}"))).is_err(), "{name}");
    }
}
