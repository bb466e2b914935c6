//! Cross-crate tests.

mod corpus;
mod document_corpus;
mod eventlog_corpus;
