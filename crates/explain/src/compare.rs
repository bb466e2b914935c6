//! A boot's log against a reference, event by event.

use std::collections::{BTreeMap, BTreeSet};

use nitrotpm_digest_lanes::Digest;
use nitrotpm_eventlog::{Cause, Change, Decoded, Event, EventLog, EventType, LogError, Rule};
use nitrotpm_pcr::{Bank, PcrIndex};

use crate::command_line;
use crate::reference::Reference;

/// One event that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The register.
    pub pcr: PcrIndex,
    /// The bank whose digests were compared.
    pub bank: Bank,
    /// What it comes from.
    pub cause: Cause,
    /// A sentence for a person; every string of a log in it is escaped.
    pub message: String,
    /// The event of the boot's log, counting from 0 with its header; none where the boot lacks it.
    pub event: Option<usize>,
    /// The digest that the reference has.
    pub expected: Option<Digest>,
    /// The digest that the boot has.
    pub found: Option<Digest>,
    /// What place it takes among causes.
    pub(crate) kind: Kind,
}

/// What matters for the order in which differences are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The state of Secure Boot itself: other differences follow from it.
    SecureBootState,
    /// One image more or less than expected: it brings other things with it.
    OtherImages,
    /// Something of its own.
    Own,
    /// What follows from another difference: an image that differs because of what is in it, a command line that a boot
    /// loader passes on.
    Container,
}

/// What differs between a reference and a boot, the most likely cause of the others first.
///
/// Only registers of which the reference knows every event are compared. `others` are searched for what was found
/// instead: an image that is known is named.
///
/// # Errors
/// [`LogError`] where reference and log cannot be compared: no bank in common, or a log of another kind. A reference
/// without events has no differences.
pub fn compare(
    reference: &Reference,
    found: &EventLog<'_>,
    bank: Option<Bank>,
    others: &[&Reference],
) -> Result<Vec<Difference>, LogError> {
    let Some(expected) = reference.log() else { return Ok(Vec::new()) };
    // The one lifetime of both: shorter than either.
    let (expected, found): (&EventLog<'_>, &EventLog<'_>) = (&expected, found);
    let diff = match bank {
        Some(bank) => shorten(expected).diff_in(shorten(found), bank)?,
        None => shorten(expected).diff(shorten(found))?,
    };
    let bank = diff.bank();
    let known = known_digests(others, reference, bank);
    let lines = known_lines(reference, bank);
    let sections = digests_of(found, 11, bank);
    let mut differences = Vec::new();
    for difference in diff.differences().iter().filter(|difference| reference.knows(difference.pcr())) {
        let (before, after) = match difference.change() {
            Some(Change::Added(after)) => (None, Some(after)),
            Some(Change::Removed(before)) => (Some(before), None),
            Some(Change::Changed { before, after }) => (Some(before), Some(after)),
            None => continue,
        };
        // The contents of a section differ where its name does.
        if after.or(before).is_some_and(|event| event.payload_check().rule() == Some(Rule::NameInUtf8)) {
            continue;
        }
        let digest = |event: Option<&Event<'_>>| event.and_then(|event| event.digest(bank));
        let mut entry = Difference {
            pcr: difference.pcr(),
            bank,
            cause: difference.cause(),
            message: difference.to_string(),
            event: after.map(|event| event.index()),
            expected: digest(before.as_ref()),
            found: digest(after.as_ref()),
            kind: kind(before.as_ref(), after.as_ref()),
        };
        in_words_of_prediction(&mut entry, reference, before.as_ref(), after.as_ref());
        name_command_line(&mut entry, &lines, &sections, after.as_ref());
        if let Some(other) = entry.found.and_then(|digest| known.get(&(entry.pcr, digest))) {
            entry.message.push_str("; built for ");
            entry.message.push_str(&other.title());
        }
        differences.push(entry);
    }
    settle(&mut differences, reference);
    Ok(differences)
}

/// Lets two logs have one lifetime.
fn shorten<'s, 'l: 's>(log: &'s EventLog<'l>) -> &'s EventLog<'s> {
    log
}

fn kind(before: Option<&Event<'_>>, after: Option<&Event<'_>>) -> Kind {
    let Some(event) = after.or(before) else { return Kind::Own };
    let is_image = is_image(event);
    match event.decode() {
        Ok(Decoded::Variable(variable)) if variable.name.is("SecureBoot") && before.is_some() && after.is_some() => {
            Kind::SecureBootState
        }
        _ if is_image && (before.is_none() || after.is_none()) => Kind::OtherImages,
        _ if is_image => Kind::Container,
        _ => Kind::Own,
    }
}

pub(crate) fn is_image(event: &Event<'_>) -> bool {
    matches!(
        event.event_type(),
        EventType::EFI_BOOT_SERVICES_APPLICATION
            | EventType::EFI_BOOT_SERVICES_DRIVER
            | EventType::EFI_RUNTIME_SERVICES_DRIVER
    )
}

/// The file of an image that was loaded. No digest proves its name.
fn file(event: &Event<'_>) -> Option<String> {
    match event.decode() {
        Ok(Decoded::ImageLoad(image)) => {
            let file = image.path().ok()?.file()?;
            // A path's separators are no escapes.
            Some(file.chars().map(|c| if c == '\\' { "\\".to_owned() } else { c.escape_debug().to_string() }).collect())
        }
        _ => None,
    }
}

/// A prediction has no device paths, and says what each event is.
fn in_words_of_prediction(
    entry: &mut Difference,
    reference: &Reference,
    before: Option<&Event<'_>>,
    after: Option<&Event<'_>>,
) {
    let Some(words) = before.and_then(|event| reference.words(event.index())) else { return };
    let words = words.escape_debug();
    match after {
        None => entry.message = format!("\"{words}\" was predicted and is not measured"),
        Some(after) if is_image(after) => {
            let file = file(after).unwrap_or_else(|| "that was loaded".to_owned());
            entry.message = format!("the image {file} has other contents than predicted (\"{words}\")");
        }
        Some(_) => {}
    }
}

/// The command lines that the reference is known to have, by the digest of each bank's events.
fn known_lines(reference: &Reference, bank: Bank) -> Vec<String> {
    let Some(log) = reference.log() else { return Vec::new() };
    let mut lines: Vec<String> = Vec::new();
    for event in log.events() {
        let Some(digest) = event.digest(bank) else { continue };
        if let Some(line) = reference.words(event.index()).and_then(|words| command_line::of_words(words, &digest)) {
            lines.push(line);
        } else if let Some(line) = text(&event).filter(|line| command_line::is_of(line, &digest)) {
            lines.push(line);
        }
    }
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// The text that an event carries, where its digest may be that of a command line.
fn text(event: &Event<'_>) -> Option<String> {
    match (event.decode().ok()?, event.pcr()?.get()) {
        (Decoded::Text(text) | Decoded::Grub { kind: "kernel_cmdline", text }, 8 | 12) => Some(text.chars().collect()),
        _ => None,
    }
}

/// The digests of a register's events.
fn digests_of(log: &EventLog<'_>, pcr: u8, bank: Bank) -> BTreeSet<Digest> {
    let events = log.events().filter(|event| event.pcr().is_some_and(|of| of.get() == pcr));
    events.filter_map(|event| event.digest(bank)).collect()
}

/// Says what changed on a command line of which the log has the digest alone, and whose line a boot loader passes on.
/// `sections` are the digests of the boot's PCR 11.
fn name_command_line(entry: &mut Difference, lines: &[String], sections: &BTreeSet<Digest>, after: Option<&Event<'_>>) {
    if entry.cause != Cause::KernelCommandLine {
        return;
    }
    if let (Some(expected), Some(digest)) = (entry.expected, entry.found)
        && let Some(line) = lines.iter().find(|line| command_line::is_of(line, &expected))
    {
        let place = entry.message.strip_suffix(" has other contents").unwrap_or("the kernel command line").to_owned();
        match command_line::change(line, &digest) {
            Some(change) => entry.message = format!("{place} {change}"),
            None if entry.message.ends_with("has other contents") => {
                entry.message = format!(
                    "{place} is not \"{}\" any more; tried in vain: {}",
                    line.escape_debug(),
                    command_line::SEARCHED
                );
            }
            None => {}
        }
    }
    // A boot loader that passes the image's own command line on adds nothing to it.
    if let (None, Some(after)) = (entry.expected, after)
        && let Some(line) = text(after)
        && command_line::digests(&line, entry.bank).iter().any(|digest| sections.contains(digest))
    {
        entry.message.push_str("; it is the image's own, passed on by a boot loader");
        entry.kind = Kind::Container;
    }
}

/// Every digest of the other references, by register.
fn known_digests<'r>(
    others: &[&'r Reference],
    reference: &Reference,
    bank: Bank,
) -> BTreeMap<(PcrIndex, Digest), &'r Reference> {
    let mut known = BTreeMap::new();
    for other in others.iter().filter(|other| other.name() != reference.name()) {
        for event in other.log().iter().flat_map(EventLog::events) {
            if let (Some(pcr), Some(digest)) = (event.pcr(), event.digest(bank)) {
                known.entry((pcr, digest)).or_insert(*other);
            }
        }
    }
    known
}

/// The registers that show what is inside an image that PCR 4 has as a whole.
const CONTENTS: [u8; 2] = [9, 11];

/// Finds out what follows from what, and sorts by it.
fn settle(differences: &mut [Difference], reference: &Reference) {
    let of = |differences: &[Difference], pcr: u8, cause: Cause| {
        differences.iter().any(|entry| entry.pcr.get() == pcr && entry.cause == cause)
    };
    let sections_known = PcrIndex::new(11).is_some_and(|pcr| reference.knows(pcr));
    // The kernel gets its initrd from the stub, which adds to the image's own: another stub, or what lies beside.
    let initrd_is_the_images = of(differences, 11, Cause::Initrd);
    let other_sections = differences.iter().any(|entry| entry.pcr.get() == 11);
    for entry in differences.iter_mut().filter(|entry| entry.pcr.get() == 9 && entry.cause == Cause::Initrd) {
        if sections_known && !initrd_is_the_images && !entry.message.starts_with("the file") {
            entry
                .message
                .push_str("; the one in the image is as expected, so the stub or files beside the image did it");
            if other_sections {
                (entry.cause, entry.kind) = (Cause::BootImage, Kind::Container);
            }
        }
    }
    let mut inside: Vec<Cause> =
        differences.iter().filter(|entry| CONTENTS.contains(&entry.pcr.get())).map(|entry| entry.cause).collect();
    inside.sort_unstable();
    inside.dedup();
    // Several parts at once: another build, which the image stands for.
    let is_another_build = inside.len() > 1;
    for entry in differences.iter_mut().filter(|entry| is_another_build && entry.kind == Kind::Container) {
        entry.kind = Kind::OtherImages;
        entry.message.push_str("; several parts of it differ, as in another build");
    }
    // A command line that no image has is the cause, whatever brought it; a loader that adds none is a cause of its own.
    let is_foreign = |entry: &Difference| {
        entry.pcr.get() == 12
            && (entry.cause, entry.kind) == (Cause::KernelCommandLine, Kind::Own)
            && entry.found.is_some()
    };
    let foreign_line = differences.iter().any(is_foreign);
    differences.sort_by_key(|entry| {
        let first = match entry.kind {
            Kind::SecureBootState => 0_u8,
            _ if entry.cause == Cause::SecureBootPolicy => 1,
            Kind::OtherImages if !foreign_line => 2,
            _ => 3,
        };
        (first, entry.cause, entry.kind, entry.pcr)
    });
}
