//! The program's commands for who looks at a TPM and keeps keys in it, and what it says of a TPM that is out of reach.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nitrotpm_emulator::{Fault, NitroTpm};
use serde_json::{Value, json};

use crate::documents::is_clean;
use crate::program::Bench;

fn said(bench: &Bench, line: &str, code: i32, reason: &str) -> String {
    let (found, said) = bench.refused(line);
    assert_eq!((found, said.contains(&format!("[{reason}]"))), (code, true), "{line}: {said}");
    said
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn nv_indices_are_listed_made_written_read_and_removed() {
    let tpm = NitroTpm::start().unwrap();
    let bench = Bench::at(tpm.tcti());
    let listed = || serde_json::from_str::<Value>(&bench.good("nv list --format json")).unwrap();
    assert_eq!(listed(), json!([]));
    fs::write(bench.file("auth"), "secret\n").unwrap();
    // Larger than one TPM2_NV_Read gives, and than swtpm keeps by itself.
    let data: Vec<u8> = (0..=255).cycle().take(3000).collect();
    fs::write(bench.file("data"), &data).unwrap();
    bench.good("nv define 0x01800001 --size 3000 --auth auth");
    said(&bench, "nv read 0x01800001 --auth auth", 4, "attester.nv-access");
    // What is lost by it is done on purpose only.
    assert_eq!(bench.run("nv write 0x01800001 data --auth auth").status.code(), Some(2));
    bench.good("nv write 0x01800001 data --auth auth --yes-change-the-tpm");
    bench.good("nv read 0x01800001 --auth auth --out copy");
    assert_eq!(fs::read(bench.file("copy")).unwrap(), data);
    assert_eq!(bench.good("nv read 0x01800001 --auth auth").trim(), hex::encode(&data));
    let attributes = json!(["ownerWrite", "authWrite", "ownerRead", "authRead", "noDA", "written"]);
    assert_eq!(
        listed(),
        json!([{"handle": "0x01800001", "size": 3000, "name_algorithm": "SHA256", "attributes": attributes}])
    );
    // By the owner, whose password is empty; and by a wrong one.
    fs::write(bench.file("empty"), "").unwrap();
    assert_eq!(bench.good("nv read 0x01800001 --owner-auth empty").trim(), hex::encode(&data));
    let words = said(&bench, "nv read 0x01800001", 4, "attester.authorization");
    assert!(words.contains("--auth FILE"), "{words}");
    let words = said(&bench, "nv define 0x01800001 --size 8", 4, "attester.response");
    assert!(words.contains("already"), "{words}");
    fs::write(bench.file("long"), [0; 3001]).unwrap();
    said(&bench, "nv write 0x01800001 long --auth auth --yes-change-the-tpm", 4, "attester.nv-access");
    assert_eq!(bench.run("nv undefine 0x01800001").status.code(), Some(2));
    bench.good("nv undefine 0x01800001 --yes-change-the-tpm");
    said(&bench, "nv read 0x01800001", 4, "attester.no-such-handle");
    said(&bench, "nv read 0x81000001", 2, "attester.handle-range");
    assert!(is_clean(&tpm));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_key_that_stays_in_the_tpm_quotes_by_its_handle() {
    let tpm = NitroTpm::start().unwrap();
    let bench = Bench::at(tpm.tcti());
    let shown = bench.good("key create --algorithm p384 --persistent 0x81010001 --public ak.pub");
    assert_eq!(bench.good("key show 0x81010001"), shown);
    let listed: Value = serde_json::from_str(&bench.good("key list --format json")).unwrap();
    assert_eq!((&listed[0]["handle"], &listed[0]["kind"]), (&json!("0x81010001"), &json!("P-384")));
    assert!(shown.contains(listed[0]["name"].as_str().unwrap()));
    bench.good("quote --key 0x81010001 --nonce 0011 --select sha384:all --attest a --signature s --pcrs p");
    bench.good("collect --key 0x81010001 --no-ima-log --event-log /dev/null --out evidence.json");
    bench.good("enrol request --key 0x81010001 --out request.json");
    // It outlives the machine's being off.
    tpm.reset().unwrap();
    assert_eq!(bench.good("key show 0x81010001"), shown);

    said(&bench, "key create --persistent 0x81010001", 4, "attester.response");
    said(&bench, "key create --persistent 0x81800001", 2, "attester.handle-range");
    said(&bench, "quote --key 0x81010002 --nonce 00 --attest a --signature s", 4, "attester.no-such-handle");
    assert_eq!(bench.run("key create").status.code(), Some(2));
    bench.good("key remove 0x81010001");
    said(&bench, "key remove 0x81010001", 4, "attester.no-such-handle");
    assert_eq!(bench.good("key list"), "");
    assert!(is_clean(&tpm));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_tpm_is_cleared_on_purpose_only() {
    let tpm = NitroTpm::start().unwrap();
    let bench = Bench::at(tpm.tcti());
    bench.good("key create --out ak.json");
    bench.good("nv define 0x01800001 --size 8192");
    let quote = "quote --key ak.json --nonce 00 --attest a --signature s";
    assert_eq!(bench.run("clear").status.code(), Some(2));
    bench.good(quote);
    fs::write(bench.file("wrong"), "wrong").unwrap();
    let words = said(&bench, "clear --yes-clear-the-tpm --lockout-auth wrong", 4, "attester.authorization");
    assert!(words.contains("--lockout-auth"), "{words}");
    // The lockout hierarchy takes one wrong password, then none until the TPM recovers.
    said(&bench, "clear --yes-clear-the-tpm", 4, "attester.locked-out");
    bench.good(quote);

    let tpm = NitroTpm::start().unwrap();
    let bench = Bench::at(tpm.tcti());
    bench.good("key create --out ak.json");
    bench.good("nv define 0x01800001 --size 8192");
    bench.good("clear --yes-clear-the-tpm");
    said(&bench, quote, 4, "attester.foreign-key");
    assert_eq!(bench.good("nv list"), "");
}

/// Starts the program as a user who may do nothing, where these tests are run by root.
fn as_nobody(bench: &Bench, line: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nitrotpm-attester"));
    if bench.folder.path().metadata().is_ok_and(|folder| std::os::unix::fs::MetadataExt::uid(&folder) == 0) {
        // The program may be where only root looks: a copy, beside the device.
        let copy = bench.file("program");
        fs::copy(env!("CARGO_BIN_EXE_nitrotpm-attester"), &copy).unwrap();
        fs::set_permissions(bench.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        command = Command::new(copy);
        command.uid(65_534).gid(65_534);
    }
    let output = command.args(line.split_whitespace()).env_remove("TSS2_LOG").env_remove("TCTI").output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_device_without_permission_is_told_from_one_that_is_not_there() {
    let bench = Bench::at("device:/nonexistent".to_owned());
    let device = bench.file("tpm0");
    fs::OpenOptions::new().write(true).create_new(true).mode(0o000).open(&device).unwrap();
    for command in ["capabilities", "document --out /dev/null", "collect --out /dev/null"] {
        let (code, words) = as_nobody(&bench, &format!("--tcti device:{} {command}", device.display()));
        assert_eq!(code, Some(4), "{words}");
        assert!(words.contains("no permission") && words.contains("tss") && words.lines().count() == 1, "{words}");
        let (code, words) = as_nobody(&bench, &format!("--tcti device:{}x {command}", device.display()));
        assert_eq!(code, Some(4), "{words}");
        assert!(words.contains("there is no TPM at") && words.lines().count() == 1, "{words}");
    }
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn a_device_in_use_is_waited_for_and_then_named() {
    let bench = Bench::at(String::new());
    let device = bench.file("tpm0");
    let tpm = NitroTpm::builder().fuse(&device).start().unwrap();
    let bench = Bench::at(format!("device:{}", device.display()));
    // Somebody has it, as another program would.
    let held = fs::OpenOptions::new().read(true).write(true).open(&device).unwrap();
    let words = said(&bench, "capabilities", 4, "attester.busy");
    assert!(words.contains("/dev/tpmrm0"), "{words}");
    let releasing = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_secs(1));
        drop(held);
    });
    bench.good("document --out document");
    releasing.join().unwrap();
    assert!(is_clean(&tpm));
}

#[test]
#[cfg_attr(not(swtpm), ignore = "swtpm is not there: apt-get install swtpm")]
fn an_ill_tpm_is_one_sentence_and_leaves_no_file() {
    let tpm = NitroTpm::start().unwrap();
    let bench = Bench::at(tpm.tcti());
    for (fault, code) in [
        (Fault::Lockout, "attester.locked-out"),
        (Fault::NoVendorCommand, "attester.no-documents"),
        (Fault::InternalError, "attester.nsm"),
        (Fault::WrongHmac, "attester.answer"),
    ] {
        tpm.set_faults([fault]);
        for command in ["document", "collect --no-ima-log --event-log /dev/null"] {
            said(&bench, &format!("{command} --out evidence"), 4, code);
            assert!(!bench.file("evidence").exists() && is_clean(&tpm), "{fault:?} {command}");
        }
    }
    tpm.set_faults([]);
    bench.good("collect --no-ima-log --event-log /dev/null --out evidence");
}
