//! Dated stories on PostgreSQL.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something that it needs is not there")]

#[path = "scenarios/attribution.rs"]
mod attribution;
#[path = "scenarios/cash.rs"]
mod cash;
#[path = "graphql/client.rs"]
mod client;
#[path = "scenarios/commission_rules.rs"]
mod commission_rules;
#[path = "scenarios/commissions.rs"]
mod commissions;
#[path = "scenarios/corrections.rs"]
mod corrections;
#[path = "scenarios/example.rs"]
mod example;
#[path = "graphql/commissions.rs"]
mod graphql_commissions;
#[path = "graphql/doors.rs"]
mod graphql_doors;
#[path = "graphql/golden.rs"]
mod graphql_golden;
#[path = "graphql/idempotency.rs"]
mod graphql_idempotency;
#[path = "graphql/inputs.rs"]
mod graphql_inputs;
#[path = "graphql/invoicing.rs"]
mod graphql_invoicing;
#[path = "graphql/isolation.rs"]
mod graphql_isolation;
#[path = "graphql/public.rs"]
mod graphql_public;
#[path = "graphql/webhooks.rs"]
mod graphql_webhooks;
#[path = "scenarios/import.rs"]
mod import;
#[path = "faults/life.rs"]
mod life;
#[path = "scenarios/nonsense.rs"]
mod nonsense;
#[path = "scenarios/payouts.rs"]
mod payouts;
#[path = "scenarios/preview.rs"]
mod preview;
#[path = "faults/processes.rs"]
mod processes;
#[path = "scenarios/programs.rs"]
mod programs;
#[path = "faults/referrals.rs"]
mod referrals;
#[path = "scenarios/refusals.rs"]
mod refusals;
#[path = "scenarios/retail.rs"]
mod retail;
#[path = "faults/runs.rs"]
mod runs;
#[path = "scenarios/simulation.rs"]
mod simulation;
#[path = "scenarios/stripe_ids.rs"]
mod stripe_ids;
#[path = "faults/walls.rs"]
mod walls;
