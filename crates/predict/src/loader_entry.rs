//! A kernel that systemd-boot starts by an entry of its own, not in a unified image (Boot Loader Specification, type 1).

use nitrotpm_eventlog::EventType;

use crate::PeImage;
use crate::boot::Plan;
use crate::boot_uki::{TAG_INITRD, TAG_LOAD_OPTIONS, tagged};
use crate::message::{Message, Piece};
use crate::uki::{check_release, clean, linux_release, load_options, systemd_boot_release};

/// `EV_EVENT_TAG` of systemd-boot: loader.conf ("src/fundamental/tpm2-pcr.h").
const TAG_LOADER_CONF: u32 = 0xF5BC_582A;

/// What the entry gives the kernel.
#[derive(Clone, Copy, Debug)]
pub struct LinuxEntry<'a> {
    /// Its `options` lines, joined by a space.
    pub options: Option<&'a str>,
    /// Its `initrd` lines in order: the path as the line has it, and the file's content.
    pub initrds: &'a [(&'a str, &'a [u8])],
}

impl<'a> Plan<'a> {
    /// What systemd-boot and the kernel measure ("src/boot/boot.c", `image_start` and `initrd_prepare`, of 252.39, 254.26,
    /// 257.13 and 262.1): the command line with an `initrd=` for each initrd in front into PCR 12, and the kernel's own stub
    /// command line and initrd into PCR 9.
    pub(crate) fn linux_by_entry(&mut self, kernel: &PeImage<'a>, loader: &PeImage<'a>, entry: LinuxEntry<'a>) {
        let release = systemd_boot_release(loader);
        let Some((version @ (252 | 254 | 257 | 262), minor)) = release else {
            let reason = format!("what {} passes to a kernel was not checked for its version", loader.name());
            return self.unknown(&[9, 12], reason);
        };
        if self.boot.command_line.is_some() {
            return self
                .unknown(&[9, 12], "a command line was given beside the options of the boot entry; put it there");
        }
        let paths = entry.initrds.iter().map(|(path, _)| format!("initrd={}", efi_path(path)));
        let line = paths.chain(entry.options.map(str::to_owned)).collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            return self.unknown(&[9], "what Linux measures without a command line was not checked by a boot");
        }
        if let Err(reason) = clean(&line) {
            return self.unknown(&[9, 12], reason);
        }
        let options = load_options(&line);
        self.measure(12, EventType::IPL, options.clone(), format!("systemd-boot passes \"{line}\""));

        let release = linux_release(kernel.bytes());
        if let Err(reason) = check_release(release) {
            return self.unknown(&[9], reason);
        }
        let named = tagged(TAG_LOAD_OPTIONS, b"LOADED_IMAGE::LoadOptions\0");
        let cause = format!("kernel command line \"{line}\"");
        self.measure_named(9, EventType::EVENT_TAG, Message::made(options), named, cause);
        let mut initrd = Message::default();
        for (index, (_, content)) in entry.initrds.iter().enumerate() {
            let fill = content.len().next_multiple_of(4).saturating_sub(content.len());
            initrd.push(Piece::File(content));
            // 252 and 254 put them one after another; 257 aligns each, and since one of its point releases not the last.
            if version >= 257 && fill > 0 {
                if index.saturating_add(1) < entry.initrds.len() {
                    initrd.push(Piece::Made(vec![0; fill]));
                } else if version == 257 && minor < 13 {
                    return self
                        .unknown(&[9], format!("whether systemd-boot 257.{minor} aligns the initrd was not checked"));
                }
            }
        }
        if initrd.len() > 0 {
            let cause = format!("initrd of the boot entry, {} bytes", initrd.len());
            self.measure_named(9, EventType::EVENT_TAG, initrd, tagged(TAG_INITRD, b"Linux initrd\0"), cause);
        }
    }

    /// systemd-boot's own configuration, which 257 measures and 252 and 254 do not.
    pub(crate) fn loader_configuration(&mut self, version: u32) {
        if self.boot.partition_table.is_none() {
            return;
        }
        match (version, self.boot.loader_conf) {
            (252 | 254, _) | (257 | 262, None) => {}
            (257, Some(content)) => {
                let data = tagged(TAG_LOADER_CONF, &load_options("loader.conf"));
                self.measure_named(5, EventType::EVENT_TAG, Message::file(content), data, "systemd-boot's loader.conf");
            }
            _ => self.unknown(&[5], format!("whether systemd-boot {version} measures loader.conf was not checked")),
        }
    }

    /// The end of the firmware's part, once a kernel was started.
    pub(crate) fn exit_boot_services(&mut self) {
        for action in ["Exit Boot Services Invocation", "Exit Boot Services Returned with Success"] {
            self.measure(5, EventType::EFI_ACTION, action.into(), "the kernel takes over from firmware");
        }
    }
}

/// A path as systemd-boot writes it: backslashes, none twice in a row.
fn efi_path(path: &str) -> String {
    let mut written = String::new();
    for character in path.chars() {
        let character = if character == '/' { '\\' } else { character };
        if !(character == '\\' && written.ends_with('\\')) {
            written.push(character);
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_for_efi() {
        assert_eq!(efi_path("/a//b/c.img"), "\\a\\b\\c.img");
        assert_eq!(efi_path("a\\\\b"), "a\\b");
    }
}
