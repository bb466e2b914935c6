//! Cross-crate tests.

mod corpus;
mod document_corpus;
mod uefi_files;
