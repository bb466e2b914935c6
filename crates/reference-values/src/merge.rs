//! Two policies for the time of a rollout.

use nitrotpm_freshness::UnixTime;
use nitrotpm_verifier::{Image as PolicyImage, Policy, Requirements};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use crate::ReferenceValueError;
use crate::image::rfc3339;

/// The new policy, which accepts the old one's images too until a time; comments stay.
///
/// An image that both have stays as the new policy has it. Of the requirements the stricter ones hold, for the old images
/// too: a merged policy accepts nothing that neither of the two accepts.
///
/// # Errors
/// [`ReferenceValueError`]: one of the policies cannot be read, both have an image of one name with different values,
/// images that do not stand in tables of their own, requirements that cannot be joined.
pub fn merge(old: &[u8], new: &[u8], until: UnixTime) -> Result<String, ReferenceValueError> {
    let read = |bytes, which| Policy::from_toml(bytes).map_err(|source| ReferenceValueError::Policy { which, source });
    let (old_policy, new_policy) = (read(old, "old")?, read(new, "new")?);
    let (old_document, mut document) = (document(old, "old")?, document(new, "new")?);
    let required = join(old_policy.require(), new_policy.require())?;
    for image in old_policy.images() {
        if new_policy.images().iter().any(|other| other.name == image.name && other.pcrs != image.pcrs) {
            return Err(ReferenceValueError::SameName { image: image.name.escape_debug().to_string() });
        }
    }
    let old_tables = tables(&old_document, "old")?;
    let missing: Vec<Table> = old_policy
        .images()
        .iter()
        .zip(old_tables.into_iter().flat_map(ArrayOfTables::iter))
        .filter(|(image, _)| !new_policy.images().iter().any(|other| other.name == image.name))
        .map(|(image, table)| ending(image, table, until))
        .collect();
    tables(&document, "new")?;
    let images = document.entry("image").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let images = images.as_array_of_tables_mut().ok_or(ReferenceValueError::Inline { which: "new" })?;
    missing.into_iter().for_each(|table| images.push(table));
    require(&mut document, &required)?;
    let text = document.to_string();
    // What is written must be a policy, or it would be found out too late.
    read(text.as_bytes(), "merged")?;
    Ok(text)
}

fn document(bytes: &[u8], which: &'static str) -> Result<DocumentMut, ReferenceValueError> {
    let malformed = |message: String| ReferenceValueError::Policy {
        which,
        source: nitrotpm_verifier::PolicyError::Malformed { message },
    };
    let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
    text.parse().map_err(|error: toml_edit::TomlError| malformed(error.to_string()))
}

fn tables<'d>(
    document: &'d DocumentMut,
    which: &'static str,
) -> Result<Option<&'d ArrayOfTables>, ReferenceValueError> {
    match document.get("image") {
        None => Ok(None),
        Some(item) => item.as_array_of_tables().map(Some).ok_or(ReferenceValueError::Inline { which }),
    }
}

/// The image's table with its end: the earlier of its own and the rollout's.
fn ending(image: &PolicyImage, table: &Table, until: UnixTime) -> Table {
    let mut table = table.clone();
    // Behind what is there, whatever place the table had in its own file.
    table.set_position(None);
    let end = image.not_after.map_or(until, |own| own.min(until));
    if image.revoked.is_none() {
        table.insert("not_after", value(rfc3339(end)));
    }
    table
}

/// The stricter of each requirement.
fn join(old: &Requirements, new: &Requirements) -> Result<Requirements, ReferenceValueError> {
    let mut joined = new.clone();
    joined.document |= old.document;
    joined.quote |= old.quote;
    joined.event_log |= old.event_log;
    joined.secure_boot |= old.secure_boot;
    joined.max_age_seconds = match (old.max_age_seconds, new.max_age_seconds) {
        (Some(old), Some(new)) => Some(old.min(new)),
        (old, new) => old.or(new),
    };
    // The stricter number would end the old images at once, or demand one of images that have none.
    if old.minimum_build != new.minimum_build {
        return Err(ReferenceValueError::Requirement { key: "minimum_build" });
    }
    if old.instance_ids != new.instance_ids {
        return Err(ReferenceValueError::Requirement { key: "instance_ids" });
    }
    Ok(joined)
}

fn require(document: &mut DocumentMut, required: &Requirements) -> Result<(), ReferenceValueError> {
    let table = document.entry("require").or_insert_with(|| Item::Table(Table::new()));
    let table = table.as_table_like_mut().ok_or(ReferenceValueError::Requirement { key: "require" })?;
    let flags = [
        ("document", required.document),
        ("quote", required.quote),
        ("event_log", required.event_log),
        ("secure_boot", required.secure_boot),
    ];
    for (key, wanted) in flags {
        if wanted && table.get(key).and_then(Item::as_bool) != Some(true) {
            table.insert(key, value(true));
        }
    }
    if let Some(seconds) = required.max_age_seconds.and_then(|seconds| i64::try_from(seconds).ok())
        && table.get("max_age_seconds").and_then(Item::as_integer) != Some(seconds)
    {
        table.insert("max_age_seconds", value(seconds));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    fn policy(require: &str, images: &[(&str, &str, &str)]) -> String {
        let mut text = format!("# kept\nschema = \"nitrotpm.policy/1\"\n\n[require]\n{require}\n");
        for (name, byte, more) in images {
            text.push_str(&format!(
                "\n# of {name}\n[[image]]\nname = \"{name}\"\n{more}\npcrs.sha384 = {{ 4 = \"{}\" }}\n",
                byte.repeat(48)
            ));
        }
        text
    }

    const UNTIL: u64 = 1_780_315_200;

    #[test]
    fn the_old_image_is_accepted_for_a_time_and_comments_stay() {
        let old = policy(
            "document = true\nmax_age_seconds = 60",
            &[("web-41", "41", ""), ("web-40", "40", "not_after = \"2026-01-01T00:00:00Z\"")],
        );
        let new = policy("quote = true\nmax_age_seconds = 300", &[("web-42", "42", "")]);
        let text = merge(old.as_bytes(), new.as_bytes(), at(UNTIL)).unwrap();
        let merged = Policy::from_toml(text.as_bytes()).unwrap();
        let images: Vec<_> = merged.images().iter().map(|image| (image.name.as_str(), image.not_after)).collect();
        assert_eq!(
            images,
            [("web-42", None), ("web-41", Some(at(UNTIL))), ("web-40", Some(at(1_767_225_600)))],
            "{text}"
        );
        let require = merged.require();
        assert!(require.document && require.quote && require.max_age_seconds == Some(60), "{text}");
        assert!(text.starts_with("# kept\n") && text.contains("# of web-41") && text.contains("# of web-42"), "{text}");
        // Again, with what came out: nothing is added twice.
        let again = merge(old.as_bytes(), text.as_bytes(), at(UNTIL + 1)).unwrap();
        assert_eq!(Policy::from_toml(again.as_bytes()).unwrap().images(), merged.images());
    }

    #[test]
    fn what_would_loosen_or_confuse_is_refused() {
        let one = policy("", &[("web", "41", "")]);
        for (old, code) in [
            (policy("", &[("web", "42", "")]), "merge.same-name"),
            (policy("minimum_build = 1", &[("old", "42", "build = 1")]), "merge.requirement"),
            (policy("instance_ids = [\"i-0123456789abcdef0\"]", &[("old", "42", "")]), "merge.requirement"),
            ("schema = \"other\"".to_owned(), "policy.schema"),
            (
                format!(
                    "schema = \"nitrotpm.policy/1\"\nimage = [{{ name = \"i\", pcrs.sha384 = {{ 4 = \"{}\" }} }}]",
                    "42".repeat(48)
                ),
                "merge.inline-images",
            ),
        ] {
            assert_eq!(merge(old.as_bytes(), one.as_bytes(), at(UNTIL)).unwrap_err().code(), code, "{old}");
        }
        assert!(merge(one.as_bytes(), one.as_bytes(), at(UNTIL)).is_ok());
    }

    #[test]
    fn a_revoked_image_stays_revoked() {
        let old = policy("", &[("bad", "41", "revoked = \"hole\""), ("ok", "40", "")]);
        let text = merge(old.as_bytes(), policy("", &[("new", "42", "")]).as_bytes(), at(UNTIL)).unwrap();
        let merged = Policy::from_toml(text.as_bytes()).unwrap();
        let bad = merged.images().iter().find(|image| image.name == "bad").unwrap();
        assert_eq!((bad.revoked.as_deref(), bad.not_after), (Some("hole"), None));
    }
}
