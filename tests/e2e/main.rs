//! Cross-crate tests.

mod corpus;
