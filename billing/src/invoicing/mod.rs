//! Wholesale invoices: the month's run, its documents, and what late changes do to them.

mod chunk;
pub mod documents;
pub mod draft;
pub mod late;
pub mod month;
pub mod rules;
pub mod run;
mod settle;
pub(crate) mod store;
pub mod trace;

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
