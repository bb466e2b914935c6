//! Cross-crate tests.

mod corpus;
mod document_corpus;
mod eventlog_cel;
mod eventlog_claims;
mod eventlog_corpus;
mod eventlog_decode;
mod eventlog_ima;
mod fixtures;
mod quote_corpus;
mod quote_peers;
mod reason_codes;
mod uefi_files;
