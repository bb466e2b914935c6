//! Which entry systemd-boot starts when nobody presses a key.

use crate::{BootFilesError, Entry, LoaderConf};

/// Versions of systemd-boot whose source was read.
const CHECKED: [u32; 3] = [252, 254, 257];

/// Sorts the entries as the menu does and gives the one that is started: the first that `default` matches, else the
/// first.
///
/// # Errors
/// [`BootFilesError::Menu`] where there is no entry, the menu waits for a person, or the choice was not checked for this
/// version of systemd-boot.
pub fn choose(mut entries: Vec<Entry>, conf: &LoaderConf, version: u32) -> Result<Entry, BootFilesError> {
    let unclear = |reason: String| Err(BootFilesError::Menu { reason });
    if conf.waits {
        return unclear("loader.conf says \"timeout menu-force\", so the menu waits for a person".into());
    }
    if entries.len() > 1 && !CHECKED.contains(&version) {
        return unclear(format!("how systemd-boot {version} chooses among {} entries was not checked", entries.len()));
    }
    entries.sort_by(Entry::order);
    let ambiguous = entries.windows(2).any(|pair| matches!(pair, [one, two] if one.id == two.id));
    if ambiguous {
        return unclear("two entries have one name".into());
    }
    let mut default = None;
    if let Some(pattern) = &conf.default {
        if pattern.starts_with('@') {
            return unclear("loader.conf takes the entry that was saved in a UEFI variable".into());
        }
        if pattern.contains(['[', ']', '\\']) {
            return unclear(format!("the pattern \"{}\" of loader.conf was not checked", pattern.escape_debug()));
        }
        default = entries.iter().position(|entry| matches(pattern, &entry.id));
    }
    match entries.into_iter().nth(default.unwrap_or(0)) {
        Some(entry) => Ok(entry),
        None => unclear("there is no entry in loader/entries and no image in EFI/Linux".into()),
    }
}

/// Whether a text fits a pattern of `*` and `?`. Takes no more steps than the product of the lengths.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Which beginnings of the text the pattern so far fits.
    let mut fits: Vec<bool> = std::iter::once(true).chain(text.iter().map(|_| false)).collect();
    for wanted in pattern {
        let mut next = Vec::with_capacity(fits.len());
        let mut before = false;
        for (position, fit) in fits.iter().enumerate() {
            let here = if wanted == '*' {
                *fit || next.last().copied().unwrap_or(false)
            } else {
                let character = position.checked_sub(1).and_then(|last| text.get(last));
                before && character.is_some_and(|character| wanted == '?' || *character == wanted)
            };
            next.push(here);
            before = *fit;
        }
        fits = next;
    }
    fits.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EntryKind, Machine};

    fn entry(file: &str, lines: &str) -> Entry {
        Entry::parse(file, &format!("linux /{file}\n{lines}"), Machine::X86_64).unwrap()
    }

    fn chosen(entries: &[Entry], conf: &str) -> Result<String, BootFilesError> {
        choose(entries.to_vec(), &LoaderConf::parse(conf), 257).map(|entry| entry.id)
    }

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b", "ab", true),
            ("a*b", "aXXb", true),
            ("a*b", "aXXbc", false),
            ("?", "", false),
            ("a?c", "abc", true),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaac", false),
            ("web-*.conf", "web-41.conf", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn the_newest_version_of_the_first_sort_key_starts() {
        let entries = [
            entry("c.conf", "version 99"),
            entry("a.conf", "sort-key web\nversion 6.1.9"),
            entry("b.conf", "sort-key web\nversion 6.1.10"),
            entry("d.conf", "sort-key zzz\nversion 7"),
        ];
        assert_eq!(chosen(&entries, "").unwrap(), "b.conf");
        assert_eq!(chosen(&entries[..1], "").unwrap(), "c.conf");
        // Without sort keys the name decides.
        assert_eq!(chosen(&[entry("web-9.conf", ""), entry("web-10.conf", "")], "").unwrap(), "web-10.conf");
    }

    #[test]
    fn an_entry_without_tries_left_comes_last() {
        let entries = [entry("new+0-3.conf", "sort-key a\nversion 2"), entry("old.conf", "sort-key a\nversion 1")];
        assert_eq!(chosen(&entries, "").unwrap(), "old.conf");
        let entries = [entry("new+1-2.conf", "sort-key a\nversion 2"), entry("old.conf", "sort-key a\nversion 1")];
        assert_eq!(chosen(&entries, "").unwrap(), "new.conf");
    }

    #[test]
    fn loader_conf_names_the_default() {
        let entries = [entry("web-1.conf", ""), entry("web-2.conf", ""), entry("db-1.conf", "")];
        assert_eq!(chosen(&entries, "# nothing\ndefault \t DB-*\n").unwrap(), "db-1.conf");
        assert_eq!(chosen(&entries, "default none\n").unwrap(), "web-2.conf");
        assert_eq!(chosen(&entries, "default \"web-1.conf\"\ntimeout 3").unwrap(), "web-1.conf");
        for conf in ["default @saved", "default web[1]", "timeout menu-force"] {
            assert_eq!(chosen(&entries, conf).unwrap_err().code(), "boot.menu", "{conf}");
        }
        assert_eq!(chosen(&[], "").unwrap_err().code(), "boot.menu");
        assert_eq!(choose(entries.to_vec(), &LoaderConf::default(), 260).unwrap_err().code(), "boot.menu");
        assert!(choose(entries[..1].to_vec(), &LoaderConf::default(), 260).is_ok());
    }

    #[test]
    fn unified_images_and_their_profiles() {
        let release = "NAME=\"Debian\"\nID=debian\nVERSION_ID=12\nIMAGE_VERSION=41\n";
        let image =
            |file, profile| Entry::unified(file, release, profile, (profile > 0).then_some("ID=debug")).unwrap();
        let entries = [image("web+3.efi", 1), image("web+3.efi", 0)];
        let first = choose(entries.to_vec(), &LoaderConf::default(), 257).unwrap();
        assert_eq!(first.kind, EntryKind::Unified { file: "web+3.efi".into(), profile: 0 });
        assert_eq!((first.sort_key.as_deref(), first.version.as_deref()), (Some("debian"), Some("41")));
        assert_eq!(chosen(&entries, "default web.efi@debug").unwrap(), "web.efi@debug");
        assert_eq!(Entry::unified("x.efi", "VERSION=1", 0, None), None);
    }

    #[test]
    fn entries_of_type_1() {
        let text = "title x\nlinux /k\ninitrd /a\ninitrd  /b\noptions ro\noptions  quiet x\r\narchitecture X64\n";
        let parsed = Entry::parse("E.conf", text, Machine::X86_64).unwrap();
        let kind = EntryKind::Image {
            path: "/k".into(),
            linux: true,
            options: Some("ro quiet x".into()),
            initrds: vec!["/a".into(), "/b".into()],
        };
        assert_eq!((parsed.id.as_str(), &parsed.kind), ("e.conf", &kind));
        assert_eq!(Entry::parse("e.conf", text, Machine::Arm64), None);
        assert_eq!(Entry::parse("e.conf", "title x\n", Machine::X86_64), None);
    }
}
