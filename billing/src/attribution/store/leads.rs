//! SQL of leads.

use billing_db::schema::{enrollment, lead};
use billing_db::{Conn, DbError};
use billing_primitives::{CustomerId, EnrollmentId, LeadId, OrganizationId, TouchId};
use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use super::by_ids;
use crate::attribution::{Lead, LeadFilter, LeadStatus};
use crate::page::Page;

by_ids!(lead, LeadId => Lead);

pub async fn insert(conn: &mut Conn, row: &Lead) -> QueryResult<()> {
    diesel::insert_into(lead::table).values(row).execute(conn).await.map(|_| ())
}

/// Whether the same address is an open lead of the same partner already.
pub async fn is_open(
    conn: &mut Conn,
    organization: OrganizationId,
    enrollment: EnrollmentId,
    email: &str,
) -> QueryResult<bool> {
    let open = lead::table
        .filter(lead::organization_id.eq(organization))
        .filter(lead::enrollment_id.eq(enrollment))
        .filter(lead::status.eq(LeadStatus::Open))
        .filter(sql::<Text>("lower(email)").eq(email.to_lowercase()));
    diesel::select(exists(open)).get_result(conn).await
}

/// Says that the open leads of this address have become the customer, and by which touches.
pub async fn convert(
    conn: &mut Conn,
    organization: OrganizationId,
    email: &str,
    customer: CustomerId,
) -> QueryResult<Vec<TouchId>> {
    diesel::update(lead::table)
        .filter(lead::organization_id.eq(organization))
        .filter(sql::<Text>("lower(email)").eq(email.to_lowercase()))
        .filter(lead::status.eq(LeadStatus::Open))
        .set((lead::status.eq(LeadStatus::Converted), lead::customer_id.eq(customer)))
        .returning(lead::touch_id)
        .get_results(conn)
        .await
}

pub async fn lock(conn: &mut Conn, organization: OrganizationId, id: LeadId) -> QueryResult<Option<Lead>> {
    lead::table
        .filter(lead::organization_id.eq(organization))
        .filter(lead::id.eq(id))
        .select(Lead::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

pub async fn update_status(conn: &mut Conn, row: &Lead) -> Result<(), DbError> {
    let written = diesel::update(lead::table)
        .filter(lead::organization_id.eq(row.organization_id))
        .filter(lead::id.eq(row.id))
        .set(lead::status.eq(row.status))
        .execute(conn)
        .await?;
    DbError::expect_rows("lead", 1, written)
}

pub async fn list(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<LeadId>,
    filter: &LeadFilter,
) -> QueryResult<Vec<Lead>> {
    let mut query = lead::table
        .filter(lead::organization_id.eq(organization))
        .order(lead::id.desc())
        .limit(page.limit())
        .select(Lead::as_select())
        .into_boxed();
    if let Some(partner) = filter.partner {
        let own = enrollment::table
            .filter(enrollment::organization_id.eq(organization))
            .filter(enrollment::partner_id.eq(partner))
            .select(enrollment::id);
        query = query.filter(lead::enrollment_id.eq_any(own));
    }
    if let Some(status) = filter.status {
        query = query.filter(lead::status.eq(status));
    }
    if let Some(after) = page.after {
        query = query.filter(lead::id.lt(after));
    }
    query.load(conn).await
}
