//! `nitrotpm --version --verbose`: what this build is, and what it uses on this processor.

use std::ffi::OsString;
use std::fmt::Write as _;

use nitrotpm_digest_lanes::{Backends, HashAlgorithm, Platform};
use nitrotpm_nitro_document::Backend;

/// The most chains that a table of backends tells apart.
const MOST_CHAINS: usize = 16;

/// Whether the arguments, after the program's name, are these two flags and nothing else.
pub(crate) fn is_asked_for(arguments: &[OsString]) -> bool {
    let is_version = |flag: &OsString| flag == "--version" || flag == "-V";
    match arguments {
        [_, a, b] => (is_version(a) && b == "--verbose") || (a == "--verbose" && is_version(b)),
        _ => false,
    }
}

/// Writing to a String cannot fail.
pub(crate) fn text() -> String {
    let mut text = format!("nitrotpm {}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<22} {value}");
    };
    line("commit", option_env!("NITROTPM_BUILT_FROM").unwrap_or("unknown"));
    line("target", &format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS));
    let (there, missing): (Vec<_>, Vec<_>) = Platform::ALL.into_iter().partition(|platform| platform.is_available());
    line("instruction sets", &names(&there));
    line("not on this processor", &if missing.is_empty() { "none".to_owned() } else { names(&missing) });
    let backends = Backends::detect();
    for algorithm in HashAlgorithm::ALL {
        line(algorithm.name(), &choices(&backends, algorithm));
    }
    let signatures: Vec<String> = Backend::ALL.iter().map(|backend| format!("{backend:?}").to_lowercase()).collect();
    line("signatures", &format!("{} (the first is used)", signatures.join(", ")));
    text
}

fn names(platforms: &[Platform]) -> String {
    platforms.iter().map(|platform| platform.name()).collect::<Vec<_>>().join(", ")
}

/// `sha-ni from 1 chain, avx512 from 9`.
fn choices(backends: &Backends, algorithm: HashAlgorithm) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut last = None;
    for chains in 1..=MOST_CHAINS {
        let platform = backends.choose(algorithm, chains);
        if last != Some(platform) {
            let unit = if parts.is_empty() { " chain" } else { "" };
            parts.push(format!("{platform} from {chains}{unit}"));
            last = Some(platform);
        }
    }
    parts.join(", ")
}
