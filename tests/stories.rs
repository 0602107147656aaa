//! Dated stories on PostgreSQL.

#[path = "scenarios/corrections.rs"]
mod corrections;
#[path = "scenarios/example.rs"]
mod example;
#[path = "faults/life.rs"]
mod life;
#[path = "scenarios/preview.rs"]
mod preview;
#[path = "scenarios/refusals.rs"]
mod refusals;
#[path = "scenarios/retail.rs"]
mod retail;
#[path = "faults/runs.rs"]
mod runs;
#[path = "faults/walls.rs"]
mod walls;
