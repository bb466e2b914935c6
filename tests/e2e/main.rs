//! Cross-crate tests.

mod corpus;
mod eventlog_corpus;
