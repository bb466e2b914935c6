//! systemd-boot's text files: `loader.conf`, entries of type 1, and os-release (Boot Loader Specification; loader.conf(5);
//! "src/boot/boot.c" of systemd 252.39, 254.26 and 257.13).

use std::cmp::Ordering;

use crate::compare_versions;
use crate::disk::Machine;

/// The lines `key value` of a text, as systemd-boot splits them: comments left out, quotes around the value dropped.
pub(crate) fn lines<'t>(text: &'t str, separators: &'t [char]) -> impl Iterator<Item = (&'t str, &'t str)> {
    let text = text.split('\0').next().unwrap_or_default();
    text.split(['\n', '\r']).filter_map(move |line| {
        let line = line.trim_matches([' ', '\t']);
        if line.starts_with('#') {
            return None;
        }
        let (key, value) = line.split_once(separators)?;
        let value = value.trim_start_matches(separators);
        let unquoted = ['"', '\''].iter().find_map(|quote| {
            let inside = value.strip_prefix(*quote)?;
            // A quote alone begins and ends the value in one character, and is dropped twice.
            if inside.is_empty() { Some(inside) } else { inside.strip_suffix(*quote) }
        });
        Some((key, unquoted.unwrap_or(value)))
    })
}

/// What of `loader.conf` decides what boots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoaderConf {
    /// The pattern of the default entry, in lower case.
    pub default: Option<String>,
    /// Whether the menu waits for a person.
    pub waits: bool,
    /// `secure-boot-enroll`, as written.
    pub enroll: Option<String>,
}

impl LoaderConf {
    /// Reads the file's text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        for (key, value) in lines(text, &[' ', '\t']) {
            match key {
                "default" => conf.default = Some(value.to_lowercase()),
                "timeout" => conf.waits = value == "menu-force",
                "secure-boot-enroll" => conf.enroll = Some(value.to_owned()),
                _ => {}
            }
        }
        conf
    }
}

/// What an entry starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A kernel or another image, with options and initrds (type 1).
    Image {
        /// The image's path as written.
        path: String,
        /// Whether it is given as `linux`, which alone gets initrds.
        linux: bool,
        /// The `options` lines, joined by a space.
        options: Option<String>,
        /// The `initrd` lines.
        initrds: Vec<String>,
    },
    /// A unified kernel image in `EFI/Linux` (type 2).
    Unified {
        /// The file's name.
        file: String,
        /// The profile.
        profile: u32,
    },
}

/// An entry of the menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name that `default` is matched with: the file's, in lower case, without boot counter.
    pub id: String,
    /// What it starts.
    pub kind: EntryKind,
    /// `sort-key`
    pub sort_key: Option<String>,
    /// `machine-id`
    pub machine_id: Option<String>,
    /// `version`
    pub version: Option<String>,
    /// How often it may still be tried, and how often it was.
    pub tries: Option<(u32, u32)>,
}

impl Entry {
    /// Reads an entry of type 1; `None` for one that systemd-boot leaves out: without an image, or for another machine.
    #[must_use]
    pub fn parse(file: &str, text: &str, machine: Machine) -> Option<Self> {
        let (mut sort_key, mut machine_id, mut version) = (None, None, None);
        let mut image: Option<(String, bool)> = None;
        let mut options: Option<String> = None;
        let mut initrds = Vec::new();
        for (key, value) in lines(text, &[' ', '\t']) {
            match key {
                "sort-key" => sort_key = Some(value.to_owned()),
                "machine-id" => machine_id = Some(value.to_owned()),
                "version" => version = Some(value.to_owned()),
                "linux" | "efi" => image = Some((value.to_owned(), key == "linux")),
                "architecture" if !value.eq_ignore_ascii_case(machine.name()) => return None,
                "initrd" => initrds.push(value.to_owned()),
                "options" => {
                    options = Some(match options {
                        Some(before) => format!("{before} {value}"),
                        None => value.to_owned(),
                    });
                }
                _ => {}
            }
        }
        let (path, linux) = image?;
        let (id, tries) = without_counter(file, ".conf");
        let kind = EntryKind::Image { path, linux, options, initrds: if linux { initrds } else { Vec::new() } };
        Some(Self { id: id.to_lowercase(), kind, sort_key, machine_id, version, tries })
    }

    /// The entry of a unified kernel image's profile: `None` where os-release names nothing to show.
    #[must_use]
    pub fn unified(file: &str, os_release: &str, profile: u32, profile_text: Option<&str>) -> Option<Self> {
        let field = |text: &str, name: &str| {
            lines(text, &['=']).filter(|(key, _)| *key == name).last().map(|(_, value)| value.to_owned())
        };
        let of_release = |name| field(os_release, name);
        ["PRETTY_NAME", "IMAGE_ID", "NAME", "ID"].into_iter().find_map(of_release)?;
        let (id, tries) = without_counter(file, ".efi");
        let id = match profile {
            0 => id,
            _ => {
                let name = profile_text.and_then(|text| field(text, "ID")).unwrap_or_else(|| profile.to_string());
                format!("{id}@{name}")
            }
        };
        Some(Self {
            id: id.to_lowercase(),
            kind: EntryKind::Unified { file: file.to_owned(), profile },
            sort_key: ["IMAGE_ID", "ID"].into_iter().find_map(of_release),
            machine_id: None,
            version: ["IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID"].into_iter().find_map(of_release),
            tries,
        })
    }

    fn profile(&self) -> u32 {
        match self.kind {
            EntryKind::Unified { profile, .. } => profile,
            EntryKind::Image { .. } => 0,
        }
    }

    /// The identifier that profiles of one image share.
    fn base(&self) -> &str {
        match self.profile() {
            0 => &self.id,
            _ => self.id.rsplit_once('@').map_or(&self.id, |(base, _)| base),
        }
    }

    /// The menu's order: entries without tries left last, those with a sort key first and by it, newest version first.
    #[must_use]
    pub fn order(&self, other: &Self) -> Ordering {
        let exhausted = |entry: &Self| entry.tries.is_some_and(|(left, _)| left == 0);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut order = exhausted(self).cmp(&exhausted(other));
        order = order.then(self.sort_key.is_none().cmp(&other.sort_key.is_none()));
        if self.sort_key.is_some() && other.sort_key.is_some() {
            order = order.then(self.sort_key.cmp(&other.sort_key));
            order = order.then(text(&self.machine_id).cmp(&text(&other.machine_id)));
            order = order.then(compare_versions(&text(&self.version), &text(&other.version)).reverse());
        }
        order = order
            .then(compare_versions(self.base(), other.base()).reverse())
            .then(self.profile().cmp(&other.profile()));
        match (self.tries, other.tries) {
            (Some((left, done)), Some((other_left, other_done))) => {
                order.then(left.cmp(&other_left).reverse()).then(done.cmp(&other_done))
            }
            _ => order,
        }
    }
}

/// A file's name without its boot counter, and the counter: `web+3-1.efi` is `web.efi`, three tries left and one done
/// (UAPI Group, "Boot Loader Specification", section "Boot Counting").
pub(crate) fn without_counter(file: &str, suffix: &str) -> (String, Option<(u32, u32)>) {
    let counted = || {
        let stem = file.len().checked_sub(suffix.len()).and_then(|length| file.split_at_checked(length));
        let (stem, end) = stem.filter(|(_, end)| end.eq_ignore_ascii_case(suffix))?;
        let (name, counter) = stem.rsplit_once('+')?;
        let (left, done) = counter.split_once('-').unwrap_or((counter, "0"));
        let number = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| text.parse::<u32>().ok())?
                .filter(|n| *n <= 0x7FFF_FFFF)
        };
        Some((format!("{name}{end}"), (number(left)?, number(done)?)))
    };
    match counted() {
        Some((name, tries)) => (name, Some(tries)),
        None => (file.to_owned(), None),
    }
}
