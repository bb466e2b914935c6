//! Cross-crate tests.

mod corpus;
mod document_corpus;
mod eventlog_claims;
mod eventlog_corpus;
mod fixtures;
mod predict_corpus;
mod quote_corpus;
mod quote_peers;
mod reason_codes;
mod uefi_files;
