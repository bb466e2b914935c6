//! The attack ledger's items about documents. Each attack differs in one thing from a twin that is accepted.

// Arithmetic on times and lengths that stand in the tests themselves; a panic is a failed test.
#![allow(clippy::arithmetic_side_effects)]

// `cfg(test)` tells clippy that helpers may unwrap as tests may.
#[cfg(test)]
mod cache;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod envelope;
#[cfg(test)]
mod freshness;
#[cfg(test)]
mod payload;
#[cfg(test)]
mod robustness;
#[cfg(test)]
mod support;
