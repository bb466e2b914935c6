//! docs/reason-codes.md lists exactly the codes that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nitrotpm_boot_files::BootFilesError;
use nitrotpm_disk_image::DiskError;
use nitrotpm_eventlog::LogError;
use nitrotpm_kms_recipient::RecipientError;
use nitrotpm_nitro_document::DocumentError;
use nitrotpm_pcr::BatchError;
use nitrotpm_predict::PredictError;
use nitrotpm_quote::QuoteError;
use nitrotpm_uefi::UefiError;
use nitrotpm_verifier::{EnrolmentError, EvidenceError, PolicyError, REFUSAL_CODES, VerifyError, WARNING_CODES};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The first cell of each row of the page's tables. The attester's own rows are held by a test of that crate: these tests
/// do not link libtss2.
fn documented() -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/reason-codes.md")).unwrap();
    page.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(code, _)| code.to_owned())
        .filter(|code| !code.starts_with("attester."))
        .collect()
}

/// The command line's own codes: the first argument of each `Failure::…(`.
fn of_the_command_line() -> Vec<String> {
    fn sources(dir: &Path, found: &mut String) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                found.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut source = String::new();
    sources(&root().join("crates/cli/src"), &mut source);
    let calls = ["Failure::usage(", "Failure::invalid(", "Failure::environment("];
    calls
        .iter()
        .flat_map(|call| source.split(call).skip(1))
        .filter_map(|after| after.trim_start().strip_prefix('"')?.split_once('"'))
        .map(|(code, _)| code.to_owned())
        .collect()
}

#[test]
fn every_code_is_documented_and_every_documented_code_exists() {
    let listed = documented();
    let unique: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), unique.len(), "a code stands twice in docs/reason-codes.md");
    let existing: BTreeSet<String> = [
        EvidenceError::CODES,
        DocumentError::CODES,
        QuoteError::CODES,
        LogError::CODES,
        BatchError::CODES,
        VerifyError::CODES,
        EnrolmentError::CODES,
        PolicyError::CODES,
        PredictError::CODES,
        DiskError::CODES,
        BootFilesError::CODES,
        UefiError::CODES,
        nitrotpm_explain::ReferenceError::CODES,
        nitrotpm_reference_values::ReferenceValueError::CODES,
        REFUSAL_CODES,
        WARNING_CODES,
        nitrotpm_credential::EnrolmentError::CODES,
        nitrotpm_credential::CredentialError::CODES,
        RecipientError::CODES,
    ]
    .iter()
    .flat_map(|codes| codes.iter().map(|code| (*code).to_owned()))
    .chain(of_the_command_line())
    .collect();
    let undocumented: Vec<_> = existing.difference(&unique).collect();
    let invented: Vec<_> = unique.difference(&existing).collect();
    assert!(undocumented.is_empty() && invented.is_empty(), "undocumented: {undocumented:?}; invented: {invented:?}");
}
