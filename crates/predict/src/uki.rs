//! Unified kernel images: which sections systemd-stub measures, and what it hands to the kernel.

use nitrotpm_uefi::utf16;

use crate::message::{Message, Piece};
use crate::pe::Section;
use crate::{PeImage, PredictError, cpio};

/// What an image is, by its sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It has a kernel, and a systemd-stub of this version.
    Uki(u32),
    /// systemd-boot of this version.
    SystemdBoot(u32),
    Shim,
    Grub,
    Other,
}

/// The text in `.sdmagic` after this program's name.
fn magic_text<'a>(image: &PeImage<'a>, program: &str) -> Option<&'a str> {
    let text = image.section(".sdmagic")?.content();
    let text = text.split(|byte| *byte == 0).next().and_then(|text| core::str::from_utf8(text).ok())?;
    let version = text.strip_prefix("#### LoaderInfo: ")?.strip_suffix(" ####")?.strip_prefix(program)?;
    version.strip_prefix(' ')
}

/// Version and point release of systemd-boot.
pub(crate) fn systemd_boot_release(image: &PeImage<'_>) -> Option<(u32, u32)> {
    let text = magic_text(image, "systemd-boot")?;
    let (_, rest) = text.split_once(|character: char| !character.is_ascii_digit()).unwrap_or((text, ""));
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let minor = if text.contains('.') { minor.parse().ok()? } else { 0 };
    Some((magic_version(image, "systemd-boot")?, minor))
}

/// The version in `.sdmagic` after this program's name.
fn magic_version(image: &PeImage<'_>, program: &str) -> Option<u32> {
    let version = magic_text(image, program)?;
    let digits = version.find(|character: char| !character.is_ascii_digit()).unwrap_or(version.len());
    version.get(..digits)?.parse().ok()
}

/// Whether `.sbat` lists this component: its lines are `component,generation,…` (shim, "SBAT.md").
fn has_sbat_component(image: &PeImage<'_>, name: &str) -> bool {
    let mut lines =
        image.section(".sbat").map(|section| section.content()).unwrap_or_default().split(|byte| *byte == b'\n');
    lines.any(|line| line.split(|byte| *byte == b',').next() == Some(name.as_bytes()))
}

/// Amazon Linux 2023 strips the stub's version; its systemd is 252.
fn is_amazon_linux_2023(image: &PeImage<'_>) -> bool {
    let text = image.section(".osrel").and_then(|section| core::str::from_utf8(section.content()).ok());
    text.is_some_and(|text| {
        let has = |wanted: &str| text.lines().any(|line| line == wanted);
        has("NAME=\"Amazon Linux\"") && has("VERSION=\"2023\"")
    })
}

/// Finds out what an image is.
pub(crate) fn role(image: &PeImage<'_>) -> Result<Role, PredictError> {
    if image.section(".linux").is_some() {
        let has_magic = image.section(".sdmagic").is_some();
        return match magic_version(image, "systemd-stub") {
            Some(version) => Ok(Role::Uki(version)),
            None if !has_magic && is_amazon_linux_2023(image) => Ok(Role::Uki(252)),
            None => Err(PredictError::StubVersion {
                image: image.name().into(),
                what: if has_magic { "its .sdmagic section names none" } else { "it has no .sdmagic section" },
            }),
        };
    }
    Ok(match magic_version(image, "systemd-boot") {
        Some(version) => Role::SystemdBoot(version),
        None if has_sbat_component(image, "shim") => Role::Shim,
        None if has_sbat_component(image, "grub") || image.section("mods").is_some() => Role::Grub,
        None => Role::Other,
    })
}

/// What an image is, for people and for those who look for what it starts next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageKind {
    /// A unified kernel image, with the version of its systemd-stub where it says one.
    UnifiedKernel(Option<u32>),
    /// systemd-boot of this version.
    SystemdBoot(u32),
    /// shim.
    Shim,
    /// GRUB.
    Grub,
    /// A Linux kernel that firmware can start.
    Linux,
    /// Anything else.
    Other,
}

impl core::fmt::Display for ImageKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::UnifiedKernel(Some(version)) => write!(f, "unified kernel image, systemd-stub {version}"),
            Self::UnifiedKernel(None) => f.write_str("unified kernel image"),
            Self::SystemdBoot(version) => write!(f, "systemd-boot {version}"),
            Self::Shim => f.write_str("shim"),
            Self::Grub => f.write_str("GRUB"),
            Self::Linux => f.write_str("Linux kernel"),
            Self::Other => f.write_str("EFI application"),
        }
    }
}

impl PeImage<'_> {
    /// What the image is.
    #[must_use]
    pub fn kind(&self) -> ImageKind {
        match role(self) {
            Ok(Role::Uki(version)) => ImageKind::UnifiedKernel(Some(version)),
            Ok(Role::SystemdBoot(version)) => ImageKind::SystemdBoot(version),
            Ok(Role::Shim) => ImageKind::Shim,
            Ok(Role::Grub) => ImageKind::Grub,
            Ok(Role::Other) if self.is_linux() => ImageKind::Linux,
            Ok(Role::Other) => ImageKind::Other,
            Err(_) => ImageKind::UnifiedKernel(None),
        }
    }

    /// Whether it begins as kernels do (Linux documentation, "The Linux/x86 Boot Protocol" and "Booting AArch64 Linux").
    pub(crate) fn is_linux(&self) -> bool {
        let has = |place: usize, magic: &[u8]| self.bytes().get(place..).is_some_and(|rest| rest.starts_with(magic));
        has(0x202, b"HdrS") || has(56, b"ARM\x64")
    }
}

/// The files that systemd-stub finds beside an image (`NAME.efi.extra.d`) and in `/loader`; names and contents, in any
/// order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sidecars<'a> {
    /// `NAME.efi.extra.d/*.cred`
    pub credentials: &'a [(&'a str, &'a [u8])],
    /// `/loader/credentials/*.cred`
    pub global_credentials: &'a [(&'a str, &'a [u8])],
    /// `NAME.efi.extra.d/*.raw`, no `*.confext.raw`
    pub system_extensions: &'a [(&'a str, &'a [u8])],
    /// `NAME.efi.extra.d/*.addon.efi`: images with a command line to add.
    pub addons: &'a [(&'a str, PeImage<'a>)],
}

impl Sidecars<'_> {
    /// The archives that are measured: register, what it is, bytes.
    pub(crate) fn archives(&self) -> Vec<(u8, &'static str, Vec<u8>)> {
        let groups = [
            (12, "Credentials initrd", cpio::CREDENTIALS, self.credentials),
            (12, "Global credentials initrd", cpio::GLOBAL_CREDENTIALS, self.global_credentials),
            (13, "System extension initrd", cpio::SYSTEM_EXTENSIONS, self.system_extensions),
        ];
        let filled = groups.into_iter().filter(|(_, _, _, files)| !files.is_empty());
        filled
            .map(|(pcr, what, target, files)| {
                let mut files = files.to_vec();
                // The stub sorts by UTF-16 units; it takes ASCII names only.
                files.sort_by_key(|(name, _)| *name);
                (pcr, what, cpio::archive(target, &files))
            })
            .collect()
    }
}

/// A unified kernel image with one of its profiles.
#[derive(Debug)]
pub(crate) struct Uki<'i, 'a> {
    stub: u32,
    image: &'i PeImage<'a>,
    /// The sections that this profile sees: of each name the one that counts.
    sections: Vec<&'i Section<'a>>,
    /// Names that stand more than once where only the first counts in newer stubs.
    repeated: bool,
}

impl<'i, 'a> Uki<'i, 'a> {
    /// Takes the sections of a profile. A base section counts where the profile has none of its name; profile 0 need
    /// not be there.
    pub(crate) fn new(image: &'i PeImage<'a>, stub: u32, profile: u32) -> Result<Self, String> {
        let all: Vec<&Section<'a>> = image.sections().iter().filter(|section| section.virtual_size > 0).collect();
        let mut groups = all.chunk_by(|_, next| next.name != b".profile");
        let multi = all.iter().any(|section| section.name == b".profile");
        let base: Vec<_> = if all.first().is_some_and(|first| first.name == b".profile") {
            Vec::new()
        } else {
            groups.next().unwrap_or_default().to_vec()
        };
        let index = usize::try_from(profile).unwrap_or(usize::MAX);
        let chosen = if multi { groups.nth(index) } else { None };
        if profile > 0 && chosen.is_none() {
            return Err(format!("{} has no profile {profile}", image.name()));
        }
        if multi && stub < 257 {
            return Err(format!("{} has profiles, and systemd-stub {stub} knows none", image.name()));
        }
        let mut sections: Vec<&Section<'a>> = Vec::new();
        let mut repeated = false;
        for group in [chosen.unwrap_or_default(), &base] {
            for (position, section) in group.iter().enumerate() {
                let in_group = group.iter().take(position).any(|earlier| earlier.name == section.name);
                repeated |= in_group && is_known(section.name);
                if !sections.iter().any(|earlier| earlier.name == section.name) {
                    sections.push(section);
                }
            }
        }
        Ok(Self { stub, image, sections, repeated })
    }

    pub(crate) fn section(&self, name: &str) -> Option<&'i Section<'a>> {
        self.sections.iter().copied().find(|section| section.name == name.as_bytes())
    }

    /// The sections that go into PCR 11, in systemd's canonical order ("src/fundamental/uki.h"), or why they are not
    /// known.
    pub(crate) fn measured(&self) -> Result<Vec<(&'static str, &'i Section<'a>)>, String> {
        let stub = self.stub;
        if !matches!(stub, 252 | 254..=262) {
            return Err(format!("which sections systemd-stub {stub} measures was not checked"));
        }
        if self.repeated && stub < 257 {
            return Err("a section stands in the image twice".into());
        }
        if let Some(name) = [".dtbauto", ".efifw"].into_iter().find(|name| stub >= 257 && self.section(name).is_some())
        {
            return Err(format!("which of the {name} sections is measured depends on the machine"));
        }
        self.check_whole(|name| is_known(name) && name != b".pcrsig")?;
        let known = SECTIONS.iter().filter(|(since, _)| *since <= stub);
        Ok(known.filter_map(|(_, name)| self.section(name).map(|section| (*name, section))).collect())
    }

    /// That none of these sections is longer in memory than in the file: no tool writes such, and what would be measured
    /// has no bound.
    fn check_whole(&self, concerns: impl Fn(&[u8]) -> bool) -> Result<(), String> {
        let longer = self.sections.iter().find(|section| concerns(section.name) && section.whole().is_none());
        longer.map_or(Ok(()), |section| {
            Err(format!("section {} is longer in memory than in the file", section.name.escape_ascii()))
        })
    }

    /// The kernel image inside.
    pub(crate) fn kernel(&self) -> Option<&'i Section<'a>> {
        self.section(".linux")
    }

    /// The command line in the image, as the stub passes it on: `None` where there is none.
    pub(crate) fn command_line(&self) -> Result<Option<String>, String> {
        let Some(section) = self.section(".cmdline") else { return Ok(None) };
        let text = section.content().split(|byte| *byte == 0).next().unwrap_or_default();
        let text = core::str::from_utf8(text).map_err(|_| "the command line is not UTF-8".to_owned())?;
        if text.is_empty() { Ok(None) } else { clean(text).map(|text| Some(text.to_owned())) }
    }

    /// The initrd that the kernel gets: the parts that the stub puts together, or why they are not known.
    pub(crate) fn initrd(&self, sidecars: &Sidecars<'_>) -> Result<Message<'a>, String> {
        let stub = self.stub;
        // systemd PR 41217: the secret comes from an EFI variable that no file of the image has, where there is a random
        // seed. With 262 and without a seed a boot measured the same as with 257.
        if stub >= 261 {
            return Err(format!(
                "systemd-stub {stub} adds a secret of the machine, .extra/boot-secret, to the initrd where firmware or the \
                 ESP give it a random seed"
            ));
        }
        if !matches!(stub, 252 | 254 | 257) {
            return Err(format!("the initrd that systemd-stub {stub} hands to the kernel was not checked by a boot"));
        }
        self.check_whole(|name| is_known(name) || name == b".pcrsig")?;
        let mut parts: Vec<Message<'a>> = Vec::new();
        let add = |parts: &mut Vec<_>, name| {
            parts.extend(self.section(name).map(|section| Message::file(section.content())));
        };
        if stub >= 257 {
            add(&mut parts, ".ucode");
        }
        add(&mut parts, ".initrd");
        parts.extend(sidecars.archives().into_iter().map(|(_, _, bytes)| Message::made(bytes)));
        let mut files = vec![(".pcrsig", "tpm2-pcr-signature.json"), (".pcrpkey", "tpm2-pcr-public-key.pem")];
        if stub >= 257 {
            files.extend([(".osrel", "os-release"), (".profile", "profile")]);
        }
        for (section, file) in files {
            if let Some(section) = self.section(section) {
                parts.push(Message::made(cpio::archive(cpio::META, &[(file, section.content())])));
            }
        }
        let pad = parts.len() > 1;
        let mut initrd = Message::default();
        for part in parts {
            let fill = part.len().next_multiple_of(4).saturating_sub(part.len());
            initrd.append(part);
            if pad {
                initrd.push(Piece::Made(vec![0; fill]));
            }
        }
        Ok(initrd)
    }

    /// Whether the kernel's EFI stub measures its command line and initrd into PCR 9: seen with Linux 6.1.
    pub(crate) fn kernel_measures(&self) -> Result<(), String> {
        check_release(self.kernel_release())
    }

    /// The version in the kernel's header, else in `.uname`.
    fn kernel_release(&self) -> Option<&'a str> {
        linux_release(self.kernel()?.content()).or_else(|| text(self.section(".uname")?.content()))
    }

    /// The image's name, for causes.
    pub(crate) fn name(&self) -> &str {
        self.image.name()
    }
}

/// The text up to the first NUL.
fn text(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes.get(..bytes.len().min(128))?.split(|byte| *byte == 0).next()?).ok()
}

/// The version in the header of an x86 kernel (Linux documentation, "The Linux/x86 Boot Protocol").
pub(crate) fn linux_release(kernel: &[u8]) -> Option<&str> {
    let magic = kernel.get(0x202..0x206)?;
    let [low, high] = *kernel.get(0x20E..)?.first_chunk()?;
    let offset = usize::from(u16::from_le_bytes([low, high])).checked_add(0x200)?;
    (magic == b"HdrS").then(|| text(kernel.get(offset..)?))?
}

/// Whether the EFI stub of this kernel measures its command line and initrd into PCR 9: seen with Linux 6.1.
pub(crate) fn check_release(release: Option<&str>) -> Result<(), String> {
    let release = release.ok_or("the kernel's version is not in the image")?;
    let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (6, 1) => Ok(()),
        _ => Err(format!("whether the EFI stub of Linux \"{}\" measures was not checked", release.escape_debug())),
    }
}

/// The version of systemd-stub from which on a section is measured, in the order of measurement.
const SECTIONS: [(u32, &str); 12] = [
    (252, ".linux"),
    (252, ".osrel"),
    (252, ".cmdline"),
    (252, ".initrd"),
    (256, ".ucode"),
    (252, ".splash"),
    (252, ".dtb"),
    (254, ".uname"),
    (254, ".sbat"),
    (252, ".pcrpkey"),
    (257, ".profile"),
    (257, ".hwids"),
];

fn is_known(name: &[u8]) -> bool {
    SECTIONS.iter().any(|(_, known)| known.as_bytes() == name)
}

/// A command line that every version of the stub passes on as it is.
pub(crate) fn clean(text: &str) -> Result<&str, String> {
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err("what systemd-stub makes of space around a command line, or control characters in it, was not \
                    checked by a boot"
            .into());
    }
    Ok(text)
}

/// UTF-16 with a NUL at the end: a command line as it is measured.
pub(crate) fn load_options(text: &str) -> Vec<u8> {
    let mut bytes = utf16(text);
    bytes.extend_from_slice(&[0, 0]);
    bytes
}
