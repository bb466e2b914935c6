//! Predictions held against what real firmware measured.
//!
//! The images of the corpus' boots are not kept, so a whole prediction cannot be made for them: what does not depend on
//! the image is predicted, and the rest event by event.

use nitrotpm_eventlog::{EventLog, EventType, ParseOptions};
use nitrotpm_pcr::{Bank, Chain, Digest, PcrIndex, PcrValues};
use nitrotpm_predict::{Boot, PeImage, Prediction};
use nitrotpm_testkit::{pe_image, unified_kernel_image};
use nitrotpm_uefi::{SecureBootVariable, SecureBootVariables, SignatureDatabase, SignatureFile, guids, variable_data};

use crate::corpus;

const BANKS: [Bank; 4] = [Bank::Sha1, Bank::Sha256, Bank::Sha384, Bank::Sha512];
const OFF: [&str; 4] = ["uki-nosb", "uki-nosb-stub254", "uki-signed-nosb", "tamper-cmdline"];

fn pcr7() -> PcrIndex {
    PcrIndex::new(7).unwrap()
}

fn predict(files: &[Vec<u8>]) -> Prediction {
    let images: Vec<_> = files.iter().map(|bytes| PeImage::parse("test.efi", bytes).unwrap()).collect();
    Boot::new(&SecureBootVariables::default(), &images).predict(&BANKS).unwrap()
}

fn read_pcrs(boot: &str) -> PcrValues {
    serde_json::from_slice(&corpus::read(&format!("boot/{boot}/pcrs.json"))).unwrap()
}

fn variables(boot: &str) -> SecureBootVariables {
    let read = |variable: SecureBootVariable| {
        let bytes = corpus::read(&format!("boot/{boot}/{}.esl", variable.name()));
        SignatureFile::read(&bytes, None).unwrap().into_content()
    };
    SecureBootVariables {
        pk: read(SecureBootVariable::Pk),
        kek: read(SecureBootVariable::Kek),
        db: read(SecureBootVariable::Db),
        dbx: read(SecureBootVariable::Dbx),
    }
}

/// What a boot measured into a register: type, data, and the digests of the four banks.
fn measured(boot: &str, pcr: PcrIndex) -> Vec<(EventType, Vec<u8>, Vec<Digest>)> {
    let bytes = corpus::read(&format!("boot/{boot}/eventlog.bin"));
    let log = EventLog::parse(&bytes, &ParseOptions::default()).unwrap();
    let events = log.events().filter(|event| event.pcr() == Some(pcr));
    events
        .map(|event| {
            let digests = BANKS.iter().map(|bank| event.digest(*bank).unwrap()).collect();
            (event.event_type(), event.data().to_vec(), digests)
        })
        .collect()
}

#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn pcr_2_3_6_and_7_of_every_boot_without_keys() {
    let prediction = predict(&[unified_kernel_image("252", "quiet")]);
    for boot in OFF {
        let real = read_pcrs(boot);
        for bank in BANKS {
            for pcr in [2, 3, 6, 7].map(|pcr| PcrIndex::new(pcr).unwrap()) {
                assert_eq!(prediction.pcrs().get(bank, pcr), real.get(bank, pcr), "{boot} {bank} {pcr}");
            }
        }
    }
}

/// The events before the first image are predicted whole; the authorities come from the databases, so an entry that was
/// read or written in another way would not give the value of the TPM.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn pcr_7_of_every_boot_with_secure_boot_from_its_lists() {
    let db = |boot: &str, index: usize| {
        let database = variables(boot).database(SecureBootVariable::Db).unwrap();
        let entry = database.entries().nth(index).unwrap().1.to_bytes();
        variable_data(&guids::IMAGE_SECURITY_DATABASE, "db", &entry)
    };
    let mok = SignatureFile::read(
        &corpus::read("boot/shim-grub-ms/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23"),
        None,
    )
    .unwrap();
    let mok = SignatureDatabase::parse(mok.content()).unwrap().entries().next().unwrap().1.to_bytes();
    let level = corpus::read("boot/shim-grub-ms/efivars/SbatLevelRT-605dab50-e046-4300-abb6-3dd810dd8b23");
    let boots = [
        ("uki-sb", vec![db("uki-sb", 0)]),
        ("uki-sb-stub257", vec![db("uki-sb-stub257", 0)]),
        ("sdboot-uki-sb", vec![db("sdboot-uki-sb", 0)]),
        (
            "shim-grub-ms",
            vec![
                // Microsoft's UEFI CA, in a list of its own behind the one of Windows.
                db("shim-grub-ms", 1),
                variable_data(&guids::SHIM_LOCK, "SbatLevel", &level[4..]),
                variable_data(&guids::SHIM_LOCK, "MokListRT", &mok),
            ],
        ),
    ];
    for (boot, authorities) in boots {
        let variables = variables(boot);
        let mut data = vec![variable_data(&guids::GLOBAL_VARIABLE, "SecureBoot", &[1])];
        for variable in SecureBootVariable::ALL {
            data.push(variable_data(&variable.vendor(), variable.name(), variables.content(variable)));
        }
        data.push(vec![0; 4]);
        data.extend(authorities);
        let real = read_pcrs(boot);
        let events = measured(boot, pcr7());
        assert_eq!(events.iter().map(|(_, data, _)| data.clone()).collect::<Vec<_>>(), data, "{boot}");
        for bank in BANKS {
            let mut chain = Chain::new(bank, pcr7());
            data.iter().for_each(|data| chain.extend(&nitrotpm_digest_lanes::hash(bank, &[data])).unwrap());
            assert_eq!(Some(&chain.value()), real.get(bank, pcr7()), "{boot} {bank}");
        }
    }
}

/// Names of sections, command line and load options do not depend on the image: their events are the corpus' to the
/// last byte.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn events_of_a_stub_are_those_of_the_real_one() {
    let cases = [("uki-nosb", "252.39-1", 5), ("uki-nosb-stub254", "254.22", 8), ("uki-sb-stub257", "257.9-1", 8)];
    for (boot, version, same) in cases {
        let prediction = predict(&[unified_kernel_image(version, "console=ttyS0 panic=5 quiet")]);
        for (pcr, same) in [(9, 1), (11, same)] {
            let pcr = PcrIndex::new(pcr).unwrap();
            let real = measured(boot, pcr);
            let predicted: Vec<_> = prediction.events().iter().filter(|event| event.pcr == pcr).collect();
            assert_eq!(predicted.len(), real.len(), "{boot} {pcr}");
            let mut equal = 0;
            for (event, (event_type, data, digests)) in predicted.iter().zip(&real) {
                assert_eq!((event.event_type, &event.data), (*event_type, data), "{boot} {}", event.cause);
                equal += usize::from(event.digests == *digests);
            }
            // The names, the command line and .uname; kernel, os-release, initrd and SBAT are others here.
            assert!(equal == same, "{boot} PCR {pcr}: {equal} of {}", real.len());
        }
    }
}

/// systemd-boot 252 measures the command line that it passes on.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn pcr_12_behind_systemd_boot_is_not_zero() {
    let loader = pe_image(&[(".sdmagic", b"#### LoaderInfo: systemd-boot 252.39-1~deb12u2 ####")]);
    let prediction = predict(&[loader, unified_kernel_image("252.39", "console=ttyS0 panic=5 quiet")]);
    let pcr12 = PcrIndex::new(12).unwrap();
    let [(event_type, data, digests)] = measured("sdboot-uki-sb", pcr12).try_into().unwrap();
    let event = prediction.events().iter().find(|event| event.pcr == pcr12).unwrap();
    assert_eq!((event.event_type, &event.data, &event.digests), (event_type, &data, &digests));
}

/// What AWS's `nitro-tpm-pcr-compute` 1.1.2 prints for these images, byte for byte: scripts written for it do not notice
/// the difference. The values of PCR 4 are its own; PCR 7 and 12 are its constants for a machine without keys.
#[test]
fn awss_tool_prints_the_same() {
    let with_tail = [unified_kernel_image("257", "quiet"), vec![7; 1001]].concat();
    for (bytes, pcr4) in [
        (
            unified_kernel_image("252.39-1~deb12u2", "quiet"),
            "2f563997ab9c91a664c9da3da913dbe84ab8bc0731cc35938858cf6ed3e98b342f29a61159c33bd1f31414c05192c437",
        ),
        (
            unified_kernel_image("257.9-1", "quiet"),
            "17667e5b196681a89dfeaa26b9db35970563431d674ea3be5aae67353478bef130099ab7158c24977a202bb9efc17320",
        ),
        (
            unified_kernel_image("258", "quiet"),
            "edf7275ef144ead1632810bf607394ccca0b5380bed72359084a0a51fef36f64b776bb6f5924e41f8282373b15a15431",
        ),
        (with_tail, "d250248c437b1984c76c59410a01ef5ec0bbb16a48defafd4e776e5e5c5ee325f3075f24eef0648a5e67e8496215638e"),
    ] {
        let printed = format!(
            r#"{{
  "Measurements": {{
    "HashAlgorithm": "SHA384",
    "PCR4": "{pcr4}",
    "PCR7": "98441c7f7625d10058c47683aec486ce311c633235eb555593a7ee791121e3578ae72d04ecef661f272d59058b77af35",
    "PCR12": "{}"
  }}
}}"#,
            "0".repeat(96)
        );
        assert_eq!(predict(&[bytes]).to_aws_json().unwrap(), printed);
    }
}

/// With the partition table that was measured, PCR 5 is that of every boot, behind each boot loader.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn pcr_5_of_every_boot() {
    let pcr5 = PcrIndex::new(5).unwrap();
    let boots = OFF.iter().chain(&["uki-sb", "uki-sb-stub257", "sdboot-uki-sb", "shim-grub-ms"]);
    for boot in boots {
        let table = measured(boot, pcr5).into_iter().find(|(kind, ..)| *kind == EventType::EFI_GPT_EVENT).unwrap().1;
        let version = if *boot == "uki-sb-stub257" { "257.9-1" } else { "252.39-1" };
        let image = unified_kernel_image(version, "quiet");
        let image = PeImage::parse("test.efi", &image).unwrap();
        let variables = SecureBootVariables::default();
        let images = [image];
        let mut boot_with_table = Boot::new(&variables, &images);
        boot_with_table.partition_table = Some(&table);
        let prediction = boot_with_table.predict(&BANKS).unwrap();
        let real = read_pcrs(boot);
        for bank in BANKS {
            assert_eq!(prediction.pcrs().get(bank, pcr5), real.get(bank, pcr5), "{boot} {bank}");
        }
        let mut other = table.clone();
        *other.last_mut().unwrap() ^= 1;
        boot_with_table.partition_table = Some(&other);
        assert_ne!(
            boot_with_table.predict(&BANKS).unwrap().pcrs().get(Bank::Sha384, pcr5),
            real.get(Bank::Sha384, pcr5)
        );
    }
}
