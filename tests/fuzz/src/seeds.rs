//! What the fuzzer starts from: files of `fixtures`, files of the corpus where it is there, and what is made here.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use nitrotpm_eventlog::{EventLog, ParseOptions};

use crate::check::part;
use crate::{documents, logs, made, prediction, references, tpm, uefi};

/// The largest file that is taken.
const LARGEST: u64 = 96 << 10;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of `fixtures`.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = root().join("fixtures").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder that are not too large, in a fixed order.
fn files(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            files(&path, found)?;
        } else if entry.metadata()?.len() <= LARGEST {
            found.push((path.clone(), fs::read(&path)?));
        }
    }
    Ok(())
}

/// Which targets a file is for, by its name and its first bytes.
fn targets_of(path: &Path, bytes: &[u8]) -> &'static [&'static str] {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let ends = |ending: &str| name.ends_with(ending);
    if path.components().any(|part| part.as_os_str() == "kms-recipient") {
        return &["kms-recipient"];
    }
    if bytes.starts_with(b"-----BEGIN CERTIFICATE") || ends(".crt") || ends(".der") && bytes.starts_with(&[0x30, 0x82])
    {
        return &["trust-roots", "signature-files", "keys"];
    }
    if name.starts_with("ima") || name.contains("measurements") && name.contains("runtime") {
        return &["ima"];
    }
    if name.contains("cel") || ends(".cel") || name.starts_with("tpm2-measure") {
        return &["cel"];
    }
    if ends(".esl") || ends(".auth") || path.components().any(|part| part.as_os_str() == "efivars") {
        return &["signature-files", "event-payload"];
    }
    if ends(".b64") && name.contains("aws") || path.components().any(|part| part.as_os_str() == "uefi-data") {
        return &["uefi-data"];
    }
    if ends(".pub") || ends(".tpmt") || ends("ak.pem") || ends("ek.pem") {
        return &["keys", "tpm-structures"];
    }
    if ends(".msg") || ends(".sig") || ends(".attest") || ends(".signature") {
        return &["tpm-structures"];
    }
    if ends("policy.toml") {
        return &["policy"];
    }
    if ends("evidence.json") || ends("pcrs.json") {
        return &["evidence"];
    }
    if ends(".efi") {
        return &["pe"];
    }
    if bytes.get(..2).is_some_and(|head| head[0] == 0x84 || head == [0xD2, 0x84]) {
        return &["document"];
    }
    // A log begins with a register and a type below 256.
    if bytes.get(..32).is_some_and(|head| head[1..4] == [0; 3] && head[0] < 24 && head[5..8] == [0; 3]) {
        return &["event-log"];
    }
    &[]
}

/// Writes the seeds of every target into folders of their names.
pub(crate) fn write(folder: &Path) -> io::Result<()> {
    let mut found = Vec::new();
    files(&root().join("fixtures"), &mut found)?;
    let corpus =
        env::var_os("NITROTPM_CORPUS").map_or_else(|| root().join("../shared/corpus"), |path| root().join(path));
    if corpus.is_dir() {
        files(&corpus, &mut found)?;
    } else {
        println!("the corpus is not there: seeds come from fixtures alone (NITROTPM_CORPUS names it)");
    }
    let mut seeds: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    for (path, bytes) in &found {
        for target in targets_of(path, bytes) {
            seeds.entry(target).or_default().push(bytes.clone());
        }
    }
    let mut add = |target, bytes: Vec<Vec<u8>>| seeds.entry(target).or_default().extend(bytes);

    let mut built = Vec::new();
    for (path, bytes) in &found {
        if targets_of(path, bytes) != ["event-log"] {
            continue;
        }
        if let Ok(log) = EventLog::parse(bytes, &ParseOptions::default()) {
            built.push(logs::choices_of(&log));
        }
    }
    built.sort_unstable();
    built.dedup();
    let small: Vec<_> = built.iter().filter(|bytes| bytes.len() < 8 << 10).collect();
    let pairs = small.windows(2).map(|pair| [part(pair[0]), pair[1].clone()].concat()).collect();
    add("event-log-diff", pairs);
    add("event-log-built", built);
    add("event-log", made::logs());
    add("event-payload", made::payloads());
    add("cel", made::cel());
    add("ima", made::ima());
    add("ima-allow-list", made::allow_lists());
    add("tpm-structures", tpm::public_seeds());
    add("keys", tpm::public_seeds());
    add("quote", tpm::quote_seeds());
    add("document", vec![documents::document_seed()]);
    add("verification", documents::verification_seeds());
    add("policy", made::policies());
    add("enrolment", made::enrolments());
    add("uefi-data", uefi::uefi_data_seeds(&fixture("boot/secure-boot-on/keys/uefi-data.aws.b64")));
    add("uki", prediction::uki_seeds());
    add("pe", vec![nitrotpm_testkit::unified_kernel_image("254", "root=/dev/vda2 ro")]);
    add("authenticode", made::signatures());
    add("disk", references::disk_seeds());
    add("corim", references::manifest_seeds());
    add("pcrlock", references::component_seeds());
    add("reference", references::reference_seeds());

    for target in crate::TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder)?;
        let seeds = seeds.remove(target.name).unwrap_or_default();
        assert!(!seeds.is_empty(), "{} has no seed", target.name);
        for (number, bytes) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:03}")), bytes)?;
        }
    }
    assert!(seeds.is_empty(), "seeds of no target: {:?}", seeds.keys());
    Ok(())
}
