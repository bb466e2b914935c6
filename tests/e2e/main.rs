//! Cross-crate tests.

mod attacks_chain;
mod attacks_document;
mod attacks_freshness;
mod attacks_keys;
mod attacks_log;
mod attacks_policy;
mod attacks_quote;
mod bundles;
mod chain_cache;
mod corpus;
mod document_corpus;
mod emulator;
mod eventlog_cel;
mod eventlog_claims;
mod eventlog_corpus;
mod eventlog_decode;
mod eventlog_diff;
mod eventlog_ima;
mod fixtures;
mod mutations;
mod predict_corpus;
mod quote_corpus;
mod quote_peers;
mod reason_codes;
mod uefi_files;
mod workbench;
