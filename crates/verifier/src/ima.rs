//! What IMA measured, held against the files that a policy allows.

use nitrotpm_eventlog::escape;
use nitrotpm_eventlog::ima::{AllowList, ConfirmedIma, FindingKind};

use crate::claims::Claims;
use crate::outcome::Reason;

/// How many files a result names; more are counted.
const NAMED: usize = 20;

/// A reason for each proven entry that the list does not allow.
pub(crate) fn appraise(list: &AllowList, claims: &Claims<'_>) -> Vec<Reason> {
    let Some(confirmed) = claims.confirmed_ima() else {
        return vec![Reason::new(
            "ima_log.missing",
            "the policy has an IMA allow-list, and the evidence has no IMA list that the signed PCR 10 proves; collect \
             binary_runtime_measurements, and quote PCR 10",
        )];
    };
    let findings = list.appraise(confirmed).findings;
    let mut reasons: Vec<_> = findings
        .iter()
        .take(NAMED)
        .map(|finding| Reason::new("ima_log.not-allowed", sentence(confirmed, finding.entry, finding.kind)))
        .collect();
    let more = findings.len().saturating_sub(NAMED);
    if more > 0 {
        reasons
            .push(Reason::new("ima_log.not-allowed", format!("{more} more entries of the IMA list are not allowed")));
    }
    reasons
}

fn sentence(confirmed: &ConfirmedIma<'_>, entry: usize, kind: FindingKind) -> String {
    let entries = confirmed.entries();
    let found = entries.iter().find(|candidate| candidate.index() == entry);
    let name =
        found.and_then(|entry| entry.file_name()).map_or_else(String::new, |name| escape(name.bytes()).to_string());
    let digest =
        found.and_then(|entry| entry.file_digest()).map(|digest| hex::encode(digest.digest)).unwrap_or_default();
    match kind {
        FindingKind::NotListed => {
            format!("entry {entry} of the IMA list is {name}, which the allow-list does not name")
        }
        FindingKind::OtherDigest => {
            format!(
                "entry {entry} of the IMA list is {name} with digest {digest}, which the allow-list does not give it"
            )
        }
        FindingKind::Violation => {
            format!(
                "entry {entry} of the IMA list says that a file changed while it was measured: what ran is not known"
            )
        }
        FindingKind::NotProven => format!("entry {entry} of the IMA list is not what its hash was made of"),
        _ => format!("entry {entry} of the IMA list is of a template that has no file"),
    }
}
