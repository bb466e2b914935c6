//! A measured boot out of an event log: its digests are extended into the PCRs as the firmware did.

use nitrotpm_eventlog::{EventLog, ParseOptions};
use nitrotpm_pcr::Bank;

use crate::EmulatorError;
use crate::backend::Backend;
use crate::wire::{Authorization, Put, cc};

/// What became of a boot log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BootLogReport {
    /// How many events were extended.
    pub extended: usize,
    /// Banks that now have the log's values.
    pub banks: Vec<Bank>,
    /// Banks of the TPM that the log has no digests for: they stay as after a reset.
    pub banks_without_digests: Vec<Bank>,
    /// Banks of the log that the TPM has switched off.
    pub banks_switched_off: Vec<Bank>,
}

/// The locality at which the log says the TPM was started: 0 or 3.
pub(crate) fn startup_locality(bytes: &[u8]) -> Result<u8, EmulatorError> {
    let replayed = EventLog::parse(bytes, &ParseOptions::default())
        .and_then(|log| log.replay_all())
        .map_err(|source| EmulatorError::BootLog { source })?;
    match replayed.startup_locality() {
        locality @ (0 | 3) => Ok(locality),
        locality => Err(EmulatorError::BootLogLocality { locality }),
    }
}

/// Extends all events into a TPM that was just started, and compares the PCRs with the log's own replay.
pub(crate) fn replay(backend: &mut Backend, bytes: &[u8]) -> Result<BootLogReport, EmulatorError> {
    let doing = "extend the events of the boot log";
    let failed = |source| EmulatorError::BootLog { source };
    let log = EventLog::parse(bytes, &ParseOptions::default()).map_err(failed)?;
    let expected = log.replay_all().map_err(failed)?.values();
    let mut report = BootLogReport::default();
    for bank in Bank::ALL {
        match (log.has_bank(bank), !backend.pcrs(bank)?.is_empty()) {
            (true, true) => report.banks.push(bank),
            (true, false) => report.banks_switched_off.push(bank),
            (false, true) => report.banks_without_digests.push(bank),
            (false, false) => {}
        }
    }
    for event in log.events().filter(|event| event.extends()) {
        let Some(index) = event.pcr() else { continue };
        let digests: Vec<_> =
            event.known_digests().filter(|digest| report.banks.contains(&digest.algorithm())).collect();
        if digests.is_empty() {
            continue;
        }
        let mut parameters = Vec::new();
        parameters.put_u32(u32::try_from(digests.len()).map_err(|_| EmulatorError::SwtpmAnswer { doing })?);
        for digest in digests {
            parameters.put_u16(digest.algorithm().tpm_id());
            parameters.put(digest.as_bytes());
        }
        let number = index.get();
        // The registers of a dynamic launch are extended from locality 2 (PC Client Platform TPM Profile, table 6).
        let dynamic = (17..=22).contains(&number);
        if dynamic {
            backend.set_locality(2)?;
        }
        backend.run(doing, cc::PCR_EXTEND, &[number.into()], &[Authorization::password(b"")], &parameters)?;
        if dynamic {
            backend.set_locality(0)?;
        }
        report.extended = report.extended.saturating_add(1);
    }
    for bank in &report.banks {
        let found = backend.pcrs(*bank)?;
        for (_, index, value) in expected.iter().filter(|(of, ..)| of == bank) {
            if found.get(*bank, index) != Some(value) {
                return Err(EmulatorError::BootLogMismatch { bank: *bank, pcr: index.get() });
            }
        }
    }
    Ok(report)
}
