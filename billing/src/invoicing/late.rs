//! Late changes: facts about months that are finalized already.
//!
//! Nothing finalized changes. A late fact leaves a mark, and the partner's next run re-rates the marked months.

use billing_db::Conn;
use billing_primitives::{CustomerId, Date, OrganizationId, PlanId};

use super::store;
use crate::error::Error;

/// Marks every finalized month from `from` on in which the customer's owner is billed for the plan.
///
/// Locks the owning partners first, so that a run which is finalizing one of these months is over or has not begun.
/// Call it in the transaction of the fact, before the fact is written.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn mark(
    conn: &mut Conn,
    organization: OrganizationId,
    customer: CustomerId,
    plan: PlanId,
    from: Date,
) -> Result<(), Error> {
    store::lock_owners(conn, organization, customer, from).await?;
    Ok(store::mark_late(conn, organization, customer, plan, from).await?)
}
