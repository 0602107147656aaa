//! Late changes: facts about months that are finalized already.
//!
//! Nothing finalized changes. A late fact leaves a mark, and the partner's next run re-rates the marked months.

use billing_db::Conn;
use billing_primitives::OrganizationId;

use super::store;
pub(crate) use super::store::Fact;
use crate::error::Error;

/// Marks every finalized month from the days of the facts on in which the customers' owners are billed for the plans.
///
/// Locks the owning partners first, so that a run which is finalizing one of these months is over or has not begun.
/// Call it in the transaction of the facts, before they are written.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn mark(conn: &mut Conn, organization: OrganizationId, facts: &[Fact]) -> Result<(), Error> {
    store::lock_owners(conn, organization, facts).await?;
    Ok(store::mark_late(conn, organization, facts).await?)
}
