//! Dated stories on PostgreSQL.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something that it needs is not there")]

#[cfg(test)]
#[path = "graphql/client.rs"]
mod client;
#[path = "scenarios/corrections.rs"]
mod corrections;
#[path = "scenarios/example.rs"]
mod example;
#[path = "graphql/golden.rs"]
mod graphql_golden;
#[cfg(test)]
#[path = "graphql/idempotency.rs"]
mod graphql_idempotency;
#[path = "graphql/invoicing.rs"]
mod graphql_invoicing;
#[cfg(test)]
#[path = "graphql/isolation.rs"]
mod graphql_isolation;
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
