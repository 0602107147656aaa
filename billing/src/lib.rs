//! The product: what happens to partners, prices, seats, invoices and money.
//!
//! Every noun has the same files: `mod.rs` is its service (one command, one transaction), `rules.rs` decides and is
//! pure, `store.rs` holds its SQL. [`Billing`] is the one door for the API and the jobs.

pub mod attribution;
pub mod audit;
pub mod books;
mod bulk;
pub mod caller;
pub mod catalog;
pub mod chart;
pub mod clock;
pub mod commissions;
mod csv;
pub mod customers;
mod error;
pub mod events;
pub mod explain;
pub mod import;
pub mod inbox;
pub mod invoicing;
pub mod keys;
pub mod organizations;
pub mod page;
pub mod partners;
pub mod payments;
pub mod payouts;
pub mod programs;
pub mod put;
pub mod rates;
pub mod reconciliation;
pub mod retail;
pub mod stripe;
pub mod subscriptions;
pub mod tiers;
pub mod trace;
pub mod vat;

/// How the database is reached or started: for whoever starts the program.
pub mod database {
    pub use billing_db::{Database, DatabaseSettings, Distributed, Migrations, StartError};
}

pub use billing_db::{Applied, DbError, IdempotencyKey, KeyError, RecordedAnswer};
pub use caller::{Actor, Caller};
pub use clock::Clock;
pub use error::{Error, Refusal};
pub use page::{Page, Slice};
pub use put::Put;

use billing_db::Db;

/// The product over one database.
#[derive(Clone)]
pub struct Billing {
    pub db: Db,
    pub clock: Clock,
    /// Partners whose months a run computes and writes in one transaction.
    pub run_chunk: i64,
    /// Where Stripe's API is; none: Stripe's own address.
    pub stripe_base: Option<String>,
}

impl Billing {
    pub fn new(db: Db, clock: Clock) -> Self {
        Billing { db, clock, run_chunk: 200, stripe_base: None }
    }
}
