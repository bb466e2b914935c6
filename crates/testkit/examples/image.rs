//! Writes an image to measure with: `cargo run -p nitrotpm-testkit --example image -- MIB IMAGE [DISK DISK_MIB]`.
//!
//! IMAGE is a unified kernel image of so many MiB, half kernel and half initrd, that no machine runs. DISK is a raw disk
//! image, sparse, whose EFI system partition has IMAGE under the name that firmware starts.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a tool for measuring: what fails ends it"
)]

use std::fs::{self, OpenOptions};

use nitrotpm_testkit::{disk_image, fat_volume, large_unified_kernel_image};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mib, image, disk @ ..] = arguments.as_slice() else { panic!("usage: image MIB IMAGE [DISK DISK_MIB]") };
    let mib: usize = mib.parse().expect("a number of MiB");
    let bytes = large_unified_kernel_image(mib << 20);
    fs::write(image, &bytes).expect("the image can be written");
    if let [disk, disk_mib] = disk {
        let whole: u64 = disk_mib.parse().expect("a number of MiB");
        fs::write(disk, disk_image(&fat_volume(32, &[("EFI/BOOT/BOOTX64.EFI", &bytes)])))
            .expect("the disk can be written");
        let file = OpenOptions::new().write(true).open(disk).expect("the disk is there");
        file.set_len(whole << 20).expect("the disk can grow");
    }
}
