//! PE images that no machine runs: for predictions.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "for tests only: what overflows or is out of range fails a test"
)]

/// A PE32+ image with these sections, as small as one can be.
#[must_use]
pub fn pe_image(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    let mut put = |offset: usize, value: &[u8]| bytes[offset..][..value.len()].copy_from_slice(value);
    put(0, b"MZ");
    put(0x3C, &[64]);
    put(64, b"PE\0\0\x64\x86");
    put(70, &u16::try_from(sections.len()).expect("few sections").to_le_bytes());
    put(84, &[240]);
    put(88, &[0x0B, 2]);
    put(88 + 60, &1024_u32.to_le_bytes());
    put(88 + 108, &[16]);
    let mut offset = 1024;
    for (header, (name, content)) in (328..).step_by(40).zip(sections) {
        let size = u32::try_from(content.len()).expect("small sections");
        put(header, name.as_bytes());
        put(header + 8, &size.to_le_bytes());
        put(header + 16, &size.to_le_bytes());
        put(header + 20, &u32::to_le_bytes(offset));
        offset += size;
    }
    sections.iter().for_each(|(_, content)| bytes.extend_from_slice(content));
    bytes
}

/// A unified kernel image with a stub of this version and this command line, as small as one can be.
#[must_use]
pub fn unified_kernel_image(version: &str, command_line: &str) -> Vec<u8> {
    unified(version, command_line, &[0; 600], b"an initrd")
}

/// A unified kernel image of about so many bytes, half of them kernel and half initrd.
#[must_use]
pub fn large_unified_kernel_image(size: usize) -> Vec<u8> {
    let half: Vec<u8> = (0..size / 2).map(|place| (place ^ place >> 8 ^ place >> 16).to_le_bytes()[0]).collect();
    unified("257.13", "root=/dev/nvme0n1p2 ro console=ttyS0", &half, &half[..half.len() - 1])
}

fn unified(version: &str, command_line: &str, kernel_text: &[u8], initrd: &[u8]) -> Vec<u8> {
    let mut kernel = pe_image(&[(".text", kernel_text)]);
    // The header of an x86 kernel: where its version stands, less 0x200.
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x20E..0x210].copy_from_slice(&0x400_u16.to_le_bytes());
    kernel[0x600..0x605].copy_from_slice(b"6.1.0");
    let magic = format!("#### LoaderInfo: systemd-stub {version} ####");
    pe_image(&[
        (".sdmagic", magic.as_bytes()),
        (".sbat", b"sbat"),
        (".osrel", b"ID=debian\n"),
        (".cmdline", command_line.as_bytes()),
        (".uname", b"6.1.0-56-cloud-amd64"),
        (".initrd", initrd),
        (".linux", &kernel),
    ])
}
