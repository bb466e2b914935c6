//! A difference as a sentence.

use alloc::collections::BTreeSet;
use core::fmt::{self, Formatter};

use super::subject::{Item, Subject};
use crate::decode::{EventTag, SignatureEntry, UefiVariable, VariableContents};
use crate::text::Text;

/// Writes a sentence about what both have, or one of them.
pub(super) fn write(f: &mut Formatter<'_>, before: Option<&Item<'_>>, after: Option<&Item<'_>>) -> fmt::Result {
    match (before, after) {
        (Some(before), Some(after)) => changed(f, before, after),
        (Some(only), None) => {
            name(f, only)?;
            f.write_str(" was measured and is no more")?;
            detail(f, only)
        }
        (None, Some(only)) => {
            name(f, only)?;
            f.write_str(" is measured and was not")?;
            detail(f, only)
        }
        (None, None) => Ok(()),
    }
}

/// What the thing is called.
fn name(f: &mut Formatter<'_>, item: &Item<'_>) -> fmt::Result {
    match item.subject {
        Subject::Variable(variable) if variable.name.is("SecureBoot") => f.write_str("the state of Secure Boot"),
        Subject::Variable(variable) => write!(f, "the variable {}", variable.name),
        Subject::Authority(variable) => write!(f, "an authority of {}", variable.name),
        Subject::Image(Some(file)) => write!(f, "the image {}", Path(file)),
        Subject::Image(None) => f.write_str("an image that has no file"),
        Subject::SectionName(name) => write!(f, "the name of the section {name}"),
        Subject::Section(name) if name.is(".cmdline") => f.write_str("the kernel command line in the image (.cmdline)"),
        Subject::Section(name) if name.is(".initrd") => f.write_str("the initrd in the image (.initrd)"),
        Subject::Section(name) if name.is(".linux") => f.write_str("the kernel in the image (.linux)"),
        Subject::Section(name) => write!(f, "the section {name} of the image"),
        Subject::Grub { kind: "kernel_cmdline", .. } => f.write_str("the kernel command line of GRUB"),
        Subject::Grub { .. } => f.write_str("a command of GRUB"),
        Subject::CommandLine(_) => f.write_str("a kernel command line beside the image"),
        Subject::File(name) => write!(f, "the file {name}"),
        Subject::Tag(EventTag::LINUX_LOAD_OPTIONS) => f.write_str("the command line that the kernel was started with"),
        Subject::Tag(EventTag::LINUX_INITRD) => f.write_str("the initrd that the kernel loaded"),
        Subject::Tag(tag) => match tag.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "the tagged event {:#010x}", tag.0),
        },
        Subject::Action(text) => write!(f, "the action \"{text}\""),
        Subject::Text(_) | Subject::Other(_) => write!(f, "{}", item.event.event_type()),
        Subject::Locality(_) => f.write_str("the locality at which the platform started"),
    }
}

/// A path of a file: its separators are no escapes.
struct Path<'a>(Text<'a>);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\")?,
                other => {
                    let mut buffer = [0; 4];
                    write!(f, "{}", crate::escape(other.encode_utf8(&mut buffer).as_bytes()))?;
                }
            }
        }
        Ok(())
    }
}

/// The text that the digests prove, where there is one.
fn text<'a>(item: &Item<'a>) -> Option<Text<'a>> {
    let text = match item.subject {
        Subject::Grub { text, .. } | Subject::CommandLine(text) | Subject::Text(text) => text,
        _ => return None,
    };
    item.is_proven().then_some(text)
}

fn detail(f: &mut Formatter<'_>, item: &Item<'_>) -> fmt::Result {
    match item.subject {
        Subject::Authority(variable) if item.is_proven() => match variable.authority_entry() {
            Some(entry) => write!(f, ": {}", Entry(entry)),
            None => Ok(()),
        },
        _ => match text(item) {
            Some(text) => write!(f, ": \"{text}\""),
            None => Ok(()),
        },
    }
}

fn changed(f: &mut Formatter<'_>, before: &Item<'_>, after: &Item<'_>) -> fmt::Result {
    name(f, after)?;
    match (before.subject, after.subject) {
        (Subject::Variable(a), Subject::Variable(b)) if before.is_proven() && after.is_proven() => {
            return variable_changed(f, &a, &b);
        }
        (Subject::Locality(a), Subject::Locality(b)) => return write!(f, " was {a} and is {b}"),
        (Subject::Image(a), Subject::Image(b)) if a != b => {
            return match a {
                Some(file) => write!(f, " was loaded instead of {}", Path(file)),
                None => f.write_str(" was loaded instead of an image that has no file"),
            };
        }
        (Subject::Authority(a), Subject::Authority(b)) if before.is_proven() && after.is_proven() => {
            if let Some((a, b)) = a.authority_entry().zip(b.authority_entry()) {
                return write!(f, " was {} and is {}", Entry(a), Entry(b));
            }
        }
        _ => {}
    }
    match (text(before), text(after)) {
        (Some(before), Some(after)) => write!(f, " was \"{before}\" and is \"{after}\""),
        _ => f.write_str(" has other contents"),
    }
}

fn variable_changed(f: &mut Formatter<'_>, before: &UefiVariable<'_>, after: &UefiVariable<'_>) -> fmt::Result {
    match (before.contents(), after.contents()) {
        (Ok(VariableContents::Flag(a)), Ok(VariableContents::Flag(b))) if after.name.is("SecureBoot") => {
            let state = |flag| if flag == 1 { "on" } else { "off" };
            write!(f, " was {} and is {}", state(a), state(b))
        }
        (Ok(VariableContents::Flag(a)), Ok(VariableContents::Flag(b))) => write!(f, " was {a} and is {b}"),
        (Ok(VariableContents::SignatureLists(a)), Ok(VariableContents::SignatureLists(b))) => {
            let (a, b): (BTreeSet<_>, BTreeSet<_>) = (a.entries().collect(), b.entries().collect());
            listed(f, " lost ", a.difference(&b).copied())?;
            listed(f, if a.is_subset(&b) { " gained " } else { ", and gained " }, b.difference(&a).copied())?;
            if a == b { f.write_str(" has the same entries in other lists or another order") } else { Ok(()) }
        }
        (Ok(VariableContents::BootOrder(a)), Ok(VariableContents::BootOrder(b))) => {
            f.write_str(" was")?;
            order(f, a)?;
            f.write_str(" and is")?;
            order(f, b)
        }
        (Ok(VariableContents::LoadOption(a)), Ok(VariableContents::LoadOption(b))) => {
            write!(f, " was \"{}\" at {} and is \"{}\" at {}", a.description, a.path, b.description, b.path)
        }
        (Ok(VariableContents::Text(a)), Ok(VariableContents::Text(b))) => write!(f, " was \"{a}\" and is \"{b}\""),
        _ => f.write_str(" has other contents"),
    }
}

fn order(f: &mut Formatter<'_>, order: &[[u8; 2]]) -> fmt::Result {
    order.iter().try_for_each(|number| write!(f, " {:04X}", u16::from_le_bytes(*number)))
}

/// How many entries are named; a dbx can change by hundreds.
const MOST_NAMED: usize = 4;

fn listed<'a>(f: &mut Formatter<'_>, verb: &str, entries: impl Iterator<Item = SignatureEntry<'a>>) -> fmt::Result {
    let mut count = 0_usize;
    for entry in entries {
        match count {
            0 => write!(f, "{verb}{}", Entry(entry))?,
            1..MOST_NAMED => write!(f, ", {}", Entry(entry))?,
            _ => {}
        }
        count = count.saturating_add(1);
    }
    match count.checked_sub(MOST_NAMED) {
        Some(more @ 1..) => write!(f, " and {more} more"),
        _ => Ok(()),
    }
}

/// An entry as a person knows it: a certificate by its subject, a digest by its first bytes.
struct Entry<'a>(SignatureEntry<'a>);

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(subject) = self.0.certificate_subject() {
            return write!(f, "the certificate \"{subject}\"");
        }
        write!(f, "the {} entry ", self.0.kind.name().unwrap_or("unknown"))?;
        self.0.data.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
