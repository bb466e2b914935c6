//! What a unified kernel image, and the kernel in it, measures.

use nitrotpm_eventlog::EventType;

use crate::boot::Plan;
use crate::message::Message;
use crate::pe::Section;
use crate::uki::{Uki, clean, load_options};
use crate::{Decision, PeImage, PredictError, decide};

/// `EV_EVENT_TAG` of Linux: the initrd.
pub(crate) const TAG_INITRD: u32 = 0x8F3B_22EC;
/// `EV_EVENT_TAG` of Linux: the load options.
pub(crate) const TAG_LOAD_OPTIONS: u32 = 0x8F3B_22ED;
/// `EV_EVENT_TAG` of systemd-stub: the profile ("src/boot/measure.h").
const TAG_PROFILE: u32 = 0x13AE_D6DB;

impl<'a> Plan<'a> {
    pub(crate) fn unified_kernel(
        &mut self,
        image: &PeImage<'a>,
        stub: u32,
        systemd_boot: Option<u32>,
    ) -> Result<(), PredictError> {
        let uki = match Uki::new(image, stub, self.boot.profile) {
            Ok(uki) => uki,
            Err(reason) => {
                self.unknown(&[4, 7, 9, 11, 12, 13], reason);
                return Ok(());
            }
        };
        if stub < 252 {
            self.unknown(&[9, 11, 12, 13], format!("what systemd-stub {stub} measures was not checked"));
        }
        let passed = self.passed_by_boot_loader(&uki, systemd_boot);
        if self.boot.profile > 0 {
            let number = load_options(&self.boot.profile.to_string());
            let cause = format!("profile {} of {}", self.boot.profile, image.name());
            let data = tagged(TAG_PROFILE, &number);
            self.measure_named(12, EventType::EVENT_TAG, Message::made(number), data, cause);
        }
        self.sections(&uki);
        let command_line = self.settle_command_line(&uki, passed);
        let command_line = self.addons(&uki, stub, command_line)?;
        for (pcr, what, bytes) in self.boot.sidecars.archives() {
            let cause = format!("{what}, {} bytes", bytes.len());
            self.measure_named(pcr, EventType::IPL, Message::made(bytes), load_options(what), cause);
        }
        self.embedded_kernel(&uki, stub)?;
        self.kernel(&uki, command_line);
        Ok(())
    }

    /// What systemd-boot passes to the image. Until 254 it passes the image's own command line and measures it; from 257
    /// on it passes `@N` for a profile, which the stub cuts off, and measures that ("src/boot/boot.c",
    /// `call_image_start`).
    fn passed_by_boot_loader(&mut self, uki: &Uki<'_, 'a>, systemd_boot: Option<u32>) -> Option<String> {
        match (systemd_boot, self.boot.profile) {
            (Some(257..), profile @ 1..) => {
                let cause = format!("systemd-boot passes \"@{profile}\"");
                self.measure(12, EventType::IPL, load_options(&format!("@{profile}")), cause);
            }
            (Some(version), 1..) => {
                self.unknown(&[9, 11, 12], format!("systemd-boot {version} knows no profiles, and cannot pass one on"));
            }
            _ => {}
        }
        match (systemd_boot, self.boot.command_line) {
            (None, line) => line.map(str::to_owned),
            (Some(version), None) if version < 252 => {
                self.unknown(&[9, 12], format!("what systemd-boot {version} passes on was not checked"));
                None
            }
            (Some(252..=254), None) => match uki.command_line() {
                Ok(Some(line)) => {
                    self.measure(12, EventType::IPL, load_options(&line), format!("systemd-boot passes \"{line}\""));
                    Some(line)
                }
                Ok(None) => None,
                Err(reason) => {
                    self.unknown(&[9, 12], reason);
                    None
                }
            },
            (Some(_), None) => None,
            (Some(_), Some(_)) => {
                self.unknown(&[9, 12], "what systemd-boot measures of a changed command line was not checked");
                None
            }
        }
    }

    fn sections(&mut self, uki: &Uki<'_, 'a>) {
        match uki.measured() {
            Ok(sections) => {
                for (name, section) in sections {
                    // The name is hashed as ASCII and logged as UTF-16, both with NUL.
                    let text = [name.as_bytes(), &[0]].concat();
                    let data = load_options(name);
                    let cause = format!("name of section {name}");
                    self.measure_named(11, EventType::IPL, Message::made(text), data.clone(), cause);
                    let cause = format!("section {name} of {}, {} bytes", uki.name(), section.virtual_size);
                    self.measure_named(11, EventType::IPL, Message::file(section.content()), data, cause);
                }
            }
            Err(reason) => self.unknown(&[11], reason),
        }
    }

    /// The command line that the kernel gets; measured where it does not come from the image.
    fn settle_command_line(&mut self, uki: &Uki<'_, 'a>, passed: Option<String>) -> Option<String> {
        let own = match uki.command_line() {
            Ok(own) => own,
            Err(reason) => {
                self.unknown(&[9], reason);
                None
            }
        };
        let has_own = uki.section(".cmdline").is_some();
        match passed.filter(|line| !line.is_empty()) {
            Some(line) if !(self.secure_boot() && has_own) => {
                if let Err(reason) = clean(&line) {
                    self.unknown(&[9, 12], reason);
                }
                self.measure(12, EventType::IPL, load_options(&line), format!("the boot entry passes \"{line}\""));
                Some(line)
            }
            _ => own,
        }
    }

    /// Addons are images that firmware loads; their command lines are put behind the image's, and measured as one text.
    fn addons(
        &mut self,
        uki: &Uki<'_, 'a>,
        stub: u32,
        command_line: Option<String>,
    ) -> Result<Option<String>, PredictError> {
        let mut addons: Vec<_> = self.boot.sidecars.addons.iter().collect();
        if addons.is_empty() {
            return Ok(command_line);
        }
        if !matches!(stub, 254 | 257 | 262) {
            self.unknown(&[4, 7, 9, 12], format!("what systemd-stub {stub} makes of addons was not checked by a boot"));
            return Ok(command_line);
        }
        addons.sort_by_key(|(name, _)| *name);
        let mut lines = Vec::new();
        for (name, addon) in addons {
            if self.secure_boot() && !matches!(decide(addon, &self.db, &self.dbx), Decision::Allowed { .. }) {
                self.unknown(
                    &[4, 7, 9, 12],
                    format!("what is measured of {name}, which Secure Boot refuses, was not checked"),
                );
                continue;
            }
            self.load_by_firmware(addon)?;
            let part = |wanted: &str| addon.section(wanted).map(Section::content);
            if [".linux", ".initrd", ".ucode", ".dtb", ".dtbauto"].into_iter().any(|wanted| part(wanted).is_some()) {
                self.unknown(
                    &[9, 12],
                    format!("what systemd-stub makes of more than a command line in {name} was not checked"),
                );
            }
            let uname = uki.section(".uname").map(Section::content);
            if let (Some(own), Some(other)) = (uname, part(".uname"))
                && own != other
            {
                self.unknown(&[9, 12], format!("{name} is for another kernel: what is measured of it was not checked"));
            }
            if let Some(line) = part(".cmdline") {
                match core::str::from_utf8(line)
                    .map_err(|_| format!("the command line of {name} is not UTF-8"))
                    .and_then(clean)
                {
                    Ok(line) => lines.push(line.to_owned()),
                    Err(reason) => self.unknown(&[9, 12], reason),
                }
            }
        }
        let added = lines.join(" ");
        if added.is_empty() {
            return Ok(command_line);
        }
        self.measure(12, EventType::IPL, load_options(&added), format!("addons add \"{added}\""));
        Ok(Some(match command_line {
            Some(line) => format!("{line} {added}"),
            None => added,
        }))
    }

    /// How the stub starts the kernel inside: systemd 252 lets it pass Secure Boot, systemd 258 no longer goes through
    /// firmware at all (systemd PR 24777, PR 37372).
    fn embedded_kernel(&mut self, uki: &Uki<'_, 'a>, stub: u32) -> Result<(), PredictError> {
        if stub >= 258 || (stub >= 252 && self.secure_boot()) {
            return Ok(());
        }
        let Some(section) = uki.kernel() else { return Ok(()) };
        if section.whole().is_none() {
            self.unknown(&[4], "the kernel is longer in memory than in the file");
            return Ok(());
        }
        let kernel = PeImage::parse(&format!("the kernel in {}", uki.name()), section.content())?;
        self.load_by_firmware(&kernel)
    }

    /// What the kernel's own EFI stub measures.
    fn kernel(&mut self, uki: &Uki<'_, 'a>, command_line: Option<String>) {
        let initrd = match uki.kernel_measures().and_then(|()| uki.initrd(&self.boot.sidecars)) {
            Ok(initrd) => initrd,
            Err(reason) => return self.unknown(&[9], reason),
        };
        let Some(line) = command_line else {
            return self.unknown(&[9], "what Linux measures without a command line was not checked by a boot");
        };
        let (options, data) = (load_options(&line), tagged(TAG_LOAD_OPTIONS, b"LOADED_IMAGE::LoadOptions\0"));
        let cause = format!("kernel command line \"{line}\"");
        self.measure_named(9, EventType::EVENT_TAG, Message::made(options), data, cause);
        if initrd.len() > 0 {
            let cause = format!("initrd of {}, {} bytes", uki.name(), initrd.len());
            self.measure_named(9, EventType::EVENT_TAG, initrd, tagged(TAG_INITRD, b"Linux initrd\0"), cause);
        }
    }
}

/// The data of an `EV_EVENT_TAG`: tag, length, content (`TCG_PCClientTaggedEvent`).
pub(crate) fn tagged(tag: u32, content: &[u8]) -> Vec<u8> {
    let mut data = tag.to_le_bytes().to_vec();
    data.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
    data.extend_from_slice(content);
    data
}
