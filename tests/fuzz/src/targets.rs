//! The list of targets.

use crate::{documents, logs, prediction, references, tpm, uefi};

/// One parser, or one way through several.
pub(crate) struct Target {
    /// The name that `tests/fuzz/run` takes.
    pub(crate) name: &'static str,
    /// What is called with each input.
    pub(crate) run: fn(&[u8]),
    /// The longest input, in bytes: longer ones find nothing new and are slow.
    pub(crate) longest: usize,
    /// How many executions the smoke run makes.
    pub(crate) smoke: usize,
}

const fn target(name: &'static str, run: fn(&[u8]), longest: usize, smoke: usize) -> Target {
    Target { name, run, longest, smoke }
}

/// All targets.
pub(crate) const TARGETS: &[Target] = &[
    target("event-log", logs::event_log, 24 << 10, 1_000),
    target("event-log-built", logs::built_log, 16 << 10, 500),
    target("event-payload", logs::payloads, 4 << 10, 1_000),
    target("event-log-diff", logs::two_logs, 16 << 10, 500),
    target("cel", logs::cel, 8 << 10, 5_000),
    target("ima", logs::ima, 8 << 10, 5_000),
    target("ima-allow-list", logs::allow_list, 2 << 10, 20_000),
    target("tpm-structures", tpm::structures, 2 << 10, 20_000),
    target("quote", tpm::quote, 2 << 10, 10_000),
    target("keys", tpm::keys, 4 << 10, 10_000),
    target("document", documents::document, 8 << 10, 2_000),
    target("trust-roots", documents::trust_roots, 8 << 10, 5_000),
    target("evidence", documents::evidence, 32 << 10, 2_000),
    target("verification", documents::verification, 16 << 10, 300),
    target("policy", documents::policy, 4 << 10, 3_000),
    target("enrolment", documents::enrolment, 4 << 10, 5_000),
    target("kms-recipient", documents::kms, 2 << 10, 2_000),
    target("signature-files", uefi::signature_files, 8 << 10, 5_000),
    target("uefi-data", uefi::uefi_data, 8 << 10, 1_000),
    target("pe", prediction::pe, 16 << 10, 2_000),
    target("authenticode", prediction::authenticode, 8 << 10, 2_000),
    target("uki", prediction::uki, 16 << 10, 1_000),
    target("disk", references::disk, 128 << 10, 300),
    target("corim", references::manifest, 4 << 10, 3_000),
    target("pcrlock", references::component, 4 << 10, 5_000),
    target("reference", references::reference, 16 << 10, 500),
];
