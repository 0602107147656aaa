//! The repository's own rules, as tests: what a review would otherwise have to remember.

#![expect(clippy::expect_used, reason = "a test ends where something that it reads is not there")]

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/packages.rs"]
mod packages;
#[path = "tidy/reading.rs"]
mod reading;
#[path = "tidy/style.rs"]
mod style;
#[path = "tidy/tables.rs"]
mod tables;

/// Fails with every finding at once, each on a line of its own.
fn none(what: &str, mut found: Vec<String>) {
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}
