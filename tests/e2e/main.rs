//! Cross-crate tests.

mod corpus;
mod eventlog_cel;
mod eventlog_claims;
mod eventlog_corpus;
mod eventlog_decode;
mod eventlog_diff;
mod eventlog_ima;
