//! From authenticated to replayed evidence: the event log must give the signed PCRs.

use std::collections::BTreeMap;

use nitrotpm_eventlog::ima::{BankRule, BootAggregate, ConfirmedIma, ImaList};
use nitrotpm_eventlog::{ConfirmedLog, EventLog, LogError, ParseOptions, ReplayedLog as LogReplay, SecureBootState};
use nitrotpm_pcr::{Bank, PcrIndex, PcrValues};

use crate::authenticate::AuthenticatedEvidence;
use crate::claims::Claims;
use crate::error::{Rejection, VerifyError};
use crate::outcome::Check;

/// The last of the registers that only firmware, boot loaders and the kernel's boot stub extend: these must replay.
///
/// The running system goes on extending the others (10 IMA, 11 boot phases, 12 to 15 whatever it likes), and the
/// firmware's log does not hold those events.
const LAST_BOOT_REGISTER: u8 = 9;

/// The register that the kernel extends with what IMA measures.
const IMA_REGISTER: u8 = 10;

/// The last of the registers that every firmware extends on every boot, if only with a separator (TCG PC Client Platform
/// Firmware Profile 1.06, section 3.3.2.2).
const LAST_FIRMWARE_REGISTER: u8 = 7;

/// Authenticated evidence whose event log, if it has one, reproduces the signed PCRs.
///
/// Only [`AuthenticatedEvidence::replay`] makes one, and only this gives [`Claims`].
#[derive(Debug)]
pub struct ReplayedEvidence<'e> {
    pub(crate) authenticated: AuthenticatedEvidence<'e>,
    pub(crate) log: Option<ReplayedLog>,
    pub(crate) ima: Option<ReplayedIma>,
    /// The log itself, for what only some policies ask.
    pub(crate) confirmed_log: Option<ConfirmedLog<'e>>,
    /// The IMA list itself, likewise.
    pub(crate) confirmed_ima: Option<ConfirmedIma<'e>>,
}

/// What the IMA list shows.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ReplayedIma {
    /// Entries that the signed PCR 10 proves.
    pub entries: usize,
    /// Entries after those: measured after the evidence was signed, or invented. Nothing is claimed from them.
    pub unproven: usize,
    /// Proven entries that say that a file changed while it was measured.
    pub violations: usize,
    /// Whether the first entry is the hash of the signed PCR 0 to 9: `matches`, `differs`, `not-checkable`, `missing`.
    pub boot_aggregate: &'static str,
}

/// What the event log shows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayedLog {
    /// The registers whose signed values the log reproduces, by bank.
    pub covered: BTreeMap<&'static str, Vec<u8>>,
    /// The registers with events whose signed values are others: something that is not in the log was extended later.
    pub not_covered: BTreeMap<&'static str, Vec<u8>>,
    /// The banks that are signed and of which the log has no digests: nothing shows that firmware measured into them.
    pub banks_not_in_log: Vec<&'static str>,
    /// The state of Secure Boot.
    pub secure_boot: SecureBootState,
}

impl<'e> AuthenticatedEvidence<'e> {
    /// Replays the event log, in every bank that it shares with the signed PCRs.
    ///
    /// # Errors
    /// A [`Rejection`] where the log cannot be read, shares no bank, does not give the signed value of one of PCR 0 to 9,
    /// or shows that firmware never extended one of PCR 0 to 7, and where no beginning of an IMA list gives the signed PCR
    /// 10. Evidence without a log passes: whether one is required is the policy's business.
    pub fn replay(mut self) -> Result<ReplayedEvidence<'e>, Rejection> {
        let (log, confirmed_log) = self.replay_event_log()?.unzip();
        let (ima, confirmed_ima) = self.replay_ima()?.unzip();
        Ok(ReplayedEvidence { authenticated: self, log, ima, confirmed_log, confirmed_ima })
    }

    /// Ends the walk at the last check.
    fn reject(&mut self, errors: Vec<VerifyError>) -> Rejection {
        Rejection { checks: std::mem::take(&mut self.checks), errors }
    }

    fn replay_event_log(&mut self) -> Result<Option<(ReplayedLog, ConfirmedLog<'e>)>, Rejection> {
        let Some(bytes) = &self.evidence.event_log else {
            self.checks.push(Check::not_applicable("event_log.replay").detail("the evidence has no event log"));
            return Ok(None);
        };
        let parsed = EventLog::parse(bytes, &ParseOptions::default()).and_then(|log| log.replay_all());
        let replayed = match parsed {
            Ok(replayed) => replayed,
            Err(error) => {
                self.checks.push(Check::fail("event_log.structure"));
                return Err(self.reject(vec![VerifyError::Log(error)]));
            }
        };
        self.checks.push(Check::pass("event_log.structure"));
        match confirm(&replayed, &self.pcrs) {
            Ok((log, confirmed)) => {
                self.checks.push(Check::pass("event_log.replay").detail(describe(&log.covered)));
                Ok(Some((log, confirmed)))
            }
            Err(errors) => {
                self.checks.push(Check::fail("event_log.replay"));
                Err(self.reject(errors))
            }
        }
    }

    /// Finds the beginning of the IMA list that gives the signed PCR 10, in every bank in which it is signed.
    fn replay_ima(&mut self) -> Result<Option<(ReplayedIma, ConfirmedIma<'e>)>, Rejection> {
        let id = "ima_log.replay";
        let Some(bytes) = &self.evidence.ima_log else {
            self.checks.push(Check::not_applicable(id).detail("the evidence has no IMA list"));
            return Ok(None);
        };
        let pcr10 = PcrIndex::new(IMA_REGISTER);
        let banks: Vec<Bank> =
            self.pcrs.iter().filter(|(_, pcr, _)| Some(*pcr) == pcr10).map(|(bank, _, _)| bank).collect();
        let (Some(pcr), false) = (pcr10, banks.is_empty()) else {
            self.checks.push(Check::not_applicable(id).detail("PCR 10, which would prove the IMA list, is not signed"));
            return Ok(None);
        };
        let confirmed: Result<Vec<_>, LogError> = ImaList::parse(bytes)
            .and_then(|list| banks.iter().map(|bank| list.confirm(&self.pcrs, *bank, pcr)).collect());
        // The shortest beginning is what every bank proves; a bank of the kernel's own hash proves more than one that holds
        // padded SHA-1.
        let shortest = |ima: &ConfirmedIma<'_>| (ima.entries().len(), ima.rule() != BankRule::Hashed);
        match confirmed.map(|confirmed| confirmed.into_iter().min_by_key(shortest)) {
            Ok(confirmed) => {
                let replayed = confirmed.map(|confirmed| (summary(&confirmed, &self.pcrs), confirmed));
                let entries = replayed.as_ref().map(|(ima, _)| ima.entries);
                let detail = entries.map(|entries| format!("{entries} entries in {} banks", banks.len()));
                self.checks.push(Check { detail, ..Check::pass(id) });
                Ok(replayed)
            }
            Err(error) => {
                self.checks.push(Check::fail(id));
                Err(self.reject(vec![VerifyError::Log(error)]))
            }
        }
    }
}

fn summary(confirmed: &ConfirmedIma<'_>, signed: &PcrValues) -> ReplayedIma {
    ReplayedIma {
        entries: confirmed.entries().len(),
        unproven: confirmed.unproven(),
        violations: confirmed.entries().iter().filter(|entry| entry.is_violation()).count(),
        boot_aggregate: match confirmed.boot_aggregate(signed) {
            BootAggregate::Matches { .. } => "matches",
            BootAggregate::Differs => "differs",
            BootAggregate::Missing => "missing",
            _ => "not-checkable",
        },
    }
}

impl ReplayedEvidence<'_> {
    /// What the evidence shows.
    #[must_use]
    pub const fn claims(&self) -> Claims<'_> {
        Claims::new(self)
    }
}

fn confirm<'e>(
    replayed: &LogReplay<'e>,
    signed: &PcrValues,
) -> Result<(ReplayedLog, ConfirmedLog<'e>), Vec<VerifyError>> {
    let shared: Vec<Bank> = signed.banks().filter(|bank| replayed.bank(*bank).is_some()).collect();
    if shared.is_empty() {
        let names = |banks: Vec<&str>| if banks.is_empty() { "none".to_owned() } else { banks.join(", ") };
        return Err(vec![VerifyError::LogBankMissing {
            log: names(replayed.banks().iter().map(|bank| bank.bank().name()).collect()),
            authenticated: names(signed.banks().map(Bank::name).collect()),
        }]);
    }
    let mut requested = Vec::new();
    let mut not_covered = BTreeMap::<_, Vec<u8>>::new();
    for (bank, pcr, value) in signed.iter().filter(|(bank, _, _)| shared.contains(bank)) {
        let register = replayed.bank(bank).map(|bank| bank.register(pcr));
        let reproduced = register.is_some_and(|register| register.value() == Some(*value));
        let has_events = register.is_some_and(|register| register.has_events());
        if pcr.get() <= LAST_BOOT_REGISTER || (has_events && reproduced) {
            requested.push((bank, pcr));
        } else if has_events {
            not_covered.entry(bank.name()).or_default().push(pcr.get());
        }
    }
    let confirmed = replayed.confirm(signed, requested.iter().copied()).map_err(replay_errors)?;
    // In a bank that firmware left alone, whoever runs later extends what he likes (CVE-2021-42299).
    let never_extended: Vec<_> = requested
        .iter()
        .filter(|(_, pcr)| pcr.get() <= LAST_FIRMWARE_REGISTER)
        .filter(|(bank, pcr)| replayed.bank(*bank).is_none_or(|bank| !bank.register(*pcr).has_events()))
        .map(|(bank, pcr)| VerifyError::NeverExtended { bank: *bank, pcr: *pcr })
        .collect();
    if !never_extended.is_empty() {
        return Err(never_extended);
    }
    let banks_not_in_log = signed.banks().filter(|bank| !shared.contains(bank)).map(Bank::name).collect();
    let covered = by_bank(confirmed.confirmed());
    let secure_boot = confirmed.secure_boot();
    Ok((ReplayedLog { covered, not_covered, banks_not_in_log, secure_boot }, confirmed))
}

fn replay_errors(error: LogError) -> Vec<VerifyError> {
    match error {
        LogError::Mismatch { mismatches } => {
            mismatches.into_iter().map(|mismatch| VerifyError::ReplayMismatch(Box::new(mismatch))).collect()
        }
        error => vec![VerifyError::Log(error)],
    }
}

fn by_bank(registers: &[(Bank, PcrIndex)]) -> BTreeMap<&'static str, Vec<u8>> {
    let mut banks = BTreeMap::<_, Vec<u8>>::new();
    for (bank, pcr) in registers {
        banks.entry(bank.name()).or_default().push(pcr.get());
    }
    banks
}

/// `sha384: PCR 0-9, 11; sha256: …`
fn describe(banks: &BTreeMap<&'static str, Vec<u8>>) -> String {
    let describe = |(bank, pcrs): (&&str, &Vec<u8>)| format!("{bank}: PCR {}", ranges(pcrs));
    banks.iter().map(describe).collect::<Vec<_>>().join("; ")
}

/// `0-9, 11` for an ascending list.
fn ranges(numbers: &[u8]) -> String {
    let runs = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let runs: Vec<String> = runs
        .filter_map(|run| match run {
            [] => None,
            [one] => Some(one.to_string()),
            [first, .., last] => Some(format!("{first}-{last}")),
        })
        .collect();
    runs.join(", ")
}
