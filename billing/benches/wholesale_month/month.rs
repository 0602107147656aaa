//! One month of an organization that was seeded: its run, and whether its books add up.

use std::time::{Duration, Instant};

use billing::Billing;
use billing::invoicing::run::{self, Goal};
use billing_primitives::Month;

use crate::Outcome;
use crate::seed::Seeded;

/// What a run of the month writes per partner, parents before children.
pub const WRITTEN: [&str; 9] = [
    "tier_evaluation",
    "invoice",
    "invoice_vat",
    "invoice_line",
    "ledger_account",
    "ledger_transaction",
    "ledger_transfer",
    "settlement",
    "event",
];

/// Finalizes the month and returns how long that took.
pub async fn run(billing: &Billing, seeded: &Seeded, month: Month) -> Outcome<Duration> {
    billing.clock.set(format!("{}T12:00:00Z", month.next().first()).parse()?);
    let start = Instant::now();
    let run = run::begin(billing, &seeded.caller(), month, Goal::Finalized).await?.into_inner();
    let done = run::walk(billing, &run, |_| {}).await?;
    let took = start.elapsed();
    if done.partners_done != seeded.partners {
        return Err(format!("{} partners of {} were done", done.partners_done, seeded.partners).into());
    }
    Ok(took)
}

/// Fails with the differences, if there are any.
pub async fn verify(billing: &Billing, seeded: &Seeded) -> Outcome<()> {
    billing::reconciliation::seal(billing, seeded.organization).await?;
    let report = billing::reconciliation::verify(billing, seeded.organization).await?;
    let differences: Vec<_> = report.differences().take(10).collect();
    if report.is_clean() { Ok(()) } else { Err(format!("verification found {differences:#?}").into()) }
}
