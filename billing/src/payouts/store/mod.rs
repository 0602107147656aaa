//! SQL of statements, runs and payouts. Nothing here opens a transaction; every statement names the organization.

pub mod due;
pub mod payouts;
pub mod ripening;
pub mod runs;
pub mod statements;

use billing_db::Conn;
use billing_primitives::{EnrollmentId, OrganizationId};
use diesel::QueryResult;
use diesel::sql_types::{Array, Uuid};
use diesel_async::RunQueryDsl;

/// Locks enrollments in the order of their ids: whoever holds one is alone with what is due to it.
pub async fn lock_enrollments(conn: &mut Conn, organization: OrganizationId, ids: &[EnrollmentId]) -> QueryResult<()> {
    diesel::sql_query(
        "SELECT id FROM enrollment WHERE organization_id = $1 AND id = ANY ($2) ORDER BY id FOR NO KEY UPDATE",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(ids)
    .execute(conn)
    .await
    .map(|_| ())
}
