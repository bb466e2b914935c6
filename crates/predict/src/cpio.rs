//! The cpio archives in which systemd-stub hands files to the kernel, byte for byte: they are measured.
//!
//! Format "newc" (kernel documentation, "initramfs buffer format"), as systemd-stub writes it: no owners, no times,
//! inode numbers from 1, parent directories with mode 0555.

/// Where files go and with which modes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) directory: &'static str,
    pub(crate) directory_mode: u32,
    pub(crate) file_mode: u32,
}

/// Parts of the image itself: the PCR signature and its key, os-release, the profile.
pub(crate) const META: Target = Target { directory: ".extra", directory_mode: 0o555, file_mode: 0o444 };
/// Credentials beside the image.
pub(crate) const CREDENTIALS: Target =
    Target { directory: ".extra/credentials", directory_mode: 0o500, file_mode: 0o400 };
/// Credentials for every image of the ESP.
pub(crate) const GLOBAL_CREDENTIALS: Target =
    Target { directory: ".extra/global_credentials", directory_mode: 0o500, file_mode: 0o400 };
/// System extensions beside the image.
pub(crate) const SYSTEM_EXTENSIONS: Target =
    Target { directory: ".extra/sysext", directory_mode: 0o555, file_mode: 0o444 };

/// An archive of these files, in this order.
pub(crate) fn archive(target: Target, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut inode = 1_u32;
    let parents = target.directory.match_indices('/').filter_map(|(end, _)| target.directory.get(..end));
    for parent in parents {
        entry(&mut bytes, &mut inode, 0o040_555, parent, &[]);
    }
    entry(&mut bytes, &mut inode, 0o040_000 | target.directory_mode, target.directory, &[]);
    for (name, content) in files {
        let path = [target.directory, name].join("/");
        entry(&mut bytes, &mut inode, 0o100_000 | target.file_mode, &path, content);
    }
    // The trailer has its own fixed numbers.
    let zeros = "00000000";
    bytes.extend_from_slice(b"070701");
    for field in 0..13 {
        let value = match field {
            4 => "00000001",
            11 => "0000000B",
            _ => zeros,
        };
        bytes.extend_from_slice(value.as_bytes());
    }
    bytes.extend_from_slice(b"TRAILER!!!\0");
    pad(&mut bytes);
    bytes
}

fn entry(bytes: &mut Vec<u8>, inode: &mut u32, mode: u32, path: &str, content: &[u8]) {
    let length = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let fields = [*inode, mode, 0, 0, 1, 0, length(content.len()), 0, 0, 0, 0, length(path.len().saturating_add(1)), 0];
    *inode = inode.saturating_add(1);
    bytes.extend_from_slice(b"070701");
    fields.iter().for_each(|field| bytes.extend_from_slice(format!("{field:08x}").as_bytes()));
    bytes.extend_from_slice(path.as_bytes());
    bytes.push(0);
    pad(bytes);
    bytes.extend_from_slice(content);
    pad(bytes);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written out by hand.
    #[test]
    fn an_archive_of_one_file() {
        let expected = [
            "070701000000010000416d00000000000000000000000100000000000000000000000000000000000000000000000000000007",
            "00000000.extra\0\0\0\0",
            "070701000000020000812400000000000000000000000100000000000000030000000000000000000000000000000000000009",
            "00000000.extra/a\0\0abc\0",
            "0707010000000000000000000000000000000000000001000000000000000000000000000000000000000000000000",
            "0000000B00000000TRAILER!!!\0\0\0\0",
        ]
        .concat();
        let made = archive(META, &[("a", b"abc")]);
        assert_eq!(String::from_utf8(made).unwrap(), expected);
    }

    #[test]
    fn parents_come_first_with_their_own_mode() {
        let made = String::from_utf8(archive(CREDENTIALS, &[])).unwrap();
        assert!(made.contains("070701000000010000416d"));
        assert!(made.contains(".extra\0"));
        assert!(made.contains("0707010000000200004140"));
        assert!(made.contains(".extra/credentials\0"));
    }
}
