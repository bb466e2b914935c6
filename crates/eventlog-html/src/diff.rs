//! What differs between two logs, as a page.

use core::fmt::{self, Write};

use nitrotpm_eventlog::{Change, Difference, Event, LogDiff};

use crate::escape::Html;
use crate::events::fields;
use crate::page::{begin, fact};

/// A page about the differences of two logs. It has no script.
#[derive(Clone, Copy)]
pub struct DiffPage<'p, 'a> {
    titles: [&'p str; 2],
    diff: &'p LogDiff<'a>,
}

impl<'p, 'a> DiffPage<'p, 'a> {
    /// A page about two logs, called `first` and `second`: the files' names as a rule.
    #[must_use]
    pub const fn new(first: &'p str, second: &'p str, diff: &'p LogDiff<'a>) -> Self {
        Self { titles: [first, second], diff }
    }

    /// The page as text.
    #[must_use]
    pub fn to_html(&self) -> String {
        let mut page = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut page);
        page
    }

    /// Writes the page, difference by difference.
    ///
    /// # Errors
    /// What `out` gives.
    pub fn write(&self, out: &mut dyn Write) -> fmt::Result {
        let [first, second] = self.titles;
        let title = format_args!("{first} and {second} - event logs compared");
        begin(out, title, format_args!("Event logs compared"), None)?;
        out.write_str("<dl class=\"facts\">\n")?;
        fact(out, "", "first log", format_args!("{first}"))?;
        fact(out, "", "second log", format_args!("{second}"))?;
        fact(out, "", "compared by", format_args!("{}", self.diff.bank()))?;
        out.write_str("</dl>\n")?;
        let differences = self.diff.differences();
        if differences.is_empty() {
            out.write_str("<div class=\"verdict yes\"><strong>Match.</strong> The same measurements.</div>\n")?;
        } else {
            let (count, are) = (differences.len(), if differences.len() == 1 { "difference" } else { "differences" });
            write!(
                out,
                "<div class=\"verdict no\"><strong>{count} {are}.</strong> The most likely cause of the others stands \
                 first.</div>\n<table id=\"diff\">\n<thead><tr><th scope=\"col\">PCR</th><th scope=\"col\">cause</th>\
                 <th scope=\"col\">what differs</th></tr></thead>\n<tbody>\n"
            )?;
            differences.iter().try_for_each(|difference| row(out, difference))?;
            out.write_str("</tbody>\n</table>\n")?;
        }
        write!(
            out,
            "<footer>Made by nitrotpm {}. The logs are compared as they are: a replay against authenticated PCRs says \
             whether they are true.</footer>\n</body>\n</html>\n",
            env!("CARGO_PKG_VERSION"),
        )
    }
}

fn row(out: &mut dyn Write, difference: &Difference<'_>) -> fmt::Result {
    let (before, after) = match difference.change() {
        Some(Change::Added(after)) => (None, Some(after)),
        Some(Change::Removed(before)) => (Some(before), None),
        Some(Change::Changed { before, after }) => (Some(before), Some(after)),
        None => (None, None),
    };
    writeln!(
        out,
        "<tr><td data-name=\"PCR\">{}</td><td class=\"mark no\">{}</td><td class=\"w\">{}<div class=\"sides\">",
        difference.pcr(),
        difference.cause().name(),
        Html(difference),
    )?;
    side(out, "first log", before.as_ref())?;
    side(out, "second log", after.as_ref())?;
    out.write_str("</div></td></tr>\n")
}

fn side(out: &mut dyn Write, log: &str, event: Option<&Event<'_>>) -> fmt::Result {
    let Some(event) = event else {
        return writeln!(out, "<p class=\"quiet\">{log}: not there</p>");
    };
    let (index, event_type) = (event.index(), event.event_type());
    writeln!(out, "<details><summary>{log}: event {index}, {event_type}, {}</summary>", Html(event.summary()))?;
    fields(out, event)?;
    out.write_str("</details>\n")
}
