//! Times as people and files write them.

use pki_types::UnixTime;
use x509_parser::time::ASN1Time;

/// RFC 3339 in UTC, whole seconds; the number of seconds where the year has more than four digits.
pub(crate) fn rfc3339(time: UnixTime) -> String {
    let seconds = time.as_secs();
    match i64::try_from(seconds).ok().and_then(|seconds| ASN1Time::from_timestamp(seconds).ok()) {
        Some(asn1) => {
            let date = asn1.to_datetime();
            format!(
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                date.year(),
                u8::from(date.month()),
                date.day(),
                date.hour(),
                date.minute(),
                date.second()
            )
        }
        None => format!("{seconds} s after 1970"),
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn rfc3339_writes_utc_seconds() {
        let write = |seconds| rfc3339(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
        assert_eq!(write(0), "1970-01-01T00:00:00Z");
        assert_eq!(write(1_770_113_522), "2026-02-03T10:12:02Z");
        assert_eq!(write(u64::MAX), "18446744073709551615 s after 1970");
    }
}
