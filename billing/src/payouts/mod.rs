//! Statements, payout runs and payouts: what was earned becomes due, is bundled and paid out.
//!
//! A commission ripens ([`maturity`]), a statement shows it ([`statements`]), a run bundles what statements have shown
//! ([`runs`]) and its payouts are followed to the bank ([`marks`]), or it pays an invoice of the partner's instead
//! ([`credits`]). No commission is in two payouts: what a payout takes leaves what is payable in the same transaction.
//!
//! Locks, always in this order: the run, enrollments in the order of their ids, commissions in the order of theirs.

mod balances;
pub(crate) mod credits;
mod details;
mod export;
mod iban;
mod marks;
mod maturity;
mod model;
mod plan;
mod reads;
pub mod rules;
mod runs;
mod schedule;
pub mod state;
mod statements;
pub(crate) mod store;

pub use balances::{Balance, balances_of};
pub use details::{NewPayoutDetails, PayoutDetails, details_of, set_details, verify_details};
pub use export::{Export, export};
pub use iban::Iban;
pub use marks::{mark_all_paid, mark_failed, mark_paid, mark_sent, mark_unknown};
pub use maturity::{mature, mature_now};
pub use model::{
    LeftOutRow, NewPayoutRun, Part, Payout, PayoutFilter, PayoutItem, PayoutMethod, PayoutRun, RunFilter, RunTotals,
    Statement, StatementEntry, StatementFilter,
};
pub use reads::{
    by_ids, items_of, left_out, list, run_by_key, runs, runs_by_ids, statement_entries, statements as list_statements,
    statements_by_ids, totals_of,
};
pub use rules::LeftOut;
pub use runs::{approve, cancel, open, recompute, return_to_draft};
pub use schedule::{PayoutSchedule, open_scheduled, schedules};
pub use state::{PayoutStatus, RunStatus};
pub use statements::{make_due_statements, make_statements};
