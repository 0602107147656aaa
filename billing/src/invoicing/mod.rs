//! Wholesale invoices: the month's run, its documents, and what late changes do to them.

pub mod late;
pub(crate) mod store;

use billing_db::Conn;
use billing_primitives::{Month, OrganizationId};

use crate::error::Error;

/// The latest month that is finalized for at least one partner.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn last_finalized_month(
    conn: &mut Conn,
    organization: OrganizationId,
) -> Result<Option<Month>, Error> {
    Ok(store::last_finalized_month(conn, organization).await?)
}
