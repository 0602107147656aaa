//! Dated stories on PostgreSQL.

#[path = "scenarios/corrections.rs"]
mod corrections;
#[path = "scenarios/example.rs"]
mod example;
#[path = "scenarios/refusals.rs"]
mod refusals;
#[path = "faults/runs.rs"]
mod runs;
