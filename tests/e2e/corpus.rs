//! The corpus: logs, quotes and documents that are not part of this repository.
//!
//! A test that reads it carries
//! `#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]`.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the file called `name` (`boot/uki-sb/eventlog.bin`) is.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("NITROTPM_CORPUS_DIR")).join(name)
}

/// The bytes of the file called `name`.
#[track_caller]
pub(crate) fn read(name: &str) -> Vec<u8> {
    let path = path(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; NITROTPM_CORPUS names the corpus", path.display()))
}

/// What `read` gives is a boot's log and not, say, a pointer to one: the other tests rest on that.
#[test]
#[cfg_attr(not(corpus), ignore = "the corpus is not there: set NITROTPM_CORPUS")]
fn the_corpus_holds_a_crypto_agile_log() {
    let log = read("boot/uki-sb/eventlog.bin");
    assert_eq!(log.get(32..48), Some(b"Spec ID Event03\0".as_slice()));
}
