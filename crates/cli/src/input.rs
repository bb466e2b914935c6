//! Files, standard input, and the values that flags name.

use std::fmt;
use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use nitrotpm_eventlog::{EventType, LogError};
use nitrotpm_freshness::{Clock, Nonce, UnixTime};
use nitrotpm_nitro_document::TrustRoots;
use nitrotpm_pcr::{PcrIndex, PcrValues};
use nitrotpm_quote::AttestationKey;

use crate::exit::Failure;
use crate::kind::{Kind, hint};
use crate::text::Escaped;

/// The largest file that is read unless a command says otherwise, in bytes.
const MAX_FILE: u64 = 128 << 20;

/// Reads a file to its end, or standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_up_to(path, MAX_FILE)
}

/// The same for a part of an image, which may be as large as one that is found on a disk.
pub(crate) fn read_image(path: &Path) -> Result<Vec<u8>, Failure> {
    read_up_to(path, nitrotpm_disk_image::LARGEST_FILE.into())
}

/// Standard input is for one reader: the second would find it empty, and say so of the wrong file.
pub(crate) fn take_standard_input() -> Result<(), Failure> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        let message = "standard input (-) is named more than once and can be read only once; name files for the others";
        return Err(Failure::usage("usage.flags", message));
    }
    Ok(())
}

/// A file's size only says how much room to make: the kernel reports 0 for its logs.
fn read_up_to(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let shown = Shown(path);
    let failed = |error: std::io::Error| {
        let advice = match error.kind() {
            std::io::ErrorKind::NotFound => "; check the path",
            std::io::ErrorKind::PermissionDenied => "; check who may read it (the kernel's logs: root only)",
            _ => "",
        };
        Failure::environment("file.read", format!("cannot read {shown}: {error}{advice}"))
    };
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        take_standard_input()?;
        stdin().lock().take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata();
        if metadata.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
            return Err(Failure::environment("file.read", format!("cannot read {shown}: it is a directory")));
        }
        let size = metadata.map_or(0, |metadata| metadata.len()).min(limit);
        bytes.reserve_exact(usize::try_from(size).unwrap_or_default());
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
        let message =
            format!("{shown} has more than {} MiB, which no file of its kind has; check the path", limit >> 20);
        return Err(Failure::invalid("file.too-large", message));
    }
    Ok(bytes)
}

/// A file of an image and its name without folders.
pub(crate) fn named_file(path: &Path) -> Result<(String, Vec<u8>), Failure> {
    let name = path.file_name().and_then(std::ffi::OsStr::to_str);
    let name =
        name.ok_or_else(|| Failure::usage("usage.file-name", format!("{} has no name that is UTF-8", Shown(path))))?;
    Ok((name.to_owned(), read_image(path)?))
}

/// A path as messages show it.
pub(crate) struct Shown<'a>(pub(crate) &'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Path::new("-") {
            return f.write_str("standard input");
        }
        write!(f, "{}", Escaped(&self.0.to_string_lossy()))
    }
}

/// The clock: `--at`, or now.
pub(crate) fn clock(at: Option<At>) -> Clock {
    match at {
        Some(At(time)) => Clock::Audit(time),
        None => Clock::Live(UnixTime::now()),
    }
}

/// An instant given as RFC 3339 text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At(pub(crate) UnixTime);

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time: Timestamp =
            text.parse().map_err(|_| "expected a time like 2026-02-03T11:00:00Z (RFC 3339)".to_owned())?;
        let since_epoch = time
            .as_duration()
            .try_into()
            .map_err(|_| "the time is before 1970-01-01T00:00:00Z; certificates know none of those".to_owned())?;
        Ok(Self(UnixTime::since_unix_epoch(since_epoch)))
    }
}

/// A nonce given in hexadecimal.
#[derive(Clone, Debug)]
pub(crate) struct NonceHex(pub(crate) Nonce);

impl FromStr for NonceHex {
    type Err = nitrotpm_freshness::NonceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Nonce::from_hex(text).map(Self)
    }
}

/// Registers as a flag names them: `4`, `4,7`, `0-7,11`.
#[derive(Clone, Debug)]
pub(crate) struct PcrList(pub(crate) Vec<PcrIndex>);

impl FromStr for PcrList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| {
            let number: u32 = text.trim().parse().map_err(|_| format!("\"{}\" is no number", Escaped(text)))?;
            PcrIndex::try_from(number).map_err(|error| error.to_string())
        };
        let mut list = Vec::new();
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            if first > last {
                return Err(format!("{first}-{last} is the wrong way round"));
            }
            list.extend(PcrIndex::all().filter(|index| (first..=last).contains(index)));
        }
        Ok(Self(list))
    }
}

/// Types of events as a flag names them: a number, or the beginning of names, with or without `EV_` and `EFI_`.
#[derive(Clone, Debug)]
pub(crate) enum TypeName {
    Number(u32),
    Beginning(String),
}

impl TypeName {
    pub(crate) fn matches(&self, event_type: EventType) -> bool {
        match self {
            Self::Number(number) => event_type.0 == *number,
            Self::Beginning(beginning) => event_type.name().is_some_and(|name| {
                let name = name.trim_start_matches("EV_");
                name.starts_with(beginning.as_str()) || name.trim_start_matches("EFI_").starts_with(beginning.as_str())
            }),
        }
    }
}

impl FromStr for TypeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.to_ascii_uppercase();
        let name = name.strip_prefix("EV_").unwrap_or(&name);
        // As types without a name are shown.
        if let Some(digits) = name.strip_prefix("0X") {
            let number = u32::from_str_radix(digits, 16);
            return number.map(Self::Number).map_err(|_| "it is not a number of 32 bits".to_owned());
        }
        let found = Self::Beginning(name.to_owned());
        if name.is_empty() || !EventType::NAMED.iter().any(|event_type| found.matches(*event_type)) {
            return Err("no type of event has a name that begins so; give IPL, EFI_VARIABLE or 0x8401".to_owned());
        }
        Ok(found)
    }
}

/// The trust roots that were given, or AWS's.
pub(crate) fn roots(paths: &[std::path::PathBuf]) -> Result<TrustRoots, Failure> {
    if paths.is_empty() {
        return Ok(TrustRoots::aws());
    }
    let mut roots = TrustRoots::empty();
    for path in paths {
        let bytes = read(path)?;
        // A SEQUENCE of more than 255 bytes, as every certificate is; text does not have the second byte.
        let added = if bytes.starts_with(&[0x30, 0x82]) { roots.add_der(&bytes) } else { roots.add_pem(&bytes) };
        added.map_err(|error| {
            let hint = hint(&bytes, &[Kind::Pem, Kind::Der]);
            Failure::usage("usage.trust-root", format!("--trust-root {}: {error}{hint}", Shown(path)))
        })?;
    }
    Ok(roots)
}

/// An attestation key in any of the accepted forms.
pub(crate) fn attestation_key(path: &Path, flag: &str) -> Result<AttestationKey, Failure> {
    let bytes = read(path)?;
    AttestationKey::parse(&bytes).map_err(|error| {
        let hint = hint(&bytes, &[Kind::TpmPublic, Kind::Pem, Kind::Der, Kind::Empty]);
        Failure::usage("usage.key", format!("{flag} {}: {error}{hint}", Shown(path)))
    })
}

/// A file that is no event log.
pub(crate) fn not_a_log(path: &Path, bytes: &[u8], error: &LogError) -> Failure {
    // What a log that is empty says of itself is more than a hint.
    let hint = hint(bytes, &[Kind::EventLog, Kind::Empty]);
    Failure::invalid(error.code(), format!("{}: {error}{hint}", Shown(path)))
}

/// PCR values: `{"sha384": {"4": "<hex>"}}`.
pub(crate) fn pcrs(path: &Path) -> Result<PcrValues, Failure> {
    let bytes = read(path)?;
    let values: PcrValues = serde_json::from_slice(&bytes).map_err(|error| {
        Failure::invalid(
            "pcrs.malformed",
            format!(
                "{} is not a list of PCR values like {{\"sha384\": {{\"4\": \"<hex>\"}}}}: {}{}",
                Shown(path),
                Escaped(&error.to_string()),
                hint(&bytes, &[Kind::Pcrs])
            ),
        )
    })?;
    if values.is_empty() {
        let message = format!("{} names no PCR, and so would prove nothing; give at least one", Shown(path));
        return Err(Failure::invalid("pcrs.malformed", message));
    }
    Ok(values)
}
