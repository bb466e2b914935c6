//! docs/event-logs.md has a table of features; each row names the tests that show it.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All sources that may hold a test.
fn sources() -> String {
    fn collect(folder: &Path, found: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut found = String::new();
    for folder in ["crates", "tests/e2e"] {
        collect(&root().join(folder), &mut found);
    }
    found
}

/// The rows of the table under `## Features`: feature, whether it is there, the names in the last cell.
fn rows() -> Vec<(String, String, Vec<String>)> {
    let page = fs::read_to_string(root().join("docs/event-logs.md")).unwrap();
    let (_, features) = page.split_once("\n## Features\n").expect("the page has a section of features");
    let features = features.split("\n## ").next().unwrap();
    features
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| feature"))
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [feature, here, tests, _] = cells.as_slice() else { panic!("not four cells: {line}") };
            let names = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            ((*feature).to_owned(), (*here).to_owned(), names)
        })
        .collect()
}

#[test]
fn every_feature_is_there_and_names_tests_that_exist() {
    let sources = sources();
    let functions: Vec<&str> = sources
        .split("#[test]")
        .skip(1)
        .filter_map(|after| after.split_once("fn ")?.1.split_once('(').map(|(name, _)| name))
        .collect();
    let rows = rows();
    assert!(rows.len() > 25, "only {} rows", rows.len());
    let mut missing = Vec::new();
    for (feature, here, names) in &rows {
        assert_eq!(here, "yes", "{feature}");
        assert!(!names.is_empty(), "{feature} names no test");
        for name in names {
            let exists = match name.strip_suffix('…') {
                // The beginning of several names.
                Some(beginning) => functions.iter().any(|function| function.starts_with(beginning)),
                None => functions.contains(&name.as_str()),
            };
            if !exists {
                missing.push(format!("{feature}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "there is no test of these names: {missing:#?}");
}
