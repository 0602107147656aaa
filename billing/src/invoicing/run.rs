//! The wholesale month: a run walks over the partners chunk by chunk, each chunk one transaction.
//!
//! The run's row is lock, fence and progress at once: workers that race take turns chunk by chunk, a worker killed
//! anywhere has committed whole chunks, and whoever comes next goes on behind the last of them. Partners are walked
//! in the byte order of their external ids, and numbers follow that order.

use billing_db::{Applied, Conn};
use billing_primitives::{BillingRunId, Date, Month, OrganizationId};
use serde::{Deserialize, Serialize};

use super::documents::{BillingRun, RunStatus};
use super::settle::{self, Step};
use super::{chunk, job, store};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::{Billing, audit, organizations};

/// How far a run should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// Drafts that can be looked at; nothing is booked.
    Drafts,
    /// Numbers, books and documents that never change again.
    Finalized,
}

/// Begins a pass over a month, or joins the one that is under way towards the same goal. Either way a worker is woken
/// that walks it; whoever does not want to wait may walk along.
///
/// # Errors
/// [`Refusal::MonthBeforeBilling`]; [`Refusal::MonthNotOver`] when finalizing.
pub async fn begin(billing: &Billing, caller: &Caller, month: Month, goal: Goal) -> Result<Applied<BillingRun>, Error> {
    let work = async |conn: &mut Conn| begin_in(conn, billing, caller, month, goal).await;
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

async fn begin_in(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    month: Month,
    goal: Goal,
) -> Result<BillingRun, Error> {
    let organization = organizations::current(conn, caller.organization).await?;
    let today = organizations::today(conn, billing, &organization).await?;
    if month < organization.billing_from {
        return Err(Refusal::MonthBeforeBilling { month, billing_from: organization.billing_from }.into());
    }
    if goal == Goal::Finalized && today <= month.last() {
        return Err(Refusal::MonthNotOver { month, today }.into());
    }
    let now = billing.clock.now(conn).await?;
    let mut run = store::runs::lock_or_make(conn, organization.id, month, now).await?;
    let joins = match goal {
        Goal::Drafts => matches!(run.status, RunStatus::Drafting | RunStatus::Finalizing),
        Goal::Finalized => run.status == RunStatus::Finalizing,
    };
    if joins {
        // Its wake-up may have been parked: whoever asks again gets it going.
        job::enqueue(conn, &run).await?;
        return Ok(run);
    }
    // Documents of a later call bear the day of that call.
    let issue_date = (goal == Goal::Finalized).then_some(today);
    run.status = if goal == Goal::Finalized { RunStatus::Finalizing } else { RunStatus::Drafting };
    run.issue_date = issue_date.or(run.issue_date);
    run.pass += 1;
    run.done_through.clear();
    run.partners_done = 0;
    run.partners_total = store::runs::partner_count(conn, organization.id).await?;
    run.updated_at = now;
    store::runs::update(conn, &run).await?;
    let details = serde_json::json!({ "month": month, "status": run.status, "pass": run.pass });
    audit::record(conn, caller, now, "billing_run.begin", run.id, details).await?;
    job::enqueue(conn, &run).await?;
    Ok(run)
}

/// Does the next chunk of a pass. The run that comes back says whether there is more to do.
///
/// # Errors
/// [`Refusal::RunSuperseded`] when another pass has begun since; faults of the database.
pub async fn step(
    billing: &Billing,
    organization: OrganizationId,
    id: BillingRunId,
    pass: i32,
) -> Result<BillingRun, Error> {
    let db = billing.db.patient();
    db.scoped(organization, async |conn| step_in(conn, billing, organization, id, pass).await).await
}

async fn step_in(
    conn: &mut Conn,
    billing: &Billing,
    organization: OrganizationId,
    id: BillingRunId,
    pass: i32,
) -> Result<BillingRun, Error> {
    let mut run = store::runs::lock(conn, organization, id).await?;
    if run.pass != pass {
        return Err(Refusal::RunSuperseded { month: run.month }.into());
    }
    if !under_way(&run) {
        return Ok(run);
    }
    let now = billing.clock.now(conn).await?;
    let organization = organizations::share(conn, organization).await?;
    let partners = store::runs::next_partners(conn, organization.id, &run.done_through, billing.run_chunk).await?;
    let count = partners.len();
    if let Some(last) = partners.last() {
        run.done_through.clone_from(&last.external_id);
    }
    let computed = chunk::compute(conn, &organization, run.month, partners).await?;
    let finalize_on = finalize_on(&run);
    settle::write(conn, Step { organization: &organization, run: &run, now, finalize_on }, computed).await?;
    run.partners_done += i64::try_from(count).unwrap_or(i64::MAX);
    if i64::try_from(count).unwrap_or(i64::MAX) < billing.run_chunk {
        // A month that has finalized documents stays finalized, also after another look at its drafts.
        run.status = if run.issue_date.is_some() { RunStatus::Finalized } else { RunStatus::Drafted };
    }
    run.updated_at = now;
    store::runs::update(conn, &run).await?;
    Ok(run)
}

/// The issue date, when the pass finalizes.
fn finalize_on(run: &BillingRun) -> Option<Date> {
    run.issue_date.filter(|_| run.status == RunStatus::Finalizing)
}

/// Whether a pass has partners left to walk over.
pub fn under_way(run: &BillingRun) -> bool {
    matches!(run.status, RunStatus::Drafting | RunStatus::Finalizing)
}

/// Walks a pass to its end; `progress` is told of each chunk. A pass that somebody else began since is not fought.
///
/// # Errors
/// [`Refusal::RunSuperseded`], faults of the database.
pub async fn walk(
    billing: &Billing,
    run: &BillingRun,
    mut progress: impl FnMut(&BillingRun) + Send,
) -> Result<BillingRun, Error> {
    let mut current = run.clone();
    while under_way(&current) {
        current = step(billing, run.organization_id, run.id, run.pass).await?;
        progress(&current);
    }
    Ok(current)
}
