//! Temporary.
#[path = "../scenarios/import.rs"]
mod import;
