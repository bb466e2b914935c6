//! tpm2-tools work through the emulator, unmodified.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]

use std::path::Path;
use std::process::Command;

use nitrotpm_emulator::NitroTpm;
use nitrotpm_pcr::{Bank, PcrIndex};

/// Runs a line of tpm2-tools in `directory`, and gives what it printed.
#[track_caller]
fn tool(tcti: &str, directory: &Path, line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap())
        .args(words)
        .current_dir(directory)
        .env("TPM2TOOLS_TCTI", tcti)
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[cfg_attr(not(all(swtpm, tpm2_tools)), ignore = "swtpm or tpm2-tools are not there: apt-get install swtpm tpm2-tools")]
fn the_tools_work_over_tcp() {
    let tpm = NitroTpm::start().unwrap();
    use_the_tools(&tpm, &tpm.tcti());
}

#[test]
#[cfg_attr(not(all(swtpm, tpm2_tools)), ignore = "swtpm or tpm2-tools are not there: apt-get install swtpm tpm2-tools")]
fn the_tools_work_over_the_socket() {
    let places = tempfile::tempdir().unwrap();
    let path = places.path().join("sock");
    let tpm = NitroTpm::builder().unix(&path).start().unwrap();
    use_the_tools(&tpm, &format!("swtpm:path={}", path.display()));
}

#[test]
#[cfg_attr(not(all(swtpm, tpm2_tools)), ignore = "swtpm or tpm2-tools are not there: apt-get install swtpm tpm2-tools")]
#[cfg_attr(not(fuse), ignore = "this machine cannot mount FUSE: /dev/fuse, and root or fuse3, are wanted")]
fn the_tools_work_over_the_device_file() {
    let places = tempfile::tempdir().unwrap();
    let path = places.path().join("tpm0");
    let tpm = NitroTpm::builder().fuse(&path).start().unwrap();
    use_the_tools(&tpm, &format!("device:{}", path.display()));
}

#[test]
#[cfg_attr(not(all(swtpm, tpm2_tools)), ignore = "swtpm or tpm2-tools are not there: apt-get install swtpm tpm2-tools")]
fn the_tools_work_over_the_terminal() {
    let places = tempfile::tempdir().unwrap();
    let path = places.path().join("tpm0");
    let tpm = NitroTpm::builder().pty(&path).start().unwrap();
    use_the_tools(&tpm, &format!("device:{}", path.display()));
}

/// Quotes, credentials and NV indices.
fn use_the_tools(tpm: &NitroTpm, tcti: &str) {
    let directory = tempfile::tempdir().unwrap();
    let run = |line: &str| tool(tcti, directory.path(), line);
    let digest = "11".repeat(48);
    run(&format!("tpm2_pcrextend 4:sha384={digest}"));
    let index = PcrIndex::new(4).unwrap();
    assert!(!tpm.pcrs(Bank::Sha384).unwrap().get(Bank::Sha384, index).unwrap().is_zero());
    // Without a resource manager the tools leave loaded objects behind.
    let run = |line: &str| {
        run(line);
        run("tpm2_flushcontext -t");
    };
    run("tpm2_createek -c ek.ctx -G rsa -u ek.pub");
    run("tpm2_createak -C ek.ctx -c ak.ctx -G ecc -g sha256 -s ecdsa -u ak.pub -n ak.name");
    run("tpm2_quote -c ak.ctx -l sha384:0,4,7 -q 0102030405060708 -m q.msg -s q.sig -o q.pcrs -g sha256");
    run("tpm2_checkquote -u ak.pub -m q.msg -s q.sig -f q.pcrs -q 0102030405060708 -g sha256");
    std::fs::write(directory.path().join("secret"), b"a secret of the verifier").unwrap();
    let name = std::fs::read(directory.path().join("ak.name")).unwrap();
    let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    run(&format!("tpm2_makecredential -u ek.pub -s secret -n {name} -o credential"));
    run("tpm2_startauthsession --policy-session -S session.ctx");
    run("tpm2_policysecret -S session.ctx -c e");
    run("tpm2_activatecredential -c ak.ctx -C ek.ctx -i credential -o activated -P session:session.ctx");
    run("tpm2_flushcontext session.ctx");
    let activated = std::fs::read(directory.path().join("activated")).unwrap();
    assert_eq!(activated, b"a secret of the verifier");
    run("tpm2_nvdefine 0x1800001 -C o -s 8192 -a authread|authwrite -p secret");
    run("tpm2_nvwrite 0x1800001 -P secret --offset 6000 -i q.msg");
    let length = std::fs::metadata(directory.path().join("q.msg")).unwrap().len();
    run(&format!("tpm2_nvread 0x1800001 -P secret --offset 6000 -s {length} -o back"));
    let read = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
    assert_eq!(read("back"), read("q.msg"));
    run("tpm2_nvundefine 0x1800001 -C o");
    tpm.reset().unwrap();
    assert!(tpm.pcrs(Bank::Sha384).unwrap().get(Bank::Sha384, index).unwrap().is_zero());
}

#[test]
#[cfg_attr(not(all(swtpm, tpm2_tools)), ignore = "swtpm or tpm2-tools are not there: apt-get install swtpm tpm2-tools")]
fn endorsement_keys_are_those_that_tpm2_tools_make() {
    let tpm = NitroTpm::start().unwrap();
    tpm.write_ek_public().unwrap();
    let directory = tempfile::tempdir().unwrap();
    for (algorithm, stem) in [("rsa", "ek-pub"), ("ecc384", "ek-pub-ecc-sec-p384")] {
        for format in ["tss", "der"] {
            tool(
                &tpm.tcti(),
                directory.path(),
                &format!("tpm2_createek -c ek.ctx -G {algorithm} -u ek.{format} -f {format}"),
            );
            tool(&tpm.tcti(), directory.path(), "tpm2_flushcontext -t");
        }
        let read = |path: &Path| std::fs::read(path).unwrap();
        let public = read(&directory.path().join("ek.tss"));
        // The tool writes a TPM2B_PUBLIC.
        assert_eq!(public.get(2..), Some(read(&tpm.directory().join(format!("{stem}.tpmt"))).as_slice()));
        assert_eq!(read(&directory.path().join("ek.der")), read(&tpm.directory().join(format!("{stem}.der"))));
    }
}

#[test]
#[cfg_attr(not(all(swtpm, tpm2_tools)), ignore = "swtpm or tpm2-tools are not there: apt-get install swtpm tpm2-tools")]
fn a_large_index_is_written_and_read_back() {
    let tpm = NitroTpm::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let run = |line: &str| tool(&tpm.tcti(), directory.path(), line);
    let data: Vec<u8> = (0..2000u32).flat_map(|number| number.to_be_bytes()).take(2000).collect();
    std::fs::write(directory.path().join("data"), &data).unwrap();
    run("tpm2_nvdefine 0x1800001 -C o -s 8192 -a authread|authwrite -p secret");
    run("tpm2_nvwrite 0x1800001 -P secret --offset 6000 -i data");
    run("tpm2_nvread 0x1800001 -P secret --offset 6000 -s 2000 -o back");
    assert_eq!(std::fs::read(directory.path().join("back")).unwrap(), data);
    // The same in a salted session that encrypts.
    run("tpm2_createprimary -C o -g sha256 -G rsa -c primary.ctx");
    run("tpm2_flushcontext -t");
    run("tpm2_startauthsession --hmac-session -c primary.ctx -S session.ctx");
    run("tpm2_flushcontext -t");
    run("tpm2_sessionconfig session.ctx --enable-encrypt --enable-decrypt");
    run("tpm2_nvread 0x1800001 -P session:session.ctx+secret --offset 6000 -s 2000 -o again");
    assert_eq!(std::fs::read(directory.path().join("again")).unwrap(), data);
    run("tpm2_flushcontext session.ctx");
    assert!(run("tpm2_nvreadpublic 0x1800001").contains("size: 8192"));
    run("tpm2_nvundefine 0x1800001 -C o");
}
